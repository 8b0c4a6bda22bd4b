from .bounds.implications import derive
from .bounds.ledger import theorems
from .certificates.certificate import BoundCertificate
from .certificates.pair import LayerPairCertificate
from .certificates.profile import ProfileCertificate
from .distances import cosine_distance
from .errors import SkipItError
from .info import (
    binary_entropy,
    conditional_entropy,
    conditional_mutual_information,
    entropy,
    is_markov,
    kl_divergence,
    mutual_information,
    total_variation,
)
from .interval import Interval
from .notions.verdict import RedundancyVerdict
from .statistics.harvest_statistics import HarvestStatistics

__project__: str
__version__: str

__all__ = [
    "BoundCertificate",
    "HarvestStatistics",
    "Interval",
    "LayerPairCertificate",
    "ProfileCertificate",
    "RedundancyVerdict",
    "SkipItError",
    "binary_entropy",
    "conditional_entropy",
    "conditional_mutual_information",
    "cosine_distance",
    "derive",
    "entropy",
    "is_markov",
    "kl_divergence",
    "mutual_information",
    "theorems",
    "total_variation",
]
