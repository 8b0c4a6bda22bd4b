from .certified import conditional_entropy_upper, mutual_information_lower
from .conditional import EntropyEstimate, conditional_entropy_estimate, mutual_information_estimate
from .point import METHODS

__all__ = [
    "METHODS",
    "EntropyEstimate",
    "conditional_entropy_estimate",
    "conditional_entropy_upper",
    "mutual_information_estimate",
    "mutual_information_lower",
]
