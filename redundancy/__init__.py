"""Theory of layer redundancy: bounds, certificates and their arithmetic, with numpy and scipy only."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__project__ = "skip-it"
__version__ = "0.1.0"

# Public names load on first use: `import redundancy` stays quick and imports no numpy.
_HOMES = {
    "BoundCertificate": "redundancy.certificates.certificate",
    "HarvestStatistics": "redundancy.statistics.harvest_statistics",
    "Interval": "redundancy.interval",
    "LayerPairCertificate": "redundancy.certificates.pair",
    "ProfileCertificate": "redundancy.certificates.profile",
    "RedundancyVerdict": "redundancy.notions.verdict",
    "SkipItError": "redundancy.errors",
    "binary_entropy": "redundancy.info",
    "conditional_entropy": "redundancy.info",
    "conditional_mutual_information": "redundancy.info",
    "cosine_distance": "redundancy.distances",
    "derive": "redundancy.bounds.implications",
    "entropy": "redundancy.info",
    "is_markov": "redundancy.info",
    "kl_divergence": "redundancy.info",
    "mutual_information": "redundancy.info",
    "theorems": "redundancy.bounds.ledger",
    "total_variation": "redundancy.info",
}

__all__ = [*_HOMES, "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'redundancy' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
