"""One pass over two arrays of states, in memory or memory-mapped: per-image sums of the cosine distance and tails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from redundancy.checks import as_labels, as_states, check_real
from redundancy.distances import COSINE_RANGE, cosine_distance_blocks
from redundancy.errors import InvalidInputError
from redundancy.files.mapped import Pages
from redundancy.statistics.schema import default_edges

__all__ = ["ImageIndex", "PairSums", "index_images", "pair_sums"]

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class ImageIndex:
    """Which image each row belongs to: names in order of first appearance, and their number for every row.

    Parameters
    ----------
    names : tuple of str
        Of the images, in order of first appearance.
    rows : ndarray of int, shape (n_rows,)
        Position in `names` of each row's image.
    """

    names: tuple[str, ...]
    rows: npt.NDArray[np.intp]

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """Rows of each image, shape (n_images,)."""
        return np.bincount(self.rows, minlength=len(self.names)).astype(np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class PairSums:
    """Sufficient statistics of a layer pair.

    Attributes
    ----------
    index : ImageIndex
    distance_sums : ndarray of shape (n_images,), float64
        Per-image sums of the cosine distance, absolute error of a distance below 1e-14.
    tail_counts, closed_tail_counts : ndarray of shape (n_images, n_thresholds), int64
        Rows with rho > t and with rho >= t.
    thresholds : tuple of float
    histogram : ndarray of shape (len(edges) + 1,), int64
        Exact 0, (0, e_0), [e_0, e_1), ..., closed last bin.
    edges : tuple of float
    """

    index: ImageIndex
    distance_sums: Array
    tail_counts: npt.NDArray[np.int64]
    closed_tail_counts: npt.NDArray[np.int64]
    thresholds: tuple[float, ...]
    histogram: npt.NDArray[np.int64]
    edges: tuple[float, ...]


def index_images(ids: npt.ArrayLike, n_rows: int) -> ImageIndex:
    """Number the images by first appearance.

    Parameters
    ----------
    ids : array_like of shape (n_rows,) or (n_rows, 1)
        Integers or strings, an image each.
    n_rows : int
        How many there must be.

    Returns
    -------
    ImageIndex

    Raises
    ------
    InvalidInputError
        If there is not one id per row, or an id is NaN.
    """
    labels = as_labels(ids, "ids", n_rows)
    names, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return ImageIndex(names=tuple(str(names[i]) for i in order), rows=rank[inverse.ravel()].astype(np.intp))


def pair_sums(
    x_prev: Any,
    x_next: Any,
    ids: npt.ArrayLike,
    *,
    thresholds: tuple[float, ...] = (0.05,),
    progress: Callable[[int], None] | None = None,
) -> PairSums:
    """Distances of corresponding rows, summed by image.

    Parameters
    ----------
    x_prev, x_next : array of shape (n_rows, n_features)
        float16, float32 or float64, or anything sliceable to such arrays; may be memory-mapped.
    ids : array_like of shape (n_rows,)
        Image of each row; rows of an image need not be together.
    thresholds : tuple of float
        Values t in [0, 2] for the tails.
    progress : callable, optional
        Called with the number of rows just done.

    Returns
    -------
    PairSums

    Raises
    ------
    InvalidInputError
        For shapes or ids that do not match, NaN or infinity, and zero rows, which are named: the cosine
        distance of a zero vector is undefined.

    Notes
    -----
    Products are accumulated in float64. Extra memory: below 5 MiB for each of at most four threads, and 16 bytes
    a row; pages of read-only maps are given back as they are read.

    Examples
    --------
    >>> import numpy as np
    >>> states = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 2.0]])
    >>> sums = pair_sums(states, states[[0, 2, 2]], ["a", "a", "b"])
    >>> sums.index.names, sums.distance_sums.tolist(), sums.tail_counts[:, 0].tolist()
    (('a', 'b'), [1.0, 0.0], [1, 0])
    """
    x_prev, x_next = as_states(x_prev, "x_prev"), as_states(x_next, "x_next")
    n_rows = _check_pair(x_prev, x_next)
    pages = [Pages(x) for x in (x_prev, x_next)]
    # Slices of numpy.memmap cost microseconds each; a plain view of the same memory does not.
    x_prev, x_next = (np.asarray(x) if isinstance(x, np.ndarray) else x for x in (x_prev, x_next))
    levels = tuple(check_real(t, "threshold", lower=0.0, upper=COSINE_RANGE) for t in thresholds)
    index = index_images(ids, n_rows)
    n_images, edges = len(index.names), default_edges()
    inner = np.array(edges[:-1])
    sums = np.zeros(n_images)
    strict, closed = (np.zeros((n_images, len(levels)), dtype=np.int64) for _ in range(2))
    histogram = np.zeros(len(edges) + 1, dtype=np.int64)
    for start, rho in cosine_distance_blocks(x_prev, x_next):
        rows = index.rows[start : start + len(rho)]
        sums += np.bincount(rows, weights=rho, minlength=n_images)
        for k, t in enumerate(levels):
            strict[:, k] += np.bincount(rows[rho > t], minlength=n_images)
            closed[:, k] += np.bincount(rows[rho >= t], minlength=n_images)
        bins = np.searchsorted(inner, rho, side="right") + (rho > 0.0)
        histogram += np.bincount(bins, minlength=len(histogram))
        for read in pages:
            read.release(start, start + len(rho))
        if progress is not None:
            progress(len(rho))
    return PairSums(index, sums, strict, closed, levels, histogram, edges)


def _check_pair(x_prev: Any, x_next: Any) -> int:
    if x_prev.shape != x_next.shape:
        raise InvalidInputError(f"need x_prev and x_next of one shape, got {x_prev.shape} and {x_next.shape}")
    return int(x_prev.shape[0])
