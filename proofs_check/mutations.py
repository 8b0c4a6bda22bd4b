"""Mutants: statements with one constant, term or assumption changed, all false; the checker must refute every one.

There are changes that a careless reader could make to a theorem, in ``MUTANTS`` of its room (M1, M2, ...); one per
assumption whose loss breaks a statement, in ``NECESSARY`` (A:); and one per constant of every true statement (K:).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from proofs_check.exact.law import Law
from proofs_check.refute import Counterexample, refute
from proofs_check.rooms import gather
from proofs_check.statements import Statement, all_statements, statements_of

__all__ = ["Mutation", "MutationResult", "all_mutations", "constant_mutants", "try_mutation"]

F = Fraction


@dataclass(frozen=True, slots=True)
class Mutation:
    """A false variant of a theorem.

    Parameters
    ----------
    id : str
        "M5", "K: lipschitz.minkowski_upper a = 9/10", ...
    theorem : str
        Id in the ledger.
    claim : str
        What is claimed, falsely.
    statement : Statement
        Its checkable form.
    """

    id: str
    theorem: str
    claim: str
    statement: Statement


@dataclass(frozen=True, slots=True)
class MutationResult:
    """A mutant and the counterexample that kills it, or None: then the checker failed.

    Parameters
    ----------
    mutation : Mutation
        What was tried.
    counterexample : Counterexample or None
        The exact law that kills it.
    """

    mutation: Mutation
    counterexample: Counterexample | None

    @property
    def killed(self) -> bool:
        """Whether an exact counterexample was found."""
        return self.counterexample is not None

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "id": self.mutation.id,
            "theorem": self.mutation.theorem,
            "claim": self.mutation.claim,
            "killed": self.killed,
            "counterexample": None if self.counterexample is None else self.counterexample.to_dict(),
        }

    def __str__(self) -> str:
        found = "SURVIVED" if self.counterexample is None else str(self.counterexample)
        return f"{self.mutation.id}: {self.mutation.claim}\n    {found}"


def try_mutation(mutation: Mutation, pool: Sequence[Law] = ()) -> MutationResult:
    """Look for a counterexample in the families of the statement and in a pool of random laws.

    Parameters
    ----------
    mutation : Mutation
        A false variant.
    pool : sequence of Law
        Random laws besides the families of the statement.

    Returns
    -------
    MutationResult
    """
    return MutationResult(mutation, refute(mutation.statement, pool))


def constant_mutants(statement: Statement) -> Iterator[Mutation]:
    """One mutant per constant of a true statement: the constant moved to where the statement claims more.

    Parameters
    ----------
    statement : Statement
        A true one.

    Yields
    ------
    Mutation
        With one constant a tenth too good, or the value listed as wrong for it.
    """
    known = {key: value for room in gather("WRONG") for key, value in room.items()}
    for name, value in statement.constants.items():
        wrong = known.get((statement.name, name), value * (F(11, 10) if _is_left(statement, name) else F(9, 10)))
        changed = statement.with_constants(**{name: wrong})
        text = f"{statement.claim}, with {name} = {wrong} for {value}"
        yield Mutation(f"K: {statement.name} {name} = {wrong}", statement.theorem, text, changed)


def _is_left(statement: Statement, name: str) -> bool:
    """Whether the claim grows with the constant: it multiplies a term of the smaller side, and is not subtracted."""
    left = re.split(r"<=", statement.claim.split(": ")[-1] if ": " in statement.claim else statement.claim)[0]
    if statement.relation == "=":
        return False
    return bool(re.search(rf"(?<!- )\b{name}\b", left)) and not re.search(rf"- {name} (\(|H2|ln)", left)


def _assumption_mutants() -> Iterator[Mutation]:
    """One per assumption whose loss is known to break a statement."""
    for theorem, part, need, families in (row for room in gather("NECESSARY") for row in room):
        (statement,) = (s for s in statements_of(theorem) if s.part == part)
        # A distance must still be defined, or there would be nothing to compare.
        rest = tuple("distances" if n == need and n in _OF_DISTANCES else n for n in statement.needs)
        changed = statement.but(needs=tuple(n for n in rest if n != need), families=(*families, *statement.families))
        yield Mutation(
            f"A: {statement.name} without {need!r}", theorem, f"{statement.claim}, without {need!r}", changed
        )


_OF_DISTANCES = ("distances up to one", "range")


def all_mutations() -> tuple[Mutation, ...]:
    """Collect the mutants of all rooms.

    Returns
    -------
    tuple of Mutation
        Terms in the order of their numbers, then assumptions, then constants.
    """
    terms = [Mutation(*row) for room in gather("MUTANTS") for row in room]
    terms.sort(key=lambda m: [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", m.id)])
    constants = [m for s in all_statements() if s.true for m in constant_mutants(s)]
    return (*terms, *_assumption_mutants(), *constants)
