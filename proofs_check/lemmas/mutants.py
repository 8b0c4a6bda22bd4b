"""Lemmas 1 to 5: false variants, all of which the checks must refute."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from proofs_check.lemmas.statements import STATEMENTS
from proofs_check.statements.base import Statement

__all__ = ["MUTANTS", "NECESSARY"]

F = Fraction
_PRINTED = "previous - next - task"
_s = {s.name: s for s in STATEMENTS}.__getitem__


def _cosine_not_unit(name: str) -> Statement:
    """A statement about unit vectors, with vectors of any length."""
    statement = _s(name)
    needs = tuple("cosine" if n == "unit norm" else n for n in statement.needs)
    return statement.but(needs=needs, families=("two lengths", "stretched"))


def _mutants() -> Iterator[tuple[str, str, str, Statement]]:
    yield (
        "M1",
        "lemmas.squared_triangle_upper",
        "constant 1.9 for 2",
        _s("lemmas.squared_triangle_upper").with_constants(a=F(19, 10)),
    )
    yield (
        "M2a",
        "lemmas.squared_distance_of_cosine",
        "E|X-Y|^2 = E rho",
        _s("lemmas.squared_distance_of_cosine").with_constants(a=F(1)),
    )
    yield (
        "M2b",
        "lemmas.squared_distance_of_cosine",
        "E|X-Y|^2 = 2 E rho without unit norm",
        _cosine_not_unit("lemmas.squared_distance_of_cosine"),
    )
    yield "M3", "lemmas.squared_sum_upper", "constant 2 for 3", _s("lemmas.squared_sum_upper").with_constants(a=F(2))
    yield (
        "M4",
        "lemmas.divergence_information",
        "without the Markov chain",
        _s("lemmas.divergence_information").without(_PRINTED),
    )
    yield (
        "M25",
        "lemmas.self_unique_information",
        "Uni(X : X \\ Y) = H(X)",
        _s("lemmas.self_unique_information").but(right=lambda law, c: law.entropy("x"), relation="="),
    )


MUTANTS = tuple(_mutants())
# Theorem, part, an assumption that it needs, and families that break it without.
NECESSARY = (("lemmas.self_unique_information", "", "z is x", ("rare fresh bit", "noisy reading of next")),)
