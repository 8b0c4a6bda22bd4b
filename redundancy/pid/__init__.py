"""Partial information decomposition: BROJA with certified intervals, batches, and a Gaussian estimate."""

from redundancy.pid.batch import BrojaBatch, broja_batch
from redundancy.pid.gaussian import GaussianPidEstimate, gaussian_pid
from redundancy.pid.layers import layer_pair_pid, next_layer_unique_information
from redundancy.pid.result import BrojaResult
from redundancy.pid.solve import (
    METHODS,
    broja,
    broja_from_pairs,
    choose_method,
    union_lower_bound,
    union_upper_bound,
)

__all__ = [
    "METHODS",
    "BrojaBatch",
    "BrojaResult",
    "GaussianPidEstimate",
    "broja",
    "broja_batch",
    "broja_from_pairs",
    "choose_method",
    "gaussian_pid",
    "layer_pair_pid",
    "next_layer_unique_information",
    "union_lower_bound",
    "union_upper_bound",
]
