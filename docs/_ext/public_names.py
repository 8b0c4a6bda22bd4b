"""What is public: the names that the packages and the modules directly below them list in ``__all__``."""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any, get_origin

PACKAGES = ("redundancy", "estimators", "extraction", "proofs_check")
# Commands are described by the command-line page; these modules serve them and promise nothing to callers.
_COMMAND_LINE = ("cli", "commands", "extras", "printing", "show", "__main__")  # no library


@dataclass(frozen=True)
class PublicName:
    """A public object, where it is documented, and what it is."""

    module: str
    name: str
    kind: str
    value: Any

    @property
    def path(self) -> str:
        """Dotted path under which the reference lists it."""
        return f"{self.module}.{self.name}"


def public_modules() -> list[ModuleType]:
    """The four packages, and their direct modules and sub-packages that have ``__all__``."""
    found = []
    for package_name in PACKAGES:
        package = import_module(package_name)
        found.append(package)
        for info in sorted(pkgutil.iter_modules(package.__path__), key=lambda i: i.name):
            if info.name.startswith("_") or info.name in _COMMAND_LINE:
                continue
            module = import_module(f"{package_name}.{info.name}")
            if getattr(module, "__all__", None):
                found.append(module)
            found += _modules_inside(module)
    return found


def _modules_inside(module: ModuleType) -> Iterator[ModuleType]:
    """Sub-packages, and modules that the package itself lists; all of them if it lists nothing."""
    listed = getattr(module, "__all__", None)
    for info in pkgutil.iter_modules(getattr(module, "__path__", [])):
        if not info.name.startswith("_") and (info.ispkg or not listed or info.name in listed):
            inner = import_module(f"{module.__name__}.{info.name}")
            if getattr(inner, "__all__", None):
                yield inner


def public_names() -> list[PublicName]:
    """Each public object once, under its shortest path, in the order of the reference."""
    names: dict[int, PublicName] = {}
    constants = []
    for module in sorted(public_modules(), key=lambda m: (m.__name__.count("."), m.__name__)):
        for name in getattr(module, "__all__", ()):
            value = getattr(module, name)
            if isinstance(value, ModuleType) or name.startswith("__"):
                continue
            kind = _kind(value)
            entry = PublicName(module.__name__, name, kind, value)
            if kind == "data":
                constants.append(entry)
            else:
                names.setdefault(id(value), entry)
    order = [m.__name__ for m in public_modules()]
    taken = {entry.path for entry in names.values()}
    every = [*names.values(), *(c for c in constants if c.path not in taken)]
    return sorted(every, key=lambda e: (order.index(e.module), e.kind == "data", e.name.lower()))


def _kind(value: Any) -> str:
    if get_origin(value) is not None:
        return "data"  # a type alias, as tuple[float, ...], passes for a class
    if inspect.isclass(value):
        return "exception" if issubclass(value, BaseException) else "class"
    return "function" if (callable(value) and hasattr(value, "__code__")) or inspect.isroutine(value) else "data"
