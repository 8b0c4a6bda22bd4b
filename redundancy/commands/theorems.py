"""`skip-it theorems`: print the theorem ledger, whole or one statement."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from redundancy.bounds.ledger import STATUSES, TheoremRecord, find
from redundancy.bounds.ledger import theorems as records
from redundancy.certificates.registry import load_source
from redundancy.commands.printing import echo
from redundancy.errors import InvalidInputError

__all__ = ["theorems"]


def theorems(
    theorem: Annotated[
        str | None, typer.Argument(help="A theorem id, as lipschitz.minkowski_upper; all if omitted.")
    ] = None,
    status: Annotated[
        str | None, typer.Option("--status", help=f"Only statements that are one of: {', '.join(STATUSES)}.")
    ] = None,
    sources: Annotated[
        list[str] | None, typer.Option("--with", help="Module or .py file that registers bounds of your own.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a list of records as JSON.")] = False,
) -> None:
    """Print every statement: as printed in the paper, as used, why they differ, where it is computed.

    Example: skip-it theorems --status refuted
    """
    for source in sources or ():
        load_source(source)
    if status is not None and status not in STATUSES:
        raise typer.BadParameter(f"need one of {', '.join(STATUSES)}, got {status!r}", param_hint="--status")
    chosen = [find(theorem)] if theorem is not None else list(records())
    if theorem is not None and status not in (None, chosen[0].status):
        raise InvalidInputError(
            f"need a statement that is {status}, got {theorem}, which is {chosen[0].status}; drop --status or the id"
        )
    chosen = [record for record in chosen if status in (None, record.status)]
    if as_json:
        echo(json.dumps([record.to_record() for record in chosen], indent=1))
        return
    for record in chosen:
        echo(_text(record) if theorem is not None or status is not None else _line(record))
    if theorem is None and status is None:
        echo(f"{len(chosen)} statements; `skip-it theorems ID` shows one, `--status refuted` the false ones.")


def _line(record: TheoremRecord) -> str:
    return f"{record.id:<42} {record.status:<10} {record.evidence}  {record.statement}"


def _text(record: TheoremRecord) -> str:
    rows = [
        ("status", STATUSES[record.status]),
        ("printed", record.printed),
        ("used", record.statement),
        ("deviation", record.deviation),
        ("counterexample", record.counterexample),
        ("evidence", record.evidence),
        ("rests on", ", ".join(record.uses)),
        ("functions", ", ".join(record.functions)),
        ("proof check", f"skip-it prove --theorem {record.proof_check}" if record.proof_check else ""),
        ("page", f"docs/theorems/{record.anchor}"),
    ]
    head = f"{record.id}: {record.title}"
    return "\n".join([head, *(f"  {name + ':':<16}{text}" for name, text in rows if text), ""])
