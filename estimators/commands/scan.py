"""The command of the estimators: `skip-it scan STORE`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from redundancy.commands.printing import echo, refuse_existing
from redundancy.errors import InvalidInputError, MissingExtraError

__all__ = ["scan"]


def scan(
    store: Annotated[Path, typer.Argument(help="Folder of an activation store.")],
    target: Annotated[
        str | None, typer.Option(help="Task: a field of the samples ('answer'), or 'answers', the model's own.")
    ] = None,
    group: Annotated[str | None, typer.Option(help="Token group: vision, words, sink, special or text.")] = None,
    kinds: Annotated[str, typer.Option(help="Pairs to scan, with commas.")] = "adjacent,entry,exit",
    confidence: Annotated[float, typer.Option(help="Confidence level, in (0, 1); certificates hold jointly.")] = 0.95,
    codes: Annotated[int, typer.Option(help="Codes for entropies.", min=2)] = 64,
    atom_codes: Annotated[int, typer.Option(help="Codes for unique information.", min=2)] = 8,
    probe: Annotated[str, typer.Option(help="Probe class: ridge, kernel or mlp.")] = "ridge",
    folds: Annotated[int, typer.Option(help="Folds over images.", min=2)] = 5,
    bootstrap: Annotated[int, typer.Option(help="Resamples for unique information; 0 leaves it out.", min=0)] = 60,
    raw: Annotated[bool, typer.Option("--raw", help="Probe the states as they are, not their directions.")] = False,
    jobs: Annotated[int | None, typer.Option(help="Processes; all cores by default.", min=1)] = None,
    seed: Annotated[int, typer.Option(help="Of all splits and fits.")] = 0,
    device: Annotated[str | None, typer.Option(help="Torch device for codebooks and probes.")] = None,
    verify: Annotated[bool, typer.Option(help="Recompute the checksums of the store first.")] = True,
    out: Annotated[Path | None, typer.Option(help="Write the JSON here; the file must not exist.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Write a figure here (.svg or .png); must not exist.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the JSON instead of the table.")] = False,
) -> None:
    """Estimate and bound how redundant each layer is, from stored activations.

    Example: skip-it scan activations --target answer --plot scan.svg
    """
    from importlib.util import find_spec

    for module in ("sklearn", "tqdm"):
        if find_spec(module) is None:
            raise MissingExtraError(f'scanning needs {module}: pip install "skip-it[estimators]"')
    refuse_existing(out, "a file")
    refuse_existing(plot, "a figure", "--plot")
    if plot is not None and plot.suffix not in (".svg", ".png"):
        raise InvalidInputError(f"need a figure name that ends in .svg or .png, got {plot.name!r}")

    from estimators.scan.layers import scan_layers
    from estimators.scan.result import plot_scan
    from estimators.store import ActivationStore
    from redundancy.figures.saving import save_figure
    from redundancy.files.writing import write_text

    opened = ActivationStore(store, group=group, verify=verify)
    try:
        result = scan_layers(
            opened,
            target=target or ("answers" if opened.spec.get("answers") else "answer"),
            kinds=tuple(filter(None, kinds.split(","))),
            confidence_level=confidence,
            n_codes=codes,
            atom_codes=atom_codes,
            folds=folds,
            probe=probe,
            normalise=not raw,
            n_bootstrap=bootstrap,
            jobs=jobs or os.cpu_count() or 1,
            random_state=seed,
            device=device,
            progress=False if as_json else None,
        )
    except KeyboardInterrupt:
        echo("\nInterrupted. A scan keeps no parts: nothing was written.", err=True)
        raise typer.Exit(130) from None
    faults = [pair.error for pair in result.pairs if pair.error]
    if len(faults) == len(result.pairs):
        raise InvalidInputError(f"need at least one pair that can be scanned, all {len(faults)} fail: {faults[0]}")
    if out is not None:
        write_text(out, result.records_json() + "\n")
    if plot is not None:
        save_figure(plot_scan(result), plot)
    echo(result.records_json() if as_json else result.summary())
