"""Partial information decomposition: BROJA with certified intervals, batches, and a Gaussian estimate."""

from redundancy.pid.solve import (
    METHODS,
    broja,
    broja_from_pairs,
    choose_method,
    union_lower_bound,
    union_upper_bound,
)

__all__ = ["METHODS", "broja", "broja_from_pairs", "choose_method", "union_lower_bound", "union_upper_bound"]
