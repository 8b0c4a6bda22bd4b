"""Distances between hidden states: cosine distance, all pairs, ball sizes and ball masses."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from redundancy.checks import as_floats, check_rows
from redundancy.errors import InvalidInputError
from redundancy.info.joint import check_laws

__all__ = [
    "COSINE_RANGE",
    "ball_masses",
    "ball_sizes",
    "check_distances",
    "cosine_distance",
    "pairwise_cosine_distance",
    "squared_distance",
]

Array = npt.NDArray[np.float64]

COSINE_RANGE = 2.0  # cosine distance lies in [0, 2], not in [0, 1]: opposite vectors are at distance 2


def cosine_distance(x_next: npt.ArrayLike, x_prev: npt.ArrayLike) -> Array:
    r"""Cosine distance :math:`1 - \langle x, y\rangle / (|x||y|)` of corresponding rows, in [0, 2].

    Parameters
    ----------
    x_next, x_prev : array_like of shape (n_rows, n_features)
        States after and before a layer, row by row the same token.

    Returns
    -------
    ndarray of shape (n_rows,), float64

    Raises
    ------
    InvalidInputError
        If shapes differ, a value is not finite, or a row is zero (the distance is undefined there).

    Notes
    -----
    Computed as half the squared distance of the normalised rows, which keeps relative accuracy for
    close rows and is never negative. Rounding above 2 (by a few 1e-16) is set to 2.

    Examples
    --------
    >>> cosine_distance([[1.0, 0.0], [1.0, 0.0]], [[3.0, 0.0], [-1.0, 0.0]]).tolist()
    [0.0, 2.0]
    """
    first, second = _row_pair(x_next, x_prev)
    difference = _normalised(first, "x_next") - _normalised(second, "x_prev")
    return np.asarray(np.minimum(0.5 * np.einsum("ij,ij->i", difference, difference), COSINE_RANGE))


def pairwise_cosine_distance(points: npt.ArrayLike) -> Array:
    """Cosine distance of all pairs of rows, shape (n, n), symmetric with an exactly zero diagonal.

    Parameters
    ----------
    points : array_like of shape (n, n_features)
        Rows, none of them zero.

    Returns
    -------
    ndarray of shape (n, n)
        In [0, 2].
    """
    unit = _normalised(check_rows(points, "points"), "points")
    distances = np.array([0.5 * np.einsum("ij,ij->i", unit - row, unit - row) for row in unit])
    return np.asarray(np.minimum(distances, COSINE_RANGE))


def squared_distance(x_next: npt.ArrayLike, x_prev: npt.ArrayLike) -> Array:
    """Squared Euclidean distance of corresponding rows, shape (n_rows,).

    Parameters
    ----------
    x_next : array_like of shape (n_rows, n_features)
        States after the layer.
    x_prev : array_like of shape (n_rows, n_features)
        States before the layer, row by row the same token.

    Returns
    -------
    ndarray of shape (n_rows,)
        At least 0.
    """
    first, second = _row_pair(x_next, x_prev)
    return np.asarray(np.einsum("ij,ij->i", first - second, first - second))


def check_distances(distances: npt.ArrayLike, name: str = "distances") -> Array:
    """A finite, non-negative, symmetric (k, k) table of distances between the symbols of one alphabet.

    Parameters
    ----------
    distances : array_like of shape (k, k)
        The candidate.
    name : str, default="distances"
        What to call it in the message.

    Returns
    -------
    ndarray of shape (k, k)
        As float64.

    Raises
    ------
    InvalidInputError
        If it is none; the message says why.
    """
    table = np.array(as_floats(distances, name))
    if table.ndim != 2 or table.shape[0] != table.shape[1] or table.size == 0:
        raise InvalidInputError(f"need {name} of shape (k, k), got shape {table.shape}")
    if not np.isfinite(table).all() or (table < 0).any():
        raise InvalidInputError(f"need finite {name} >= 0, got values from {table.min():.6g} to {table.max():.6g}")
    if not np.array_equal(table, table.T):
        raise InvalidInputError(
            f"need symmetric {name}, got a largest asymmetry of {np.abs(table - table.T).max():.3g}"
        )
    return table


def ball_sizes(distances: npt.ArrayLike, t: float) -> npt.NDArray[np.int64]:
    """N_t(y): how many symbols lie in the *closed* ball of radius t around each symbol, shape (k,).

    Parameters
    ----------
    distances : array_like of shape (k, k)
        Symmetric distances between the symbols of the alphabet, at least 0.
    t : float
        Radius.

    Returns
    -------
    ndarray of int64, shape (k,)
        At least 1: each symbol is in its own ball.

    Examples
    --------
    >>> ball_sizes([[0.0, 1.0, 2.0], [1.0, 0.0, 1.0], [2.0, 1.0, 0.0]], 1.0).tolist()
    [2, 3, 2]
    """
    return np.asarray((check_distances(distances) <= t).sum(axis=0), dtype=np.int64)


def ball_masses(distances: npt.ArrayLike, law: npt.ArrayLike, t: float) -> Array:
    """P[X in the closed ball of radius t around x] for each symbol x, under a marginal `law`, shape (k,).

    Parameters
    ----------
    distances : array_like of shape (k, k)
        Symmetric distances between the symbols of the alphabet, at least 0.
    law : array_like of shape (k,)
        Marginal law of the symbols.
    t : float
        Radius.

    Returns
    -------
    ndarray of shape (k,)
        In [0, 1].

    Raises
    ------
    InvalidInputError
        If the law does not fit the table.
    """
    table = check_distances(distances)
    mass = check_laws(law, "law", axes=1)
    if mass.shape != (len(table),):
        raise InvalidInputError(f"need a law of shape ({len(table)},) to match the distances, got {mass.shape}")
    return np.asarray((table <= t) @ mass)


def _row_pair(x_next: npt.ArrayLike, x_prev: npt.ArrayLike) -> tuple[Array, Array]:
    first, second = check_rows(x_next, "x_next"), check_rows(x_prev, "x_prev")
    if first.shape != second.shape:
        raise InvalidInputError(f"need x_next and x_prev of one shape, got {first.shape} and {second.shape}")
    return first, second


def _normalised(rows: Array, name: str) -> Array:
    largest = np.abs(rows).max(axis=1, keepdims=True)
    zero = np.flatnonzero(largest[:, 0] == 0.0)
    if zero.size:
        raise InvalidInputError(
            f"need non-zero rows in {name}, got {zero.size} zero rows, the first is row {zero[0]}; "
            "the cosine distance of a zero vector is undefined, drop these rows and say so"
        )
    scaled = rows / largest  # so that squares neither overflow nor underflow
    return np.asarray(scaled / np.linalg.norm(scaled, axis=1, keepdims=True))
