"""`skip-it recheck`: recompute every bound of a stored certificate from its stored inputs."""

from __future__ import annotations

import json
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Any

import typer

from redundancy.certificate import SCHEMA as BOUND_SCHEMA
from redundancy.certificate import BoundCertificate
from redundancy.errors import InvalidInputError, SkipItError, StoreError
from redundancy.layer_pair import SCHEMA as PAIR_SCHEMA
from redundancy.layer_pair import LayerPairCertificate
from redundancy.profile import SCHEMA as PROFILE_SCHEMA
from redundancy.profile import ProfileCertificate
from redundancy.statistics import HarvestStatistics

__all__ = ["recheck"]

GROUP = "skip_it.certificates"  # entry points of other packages: schema = class with from_json and recheck
_KINDS: dict[str, Any] = {
    BOUND_SCHEMA: BoundCertificate,
    PAIR_SCHEMA: LayerPairCertificate,
    PROFILE_SCHEMA: ProfileCertificate,
}


def recheck(
    certificate: Annotated[Path, typer.Argument(help="A certificate file written by skip-it.")],
    statistics: Annotated[
        Path | None, typer.Option(help="The harvest that a profile certificate was made from: compare with it, too.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print {ok, problems} as JSON.")] = False,
) -> None:
    """Recompute a certificate from its stored inputs; exit 1 if anything differs.

    Example: skip-it recheck report/certificates.json --statistics report/statistics.safetensors
    """
    text, schema = _read(certificate)
    if statistics is not None and schema != PROFILE_SCHEMA:
        raise InvalidInputError(f"need a profile certificate to compare with statistics, {certificate} is {schema}")
    harvest = None if statistics is None else HarvestStatistics.load(statistics)
    try:
        loaded = _kind(schema).from_json(text)
        report = loaded.recheck() if harvest is None else loaded.recheck(harvest)
        problems = list(report.problems)
    except SkipItError as error:
        problems = [str(error)]
    if as_json:
        typer.echo(json.dumps({"ok": not problems, "problems": problems}))
    else:
        for problem in problems:
            typer.echo(f"problem: {problem}")
        typer.echo(f"{certificate}: " + (f"{len(problems)} problems" if problems else "every bound was reproduced"))
    if problems:
        raise typer.Exit(1)


def _read(path: Path) -> tuple[str, str]:
    try:
        text = path.read_text(encoding="utf-8")
        schema = json.loads(text).get("schema")
    except OSError as error:
        raise StoreError(f"need a readable certificate, {path} gives: {error.strerror}") from error
    except (ValueError, AttributeError) as error:
        raise StoreError(f"need a certificate as a JSON object, {path} does not parse: {error}") from error
    if schema not in _KINDS and schema not in (known := _others()):
        raise StoreError(f"need a certificate of schema {sorted([*_KINDS, *known])}, {path} has {schema!r}")
    return text, schema


def _others() -> dict[str, Any]:
    """Schemas of certificates that other packages bring."""
    return {point.name: point for point in entry_points(group=GROUP)}


def _kind(schema: str) -> Any:
    return _KINDS[schema] if schema in _KINDS else _others()[schema].load()
