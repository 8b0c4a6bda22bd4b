"""Out-of-fold scores of the double-split one-step estimator, summed by image, and intervals that resample images."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from estimators.folds import ImageFolds
from estimators.functional.linear import LinearEngine
from redundancy.task import Task

__all__ = [
    "NAMES",
    "ScoreSums",
    "cell_scores",
    "clustered_error",
    "independent_rows",
    "jackknife_error",
    "score_images",
    "t_quantile",
]

Array = npt.NDArray[np.float64]

NAMES = ("gap", "error_prev", "error_next", "error_joint", "plug_in")
_BLOCK = 4096


@dataclass(frozen=True, slots=True, eq=False)
class ScoreSums:
    """Per-image sums of the scores, shape (n_images, len(NAMES)), of the squared first score, and rows per image."""

    sums: Array
    squares: Array
    counts: Array
    estimand: str

    @property
    def weights(self) -> Array:
        """Weight of an image's *sum*: what the estimand divides by."""
        return np.ones_like(self.counts) if self.estimand == "image_average" else self.counts

    @property
    def values(self) -> Array:
        """Per-image numerators: means for the image average, sums for pooled tokens."""
        return self.sums / self.counts[:, None] if self.estimand == "image_average" else self.sums

    def mean(self) -> Array:
        """Estimates of all scores."""
        return np.asarray(self.values.sum(axis=0) / self.weights.sum())


def score_images(x_prev: Any, x_next: Any, task: Task, split: ImageFolds, engine: Any, estimand: str) -> ScoreSums:
    r"""Score every row with probes that saw neither its image nor, in a product, each other's images.

    .. math::

        \varphi = \langle D^a, D^b\rangle + \sum_j \langle g_j^a, Z - f_j^b\rangle + \langle g_j^b, Z - f_j^a\rangle

    with ``D = f_next - f_prev`` and g_j the regression of the difference on layer j. The errors are products of the
    residuals of a and b, so that the variance of the probes does not enter.
    """
    n_images = split.n_images
    sums, squares = np.zeros((n_images, len(NAMES))), np.zeros(n_images)
    row_fold = split.row_fold
    for fold in range(split.n_folds):
        first, second = engine.halves(fold)
        rows = np.flatnonzero(row_fold == fold)
        for start in range(0, len(rows), _BLOCK):
            part = rows[start : start + _BLOCK]
            prev, after = (np.asarray(x[part], dtype=np.float64) for x in (x_prev, x_next))
            scores = _row_scores(first.evaluate(prev, after), second.evaluate(prev, after), task.rows(part))
            images = split.index.rows[part]
            squares += np.bincount(images, weights=scores[0] ** 2, minlength=n_images)
            for column, values in enumerate(scores):
                sums[:, column] += np.bincount(images, weights=values, minlength=n_images)
    return ScoreSums(sums, squares, split.index.counts.astype(np.float64), estimand)


def clustered_error(scores: ScoreSums, values: Array | None = None) -> Array:
    """Standard errors of the means, images being the units; `values` are other per-image numerators."""
    x = scores.values if values is None else values
    w = scores.weights
    mean = x.sum(axis=0) / w.sum()
    deviations = x - np.multiply.outer(w, mean)
    n = len(w)
    return np.asarray(np.sqrt((deviations**2).sum(axis=0) * n / (n - 1)) / w.sum())


def independent_rows(scores: ScoreSums) -> float:
    """How many independent rows the sample is worth: rows over the design effect of the scores.

    Between the number of images (rows of an image equal) and the number of rows (rows independent).
    """
    n_rows, n_images = float(scores.counts.sum()), float(len(scores.counts))
    mean = scores.sums[:, 0].sum() / n_rows
    single = max(float(scores.squares.sum()) / n_rows - mean**2, 0.0) / n_rows
    clustered = float(((scores.sums[:, 0] - mean * scores.counts) ** 2).sum()) / n_rows**2
    if single <= 0.0 or clustered <= 0.0:
        return n_images
    return float(min(max(n_rows * single / clustered, n_images), n_rows))


def jackknife_error(engine: LinearEngine) -> tuple[Array, int]:
    """Delete-a-group standard errors of all scores, groups being the cells of the engine; and how many groups."""
    groups = [g for g, cell in enumerate(engine.cells) if cell.weight > 0.0]
    means = np.array([cell_scores(engine, without=g) for g in groups])
    n = len(groups)
    return np.sqrt((n - 1) / n * ((means - means.mean(axis=0)) ** 2).sum(axis=0)), n


def cell_scores(engine: LinearEngine, *, without: int | None = None) -> Array:
    """Means of all scores from moments alone, in the order of `NAMES`, optionally without one cell of images."""
    total, weight = np.zeros(len(NAMES)), 0.0
    for fold in range(engine.split.n_folds):
        held_out = engine.held_out(fold, without=without)
        if held_out is None:
            continue
        a, b = engine.halves(fold, without=without)
        centre = held_out.mean_x

        def inner(u: Any, v: Any, h: Any = held_out, m: Array = centre) -> float:
            spread = (u.weights * (h.xx @ v.weights)).sum() / h.weight
            return float(spread + (m @ u.weights + u.offset) @ (m @ v.weights + v.offset))

        def against_task(u: Any, h: Any = held_out, m: Array = centre) -> float:
            return float((u.weights * h.xz).sum() / h.weight + (m @ u.weights + u.offset) @ h.mean_z)

        square = held_out.zz / held_out.weight + float(held_out.mean_z @ held_out.mean_z)
        plug = _bilinear(inner, a, b)
        gap = plug
        for f, g in (("prev", "slope_prev"), ("next", "slope_next")):
            for u, v in ((a, b), (b, a)):
                gap += against_task(getattr(u, g)) - inner(getattr(u, g), getattr(v, f))
        errors = [
            square - against_task(getattr(a, f)) - against_task(getattr(b, f)) + inner(getattr(a, f), getattr(b, f))
            for f in ("prev", "next", "joint")
        ]
        total += held_out.weight * np.array([gap, *errors, plug])
        weight += held_out.weight
    return total / weight


def t_quantile(probability: float, n_units: int) -> float:
    """Student quantile with ``n_units - 1`` degrees of freedom."""
    return float(stats.t.ppf(probability, max(n_units - 1, 1))) if 0.0 < probability < 1.0 else math.nan


def _bilinear(inner: Any, a: Any, b: Any) -> float:
    return float(inner(a.next, b.next) - inner(a.next, b.prev) - inner(a.prev, b.next) + inner(a.prev, b.prev))


def _row_scores(a: dict[str, Array], b: dict[str, Array], z: Array) -> tuple[Array, ...]:
    def dot(u: Array, v: Array) -> Array:
        return np.asarray(np.einsum("ij,ij->i", u, v))

    plug = dot(a["next"] - a["prev"], b["next"] - b["prev"])
    gap = plug.copy()
    for f, g in (("prev", "slope_prev"), ("next", "slope_next")):
        gap += dot(a[g], z - b[f]) + dot(b[g], z - a[f])
    return gap, *(dot(z - a[f], z - b[f]) for f in ("prev", "next", "joint")), plug
