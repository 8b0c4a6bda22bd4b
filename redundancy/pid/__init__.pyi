from .batch import BrojaBatch, broja_batch
from .gaussian import GaussianPidEstimate, gaussian_pid
from .layers import layer_pair_pid, next_layer_unique_information
from .result import BrojaResult
from .solve import METHODS, broja, broja_from_pairs, choose_method, union_lower_bound, union_upper_bound

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
