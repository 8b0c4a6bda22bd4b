"""The BROJA problem: pair marginals of a checked table, lossless presolve, and the way back to full size.

Axes are (t, x, y) everywhere: target first. Only the pair marginals a = P(t, x) and b = P(t, y) enter
the optimisation. Errors of rounding are carried along: `PairMarginals.relative_error` bounds the
relative error of every entry against the exactly normalised table of the caller.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import logsumexp

from redundancy.checks import MASS_TOLERANCE, as_masses
from redundancy.errors import InvalidInputError
from redundancy.files.tables import as_joint

__all__ = [
    "MASS_TOLERANCE",
    "PairMarginals",
    "ReducedProblem",
    "lift",
    "marginals_of_joint",
    "marginals_of_pairs",
    "memory_estimate",
    "presolve",
]

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]

UNIT_ROUNDOFF = 2.0**-53
EXTENDED_EPS = float(np.finfo(np.longdouble).eps)  # 2^-63 on x86, 2^-52 where long double is double


@dataclass(frozen=True, slots=True, kw_only=True)
class PairMarginals:
    """The two pair laws of a problem.

    Parameters
    ----------
    a, b : ndarray of shape (T, X) and (T, Y)
        P(t, x) and P(t, y).
    p_t, p_x, p_y : ndarray of shape (T,), (X,), (Y,)
        Their marginals.
    relative_error : float
        Every entry of the five arrays is within this relative distance of the exact value.
    """

    a: Array
    b: Array
    p_t: Array
    p_x: Array
    p_y: Array
    relative_error: float

    @property
    def shape(self) -> tuple[int, int, int]:
        """(T, X, Y)."""
        return (self.a.shape[0], self.a.shape[1], self.b.shape[1])


def long_sum(values: Array, axis: int | tuple[int, ...] | None = None) -> Array:
    """Sum in extended precision, rounded once; error n * EXTENDED_EPS before that rounding."""
    return np.asarray(np.add.reduce(values, axis=axis, dtype=np.longdouble), dtype=np.float64)


def _check_masses(table: Array, name: str, slack: float) -> float:
    if table.size == 0:
        raise InvalidInputError(f"need a non-empty {name}, got shape {table.shape}")
    # One pass decides: the minimum is NaN if an entry is, and the sum is infinite if one is.
    with np.errstate(over="ignore"):
        smallest, total = float(table.min()), float(long_sum(table, None))
    if not (math.isfinite(smallest) and math.isfinite(total)) and (bad := int(np.count_nonzero(~np.isfinite(table)))):
        raise InvalidInputError(f"need finite masses in {name}, got {bad} NaN or infinite entries")
    if smallest < 0.0:
        raise InvalidInputError(f"need masses >= 0 in {name}, got a minimum of {smallest:.6g}")
    if abs(total - 1.0) > slack:
        raise InvalidInputError(
            f"need masses of {name} that sum to 1, got a sum of {total:.12g}; divide counts by their total first"
        )
    return total


def marginals_of_joint(joint: npt.ArrayLike) -> tuple[PairMarginals, Array]:
    """Check a table with axes (t, x, y) and return its pair marginals and the normalised table.

    Raises
    ------
    InvalidInputError
        For another number of axes, an empty table, NaN, negative mass, or a sum away from 1.
    """
    table, slack = as_masses(as_joint(joint), "joint")
    if table.ndim != 3:
        raise InvalidInputError(f"need joint with 3 axes (t, x, y), got shape {table.shape}; the target is the first")
    total = _check_masses(table, "joint", slack)
    if total != 1.0:
        table = table / total
    a, b = long_sum(table, 2), long_sum(table, 1)
    return _pairs(a, b, table.size), table


def marginals_of_pairs(p_tx: npt.ArrayLike, p_ty: npt.ArrayLike) -> PairMarginals:
    """Check two pair laws with the target on the first axis; their target marginals must agree.

    The smaller disagreements of rounding (1e-9 relative) are removed by scaling the rows of `p_ty`.

    Raises
    ------
    InvalidInputError
        If one is not a law, or they disagree about P(t).
    """
    (a, slack), (b, other) = as_masses(p_tx, "p_tx"), as_masses(p_ty, "p_ty")
    if a.ndim != 2 or b.ndim != 2 or len(a) != len(b):
        raise InvalidInputError(f"need p_tx (T, X) and p_ty (T, Y) with one T, got shapes {a.shape} and {b.shape}")
    a, b = a / _check_masses(a, "p_tx", slack), b / _check_masses(b, "p_ty", other)
    ta, tb = long_sum(a, 1), long_sum(b, 1)
    if (np.abs(ta - tb) > max(slack, other) * np.maximum(ta, tb)).any():
        t = int(np.abs(ta - tb).argmax())
        raise InvalidInputError(
            f"need p_tx and p_ty with the same target marginal, got {ta[t]:.12g} and {tb[t]:.12g} at t={t}; "
            "compute both from one joint table"
        )
    with np.errstate(invalid="ignore", divide="ignore"):
        b = b * np.where(tb > 0.0, ta / np.where(tb > 0.0, tb, 1.0), 1.0)[:, None]
    return _pairs(a, b, a.size + b.size)


def _pairs(a: Array, b: Array, n_terms: int) -> PairMarginals:
    # Normalisation: 2 roundings; sums: one rounding and n_terms * EXTENDED_EPS; second sums again: 8 covers it.
    return PairMarginals(
        a=a,
        b=b,
        p_t=long_sum(a, 1),
        p_x=long_sum(a, 0),
        p_y=long_sum(b, 0),
        relative_error=8.0 * UNIT_ROUNDOFF + 3.0 * n_terms * EXTENDED_EPS,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReducedProblem:
    """What is left to solve after presolve; `columns_*` map every symbol to its column, -1 for dropped ones."""

    a: Array
    b: Array
    columns_x: Index
    columns_y: Index
    rows: Index
    untouched: bool

    @property
    def shape(self) -> tuple[int, int, int]:
        """(T, X, Y) after the presolve."""
        return (self.a.shape[0], self.a.shape[1], self.b.shape[1])


def presolve(problem: PairMarginals, *, tolerance: float) -> ReducedProblem:
    """Drop what cannot matter and merge columns that carry the same posterior of t.

    Merging columns with proportional P(t | x) is lossless (they are one symbol for t). Cells whose total
    effect is below 1e-5 of `tolerance` are dropped; the certificate is evaluated on the full problem
    afterwards, so neither step can make an interval wrong, only wider.
    """
    floor = 1e-5 * min(tolerance, 1e-6) / (problem.a.size + problem.b.size)
    if min(float(problem.a.min()), float(problem.b.min())) > floor and (
        _distinct(problem.a, problem.p_x) and _distinct(problem.b, problem.p_y)
    ):
        t, x, y = problem.shape
        whole = {"rows": np.arange(t), "columns_x": np.arange(x), "columns_y": np.arange(y)}
        return ReducedProblem(a=problem.a, b=problem.b, untouched=True, **whole)
    a, keep_a = _trim(problem.a, floor)
    b, keep_b = _trim(problem.b, floor)
    untouched = keep_a and keep_b
    columns_x, ax = _merge(a)
    columns_y, by = _merge(b)
    untouched = untouched and ax.shape == a.shape and by.shape == b.shape
    rows = np.flatnonzero((ax.sum(1) > 0.0) & (by.sum(1) > 0.0))
    if len(rows) < len(ax):
        ax, by, untouched = ax[rows], by[rows], False
    if untouched:
        ax, by = problem.a, problem.b
    return ReducedProblem(a=ax, b=by, columns_x=columns_x, columns_y=columns_y, rows=rows, untouched=untouched)


def _trim(law: Array, floor: float) -> tuple[Array, bool]:
    small = (law < floor) & (law > 0.0)
    if not small.any():
        return law, True
    return np.where(small, 0.0, law), False


def _merge(law: Array) -> tuple[Index, Array]:
    """Columns grouped by their direction; the sum of each group; all-zero columns get -1."""
    n = law.shape[1]
    totals = law.sum(0)
    alive = totals > 0.0
    with np.errstate(invalid="ignore", divide="ignore"):
        posterior = law / totals
    if bool(alive.all()) and _distinct(law, totals):
        return np.arange(n, dtype=np.intp), law
    # Posteriors that differ by rounding only land in one bucket; neighbours split by a bucket edge are
    # merely not merged, which costs time and no accuracy.
    scaled = np.rint(np.where(alive, posterior, -1.0) * 2.0**46).astype(np.int64)
    # Columns with different zero patterns stay apart, or a mass below the bucket size would vanish.
    key = np.where((law > 0.0) & (scaled == 0), 1, 2 * scaled)
    _, inverse = np.unique(key.T, axis=0, return_inverse=True)
    inverse = inverse.reshape(-1)
    columns = np.full(n, -1, dtype=np.intp)
    used, columns[alive] = np.unique(inverse[alive], return_inverse=True)
    merged = np.zeros((law.shape[0], len(used)))
    np.add.at(merged.T, columns[alive], law[:, alive].T)
    return columns, merged


def _distinct(law: Array, totals: Array) -> bool:
    """Whether no two columns have one posterior: equal posteriors project to equal numbers."""
    shadows = (np.resize(_MIX, len(law)) if len(law) > len(_MIX) else _MIX[: len(law)]) @ (law / totals)
    shadows.sort()
    return len(shadows) == 1 or float((shadows[1:] - shadows[:-1]).min()) > 1e-12


# A fixed direction for the quick test that no two columns agree; a coincidence only costs the exact test.
_MIX = np.random.default_rng(0).random(64)


def lift(
    problem: PairMarginals, reduced: ReducedProblem, state: tuple[Array, Array, Array]
) -> tuple[Array, Array, Array]:
    """Carry a solver state back to all symbols: merged ones share multipliers, dropped ones get neutral ones."""
    s, lam, mu = state
    top_lam, top_mu = _tops(lam, reduced.a), _tops(mu, reduced.b)
    full_lam = _lift_side(problem.a, reduced.rows, reduced.columns_x, lam, reduced.a, top_mu)
    full_mu = _lift_side(problem.b, reduced.rows, reduced.columns_y, mu, reduced.b, top_lam)
    _settle(full_mu, problem.b, reduced.columns_y, np.where(problem.a > 0.0, full_lam, -np.inf))
    _settle(full_lam, problem.a, reduced.columns_x, np.where(problem.b > 0.0, full_mu, -np.inf))
    share_x = _shares(problem.p_x, reduced.columns_x, s.shape[0])
    share_y = _shares(problem.p_y, reduced.columns_y, s.shape[1])
    weights = s[np.maximum(reduced.columns_x, 0)][:, np.maximum(reduced.columns_y, 0)]
    return weights * share_x[:, None] * share_y, full_lam, full_mu


def _shares(mass: Array, columns: Index, n_columns: int) -> Array:
    alive = columns >= 0
    total = np.zeros(n_columns)
    np.add.at(total, columns[alive], mass[alive])
    return np.where(alive, mass / total[np.maximum(columns, 0)], 0.0)


def _tops(multipliers: Array, law: Array) -> Array:
    """Largest multiplier of every target, (T, 1)."""
    return np.asarray(np.where(law > 0.0, multipliers, -np.inf).max(1, keepdims=True))


def _lift_side(law: Array, rows: Index, columns: Index, multipliers: Array, kept: Array, other: Array) -> Array:
    # A dropped symbol of a kept target: e^-40 of what would tip any cell over, whatever the gauge of that target.
    full = np.full(law.shape, -80.0)
    alive = columns >= 0
    source = multipliers[:, columns[alive]]
    full[rows] = -other - 40.0
    full[np.ix_(rows, alive)] = np.where(kept[:, columns[alive]] > 0.0, source, -other - 40.0)
    return np.where(law > 0.0, full, 0.0)


def _settle(multipliers: Array, law: Array, columns: Index, other: Array) -> None:
    """Give every dropped symbol multipliers that just reach its constraint: slack there would raise other prices."""
    for column in np.flatnonzero((columns < 0) & (law > 0.0).any(0)):
        trial = np.where(law[:, column] > 0.0, multipliers[:, column], -np.inf)
        log_s = logsumexp(trial[:, None] + other, axis=0)
        multipliers[:, column] -= log_s.max() if np.isfinite(log_s.max()) else 0.0


def memory_estimate(shape: tuple[int, int, int], method: str) -> int:
    """Peak bytes that `method` needs for a problem of `shape` after presolve, without the input table."""
    t, x, y = shape
    small, large = min(x, y), max(x, y)
    cells, grid = t * x * y, x * y
    chunk = 6 * max(min(cells, 4_000_000), grid)  # rounding works on blocks of targets
    if method == "closed_form":
        doubles = 24 * t * (x + y)
    elif method == "first_order":
        doubles = 12 * grid + chunk
    elif method == "dense":
        n = t * (x + y)
        doubles = 3 * n * n + 3 * n * grid + 3 * cells + chunk
    else:
        doubles = 3 * (t * small) ** 2 + 3 * t * cells + 4 * large * t * t + 20 * grid + chunk
    return 8 * int(doubles)
