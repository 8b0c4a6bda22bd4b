"""`skip-it broja`: the four terms of a joint table's information decomposition, as certified intervals."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Annotated

import typer

from redundancy.commands.printing import echo
from redundancy.interval import text_down, text_up
from redundancy.units import unit_name

# numpy and the solver are imported when a table is decomposed, so that a help page need not wait for them.
if TYPE_CHECKING:
    from redundancy.pid.result import BrojaResult

__all__ = ["broja"]

_METHODS = "auto, closed_form, dense, schur, first_order"


def broja(
    table: Annotated[
        str,
        typer.Argument(
            help="Joint law, axes (t, x, y): .npy, .json, or .csv with columns t, x, y and p, count or weight; columns "
            "t, x, y alone are samples."
        ),
    ],
    counts: Annotated[
        bool, typer.Option("--counts", help="The numbers are counts or weights: divide them by their total.")
    ] = False,
    tolerance: Annotated[float, typer.Option(help="Wanted certified gap, in units of the base.")] = 1e-9,
    base: Annotated[float, typer.Option(help="Base of the logarithm: 2 for bits.")] = 2.0,
    method: Annotated[str, typer.Option(help=f"One of {_METHODS}.")] = "auto",
    time_limit: Annotated[float | None, typer.Option(help="Seconds; the interval reached is printed.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the intervals as JSON.")] = False,
) -> None:
    """Decompose what X and Y tell about the target T: unique, redundant and synergistic information.

    Example: skip-it broja joint.csv --json
    """
    from redundancy.files.tables import read_joint
    from redundancy.pid.solve import broja as solve

    joint = read_joint(table, counts=counts)
    if joint.note:
        echo(f"note: {joint.note}", err=True)
    result = solve(
        joint.table,
        tolerance=tolerance,
        base=base,
        method=method,
        time_limit=math.inf if time_limit is None else time_limit,
        throw=False,
    )
    echo(json.dumps(result.to_dict()) if as_json else _text(result))
    if not result.converged:
        echo(f"warning: certified gap {result.gap:.3g} is above the tolerance; {result.status_text}", err=True)
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
        lines.append(
            f"{label:12s} {text_down(interval.lower, decimals=12):>16s} {text_up(interval.upper, decimals=12):>16s}"
        )
    steps = "closed form" if result.method == "closed_form" else f"{result.method}, {result.iterations} iterations"
    lines.append(f"certified gap {result.gap:.2g} {unit}; {steps}; {result.seconds:.3g} s")
    return "\n".join(lines)
