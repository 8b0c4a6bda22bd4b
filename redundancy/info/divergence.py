"""Divergences between finite laws: Kullback-Leibler and total variation."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from redundancy.errors import InvalidInputError
from redundancy.info.entropy import plog_ratio
from redundancy.info.joint import Array, check_laws
from redundancy.units import check_base

__all__ = ["kl_divergence", "total_variation"]


def kl_divergence(p: npt.ArrayLike, q: npt.ArrayLike, *, axes: int = 1, base: float = 2.0) -> Any:
    r"""Relative entropy :math:`D(p \| q) = \sum p \log (p/q)`.

    Parameters
    ----------
    p, q : array_like of shape (..., k_1, ..., k_axes)
        Laws over the last `axes` axes; leading axes broadcast.
    axes : int, default=1
        Number of trailing axes that form one law.
    base : float, default=2
        Base of the logarithm, > 1.

    Returns
    -------
    float64 or ndarray
        In units of `base`; ``inf`` where p puts mass and q does not; terms with p = 0 are 0. The exact
        value is non-negative; a sum that rounding left below zero is returned as 0.

    Examples
    --------
    >>> float(kl_divergence([1.0, 0.0], [0.5, 0.5]))
    1.0
    >>> float(kl_divergence([0.5, 0.5], [1.0, 0.0]))
    inf
    """
    first, second = _pair(p, q, axes)
    nats = np.maximum(-plog_ratio(first, second).sum(axis=tuple(range(-axes, 0))), 0.0)
    base = check_base(base)
    return nats if base == math.e else nats / math.log(base)


def total_variation(p: npt.ArrayLike, q: npt.ArrayLike, *, axes: int = 1) -> Any:
    """Half the L1 distance of two laws, in [0, 1]: the largest difference of probability of an event.

    Parameters
    ----------
    p : array_like
        A law, or a stack of laws.
    q : array_like
        The other law, of the shape of `p`.
    axes : int, default=1
        How many of the last axes hold one law.

    Returns
    -------
    float or ndarray
        In [0, 1]; an array for stacks of laws.

    Examples
    --------
    >>> float(total_variation([1.0, 0.0], [0.5, 0.5]))
    0.5
    """
    first, second = _pair(p, q, axes)
    return 0.5 * np.abs(first - second).sum(axis=tuple(range(-axes, 0)))


def _pair(p: npt.ArrayLike, q: npt.ArrayLike, axes: int) -> tuple[Array, Array]:
    first, second = check_laws(p, "p", axes=axes), check_laws(q, "q", axes=axes)
    if first.shape[-axes:] != second.shape[-axes:]:
        raise InvalidInputError(f"need p and q on one alphabet, got shapes {first.shape} and {second.shape}")
    first, second = np.broadcast_arrays(first, second)
    return np.array(first), np.array(second)
