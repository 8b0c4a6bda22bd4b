"""`skip-it recheck`: recompute every bound of a stored certificate from its stored inputs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from redundancy.certificate import SCHEMA as BOUND_SCHEMA
from redundancy.certificate import BoundCertificate
from redundancy.errors import StoreError
from redundancy.profile import SCHEMA as PROFILE_SCHEMA
from redundancy.profile import ProfileCertificate

__all__ = ["recheck"]

_KINDS: dict[str, Any] = {BOUND_SCHEMA: BoundCertificate, PROFILE_SCHEMA: ProfileCertificate}


def recheck(
    certificate: Annotated[Path, typer.Argument(help="A certificate file written by skip-it.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print {ok, problems} as JSON.")] = False,
) -> None:
    """Recompute a certificate from its stored inputs; exit 1 if anything differs.

    Example: skip-it recheck report/certificates.json
    """
    try:
        text = certificate.read_text(encoding="utf-8")
        schema = json.loads(text).get("schema")
    except OSError as error:
        raise StoreError(f"need a readable certificate, {certificate} gives: {error.strerror}") from error
    except (ValueError, AttributeError) as error:
        raise StoreError(f"need a certificate as a JSON object, {certificate} does not parse: {error}") from error
    if schema not in _KINDS:
        raise StoreError(f"need a certificate of schema {sorted(_KINDS)}, {certificate} has {schema!r}")
    try:
        report = _KINDS[schema].from_json(text).recheck()
        problems = list(report.problems)
    except StoreError as error:
        problems = [str(error)]
    if as_json:
        typer.echo(json.dumps({"ok": not problems, "problems": problems}))
    else:
        for problem in problems:
            typer.echo(f"problem: {problem}")
        typer.echo(f"{certificate}: " + (f"{len(problems)} problems" if problems else "every bound was reproduced"))
    if problems:
        raise typer.Exit(1)
