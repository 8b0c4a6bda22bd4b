"""One harvest by several processes or machines: worker processes, ranks, Ray actors; with the bits of one run."""

from __future__ import annotations

from importlib import import_module
from typing import Any

# Names load on first use: reading the rank of a process needs no torch.
_HOMES = {
    "default_shard": "extraction.run.distributed.ranks",
    "harvest_with_workers": "extraction.run.distributed.runner",
    "local_device": "extraction.run.distributed.ranks",
    "rank_and_world": "extraction.run.distributed.ranks",
}

__all__ = [*_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'extraction.run.distributed' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
