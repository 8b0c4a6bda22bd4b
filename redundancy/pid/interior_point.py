"""Primal-dual interior point on the dual, slack in log form: one driver, two linear algebras.

Variables: multipliers theta = (lam, mu), cell weights s > 0, slacks z = -log S > 0. The Newton system is
reduced to theta. `DenseKernel` (dense.py) assembles it whole and serves small tables; `SchurKernel`
(schur.py) eliminates the larger side and serves the rest. Both get the same step rules.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from redundancy.pid.dual import dual_bound, primal_bound
from redundancy.pid.problem import UNIT_ROUNDOFF

__all__ = ["FIRST_SLACK", "Kernel", "SolverState", "interior_point"]

Array = npt.NDArray[np.float64]
REGULARISATION = (1e-15, 1e-12, 1e-9, 1e-6)  # after Jacobi scaling, the next if the factorisation breaks down
FIRST_SLACK = 0.02  # least starting slack; the start need not satisfy log S = -z
_TO_BOUNDARY, _TO_BOUNDARY_NEAR, _NEAR = 0.99, 0.999, 1e-3  # share of the longest step taken, far and near (nats)
_REFINE_BELOW = 1e-4  # complementarity (nats) from which the Newton steps are refined
_AMPLIFIED = 1e13  # and only where s / z times the step reaches this times the tolerance
_REFINEMENTS = 3
_FAR = 4.0  # a marginal this many times too small gets the logarithmic-mean Newton step
_LAG = 0.01  # least centring, as a share of what the slack equations are off by
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
    correctors: int

    def start(self, floor: float) -> tuple[Array, Array, float]:
        """First multipliers (n,), cell weights (N,) and least slack; weights are at least about floor p_x p_y."""

    def set_point(self, theta: Array) -> Array:
        """Move to theta; log S of the active cells."""

    def apply(self, v: Array) -> Array:
        """R v."""

    def adjoint(self, d: Array) -> Array:
        """R' d, the change of log S."""

    def factor(self, s: Array, ratio: Array, diagonal: Array, regularisation: float) -> bool:
        """Factor the Newton matrix with ratio = s / z and `diagonal` in place of R s; False if it breaks down."""

    def solve(self, rhs: Array) -> tuple[Array, Array, Array]:
        """(d, R'd, (s / z) R'd) with the last factor."""

    def marginal_change(self, d: Array, s: Array, v: Array) -> Array:
        """Sum of s r_t (dlam_t + dmu_t) + R v: how the marginals move, to first order, if v = ds - s R'd."""

    def unpack(self, theta: Array, s: Array) -> tuple[Array, Array, Array]:
        """(s on the grid, lam, mu) in the orientation of the caller."""


def interior_point(
    kernel: Kernel,
    a: Array,
    b: Array,
    *,
    tolerance: float,
    max_iterations: int,
    deadline: float,
    floor: float = 0.1,
    cap: float = 3.0,
    relative_error: float = 8.0 * UNIT_ROUNDOFF,
) -> SolverState:
    """Mehrotra predictor-corrector until the certificate of (a, b) is narrower than `tolerance` nats.

    More than eight parameters: the problem, where to stop, and two numbers that trade speed for sturdiness.

    Parameters
    ----------
    floor : float, default=0.1
        Smallest starting s as a share of p_x p_y; 1 is slower and sturdier on spread masses.
    cap : float, default=3
        Largest move of a multiplier in one step; 8 is faster on spread masses and cycles on a few tables.

    Notes
    -----
    There is no line search on a merit function: the log form makes full steps safe once no multiplier
    moves too far at a time. Iterates need not be feasible; the certificate repairs both ends itself.
    """
    state = SolverState()
    # Far from the optimum a step can overflow; every factor, step and gap is checked for being finite.
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        _iterate(state, kernel, a, b, tolerance, max_iterations, deadline, floor, cap, relative_error)
    if state.primal is None:  # the rare run that ends before its first certificate: the start is always valid
        state.offer(a, b, *kernel.unpack(*kernel.start(floor)[:2]), relative_error)
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
    cap: float,
    relative_error: float,
) -> None:
    """Iterate into `state`; more than eight parameters, as `interior_point`."""
    weights, c = kernel.weights, kernel.c
    theta, s, slack = kernel.start(floor)
    log_s = kernel.set_point(theta)
    z = np.maximum(-log_s, slack)
    reach = np.sqrt(weights)  # what a cell that breaks its constraint may cost the lower bound
    shares = weights / float(weights.sum())
    stalled, checked_at = 0, math.inf
    for iteration in range(max_iterations + 1):
        state.iterations = iteration
        products = s * z
        gap = float(np.add.reduce(products))
        over = kernel.apply(s)
        late = time.perf_counter() > deadline
        ready = gap < 0.7 * tolerance and gap < 0.5 * checked_at
        if ready and gap > 1e-3 * tolerance:
            ready = float(np.add.reduce(np.abs(c - over))) < 4.0 * tolerance  # else the certificate cannot pass yet
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
        off = log_s + z  # >= 0: how far each slack is above what the multipliers have
        zi = 1.0 / z
        ratio = s * zi
        diagonal = _damped(over, c)
        if not any(kernel.factor(s, ratio, diagonal, reg) for reg in REGULARISATION):
            state.offer(a, b, *kernel.unpack(theta, s), relative_error)
            state.status = "stalled"
            break

        # Predictor: the plain Newton direction, which tells how much centring the step needs. With
        # w = -dz / z it has ds = -s (1 - w), so everything about it follows from w.
        known = ratio * off
        w = (off + kernel.solve(c - kernel.apply(known))[1]) * zi
        primal = 1.0 / max(1.0 - float(np.minimum.reduce(w)), 1.0)
        dual = 1.0 / max(float(np.maximum.reduce(w)), 1.0)
        turned = products * w
        first, second = float(np.add.reduce(turned)), float(turned @ w)
        affine = (1.0 - primal) * gap - (dual * (1.0 - primal) - primal) * first - primal * dual * second
        # Complementarity must not outrun the slacks: far off the constraints, small s z leads into a corner.
        lag = float(s @ off)
        if float(np.maximum.reduce(log_s)) > 0.0:
            lag += 0.1 * float(reach @ np.maximum(log_s, 0.0))
        sigma = min(max((affine / gap) ** 3, _LAG * lag / gap, 1e-4), 0.9) if math.isfinite(affine) else 0.9

        centre = (sigma * gap) * shares
        target = centre - turned
        turned *= w
        target += turned
        target *= zi
        target += known
        d, change, lift = kernel.solve(c - kernel.apply(target))
        ds = target - s + lift
        dz = -(off + change)
        for _ in range(kernel.correctors):
            # Once more with the second-order term of the step just found, if that makes the step longer.
            target = (centre - ds * dz) * zi + known
            d2, change2, lift = kernel.solve(c - kernel.apply(target))
            ds2, dz2 = target - s + lift, -(off + change2)
            if _blocking(ds2, s, dz2, zi) > _blocking(ds, s, dz, zi):
                d, change, ds, dz = d2, change2, ds2, dz2
        largest = float(np.maximum.reduce(np.abs(d)))
        if gap < _REFINE_BELOW and float(np.maximum.reduce(ratio)) * largest > _AMPLIFIED * tolerance:
            # s / z amplifies rounding in d; ds is an unknown of its own here, so the marginals come out right.
            residual = c - over
            goal = 1e-2 * max(float(np.add.reduce(np.abs(residual))), tolerance)
            for _ in range(_REFINEMENTS):
                error = residual - kernel.marginal_change(d, s, ds - s * change) - (diagonal - over) * d
                size = float(np.add.reduce(np.abs(error)))
                if size < goal or not math.isfinite(size):
                    break
                more, turn, lift = kernel.solve(error)
                d, change, ds = d + more, change + turn, ds + lift
            dz = -(off + change)
            largest = float(np.maximum.reduce(np.abs(d)))
        if not math.isfinite(largest):
            state.offer(a, b, *kernel.unpack(theta, s), relative_error)
            state.status = "stalled"
            break
        longest = -1.0 / min(_blocking(ds, s, dz, zi), -_TO_BOUNDARY)
        step = (_TO_BOUNDARY if gap > _NEAR else _TO_BOUNDARY_NEAR) * min(1.0, longest)
        if largest > cap:  # one by one: shortening the whole step would stop all for the sake of one
            d = np.clip(d, -cap, cap)
        theta = theta + step * d
        s = s + step * ds
        log_s = kernel.set_point(theta)
        z = np.maximum(z + step * dz, -log_s)  # a slack is never below what the multipliers have


def _blocking(ds: Array, s: Array, dz: Array, zi: Array) -> float:
    """Most negative relative change of s and z."""
    return min(float(np.minimum.reduce(ds / s)), float(np.minimum.reduce(dz * zi)))


def _damped(over: Array, c: Array) -> Array:
    """R s, raised to the logarithmic mean with the wanted marginal where it is far too small.

    The marginal grows as exp(d): Newton's own c / over - 1 would overshoot by orders of magnitude, and capping the
    whole step for the sake of one multiplier would stop all the others. The logarithmic mean asks for log(c / over).
    """
    if not bool((c > _FAR * over).any()):
        return over
    safe = np.maximum(over, 1e-300)
    far = c > _FAR * over
    return np.where(far, (c - safe) / np.log(np.where(far, c, 2.0 * safe) / safe), over)
