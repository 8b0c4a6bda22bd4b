"""Newton matrix by Schur complement: eliminate the larger side in T x T blocks, factor T min(X, Y)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.linalg.blas import dsyrk
from scipy.linalg.lapack import dpotrf, dpotrs

from redundancy.pid.first_order import sweeps
from redundancy.pid.interior_point import FIRST_SLACK

__all__ = ["SchurKernel"]

Array = npt.NDArray[np.float64]
_BLOCK_REGULARISATION = 1e-15
_SWEEPS = 40


class SchurKernel:
    """The kernel for tables above about 1,500 cells; see `interior_point.Kernel` for the contract.

    The matrix is block diagonal over x and over y; its cross block is
    delta_tu s r_t + (s / z - s) r_t r_u. Cost of a factorisation: (T Y)^2 (T X) for Y <= X.
    """

    correctors = 1

    def __init__(self, a: Array, b: Array) -> None:
        self.swap = a.shape[1] < b.shape[1]
        if self.swap:
            a, b = b, a
        self.a, self.b = a, b
        self.t, self.x = a.shape
        self.y = b.shape[1]
        self.on_a, self.on_b = (a > 0.0).astype(np.float64), (b > 0.0).astype(np.float64)
        active = (self.on_a.T @ self.on_b) > 0.0
        self.cells = None if active.all() else np.flatnonzero(active)
        self.c = np.concatenate([a.ravel(), b.ravel()])
        self.p_t, self.p_x, self.p_y = a.sum(1), a.sum(0), b.sum(0)
        self.gauge = np.arange(self.t) * self.y + b.argmax(1)
        self.weights = self._gather(self.p_x[:, None] * self.p_y)

    def _gather(self, grid: Array) -> Array:
        flat = grid.reshape(-1)
        return flat if self.cells is None else flat[self.cells]

    def _scatter(self, v: Array, fill: float = 0.0) -> Array:
        if self.cells is None:
            return v.reshape(self.x, self.y)
        grid = np.full(self.x * self.y, fill)
        grid[self.cells] = v
        return grid.reshape(self.x, self.y)

    def _split(self, theta: Array) -> tuple[Array, Array]:
        k = self.t * self.x
        return theta[:k].reshape(self.t, self.x), theta[k:].reshape(self.t, self.y)

    def start(self, floor: float) -> tuple[Array, Array, float]:
        """A few first-order sweeps, which cost less than the iteration or two they save; floor 1 starts without."""
        warm = sweeps(self.a, self.b, _SWEEPS) if floor < 1.0 else None
        if warm is not None:
            lam, mu, s = warm
            theta = np.concatenate([lam.ravel(), mu.ravel()])
            return theta, np.maximum(self._gather(s), 0.1 * floor * self.weights), 0.1 * FIRST_SLACK
        lam = np.log(np.where(self.a > 0.0, self.a, 1.0)) - np.log(self.p_x)
        mu = np.log(np.where(self.b > 0.0, self.b, 1.0)) - np.log(self.p_y) - np.log(self.p_t)[:, None]
        theta = np.concatenate([(lam * self.on_a).ravel(), (mu * self.on_b).ravel()])
        return theta, self.weights * np.maximum(np.exp(self.set_point(theta)), floor), FIRST_SLACK

    def set_point(self, theta: Array) -> Array:
        """Move to theta; log S."""
        lam, mu = self._split(theta)
        self.left, self.right = np.exp(lam) * self.on_a, np.exp(mu) * self.on_b
        total = self.left.T @ self.right
        flat = self._gather(total)
        self.total = total if self.cells is None else np.where(total > 0.0, total, 1.0)
        return np.asarray(np.log(flat))

    def apply(self, v: Array) -> Array:
        """R v."""
        u = self._scatter(v) / self.total
        return np.concatenate([(self.left * (self.right @ u.T)).ravel(), (self.right * (self.left @ u)).ravel()])

    def adjoint(self, d: Array) -> Array:
        """R' d."""
        dl, dm = self._split(d)
        return self._gather(((self.left * dl).T @ self.right + self.left.T @ (self.right * dm)) / self.total)

    def factor(self, s: Array, ratio: Array, diagonal: Array, regularisation: float) -> bool:
        """Factor the Newton matrix."""
        t, x, y = self.t, self.x, self.y
        left, right, total = self.left, self.right, self.total
        u = self._scatter(s) / total
        w = self._scatter(ratio - s) / total / total
        self.ratio = ratio
        diag = np.arange(t)
        pairs = (right[:, None] * right).reshape(t * t, y)
        block_x = (w @ pairs.T).reshape(x, t, t) * left.T[:, :, None] * left.T[:, None, :]
        over_x, over_y = self._split(diagonal)
        block_x[:, diag, diag] += over_x.T
        pairs = (left[:, None] * left).reshape(t * t, x)
        block_y = (w.T @ pairs.T).reshape(y, t, t) * right.T[:, :, None] * right.T[:, None, :]
        block_y[:, diag, diag] += over_y.T

        # Jacobi scaling on both sides; multipliers of empty marginals get a unit pivot and never move.
        dx, dy = block_x[:, diag, diag], block_y[:, diag, diag]
        scale_x = np.where(dx > 0.0, 1.0 / np.sqrt(np.where(dx > 0.0, dx, 1.0)), 1.0)
        scale_y = np.where(dy > 0.0, 1.0 / np.sqrt(np.where(dy > 0.0, dy, 1.0)), 1.0)
        block_x *= scale_x[:, :, None] * scale_x[:, None, :]
        block_x[:, diag, diag] += (dx <= 0.0) + max(_BLOCK_REGULARISATION, 1e-2 * regularisation)
        block_y *= scale_y[:, :, None] * scale_y[:, None, :]
        try:
            lower = np.linalg.cholesky(block_x)
        except np.linalg.LinAlgError:
            return False
        self.inverse = np.linalg.inv(lower) * scale_x[:, None, :]  # R^-1 D, (X, T, T)

        left_x, right_s = left.T, right * scale_y.T
        cross = (w[:, None, :] * right) * left_x[:, :, None]  # x, t, y
        cross = cross[:, :, None, :] * left_x[:, None, :, None]
        cross[:, diag, diag, :] += u[:, None, :] * left_x[:, :, None]
        cross *= right_s
        self.eliminated = (self.inverse @ cross.reshape(x, t, t * y)).reshape(x * t, t * y)
        k = np.zeros((t * y, t * y), order="F")
        np.einsum("uyvy->yuv", k.T.reshape(t, y, t, y))[...] = block_y
        k = dsyrk(-1.0, self.eliminated.T, beta=1.0, c=k, overwrite_c=1, lower=1)
        index = np.arange(t * y)
        k[index, index] += regularisation + (dy <= 0.0).T.ravel()
        # One representative of the gauge lam_t + c, mu_t - c: see DenseKernel.
        k[self.gauge, self.gauge] += 1.0
        self.factored, info = dpotrf(k, lower=1, clean=0, overwrite_a=1)
        self.scale_y = scale_y.T.ravel()
        return bool(info == 0)

    def solve(self, rhs: Array) -> tuple[Array, Array, Array]:
        """Solve with the last factor."""
        t, x = self.t, self.x
        k = t * x
        h = (self.inverse @ rhs[:k].reshape(t, x).T[:, :, None]).reshape(-1)
        dm = dpotrs(self.factored, rhs[k:] * self.scale_y - self.eliminated.T @ h, lower=1)[0]
        rest = (h - self.eliminated @ dm).reshape(x, t, 1)
        dl = (np.swapaxes(self.inverse, 1, 2) @ rest)[:, :, 0].T
        d = np.concatenate([dl.ravel(), dm * self.scale_y])
        change = self.adjoint(d)
        return d, change, self.ratio * change

    def marginal_change(self, d: Array, s: Array, v: Array) -> Array:
        """Change of the marginals to first order."""
        dl, dm = self._split(d)
        left, right = self.left, self.right
        u, w = self._scatter(s) / self.total, self._scatter(v) / self.total
        over_x = left * (dl * (right @ u.T) + (right * dm) @ u.T + right @ w.T)
        over_y = right * (dm * (left @ u) + (left * dl) @ u + left @ w)
        return np.concatenate([over_x.ravel(), over_y.ravel()])

    def unpack(self, theta: Array, s: Array) -> tuple[Array, Array, Array]:
        """(s, lam, mu) for the caller."""
        lam, mu = self._split(theta)
        grid = self._scatter(s)
        if self.swap:
            return grid.T.copy(), mu.copy(), lam.copy()
        return grid.copy(), lam.copy(), mu.copy()
