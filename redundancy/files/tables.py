"""The door for joint tables: labelled columns, counts, samples, axes by name, from files and from memory."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from redundancy.checks import MASS_TOLERANCE, as_floats, as_labels, as_masses, check_masses, exact_sum, to_numpy
from redundancy.errors import InvalidInputError
from redundancy.files.arrays import open_array, table_rows
from redundancy.files.reading import read_json

__all__ = ["JointTable", "as_joint", "joint_from_samples", "read_joint"]

AXES = ("t", "x", "y")
# Headings of the fourth column, in lower case, and what its numbers are.
_VALUES = {
    **dict.fromkeys(("p", "prob", "probability", "mass"), "masses"),
    **dict.fromkeys(("count", "counts", "n"), "counts"),
    **dict.fromkeys(("weight", "weights", "w"), "weights"),
}
_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}
_FORM = "columns t, x, y and one of p, count or weight, or t, x, y alone for samples"


@dataclass(frozen=True, slots=True, eq=False)
class JointTable:
    """A joint law with axes (t, x, y), and how it was read.

    Attributes
    ----------
    table : ndarray of shape (T, X, Y)
        Masses: an array as it was given, counts and weights over their total.
    labels : tuple of three tuples, or None
        The symbols of each axis in order, where the source names them.
    note : str
        What was taken for what, in words; empty if nothing had to be told apart.
    """

    table: npt.NDArray[Any]
    labels: tuple[tuple[str, ...], ...] | None = None
    note: str = ""


def read_joint(path: str | os.PathLike[str], *, counts: bool = False) -> JointTable:
    """Read a (t, x, y) table from a file.

    Parameters
    ----------
    path : path-like
        ``.npy``, ``.npz:NAME``, ``.safetensors:NAME``: an array with axes (t, x, y). ``.csv``, ``.tsv``: columns t, x,
        y and p, count or weight in any order under a heading, or in this order without one; t, x, y alone are
        samples. ``.json``: a nested list, {"joint" or "counts": nested list, "axes": ["x", "y", "t"]}, or a list of
        objects with the keys of the columns.
    counts : bool, default=False
        The numbers are counts or weights whatever their name, and are divided by their total.

    Returns
    -------
    JointTable

    Raises
    ------
    StoreError
        If the file cannot be read.
    InvalidInputError
        If it does not hold a table, or it is not clear which.
    """
    place = Path(path)
    suffix = place.suffix.lower().partition(":")[0]
    if suffix == ".json":
        return _of_tree(read_json(place, "a joint table"), place.name, counts)
    if suffix in (".csv", ".tsv"):
        return _of_text(place, "," if suffix == ".csv" else "\t", counts)
    if suffix not in (".npy", ".npz", ".safetensors"):
        what = f"the folder {place}" if place.is_dir() else str(place)
        raise InvalidInputError(f"need a table ending in .npy, .npz, .safetensors, .csv, .tsv or .json, got {what}")
    return _of_array(to_numpy(open_array(path), place.name), place.name, counts)


def as_joint(values: Any, name: str = "joint") -> Any:
    """A table in memory with its axes in the order (t, x, y); what has no names of axes or columns is left as it is.

    Parameters
    ----------
    values : array_like of shape (T, X, Y), DataFrame, DataArray or mapping
        A frame has the columns t, x, y and p, count or weight, or t, x, y alone for samples; an xarray has the
        dimensions t, x, y in any order; a mapping gives the mass of each (t, x, y). Symbols may be any text.
    name : str
        What to call it in the sentence.

    Returns
    -------
    array_like of shape (T, X, Y)

    Raises
    ------
    InvalidInputError
        If names of columns or dimensions are there and not understood.
    """
    dims = getattr(values, "dims", None)
    if dims is not None and not isinstance(values, np.ndarray):
        return np.moveaxis(to_numpy(values, name), _order([str(dim) for dim in dims], name), (0, 1, 2))
    columns = getattr(values, "column_names", getattr(values, "columns", None))
    if columns is not None:
        return _of_columns([str(column) for column in columns], [values[column] for column in columns], name).table
    if isinstance(values, Mapping):
        if not values or not all(isinstance(key, tuple) and len(key) == 3 for key in values):
            raise InvalidInputError(f"need the mass of each (t, x, y) in {name}, got keys that are no triples")
        parts = [[str(key[axis]) for key in values] for axis in range(3)]
        return _of_columns([*AXES, "p"], [*parts, list(values.values())], name).table
    return values


def joint_from_samples(
    t: npt.ArrayLike, x: npt.ArrayLike, y: npt.ArrayLike, weight: npt.ArrayLike | None = None
) -> JointTable:
    """The empirical law of samples, whose symbols may be text, categories or integers.

    It describes the sample, not the population: information computed from it is biased.

    Parameters
    ----------
    t, x, y : array_like of shape (n,)
        Target and the two sources of each sample.
    weight : array_like of shape (n,), optional
        Counts or weights, at least 0; 1 by default.

    Returns
    -------
    JointTable

    Raises
    ------
    InvalidInputError
        For columns of different length, missing symbols, or weights that are negative or all 0.

    Examples
    --------
    >>> joint = joint_from_samples(["no", "no", "yes"], ["a", "a", "b"], [0, 1, 1])
    >>> joint.labels
    (('no', 'yes'), ('a', 'b'), ('0', '1'))
    >>> joint.table[0, 0].round(3).tolist()
    [0.333, 0.333]
    """
    heads = [*AXES] if weight is None else [*AXES, "weight"]
    return _of_columns(heads, [t, x, y] if weight is None else [t, x, y, weight], "samples")


def _order(names: list[str], where: str) -> list[int]:
    """Positions of t, x, y among names of axes; names that xarray makes up stand for that order."""
    if names == [f"dim_{i}" for i in range(3)]:
        return [0, 1, 2]
    if sorted(names) != sorted(AXES):
        raise InvalidInputError(f"need the axes t, x, y in any order in {where}, got {names}; rename them")
    return [names.index(axis) for axis in AXES]


def _of_array(array: npt.NDArray[Any], where: str, counts: bool) -> JointTable:
    """A three-way array; whole numbers that sum to more than 1 are counts."""
    if counts or (array.dtype.kind in "iu" and array.ndim == 3 and array.sum() > 1):
        table = as_floats(array, f"the counts in {where}")
        total = _shown(exact_sum(table))
        return JointTable(_shares(table, where), None, f"{where}: counts of {total} observations")
    return JointTable(array)  # its user checks it, by the rounding of its type


def _of_tree(tree: Any, where: str, counts: bool) -> JointTable:
    if isinstance(tree, list) and tree and all(isinstance(row, dict) for row in tree):
        heads = list(dict.fromkeys(key for row in tree for key in row))
        if any(len(row) != len(heads) for row in tree):
            raise InvalidInputError(
                f"need the same keys in every object of {where}, got {heads} in some and not in others"
            )
        return _of_columns(heads, [[row[head] for row in tree] for head in heads], where, counts)
    axes = None
    if isinstance(tree, dict):
        given = [key for key in ("joint", "counts") if key in tree]
        odd = sorted(set(tree) - {"joint", "counts", "axes"})
        if len(given) != 1 or odd:
            raise InvalidInputError(
                f'need a nested list, or an object with "joint" or "counts" and perhaps "axes", {where} has '
                f"{sorted(tree)[:8]}"
            )
        axes, counts, tree = tree.get("axes"), counts or given == ["counts"], tree[given[0]]
    array = to_numpy(tree, f"the three-way table {where}")
    if axes is not None:
        if not isinstance(axes, list) or array.ndim != 3:
            raise InvalidInputError(f"need three axes and their names in {where}, got shape {array.shape} and {axes!r}")
        array = np.moveaxis(array, _order([str(axis) for axis in axes], where), (0, 1, 2))
    if array.dtype.kind == "U":
        array = as_floats(array, f"the three-way table {where}")  # which refuses it
    return _of_array(array, where, counts)


def _of_text(path: Path, separator: str, counts: bool) -> JointTable:
    rows = [(number, [cell.strip() for cell in row]) for number, row in table_rows(path, separator)]
    rows = [(number, row) for number, row in rows if any(row)]
    if not rows:
        raise InvalidInputError(f"need {_FORM}, {path.name} has no rows")
    first = rows[0][1]
    if len(first) < 3:
        found = next(
            (name for mark, name in _SEPARATORS.items() if mark != separator and mark in separator.join(first)), ""
        )
        got = f"{found} between its cells; save it with commas and decimal points" if found else f"{len(first)} columns"
        raise InvalidInputError(f"need {_FORM}, {path.name} has {got}")
    if len(first) > 4 and not _is_heading(first):
        raise InvalidInputError(
            f"need {_FORM}, the first row of {path.name} has {len(first)} cells and is no such heading"
        )
    for number, row in rows:
        if len(row) != len(first):
            raise InvalidInputError(
                f"need rows of {len(first)} cells as the first, line {number} of {path.name} has {len(row)} fields"
            )
    if _is_heading(first):
        heads, body = first, rows[1:]
    else:
        heads, body = [*AXES, "p"][: len(first)], rows
    if not body:
        raise InvalidInputError(f"need {_FORM}, {path.name} has a heading and no rows")
    cells: list[list[Any]] = [[row[i] for _, row in body] for i in range(len(heads))]
    for i, head in enumerate(heads):
        if head.lower() in _VALUES:
            cells[i] = [_number(row[i], head, number, path.name, headless=heads is not first) for number, row in body]
    return _of_columns(heads, cells, path.name, counts, lines=[number for number, _ in body])


def _is_heading(cells: Sequence[str]) -> bool:
    return set(AXES) <= {cell.lower() for cell in cells}


def _number(cell: str, head: str, number: int, where: str, *, headless: bool) -> float:
    try:
        if "_" in cell:
            raise ValueError(cell)  # which Python alone takes for a number
        value = float(cell)
    except ValueError:
        more = "; a heading needs t, x, y among its names" if headless and number == 1 else ""
        raise InvalidInputError(f"need a number as {head}, line {number} of {where} has {cell!r}{more}") from None
    return value


def _of_columns(
    heads: list[str], cells: list[Any], where: str, counts: bool = False, *, lines: list[int] | None = None
) -> JointTable:
    """Columns by the names of their headings as a table, in any order."""
    names = [head.strip().lower() for head in heads]
    odd = [head for head, name in zip(heads, names, strict=True) if name not in AXES and name not in _VALUES]
    values = [name for name in names if name in _VALUES]
    if sorted(name for name in names if name in AXES) != sorted(AXES) or odd or len(values) > 1:
        what = f"; not understood: {odd}" if odd else ""
        raise InvalidInputError(f"need {_FORM}, {where} has {heads}{what}")
    symbols: list[tuple[str, ...]] = []
    numbers: list[npt.NDArray[np.intp]] = []
    for axis in AXES:
        labels = as_labels(cells[names.index(axis)], f"{axis} of {where}", empty=True)
        if symbols and len(labels) != len(numbers[0]):
            raise InvalidInputError(
                f"need columns of one length in {where}, got {len(numbers[0])} and {len(labels)} rows"
            )
        found, place = np.unique(labels, return_inverse=True)
        symbols.append(tuple(str(symbol) for symbol in found))
        numbers.append(place.ravel())
    n_rows = len(numbers[0])
    if n_rows == 0:
        raise InvalidInputError(f"need {_FORM}, {where} has no rows")
    kind = _VALUES[values[0]] if values else "samples"
    masses, slack = np.ones(n_rows), MASS_TOLERANCE
    if values:
        masses, slack = as_masses(cells[names.index(values[0])], f"{values[0]} of {where}")
        if lines is not None and all(_is_single(mass) for mass in masses):  # float32 in print
            slack = as_masses(masses.astype(np.float32), where)[1]
    if masses.shape != (n_rows,):
        raise InvalidInputError(f"need one {values[0]} per row in {where}, got shape {masses.shape} for {n_rows} rows")
    shape = tuple(map(len, symbols))
    if math.prod(shape) > max(1_000_000, 1000 * n_rows) and kind == "samples":
        raise InvalidInputError(
            f"need symbols that come again, {where} gives a table of {' x '.join(map(str, shape))} from {n_rows} rows; "
            "use coarser symbols"
        )
    cell = np.ravel_multi_index(tuple(numbers), shape)
    if kind == "masses" and not counts:
        _, first, repeats = np.unique(cell, return_index=True, return_counts=True)
        if (repeats > 1).any():
            row = int(np.flatnonzero(cell == cell[first[repeats > 1][0]])[1])
            key = tuple(names[number[row]] for names, number in zip(symbols, numbers, strict=True))
            at = f"line {lines[row]}" if lines else f"row {row}"
            raise InvalidInputError(f"need every (t, x, y) once, {at} of {where} repeats {key}")
        table = np.zeros(math.prod(shape))
        table[cell] = masses
        if abs(exact_sum(masses) - 1.0) > slack and (masses == np.round(masses)).all():
            raise InvalidInputError(
                f"need masses of {where} that sum to 1, got whole numbers with a sum of {_shown(exact_sum(masses))}; "
                "if they are counts, say so: --counts, or the heading count"
            )
        total = check_masses(table, where, slack)
        return JointTable(table.reshape(shape) / total, tuple(symbols))
    sums = np.bincount(cell, weights=masses, minlength=math.prod(shape)).reshape(shape).astype(np.float64)
    if (masses < 0).any():
        raise InvalidInputError(f"need {kind} >= 0 in {where}, got a minimum of {masses.min():.6g}")
    seen = _shown(exact_sum(masses))
    note = {"samples": f"{where}: {n_rows} samples", "weights": f"{where}: weights of {n_rows} samples, {seen} in all"}
    return JointTable(_shares(sums, where), tuple(symbols), note.get(kind, f"{where}: counts of {seen} observations"))


def _shares(table: npt.NDArray[np.float64], where: str) -> npt.NDArray[np.float64]:
    total = exact_sum(table)
    if not math.isfinite(total) or (table < 0).any() or total <= 0.0:
        raise InvalidInputError(
            f"need finite counts >= 0 with a total above 0 in {where}, got a minimum of {table.min():.6g} and a total "
            f"of {total:.6g}"
        )
    return np.asarray(table / total)


def _is_single(mass: float) -> bool:
    with np.errstate(over="ignore"):  # what is above float32 is no float32
        single = np.float32(mass)
    return mass in (float(single), float(str(single)))


def _shown(total: float) -> str:
    return f"{total:,.0f}" if total.is_integer() else f"{total:,.6g}"
