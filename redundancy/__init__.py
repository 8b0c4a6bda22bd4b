"""Theory of layer redundancy: bounds, certificates and their arithmetic, with numpy and scipy only."""

__project__ = "skip-it"
__version__ = "0.1.0"
