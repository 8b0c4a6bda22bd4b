"""Theory of layer redundancy: bounds, certificates and their arithmetic, with numpy and scipy only."""

import lazy_loader

__project__ = "skip-it"
__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
