"""Definition 1, geometric redundancy: the mean distance of consecutive layers is below epsilon."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from redundancy._validate import check_joint, check_real
from redundancy.certificate import Evidence
from redundancy.distances import check_distances, cosine_distance
from redundancy.errors import InvalidInputError
from redundancy.notions.verdict import RedundancyVerdict, decide

__all__ = ["geometric_verdict", "mean_distance", "mean_distance_of_law", "mean_distance_of_sums"]


def mean_distance(x_next: npt.ArrayLike, x_prev: npt.ArrayLike) -> float:
    """Mean cosine distance over the rows of a sample, in [0, 2]: equation (1) of the paper.

    A number about the sample; for a statement about the population see ``redundancy.concentration``.
    """
    return float(np.mean(cosine_distance(x_next, x_prev)))


def mean_distance_of_sums(distance_sum: float, token_count: int) -> float:
    """Token-pooled mean distance from a stored sum and count.

    Raises
    ------
    InvalidInputError
        If there are no tokens: the mean of nothing is undefined.
    """
    if token_count <= 0:
        raise InvalidInputError(f"need at least one token for a mean distance, got token_count={token_count}")
    return check_real(distance_sum, "distance_sum", lower=0.0) / token_count


def mean_distance_of_law(joint: npt.ArrayLike, distances: npt.ArrayLike) -> float:
    """E[rho(X, Y)] of a finite joint with axes (x_next, x_prev) on one alphabet with a (k, k) distance table."""
    table, rho = check_joint(joint, ndim=2), check_distances(distances)
    if table.shape != rho.shape:
        raise InvalidInputError(f"need joint and distances of one shape, got {table.shape} and {rho.shape}")
    return float((table * rho).sum())


def geometric_verdict(*, mean_distance: Evidence, epsilon: float) -> RedundancyVerdict:
    """Is ``E[rho] < epsilon``? `mean_distance` is a number, an Interval or a certificate."""
    return decide("geometric", "mean_distance", mean_distance, epsilon)
