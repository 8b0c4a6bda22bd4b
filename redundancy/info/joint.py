"""Finite joint laws as tables: validation over batches, marginals, conditional laws and conditional means.

Convention of the whole package: a table of a layer pair has axes ``(x_next, x_prev)``, with a task
``(x_next, x_prev, z)``; any further axes stand in front and are batch axes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from redundancy.checks import as_floats, as_masses, check_joint, to_numpy
from redundancy.errors import InvalidInputError

__all__ = [
    "Array",
    "check_laws",
    "check_values",
    "conditional_law",
    "conditional_means",
    "joint_from_codes",
    "marginal",
]

Array = npt.NDArray[np.float64]


def check_laws(laws: npt.ArrayLike, name: str, *, axes: int) -> Array:
    """Validate a batch of probability tables over the last `axes` axes.

    Parameters
    ----------
    laws : array_like of shape (..., k_1, ..., k_axes)
        Masses; every table sums to 1 within 1e-9 and is then normalised exactly.
    name : str
        Name for the error sentence.
    axes : int
        How many trailing axes form one law.

    Returns
    -------
    ndarray of float64, same shape

    Raises
    ------
    InvalidInputError
        For too few axes, an empty table, NaN, negative mass, or a sum away from 1.
    """
    table, slack = as_masses(laws, name)
    if table.ndim < axes or 0 in table.shape:
        raise InvalidInputError(f"need a non-empty {name} with at least {axes} axes, got shape {table.shape}")
    if not np.isfinite(table).all():
        bad = np.count_nonzero(~np.isfinite(table))
        raise InvalidInputError(f"need finite masses in {name}, got {bad} NaN or infinite entries")
    if (table < 0).any():
        raise InvalidInputError(f"need masses >= 0 in {name}, got a minimum of {table.min():.6g}")
    totals = table.sum(axis=tuple(range(-axes, 0)), keepdims=True)
    off = np.abs(totals - 1.0)
    if (off > slack).any():
        worst = float(totals.ravel()[off.argmax()])
        raise InvalidInputError(
            f"need masses of {name} that sum to 1, got a sum of {worst:.12g}; divide counts by their total first"
        )
    return np.asarray(table / totals)


def check_values(values: npt.ArrayLike, n_values: int | None = None, name: str = "task_values") -> Array:
    """Task values as a finite (n_values, n_dims) array; a vector of scalars becomes one column."""
    array = np.array(as_floats(values, name))
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or 0 in array.shape or (n_values is not None and len(array) != n_values):
        wanted = "n_values" if n_values is None else n_values
        raise InvalidInputError(f"need {name} of shape ({wanted}, n_dims), got shape {np.shape(values)}")
    if not np.isfinite(array).all():
        raise InvalidInputError(f"need finite {name}, got NaN or infinite entries")
    return array


def marginal(joint: npt.ArrayLike, keep: Sequence[int], *, axes: int) -> Array:
    """Marginal law of the variables `keep` (positions among the last `axes` axes), in that order.

    Parameters
    ----------
    joint : array_like
        One law or a stack of laws.
    keep : sequence of int
        Positions among the last `axes` axes.
    axes : int
        How many of the last axes are variables.

    Returns
    -------
    ndarray
        Axes of the stack first, then those kept.

    Raises
    ------
    InvalidInputError
        If `keep` names an axis that is not there, or one twice.

    Examples
    --------
    >>> marginal([[0.5, 0.25], [0.0, 0.25]], [0], axes=2).tolist()
    [0.75, 0.25]
    """
    table = check_laws(joint, "joint", axes=axes)
    if len(set(keep)) != len(keep) or not all(0 <= k < axes for k in keep):
        raise InvalidInputError(f"need distinct positions in 0..{axes - 1} for keep, got {list(keep)}")
    summed = table.sum(axis=tuple(k - axes for k in range(axes) if k not in keep))
    kept = sorted(keep)
    lead = table.ndim - axes
    order = [*range(lead), *(lead + kept.index(k) for k in keep)]
    return np.asarray(summed.transpose(order))


def conditional_law(joint: npt.ArrayLike) -> Array:
    """P(first | second) of tables with axes (..., a, b); columns of zero mass are NaN, not a made-up law.

    Parameters
    ----------
    joint : array_like of shape (..., n_a, n_b)
        One law or a stack of laws, the last two axes being the variables.

    Returns
    -------
    ndarray of the shape of `joint`
        Columns sum to 1, or are NaN.
    """
    table = check_laws(joint, "joint", axes=2)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(table / table.sum(axis=-2, keepdims=True))


def conditional_means(joint: npt.ArrayLike, task_values: npt.ArrayLike) -> tuple[Array, Array, Array]:
    """E[Z | x_next], E[Z | x_prev] and h = E[Z | x_next, x_prev] of one finite law.

    Parameters
    ----------
    joint : array_like of shape (n_next, n_prev, n_z)
    task_values : array_like of shape (n_z,) or (n_z, n_dims)

    Returns
    -------
    f_next, f_prev, h : ndarray of shapes (n_next, n_dims), (n_prev, n_dims), (n_next, n_prev, n_dims)
        NaN where the conditioning event has probability zero.
    """
    table = check_joint(joint, ndim=3)
    values = check_values(task_values, table.shape[2])
    weighted = table @ values
    pair = table.sum(axis=2)
    with np.errstate(invalid="ignore", divide="ignore"):
        f_next = weighted.sum(axis=1) / pair.sum(axis=1)[:, None]
        f_prev = weighted.sum(axis=0) / pair.sum(axis=0)[:, None]
        h = weighted / pair[:, :, None]
    return f_next, f_prev, h


def joint_from_codes(next_codes: npt.ArrayLike, prev_codes: npt.ArrayLike, *, n_codes: int | None = None) -> Array:
    """Empirical joint law of two integer code sequences, axes (x_next, x_prev).

    The table describes the sample, not the population: entropies computed from it are biased down.

    Parameters
    ----------
    next_codes : array_like of int, shape (n,)
        Code of the next layer's state.
    prev_codes : array_like of int, shape (n,)
        Code of the previous layer's state.
    n_codes : int, optional
        Size of the codebook; by default one more than the largest code seen.

    Returns
    -------
    ndarray of shape (n_codes, n_codes)
        Masses that sum to 1.

    Raises
    ------
    InvalidInputError
        If the codes are no integers, negative, or of different lengths.
    """
    first, second = to_numpy(next_codes, "next_codes"), to_numpy(prev_codes, "prev_codes")
    if first.ndim != 1 or first.shape != second.shape or first.size == 0:
        raise InvalidInputError(f"need two non-empty code vectors of one length, got {first.shape} and {second.shape}")
    for name, codes in (("next_codes", first), ("prev_codes", second)):
        if not np.issubdtype(codes.dtype, np.integer) or codes.min() < 0:
            raise InvalidInputError(f"need non-negative integer codes in {name}, got dtype {codes.dtype}")
    largest = int(max(first.max(), second.max()))
    size = largest + 1 if n_codes is None else n_codes
    if largest >= size:
        raise InvalidInputError(f"need codes below n_codes={size}, got {largest}")
    counts = np.bincount(first.astype(np.int64) * size + second.astype(np.int64), minlength=size * size)
    return np.asarray(counts.reshape(size, size) / math.fsum(counts))
