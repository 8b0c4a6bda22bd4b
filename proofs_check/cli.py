"""`skip-it prove`: check every statement of the theorem ledger by machine, and the checker by its mutants."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from proofs_check.table import METHODS, Row, examine
from redundancy.ledger import find, theorems

__all__ = ["prove"]


def prove(
    theorem: Annotated[str | None, typer.Option("--theorem", help="Print the whole proof of one id.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the rows as JSON.")] = False,
) -> None:
    """Check every statement of the ledger by machine; exit 1 if one fails.

    Example: skip-it prove --theorem lemma4
    """
    rows = examine([find(theorem)] if theorem is not None else theorems())
    if as_json:
        typer.echo(json.dumps({"theorems": [row.to_dict() for row in rows]}, indent=1))
    elif theorem is not None:
        typer.echo(_whole(rows[0]))
    else:
        typer.echo(_table(rows))
    if not all(row.ok for row in rows):
        raise typer.Exit(1)


def _table(rows: list[Row]) -> str:
    lines = ["  ".join([f"{'theorem':<44}", f"{'result':<8}", *(f"{m:<10}" for m in METHODS)])]
    for row in rows:
        cells = [f"{row.cells[m].text or '-':<10}" for m in METHODS]
        lines.append("  ".join([f"{row.record.id:<44}", f"{row.result:<8}", *cells]).rstrip())
    return "\n".join(lines)


def _whole(row: Row) -> str:
    lines = [f"{row.record.id}: {row.record.title}", f"  {row.record.statement}", f"  {row.result}"]
    for result in row.cells["shannon"].details or []:
        lines += ["", result["proof"], *([result["counterexample"]] if result["counterexample"] else [])]
    return "\n".join(lines)
