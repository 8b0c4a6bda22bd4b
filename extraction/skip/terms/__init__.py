"""The terms that plans are made of, one file each, and the reader of their text."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
