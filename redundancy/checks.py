"""Checks of arguments: each returns the clean value or raises one sentence with name and value."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from redundancy.arrays import as_floats, as_labels, as_states, refuse_masked, to_numpy
from redundancy.errors import InvalidInputError

__all__ = [
    "MASS_TOLERANCE",
    "as_floats",
    "as_labels",
    "as_masses",
    "as_states",
    "check_count",
    "check_joint",
    "check_masses",
    "check_real",
    "check_rows",
    "exact_sum",
    "generator",
    "refuse_masked",
    "to_numpy",
]

MASS_TOLERANCE = 1e-9  # within it a table of float64 is normalised, outside it is refused


def check_real(
    value: Any, name: str, *, lower: float = -math.inf, upper: float = math.inf, open_ends: bool = False
) -> float:
    """A finite number inside [lower, upper], or inside (lower, upper) with `open_ends`."""
    numeric = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if not numeric or not math.isfinite(value):
        raise InvalidInputError(f"need a finite number for {name}, got {value!r}")
    inside = lower < value < upper if open_ends else lower <= value <= upper
    if not inside:
        ends = f"({lower:g}, {upper:g})" if open_ends else f"[{lower:g}, {upper:g}]"
        raise InvalidInputError(f"need {name} inside {ends}, got {value!r}")
    return float(value)


def check_count(value: Any, name: str, *, lower: int = 0, upper: int | None = None) -> int:
    """An integer inside [lower, upper]."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise InvalidInputError(f"need an integer for {name}, got {value!r}")
    if value < lower or (upper is not None and value > upper):
        raise InvalidInputError(f"need {name} in {lower}..{'' if upper is None else upper}, got {value!r}")
    return int(value)


def generator(seed: Any, name: str = "seed") -> np.random.Generator:
    """The random numbers of a seed, an integer of at least 0."""
    return np.random.default_rng(check_count(seed, name))


def exact_sum(values: npt.NDArray[np.float64]) -> float:
    """The rounded sum of numbers; infinite where it is above what floats hold."""
    try:
        return math.fsum(values.ravel())
    except OverflowError:
        return math.inf


def as_masses(values: Any, name: str) -> tuple[npt.NDArray[np.float64], float]:
    """Masses as float64, and how far from 1 their sum may be: the rounding of the type in which they came.

    Each entry carries half an ulp of its type, and so does each of the log2(n) steps of the sum that they were
    divided by.
    """
    array = to_numpy(values, name)
    kind = str(getattr(values, "dtype", array.dtype))
    half = float(np.finfo(array.dtype).eps) / 2.0 if array.dtype.kind == "f" else 0.0
    if kind.endswith("bfloat16"):  # read as float32
        half = 2.0**-8
    return as_floats(array, name), max(MASS_TOLERANCE, half * (2.0 + math.log2(max(array.size, 1))))


def check_joint(joint: npt.ArrayLike, name: str = "joint", *, ndim: int | None = None) -> npt.NDArray[np.float64]:
    """A joint probability table: finite, non-negative, summing to 1 within its rounding (then normalised)."""
    table, slack = as_masses(joint, name)
    if ndim is not None and table.ndim != ndim:
        raise InvalidInputError(f"need {name} with {ndim} axes, got shape {table.shape}")
    if table.size == 0:
        raise InvalidInputError(f"need a non-empty {name}, got shape {table.shape}")
    total = check_masses(table, name, slack)
    return table / total


def check_masses(table: npt.NDArray[np.float64], name: str, slack: float) -> float:
    """The sum of masses that are finite, non-negative, and sum to 1 within `slack`."""
    if not np.isfinite(table).all():
        bad = np.count_nonzero(~np.isfinite(table))
        raise InvalidInputError(f"need finite masses in {name}, got {bad} NaN or infinite entries")
    if (table < 0).any():
        raise InvalidInputError(f"need masses >= 0 in {name}, got a minimum of {table.min():.6g}")
    total = exact_sum(table)
    if abs(total - 1.0) > slack:
        raise InvalidInputError(
            f"need masses of {name} that sum to 1, got a sum of {total:.12g}; divide counts by their total first"
        )
    return total


def check_rows(rows: npt.ArrayLike, name: str) -> npt.NDArray[np.float64]:
    """A finite real matrix of shape (n_rows >= 1, n_features >= 1) as float64."""
    array = as_floats(rows, name)
    if array.ndim != 2 or 0 in array.shape:
        raise InvalidInputError(f"need {name} of shape (n_rows, n_features), got shape {array.shape}")
    bad = np.flatnonzero(~np.isfinite(array).all(axis=1))
    if bad.size:
        raise InvalidInputError(
            f"need finite values in {name}, got NaN or infinity in {bad.size} rows, the first is row {bad[0]}"
        )
    return array
