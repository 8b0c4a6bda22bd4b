"""Activation store: harvest sub-sampled states of every depth to disk; `estimators.store` reads them without torch."""

from __future__ import annotations

from importlib import import_module
from typing import Any

# Names load on first use: writing a store by oneself needs no torch.
_HOMES = {
    "ActivationWriter": "extraction.store.writer",
    "choose_tokens": "extraction.store.choice",
    "disk_need": "extraction.store.writer",
    "harvest_activations": "extraction.store.harvest",
    "in_part": "extraction.store.choice",
    "make_spec": "extraction.store.writer",
}

__all__ = [*_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'extraction.store' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
