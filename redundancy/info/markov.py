"""Checks of Markov chains on finite laws."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from redundancy.info.joint import check_laws

__all__ = ["is_markov", "markov_defect"]


def markov_defect(joint: npt.ArrayLike) -> np.float64 | npt.NDArray[np.float64]:
    """Largest ``|p(a,b,c) p(b) - p(a,b) p(b,c)|`` of tables with axes (..., a, b, c); 0 iff A - B - C.

    Parameters
    ----------
    joint : array_like of shape (..., n_a, n_b, n_c)
        One law or a stack of laws, the last three axes being the variables.

    Returns
    -------
    float64 or ndarray
        At least 0; an array for a stack of laws.
    """
    table = check_laws(joint, "joint", axes=3)
    ab, bc = table.sum(axis=-1, keepdims=True), table.sum(axis=-3, keepdims=True)
    b = table.sum(axis=(-3, -1), keepdims=True)
    return np.abs(table * b - ab * bc).max(axis=(-3, -2, -1))  # type: ignore[no-any-return]


def is_markov(joint: npt.ArrayLike, *, atol: float = 1e-12) -> bool | npt.NDArray[np.bool_]:
    """Whether A - B - C is a Markov chain in tables with axes (..., a, b, c).

    Parameters
    ----------
    joint : array_like of shape (..., n_a, n_b, n_c)
        Laws with the middle variable of the chain on the middle axis. The chain of the paper's Theorem 5,
        previous layer - next layer - task, is ``joint.transpose(1, 0, 2)`` of a (next, prev, task) table.
    atol : float, default=1e-12
        Largest violation of the product rule that counts as rounding.

    Returns
    -------
    bool or ndarray of bool
        An array for a stack of laws.

    Examples
    --------
    >>> import numpy as np
    >>> chain = np.einsum("ab,bc->abc", [[0.5, 0.0], [0.0, 0.5]], [[0.9, 0.1], [0.2, 0.8]])
    >>> is_markov(chain)
    True
    """
    holds = np.asarray(markov_defect(joint) <= atol)
    return bool(holds) if holds.ndim == 0 else holds
