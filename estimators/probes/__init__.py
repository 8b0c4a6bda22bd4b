"""Probes of a task on hidden states: streaming ridge, kernel, MLP and calibrated classification.

They keep the scikit-learn estimator contract. A Lipschitz constant given here is a property of the fitted
probe, never of the ideal predictor it stands for.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

# Loaded on first use: moments and Lipschitz constants do without scikit-learn, which takes a second to import.
_HOMES = {
    "CalibratedProbe": "estimators.probes.classify",
    "KernelProbe": "estimators.probes.kernel",
    "MLPProbe": "estimators.probes.mlp",
    "Moments": "estimators.probes.moments",
    "StreamingRidge": "estimators.probes.ridge",
    "gaussian_kernel_upper": "estimators.probes.lipschitz",
    "product_upper": "estimators.probes.lipschitz",
    "softmax_upper": "estimators.probes.lipschitz",
    "spectral_norm": "estimators.probes.lipschitz",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'estimators.probes' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
