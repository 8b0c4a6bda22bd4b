"""`skip-it report`: one self-contained HTML page from what other commands wrote; needs no model and no GPU."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from redundancy.commands.printing import echo, refuse_existing

__all__ = ["report"]


def report(
    sources: Annotated[
        list[Path],
        typer.Argument(
            help="Folders or files of demo, profile, harvest, certify, validate or select; each kind of result once."
        ),
    ],
    out: Annotated[Path, typer.Option(help="The page; must not exist yet.")] = Path("report.html"),
    figures: Annotated[
        Path | None, typer.Option(help="Also write every figure into this new folder, as SVG and PNG.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Also write the report's data (JSON) here; must not exist.")] = None,
    model: Annotated[str | None, typer.Option(help="Name of the model to show.")] = None,
    layers: Annotated[int | None, typer.Option(help="Decoder layers, if the files do not tell them.", min=1)] = None,
    recheck: Annotated[
        bool,
        typer.Option(
            "--recheck/--no-recheck", help="Recompute certificates and choices, and refuse those that differ."
        ),
    ] = True,
) -> None:
    """Make the HTML report from any results: a study, a harvest, certificates, a validation, a choice.

    Parts go together, as in: skip-it report harvest/ pair.json validation/ choice/ --out report.html

    Example: skip-it report report/report.json --out page.html
    """
    from redundancy.files.writing import write_text
    from redundancy.report import gather_report, render_html, save_figures

    for path, option in ((out, "--out"), (figures, "--figures"), (data, "--data")):
        refuse_existing(path, "an output", option)
    gathered = gather_report(
        sources, model=model, n_layers=layers, command=" ".join(["skip-it", *sys.argv[1:]]), recheck=recheck
    )
    page = render_html(gathered)
    if figures is not None:
        save_figures(gathered, figures)
    if data is not None:
        write_text(data, json.dumps(gathered, indent=1, allow_nan=False))
    write_text(out, page)
    for line in gathered.get("sources", ()):
        echo(line)
    echo(f"Wrote {out}: {gathered['model']['name']}, {gathered['model']['n_layers']} layers.")
