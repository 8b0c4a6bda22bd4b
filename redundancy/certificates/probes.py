"""Linear probes of a task on both layers of a pair, fitted on half of the images and certified on the other half.

A certificate needs a probe that was fixed before its evaluation data were seen, nothing else: a poor probe
gives a wide bound, never a wrong one. Better probes live in the `estimators` package.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from redundancy.bounds.implications import intersection
from redundancy.bounds.lipschitz import probe_errors_cap
from redundancy.bounds.plug_in import inverse_bounds
from redundancy.certificates.certificate import BoundCertificate
from redundancy.certificates.certifying import SamplingCall
from redundancy.checks import generator
from redundancy.concentration.betting import betting_lower, betting_upper
from redundancy.errors import InvalidInputError
from redundancy.files.mapped import Pages
from redundancy.sampling import hash_order, order_text
from redundancy.statistics.streaming import ImageIndex
from redundancy.task import Task, read_task

__all__ = ["ProbeCalls", "probe_calls", "probe_statements"]

Array = npt.NDArray[np.float64]

_MOST_FEATURES = 512  # wider states are folded to so many sums first: a probe may be anything
_RIDGE = 1e-3  # of the mean eigenvalue of the second-moment matrix
_BLOCK = 1 << 22  # numbers at a time: 32 MiB in float64


@dataclass(frozen=True, slots=True, eq=False)
class ProbeCalls:
    """The sampling statements of the probes (still without a level), and what they rest on.

    Parameters
    ----------
    calls : tuple of (callable, str, mapping)
        Bound function, quantity and arguments of each statement.
    task_cap : float
        Upper bound on the variance of the task, in its squared unit.
    note : str
        How the probes were fitted, in words.
    """

    calls: tuple[SamplingCall, ...]
    task_cap: float
    note: str


def probe_calls(
    x_prev: Any,
    x_next: Any,
    index: ImageIndex,
    target: npt.ArrayLike,
    target_range: tuple[float, float] | None,
    *,
    n_classes: int | None = None,
    salt: str,
    seed: int,
) -> ProbeCalls:
    """Fit a ridge probe per layer on half of the images; sums of errors and of their gap on the other half.

    Parameters
    ----------
    x_prev, x_next : array of shape (n_tokens, n_features)
    index : ImageIndex
    target : array_like of int, shape (n_tokens,), or of float, shape (n_tokens, n_dims)
    target_range : (float, float), optional
        Declared range of each coordinate; needed for a real-valued target.
    n_classes : int, optional
        Declared number of classes; without it labels may be of any number, as some may be missing in the sample.
    salt : str
        Of the order of the bets.
    seed : int
        Of the split and of the signs with which wide states are folded.

    Returns
    -------
    ProbeCalls

    Raises
    ------
    InvalidInputError
        For a target of another length or outside its range, a single class, or fewer than four images.
    """
    task = read_task(target, len(index.rows), target_range=target_range, n_classes=n_classes)
    diameter, cap = task.squared_diameter, task.cap
    if diameter is None or cap is None:
        raise InvalidInputError(
            f"need target_range=(low, high), the declared range of a real-valued target, got {target_range}; "
            "a range read off the sample certifies nothing"
        )
    n_images = len(index.names)
    if n_images < 4:
        raise InvalidInputError(f"need at least 4 images to split them for a probe, got {n_images}")
    rng = generator(seed)
    training = np.zeros(n_images, dtype=np.bool_)
    training[hash_order(index.names, f"{salt} probe {seed}")[: n_images // 2]] = True
    fit_rows, test_rows = (np.flatnonzero(training[index.rows] == side) for side in (True, False))
    width = x_prev.shape[1]
    signs = None if width <= _MOST_FEATURES else rng.choice((-1.0, 1.0), size=width)
    probes = [_fit(x, fit_rows, task, signs) for x in (x_prev, x_next)]
    sums = np.zeros((3, n_images))
    pages = [Pages(x) for x in (x_prev, x_next)]
    for rows in _blocks(test_rows, width):
        z = task.rows(rows)
        prev, after = (
            task.project(_features(x, rows, signs) @ weights + offset)
            for x, (weights, offset) in zip((x_prev, x_next), probes, strict=True)
        )
        for total, difference in zip(sums, (z - prev, z - after, after - prev), strict=True):
            squares = np.minimum((difference**2).sum(axis=1), diameter)
            total += np.bincount(index.rows[rows], weights=squares, minlength=n_images)
        for read in pages:
            read.release()
    order = hash_order(index.names, salt)
    held_out = order[~training[order]]
    common = {
        "counts": index.counts[held_out],
        "scale": diameter,
        "order": f"{order_text(salt)}, held-out half of seed {seed}",
    }
    names = ("error_prev", "error_next", "probe_gap")
    values = dict(zip(names, sums[:, held_out], strict=True))
    calls: list[SamplingCall] = [
        (betting_upper, "concentration.betting_upper", {**common, "values": values[name], "quantity": name})
        for name in names
    ]
    calls.append(
        (
            betting_lower,
            "concentration.betting_lower",
            {**common, "values": values["probe_gap"], "quantity": "probe_gap"},
        )
    )
    note = (
        f"ridge probes of a task of {task.description}, fitted on {int(training.sum())} images and certified on "
        f"the other {len(held_out)}, split by seed {seed}"
    )
    return ProbeCalls(calls=tuple(calls), task_cap=cap, note=note)


def probe_statements(probes: ProbeCalls, sampled: Sequence[BoundCertificate]) -> list[BoundCertificate]:
    """Bounds on the functional gap from the certified errors and gap: no Lipschitz constant, no chain.

    Parameters
    ----------
    probes : ProbeCalls
        The probes, and the largest variance of the task.
    sampled : sequence of 4 BoundCertificate
        What `probes.calls` gave: error of the previous and of the next layer's probe, their gap from above and
        below.

    Returns
    -------
    list of BoundCertificate
        The four sampling bounds first.
    """
    error_prev, error_next, gap_upper, gap_lower = sampled
    gap = intersection(statements=(gap_lower, gap_upper))
    cap = probes.task_cap
    return [
        *sampled,
        probe_errors_cap(error_next=error_next, error_prev=error_prev, task_cap=cap),
        inverse_bounds(probe_gap=gap, error_next=error_next, error_prev=error_prev, task_cap=cap),
    ]


def _blocks(rows: npt.NDArray[np.intp], width: int) -> Iterator[npt.NDArray[np.intp]]:
    step = max(1, _BLOCK // width)
    return (rows[start : start + step] for start in range(0, len(rows), step))


def _features(x: Any, rows: npt.NDArray[np.intp], signs: Array | None) -> Array:
    """States in float64; wide ones folded: column j sums every `_MOST_FEATURES`-th coordinate from j, with signs.

    As random a projection as a dense one of Gaussian numbers, without its product of matrices.
    """
    states = np.asarray(x[rows])
    if signs is None:
        return np.asarray(states, dtype=np.float64)
    folded = np.zeros((len(rows), _MOST_FEATURES))
    for start in range(0, len(signs), _MOST_FEATURES):
        part = states[:, start : start + _MOST_FEATURES]
        folded[:, : part.shape[1]] += part * signs[start : start + _MOST_FEATURES]
    return folded


def _fit(x: Any, rows: npt.NDArray[np.intp], task: Task, signs: Array | None) -> tuple[Array, Array]:
    """Weights and offset of ridge regression, from moments summed over blocks of rows."""
    n_features = x.shape[1] if signs is None else _MOST_FEATURES
    second = np.zeros((n_features, n_features))
    cross = np.zeros((n_features, task.n_outputs))
    mean_x, mean_z = np.zeros(n_features), np.zeros(task.n_outputs)
    pages = Pages(x)
    for part in _blocks(rows, x.shape[1]):
        features, z = _features(x, part, signs), task.rows(part)
        second += features.T @ features
        cross += features.T @ z
        mean_x += features.sum(axis=0)
        mean_z += z.sum(axis=0)
        pages.release()
    n = len(rows)
    mean_x, mean_z = mean_x / n, mean_z / n
    covariance = second / n - np.outer(mean_x, mean_x)
    # States that do not vary leave rounding errors of this size; a probe of them predicts the mean.
    rounding = np.finfo(float).eps * float(np.trace(second)) / n
    strength = _RIDGE * (float(np.trace(covariance)) + rounding) / n_features or 1.0
    ridge = covariance + strength * np.eye(n_features)
    weights = np.asarray(np.linalg.solve(ridge, cross / n - np.outer(mean_x, mean_z)), dtype=np.float64)
    return weights, mean_z - mean_x @ weights
