"""Exact values of a known finite law as certificates, so that what is derived of them can be rechecked."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy.typing as npt

from redundancy.bounds._inputs import PROBABILITY, rounding_slack
from redundancy.certificates.certificate import Assumption, Bound, bound
from redundancy.checks import check_joint
from redundancy.distances import check_distances
from redundancy.errors import InvalidInputError
from redundancy.info.entropy import conditional_entropy, conditional_mutual_information
from redundancy.info.joint import Array
from redundancy.interval import Interval, outward, round_up
from redundancy.notions.functional import functional_gap_of_law, task_variance_of_law
from redundancy.notions.geometric import mean_distance_of_law
from redundancy.notions.proximal import tail_prob_closed_of_law, tail_prob_of_law

__all__ = [
    "backward_entropy_of_law",
    "forward_entropy_of_law",
    "gap_of_law",
    "information_of_law",
    "law_distance",
    "law_mismatch",
    "law_tail",
    "law_tail_closed",
]

_KNOWN = Assumption("known_law", "the joint law is the one given")


def _exact(quantity: str, value: float, trivial: Interval, slack: float, base: float | None = None) -> Bound:
    interval = outward(value, value, slack=slack)
    clipped = Interval(
        min(max(interval.lower, trivial.lower), trivial.upper), max(min(interval.upper, trivial.upper), trivial.lower)
    )
    return Bound(quantity=quantity, interval=clipped, trivial=trivial, base=base, assumptions=(_KNOWN,))


def _slack(table: Array, scale: float = 1.0) -> float:
    return rounding_slack(scale * math.sqrt(table.size))


@bound(
    title="E rho of a known law",
    statement="E rho = sum P(x,y) rho(x,y)",
    deviation="The exact value, rounded outward, of a joint law that is declared known.",
)
def law_distance(*, joint: npt.ArrayLike, distances: npt.ArrayLike) -> Bound:
    """E[rho(X, Y)] of a finite joint with axes (x_next, x_prev) and a symmetric distance table."""
    table, largest = check_joint(joint, ndim=2), float(check_distances(distances).max())
    value = mean_distance_of_law(table, distances)
    return _exact("mean_distance", value, Interval(0.0, max(largest, 2.0)), _slack(table, largest))


@bound(
    title="P[rho > t] of a known law",
    statement="P_t = sum of P(x,y) over rho(x,y) > t",
    deviation="The exact value, rounded outward, of a joint law that is declared known.",
)
def law_tail(*, joint: npt.ArrayLike, distances: npt.ArrayLike, t: float) -> Bound:
    """P(rho > t), strict, of a finite joint."""
    return _tail("tail_prob", tail_prob_of_law, joint, distances, t)


@bound(
    title="P[rho >= t] of a known law",
    statement="sum of P(x,y) over rho(x,y) >= t",
    deviation="The exact value, rounded outward, of a joint law that is declared known.",
)
def law_tail_closed(*, joint: npt.ArrayLike, distances: npt.ArrayLike, t: float) -> Bound:
    """P(rho >= t) of a finite joint."""
    return _tail("tail_prob_closed", tail_prob_closed_of_law, joint, distances, t)


def _tail(
    quantity: str,
    function: Callable[[npt.ArrayLike, npt.ArrayLike, float], float],
    joint: npt.ArrayLike,
    distances: npt.ArrayLike,
    t: float,
) -> Bound:
    table = check_joint(joint, ndim=2)
    value = function(table, distances, t)
    # A tail without any mass is exactly 0, and one with all of it exactly 1.
    return _exact(quantity, value, PROBABILITY, 0.0 if value == 0.0 else _slack(table))


@bound(
    title="P[X != Y] of a known law",
    statement="sum of P(x,y) over x != y, one alphabet",
    deviation="The exact value, rounded outward, of a joint law that is declared known.",
)
def law_mismatch(*, joint: npt.ArrayLike) -> Bound:
    """P(X != Y) of a finite joint on one alphabet."""
    table = check_joint(joint, ndim=2)
    if table.shape[0] != table.shape[1]:
        raise InvalidInputError(f"need one alphabet for both layers, got shape {table.shape}")
    value = math.fsum(table[i, j] for i in range(len(table)) for j in range(len(table)) if i != j)
    return _exact("mismatch_prob", value, PROBABILITY, 0.0 if value == 0.0 else _slack(table))


@bound(
    title="H(next|prev) of a known law",
    statement="H(X,Y) - H(Y)",
    deviation="The exact value, rounded outward, of a joint law that is declared known.",
)
def forward_entropy_of_law(*, joint: npt.ArrayLike, base: float = 2.0) -> Bound:
    """H(x_next | x_prev) of a finite joint."""
    return _entropy("conditional_entropy", check_joint(joint, ndim=2), base)


@bound(
    title="H(prev|next) of a known law",
    statement="H(X,Y) - H(X), the information lost",
    deviation="The exact value, rounded outward, of a joint law that is declared known.",
)
def backward_entropy_of_law(*, joint: npt.ArrayLike, base: float = 2.0) -> Bound:
    """H(x_prev | x_next) of a finite joint: the information lost."""
    return _entropy("backward_entropy", check_joint(joint, ndim=2).T, base)


def _entropy(quantity: str, table: Array, base: float) -> Bound:
    value = float(conditional_entropy(table, base=base))
    cap = round_up(math.log(len(table)) / math.log(base))
    return _exact(quantity, value, Interval(0.0, cap), _slack(table, 1.0 + cap), base)


@bound(
    title="I(Z;next|prev) of a known law",
    statement="I(Z;X|Y) = H(Z,Y) + H(X,Y) - H(X,Y,Z) - H(Y)",
    deviation="The exact value, rounded outward, of a joint law that is declared known.",
)
def information_of_law(*, joint: npt.ArrayLike, base: float = 2.0) -> Bound:
    """I(Z; x_next | x_prev) of a finite joint with axes (x_next, x_prev, z)."""
    table = check_joint(joint, ndim=3)
    value = float(conditional_mutual_information(table.transpose(0, 2, 1), base=base))
    cap = round_up(math.log(min(table.shape[0], table.shape[2])) / math.log(base))
    return _exact("information_next", value, Interval(0.0, cap), _slack(table, 1.0 + cap), base)


@bound(
    title="F of a known law",
    statement="F = sum P(x,y) |E[Z|x] - E[Z|y]|^2",
    deviation="The exact value, rounded outward, of a joint law that is declared known.",
)
def gap_of_law(*, joint: npt.ArrayLike, task_values: npt.ArrayLike) -> Bound:
    """F = E|E[Z|x_next] - E[Z|x_prev]|^2 of a finite joint with axes (x_next, x_prev, z)."""
    table = check_joint(joint, ndim=3)
    variance = task_variance_of_law(table, task_values)
    slack = _slack(table, 1.0 + variance)
    value = functional_gap_of_law(table, task_values)
    return _exact("functional_gap", value, Interval(0.0, round_up(variance, slack=slack)), slack)
