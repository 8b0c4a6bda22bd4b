"""Entropies and mutual informations of finite laws, in any base, over leading batch axes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from redundancy.checks import as_floats
from redundancy.errors import InvalidInputError
from redundancy.info.joint import Array, check_laws
from redundancy.units import check_base

__all__ = [
    "binary_entropy",
    "conditional_entropy",
    "conditional_mutual_information",
    "entropy",
    "mutual_information",
]


def entropy(law: npt.ArrayLike, *, axes: int = 1, base: float = 2.0) -> Any:
    r"""Shannon entropy :math:`-\sum p \log p` with 0 log 0 = 0.

    Parameters
    ----------
    law : array_like of shape (..., k_1, ..., k_axes)
        Probability tables over the last `axes` axes.
    axes : int, default=1
        Number of trailing axes that form one law (2 for the joint entropy of a pair).
    base : float, default=2
        Base of the logarithm, > 1: 2 for bits, ``math.e`` for nats.

    Returns
    -------
    float64 or ndarray of shape (...)
        In units of `base`.

    Raises
    ------
    InvalidInputError
        If a table is not a law or the base is not above 1.

    Examples
    --------
    >>> float(entropy([0.5, 0.25, 0.25]))
    1.5
    """
    table = check_laws(law, "law", axes=axes)
    return _in_base(_plogp(table).sum(axis=tuple(range(-axes, 0))), base)


def conditional_entropy(joint: npt.ArrayLike, *, base: float = 2.0) -> Any:
    """H(A | B) of tables with axes (..., a, b); for a layer pair H(x_next | x_prev). Units of `base`.

    Computed as ``sum_ab p(a, b) log(p(b) / p(a, b))``: every term is non-negative, so a deterministic
    pair gives exactly 0.

    Parameters
    ----------
    joint : array_like of shape (..., n_a, n_b)
        One law or a stack of laws, the last two axes being the variables.
    base : float, default=2.0
        Unit of information: 2 for bits, ``math.e`` for nats.

    Returns
    -------
    float64 or ndarray
        In units of `base`; an array for a stack of laws.

    Examples
    --------
    >>> float(conditional_entropy([[0.25, 0.25], [0.25, 0.25]]))
    1.0
    """
    table = check_laws(joint, "joint", axes=2)
    return _in_base(plog_ratio(table, table.sum(axis=-2, keepdims=True)).sum(axis=(-2, -1)), base)


def mutual_information(joint: npt.ArrayLike, *, base: float = 2.0) -> Any:
    """I(A; B) of tables with axes (..., a, b), in units of `base`.

    The exact value is non-negative; a sum that rounding left below zero is returned as 0.

    Parameters
    ----------
    joint : array_like of shape (..., n_a, n_b)
        One law or a stack of laws, the last two axes being the variables.
    base : float, default=2.0
        Unit of information: 2 for bits, ``math.e`` for nats.

    Returns
    -------
    float64 or ndarray
        In units of `base`; an array for a stack of laws.

    Examples
    --------
    >>> float(mutual_information([[0.5, 0.0], [0.0, 0.5]]))
    1.0
    """
    table = check_laws(joint, "joint", axes=2)
    product = table.sum(axis=-1, keepdims=True) * table.sum(axis=-2, keepdims=True)
    return _in_base(np.maximum(-plog_ratio(table, product).sum(axis=(-2, -1)), 0.0), base)


def conditional_mutual_information(joint: npt.ArrayLike, *, base: float = 2.0) -> Any:
    """I(A; B | C) of tables with axes (..., a, b, c), in units of `base`.

    Parameters
    ----------
    joint : array_like of shape (..., n_a, n_b, n_c)
        One law or a stack of laws, the last three axes being the variables.
    base : float, default=2.0
        Unit of information: 2 for bits, ``math.e`` for nats.

    Returns
    -------
    float64 or ndarray
        In units of `base`; an array for a stack of laws.

    Examples
    --------
    Exclusive or: each input alone says nothing, given the other it says everything.

    >>> import numpy as np
    >>> xor = np.zeros((2, 2, 2))
    >>> for a in (0, 1):
    ...     for b in (0, 1):
    ...         xor[a, b, a ^ b] = 0.25
    >>> float(conditional_mutual_information(xor))
    1.0
    """
    table = check_laws(joint, "joint", axes=3)
    ac, bc = table.sum(axis=-2, keepdims=True), table.sum(axis=-3, keepdims=True)
    c = table.sum(axis=(-3, -2), keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        expected = np.where(c > 0.0, ac * (bc / c), 0.0)
    return _in_base(np.maximum(-plog_ratio(table, expected).sum(axis=(-3, -2, -1)), 0.0), base)


def binary_entropy(p: npt.ArrayLike, *, base: float = 2.0) -> Any:
    """Entropy of a coin with success probability `p`, elementwise, in units of `base`.

    Parameters
    ----------
    p : array_like
        Success probabilities in [0, 1].
    base : float, default=2.0
        Unit of information: 2 for bits, ``math.e`` for nats.

    Returns
    -------
    float64 or ndarray
        Of the shape of `p`, in units of `base`.

    Raises
    ------
    InvalidInputError
        If a probability is outside [0, 1].

    Examples
    --------
    >>> float(binary_entropy(0.5)), float(binary_entropy(1.0))
    (1.0, 0.0)
    """
    array = as_floats(p, "p")
    if not ((array >= 0.0) & (array <= 1.0)).all():
        raise InvalidInputError(f"need probabilities inside [0, 1], got {p!r}")
    with np.errstate(invalid="ignore", divide="ignore"):
        other = np.where(array < 1.0, -(1.0 - array) * np.log1p(-array), 0.0)
    return _in_base(_plogp(array) + other, base)


def _plogp(p: Array) -> Array:
    """-p log p with 0 log 0 = 0; abs() turns the -0.0 of p = 1 into 0.0."""
    return np.abs(p * np.log(np.where(p > 0.0, p, 1.0)))


def plog_ratio(p: Array, q: Array) -> Array:
    """P log(q / p) elementwise: 0 where p is 0, -inf where only q is 0."""
    positive = p > 0.0
    q = np.broadcast_to(q, p.shape)
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        ratio = np.divide(q, p, out=np.ones_like(p), where=positive)
        # A subnormal p overflows the quotient, not the difference of logarithms.
        logs = np.where(np.isinf(ratio), np.log(q) - np.log(p), np.log(ratio))
        return np.where(positive, p * logs, 0.0)


def _in_base(nats: Any, base: float) -> Any:
    base = check_base(base)
    return nats if base == math.e else nats / math.log(base)
