"""Harvest statistics of a vision-language model's layers, and really skip them."""

from importlib import import_module
from typing import Any

__project__ = "skip-it"

_MODULES = ("adapters", "data", "default_model", "skip", "tiny")
_NAMES = {"Harvester": "harvester", "harvest": "harvesting", "harvest_encoder": "encoders"}

__all__ = [*_NAMES, *_MODULES]


def __getattr__(name: str) -> Any:
    """Import a part when it is first used, so that ``import extraction`` loads no torch."""
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    if name in _NAMES:
        return getattr(import_module(f"{__name__}.{_NAMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
