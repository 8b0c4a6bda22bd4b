"""Distances between hidden states: cosine distance of rows, blocks and pairs, ball sizes and ball masses."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

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
    "cosine_distance_blocks",
    "cosine_distances",
    "pairwise_cosine_distance",
    "squared_distance",
]

Array = npt.NDArray[np.float64]

COSINE_RANGE = 2.0  # cosine distance lies in [0, 2], not in [0, 1]: opposite vectors are at distance 2

_BUFFER = 1 << 21  # bytes of one float64 buffer: near enough to the core, and few enough calls
_TASK = (
    1 << 22
)  # numbers of one array per task; sums are added in the order of tasks, so the result does not depend on threads
_MOST_ROWS = 1 << 14  # rows per task, for narrow states
_MOST_THREADS = 4
_SAFE, _UNSAFE = 1e-150, 1e150  # rows with squared norms outside are computed again, scaled
_NAMED = 5  # rows named in an error


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


def cosine_distances(x: npt.ArrayLike, y: npt.ArrayLike) -> npt.NDArray[np.float64]:
    r"""Cosine distances along the last axis, in [0, 2], of arrays that broadcast.

    .. math:: \rho = \tfrac12 \Bigl| \frac{x}{|x|} - \frac{y}{|y|} \Bigr|^2 = 1 - \cos(x, y)

    without the cancellation of 1 - cos. Two zero vectors are at 0, a zero and a non-zero vector at 1, a vector
    that is not finite gives NaN, as in `HarvestStatistics`.

    Parameters
    ----------
    x, y : array_like of shape (..., n_features)
        Any real vectors.

    Returns
    -------
    ndarray of shape (...)
        In [0, 2], or NaN.
    """
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    a, b = np.linalg.norm(x, axis=-1), np.linalg.norm(y, axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        gap = x / np.where(a == 0, 1, a)[..., None] - y / np.where(b == 0, 1, b)[..., None]
        rho = np.minimum(0.5 * (gap**2).sum(axis=-1), 2.0)
    rho = np.where((a == 0) != (b == 0), 1.0, rho)
    result: npt.NDArray[np.float64] = np.where(np.isfinite(a) & np.isfinite(b), rho, np.nan)
    return result


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


def cosine_distance_blocks(x_prev: Any, x_next: Any) -> Iterator[tuple[int, Array]]:
    """`cosine_distance` of corresponding rows of large or memory-mapped states, a block at a time in order.

    Products are accumulated in float64, and blocks are computed ahead by a few threads.

    Parameters
    ----------
    x_prev, x_next : array of shape (n_rows, n_features)
        As `redundancy.checks.as_states` gives them.

    Yields
    ------
    tuple of int and ndarray of float64
        First row, and the distances from there on, each within 1e-14.

    Raises
    ------
    InvalidInputError
        For rows that are zero or not finite, which are named.
    """
    n_rows, n_features = x_prev.shape
    size = max(1, min(_MOST_ROWS, _TASK // n_features))
    starts = range(0, n_rows, size)
    threads = max(1, min(_MOST_THREADS, os.cpu_count() or 1, len(starts)))

    def task(start: int) -> Array:
        return _block(x_prev, x_next, start, min(start + size, n_rows), n_features)

    with ThreadPoolExecutor(threads) as pool:
        ahead: deque[tuple[int, Future[Array]]] = deque()
        try:
            for start in starts:
                ahead.append((start, pool.submit(task, start)))
                if len(ahead) > threads:
                    first, future = ahead.popleft()
                    yield first, future.result()
            while ahead:
                first, future = ahead.popleft()
                yield first, future.result()
        finally:
            for _, future in ahead:
                future.cancel()


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


def _block(x_prev: Any, x_next: Any, start: int, stop: int, n_features: int) -> Array:
    step = max(1, min(stop - start, _BUFFER // (8 * n_features)))
    x_buffer, y_buffer = np.empty((2, step, n_features))
    xx, yy, xy = np.empty((3, stop - start))
    for low in range(start, stop, step):
        high = min(low + step, stop)
        x, y, out = x_buffer[: high - low], y_buffer[: high - low], slice(low - start, high - start)
        x[...] = x_prev[low:high]
        y[...] = x_next[low:high]
        with np.errstate(invalid="ignore", over="ignore", under="ignore"):  # such rows are looked at below
            _dots(x, x, xx[out])
            _dots(y, y, yy[out])
            _dots(x, y, xy[out])
    with np.errstate(invalid="ignore", divide="ignore", over="ignore", under="ignore"):
        # Equal rows give a quotient of exactly 1; rounding elsewhere may leave [0, 2] by an ulp or two.
        rho = np.clip(1.0 - xy / np.sqrt(xx * yy), 0.0, COSINE_RANGE)
        fine = (np.minimum(xx, yy) > _SAFE) & (np.maximum(xx, yy) < _UNSAFE)
    odd = np.flatnonzero(~fine)
    for low in range(0, odd.size, step):
        rows = odd[low : low + step] + start
        rho[rows - start] = _careful(x_prev, x_next, rows)
    return np.asarray(rho)


def _dots(x: Array, y: Array, out: Array) -> None:
    if hasattr(np, "vecdot"):  # numpy 2; twice as fast
        np.vecdot(x, y, out=out)
    else:
        np.einsum("ij,ij->i", x, y, out=out)


def _careful(x_prev: Any, x_next: Any, rows: npt.NDArray[np.intp]) -> Array:
    """Distances of rows whose squares leave the range of floats; rows without a distance are errors."""
    pair = [np.asarray(array[rows], dtype=np.float64) for array in (x_prev, x_next)]
    for name, states in zip(("x_prev", "x_next"), pair, strict=True):
        broken = rows[~np.isfinite(states).all(axis=1)]
        if broken.size:
            raise InvalidInputError(f"need finite values in {name}, got NaN or infinity in {_names(broken)}")
        zero = rows[~states.any(axis=1)]
        if zero.size:
            raise InvalidInputError(
                f"need non-zero rows in {name}, got zero vectors in {_names(zero)}; the cosine distance of a zero "
                "vector is undefined, drop these rows and say so"
            )
    return cosine_distance(pair[1], pair[0])


def _names(rows: npt.NDArray[np.intp]) -> str:
    names = ", ".join(str(int(r)) for r in rows[:_NAMED])
    return f"row{'s' if rows.size > 1 else ''} {names}" + (", ..." if rows.size > _NAMED else "")
