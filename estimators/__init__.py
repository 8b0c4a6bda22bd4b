"""Estimates of functional and informational redundancy from activations."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__project__ = "skip-it"

# Public names load on first use: `import estimators` stays quick and imports neither numpy nor scikit-learn.
_HOMES = {
    "ActivationStore": "estimators.store",
    "AnytimeControl": "redundancy.risk",
    "Codebook": "estimators.codes.codebook",
    "CodedPair": "estimators.codes.pairs",
    "EntropyEstimate": "estimators.entropy",
    "ErrorGraph": "redundancy.risk",
    "FunctionalRedundancy": "estimators.functional",
    "LayerScan": "estimators.scan.result",
    "RiskControl": "redundancy.risk",
    "UniqueInformationEstimate": "estimators.unique",
    "conditional_entropy_estimate": "estimators.entropy",
    "conditional_entropy_upper": "estimators.entropy",
    "control_risk": "redundancy.risk",
    "fit_codebook": "estimators.codes.codebook",
    "fit_product_quantizer": "estimators.product_quantization",
    "functional_redundancy": "estimators.functional",
    "image_folds": "estimators.folds",
    "mutual_information_estimate": "estimators.entropy",
    "mutual_information_lower": "estimators.entropy",
    "plot_scan": "estimators.scan.result",
    "scan_layers": "estimators.scan.layers",
    "unique_information_estimate": "estimators.unique",
}

__all__ = [*_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'estimators' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
