from .codes.codebook import Codebook, fit_codebook
from .codes.pairs import CodedPair
from .entropy import (
    EntropyEstimate,
    conditional_entropy_estimate,
    conditional_entropy_upper,
    mutual_information_estimate,
    mutual_information_lower,
)
from .folds import image_folds
from .four_notions import FourRedundancies, redundancies
from .functional import FunctionalRedundancy, functional_redundancy
from .risk import AnytimeControl, ErrorGraph, RiskControl, control_risk
from .scan.layers import scan_layers
from .scan.result import LayerScan, plot_scan
from .store import ActivationStore
from .unique import UniqueInformationEstimate, unique_information_estimate

__project__: str

__all__ = [
    "ActivationStore",
    "AnytimeControl",
    "Codebook",
    "CodedPair",
    "EntropyEstimate",
    "ErrorGraph",
    "FourRedundancies",
    "FunctionalRedundancy",
    "LayerScan",
    "RiskControl",
    "UniqueInformationEstimate",
    "conditional_entropy_estimate",
    "conditional_entropy_upper",
    "control_risk",
    "fit_codebook",
    "functional_redundancy",
    "image_folds",
    "mutual_information_estimate",
    "mutual_information_lower",
    "plot_scan",
    "redundancies",
    "scan_layers",
    "unique_information_estimate",
]
