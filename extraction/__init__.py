"""Harvest statistics of a vision-language model's layers, and really skip them."""

import lazy_loader

__project__ = "skip-it"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
