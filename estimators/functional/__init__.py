"""Functional redundancy of a layer pair: estimate with interval, bracket, certified upper bounds, theorems beside.

The number is always that of a *probe class*: "functional redundancy" without a class means nothing on states
that a deterministic layer computed (the ideal predictors then agree whatever the layer does).
"""

from estimators.functional.estimate import functional_redundancy
from estimators.functional.result import EstimateWarning, FunctionalRedundancy

__all__ = ["EstimateWarning", "FunctionalRedundancy", "functional_redundancy"]
