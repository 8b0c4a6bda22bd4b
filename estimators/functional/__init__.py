"""Functional redundancy of a layer pair: estimate with interval, bracket, certified upper bounds, theorems beside.

The number is always that of a *probe class*: "functional redundancy" without a class means nothing on states
that a deterministic layer computed (the ideal predictors then agree whatever the layer does).
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
