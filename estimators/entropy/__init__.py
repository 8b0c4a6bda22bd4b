"""Entropies on codes: point estimates with their bias regime, and certified bounds."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
