"""Certified bounds on the functional gap: probes fitted on half of the images, betting bounds on the other half."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from estimators.folds import ImageFolds
from redundancy.bounds.implications import intersection
from redundancy.bounds.lipschitz import probe_errors_cap
from redundancy.bounds.mismatch import mismatch_upper_of_diameter
from redundancy.bounds.plug_in import inverse_bounds
from redundancy.certificates.certificate import BoundCertificate
from redundancy.certificates.certifying import SamplingCall
from redundancy.concentration.betting import betting_lower, betting_upper, together
from redundancy.distances import cosine_distance
from redundancy.errors import InvalidInputError
from redundancy.sampling import DEFAULT_SALT, hash_order, order_text
from redundancy.task import Task

__all__ = ["Certified", "certify"]

Array = npt.NDArray[np.float64]
Predictor = Callable[[Array], Array]

_BLOCK = 4096


@dataclass(frozen=True, slots=True, eq=False)
class Certified:
    """The statements, the sampling bound on the mean distance or None, and held-out means of the three losses."""

    statements: tuple[BoundCertificate, ...]
    mean_distance: BoundCertificate | None
    probe_gap: float
    error_prev: float
    error_next: float


def certify(
    x_prev: Any,
    x_next: Any,
    task: Task,
    split: ImageFolds,
    predict_prev: Predictor,
    predict_next: Predictor,
    *,
    confidence_level: float,
    estimand: str,
    count_max: int | None,
    codes: tuple[npt.ArrayLike, npt.ArrayLike] | None,
    distances_of: tuple[Any, Any] | None,
) -> Certified:
    """Betting bounds on the held-out half, each at its share of the error, and what follows from them.

    More than eight parameters, since each is a declaration that the bounds rest on.

    Parameters
    ----------
    predict_prev, predict_next : callable
        Probes fitted on half 0 alone; their outputs are projected on the range of the task.
    codes : pair of array_like of shape (n_rows,), optional
        Codes of the two layers in one alphabet, from a codebook fitted on other images.
    distances_of : pair of arrays, optional
        States whose mean cosine distance is certified too (on all images; nothing was fitted to it).

    Notes
    -----
    Every probe is fixed before its held-out losses are seen, so the bounds hold whatever the probe is worth.
    The squared losses lie in ``[0, diameter^2]`` because projection keeps predictions in the convex hull of the
    task values. Without a declared range of a real-valued task only the distances and codes are certified.
    """
    diameter = task.squared_diameter
    counts = split.index.counts
    # The betting bound reads images in an order that must not depend on their values, nor on that of the rows.
    order = hash_order(split.index.names, DEFAULT_SALT)
    held_out = order[split.half[order] == 1]
    sums = _loss_sums(x_prev, x_next, task, split, predict_prev, predict_next)
    means = _means(sums[:, held_out], counts[held_out], estimand)
    shared = {"estimand": estimand, "count_max": count_max}
    calls: list[SamplingCall] = []
    if diameter is not None:
        common = {
            **shared,
            "counts": counts[held_out],
            "scale": diameter,
            "order": f"{order_text(DEFAULT_SALT)}, the half that the probes did not see",
        }
        for name, values in zip(("error_prev", "error_next", "probe_gap"), sums[:, held_out], strict=True):
            inputs = {**common, "values": np.minimum(values, diameter * counts[held_out]), "quantity": name}
            calls.append((betting_upper, "concentration.betting_upper", inputs))
        calls.append((betting_lower, "concentration.betting_lower", inputs))
    everywhere = {**shared, "counts": counts[order], "order": order_text(DEFAULT_SALT)}
    if distances_of is not None:
        values = _distance_sums(*distances_of, split)[order]
        inputs = {**everywhere, "values": values, "scale": 2.0, "quantity": "mean_distance"}
        calls.append((betting_upper, "concentration.betting_upper", inputs))
    if codes is not None:
        inputs = {**everywhere, "values": _mismatches(codes, split)[order], "quantity": "mismatch_prob"}
        calls.append((betting_upper, "concentration.betting_upper", inputs))
    level = 1.0 - (1.0 - confidence_level) / max(len(calls), 1)
    sampled = together([(f, theorem, {**inputs, "confidence_level": level}) for f, theorem, inputs in calls])
    return _conclude(sampled, task, diameter is not None, distances_of is not None, codes is not None, means)


def _conclude(
    sampled: list[BoundCertificate], task: Task, losses: bool, distance: bool, coded: bool, means: Array
) -> Certified:
    statements = list(sampled)
    if losses:
        error_prev, error_next, gap_upper, gap_lower = sampled[:4]
        gap = intersection(statements=(gap_lower, gap_upper))
        errors: dict[str, Any] = {"error_next": error_next, "error_prev": error_prev, "task_cap": task.cap}
        statements += [probe_errors_cap(**errors), inverse_bounds(probe_gap=gap, **errors)]
    if coded:
        diameter = task.squared_diameter
        if diameter is not None:
            # A distribution is a general vector of the simplex; only corners have the better constant.
            kind = "one_hot" if task.kind in ("labels", "one_hot") else "scalar" if task.n_outputs == 1 else "vector"
            root = float(np.nextafter(np.sqrt(diameter), np.inf))
            statements.append(mismatch_upper_of_diameter(mismatch_prob=sampled[-1], diameter=root, kind=kind))
    where = 4 * losses
    return Certified(
        statements=tuple(statements),
        mean_distance=sampled[where] if distance else None,
        error_prev=float(means[0]),
        error_next=float(means[1]),
        probe_gap=float(means[2]),
    )


def _loss_sums(
    x_prev: Any, x_next: Any, task: Task, split: ImageFolds, predict_prev: Predictor, predict_next: Predictor
) -> Array:
    """Per-image sums of the two squared errors and of the squared gap, on the held-out half."""
    rows = np.flatnonzero(split.row_half == 1)
    sums = np.zeros((3, split.n_images))
    for start in range(0, len(rows), _BLOCK):
        part = rows[start : start + _BLOCK]
        z = task.rows(part)
        prev = task.project(predict_prev(np.asarray(x_prev[part], dtype=np.float64)))
        after = task.project(predict_next(np.asarray(x_next[part], dtype=np.float64)))
        for total, difference in zip(sums, (z - prev, z - after, after - prev), strict=True):
            total += np.bincount(split.index.rows[part], weights=(difference**2).sum(axis=1), minlength=split.n_images)
    return sums


def _distance_sums(x_prev: Any, x_next: Any, split: ImageFolds) -> Array:
    n_rows = len(split.index.rows)
    sums = np.zeros(split.n_images)
    for start in range(0, n_rows, _BLOCK):
        part = slice(start, start + _BLOCK)
        rho = cosine_distance(np.asarray(x_next[part], dtype=np.float64), np.asarray(x_prev[part], dtype=np.float64))
        sums += np.bincount(split.index.rows[part], weights=rho, minlength=split.n_images)
    return sums


def _mismatches(codes: tuple[npt.ArrayLike, npt.ArrayLike], split: ImageFolds) -> Array:
    first, second = (np.asarray(c) for c in codes)
    n_rows = len(split.index.rows)
    if first.shape != (n_rows,) or second.shape != (n_rows,):
        raise InvalidInputError(
            f"need codes=(codes of previous, codes of next), one per row, got shapes {first.shape} and {second.shape} "
            f"for {n_rows} rows"
        )
    differ = (first != second).astype(np.float64)
    return np.asarray(np.bincount(split.index.rows, weights=differ, minlength=split.n_images), dtype=np.float64)


def _means(sums: Array, counts: npt.NDArray[np.int64], estimand: str) -> Array:
    if estimand == "image_average":
        return np.asarray((sums / counts).mean(axis=1))
    return np.asarray(sums.sum(axis=1) / counts.sum())
