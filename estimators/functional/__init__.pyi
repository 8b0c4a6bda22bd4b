from .estimate import functional_redundancy
from .result import EstimateWarning, FunctionalRedundancy

__all__ = [
    "EstimateWarning",
    "FunctionalRedundancy",
    "functional_redundancy",
]
