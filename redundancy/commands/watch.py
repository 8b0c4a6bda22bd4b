"""`skip-it watch`: what the audits of a served plan say."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from redundancy.errors import StoreError

__all__ = ["watch"]


def watch(
    log: Annotated[Path, typer.Argument(help="The --audit-log of skip-it serve.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the state as JSON.")] = False,
) -> None:
    """Tell whether the certified risk of a served plan is still credible; exit 1 after an alarm.

    Example: skip-it watch audit.json
    """
    from redundancy.risk import DriftAlarm

    try:
        text = log.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        raise StoreError(f"need a readable audit log, {log} gives: {error}") from error
    alarm = DriftAlarm.from_json(text)
    typer.echo(alarm.to_json() if as_json else alarm.sentence)
    if alarm.is_raised:
        raise typer.Exit(1)
