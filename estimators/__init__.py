"""Estimates of functional and informational redundancy from activations."""

import lazy_loader

__project__ = "skip-it"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
