"""Proposition 1: what the tail of the distance says about its mean, and the other way round.

As printed the proposition needs distances in [0, 1]; cosine distance reaches 2. The sandwich
``t P(rho >= t) <= E rho <= t + (r - t) P(rho > t)`` for distances in [0, r] replaces it.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from redundancy.bounds._inputs import PROBABILITY, nonnegative, probability, rounding_slack
from redundancy.certificates.certificate import Assumption, Bound, Evidence, as_interval, bound
from redundancy.checks import as_floats, check_real
from redundancy.errors import InvalidInputError
from redundancy.interval import Interval, outward, round_down, round_up

__all__ = [
    "closed_tail_lower",
    "printed_upper",
    "sandwich_consistency",
    "sandwich_grid",
    "sandwich_lower",
    "sandwich_upper",
    "strict_tail_upper",
    "tail_closed_upper",
    "tail_lower",
    "tail_threshold",
]


def _range_assumption(rho_max: float) -> tuple[Assumption, ...]:
    return (Assumption("distance_range", f"distances lie in [0, {rho_max:g}]"),)


@bound(
    title="Proposition 1 as printed",
    status="refuted",
    printed="0 <= rho <= 1: P[rho > t] < (eps - t)/(1 - t) implies E rho < eps.",
    statement="E rho <= t + (rho_max - t) P[rho > t] with rho_max = 1 unless declared otherwise, t < rho_max.",
    deviation="True for distances in [0, 1] and t < 1; the paper applies it to cosine distance, which reaches 2.",
    counterexample="rho = 2 w.p. 1/20, else 1/20, t = 1/20, eps = 1/10: tail 1/20 < 1/19, mean 0.1475.",
    evidence="A",
)
def printed_upper(*, tail_prob: Evidence, t: float, rho_max: float = 1.0) -> Bound:
    """Upper bound on E[rho] by Proposition 1 as printed, which assumes distances at most 1.

    The proposition says that ``P(rho > t) < (eps - t)/(1 - t)`` implies ``E rho < eps``; the smallest such
    eps is ``t + (1 - t) P``. It is *wrong for cosine distance* with the printed range: rho = 2 with
    probability 1/20, else 1/20, has tail 1/20 at t = 1/20 and mean 0.1475, above the printed 0.0975.

    Parameters
    ----------
    tail_prob : Evidence
        P(rho > t).
    t : float
        In [0, rho_max).
    rho_max : float, default=1
        The printed range; any other value gives the corrected statement.

    Returns
    -------
    BoundCertificate
        On ``mean_distance``. Evidence "A": the range is declared, and it is false of cosine distance if 1.

    Raises
    ------
    InvalidInputError
        If an input is outside its range; the message names it.

    References
    ----------
    Proposition 1 of arXiv:2509.25584.
    """
    rho_max = check_real(rho_max, "rho_max", lower=0.0, upper=math.inf, open_ends=True)
    t = check_real(t, "t", lower=0.0)
    if t >= rho_max:
        raise InvalidInputError(f"need t below rho_max={rho_max:g} for Proposition 1, got t={t:g}")
    upper = t + (rho_max - t) * probability(tail_prob, "tail_prob").upper
    return Bound(
        quantity="mean_distance",
        interval=Interval(0.0, min(round_up(upper), rho_max)),
        trivial=Interval(0.0, rho_max),
        assumptions=_range_assumption(rho_max),
        evidence="A",
    )


@bound(
    title="Proposition 1, sandwich, upper side",
    status="repaired",
    statement="0 <= rho <= r: E rho <= t + (r - t) P[rho > t]",
    deviation="Proposition 1 with the range as an argument; attained on {t, r}.",
)
def sandwich_upper(*, tail_prob: Evidence, t: float, rho_max: float = 2.0) -> Bound:
    """E[rho] <= t + (rho_max - t) P(rho > t), for distances in [0, rho_max]; attained on {t, rho_max}.

    Parameters
    ----------
    tail_prob : Evidence
        P(rho > t), the *strict* tail.
    t : float
        In [0, rho_max].
    rho_max : float, default=2
        Largest possible distance; 2 for cosine distance.

    Returns
    -------
    BoundCertificate
        On ``mean_distance``.

    Examples
    --------
    >>> round(sandwich_upper(tail_prob=0.028, t=0.05).interval.upper, 6)
    0.1046
    """
    rho_max, t = _threshold(t, rho_max)
    tail = probability(tail_prob, "tail_prob").upper
    return _mean(0.0, t + (rho_max - t) * tail, rho_max)


@bound(
    title="Proposition 1, sandwich, lower side",
    status="sharpened",
    statement="rho >= 0: E rho >= t P[rho >= t]",
    deviation="Not in the paper; attained on {0, t}. Uses the closed tail.",
)
def sandwich_lower(*, tail_prob_closed: Evidence, t: float, rho_max: float = 2.0) -> Bound:
    """E[rho] >= t P(rho >= t), from the *closed* tail; attained on {0, t}.

    Parameters
    ----------
    tail_prob_closed : float, Interval or certificate
        P(rho >= t), closed.
    t : float
        Threshold of the distance.
    rho_max : float, default=2.0
        Largest possible distance: 2 for cosine distance.

    Examples
    --------
    >>> round(sandwich_lower(tail_prob_closed=0.5, t=0.5).interval.lower, 6)
    0.25
    """
    rho_max, t = _threshold(t, rho_max)
    return _mean(t * probability(tail_prob_closed, "tail_prob_closed").lower, rho_max, rho_max)


@bound(
    title="Proposition 1, sandwich on a grid",
    status="sharpened",
    statement="sum (t_i - t_(i-1)) P[rho >= t_i] <= E rho <= t_1 + sum (t_(i+1) - t_i) P[rho > t_i]",
    deviation="The whole tail: E rho is its integral.",
    uses=("tail.sandwich_upper", "tail.sandwich_lower"),
)
def sandwich_grid(
    *,
    thresholds: npt.ArrayLike,
    tail_upper: npt.ArrayLike,
    tail_closed_lower: npt.ArrayLike,
    rho_max: float = 2.0,
) -> Bound:
    r"""E[rho] from the whole tail on a grid: :math:`E\rho = \int_0^r P(\rho > s) ds` bracketed by step functions.

    .. math:: \sum_{i=1}^m (t_i - t_{i-1}) P_{\ge t_i} \le E\rho \le t_1 + \sum_{i=1}^m (t_{i+1} - t_i) P_{t_i}

    with ``t_0 = 0`` and ``t_{m+1} = rho_max``; the tail at 0 counts as 1 unless 0 is in the grid.

    Parameters
    ----------
    thresholds : array_like of shape (m,)
        Strictly increasing, inside [0, rho_max].
    tail_upper : array_like of shape (m,)
        Upper bounds on the strict tails P(rho > t_i).
    tail_closed_lower : array_like of shape (m,)
        Lower bounds on the closed tails P(rho >= t_i).
    rho_max : float, default=2.0
        Largest possible distance: 2 for cosine distance.

    Raises
    ------
    InvalidInputError
        If an input is outside its range; the message names it.

    Notes
    -----
    Arrays carry no confidence level. For sampled tails intersect `sandwich_upper` and `sandwich_lower`
    certificates instead, or record the level yourself.
    """
    rho_max, _ = _threshold(0.0, rho_max)
    grid = as_floats(thresholds, "thresholds")
    above, closed = as_floats(tail_upper, "tail_upper"), as_floats(tail_closed_lower, "tail_closed_lower")
    if grid.ndim != 1 or grid.size == 0 or grid.shape != above.shape or grid.shape != closed.shape:
        raise InvalidInputError(
            f"need thresholds and both tails of one shape (m,), got {grid.shape}, {above.shape} and {closed.shape}"
        )
    if not (np.diff(grid) > 0).all() or not 0.0 <= grid[0] <= grid[-1] <= rho_max:
        raise InvalidInputError(f"need strictly increasing thresholds inside [0, {rho_max:g}], got {grid.tolist()}")
    for name, tail in (("tail_upper", above), ("tail_closed_lower", closed)):
        if not ((tail >= 0.0) & (tail <= 1.0)).all():
            raise InvalidInputError(f"need probabilities in {name}, got values outside [0, 1] or NaN")
    edges = np.concatenate([[0.0], grid, [rho_max]])
    # Tails are monotone: a bound at one threshold holds at larger (upper) or smaller (lower) ones too.
    above = np.minimum.accumulate(np.concatenate([[1.0], above]))
    closed = np.maximum.accumulate(closed[::-1])[::-1]
    upper = math.fsum(np.diff(edges) * above)
    lower = math.fsum(np.diff(edges)[:-1] * closed)
    return _mean(lower, upper, rho_max)


@bound(
    title="Geometric to proximal (Markov)",
    statement="P[rho >= t] <= E rho / t",
    deviation="The converse arrow; attained on {0, t}.",
)
def tail_closed_upper(*, mean_distance: Evidence, t: float) -> Bound:
    """P(rho >= t) <= E[rho] / t (Markov), for t > 0 and distances >= 0; attained on {0, t}.

    Parameters
    ----------
    mean_distance : float, Interval or certificate
        E[rho], the mean distance.
    t : float
        Threshold of the distance.
    """
    t = check_real(t, "t", lower=0.0, upper=math.inf, open_ends=True)
    upper = nonnegative(mean_distance, "mean_distance").upper / t
    return Bound(quantity="tail_prob_closed", interval=Interval(0.0, min(1.0, round_up(upper))), trivial=PROBABILITY)


@bound(
    title="Refuting proximal by the mean",
    statement="P[rho > t] >= (E rho - t)/(r - t)",
    deviation="The sandwich solved for the tail; attained on {t, r}.",
)
def tail_lower(*, mean_distance: Evidence, t: float, rho_max: float = 2.0) -> Bound:
    """P(rho > t) >= (E[rho] - t) / (rho_max - t), for t < rho_max; attained on {t, rho_max}.

    Parameters
    ----------
    mean_distance : float, Interval or certificate
        E[rho], the mean distance.
    t : float
        Threshold of the distance.
    rho_max : float, default=2.0
        Largest possible distance: 2 for cosine distance.

    Raises
    ------
    InvalidInputError
        If an input is outside its range; the message names it.
    """
    rho_max, t = _threshold(t, rho_max)
    if t == rho_max:
        raise InvalidInputError(f"need t below rho_max={rho_max:g}, got t={t:g}")
    mean = as_interval(mean_distance, name="mean_distance", within=Interval(0.0, rho_max)).lower
    lower = max(0.0, round_down((mean - t) / (rho_max - t), slack=rounding_slack(mean, t) / (rho_max - t)))
    return Bound(
        quantity="tail_prob",
        interval=Interval(min(lower, 1.0), 1.0),
        trivial=PROBABILITY,
        assumptions=_range_assumption(rho_max),
    )


@bound(
    title="Definition 2, strict tail from closed tail",
    status="repaired",
    printed="Definition 2 counts rho < t; Proposition 1 and Theorems 3 and 4 count rho > t.",
    statement="P[rho > t] <= P[rho >= t]",
    deviation="Definition 2 implies P[rho > t] < eps, which is all the paper needs; "
    "the converse fails with an atom at t.",
    counterexample="rho = t surely: P[rho > t] = 0, yet P[rho < t] = 0.",
)
def strict_tail_upper(*, tail_prob_closed: Evidence) -> Bound:
    """P(rho > t) <= P(rho >= t): the closed tail bounds the strict one from above, and only from above.

    Parameters
    ----------
    tail_prob_closed : float, Interval or certificate
        P(rho >= t), closed.
    """
    closed = probability(tail_prob_closed, "tail_prob_closed").upper
    return Bound(quantity="tail_prob", interval=Interval(0.0, closed), trivial=PROBABILITY)


@bound(
    title="Definition 2, closed tail from strict tail",
    status="repaired",
    statement="P[rho >= t] >= P[rho > t]",
    deviation="Only this side; both tails are stored and never derived as each other's complement.",
    counterexample="rho = t surely.",
)
def closed_tail_lower(*, tail_prob: Evidence) -> Bound:
    """P(rho >= t) >= P(rho > t): the strict tail bounds the closed one from below, and only from below.

    Parameters
    ----------
    tail_prob : float, Interval or certificate
        P(rho > t), strict.
    """
    strict = probability(tail_prob, "tail_prob").lower
    return Bound(quantity="tail_prob_closed", interval=Interval(strict, 1.0), trivial=PROBABILITY)


def tail_threshold(*, epsilon: float, t: float, rho_max: float = 2.0) -> float:
    """Tail below which proximal implies geometric redundancy: E[rho] < epsilon if P(rho > t) < (eps - t)/(r - t).

    Parameters
    ----------
    epsilon : float
        What the quantity is compared with, positive.
    t : float
        Threshold of the distance.
    rho_max : float, default=2.0
        Largest possible distance: 2 for cosine distance.

    Returns
    -------
    float
        At most 0 if no tail is small enough, as for t >= epsilon.

    Raises
    ------
    InvalidInputError
        Unless t < min(epsilon, rho_max): the premise is then impossible to meet, the implication empty.
    """
    rho_max, t = _threshold(t, rho_max)
    epsilon = check_real(epsilon, "epsilon", lower=0.0)
    if t >= min(epsilon, rho_max):
        raise InvalidInputError(
            f"need t < min(epsilon, rho_max), got t={t:g}, epsilon={epsilon:g}, rho_max={rho_max:g}; "
            "a tail at t says nothing about a mean below t"
        )
    return max(0.0, round_down((epsilon - t) / (rho_max - t), slack=rounding_slack(epsilon, t) / (rho_max - t)))


def sandwich_consistency(
    *, mean_distance: float, fraction_below: float, t: float, rho_max: float = 2.0, rounding: float = 0.0
) -> bool:
    """Whether a reported mean and a reported P(rho < t) can belong to one law of distances in [0, rho_max].

    `rounding` widens both numbers, for tables printed to few digits. A table that fails has a misprint or
    a larger range than claimed.

    Parameters
    ----------
    mean_distance : float
        The reported mean.
    fraction_below : float
        The reported P(rho < t).
    t : float
        Threshold of the distance.
    rho_max : float, default=2.0
        Largest possible distance: 2 for cosine distance.
    rounding : float, default=0.0
        Half a unit of the last printed digit, granted to both.

    Returns
    -------
    bool
        False if no law of distances has both.

    Examples
    --------
    Table 2 of the paper, LLaVA-NeXT-7B, layer 28: impossible if distances were at most 1.

    >>> sandwich_consistency(mean_distance=0.077, fraction_below=0.973, t=0.05, rho_max=1.0, rounding=0.0005)
    False
    >>> sandwich_consistency(mean_distance=0.077, fraction_below=0.973, t=0.05, rounding=0.0005)
    True
    """
    rho_max, t = _threshold(t, rho_max)
    mean = check_real(mean_distance, "mean_distance", lower=0.0)
    closed = 1.0 - check_real(fraction_below, "fraction_below", lower=0.0, upper=1.0)
    slack = check_real(rounding, "rounding", lower=0.0)
    # P(rho > t) <= P(rho >= t), so the closed tail serves the upper side as well.
    possible = outward(
        t * max(0.0, closed - slack), t + (rho_max - t) * min(1.0, closed + slack), slack=rounding_slack(t, rho_max)
    )
    return possible.lower <= mean + slack and mean - slack <= possible.upper


def _threshold(t: float, rho_max: float) -> tuple[float, float]:
    rho_max = check_real(rho_max, "rho_max", lower=0.0, upper=math.inf, open_ends=True)
    return rho_max, check_real(t, "t", lower=0.0, upper=rho_max)


def _mean(lower: float, upper: float, rho_max: float) -> Bound:
    return Bound(
        quantity="mean_distance",
        interval=Interval(max(0.0, round_down(lower)), min(round_up(upper), rho_max)),
        trivial=Interval(0.0, rho_max),
        assumptions=_range_assumption(rho_max),
    )
