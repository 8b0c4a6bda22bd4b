"""From plans to a choice with a guarantee: outcomes, sweeps, tables, and the main line on one model."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
