"""The theorem ledger: every statement as printed and as used, why they differ, and where it is computed and checked."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from redundancy._ledger import claims, confidence, definitions, distance, functional, information, lemmas, pinsker
from redundancy.certificates.registry import REGISTRY, bound_function, register_all
from redundancy.errors import InvalidInputError
from redundancy.files.tabular import Tabular

__all__ = ["STATUSES", "TheoremRecord", "find", "theorems", "uncovered"]

STATUSES = {
    "true": "true as printed",
    "repaired": "true after the repair that is named",
    "sharpened": "ours: stronger than the printed statement, or with fewer assumptions",
    "refuted": "false, as printed or as it is easily read; the counterexample is given",
    "added": "ours: not in the paper",
}
_DEFINITIONS = {f"def{k}" for k in range(1, 7)}
_SUBJECTS = (definitions, lemmas, distance, functional, information, pinsker, confidence, claims)


@dataclass(frozen=True, slots=True, kw_only=True)
class TheoremRecord(Tabular):
    """One statement.

    Parameters
    ----------
    id : str
        Theorem id, as certificates carry it; ``def*`` for definitions and ``claim.*`` for sentences that no
        bound states.
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
        Name of its page in ``docs/theorems``, without the suffix.
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
        bound = bound_function(self.id)
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


def theorems() -> tuple[TheoremRecord, ...]:
    """All records: definitions, lemmas, proposition, theorems, sampling, then logic and refuted claims.

    Returns
    -------
    tuple of TheoremRecord
        In the order of the ledger.

    Examples
    --------
    >>> [r.id for r in theorems() if r.status == "refuted"][:2]
    ['prop1.printed', 'claim.proximal_informational']
    """
    return tuple(_by_id().values())


def find(theorem: str) -> TheoremRecord:
    """The record of one id.

    Parameters
    ----------
    theorem : str
        Its id, as ``thm1.minkowski``.

    Returns
    -------
    TheoremRecord
        The record.

    Raises
    ------
    InvalidInputError
        If the ledger has no such id.
    """
    records = _by_id()
    if theorem not in records:
        raise InvalidInputError(f"need a theorem id of the ledger, got {theorem!r}; `skip-it theorems` lists them")
    return records[theorem]


def uncovered() -> tuple[str, ...]:
    """Ids of registered bounds that the ledger lacks; empty if all is well.

    Returns
    -------
    tuple of str
        In alphabetical order.
    """
    register_all()
    return tuple(sorted(set(REGISTRY) - set(_by_id())))


@cache
def _by_id() -> dict[str, TheoremRecord]:
    """Records in order."""
    entries = [entry for subject in _SUBJECTS for entry in subject.RECORDS]
    return {entry["id"]: TheoremRecord(**entry) for entry in entries}
