"""Primal-dual interior point on the dual, slack in log form: one driver, two linear algebras.

Variables: multipliers theta = (lam, mu), cell weights s > 0, slacks z = -log S > 0. The Newton system is
reduced to theta. `DenseKernel` (below) assembles it whole and serves small tables; `SchurKernel`
(schur.py) eliminates the larger side and serves the rest. Both get the same step rules.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy.linalg.lapack import dpotrf, dpotrs

from redundancy.pid.dual import dual_bound, primal_bound
from redundancy.pid.problem import UNIT_ROUNDOFF

__all__ = ["DenseKernel", "Kernel", "SolverState", "interior_point"]

Array = npt.NDArray[np.float64]
REGULARISATION = (1e-15, 1e-12, 1e-9, 1e-6)  # after Jacobi scaling, the next if the factorisation breaks down
_TO_BOUNDARY = 0.99  # share of the longest step taken; 0.999 saves half an iteration and stalls now and then
_CAP = 8.0  # largest move of a multiplier in one step
_REFINE_BELOW = 1e-4  # complementarity (nats) from which the Newton steps are refined
_REFINEMENTS = 1
_STALL = 8  # certificates in a row without progress


@dataclass(slots=True)
class SolverState:
    """The best ends of the interval so far, and the states that prove them."""

    lower: float = -math.inf
    upper: float = math.inf
    multipliers: tuple[Array, Array] | None = None  # proves `lower`
    primal: tuple[Array, Array, Array] | None = None  # (s, lam, mu), proves `upper`
    iterations: int = 0
    status: str = "iteration limit"
    trace: list[float] = field(default_factory=list)

    @property
    def width(self) -> float:
        """Width of the interval on min f, nats."""
        return self.upper - self.lower

    def offer(self, a: Array, b: Array, s: Array, lam: Array, mu: Array, relative_error: float) -> bool:
        """Certify one iterate and keep what is better; whether the width shrank by a tenth."""
        before = self.width
        lower = float(dual_bound(a, b, lam, mu, relative_error=relative_error)[0])
        upper = float(primal_bound(a, b, s, lam, mu, relative_error=relative_error)[0])
        if lower > self.lower:
            self.lower, self.multipliers = lower, (lam, mu)
        if upper < self.upper:
            self.upper, self.primal = upper, (s, lam, mu)
        self.trace.append(self.width)
        return self.width < 0.9 * before


class Kernel(Protocol):
    """The linear algebra behind the driver; vectors over active cells (N,) and over multipliers (n,)."""

    c: Array
    weights: Array

    def start(self) -> tuple[Array, Array]:
        """First multipliers (n,) and s0 = sum_t a b / p_t (N,)."""

    def set_point(self, theta: Array) -> Array:
        """Move to theta; log S of the active cells."""

    def shift(self, theta: Array, by: float) -> Array:
        """Theta with log S lowered by `by` everywhere."""

    def apply(self, v: Array) -> Array:
        """R v."""

    def adjoint(self, d: Array) -> Array:
        """R' d, the change of log S."""

    def factor(self, s: Array, z: Array, over: Array, regularisation: float) -> bool:
        """Factor the Newton matrix at (s, z), `over` being R s; False if it is not numerically positive definite."""

    def backsolve(self, rhs: Array) -> Array:
        """Solve with the last factor."""

    def multiply(self, d: Array, s: Array, z: Array) -> Array:
        """The Newton matrix without regularisation, times d."""

    def unpack(self, theta: Array, s: Array) -> tuple[Array, Array, Array]:
        """(s on the grid, lam, mu) in the orientation of the caller."""


class DenseKernel:
    """Newton matrix T(X+Y) square, filled in a few numpy calls and factored whole: for small tables."""

    def __init__(self, a: Array, b: Array) -> None:
        t, x = a.shape
        y = b.shape[1]
        m = x + y
        self.x, self.y, self.t, self.m, self.n = x, y, t, m, t * m
        table = np.concatenate([a, b], axis=1)
        self.table, self.on = table, table > 0.0
        all_on = bool(self.on.all())
        active = None if all_on else np.flatnonzero((self.on[:, :x].T.astype(float) @ self.on[:, x:]).ravel() > 0.0)
        self.cells = None if active is None or len(active) == x * y else active
        cx, cy = np.divmod(np.arange(x * y) if self.cells is None else self.cells, y)
        columns = np.arange(len(cx))
        self.incidence = np.zeros((m, len(cx)))
        self.incidence[cx, columns] = 1.0
        self.incidence[x + cy, columns] = 1.0
        self.incidence_t = np.ascontiguousarray(self.incidence.T)
        self.mask = None if all_on else (self.on[:, cx] & self.on[:, x + cy]).astype(np.float64)
        self.c = table.ravel()
        self.p_t, self.p_x, self.p_y = a.sum(1), a.sum(0), b.sum(0)
        self.weights = self.p_x[cx] * self.p_y[cy]
        self.diagonal = slice(None, None, self.n + 1)
        self.targets = np.arange(t)
        # Gauge: lam_t + k, mu_t - k is the same law. A unit pivot on the heaviest mu of every t picks one
        # representative; right-hand sides are orthogonal to the gauge, so the solution is not biased.
        self.gauge = (self.targets * m + x + b.argmax(1)) * (self.n + 1)

    def start(self) -> tuple[Array, Array]:
        """First multipliers and s0."""
        x = self.x
        theta = np.log(np.where(self.on, self.table, 1.0))
        theta[:, :x] -= np.log(self.p_x)
        theta[:, x:] -= np.log(self.p_y) + np.log(self.p_t)[:, None]
        theta[~self.on] = 0.0
        theta = theta.ravel()
        return theta, self.weights * np.exp(self.set_point(theta))

    def shift(self, theta: Array, by: float) -> Array:
        """Lower log S everywhere."""
        shifted = theta.reshape(self.t, self.m).copy()
        shifted[:, : self.x] -= by
        return shifted.ravel()

    def set_point(self, theta: Array) -> Array:
        """Move to theta; log S."""
        e = np.exp(theta.reshape(self.t, self.m) @ self.incidence)
        if self.mask is not None:
            e *= self.mask
        total = np.add.reduce(e, 0)
        self.r = e / total
        return np.asarray(np.log(total))

    def apply(self, v: Array) -> Array:
        """R v."""
        return np.asarray((self.r * v) @ self.incidence_t).reshape(-1)

    def adjoint(self, d: Array) -> Array:
        """R' d."""
        return np.asarray(np.add.reduce((d.reshape(self.t, self.m) @ self.incidence) * self.r, 0))

    def factor(self, s: Array, z: Array, over: Array, regularisation: float) -> bool:
        """Factor the Newton matrix."""
        t, x, y, r = self.t, self.x, self.y, self.r
        outer = (r * (s / z - s))[:, None, :] * r
        blocks = outer @ self.incidence_t  # (T, T, X + Y): the matrix is block diagonal over x and over y
        outer[self.targets, self.targets] += r * s
        if self.cells is not None:
            grid = np.zeros((t, t, x * y))
            grid[:, :, self.cells] = outer
            outer = grid
        outer = outer.reshape(t, t, x, y)
        h = np.zeros((self.n, self.n))
        view = h.reshape(t, self.m, t, self.m)
        view[:, x:, :, :x] = outer.transpose(0, 3, 1, 2)
        view[:, :x, :, x:] = outer.transpose(0, 2, 1, 3)
        np.einsum("aibi->abi", view)[...] = blocks
        flat = h.reshape(-1)
        flat[self.diagonal] += over
        d = flat[self.diagonal]
        self.scale = 1.0 / np.sqrt(np.where(d > 0.0, d, 1.0))
        h *= self.scale
        h *= self.scale[:, None]
        flat[self.diagonal] += regularisation
        flat[self.gauge] += 1.0
        self.factored, info = dpotrf(h.T, lower=0, clean=0, overwrite_a=1)
        return bool(info == 0)

    def backsolve(self, rhs: Array) -> Array:
        """Solve with the last factor."""
        return np.asarray(dpotrs(self.factored, rhs * self.scale, lower=0)[0] * self.scale)

    def multiply(self, d: Array, s: Array, z: Array) -> Array:
        """Unregularised Newton matrix times d."""
        spread = d.reshape(self.t, self.m) @ self.incidence
        change = np.add.reduce(spread * self.r, 0)
        return np.asarray((self.r * (s * spread + (s / z - s) * change)) @ self.incidence_t).reshape(-1)

    def unpack(self, theta: Array, s: Array) -> tuple[Array, Array, Array]:
        """(s, lam, mu) for the caller."""
        x, y = self.x, self.y
        if self.cells is None:
            grid = s.copy()
        else:
            grid = np.zeros(x * y)
            grid[self.cells] = s
        table = theta.reshape(self.t, self.m)
        return grid.reshape(x, y), table[:, :x].copy(), table[:, x:].copy()


def interior_point(
    kernel: Kernel,
    a: Array,
    b: Array,
    *,
    tolerance: float,
    max_iterations: int,
    deadline: float,
    floor: float = 0.1,
    relative_error: float = 8.0 * UNIT_ROUNDOFF,
) -> SolverState:
    """Mehrotra predictor-corrector until the certificate of (a, b) is narrower than `tolerance` nats.

    Parameters
    ----------
    floor : float, default=0.1
        Smallest starting s as a share of p_x p_y; 1 is slower and sturdier on spread masses.

    Notes
    -----
    There is no line search on a merit function: the log form makes full steps safe once each multiplier
    moves by at most 8 at a time. Iterates need not be feasible; the certificate repairs both ends itself.
    """
    state = SolverState()
    # Far from the optimum a step can overflow; every factor, step and gap is checked for being finite.
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        _iterate(state, kernel, a, b, tolerance, max_iterations, deadline, floor, relative_error)
    if state.primal is None:  # the rare run that ends before its first certificate: the start is always valid
        state.offer(a, b, *kernel.unpack(*kernel.start()), relative_error)
    return state


def _iterate(
    state: SolverState,
    kernel: Kernel,
    a: Array,
    b: Array,
    tolerance: float,
    max_iterations: int,
    deadline: float,
    floor: float,
    relative_error: float,
) -> None:
    weights, c = kernel.weights, kernel.c
    theta, s = kernel.start()
    log_s = kernel.set_point(theta)
    s = np.maximum(s, floor * weights)
    top = float(log_s.max()) + 0.5
    theta = kernel.shift(theta, top)
    log_s = log_s - top
    kernel.set_point(theta)
    z = -log_s
    total_weight = float(weights.sum())
    stalled, checked_at = 0, math.inf
    for iteration in range(max_iterations + 1):
        state.iterations = iteration
        gap = float(s @ z)
        over = kernel.apply(s)
        residual = c - over
        late = time.perf_counter() > deadline
        ready = gap < 0.7 * tolerance and gap < 0.5 * checked_at
        if ready and gap > 1e-3 * tolerance:
            ready = float(np.abs(residual).sum()) < 4.0 * tolerance  # else the certificate cannot pass yet
        last = iteration == max_iterations or late
        if ready or last or not math.isfinite(gap) or (iteration >= 25 and iteration % 5 == 0):
            if not math.isfinite(gap):
                state.status = "stalled"
                break
            checked_at = min(gap, checked_at)
            better = state.offer(a, b, *kernel.unpack(theta, s), relative_error)
            stalled = 0 if better else stalled + 1
            if state.width < tolerance:
                state.status = "converged"
                break
            if stalled >= _STALL or (stalled >= 2 and gap < 1e-6 * tolerance):
                state.status = "stalled"
                break
        if last:
            state.status = "time limit" if late else "iteration limit"
            break
        slack_residual = -log_s - z
        sz, zi = s * z, 1.0 / z
        if not any(kernel.factor(s, z, over, reg) for reg in REGULARISATION):
            state.offer(a, b, *kernel.unpack(theta, s), relative_error)
            state.status = "stalled"
            break
        base = residual + kernel.apply(s * slack_residual * zi)

        # Predictor: the plain Newton direction, which tells how much centring the step needs.
        d = kernel.backsolve(base + over)
        dz = slack_residual - kernel.adjoint(d)
        ds = -s - s * dz * zi
        primal = min(1.0, -1.0 / min(float((ds / s).min()), -1.0))
        dual = min(1.0, -1.0 / min(float((dz * zi).min()), -1.0))
        affine = float((s + primal * ds) @ (z + dual * dz))
        sigma = min(max((affine / gap) ** 3, 1e-4), 0.9)

        target = (sigma * gap / total_weight) * weights - sz - ds * dz
        rhs = base - kernel.apply(target * zi)
        d = kernel.backsolve(rhs)
        if gap < _REFINE_BELOW:
            # The regularisation biases the step by about its own size; refinement takes that out.
            for _ in range(_REFINEMENTS):
                d = d + kernel.backsolve(rhs - kernel.multiply(d, s, z))
        dz = slack_residual - kernel.adjoint(d)
        ds = (target - s * dz) * zi
        longest = -1.0 / min(float((ds / s).min()), float((dz * zi).min()), -_TO_BOUNDARY)
        step = _TO_BOUNDARY * min(1.0, longest)
        largest = float(np.abs(d).max())
        if not math.isfinite(largest):
            state.offer(a, b, *kernel.unpack(theta, s), relative_error)
            state.status = "stalled"
            break
        step = min(step, _CAP / largest) if step * largest > _CAP else step
        theta = theta + step * d
        s = s + step * ds
        z = z + step * dz
        log_s = kernel.set_point(theta)
