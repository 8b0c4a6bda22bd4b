"""Proposition 1 and the two tails, as checkable statements."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

from proofs_check.exact.enclosure import Real, total
from proofs_check.exact.law import Law
from proofs_check.statements.base import Constants, Statement

__all__ = ["STATEMENTS", "grid_sum"]


_ONE, _TWO, _THREE = Fraction(1), Fraction(2), Fraction(3)


def grid_sum(law: Law, upper: bool, c: Constants) -> Real:
    """Sum over the grid of step times tail: the strict tail at its left end, or the closed tail at its right end."""
    steps = pairwise(law.extra["grid"])
    return c["a"] * total((b - a) * (law.tail(a) if upper else law.closed_tail(b)) for a, b in steps)


STATEMENTS: tuple[Statement, ...] = (
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
