"""What is known of bounds: the function and the ledger record of each, by theorem id, those of users included."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import pkgutil
import re
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from redundancy.certificates.former_ids import current_id
from redundancy.errors import InvalidInputError, SkipItError
from redundancy.files.reading import causes
from redundancy.files.tabular import Tabular

__all__ = [
    "RECORDS",
    "REGISTRY",
    "STATUSES",
    "TheoremRecord",
    "bound_function",
    "described",
    "load_source",
    "register_all",
    "theorem_id",
]

GROUP = "skip_it.bounds"  # entry points of modules that register bounds
_HOMES = ("redundancy.bounds", "redundancy.concentration")  # packages that register bounds
_PAPER = "arXiv:2509.25584"
STATUSES = {
    "true": "true as printed",
    "repaired": "true after the repair that is named",
    "sharpened": "ours: stronger than the printed statement, or with fewer assumptions",
    "refuted": "false, as printed or as it is easily read; the counterexample is given",
    "added": "ours: not in the paper",
}
_DEFINITIONS = {f"def{k}" for k in range(1, 7)}


@dataclass(frozen=True, slots=True, kw_only=True)
class TheoremRecord(Tabular):
    """One statement.

    Parameters
    ----------
    id : str
        Theorem id, as certificates carry it: file and function. ``def*`` for definitions and ``claim.*`` for
        sentences that no function computes.
    title : str
    status : str
        A key of `STATUSES`.
    printed : str
        The statement as printed in the paper, or "" if it is not there.
    statement : str
        The statement that the package uses.
    deviation : str
        Why the two differ, or what the statement adds.
    counterexample : str
        A law that breaks the printed statement, or the one that an assumption or a constant is needed for.
    evidence : str
        Label of the bound without sampled inputs: P, A, or C for a sampling argument.
    uses : tuple of str
        Ids that its proof rests on.
    other_functions : tuple of str
        Dotted names of functions besides the registered bound.
    page : str
        Name of its page in ``docs/theorems``, without the suffix; that of its file unless said otherwise.
    """

    id: str
    title: str
    status: str
    statement: str
    printed: str = ""
    deviation: str = ""
    counterexample: str = ""
    evidence: str = "P"
    uses: tuple[str, ...] = ()
    other_functions: tuple[str, ...] = ()
    page: str

    @property
    def function(self) -> str:
        """Dotted name of the registered bound function, "" for a definition or a claim."""
        bound = REGISTRY.get(self.id)
        return "" if bound is None else f"{bound.__module__}.{bound.__name__}"

    @property
    def functions(self) -> tuple[str, ...]:
        """Dotted names of all functions that compute it, the registered bound first."""
        return (self.function, *self.other_functions) if self.function else self.other_functions

    @property
    def proof_check(self) -> str:
        """Row of the proof table (``skip-it prove --theorem``): its own id, "" for a definition."""
        return "" if self.id in _DEFINITIONS else self.id

    @property
    def anchor(self) -> str:
        """Where the documentation treats it: page and anchor inside ``docs/theorems``."""
        return f"{self.page}.md#{self.id.replace('.', '-').replace('_', '-')}"

    def to_record(self) -> dict[str, Any]:
        """One flat row."""
        return {
            "id": self.id,
            "title": self.title,
            "status": self.status,
            "printed": self.printed,
            "statement": self.statement,
            "deviation": self.deviation,
            "counterexample": self.counterexample,
            "evidence": self.evidence,
            "uses": list(self.uses),
            "functions": list(self.functions),
            "proof_check": self.proof_check,
            "page": self.anchor,
        }


REGISTRY: dict[str, Callable[..., Any]] = {}
RECORDS: dict[str, TheoremRecord] = {}


def bound_function(theorem: str) -> Callable[..., Any] | None:
    """The function registered under `theorem`, by today's id or a former one, if anyone has registered it."""
    theorem = current_id(theorem)
    if theorem not in REGISTRY:
        register_all()
    return REGISTRY.get(theorem)


@cache
def register_all() -> None:
    """Import all modules whose functions register themselves: our own, then those of the entry points."""
    for package in _HOMES:
        module = importlib.import_module(package)
        for info in pkgutil.iter_modules(module.__path__, f"{package}."):
            importlib.import_module(info.name)
    for point in entry_points(group=GROUP):
        point.load()


def load_source(source: str) -> ModuleType:
    """Import a module by its dotted name, or a Python file by its path; the bounds in it register themselves.

    Parameters
    ----------
    source : str
        As ``my_package.bounds`` or ``path/to/my_bounds.py``. A file is imported under its stem.

    Returns
    -------
    module
        The one that is imported already, if it is.

    Raises
    ------
    InvalidInputError
        If there is no such module or file, its name is that of another module, or its code fails.
    """
    path = Path(source)
    if path.suffix != ".py":
        if not all(part.isidentifier() for part in source.split(".")):
            raise InvalidInputError(f"need a module or the path of a .py file, got {source!r}")
        try:
            return importlib.import_module(source)
        except ModuleNotFoundError as error:
            raise InvalidInputError(f"need a module or the path of a .py file, got {source!r}: {error}") from None
        except SkipItError:
            raise
        except (Exception, SystemExit) as error:
            raise _failed(source, error) from error
    if not path.is_file():
        raise InvalidInputError(f"need a Python file with bounds or proofs, {source} does not exist")
    name, path = path.stem, path.resolve()
    known = sys.modules.get(name)
    if known is not None:
        if Path(getattr(known, "__file__", None) or "").resolve() == path:
            return known
        raise InvalidInputError(f"need a file whose name is no imported module's, got {source}; rename it")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None  # a .py file always has both
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        if isinstance(error, (Exception, SystemExit)) and not isinstance(error, SkipItError):
            raise _failed(source, error) from error
        raise
    return module


def _failed(source: str, error: BaseException) -> InvalidInputError:
    """Code that is not ours fails in any way; the line where it does helps its author."""
    frames = traceback.extract_tb(error.__traceback__)
    line = getattr(error, "lineno", None) or (frames[-1].lineno if frames else None)
    return InvalidInputError(
        f"need bounds or proofs whose code runs, {source} gives in line {line}: {type(error).__name__}: {causes(error)}"
    )


def theorem_id(function: Callable[..., Any]) -> str:
    """File and name of a bound function, or package and name where a package is one theorem's room."""
    module = function.__module__
    if module.startswith("redundancy.concentration."):
        return f"concentration.{function.__name__}"
    if module == "__main__":  # the same id as when the file is imported
        module = Path(function.__code__.co_filename).stem
    return f"{module.rpartition('.')[2]}.{function.__name__}"


def described(doc: str | None, record: TheoremRecord, *, ours: bool) -> str:
    """The docstring of a bound, with the sections that its record gives where they are not written out.

    Parameters
    ----------
    doc : str or None
        As written.
    record : TheoremRecord
        Of the bound.
    ours : bool
        Whether the page is one of ours.

    Returns
    -------
    str
        Sections "Returns" and "References" stand where numpydoc wants them.
    """
    text = inspect.cleandoc(doc or record.statement)
    parts = re.split(r"\n\n(?=[A-Z][a-z]+\n-{3,}\n)", text)
    names = [part.partition("\n")[0] for part in parts[1:]]
    where = f"{_PAPER} and docs/theorems/{record.page}.md" if ours else record.page
    for name, body, later in (
        ("Returns", f"BoundCertificate\n    By ``{record.id}``, evidence {record.evidence}.", _AFTER_RETURNS),
        ("References", f"{record.title}: {where}.", ("Examples",)),
    ):
        if name not in names:
            at = next((k for k, other in enumerate(names) if other in later), len(names))
            names.insert(at, name)
            parts.insert(at + 1, f"{name}\n{'-' * len(name)}\n{body}")
    return "\n\n".join(part.strip("\n") for part in parts)


_AFTER_RETURNS = ("Raises", "Notes", "References", "Examples")
