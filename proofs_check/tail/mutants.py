"""Proposition 1 and the two tails: false variants, all of which the checks must refute."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from proofs_check.statements.base import Statement
from proofs_check.tail.statements import STATEMENTS

__all__ = ["MUTANTS", "NECESSARY"]

F = Fraction
_s = {s.name: s for s in STATEMENTS}.__getitem__


def _prop1(needs: tuple[str, ...], family: str) -> Statement:
    return _s("tail.printed_upper [printed, on cosine distance]").but(needs=needs, families=(family,))


def _mutants() -> Iterator[tuple[str, str, str, Statement]]:
    yield (
        "M5",
        "tail.printed_upper",
        "Proposition 1 as printed on cosine distance, range [0, 2]",
        _s("tail.printed_upper [printed, on cosine distance]"),
    )
    yield (
        "M6",
        "tail.printed_upper",
        "P[rho > t] < eps/(1-t) gives E rho < eps",
        _prop1(("distances up to one", "weak tail premise"), "half and one"),
    )
    yield (
        "M7",
        "tail.printed_upper",
        "Proposition 1 with t > 1",
        _prop1(("distances up to one", "tail premise, any t"), "surely one"),
    )
    # ---- not in the specification: other slips that the same formulas invite
    yield (
        "M33",
        "tail.strict_tail_upper",
        "P[rho >= t] <= P[rho > t]",
        _s("tail.strict_tail_upper").but(
            left=lambda law, c: law.closed_tail(law.t), right=lambda law, c: law.tail(law.t)
        ),
    )


MUTANTS = tuple(_mutants())
# Theorem, part, an assumption that it needs, and families that break it without.
NECESSARY = (
    ("tail.printed_upper", "repaired", "distances up to one", ("cosine beyond one",)),
    ("tail.sandwich_upper", "", "range", ("rho beyond its range",)),
)
