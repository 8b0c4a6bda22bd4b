"""Definition 2, proximal redundancy: layers are within t with probability above 1 - epsilon.

Definition 2 counts ``rho < t``; the theorems count ``rho > t``. With ties at t these are not
complements, so two tails are kept: ``tail_prob`` = P(rho > t) and ``tail_prob_closed`` = P(rho >= t).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from redundancy.certificates.certificate import Evidence, as_interval
from redundancy.checks import as_floats, check_count, check_joint, check_real
from redundancy.distances import check_distances
from redundancy.errors import InvalidInputError
from redundancy.interval import Interval
from redundancy.notions.verdict import RedundancyVerdict, decide

__all__ = [
    "proximal_verdict",
    "tail_prob",
    "tail_prob_closed",
    "tail_prob_closed_of_law",
    "tail_prob_of_counts",
    "tail_prob_of_law",
]

_PROBABILITY = Interval(0.0, 1.0)


def tail_prob(distances: npt.ArrayLike, t: float) -> float:
    """Fraction of a sample of distances with ``rho > t`` (strict).

    Parameters
    ----------
    distances : array_like of shape (n,)
        A sample of distances.
    t : float
        Threshold of the distance.

    Returns
    -------
    float
        In [0, 1].
    """
    return float(np.mean(_sample(distances, t) > t))


def tail_prob_closed(distances: npt.ArrayLike, t: float) -> float:
    """Fraction of a sample of distances with ``rho >= t``: one minus the paper's equation (2).

    Parameters
    ----------
    distances : array_like of shape (n,)
        A sample of distances.
    t : float
        Threshold of the distance.

    Returns
    -------
    float
        In [0, 1].
    """
    return float(np.mean(_sample(distances, t) >= t))


def tail_prob_of_counts(tail_count: int, token_count: int) -> float:
    """Tail fraction from stored counts; strict or closed as the counts are.

    Parameters
    ----------
    tail_count : int
        Tokens in the tail.
    token_count : int
        All tokens.

    Returns
    -------
    float
        In [0, 1].
    """
    total = check_count(token_count, "token_count", lower=1)
    return check_count(tail_count, "tail_count", upper=total) / total


def tail_prob_of_law(joint: npt.ArrayLike, distances: npt.ArrayLike, t: float) -> float:
    """P(rho > t) (strict) of a finite joint with axes (x_next, x_prev) on one alphabet.

    Parameters
    ----------
    joint : array_like of shape (k, k)
        Law of the pair, axes (x_next, x_prev).
    distances : array_like of shape (k, k)
        Symmetric distances between the symbols of the alphabet, at least 0.
    t : float
        Threshold of the distance.

    Returns
    -------
    float
        In [0, 1].
    """
    table, rho = _law(joint, distances, t)
    return min(1.0, math.fsum(table[rho > t]))


def tail_prob_closed_of_law(joint: npt.ArrayLike, distances: npt.ArrayLike, t: float) -> float:
    """P(rho >= t) of a finite joint with axes (x_next, x_prev) on one alphabet.

    Parameters
    ----------
    joint : array_like of shape (k, k)
        Law of the pair, axes (x_next, x_prev).
    distances : array_like of shape (k, k)
        Symmetric distances between the symbols of the alphabet, at least 0.
    t : float
        Threshold of the distance.

    Returns
    -------
    float
        In [0, 1].
    """
    table, rho = _law(joint, distances, t)
    return min(1.0, math.fsum(table[rho >= t]))


def proximal_verdict(
    *, epsilon: float, tail_prob_closed: Evidence | None = None, tail_prob: Evidence | None = None
) -> RedundancyVerdict:
    """Decide ``P(rho < t) > 1 - epsilon``, that is ``P(rho >= t) < epsilon``.

    Parameters
    ----------
    epsilon : float
        In (0, 1].
    tail_prob_closed : Evidence, optional
        Evidence on P(rho >= t), the tail that the definition speaks of.
    tail_prob : Evidence, optional
        Evidence on the strict tail P(rho > t) <= P(rho >= t). It can refute, never establish: all the
        mass may sit exactly at t.

    Returns
    -------
    RedundancyVerdict
        Holds, refuted or undecided.

    Raises
    ------
    InvalidInputError
        Unless exactly one tail is given.
    """
    if tail_prob_closed is not None:
        if tail_prob is not None:
            raise InvalidInputError("need one of tail_prob_closed and tail_prob, got both")
        as_interval(tail_prob_closed, name="tail_prob_closed", within=_PROBABILITY)
        return decide("proximal", "tail_prob_closed", tail_prob_closed, epsilon)
    if tail_prob is None:
        raise InvalidInputError("need one of tail_prob_closed and tail_prob, got neither")
    strict = as_interval(tail_prob, name="tail_prob", within=_PROBABILITY)
    verdict = decide("proximal", "tail_prob", tail_prob, epsilon)
    widened = decide("proximal", "tail_prob_closed", Interval(strict.lower, 1.0), epsilon)
    return verdict if verdict.status == widened.status else widened


def _sample(distances: npt.ArrayLike, t: float) -> npt.NDArray[np.float64]:
    check_real(t, "t", lower=0.0)
    array = as_floats(distances, "distances").ravel()
    if array.size == 0 or not np.isfinite(array).all() or (array < 0).any():
        raise InvalidInputError(f"need a non-empty sample of finite distances >= 0, got {array.size} values")
    return array


def _law(
    joint: npt.ArrayLike, distances: npt.ArrayLike, t: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    check_real(t, "t", lower=0.0)
    table, rho = check_joint(joint, ndim=2), check_distances(distances)
    if table.shape != rho.shape:
        raise InvalidInputError(f"need joint and distances of one shape, got {table.shape} and {rho.shape}")
    return table, rho
