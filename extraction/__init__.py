"""Harvest statistics of a vision-language model's layers, and really skip them."""

from importlib import import_module
from types import ModuleType

__project__ = "skip-it"

_MODULES = ("adapters", "data", "harvest", "skip", "tiny")


def __getattr__(name: str) -> ModuleType:
    """Import a part when it is first used, so that ``import extraction`` loads no torch."""
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
