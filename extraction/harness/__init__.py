"""Existing benchmarks on a skipping model: lm-eval, lmms-eval, an answer judge, and the scores of free-form answers."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
