"""Activation store: harvest sub-sampled states of every depth to disk; `estimators.store` reads them without torch."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
