"""Theorem 4: lower bounds on I(x_next; x_prev) from how much closer the layers are than independent ones.

Data processing from the pair to its distance gives
``I >= KL(law of rho, joint || law of rho, product) >= d(1 - P_t || q_t) >= printed``, with ``q_t`` the
probability that *independent* copies are within t. No finiteness, no ``p_min + p_max < 1``, and continuous
states are allowed. A large I does not make the next layer redundant: it may carry much more besides.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from redundancy.bounds._inputs import binary_terms, probability, rounding_slack
from redundancy.certificates.certificate import Assumption, Bound, Evidence, as_interval, bound
from redundancy.checks import check_count, check_joint
from redundancy.distances import check_distances
from redundancy.errors import InvalidInputError
from redundancy.info.joint import Array
from redundancy.interval import Interval, round_down, round_up
from redundancy.units import check_base

__all__ = [
    "best_radius_lower",
    "binary_lower",
    "distance_laws",
    "law_lower",
    "printed_lower",
    "variational_lower",
]

_WIDTH = Interval(-math.inf, math.inf)


@bound(
    title="Theorem 4 as printed",
    status="repaired",
    printed="p_min + p_max < 1: I >= (1-P_t) log(1/p_max) - P_t log(1-p_min) - H2(P_t)",
    statement="I >= max(0, (1-P_t) log(1/p_max) - P_t log(1-p_min) - H2(P_t)); "
    "p are probabilities of closed balls under x_prev.",
    deviation="p_min + p_max < 1 serves only to invert the bound and excludes useful cases; the printed event "
    "(X_prev, x) in B(t, x) has to read X_prev in B(t, x).",
    counterexample="Ball counts for probabilities: constant layer on 3 symbols, ln 3 > I = 0.",
    uses=("braun_pokutta.binary_lower",),
)
def printed_lower(
    *,
    tail_prob: Evidence,
    ball_prob_min: Evidence,
    ball_prob_max: Evidence,
    support_size: int | None = None,
    base: float = 2.0,
) -> Bound:
    """Theorem 4 as printed, and never below 0: I >= (1-P) log(1/p_max) - P log(1 - p_min) - H2(P).

    The printed condition ``p_min + p_max < 1`` is not needed for the inequality and is not asked for.

    Parameters
    ----------
    tail_prob : Evidence
        P(rho > t); an interval is filled with its worst point (the bound is convex in P).
    ball_prob_min, ball_prob_max : Evidence
        Smallest and largest P(x_prev in closed ball of radius t around x) over the symbols x. Probabilities
        under the law of x_prev, *not* ball counts divided by K.
    support_size : int, optional
        K; only to name the trivial range [0, log K].
    base : float, default=2

    Returns
    -------
    BoundCertificate
        On ``mutual_information``, in units of `base`.

    Raises
    ------
    InvalidInputError
        If ``p_max = 0``, ``p_min > p_max``, or ``p_min = 1`` with P certainly positive.

    References
    ----------
    Theorem 4 of arXiv:2509.25584; Braun and Pokutta, arXiv:1504.05492.

    Examples
    --------
    diag(3/5, 2/5) at t = 0, a case that the printed condition excludes:

    >>> import math
    >>> bound = printed_lower(tail_prob=0.0, ball_prob_min=0.4, ball_prob_max=0.6, base=math.e)
    >>> round(bound.interval.lower, 6)
    0.510826
    """
    tail = probability(tail_prob, "tail_prob")
    smallest, largest = (
        probability(ball_prob_min, "ball_prob_min").lower,
        probability(ball_prob_max, "ball_prob_max").upper,
    )
    if largest == 0.0 or smallest > largest:
        raise InvalidInputError(
            f"need 0 < ball_prob_max and ball_prob_min <= ball_prob_max, got {ball_prob_min} and {ball_prob_max}"
        )
    if smallest == 1.0:
        if tail.lower > 0.0:
            raise InvalidInputError(f"need tail_prob = 0 possible when every ball has probability 1, got {tail}")
        return _information_bound(0.0, 0.0, support_size, base)
    near, far = -math.log(largest), -math.log1p(-smallest)
    p = min(max(_logistic(near - far), tail.lower), tail.upper)
    terms = [(1.0 - p) * near, p * far, *(-term for term in binary_terms(p))]
    return _information_bound(math.fsum(terms), rounding_slack(*terms), support_size, base)


@bound(
    title="Theorem 4, binary divergence",
    status="sharpened",
    statement="I >= d(1-P_t || q_t), q_t = P[rho(X',Y') <= t] of independent copies; any states.",
    deviation="Data processing; never below the printed form.",
    uses=("braun_pokutta.law_lower",),
)
def binary_lower(
    *, tail_prob: Evidence, ball_prob: Evidence, support_size: int | None = None, base: float = 2.0
) -> Bound:
    """I >= d(1 - P_t || q_t), the divergence of two coins; never below the printed form.

    Parameters
    ----------
    tail_prob : Evidence
        P(rho(X, Y) > t).
    ball_prob : Evidence
        q_t = P(rho(X', Y') <= t) for *independent* X', Y' with the same marginals. In a sample: pair one
        image's token with a token of another image.
    support_size : int, optional
        K, for finite codes; only to name the trivial range.
    base : float, default=2

    Notes
    -----
    Of intervals the worst corner is taken; 0 if "close" may be as likely under independence.
    """
    tail, ball = probability(tail_prob, "tail_prob"), probability(ball_prob, "ball_prob")
    value, slack = _binary_divergence_corner(tail, ball)
    return _information_bound(value, slack, support_size, base)


@bound(
    title="Theorem 4, law of the distance",
    status="sharpened",
    statement="I >= KL(law of rho, joint || law of rho, product)",
    deviation="Keeps the whole law of the distance instead of one threshold.",
)
def law_lower(
    *, joint_law: npt.ArrayLike, product_law: npt.ArrayLike, support_size: int | None = None, base: float = 2.0
) -> Bound:
    """I >= KL of the whole law of the distance, joint against independent; refines every single radius.

    Parameters
    ----------
    joint_law, product_law : array_like of shape (m,)
        Masses of rho in the same bins, for the joint and for independent copies; exact laws (an empirical
        law in their place gives an estimate, not a bound).
    support_size : int, optional
    base : float, default=2

    Raises
    ------
    InvalidInputError
        If an input is outside its range; the message names it.
    """
    first, second = check_joint(joint_law, "joint_law", ndim=1), check_joint(product_law, "product_law", ndim=1)
    if first.shape != second.shape:
        raise InvalidInputError(f"need both laws in the same bins, got {first.shape} and {second.shape}")
    positive = first > 0.0
    if (second[positive] == 0.0).any():
        return _information_bound(math.inf, 0.0, support_size, base)
    terms = first[positive] * np.log(first[positive] / second[positive])
    return _information_bound(math.fsum(terms), rounding_slack(*terms, 1.0, len(terms)), support_size, base)


@bound(
    title="Theorem 4, variational",
    status="sharpened",
    statement="I >= E phi(rho) - ln E' exp phi(rho) for every fixed phi.",
    deviation="Donsker and Varadhan; phi fixed on other data makes it certifiable.",
    uses=("braun_pokutta.law_lower",),
)
def variational_lower(
    *, mean_score: Evidence, mean_exp_score: Evidence, support_size: int | None = None, base: float = 2.0
) -> Bound:
    """I >= E[phi(rho)] - ln E'[exp phi(rho)] for any fixed score phi (Donsker-Varadhan).

    Parameters
    ----------
    mean_score : Evidence
        E[phi(rho)] under the joint law; phi is natural-log scaled and fixed on other data.
    mean_exp_score : Evidence
        E'[exp phi(rho)] under independence.
    support_size : int, optional
    base : float, default=2

    Raises
    ------
    InvalidInputError
        If an input is outside its range; the message names it.
    """
    score = as_interval(mean_score, name="mean_score", within=_WIDTH).lower
    partition = as_interval(mean_exp_score, name="mean_exp_score", within=Interval(0.0, math.inf)).upper
    if partition == 0.0:
        raise InvalidInputError("need mean_exp_score > 0, got 0")
    value = score - math.log(partition) if math.isfinite(partition) else 0.0
    return _information_bound(value, rounding_slack(score, math.log(partition)), support_size, base)


@bound(
    title="Theorem 4, best radius",
    status="sharpened",
    statement="The maximum of the binary form over t, for a known law.",
    deviation="On a sample the choice of t has to be paid for.",
    uses=("braun_pokutta.binary_lower",),
)
def best_radius_lower(*, joint: npt.ArrayLike, distances: npt.ArrayLike, base: float = 2.0) -> Bound:
    """The largest `binary_lower` over all radii of a *known* finite joint with axes (x_next, x_prev).

    On a sample choose t on other data, or intersect simultaneous certificates.

    Parameters
    ----------
    joint : array_like of shape (k, k)
        Law of the pair, axes (x_next, x_prev).
    distances : array_like of shape (k, k)
        Symmetric distances between the symbols of the alphabet, at least 0.
    base : float, default=2.0
        Unit of information: 2 for bits, ``math.e`` for nats.
    """
    levels, first, second = distance_laws(joint, distances)
    best = (0.0, 0.0)
    for i in range(len(levels)):
        tail, ball = _rounded(math.fsum(first[i + 1 :])), _rounded(math.fsum(second[: i + 1]))
        best = max(best, _binary_divergence_corner(tail, ball))
    return _information_bound(*best, len(check_joint(joint, ndim=2)), base)


def distance_laws(joint: npt.ArrayLike, distances: npt.ArrayLike) -> tuple[Array, Array, Array]:
    """Distinct distances, their masses under the joint, and under independent copies of the marginals.

    Parameters
    ----------
    joint : array_like of shape (k, k)
        Law of the pair, axes (x_next, x_prev).
    distances : array_like of shape (k, k)
        Symmetric distances between the symbols of the alphabet, at least 0.

    Returns
    -------
    tuple of three ndarrays of shape (n_distances,)
        Distances in ascending order, their masses under the joint, and under independent marginals.

    Raises
    ------
    InvalidInputError
        If the tables do not fit each other.
    """
    table, rho = check_joint(joint, ndim=2), check_distances(distances)
    if table.shape != rho.shape:
        raise InvalidInputError(f"need joint and distances of one shape (K, K), got {table.shape} and {rho.shape}")
    levels, index = np.unique(rho, return_inverse=True)
    product = np.outer(table.sum(axis=1), table.sum(axis=0))
    laws = np.zeros((2, len(levels)))
    for law, masses in zip(laws, (table, product), strict=True):
        np.add.at(law, index.ravel(), masses.ravel())
    return levels, laws[0], laws[1]


def _binary_divergence_corner(tail: Interval, ball: Interval) -> tuple[float, float]:
    """Smallest d(1 - P || q) over P in `tail`, q in `ball`, with its rounding slack."""
    if 1.0 - tail.upper > ball.upper:
        p, q = tail.upper, ball.upper
    elif 1.0 - tail.lower < ball.lower:
        p, q = tail.lower, ball.lower
    else:
        return 0.0, 0.0
    # Here q < 1 - p or q > 1 - p, so q = 0 only with p < 1 and q = 1 only with p > 0.
    if q in (0.0, 1.0):
        return math.inf, 0.0
    terms = [-binary_terms(p)[0], -binary_terms(p)[1], -(1.0 - p) * math.log(q), -p * math.log1p(-q)]
    return max(0.0, math.fsum(terms)), rounding_slack(*terms)


def _rounded(p: float) -> Interval:
    """A sum of computed masses with its relative rounding error; the divergence is steep near 0 and 1."""
    return Interval(min(1.0, p * (1.0 - 1e-15)), min(1.0, p * (1.0 + 1e-15)))


def _logistic(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-x)) if x > -700.0 else 0.0


def _information_bound(value: float, slack: float, size: int | None, base: float) -> Bound:
    base = check_base(base)
    unit = 1.0 if base == math.e else math.log(base)
    cap = math.inf if size is None else round_up(math.log(check_count(size, "support_size", lower=1)) / unit)
    lower = max(0.0, round_down((value - slack) / unit)) if value > slack else 0.0
    if lower > cap:
        raise InvalidInputError(
            f"need inputs that agree, got a lower bound {lower:.6g} above log support_size = {cap:.6g}"
        )
    return Bound(
        quantity="mutual_information",
        interval=Interval(lower, cap),
        trivial=Interval(0.0, cap),
        base=base,
        assumptions=()
        if size is None
        else (Assumption("finite_support", "both layers are coded in one finite alphabet of the size given"),),
    )
