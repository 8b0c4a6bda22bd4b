"""`skip-it watch`: what the audits of a served plan say."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from redundancy.commands.printing import echo
from redundancy.files.reading import read_text

__all__ = ["watch"]


def watch(
    log: Annotated[Path, typer.Argument(help="The --audit-log of skip-it serve.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the state as JSON.")] = False,
) -> None:
    """Tell whether the certified risk of a served plan is still credible; exit 1 after an alarm.

    Example: skip-it watch audit.json
    """
    from redundancy.risk import DriftAlarm

    alarm = DriftAlarm.from_json(read_text(log, "a readable audit log"))
    echo(alarm.to_json() if as_json else alarm.sentence)
    if alarm.is_raised:
        raise typer.Exit(1)
