"""Mutants: statements with one constant, term or assumption changed, all false; the checker must refute every one.

`MUTATIONS` holds M1 to M32, changes that a careless reader could make to the theorems, then one per constant of
every true statement ("K:"), and one per assumption whose loss breaks a statement ("A:").
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from proofs_check.enclosure import Real
from proofs_check.law import Law
from proofs_check.mutated_terms import TERM_MUTANTS
from proofs_check.refute import Counterexample, refute
from proofs_check.statements import STATEMENTS, Statement

__all__ = ["MUTATIONS", "Mutation", "MutationResult", "constant_mutants", "try_mutation"]

F = Fraction

# Where 9/10 of the constant (11/10 on the left side) is not yet false, or a plainer wrong value is the likely mistake.
_WRONG: dict[tuple[str, str], Real] = {
    ("lipschitz.printed_upper", "a"): F(2),
    ("plug_in.printed_upper", "a"): F(1),
    ("plug_in.printed_upper", "b"): F(3),
    ("plug_in.printed_upper [with F]", "a"): F(29, 10),
    ("lipschitz.truncated_upper", "d"): F(1, 5),
    ("braun_pokutta.printed_lower", "b"): F(11, 10),
    ("pinsker.printed_upper", "a"): F(36, 25),
    ("mismatch.mismatch_upper_of_diameter [any task]", "a"): F(1),
    ("mismatch.mismatch_upper_of_diameter [kappa]", "a"): F(1),
    ("concentration.empirical_bernstein_upper", "a"): F(0),
    ("concentration.empirical_bernstein_lower", "a"): F(0),
    ("concentration.empirical_bernstein_upper", "b"): F(1, 3),
    ("concentration.empirical_bernstein_lower", "b"): F(1, 3),
    ("concentration.hoeffding_upper", "a"): F(6),
    ("concentration.hoeffding_lower", "a"): F(6),
    ("concentration.clopper_pearson_upper", "a"): F(2),
    ("concentration.clopper_pearson_lower", "a"): F(2),
    ("concentration.betting_upper", "a"): F(1, 2),
    ("concentration.betting_lower", "a"): F(1, 2),
    ("concentration.betting_sequence_upper", "a"): F(1, 2),
    ("concentration.betting_sequence_lower", "a"): F(1, 2),
    ("concentration.finite_population_upper", "a"): F(1, 2),
    ("concentration.finite_population_lower", "a"): F(1, 2),
    ("concentration.dkw_tail", "a"): F(12),
    ("concentration.dkw_band", "a"): F(12),
    ("concentration.dkw_tail", "b"): F(1, 10),
    ("concentration.dkw_band", "b"): F(1, 10),
}


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
    for name, value in statement.constants.items():
        wrong = _WRONG.get((statement.name, name), value * (F(11, 10) if _is_left(statement, name) else F(9, 10)))
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
    for theorem, part, need, families in _NECESSARY:
        (statement,) = (s for s in STATEMENTS if s.theorem == theorem and s.part == part)
        # A distance must still be defined, or there would be nothing to compare.
        rest = tuple("distances" if n == need and n in _OF_DISTANCES else n for n in statement.needs)
        changed = statement.but(needs=tuple(n for n in rest if n != need), families=(*families, *statement.families))
        yield Mutation(
            f"A: {statement.name} without {need!r}", theorem, f"{statement.claim}, without {need!r}", changed
        )


_OF_DISTANCES = ("distances up to one", "range")
_FORWARD, _BACKWARD = "previous - next - task", "next - previous - task"
_CHAINED = (
    "pinsker.chain_information_upper",
    "pinsker.chain_entropy_upper",
    "pinsker.guessing_upper",
    "mismatch.coupling_upper",
)

_NECESSARY: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (
    ("tail.printed_upper", "repaired", "distances up to one", ("cosine beyond one",)),
    ("tail.sandwich_upper", "", "range", ("rho beyond its range",)),
    ("lipschitz.chain_upper", _FORWARD, _FORWARD, ("chain of signs, task reads previous", "constant next")),
    ("lipschitz.chain_upper", _BACKWARD, _BACKWARD, ("chain of signs, task reads next", "fresh bit")),
    ("plug_in.function_upper", "", "next is a function", ("probes off at a flip",)),
    ("pinsker.printed_upper", "", _FORWARD, ("lost bit",)),
    *((theorem, _FORWARD, _FORWARD, ("lost bit",)) for theorem in _CHAINED),
    *((theorem, _BACKWARD, _BACKWARD, ("fresh bit",)) for theorem in _CHAINED),
    ("performance_gap.performance_gap_upper", "unique information", "same pairwise margins", ("unrelated coupling",)),
    ("lemmas.self_unique_information", "", "z is x", ("rare fresh bit", "noisy reading of next")),
)


def _all() -> Iterator[Mutation]:
    for key, theorem, claim, statement in TERM_MUTANTS:
        yield Mutation(key, theorem, claim, statement)
    yield from _assumption_mutants()
    for statement in STATEMENTS:
        if statement.true:
            yield from constant_mutants(statement)


MUTATIONS: tuple[Mutation, ...] = tuple(_all())
