"""The bound functions by theorem id, found also when their modules were not imported yet."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from typing import Any

__all__ = ["REGISTRY", "bound_function", "register_all"]

_HOMES = ("redundancy.bounds", "redundancy.concentration")  # packages that register bounds
REGISTRY: dict[str, Callable[..., Any]] = {}


def bound_function(theorem: str) -> Callable[..., Any] | None:
    """The function registered under `theorem`, if any package of bounds has one."""
    if theorem not in REGISTRY:
        register_all()
    return REGISTRY.get(theorem)


def register_all() -> None:
    """Import the packages whose functions register themselves; a certificate may be read before they are."""
    for package in _HOMES:
        module = importlib.import_module(package)
        for info in pkgutil.iter_modules(module.__path__, f"{package}."):
            importlib.import_module(info.name)
