"""`skip-it compare`: is a treated run as good as its base, by the per-sample logs of both."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from redundancy.commands.printing import echo, refuse_existing
from redundancy.errors import InvalidInputError

__all__ = ["compare"]


def compare(
    base: Annotated[Path, typer.Argument(help="Log of the run without the change, sample by sample, or a folder.")],
    treated: Annotated[Path, typer.Argument(help="The same documents with the change.")],
    risk: Annotated[float, typer.Option(help="Share of right answers that may be lost.")] = 0.02,
    confidence: Annotated[float, typer.Option(help="How sure the verdicts are.")] = 0.95,
    metric: Annotated[str | None, typer.Option(help="Field with the score, if the logs have several.")] = None,
    unit: Annotated[str | None, typer.Option(help="Field that names the independent unit, as the image.")] = None,
    filter_name: Annotated[str | None, typer.Option("--filter", help="Which of lm-eval's answer filters.")] = None,
    score_range: Annotated[str, typer.Option(help="Lowest and highest possible score, as 0,1.")] = "0,1",
    only_common: Annotated[bool, typer.Option("--only-common", help="Compare what both have, and say so.")] = False,
    out: Annotated[Path | None, typer.Option(help="Write the comparison here, as JSON that recheck reads.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print that JSON.")] = False,
) -> None:
    """Certify or refute that a treated run loses few right answers, whatever software ran it.

    Reads the per-sample logs of lm-eval, lmms-eval and VLMEvalKit, and plain CSV, TSV or JSON with a score per row.

    Example: skip-it compare logs/base.jsonl logs/pruned.jsonl --risk 0.05
    """
    from redundancy.comparison import compare as judge
    from redundancy.comparison import read_log
    from redundancy.files.writing import write_text

    refuse_existing(out, "a file for the comparison")
    logs = [read_log(path, metric=metric, unit=unit, filter_name=filter_name) for path in (base, treated)]
    result = judge(
        *logs, risk=risk, confidence_level=confidence, score_range=_range(score_range), only_common=only_common
    )
    if out is not None:
        write_text(out, result.to_json())
    echo(result.to_json() if as_json else result.summary())
    if out is not None and not as_json:
        echo(f"\nwritten: {out}; check it with: skip-it recheck {out}")


def _range(text: str) -> tuple[float, float]:
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        raise InvalidInputError(f"need --score-range as two numbers like 0,1, got {text!r}") from None
    return low, high
