"""The statements of the ledger in checkable form, by theorem id.

Each has two sides that are functions of a finite law and of named constants, and a list of assumptions.
A mutation replaces a constant, drops an assumption or swaps a term; see `proofs_check.mutations`. The statements
themselves stand in the rooms of their theorems, as `proofs_check.lipschitz.statements`.

Examples
--------
>>> [s.claim for s in statements_of("lemmas.squared_triangle_upper")]
['E|X-Y|^2 <= a (E|X-Z|^2 + E|Z-Y|^2)']
"""

from __future__ import annotations

from proofs_check.rooms import gather
from proofs_check.statements.assumptions import ASSUMPTIONS, add_assumption
from proofs_check.statements.base import Statement, Verdict

__all__ = ["ASSUMPTIONS", "Statement", "Verdict", "add_assumption", "all_statements", "statements_of"]


def all_statements() -> tuple[Statement, ...]:
    """The statements of all rooms."""
    return tuple(statement for room in gather("STATEMENTS") for statement in room)


def statements_of(theorem: str) -> tuple[Statement, ...]:
    """Every part of one theorem; empty if it has no checkable form here."""
    return tuple(s for s in all_statements() if s.theorem == theorem)
