r"""What unique information says about a pair of layers, and what it does not.

Uni(Z : x_next \ x_prev) bounds the *performance* gap mmse(Z | x_prev) - mmse(Z | x_next); it does not bound the
functional gap, the disagreement of the two predictors (independent noisy copies have Uni = 0 and disagree). The
bound itself is ``redundancy.bounds.performance_gap.performance_gap_upper``, which takes these intervals.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from redundancy.checks import check_joint
from redundancy.interval import Interval, outward
from redundancy.pid.problem import EXTENDED_EPS, UNIT_ROUNDOFF
from redundancy.pid.result import BrojaResult, measured_entropy
from redundancy.pid.solve import broja
from redundancy.units import check_base, from_nats

__all__ = ["layer_pair_pid", "next_layer_unique_information"]


def layer_pair_pid(
    joint: npt.ArrayLike, *, tolerance: float = 1e-9, base: float = 2.0, method: str = "auto", throw: bool = True
) -> BrojaResult:
    r"""BROJA of a task and two layers, from a table with the package's axes (x_next, x_prev, z).

    Parameters
    ----------
    joint : array_like of shape (n_next, n_prev, n_z)
    tolerance, base, method, throw
        As in `broja`, which has more.

    Returns
    -------
    BrojaResult
        ``unique_x`` is Uni(Z : x_next \ x_prev), ``unique_y`` is Uni(Z : x_prev \ x_next).

    Notes
    -----
    Codes must come from a codebook fitted on other data; a table counted from few samples inflates the numbers, and
    the interval covers the solver, not the sampling.

    Examples
    --------
    >>> import numpy as np
    >>> copy = np.zeros((2, 2, 2))
    >>> copy[0, 0, 0] = copy[1, 1, 1] = 0.5
    >>> layer_pair_pid(copy).unique_x.upper < 1e-9
    True
    """
    return broja(
        np.moveaxis(check_joint(joint, ndim=3), 2, 0), tolerance=tolerance, base=base, method=method, throw=throw
    )


def next_layer_unique_information(joint: npt.ArrayLike, *, base: float = 2.0) -> Interval:
    r"""Uni(x_next : x_next \ x_prev) = H(x_next | x_prev), exactly (Lemma 5): no optimisation is needed.

    Parameters
    ----------
    joint : array_like of shape (n_next, n_prev)
    base : float, default=2.0
        Unit of information: 2 for bits, ``math.e`` for nats.

    Returns
    -------
    Interval
        In units of `base`, of rounding width.

    Examples
    --------
    >>> round(next_layer_unique_information([[0.25, 0.25], [0.25, 0.25]]).upper, 9)
    1.0
    """
    base = check_base(base)
    table = check_joint(joint, ndim=2)
    eta = 8.0 * UNIT_ROUNDOFF + 3.0 * table.size * EXTENDED_EPS
    previous = np.add.reduce(table, axis=0, dtype=np.longdouble).astype(np.float64)
    both, given = measured_entropy(table, eta), measured_entropy(previous, eta)
    value, slack = both.value - given.value, both.error + given.error
    wide = outward(from_nats(value - slack, base), from_nats(value + slack, base))
    return Interval(max(0.0, wide.lower), max(0.0, wide.upper))
