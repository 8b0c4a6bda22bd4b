"""Lemmas 1 to 5, as checkable statements."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from proofs_check.exact.enclosure import Real, log, sqrt, total
from proofs_check.exact.law import Law
from proofs_check.exact.points import Point, inner, minus, square
from proofs_check.shannon.claims import ShannonClaim
from proofs_check.statements.base import Statement

__all__ = ["ENTROPIC", "STATEMENTS"]


_ONE, _TWO, _THREE = Fraction(1), Fraction(2), Fraction(3)


def _triples(law: Law, function: Callable[[Point, Point, Point], Real]) -> Real:
    """E function(x, y, z) of the positions."""
    return total(p * function(law.x[i], law.y[j], law.z[k]) for (i, j, k), p in law.masses.items())


def _apart(a: Point, b: Point) -> Real:
    return square(minus(a, b))


def _sum_of_three(x: Point, y: Point, z: Point) -> Real:
    return square(tuple(a + b + c for a, b, c in zip(x, y, z, strict=True)))


def _roots(*squares: Real) -> Real:
    return total(sqrt(s) for s in squares) ** 2


def _divergence(law: Law) -> Real:
    """E D(p(Z|X) || p(Z|Y)); infinite where Y excludes what X allows."""
    by_next, by_prev = law.marginal("xz"), law.marginal("yz")
    result: Real = Fraction(0)
    for (i, j), p in law.pair.items():
        for (other, k), mass in by_next.items():
            if other == i:
                q = by_prev.get((j, k), 0) / law.prev_law[j]
                given = mass / law.next_law[i]
                result = result + p * given * (log(given / q) if q else float("inf"))
    return result


def _norm_difference(x: Point, y: Point) -> Real:
    return (sqrt(square(x)) - sqrt(square(y))) ** 2


_SPACE = ("one space with task",)


STATEMENTS: tuple[Statement, ...] = (
    Statement(
        theorem="lemmas.squared_triangle_upper",
        claim="E|X-Y|^2 <= a (E|X-Z|^2 + E|Z-Y|^2)",
        left=lambda law, c: _triples(law, lambda x, y, z: _apart(x, y)),
        right=lambda law, c: c["a"] * _triples(law, lambda x, y, z: _apart(x, z) + _apart(z, y)),
        needs=_SPACE,
        constants={"a": _TWO},
        families=("three points",),
    ),
    Statement(
        theorem="lemmas.squared_triangle_minkowski",
        claim="E|X-Y|^2 <= a E(|X-Z| + |Z-Y|)^2",
        left=lambda law, c: _triples(law, lambda x, y, z: _apart(x, y)),
        right=lambda law, c: c["a"] * _triples(law, lambda x, y, z: _roots(_apart(x, z), _apart(z, y))),
        needs=_SPACE,
        constants={"a": _ONE},
        families=("three points",),
    ),
    Statement(
        theorem="lemmas.squared_distance_of_cosine",
        claim="E|X-Y|^2 = a E rho",
        left=lambda law, c: law.squared_distance,
        right=lambda law, c: c["a"] * law.mean_distance,
        needs=("unit norm", "one space"),
        constants={"a": _TWO},
        relation="=",
        families=("axes", "sign", "flip"),
    ),
    Statement(
        theorem="lemmas.squared_distance_of_norms",
        claim="E|X-Y|^2 = b E(|X|-|Y|)^2 + a E[|X||Y| rho]",
        left=lambda law, c: law.squared_distance,
        right=lambda law, c: law.mean(
            lambda i, j: (
                c["b"] * _norm_difference(law.x[i], law.y[j])
                + c["a"] * (sqrt(square(law.x[i]) * square(law.y[j])) - inner(law.x[i], law.y[j]))
            )
        ),
        needs=("cosine", "one space"),
        constants={"a": _TWO, "b": _ONE},
        relation="=",
        families=("axes", "two lengths", "flip"),
    ),
    Statement(
        theorem="lemmas.squared_sum_upper",
        claim="E|X+Y+Z|^2 <= a E(|X|^2 + |Y|^2 + |Z|^2)",
        left=lambda law, c: _triples(law, _sum_of_three),
        right=lambda law, c: c["a"] * _triples(law, lambda x, y, z: square(x) + square(y) + square(z)),
        needs=_SPACE,
        constants={"a": _THREE},
        families=("one point",),
    ),
    Statement(
        theorem="lemmas.sum_minkowski",
        claim="E|X+Y+Z|^2 <= a E(|X| + |Y| + |Z|)^2",
        left=lambda law, c: _triples(law, _sum_of_three),
        right=lambda law, c: c["a"] * _triples(law, lambda x, y, z: _roots(square(x), square(y), square(z))),
        needs=_SPACE,
        constants={"a": _ONE},
        families=("one point",),
    ),
    Statement(
        theorem="lemmas.divergence_information",
        claim="E D(p(Z|X) || p(Z|Y)) = a I(Z;X|Y)",
        left=lambda law, c: _divergence(law),
        right=lambda law, c: c["a"] * law.information_next,
        needs=("previous - next - task",),
        constants={"a": _ONE},
        relation="=",
        families=("noisy reading of next", "noisy reading of previous"),
    ),
    Statement(
        theorem="lemmas.self_unique_information",
        claim="Uni(X : X \\ Y) = I(X;X|Y) = a H(X|Y)",
        left=lambda law, c: law.information_next,
        right=lambda law, c: c["a"] * law.forward_entropy,
        needs=("z is x",),
        constants={"a": _ONE},
        relation="=",
        families=("copied bit", "fresh bit"),
    ),
)

# What is linear in entropies, for the prover.
_AHEAD = "Y -> X -> Z"
_DEFINITION_5 = ("UniX + UniY + Red + Syn = H(X)", "UniX + Red = H(X)", "UniY + Red = I(X;Y)")
_ATOMS = ("UniX", "UniY", "Red", "Syn")
ENTROPIC: dict[str, tuple[ShannonClaim, ...]] = {
    "lemmas.divergence_information": (ShannonClaim("I(Z;X|Y) = I(Z;X) - I(Z;Y)", (_AHEAD,)),),
    "lemmas.self_unique_information": (
        ShannonClaim("UniX = H(X|Y)", _DEFINITION_5, _ATOMS, whole=True),
        ShannonClaim("Syn = 0", _DEFINITION_5, _ATOMS),
    ),
}
