"""Partial information decomposition: BROJA with certified intervals, batches, and a Gaussian estimate."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
