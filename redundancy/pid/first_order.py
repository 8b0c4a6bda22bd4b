"""Multiplicative iteration for tables whose Schur complement is too large to factor: O(X Y) memory.

Each sweep fits L and M to the marginals given the cell weights s (q = s L M), then lets s take the mass
that the fit put there: ``L = a / (M s'), M = b / (L s), s <- s (L'M)``. Three matrix products a sweep. The
certificate is the same as for the interior point; expect 1e-4 to 1e-5, sublinearly.
"""

from __future__ import annotations

import time

import numpy as np
import numpy.typing as npt

from redundancy.pid.interior_point import SolverState
from redundancy.pid.problem import UNIT_ROUNDOFF

__all__ = ["first_order", "sweeps"]

Array = npt.NDArray[np.float64]
_RELAXATION = 1.8  # exponent on the multiplicative update: measured 1.6x fewer sweeps than 1, and stable


def sweeps(a: Array, b: Array, count: int) -> tuple[Array, Array, Array] | None:
    """(log L, log M, s) after `count` gentler sweeps, as a start for the interior point; None if one broke down.

    The logarithms are 0 where the marginal is.
    """
    p_x, p_y = np.add.reduce(a, 0), np.add.reduce(b, 0)
    s = np.multiply.outer(p_x, p_y)
    right = b / p_y / np.add.reduce(b, 1)[:, None]
    on_a, on_b = a > 0.0, b > 0.0
    full = bool(on_a.all() and on_b.all())
    left = a
    with np.errstate(all="ignore"):
        for _ in range(count):
            fit = right @ s.T
            left = a / fit if full else np.divide(a, fit, out=np.zeros_like(a), where=on_a)
            fit = left @ s
            right = b / fit if full else np.divide(b, fit, out=np.zeros_like(b), where=on_b)
            ratio = left.T @ right
            s = s * (ratio * np.sqrt(ratio))
        lam = np.log(left if full else np.where(on_a, left, 1.0))
        mu = np.log(right if full else np.where(on_b, right, 1.0))
    if np.isfinite(s).all() and np.isfinite(lam).all() and np.isfinite(mu).all():
        return lam, mu, s
    return None


def first_order(
    a: Array,
    b: Array,
    *,
    tolerance: float,
    max_iterations: int,
    deadline: float,
    relative_error: float = 8.0 * UNIT_ROUNDOFF,
) -> SolverState:
    """Sweep until the certificate is narrower than `tolerance` nats; certificates at geometric intervals."""
    state = SolverState()
    s = a.sum(0)[:, None] * b.sum(0)
    right = np.divide(b, b.sum(0), out=np.zeros_like(b), where=b > 0.0) / b.sum(1)[:, None]
    left = np.zeros_like(a)
    next_check, check_cost = 16, 0.0
    for iteration in range(1, max_iterations + 1):
        began = time.perf_counter()
        left = np.divide(a, right @ s.T, out=np.zeros_like(a), where=a > 0.0)
        right = np.divide(b, left @ s, out=np.zeros_like(b), where=b > 0.0)
        ratio = left.T @ right
        late = began + check_cost > deadline
        if late or iteration in (next_check, max_iterations):
            with np.errstate(divide="ignore"):
                lam, mu = np.log(left), np.log(right)
            state.offer(a, b, s * ratio, lam, mu, relative_error)
            check_cost = time.perf_counter() - began
            next_check = iteration + max(16, iteration // 4)
        s = s * ratio**_RELAXATION
        state.iterations = iteration
        if state.width < tolerance:
            state.status = "converged"
            break
        if late:
            state.status = "time limit"
            break
    return state
