"""`skip-it recheck`: recompute every bound of a stored certificate from its stored inputs."""

from __future__ import annotations

import json
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Any

import typer

from redundancy.certificates.registry import load_source
from redundancy.commands.printing import echo
from redundancy.errors import InvalidInputError, SkipItError, StoreError
from redundancy.files.digested import READERS, reading
from redundancy.files.reading import parse_json, read_text

__all__ = ["recheck"]


def recheck(
    certificate: Annotated[Path, typer.Argument(help="A certificate file written by skip-it.")],
    statistics: Annotated[
        Path | None, typer.Option(help="The harvest that a profile certificate was made from: compare with it, too.")
    ] = None,
    sources: Annotated[
        list[str] | None, typer.Option("--with", help="Module or .py file that registers bounds of your own.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print {ok, problems} as JSON.")] = False,
) -> None:
    """Recompute a certificate from its stored inputs; exit 1 if anything differs.

    Example: skip-it recheck report/certificates.json --statistics report/statistics.safetensors
    """
    for source in sources or ():
        load_source(source)
    text, kind = _read(certificate)
    harvest = None if statistics is None else _harvest(statistics, certificate, kind)
    try:
        with reading(kind.__name__):
            loaded = kind.from_json(text)
            report = loaded.recheck() if harvest is None else loaded.recheck(harvest)
            problems = list(report.problems)
    except SkipItError as error:
        problems = [str(error)]
    if as_json:
        echo(json.dumps({"ok": not problems, "problems": problems}))
    else:
        for problem in problems:
            echo(f"problem: {problem}")
        echo(
            f"{certificate}: "
            + (f"{len(problems)} problem{'s'[: len(problems) > 1]}" if problems else "every bound was reproduced")
        )
    if problems:
        raise typer.Exit(1)


def _read(path: Path) -> tuple[str, Any]:
    """Text of a certificate and the class that reads its schema."""
    text = read_text(path, "a readable certificate")
    tree = parse_json(text, path, "a certificate")
    if not isinstance(tree, dict):
        kind = "a list" if isinstance(tree, list) else f"the {type(tree).__name__} {tree!r}"
        raise StoreError(f"need a certificate as a JSON object, {path} holds {kind}; give a file that skip-it wrote")
    schema = tree.get("schema")
    known = {point.name: point for point in entry_points(group=READERS)}
    if not isinstance(schema, str) or schema not in known:
        raise StoreError(f"need a certificate of schema {sorted(known)}, {path} has {schema!r}")
    return text, known[schema].load()


def _harvest(statistics: Path, certificate: Path, kind: Any) -> Any:
    from redundancy.certificates.profile import ProfileCertificate
    from redundancy.statistics.harvest_statistics import HarvestStatistics

    if kind is not ProfileCertificate:
        raise InvalidInputError(
            f"need a profile certificate to compare with statistics, {certificate} is a {kind.__name__}"
        )
    return HarvestStatistics.load(statistics)
