"""Confidence bounds on means of bounded per-image values; images are the i.i.d. units, tokens never are.

Tokens of one image depend on each other, so no function here takes tokens as a sample: an interval that
counts tokens is too narrow at every sample size (theory.md section 3).
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
