"""Entropies on codes: point estimates with their bias regime, and certified bounds."""

from estimators.entropy.certified import conditional_entropy_upper, mutual_information_lower
from estimators.entropy.conditional import (
    EntropyEstimate,
    conditional_entropy_estimate,
    mutual_information_estimate,
)
from estimators.entropy.point import METHODS

__all__ = [
    "METHODS",
    "EntropyEstimate",
    "conditional_entropy_estimate",
    "conditional_entropy_upper",
    "mutual_information_estimate",
    "mutual_information_lower",
]
