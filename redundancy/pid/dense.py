"""Newton matrix assembled and factored whole: the linear algebra of small tables."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.linalg.lapack import dpotrf, dpotrs

from redundancy.pid.first_order import sweeps
from redundancy.pid.interior_point import FIRST_SLACK

__all__ = ["DenseKernel"]

Array = npt.NDArray[np.float64]
_SWEEPS = 6


class DenseKernel:
    """Newton matrix T(X+Y) square, filled in a few numpy calls and factored whole: for small tables.

    Multipliers are ordered (symbol, target), all of x before all of y: every block of the matrix is T x T, the two
    diagonal halves are block diagonal, and only the upper triangle is filled.
    """

    def __init__(self, a: Array, b: Array) -> None:
        t, x = a.shape
        y = b.shape[1]
        m = x + y
        self.x, self.y, self.t, self.m, self.n = x, y, t, m, t * m
        table = np.concatenate([a, b], axis=1).T.copy()
        self.table, self.on = table, table > 0.0
        self.all_on = bool(self.on.all())
        self.cells = None
        if not self.all_on:
            active = np.flatnonzero((self.on[:x].astype(float) @ self.on[x:].T).ravel() > 0.0)
            self.cells = None if len(active) == x * y else active
        self.incidence, self.incidence_t = _incidence(x, y)
        self.p_x, self.p_y = np.add.reduce(a, 0), np.add.reduce(b, 0)
        self.weights = np.multiply.outer(self.p_x, self.p_y).ravel()
        self.mask = None
        if not self.all_on:
            cx, cy = np.divmod(np.arange(x * y), y)
            mask = self.on[cx] & self.on[x + cy]
            if self.cells is not None:
                self.incidence = np.ascontiguousarray(self.incidence[:, self.cells])
                self.incidence_t = np.ascontiguousarray(self.incidence.T)
                self.weights, mask = self.weights[self.cells], mask[self.cells]
            self.mask = mask.astype(np.float64)
            self.dead = np.flatnonzero(~self.on)
        self.c = table.ravel()
        self.ones = np.ones(t)
        self.repeat, self.tile = _kronecker(t)
        # One buffer for every factorisation. Cholesky leaves the zeros between the blocks of x alone; only the
        # corner of y fills in and is cleared again.
        n, k = t * m, t * x
        self.h = np.zeros((n, n))
        self.cross = self.h[:k, k:].reshape(x, t, y, t)
        self.corner = self.h[k:, k:]
        self.own = np.ndarray((m, t, t), float, self.h, 0, (8 * t * (n + 1), 8 * n, 8))
        self.pivots = self.h.reshape(-1)[:: n + 1]
        # Gauge: lam_t + k, mu_t - k is the same law. A raised pivot on the heaviest mu of every t picks one
        # representative; right-hand sides are orthogonal to the gauge, so the solution is not biased.
        self.gauge = (x + b.argmax(1)) * t + np.arange(t)

    correctors = 0  # a solve costs too much of an iteration here

    def start(self, floor: float) -> tuple[Array, Array, float]:
        """A few first-order sweeps, which cost less than the iteration they save; floor 1 starts without."""
        x, a, b = self.x, self.table[: self.x].T, self.table[self.x :].T
        warm = sweeps(a, b, _SWEEPS) if floor < 1.0 else None
        if warm is not None:
            lam, mu, s = warm
            s = s.ravel() if self.cells is None else s.ravel()[self.cells]
            theta = np.concatenate([lam, mu], axis=1).T.ravel()
            return theta, np.maximum(s, 0.2 * floor * self.weights), 0.25 * FIRST_SLACK
        theta = np.log(self.table if self.all_on else np.where(self.on, self.table, 1.0))
        theta[:x] -= np.log(self.p_x)[:, None]
        theta[x:] -= np.log(self.p_y)[:, None]
        theta[x:] -= np.log(np.add.reduce(self.table[:x], 0))
        if not self.all_on:
            theta[~self.on] = 0.0
        theta = theta.ravel()
        return theta, self.weights * np.maximum(np.exp(self.set_point(theta)), floor), FIRST_SLACK

    def set_point(self, theta: Array) -> Array:
        """Move to theta; log S."""
        e = np.exp(self.incidence_t @ theta.reshape(self.m, self.t))
        if self.mask is not None:
            e *= self.mask
        total = e @ self.ones
        e /= total[:, None]
        self.r = e
        return np.asarray(np.log(total))

    def apply(self, v: Array) -> Array:
        """R v."""
        return (self.incidence @ (self.r * v[:, None])).reshape(-1)

    def adjoint(self, d: Array) -> Array:
        """R' d."""
        spread = self.incidence_t @ d.reshape(self.m, self.t)
        spread *= self.r
        return np.asarray(spread @ self.ones)

    def newton_matrix(self, s: Array, ratio: Array, diagonal: Array, regularisation: float) -> Array:
        """Upper triangle of the Newton matrix with `ratio` = s / z - s, (n, n); overwritten by the next call."""
        t, r = self.t, self.r
        # r r' of every cell, (cells, T T): repeating columns by a product is faster than broadcasting over short axes.
        outer = (r * ratio[:, None]) @ self.repeat
        outer *= r @ self.tile
        self.corner.fill(0.0)
        self.own[...] = (self.incidence @ outer).reshape(self.m, t, t)
        outer[:, :: t + 1] += r * s[:, None]
        if self.cells is not None:
            grid = np.zeros((self.x * self.y, t * t))
            grid[self.cells] = outer
            outer = grid
        self.cross[...] = outer.reshape(self.x, self.y, t, t).transpose(0, 2, 1, 3)
        pivots = self.pivots
        pivots += (1.0 + regularisation) * diagonal + regularisation * pivots
        if not self.all_on:
            pivots[self.dead] = 1.0
        pivots[self.gauge] += diagonal[self.gauge]
        return self.h

    def factor(self, s: Array, ratio: Array, diagonal: Array, regularisation: float) -> bool:
        """Factor the Newton matrix."""
        h = self.newton_matrix(s, ratio - s, diagonal, regularisation)
        self.factored, info = dpotrf(h.T, lower=1, clean=0, overwrite_a=1)
        self.ratio = ratio
        return bool(info == 0)

    def solve(self, rhs: Array) -> tuple[Array, Array, Array]:
        """Solve with the last factor."""
        d = dpotrs(self.factored, rhs, lower=1)[0]
        change = self.adjoint(d)
        return d, change, self.ratio * change

    def marginal_change(self, d: Array, s: Array, v: Array) -> Array:
        """Change of the marginals to first order."""
        spread = self.incidence_t @ d.reshape(self.m, self.t)
        spread *= s[:, None]
        spread += v[:, None]
        spread *= self.r
        return (self.incidence @ spread).reshape(-1)

    def unpack(self, theta: Array, s: Array) -> tuple[Array, Array, Array]:
        """(s, lam, mu) for the caller."""
        x, y = self.x, self.y
        if self.cells is None:
            grid = s.copy()
        else:
            grid = np.zeros(x * y)
            grid[self.cells] = s
        table = theta.reshape(self.m, self.t)
        return grid.reshape(x, y), table[:x].T.copy(), table[x:].T.copy()


@lru_cache(maxsize=16)
def _kronecker(t: int) -> tuple[Array, Array]:
    """(T, T T) matrices that repeat every column T times and the whole row T times; shared, never written to."""
    eye = np.eye(t)
    repeat, tile = np.repeat(eye, t, axis=1), np.tile(eye, (1, t))
    repeat.flags.writeable = tile.flags.writeable = False
    return repeat, tile


@lru_cache(maxsize=16)
def _incidence(x: int, y: int) -> tuple[Array, Array]:
    """Which of the X + Y symbols each of the X Y cells has; shared, never written to."""
    columns = np.arange(x * y)
    matrix = np.zeros((x + y, x * y))
    matrix[columns // y, columns] = 1.0
    matrix[x + columns % y, columns] = 1.0
    transposed = np.ascontiguousarray(matrix.T)
    matrix.flags.writeable = transposed.flags.writeable = False
    return matrix, transposed
