"""The rooms of the theorems: statements, proofs, rules and mutants of each, those that users bring included."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

__all__ = ["add", "gather", "rooms"]

GROUPS = ("skip_it.bounds", "skip_it.proofs")  # entry points of modules that may hold any of these names
_FILES = {
    "STATEMENTS": "statements",
    "ENTROPIC": "statements",
    "FAMILIES": "statements",
    "PROOFS": "proof",
    "RULES": "recheck",
    "MUTANTS": "mutants",
    "NECESSARY": "mutants",
    "WRONG": "mutants",
}
_KINDS = frozenset(_FILES.values())
_BROUGHT: dict[str, ModuleType] = {}


@cache
def rooms() -> tuple[str, ...]:
    """Names of the folders here that hold a theorem: those with a file of the kinds below."""
    here = Path(__file__).parent
    folders = (info.name for info in pkgutil.iter_modules([str(here)]) if info.ispkg)
    return tuple(sorted(f for f in folders if any((here / f / f"{name}.py").is_file() for name in _KINDS)))


def add(module: ModuleType) -> None:
    """Look into a module, too, for any of the names that a room may have.

    Parameters
    ----------
    module : module
        With ``STATEMENTS`` (tuple of `Statement`), ``PROOFS`` and ``RULES`` (by theorem id), ``ENTROPIC`` (claims
        for the Shannon prover by id), ``FAMILIES`` (functions that return laws, by name), ``MUTANTS``,
        ``NECESSARY`` or ``WRONG``; see `proofs_check.mutations`.
    """
    _BROUGHT[module.__name__] = module


def gather(name: str) -> Iterator[Any]:
    """What each room has under a name; only the files that can have it are imported.

    Parameters
    ----------
    name : str
        As ``STATEMENTS``.

    Yields
    ------
    tuple or dict
        Our rooms by name, then those of users.
    """
    for room in rooms():
        if (Path(__file__).parent / room / f"{_FILES[name]}.py").is_file():
            module = importlib.import_module(f"proofs_check.{room}.{_FILES[name]}")
            if hasattr(module, name):
                yield getattr(module, name)
    for point in (point for group in GROUPS for point in entry_points(group=group)):
        loaded = point.load()
        if isinstance(loaded, ModuleType):
            add(loaded)
    for module in _BROUGHT.values():
        if hasattr(module, name):
            yield getattr(module, name)
