"""The statements of the ledger in checkable form, by theorem id.

Each has two sides that are functions of a finite law and of named constants, and a list of assumptions.
A mutation replaces a constant, drops an assumption or swaps a term; see `proofs_check.mutations`.

Examples
--------
>>> [s.claim for s in statements_of("lemmas.squared_triangle_upper")]
['E|X-Y|^2 <= a (E|X-Z|^2 + E|Z-Y|^2)']
"""

from __future__ import annotations

from proofs_check.statements.assumptions import ASSUMPTIONS, add_assumption
from proofs_check.statements.base import Statement, Verdict
from proofs_check.statements.entropic import ENTROPIC
from proofs_check.statements.functional import FUNCTIONAL
from proofs_check.statements.known_laws import KNOWN_LAWS
from proofs_check.statements.lemmas import LEMMAS
from proofs_check.statements.sampling import SAMPLING
from proofs_check.statements.task import TASK

__all__ = ["ASSUMPTIONS", "STATEMENTS", "Statement", "Verdict", "add_assumption", "statements_of"]

STATEMENTS: tuple[Statement, ...] = (*LEMMAS, *FUNCTIONAL, *ENTROPIC, *TASK, *SAMPLING, *KNOWN_LAWS)


def statements_of(theorem: str) -> tuple[Statement, ...]:
    """Every part of one theorem; empty if it has no checkable form here."""
    return tuple(s for s in STATEMENTS if s.theorem == theorem)
