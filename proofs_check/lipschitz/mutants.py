"""Theorem 1 and the trivial caps: false variants, all of which the checks must refute."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from proofs_check.exact.enclosure import Real, greatest, sqrt
from proofs_check.exact.law import Law
from proofs_check.lipschitz.statements import STATEMENTS, lipschitz_sum
from proofs_check.statements.base import Constants, Statement

__all__ = ["MUTANTS", "NECESSARY", "WRONG"]

F = Fraction
_FORWARD, _BACKWARD = "previous - next - task", "next - previous - task"
_s = {s.name: s for s in STATEMENTS}.__getitem__


def _cosine_not_unit(name: str) -> Statement:
    """A statement about unit vectors, with vectors of any length."""
    statement = _s(name)
    needs = tuple("cosine" if n == "unit norm" else n for n in statement.needs)
    return statement.but(needs=needs, families=("two lengths", "stretched"))


def _one_constant(law: Law, squared: Real) -> Real:
    return 4 * squared * law.mean_distance


def _swapped(law: Law, c: Constants) -> Real:
    return (sqrt(law.alpha_squared) * sqrt(law.residual_prev) + sqrt(law.beta_squared) * sqrt(law.residual_next)) ** 2


def _correlated(law: Law, c: Constants) -> Real:
    """(1 - r^2)(alpha^2 + beta^2 + 2 alpha beta |r|), r = 1 - e."""
    r = 1 - law.mean_distance
    cross = sqrt(law.alpha_squared) * sqrt(law.beta_squared) * greatest(r, -r)
    return (1 - r**2) * (law.alpha_squared + law.beta_squared + 2 * cross)


def _mutants() -> Iterator[tuple[str, str, str, Statement]]:
    minkowski = _s("lipschitz.minkowski_upper")
    yield (
        "M8a",
        "lipschitz.minkowski_upper",
        "F <= (alpha^2 + beta^2) E|X-Y|^2",
        minkowski.but(right=lambda law, c: (law.alpha_squared + law.beta_squared) * law.squared_distance),
    )
    yield (
        "M8b",
        "lipschitz.minkowski_upper",
        "F <= 2 max(alpha, beta)^2 E|X-Y|^2",
        minkowski.but(right=lambda law, c: 2 * greatest(law.alpha_squared, law.beta_squared) * law.squared_distance),
    )
    yield (
        "M8c",
        "lipschitz.unit_norm_upper",
        "F <= (alpha + beta)^2 E rho",
        _s("lipschitz.unit_norm_upper").but(right=lambda law, c: lipschitz_sum(law) * law.mean_distance),
    )
    printed = _s("lipschitz.printed_upper")
    yield (
        "M9a",
        "lipschitz.printed_upper",
        "F <= 4 alpha^2 E rho, beta dropped",
        printed.but(right=lambda law, c: _one_constant(law, law.alpha_squared)),
    )
    yield (
        "M9b",
        "lipschitz.printed_upper",
        "F <= 4 beta^2 E rho, alpha dropped",
        printed.but(right=lambda law, c: _one_constant(law, law.beta_squared)),
    )
    yield "M10", "lipschitz.printed_upper", "without unit norm", _cosine_not_unit("lipschitz.printed_upper")
    yield "M11a", "lipschitz.printed_upper", "Theorem 1 with < for <=", _s("lipschitz.printed_upper [printed, strict]")
    yield "M12", "lipschitz.residual_upper", "residuals swapped", _s("lipschitz.residual_upper").but(right=_swapped)
    yield (
        "M32",
        "lipschitz.unit_norm_upper",
        "F <= (1-r^2)(alpha^2 + beta^2 + 2 alpha beta |r|), r = 1 - e",
        _s("lipschitz.unit_norm_upper").but(right=_correlated, families=("flip at right angles",)),
    )


MUTANTS = tuple(_mutants())
# Where 9/10 of the constant (11/10 on the left side) is not yet false, or a plainer wrong value is the likely mistake.
WRONG: dict[tuple[str, str], Real] = {
    ("lipschitz.printed_upper", "a"): F(2),
    ("lipschitz.truncated_upper", "d"): F(1, 5),
}
# Theorem, part, an assumption that it needs, and families that break it without.
NECESSARY = (
    ("lipschitz.chain_upper", _FORWARD, _FORWARD, ("chain of signs, task reads previous", "constant next")),
    ("lipschitz.chain_upper", _BACKWARD, _BACKWARD, ("chain of signs, task reads next", "fresh bit")),
)
