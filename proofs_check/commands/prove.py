"""`skip-it prove`: check every statement of the theorem ledger by machine, and the checker by its mutants."""

from __future__ import annotations

import json
import sys
import time
from typing import Annotated

import typer

from redundancy.bounds.ledger import find, theorems
from redundancy.commands.printing import echo
from redundancy.errors import InvalidInputError, MissingExtraError

__all__ = ["prove"]


def prove(
    theorem: Annotated[str | None, typer.Option("--theorem", help="Print everything about one id.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print theorems and mutations as JSON.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the table in Markdown.")] = False,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the random laws and searches.")] = 0,
    deep: Annotated[bool, typer.Option("--deep", help="Search for hours instead of a minute.")] = False,
) -> None:
    """Check every statement of the ledger by machine; exit 1 if one fails or a mutant survives.

    Shannon and symbolic proofs; exact checks on extremal laws (exact) and on random ones (property); the largest
    left/right ratio that a search finds (tightness); false variants that must be refuted (mutants killed).

    Example: skip-it prove --theorem lipschitz.minkowski_upper
    """
    if seed < 0:
        raise InvalidInputError(f"need a seed >= 0, got {seed}")
    if as_json and markdown:
        raise InvalidInputError("need one of --json and --markdown, got both")
    try:
        # Here, not above: sympy and scipy take a second that `skip-it --help` should not wait for.
        from proofs_check.commands import show
        from proofs_check.table import Settings, examine
    except ModuleNotFoundError as error:
        raise MissingExtraError(f'proving needs {error.name}: pip install "skip-it[proofs]"') from error
    records = [find(theorem)] if theorem is not None else list(theorems())
    settings = Settings.deep(seed) if deep else Settings(seed=seed)
    start = time.perf_counter()
    if sys.stderr.isatty():
        with typer.progressbar(length=len(records), label="statements", file=sys.stderr) as bar:
            rows = examine(records, settings, done=lambda _: bar.update(1))
    else:
        rows = examine(records, settings)
    seconds = time.perf_counter() - start
    if as_json:
        echo(json.dumps(show.document(rows, settings, seconds), indent=1))
    elif markdown:
        echo(show.markdown_table(rows))
    elif theorem is not None:
        echo(show.whole(rows[0]))
    else:
        echo(show.text_table(rows, settings, seconds))
    if not all(row.ok for row in rows):
        raise typer.Exit(1)
