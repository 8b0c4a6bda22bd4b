"""Ridge probes of both layers, of the pair and of their difference, from joint moments per cell of images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg import LinAlgError, cho_factor, cho_solve, eigh

from estimators.folds import ImageFolds
from estimators.probes.moments import Centred, Moments
from estimators.probes.ridge_path import degrees_of_freedom, held_out_error, ridge_path
from redundancy.task import Task

__all__ = ["PENALTIES", "UNDERSMOOTHING", "Affine", "LinearEngine", "LinearProbes"]

Array = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]

PENALTIES = tuple(float(10.0 ** (k / 2)) for k in range(-16, 5))  # times the mean diagonal of the scatter
UNDERSMOOTHING = 0.01
"""Share of the best penalty for prediction that the probes of the estimate use.

What is best for prediction shrinks the gap by more than its standard error (measured: 4 % of the gap at 50 features
and 160 images a half); the variance that less shrinkage costs cancels between the halves.
"""
_GATHER = 4096


@dataclass(frozen=True, slots=True, eq=False)
class Affine:
    """``x -> offset + x weights`` on joined rows (previous, next)."""

    weights: Array
    offset: Array


@dataclass(frozen=True, slots=True, eq=False)
class LinearProbes:
    """Probes fitted on one half of the training images.

    `prev`, `next`, `joint` predict the task; `slope_prev` and `slope_next` are the regressions of the
    *difference* of two probes on one layer that the one-step correction needs.
    """

    prev: Affine
    next: Affine
    joint: Affine
    slope_prev: Affine
    slope_next: Affine

    def evaluate(self, x_prev: Array, x_next: Array) -> dict[str, Array]:
        """Outputs of the five on these rows, each of shape (n, q)."""
        parts = (self.prev, self.next, self.joint, self.slope_prev, self.slope_next)
        wide = np.concatenate([p.weights for p in parts], axis=1)
        d = x_prev.shape[1]
        out = x_prev @ wide[:d] + x_next @ wide[d:] + np.concatenate([p.offset for p in parts])
        names = ("prev", "next", "joint", "slope_prev", "slope_next")
        return dict(zip(names, np.split(out, len(names), axis=1), strict=True))


class LinearEngine:
    """Linear probes for every fold and half, all from moments; rows are read once here and once for the scores.

    Parameters
    ----------
    x_prev, x_next : array of shape (n_rows, d_prev), (n_rows, d_next)
    task : Task
    split : ImageFolds
    row_weights : ndarray of shape (n_rows,), optional
    replicas : int
        Groups of images per fold and half; more than one serves the jackknife.
    device : str, optional
    """

    def __init__(
        self,
        x_prev: Any,
        x_next: Any,
        task: Task,
        split: ImageFolds,
        *,
        row_weights: Array | None = None,
        replicas: int = 1,
        device: str | None = None,
    ) -> None:
        self.d = int(x_prev.shape[1])
        self.split, self.replicas, self.device = split, replicas, device
        width = self.d + int(x_next.shape[1])
        n_folds = split.n_folds
        # Cells are numbered so that fold = cell % n_folds and half = (cell // n_folds) % 2.
        self.cells = [Moments(width, task.n_outputs, device=device) for _ in range(2 * n_folds * replicas)]
        row_cell = (split.rank % len(self.cells))[split.index.rows]
        shift: Array | None = None
        for number, cell in enumerate(self.cells):
            rows = np.flatnonzero(row_cell == number)
            for start in range(0, len(rows), _GATHER):
                part = rows[start : start + _GATHER]
                joined = np.concatenate([x_prev[part], x_next[part]], axis=1)
                weights = None if row_weights is None else row_weights[part]
                cell.update(joined, task.rows(part), weights=weights, shift=shift)
                shift = cell.shift
        self.probe_class = "linear (ridge)"
        self._certifying: tuple[Affine, Affine, Affine] | None = None
        self._penalties: dict[int, tuple[float, ...]] = {}

    def folds_and_halves(self) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
        """Fold and half of every cell."""
        numbers = np.arange(len(self.cells))
        return numbers % self.split.n_folds, (numbers // self.split.n_folds) % 2

    def halves(self, fold: int, *, without: int | None = None) -> tuple[LinearProbes, LinearProbes]:
        """Probes of the two halves of the images outside `fold`, also without the cell `without`."""
        folds, halves = self.folds_and_halves()
        parts = []
        for side in (0, 1):
            chosen = np.flatnonzero((folds != fold) & (halves == side))
            parts.append(Moments.total([self.cells[i] for i in chosen if i != without]).centred())
        if fold not in self._penalties:
            self._penalties[fold] = self._choose(parts[0], parts[1])
        penalties = self._penalties[fold]
        return self._fit(parts[0], penalties), self._fit(parts[1], penalties)

    def held_out(self, fold: int, *, without: int | None = None) -> Centred | None:
        """Moments of the images of `fold`, None if none is left."""
        folds, _ = self.folds_and_halves()
        chosen = [self.cells[i] for i in np.flatnonzero(folds == fold) if i != without]
        total = Moments.total(chosen) if chosen else None
        return None if total is None or total.weight <= 0.0 else total.centred()

    def effective_dof(self) -> float:
        """Effective number of features of a half's probe: the larger of the two layers, first fold."""
        folds, halves = self.folds_and_halves()
        self.halves(0)
        half = Moments.total([self.cells[i] for i in np.flatnonzero((folds != 0) & (halves == 0))]).centred()
        values = []
        for part, penalty in zip((slice(None, self.d), slice(self.d, None)), self._penalties[0][:2], strict=True):
            xx = half.xx[part, part]
            values.append(degrees_of_freedom(xx, penalty * _mean_diagonal(xx)))
        return max(values)

    def certifying(self) -> tuple[Affine, Affine, Affine]:
        """Probes of previous, next and joint fitted on half 0 of all folds, the penalty chosen inside that half."""
        if self._certifying is not None:
            return self._certifying
        folds, halves = self.folds_and_halves()
        by_fold = [
            Moments.total([self.cells[i] for i in np.flatnonzero((folds == k) & (halves == 0))])
            for k in range(self.split.n_folds)
        ]
        by_fold = [m for m in by_fold if m.weight > 0.0]
        whole = Moments.total(by_fold).centred()
        result = []
        for part in self._parts():
            errors = np.zeros(len(PENALTIES))
            for k, fold in enumerate(by_fold):
                training = _select(Moments.total([m for j, m in enumerate(by_fold) if j != k]).centred(), part)
                scale = _mean_diagonal(training.xx)
                path = ridge_path(training.xx, training.xz, [p * scale for p in PENALTIES], device=self.device)
                errors += held_out_error(path, training, _select(fold.centred(), part)) * fold.weight
            penalty = PENALTIES[int(errors.argmin())]
            result.append(self._affine(whole, part, _solve(whole.xx[part, part], penalty, whole.xz[part])))
        self._certifying = result[0], result[1], result[2]
        return self._certifying

    def between_layers(self) -> tuple[float, float]:
        """Held-out E|X_next - g(X_prev)|^2 and E|X_prev - g(X_next)|^2 of ridge maps fitted on half 0."""
        _, halves = self.folds_and_halves()
        sides = [Moments.total([self.cells[i] for i in np.flatnonzero(halves == s)]).centred() for s in (0, 1)]
        first, second = self._parts()[:2]
        result = []
        for source, goal in ((first, second), (second, first)):
            training, testing = (
                Centred(c.weight, c.mean_x[source], c.mean_x[goal], c.xx[source, source], c.xx[source, goal],
                        float(np.trace(c.xx[goal, goal])))
                for c in sides
            )  # fmt: skip
            errors = [
                float(held_out_error(_solve(training.xx, p, training.xz), training, testing)) for p in (1e-6, 1e-3)
            ]
            result.append(max(min(errors), 0.0))
        return result[0], result[1]

    def _parts(self) -> tuple[slice, slice, slice]:
        return slice(None, self.d), slice(self.d, None), slice(None)

    def _choose(self, first: Centred, second: Centred) -> tuple[float, ...]:
        """Penalties that predict each half best from the other: the size at which they are used.

        Those of previous, next and joint, then those of the two regressions of the difference. The latter have
        (almost) no noise to fight and get by with less; sharing the penalty would shrink the correction.
        """
        sides = ((first, second), (second, first))
        chosen = [
            UNDERSMOOTHING * self._best([(_select(a, part), _select(b, part)) for a, b in sides])
            for part in self._parts()
        ]
        prev, after, _ = self._parts()
        slopes = []
        for part in (prev, after):
            pairs = []
            for a, b in sides:
                w1 = _solve(a.xx[prev, prev], chosen[0], a.xz[prev])
                w2 = _solve(a.xx[after, after], chosen[1], a.xz[after])
                difference = np.concatenate([w1, -w2] if part == prev else [-w1, w2])
                pairs.append((_with_target(a, part, difference), _with_target(b, part, difference)))
            slopes.append(self._best(pairs))
        return (*chosen, *slopes)

    def _best(self, pairs: Sequence[tuple[Centred, Centred]]) -> float:
        errors = np.zeros(len(PENALTIES))
        for training, testing in pairs:
            scale = _mean_diagonal(training.xx)
            path = ridge_path(training.xx, training.xz, [p * scale for p in PENALTIES], device=self.device)
            errors += held_out_error(path, training, testing)
        return PENALTIES[int(errors.argmin())]

    def _fit(self, training: Centred, penalties: Sequence[float]) -> LinearProbes:
        prev, after, joint = self._parts()
        s11, s22, s12 = training.xx[prev, prev], training.xx[after, after], training.xx[prev, after]
        w1 = _solve(s11, penalties[0], training.xz[prev])
        w2 = _solve(s22, penalties[1], training.xz[after])
        # Fitted on the difference of the probes: it vanishes with it, and shrinkage does not enter twice.
        g1 = _solve(s11, penalties[3], s11 @ w1 - s12 @ w2)
        g2 = _solve(s22, penalties[4], s22 @ w2 - s12.T @ w1)
        wj = _solve(training.xx, penalties[2], training.xz)
        return LinearProbes(
            prev=self._affine(training, prev, w1),
            next=self._affine(training, after, w2),
            joint=self._affine(training, joint, wj),
            slope_prev=self._affine(training, prev, g1, level=False),
            slope_next=self._affine(training, after, g2, level=False),
        )

    def _affine(self, training: Centred, part: slice, weights: Array, *, level: bool = True) -> Affine:
        wide = np.zeros((len(training.mean_x), weights.shape[1]))
        wide[part] = weights
        offset = -training.mean_x[part] @ weights
        return Affine(wide, offset + training.mean_z if level else offset)


def _select(moments: Centred, part: slice) -> Centred:
    return Centred(
        moments.weight, moments.mean_x[part], moments.mean_z, moments.xx[part, part], moments.xz[part], moments.zz
    )


def _with_target(moments: Centred, part: slice, weights: Array) -> Centred:
    """Moments of one layer with the linear function ``x weights`` of both layers in place of the task."""
    products = moments.xx @ weights
    total = float((weights * products).sum())
    mean = moments.mean_x @ weights
    return Centred(moments.weight, moments.mean_x[part], mean, moments.xx[part, part], products[part], max(total, 0.0))


def _mean_diagonal(xx: Array) -> float:
    mean = float(np.trace(xx)) / len(xx)
    return mean if mean > 0.0 else 1.0


def _solve(xx: Array, penalty: float, xz: Array) -> Array:
    alpha = penalty * _mean_diagonal(xx)
    try:
        factor = cho_factor(xx + alpha * np.eye(len(xx)), lower=True, overwrite_a=True, check_finite=False)
        return np.asarray(cho_solve(factor, xz, check_finite=False))
    except LinAlgError:  # a singular scatter and a penalty below its rounding
        values, vectors = eigh(xx, check_finite=False)
        return np.asarray(vectors @ ((vectors.T @ xz) / (np.maximum(values, 0.0) + alpha)[:, None]))
