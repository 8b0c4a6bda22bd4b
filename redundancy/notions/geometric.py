"""Definition 1, geometric redundancy: the mean distance of consecutive layers is below epsilon."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from redundancy.certificates.certificate import Evidence
from redundancy.checks import check_joint, check_real
from redundancy.distances import check_distances, cosine_distance
from redundancy.errors import InvalidInputError
from redundancy.notions.verdict import RedundancyVerdict, decide

__all__ = ["geometric_verdict", "mean_distance", "mean_distance_of_law", "mean_distance_of_sums"]


def mean_distance(x_next: npt.ArrayLike, x_prev: npt.ArrayLike) -> float:
    """Mean cosine distance over the rows of a sample, in [0, 2]: equation (1) of the paper.

    A number about the sample; for a statement about the population see ``redundancy.concentration``.

    Parameters
    ----------
    x_next : array_like of shape (n_rows, n_features)
        States after the layer.
    x_prev : array_like of shape (n_rows, n_features)
        States before the layer, row by row the same token.

    Returns
    -------
    float
        In [0, 2].
    """
    return float(np.mean(cosine_distance(x_next, x_prev)))


def mean_distance_of_sums(distance_sum: float, token_count: int) -> float:
    """Token-pooled mean distance from a stored sum and count.

    Parameters
    ----------
    distance_sum : float
        Sum of the distances of all tokens.
    token_count : int
        Their number.

    Returns
    -------
    float
        In [0, 2].

    Raises
    ------
    InvalidInputError
        If there are no tokens: the mean of nothing is undefined.
    """
    if token_count <= 0:
        raise InvalidInputError(f"need at least one token for a mean distance, got token_count={token_count}")
    return check_real(distance_sum, "distance_sum", lower=0.0) / token_count


def mean_distance_of_law(joint: npt.ArrayLike, distances: npt.ArrayLike) -> float:
    """E[rho(X, Y)] of a finite joint with axes (x_next, x_prev) on one alphabet with a (k, k) distance table.

    Parameters
    ----------
    joint : array_like of shape (k, k)
        Law of the pair, axes (x_next, x_prev).
    distances : array_like of shape (k, k)
        Symmetric distances between the symbols of the alphabet, at least 0.

    Returns
    -------
    float
        E[rho].

    Raises
    ------
    InvalidInputError
        If the tables do not fit each other.
    """
    table, rho = check_joint(joint, ndim=2), check_distances(distances)
    if table.shape != rho.shape:
        raise InvalidInputError(f"need joint and distances of one shape, got {table.shape} and {rho.shape}")
    return float((table * rho).sum())


def geometric_verdict(*, mean_distance: Evidence, epsilon: float) -> RedundancyVerdict:
    """Is ``E[rho] < epsilon``? `mean_distance` is a number, an Interval or a certificate.

    Parameters
    ----------
    mean_distance : float, Interval or certificate
        E[rho], the mean distance.
    epsilon : float
        What the quantity is compared with, positive.

    Returns
    -------
    RedundancyVerdict
        Holds, refuted or undecided.
    """
    return decide("geometric", "mean_distance", mean_distance, epsilon)
