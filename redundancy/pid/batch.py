"""Thousands of small tables of one shape at once: the interior point of one table, vectorised over tables."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import entr

from redundancy.checks import as_masses, check_count, check_real
from redundancy.errors import InvalidInputError, NotConvergedError, SkipItError
from redundancy.files.tabular import Tabular
from redundancy.pid.dual import dual_bound, primal_bound
from redundancy.pid.interior_point import FIRST_SLACK
from redundancy.pid.problem import EXTENDED_EPS, UNIT_ROUNDOFF
from redundancy.pid.solve import broja
from redundancy.units import check_base

__all__ = ["BrojaBatch", "broja_batch"]

Array = npt.NDArray[np.float64]
_CHUNK_DOUBLES = 400_000  # Newton matrices of one chunk stay near the cache


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BrojaBatch(Tabular):
    """Intervals of n tables as arrays of shape (n,), in units of `base`; row i of each belongs to table i.

    `gap` is the certified width; rows whose gap exceeds the tolerance have ``converged == False`` and valid,
    wider intervals.

    Parameters
    ----------
    lower : dict of str to ndarray
        Lower ends by atom.
    upper : dict of str to ndarray
        Upper ends by atom.
    gap : ndarray of shape (n,)
        Certified gaps.
    iterations : ndarray of int64, shape (n,)
        Steps taken.
    converged : ndarray of bool, shape (n,)
        Whether the gap reached the tolerance.
    base : float
        Unit.
    seconds : float
        Time of the whole batch.
    """

    lower: dict[str, Array]
    upper: dict[str, Array]
    gap: Array
    iterations: npt.NDArray[np.int64]
    converged: npt.NDArray[np.bool_]
    base: float
    seconds: float

    def __len__(self) -> int:
        return len(self.gap)

    def to_records(self) -> list[dict[str, Any]]:
        """One flat row per table."""
        return [
            {f"{name}_{end}": float(values[name][i]) for name in self.lower for end, values in self._ends()}
            | {"gap": float(self.gap[i]), "base": self.base, "iterations": int(self.iterations[i])}
            for i in range(len(self))
        ]

    def _ends(self) -> tuple[tuple[str, dict[str, Array]], tuple[str, dict[str, Array]]]:
        return ("lower", self.lower), ("upper", self.upper)


def broja_batch(
    joints: npt.ArrayLike,
    *,
    tolerance: float = 1e-9,
    base: float = 2.0,
    max_iterations: int = 60,
    throw: bool = True,
) -> BrojaBatch:
    """`broja` for many tables of one small shape.

    Parameters
    ----------
    joints : array_like of shape (n, T, X, Y)
        Every table is a law with axes (t, x, y); zeros may differ from table to table.
    tolerance, base, throw
        As for `broja`; with `throw`, one table above the tolerance raises with the whole batch in ``.result``.
    max_iterations : int, default=60
        For the vectorised pass; the few tables it leaves behind are solved one by one.

    Returns
    -------
    BrojaBatch
        Row i of each array belongs to table i.

    Raises
    ------
    InvalidInputError
        If a table is not a law; the message names it.
    NotConvergedError
        If a certified gap exceeds the tolerance and `throw` is true.

    Examples
    --------
    >>> import numpy as np
    >>> result = broja_batch(np.full((3, 2, 2, 2), 0.125))
    >>> len(result), bool((result.gap < 1e-9).all())
    (3, True)
    """
    start = time.perf_counter()
    base = check_base(base)
    check_real(tolerance, "tolerance", lower=0.0, open_ends=True)
    check_count(max_iterations, "max_iterations", lower=1)
    tables = _check_tables(joints)
    n, t, x, y = tables.shape
    unit = math.log(base)
    chunk = max(1, _CHUNK_DOUBLES // (t * x * t * y + t * y * t * y))
    bounds = np.empty((n, 2))
    iterations = np.zeros(n, dtype=np.int64)
    eta = 8.0 * UNIT_ROUNDOFF + 3.0 * t * x * y * EXTENDED_EPS
    a = np.add.reduce(tables, axis=3, dtype=np.longdouble).astype(np.float64)
    b = np.add.reduce(tables, axis=2, dtype=np.longdouble).astype(np.float64)
    for k in range(0, n, chunk):
        part = slice(k, k + chunk)
        bounds[part], iterations[part] = _solve_chunk(a[part], b[part], tolerance * unit, max_iterations, eta)
    lower, upper = _atoms(tables, a, b, bounds, eta, unit)
    gap = (bounds[:, 1] - bounds[:, 0]) / unit
    for i in np.flatnonzero(~(gap <= tolerance)):
        # Presolve and the sturdier start of the single solver serve the rare table that needs them.
        try:
            one = broja(tables[i], tolerance=tolerance, base=base, throw=False)
        except SkipItError:  # keep the batch's own valid interval
            continue
        if one.gap < gap[i] or not math.isfinite(gap[i]):
            gap[i] = one.gap
            iterations[i] += one.iterations
            for name in lower:
                interval = getattr(one, name)
                lower[name][i], upper[name][i] = interval.lower, interval.upper
    result = BrojaBatch(
        lower=lower,
        upper=upper,
        gap=gap,
        iterations=iterations,
        converged=gap <= tolerance,
        base=base,
        seconds=time.perf_counter() - start,
    )
    if throw and not result.converged.all():
        bad = int(np.count_nonzero(~result.converged))
        raise NotConvergedError(
            f"need certified gaps of {tolerance:.3g}, got {gap.max():.3g} at worst and {bad} of {n} tables above; "
            "the intervals in .result are valid, raise the tolerance or pass throw=False",
            result,
        )
    return result


def _check_tables(joints: npt.ArrayLike) -> Array:
    tables, slack = as_masses(joints, "joints")
    if tables.ndim != 4 or tables.size == 0:
        raise InvalidInputError(f"need joints of shape (n, T, X, Y), got shape {tables.shape}")
    totals = np.add.reduce(tables, axis=(1, 2, 3), dtype=np.longdouble).astype(np.float64)
    wrong = ~(np.abs(totals - 1.0) <= slack) | ~(tables.min(axis=(1, 2, 3)) >= 0.0)
    if wrong.any():
        i = int(np.flatnonzero(wrong)[0])
        raise InvalidInputError(
            f"need masses >= 0 that sum to 1 in every table, table {i} has a minimum of {tables[i].min():.6g} and a "
            f"sum of {totals[i]:.12g}; divide counts by their total first"
        )
    return np.asarray(tables / totals[:, None, None, None])


def _atoms(
    tables: Array, a: Array, b: Array, bounds: Array, eta: float, unit: float
) -> tuple[dict[str, Array], dict[str, Array]]:
    """The shifts of `result.atoms_from_union`, over tables."""

    def h(law: Array) -> Array:
        return np.asarray(entr(law).reshape(len(law), -1).sum(1))

    h_t, h_x, h_y = h(a.sum(2)), h(a.sum(1)), h(b.sum(1))
    h_tx, h_ty, h_txy, h_xy = h(a), h(b), h(tables), h(tables.sum(1))
    # entr sums in double: one more n u on each entropy than the single solver's extended sums.
    total = h_t + h_x + h_y + h_tx + h_ty + h_txy + h_xy + 14.0 + np.abs(bounds).max(1)
    slack = (eta + (8.0 + tables[0].size) * UNIT_ROUNDOFF) * total
    shifts = {
        "unique_x": (1, h_ty - h_y),
        "unique_y": (1, h_tx - h_x),
        "redundant": (-1, h_t + h_x + h_y - h_tx - h_ty),
        "synergistic": (-1, h_xy - h_txy),
    }
    lower, upper = {}, {}
    for name, (sign, shift) in shifts.items():
        first, second = (bounds[:, 0], bounds[:, 1]) if sign > 0 else (-bounds[:, 1], -bounds[:, 0])
        lower[name] = np.maximum((first + shift - slack) / unit, 0.0)
        upper[name] = np.maximum((second + shift + slack) / unit, 0.0)
    return lower, upper


def _solve_chunk(
    a: Array, b: Array, tolerance: float, max_iterations: int, eta: float
) -> tuple[Array, npt.NDArray[np.int64]]:
    """[lower, upper] on min f of every table; NaN never enters: tables that break are left at [-inf, inf]."""
    n = len(a)
    bounds = np.column_stack([np.full(n, -np.inf), np.full(n, np.inf)])
    iterations = np.zeros(n, dtype=np.int64)
    with np.errstate(all="ignore"):
        _Chunk(a, b, eta).run(tolerance, max_iterations, bounds, iterations)
    return bounds, iterations


class _Chunk:
    """Interior-point state of the tables still running; arrays have the table axis first."""

    def __init__(self, a: Array, b: Array, eta: float) -> None:
        self.eta = eta
        p_t, p_x, p_y = a.sum(2), a.sum(1), b.sum(1)
        on_a, on_b = a > 0.0, b > 0.0
        self.a, self.b, self.on_a, self.on_b = a, b, on_a.astype(np.float64), on_b.astype(np.float64)
        lam = np.where(on_a, np.log(np.where(on_a, a, 1.0)) - np.log(np.where(p_x > 0, p_x, 1.0))[:, None], 0.0)
        safe_y, safe_t = np.where(p_y > 0, p_y, 1.0), np.where(p_t > 0, p_t, 1.0)
        mu = np.where(on_b, np.log(np.where(on_b, b, 1.0)) - np.log(safe_y)[:, None] - np.log(safe_t)[:, :, None], 0.0)
        self.lam, self.mu = lam, mu
        self.w = p_x[:, :, None] * p_y[:, None, :]
        self.point()
        self.active = self.log_s > -1e3
        self.w = np.where(self.active, self.w, 0.0)
        self.s = np.where(self.active, np.maximum(self.w * np.exp(self.log_s), 0.1 * self.w), 0.0)
        self.z = np.where(self.active, np.maximum(-self.log_s, FIRST_SLACK), 1.0)
        self.weight = self.w.sum((1, 2))

    def point(self) -> None:
        self.left, self.right = np.exp(self.lam) * self.on_a, np.exp(self.mu) * self.on_b
        total = np.swapaxes(self.left, 1, 2) @ self.right
        on = total > 0.0
        self.total = np.where(on, total, 1.0)
        self.log_s = np.where(on, np.log(self.total), -np.inf)

    def keep(self, mask: npt.NDArray[np.bool_]) -> None:
        for name in ("a", "b", "on_a", "on_b", "lam", "mu", "w", "s", "z", "active", "weight"):
            setattr(self, name, getattr(self, name)[mask])
        self.left, self.right = self.left[mask], self.right[mask]
        self.total, self.log_s = self.total[mask], self.log_s[mask]

    def run(self, tolerance: float, limit: int, bounds: Array, iterations: npt.NDArray[np.int64]) -> None:
        live = np.arange(len(self.a))
        tried = np.zeros(len(live), dtype=np.int64)
        for iteration in range(limit + 1):
            gap = (self.s * self.z).sum((1, 2))
            ready = (gap < 0.6 * tolerance) | (iteration == limit)
            broken = ~np.isfinite(gap)
            finished = broken.copy()
            ready &= ~broken
            if ready.any():
                who = np.flatnonzero(ready)
                a, b, lam, mu = self.a[who], self.b[who], self.lam[who], self.mu[who]
                low = dual_bound(a, b, lam, mu, relative_error=self.eta)[0]
                up = primal_bound(a, b, self.s[who], lam, mu, relative_error=self.eta)[0]
                rows = live[who]
                bounds[rows, 0] = np.fmax(bounds[rows, 0], low)
                bounds[rows, 1] = np.fmin(bounds[rows, 1], up)
                tried[who] += 1
                finished[who] = (bounds[rows, 1] - bounds[rows, 0] < tolerance) | (tried[who] >= 6)
            iterations[live] = iteration
            if finished.any():
                stay = ~finished
                live, tried = live[stay], tried[stay]
                if len(live) == 0:
                    return
                self.keep(stay)
                gap = gap[stay]
            if iteration < limit:
                self.step(gap)

    def step(self, gap: Array) -> None:
        """One predictor-corrector step of every table, by the rules of `interior_point`."""
        s, z, active = self.s, self.z, self.active
        zi = 1.0 / z
        u = s / self.total
        self.u, self.ratio = u, np.where(active, s * zi - s, 0.0)
        over_x = self.left * (self.right @ np.swapaxes(u, 1, 2))
        over_y = self.right * (self.left @ u)
        self._factor(over_x, over_y)
        slack = np.where(active, -self.log_s - z, 0.0)
        bx, by = self._apply(s * slack * zi)
        base = (self.a - over_x + bx, self.b - over_y + by)
        d = self._solve(base[0] + over_x, base[1] + over_y)
        dz = np.where(active, slack - self._adjoint(*d), 0.0)
        ds = -s - s * dz * zi
        primal, dual = _longest(ds / np.where(active, s, 1.0)), _longest(dz * zi)
        affine = ((s + primal * ds) * (z + dual * dz)).sum((1, 2))
        sigma = np.clip((affine / gap) ** 3, 1e-4, 0.9)
        target = np.where(active, (sigma * gap / self.weight)[:, None, None] * self.w - s * z - ds * dz, 0.0)
        tx, ty = self._apply(target * zi)
        rx, ry = base[0] - tx, base[1] - ty
        dl, dm = self._solve(rx, ry)
        kx, ky = self._multiply(dl, dm, over_x, over_y)
        cx, cy = self._solve(rx - kx, ry - ky)
        dl, dm = dl + cx, dm + cy
        dz = np.where(active, slack - self._adjoint(dl, dm), 0.0)
        ds = (target - s * dz) * zi
        step = 0.99 * np.minimum(_longest(ds / np.where(active, s, 1.0)), _longest(dz * zi))
        largest = np.maximum(np.abs(dl).max((1, 2)), np.abs(dm).max((1, 2)))[:, None, None]
        step = np.minimum(step, 8.0 / np.maximum(largest, 8.0))
        self.lam, self.mu = self.lam + step * dl, self.mu + step * dm
        self.s, self.z = s + step * ds, z + step * dz
        self.point()

    def _apply(self, v: Array) -> tuple[Array, Array]:
        u = v / self.total
        return self.left * (self.right @ np.swapaxes(u, 1, 2)), self.right * (self.left @ u)

    def _adjoint(self, dl: Array, dm: Array) -> Array:
        change = np.swapaxes(self.left * dl, 1, 2) @ self.right + np.swapaxes(self.left, 1, 2) @ (self.right * dm)
        return np.asarray(change / self.total)

    def _multiply(self, dl: Array, dm: Array, over_x: Array, over_y: Array) -> tuple[Array, Array]:
        px, py = self._apply(self.ratio * self._adjoint(dl, dm))
        ux = over_x * dl + self.left * ((self.right * dm) @ np.swapaxes(self.u, 1, 2))
        uy = over_y * dm + self.right * ((self.left * dl) @ self.u)
        return px + ux, py + uy

    def _factor(self, over_x: Array, over_y: Array) -> None:
        """Eliminate x in T x T blocks, invert the T Y square that is left (both Jacobi-scaled)."""
        k, t, x = self.left.shape
        y = self.right.shape[2]
        left, right = np.swapaxes(self.left, 1, 2), np.swapaxes(self.right, 1, 2)  # (k, X, T), (k, Y, T)
        w = self.ratio / self.total / self.total
        diag = np.arange(t)
        pairs = (right[:, :, :, None] * right[:, :, None, :]).reshape(k, y, t * t)
        block_x = (w @ pairs).reshape(k, x, t, t) * left[:, :, :, None] * left[:, :, None, :]
        block_x[:, :, diag, diag] += np.swapaxes(over_x, 1, 2)
        pairs = (left[:, :, :, None] * left[:, :, None, :]).reshape(k, x, t * t)
        block_y = (np.swapaxes(w, 1, 2) @ pairs).reshape(k, y, t, t) * right[:, :, :, None] * right[:, :, None, :]
        block_y[:, :, diag, diag] += np.swapaxes(over_y, 1, 2)
        dx, dy = block_x[:, :, diag, diag], block_y[:, :, diag, diag]
        self.scale_x = np.where(dx > 0.0, 1.0 / np.sqrt(np.where(dx > 0.0, dx, 1.0)), 1.0)
        self.scale_y = np.where(dy > 0.0, 1.0 / np.sqrt(np.where(dy > 0.0, dy, 1.0)), 1.0)
        block_x *= self.scale_x[..., :, None] * self.scale_x[..., None, :]
        block_y *= self.scale_y[..., :, None] * self.scale_y[..., None, :]
        block_x[:, :, diag, diag] += (dx <= 0.0) + 1e-15
        block_y[:, :, diag, diag] += (dy <= 0.0) + 1e-15
        # cross: (x, t) against (y, u)
        core = (w[:, :, None, :] * self.right[:, None]) * left[:, :, :, None]  # k, x, t, y : w R_ty L_tx
        cross = core[..., None] * (left[:, :, None, None, :] * right[:, None, None, :, :])
        cross[:, :, diag, :, diag] += np.moveaxis(
            self.u[:, :, None, :] * left[:, :, :, None] * self.right[:, None], 2, 0
        )
        cross *= self.scale_x[:, :, :, None, None] * self.scale_y[:, None, None, :, :]
        cross = cross.reshape(k, x, t, y * t)
        # Triangular factors, not inverses of the blocks: near the optimum s / z spans many orders of magnitude.
        self.root_x = np.linalg.inv(_cholesky(block_x))
        self.eliminated = (self.root_x @ cross).reshape(k, x * t, y * t)
        schur = -(np.swapaxes(self.eliminated, 1, 2) @ self.eliminated)
        square = schur.reshape(k, y, t, y, t)
        rows = np.arange(y)
        square[:, rows, :, rows, :] += np.swapaxes(block_y, 0, 1)
        # Gauge: lam_t + c, mu_t - c is the same law. A unit pivot on the heaviest mu of every t picks one
        # representative; the right-hand side is orthogonal to the gauge, so the solution is not biased.
        heaviest = dy.argmax(1)  # (k, t)
        which = heaviest * t + np.arange(t)
        schur[np.arange(k)[:, None], which, which] += 1.0
        self.root = np.linalg.inv(_cholesky(schur))

    def _solve(self, rx: Array, ry: Array) -> tuple[Array, Array]:
        k, t, x = rx.shape
        y = ry.shape[2]
        gx = (np.swapaxes(rx, 1, 2) * self.scale_x)[..., None]  # k, x, t, 1
        gy = (np.swapaxes(ry, 1, 2) * self.scale_y).reshape(k, y * t, 1)
        h = (self.root_x @ gx).reshape(k, x * t, 1)
        dm = np.swapaxes(self.root, 1, 2) @ (self.root @ (gy - np.swapaxes(self.eliminated, 1, 2) @ h))
        rest = (h - self.eliminated @ dm).reshape(k, x, t, 1)
        dl = np.swapaxes((np.swapaxes(self.root_x, 2, 3) @ rest)[..., 0] * self.scale_x, 1, 2)
        return dl, np.swapaxes(dm.reshape(k, y, t) * self.scale_y, 1, 2)


def _cholesky(matrices: Array) -> Array:
    """Batched Cholesky; one matrix that is not positive definite makes all of them take more regularisation."""
    n = matrices.shape[-1]
    for extra in (0.0, 1e-9, 1e-6):
        try:
            return np.asarray(np.linalg.cholesky(matrices + extra * np.eye(n) if extra else matrices), np.float64)
        except np.linalg.LinAlgError:
            continue
    return np.full_like(matrices, np.nan)  # these tables leave with the interval they have; `broja` takes over


def _longest(relative: Array) -> Array:
    """Longest step in [0, 1] that keeps 1 + step * relative >= 0, shaped to broadcast."""
    return np.asarray(-1.0 / np.minimum(relative.min((1, 2)), -1.0))[:, None, None]
