"""The task variable Z as vectors: labels, one-hot rows, answer distributions or real vectors, and their range."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from redundancy.checks import as_floats, as_labels, to_numpy
from redundancy.errors import InvalidInputError
from redundancy.interval import round_up

__all__ = ["Task", "read_task"]

Array = npt.NDArray[np.float64]

_SIMPLEX = 1e-6  # answer distributions come from float32 softmaxes, and coarser ones


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """Task of every row.

    Attributes
    ----------
    values : ndarray
        Class numbers of shape (n_rows,), or vectors of shape (n_rows, n_outputs).
    kind : {"labels", "one_hot", "distribution", "vector"}
    n_outputs : int
    bounds : (float, float) or None
        Declared range of each coordinate of a real vector.
    n_classes : int or None
        Declared number of classes; without it the cap of labels is that of any number of classes.
    """

    values: npt.NDArray[Any]
    kind: str
    n_outputs: int
    bounds: tuple[float, float] | None = None
    n_classes: int | None = None

    def rows(self, rows: npt.NDArray[np.intp] | slice) -> Array:
        """Task vectors of these rows; labels become one-hot."""
        chosen = self.values[rows]
        if self.kind != "labels":
            return np.asarray(chosen, dtype=np.float64)
        one_hot = np.zeros((len(chosen), self.n_outputs))
        one_hot[np.arange(len(chosen)), chosen] = 1.0
        return one_hot

    @property
    def on_simplex(self) -> bool:
        """Whether values are probability vectors."""
        return self.kind != "vector"

    @property
    def squared_diameter(self) -> float | None:
        """Largest squared distance of two values, rounded up; None for vectors without a declared range."""
        if self.on_simplex:
            return 2.0
        if self.bounds is None:
            return None
        return round_up(self.n_outputs * (self.bounds[1] - self.bounds[0]) ** 2)

    @property
    def cap(self) -> float | None:
        """R^2, which no functional gap exceeds; None without a declared range."""
        if self.on_simplex:
            # A simplex of K corners lies in a ball of squared radius 1 - 1/K; an unseen class may make it wider.
            return 1.0 if self.n_classes is None else round_up(1.0 - 1.0 / self.n_classes)
        diameter = self.squared_diameter
        return None if diameter is None else round_up(diameter / 4.0)

    def project(self, predictions: Array) -> Array:
        """Closest point of the simplex or of the declared box: never further from any task value than before."""
        if self.on_simplex:
            ranked = -np.sort(-predictions, axis=1)
            excess = (np.cumsum(ranked, axis=1) - 1.0) / np.arange(1, self.n_outputs + 1)
            last = (ranked > excess).sum(axis=1) - 1
            return np.asarray(np.maximum(predictions - excess[np.arange(len(predictions)), last][:, None], 0.0))
        return predictions if self.bounds is None else np.asarray(np.clip(predictions, *self.bounds))

    @property
    def description(self) -> str:
        """In words."""
        if self.kind == "vector":
            place = "of undeclared range" if self.bounds is None else f"in [{self.bounds[0]:g}, {self.bounds[1]:g}]"
            return f"{self.n_outputs} real coordinate{'s' * (self.n_outputs > 1)} {place}"
        names = {"labels": "labels", "one_hot": "one-hot labels", "distribution": "probability vectors"}
        return f"{names[self.kind]} of {self.n_outputs} classes"


def read_task(
    target: npt.ArrayLike,
    n_rows: int,
    *,
    target_range: tuple[float, float] | None = None,
    n_classes: int | None = None,
) -> Task:
    """Tell what kind of task variable `target` is.

    Parameters
    ----------
    target : array_like
        Integers, booleans or strings of shape (n_rows,): labels. Rows of shape (n_rows, K) that are non-negative
        and sum to 1: one-hot labels or answer distributions. Other reals: vectors.
    n_rows : int
    target_range : (float, float), optional
        Declared range of every coordinate of real vectors; nothing is certified without it.
    n_classes : int, optional
        Declared number of classes of the population.

    Raises
    ------
    InvalidInputError
        For another length, NaN, a single class, a constant, or values outside the declared range.
    """
    z = to_numpy(target, "target")
    if z.ndim == 2 and z.shape[1] == 1:
        z = z[:, 0]
    if z.ndim not in (1, 2) or len(z) != n_rows or z.size == 0:
        raise InvalidInputError(
            f"need one target per row, got shape {z.shape} for {n_rows} rows; repeat that of an image for its rows"
        )
    if z.dtype.kind == "f" or z.ndim == 2:
        return _read_vectors(z, target_range, n_classes)
    if target_range is not None:
        raise InvalidInputError(
            f"need real values as target with a target_range, got labels of dtype {z.dtype}; drop the range, or give "
            "the values as floats"
        )
    names, numbers = np.unique(as_labels(z, "target", empty=True), return_inverse=True)
    if len(names) < 2:
        raise InvalidInputError(f"need at least two classes in target, got only {names[0]}; there is nothing to tell")
    if n_classes is not None and n_classes < len(names):
        raise InvalidInputError(f"need n_classes >= the {len(names)} classes in target, got {n_classes}")
    return Task(numbers.ravel().astype(np.intp), "labels", len(names), n_classes=n_classes)


def _read_vectors(z: npt.NDArray[Any], target_range: tuple[float, float] | None, n_classes: int | None) -> Task:
    if z.dtype.kind not in "fiub":
        raise InvalidInputError(f"need real rows as target, got dtype {z.dtype}")
    vectors = as_floats(z, "target").reshape(len(z), -1)
    bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if bad.size:
        raise InvalidInputError(
            f"need finite targets, got NaN or infinity in {bad.size} rows, the first is row {bad[0]}; drop these rows"
        )
    if (vectors == vectors[0]).all():
        raise InvalidInputError("need a target that varies, got one value in all rows; there is nothing to tell")
    # Each entry of a softmax is rounded to its own type; below the normal numbers of float16 by a fixed amount.
    kind = np.finfo(z.dtype) if z.dtype.kind == "f" else np.finfo(np.float64)
    slack = max(_SIMPLEX, 2.0 * float(kind.eps) + vectors.shape[1] * float(kind.smallest_subnormal))
    simplex = vectors.shape[1] > 1 and target_range is None and (vectors >= 0.0).all()
    if simplex and bool((np.abs(vectors.sum(axis=1) - 1.0) <= slack).all()):
        whole = bool(((vectors == 0.0) | (vectors == 1.0)).all())
        if n_classes is not None and n_classes < vectors.shape[1]:
            raise InvalidInputError(f"need n_classes >= the {vectors.shape[1]} columns of target, got {n_classes}")
        return Task(vectors, "one_hot" if whole else "distribution", vectors.shape[1], n_classes=n_classes)
    if target_range is None:
        return Task(vectors, "vector", vectors.shape[1])
    low, high = (float(end) for end in target_range)
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise InvalidInputError(f"need target_range=(low, high) with low < high, got {target_range}")
    if not ((vectors >= low) & (vectors <= high)).all():
        raise InvalidInputError(
            f"need targets in the declared range [{low:g}, {high:g}], got [{vectors.min():g}, {vectors.max():g}]"
        )
    return Task(vectors, "vector", vectors.shape[1], bounds=(low, high))
