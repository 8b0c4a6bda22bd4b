"""Bounds from a sample: false variants, all of which the checks must refute."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from proofs_check.concentration.statements import STATEMENTS, betting
from proofs_check.exact.enclosure import Real
from proofs_check.statements.base import Statement

__all__ = ["MUTANTS", "WRONG"]

F = Fraction
_s = {s.name: s for s in STATEMENTS}.__getitem__


def _with_foresight(statement: Statement, upper: bool) -> Statement:
    return statement.but(left=lambda law, c: betting(law, c, upper=upper, foresight=True), families=("eight coins",))


def _mutants() -> Iterator[tuple[str, str, str, Statement]]:
    yield (
        "M31a",
        "claim.token_intervals",
        "intervals over tokens cover",
        _s("claim.token_intervals [coverage]"),
    )
    yield (
        "M31b",
        "claim.token_intervals",
        "shuffling within an image gives independent pairs",
        _s("claim.token_intervals [shuffle]"),
    )
    for side in ("upper", "lower"):
        statement = _s(f"concentration.betting_{side}")
        yield (
            f"M35{side[0]}",
            statement.theorem,
            "the bet depends on the value it is placed on",
            _with_foresight(statement, side == "upper"),
        )


MUTANTS = tuple(_mutants())
# Where 9/10 of the constant (11/10 on the left side) is not yet false, or a plainer wrong value is the likely mistake.
WRONG: dict[tuple[str, str], Real] = {
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
