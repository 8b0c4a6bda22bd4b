"""Lemmas 1 to 5, Definition 2 and Proposition 1 as checkable statements."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise

from proofs_check.enclosure import Real, log, sqrt, total
from proofs_check.law import Law
from proofs_check.points import Point, inner, minus, square
from proofs_check.statements.base import Constants, Statement

__all__ = ["LEMMAS"]

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


def _events(law: Law, function: Callable[[bool, bool], bool]) -> Real:
    return law.mean(lambda i, j: int(function(i == 1, j == 1)))


def grid_sum(law: Law, upper: bool, c: Constants) -> Real:
    """Sum over the grid of step times tail: the strict tail at its left end, or the closed tail at its right end."""
    steps = pairwise(law.extra["grid"])
    return c["a"] * total((b - a) * (law.tail(a) if upper else law.closed_tail(b)) for a, b in steps)


_SPACE = ("one space with task",)

LEMMAS: tuple[Statement, ...] = (
    Statement(
        theorem="implications.intersection",
        claim="P[A or B] <= a (P[A] + P[B])",
        left=lambda law, c: _events(law, lambda a, b: a or b),
        right=lambda law, c: c["a"] * (_events(law, lambda a, b: a) + _events(law, lambda a, b: b)),
        constants={"a": _ONE},
        families=("flip", "disjoint events", "independent bits"),
    ),
    Statement(
        theorem="tail.strict_tail_upper",
        claim="P[rho > t] <= a P[rho >= t]",
        left=lambda law, c: law.tail(law.t),
        right=lambda law, c: c["a"] * law.closed_tail(law.t),
        needs=("distances",),
        constants={"a": _ONE},
        families=("beyond t", "two distances", "atom at t"),
    ),
    Statement(
        theorem="tail.closed_tail_lower",
        claim="a P[rho > t] <= P[rho >= t]",
        left=lambda law, c: c["a"] * law.tail(law.t),
        right=lambda law, c: law.closed_tail(law.t),
        needs=("distances",),
        constants={"a": _ONE},
        families=("beyond t", "two distances", "atom at t"),
    ),
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
    Statement(
        theorem="tail.printed_upper",
        part="repaired",
        claim="0 <= rho <= 1: E rho <= t + a (1-t) P[rho > t]",
        left=lambda law, c: law.mean_distance,
        right=lambda law, c: law.t + c["a"] * (1 - law.t) * law.tail(law.t),
        needs=("distances up to one", "radius below one"),
        constants={"a": _ONE},
        families=("two distances up to one", "half and one"),
    ),
    Statement(
        theorem="tail.printed_upper",
        part="printed, on cosine distance",
        claim="0 <= rho <= 2, P[rho > t] < (eps-t)/(1-t): E rho < eps",
        left=lambda law, c: law.mean_distance,
        right=lambda law, c: law.extra["eps"],
        needs=("range", "tail premise"),
        relation="<",
        true=False,
        families=("cosine beyond one",),
    ),
    Statement(
        theorem="tail.sandwich_upper",
        claim="E rho <= b t + a (r-t) P[rho > t]",
        left=lambda law, c: law.mean_distance,
        right=lambda law, c: c["b"] * law.t + c["a"] * (law.largest - law.t) * law.tail(law.t),
        needs=("range",),
        constants={"a": _ONE, "b": _ONE},
        families=("two distances", "atom at t"),
    ),
    Statement(
        theorem="tail.sandwich_lower",
        claim="a t P[rho >= t] <= E rho",
        left=lambda law, c: c["a"] * law.t * law.closed_tail(law.t),
        right=lambda law, c: law.mean_distance,
        needs=("range",),
        constants={"a": _ONE},
        families=("atom at t", "two distances"),
    ),
    Statement(
        theorem="tail.sandwich_grid",
        part="upper",
        claim="E rho <= a sum (t_i+1 - t_i) P[rho > t_i]",
        left=lambda law, c: law.mean_distance,
        right=lambda law, c: grid_sum(law, True, c),
        needs=("grid",),
        constants={"a": _ONE},
        families=("distances on a grid",),
    ),
    Statement(
        theorem="tail.sandwich_grid",
        part="lower",
        claim="a sum (t_i+1 - t_i) P[rho >= t_i+1] <= E rho",
        left=lambda law, c: grid_sum(law, False, c),
        right=lambda law, c: law.mean_distance,
        needs=("grid",),
        constants={"a": _ONE},
        families=("distances on a grid",),
    ),
    Statement(
        theorem="tail.tail_closed_upper",
        claim="a P[rho >= t] <= E rho / t",
        left=lambda law, c: c["a"] * law.closed_tail(law.t),
        right=lambda law, c: law.mean_distance / law.t,
        needs=("positive radius", "range"),
        constants={"a": _ONE},
        families=("atom at t", "two distances"),
    ),
    Statement(
        theorem="tail.tail_lower",
        claim="a (E rho - t)/(r - t) <= P[rho > t]",
        left=lambda law, c: c["a"] * (law.mean_distance - law.t) / (law.largest - law.t),
        right=lambda law, c: law.tail(law.t),
        needs=("range", "radius below range"),
        constants={"a": _ONE},
        families=("two distances",),
    ),
)
