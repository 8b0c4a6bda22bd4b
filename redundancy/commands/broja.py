"""`skip-it broja`: the four terms of a joint table's information decomposition, as certified intervals."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO, TypeAlias

import typer

from redundancy.errors import InvalidInputError, StoreError
from redundancy.units import unit_name

# numpy and the solver are imported when a table is decomposed, so that a help page need not wait for them.
if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from redundancy.pid.result import BrojaResult

    Array: TypeAlias = npt.NDArray[np.float64]

__all__ = ["broja", "read_joint"]

_METHODS = "auto, closed_form, dense, schur, first_order"


def broja(
    table: Annotated[Path, typer.Argument(help="Joint law, axes (t, x, y): .npy, .csv with rows t,x,y,p, or .json.")],
    tolerance: Annotated[float, typer.Option(help="Wanted certified gap, in units of the base.")] = 1e-9,
    base: Annotated[float, typer.Option(help="Base of the logarithm: 2 for bits.")] = 2.0,
    method: Annotated[str, typer.Option(help=f"One of {_METHODS}.")] = "auto",
    time_limit: Annotated[float | None, typer.Option(help="Seconds; the interval reached is printed.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the intervals as JSON.")] = False,
) -> None:
    """Decompose what X and Y tell about the target T: unique, redundant and synergistic information.

    Example: skip-it broja joint.csv --json
    """
    from redundancy.pid.solve import broja as solve

    result = solve(
        read_joint(table),
        tolerance=tolerance,
        base=base,
        method=method,
        time_limit=math.inf if time_limit is None else time_limit,
        throw=False,
    )
    typer.echo(json.dumps(result.to_dict()) if as_json else _text(result))
    if not result.converged:
        typer.echo(f"warning: certified gap {result.gap:.3g} is above the tolerance; {result.status_text}", err=True)
        raise typer.Exit(1)


def _text(result: BrojaResult) -> str:
    unit = unit_name(result.base)
    labels = {
        "unique_x": "unique to x",
        "unique_y": "unique to y",
        "redundant": "redundant",
        "synergistic": "synergistic",
    }
    lines = [f"{'':12s} {'lower':>16s} {'upper':>16s}   ({unit}; axes t, x, y with target t)"]
    for name, label in labels.items():
        interval = getattr(result, name)
        lines.append(f"{label:12s} {interval.lower:16.12f} {interval.upper:16.12f}")
    steps = "closed form" if result.method == "closed_form" else f"{result.method}, {result.iterations} iterations"
    lines.append(f"certified gap {result.gap:.2g} {unit}; {steps}; {result.seconds:.3g} s")
    return "\n".join(lines)


def read_joint(path: Path) -> Array:
    """Read a (t, x, y) table.

    ``.npy``: a three-way array, pickles refused. ``.csv``: rows t,x,y,p with one optional header; symbols may be
    any text, a repeated triple is an error. ``.json``: a nested list, or {"joint": nested list}.

    Raises
    ------
    StoreError
        If the file cannot be read.
    InvalidInputError
        If it does not hold a table.
    """
    readers = {".npy": _read_npy, ".csv": _read_csv, ".json": _read_json}
    if path.suffix.lower() not in readers:
        what = f"the folder {path}" if path.is_dir() else str(path)
        raise InvalidInputError(f"need a table ending in .npy, .csv or .json, got {what}; name such a file")
    try:
        return readers[path.suffix.lower()](path)
    except OSError as error:
        raise StoreError(f"need a readable table, {path} gives: {error.strerror or error}") from error


def _numeric(values: Any, path: Path) -> Array:
    from redundancy.checks import as_floats

    return as_floats(values, f"the three-way table {path.name}")


def _read_npy(path: Path) -> Array:
    import numpy as np

    try:
        values = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise InvalidInputError(f"need a plain .npy array without pickles, {path.name} gives: {error}") from error
    return _numeric(values, path)


def _read_json(path: Path) -> Array:
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InvalidInputError(f"need JSON in UTF-8, {path.name} does not parse: {error}") from error
    except RecursionError:
        raise InvalidInputError(f"need a list nested three deep, {path.name} is nested too deep to be read") from None
    if isinstance(tree, dict):
        if "joint" not in tree:
            raise InvalidInputError(f'need a nested list or an object with "joint", {path.name} has {sorted(tree)}')
        tree = tree["joint"]
    return _numeric(tree, path)


def _rows(stream: TextIO, path: Path) -> Iterator[list[str]]:
    try:
        yield from csv.reader(stream)
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"need a CSV in UTF-8, {path.name} is none: {error}; save it as UTF-8") from None
    except csv.Error as error:
        raise InvalidInputError(f"need rows t,x,y,p, {path.name} does not parse: {error}") from None


def _read_csv(path: Path) -> Array:
    import numpy as np

    entries: dict[tuple[str, str, str], float] = {}
    with path.open(encoding="utf-8", newline="") as stream:
        for number, row in enumerate(_rows(stream, path), start=1):
            fields = [field.strip() for field in row]
            if not any(fields):
                continue
            if len(fields) != 4:
                raise InvalidInputError(f"need rows t,x,y,p, line {number} of {path.name} has {len(fields)} fields")
            key = (fields[0], fields[1], fields[2])
            try:
                mass = float(fields[3])
            except ValueError:
                if number == 1:
                    continue  # a header
                raise InvalidInputError(f"need a number as p, line {number} of {path.name} has {fields[3]!r}") from None
            if key in entries:
                raise InvalidInputError(f"need every (t, x, y) once, line {number} of {path.name} repeats {key}")
            entries[key] = mass
    if not entries:
        raise InvalidInputError(f"need rows t,x,y,p, {path.name} has none")
    symbols = [sorted({key[axis] for key in entries}) for axis in range(3)]
    position = [{symbol: i for i, symbol in enumerate(axis)} for axis in symbols]
    table = np.zeros([len(axis) for axis in symbols])
    for key, mass in entries.items():
        table[position[0][key[0]], position[1][key[1]], position[2][key[2]]] = mass
    return table
