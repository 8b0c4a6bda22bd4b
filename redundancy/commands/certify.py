"""`skip-it certify`: certificates from two arrays of states, or from the statistics of a harvest."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from redundancy.commands.options import refuse_idle
from redundancy.commands.printing import echo, refuse_existing
from redundancy.errors import InvalidInputError, StoreError
from redundancy.interval import text_error, text_up

# What computes is imported when something is certified, so that a help page need not wait for it.
if TYPE_CHECKING:
    from redundancy.certificates.pair import LayerPairCertificate
    from redundancy.certificates.profile import ProfileCertificate

__all__ = ["certify"]

_BAR_FROM = 200_000_000  # numbers to read before a progress bar is worth its line
_ARRAYS_ONLY = ("ids", "column", "target", "target_range", "layer", "seed", "base")
_HARVEST_ONLY = ("groups", "below")
_ARRAY_FILES = (".npy", ".npz", ".txt", ".csv", ".tsv")
STATISTICS_FILE = "statistics.safetensors"  # in the folder of a finished harvest
_FIELDS = ("theorem", "quantity", "lower", "upper", "base", "evidence", "assumptions", "vacuous")


def certify(
    ctx: typer.Context,
    previous: Annotated[
        str, typer.Argument(help="States before the layer (.npy, .npz, .safetensors), or STATISTICS or its folder.")
    ],
    following: Annotated[str | None, typer.Argument(metavar="[NEXT]", help="States after the layer.")] = None,
    ids: Annotated[str | None, typer.Option(help="Image of each row (an array, or text with one id a line).")] = None,
    column: Annotated[
        str | None,
        typer.Option(help="Column of the file of --ids: its heading, or its number from 1."),
    ] = None,
    target: Annotated[str | None, typer.Option(help="Task of each row: labels, or real values.")] = None,
    target_range: Annotated[
        tuple[float, float] | None, typer.Option(help="Declared range of a real-valued target: LOW HIGH.")
    ] = None,
    groups: Annotated[str, typer.Option(help="Token groups of a harvest, with commas.")] = "vision,text",
    layer: Annotated[int, typer.Option(help="Number of the layer, for the record (arrays only).", min=0)] = 0,
    t: Annotated[float, typer.Option(help="Threshold of the tail probability.")] = 0.05,
    alpha: Annotated[float, typer.Option(help="Assumed Lipschitz constant in the next state (Theorem 1).")] = 1.0,
    beta: Annotated[float, typer.Option(help="Assumed Lipschitz constant in the previous state (Theorem 1).")] = 1.0,
    confidence: Annotated[float, typer.Option(help="Joint confidence level, in (0, 1).")] = 0.95,
    below: Annotated[
        float | None, typer.Option(help="Also test which mean distances are below this, fixed beforehand (Holm).")
    ] = None,
    population: Annotated[str | None, typer.Option(help="What the images are a sample of, in words.")] = None,
    count_max: Annotated[
        int | None, typer.Option(help="Pool tokens: the most tokens that any image can have.", min=1)
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the split for probes and of the pairs of images.")] = 0,
    base: Annotated[float, typer.Option(help="Unit of information: 2 for bits.")] = 2.0,
    out: Annotated[Path | None, typer.Option(help="Write the certificate here; the file must not exist.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print n_images, n_tokens and statements as JSON.")] = False,
) -> None:
    """Certify how close two layers are, with a confidence level, from stored states or statistics.

    Examples: skip-it certify before.npy after.npy --ids ids.npy --out pair.json,
    skip-it certify report/statistics.safetensors --groups vision
    """
    from redundancy.certificates.pair import LayerPairCertificate
    from redundancy.certificates.profile import ProfileCertificate
    from redundancy.files.arrays import open_array
    from redundancy.files.writing import write_new
    from redundancy.statistics.harvest_statistics import HarvestStatistics

    refuse_existing(out, "a file")
    declared: dict[str, Any] = {"t": t, "alpha": alpha, "beta": beta, "confidence_level": confidence}
    if population is not None:
        declared["population"] = population
    if count_max is not None:
        declared |= {"estimand": "token_pooled", "count_max": count_max}
    certificate: LayerPairCertificate | ProfileCertificate
    limits: list[str] = []
    if following is None:
        if Path(previous).suffix in _ARRAY_FILES:
            raise InvalidInputError(
                "need two arrays, PREV and NEXT, and --ids, or the statistics of a harvest alone, "
                f"got the array file {previous} alone; give the states after the layer and the ids, too"
            )
        refuse_idle(ctx, _ARRAYS_ONLY, wanted="two arrays, PREV and NEXT", got="one file")
        statistics = HarvestStatistics.load(_statistics_file(Path(previous)))
        if missing := statistics.provenance.sentence(statistics.n_samples):
            limits.append(f"{missing}; nothing here is about inputs that fail alike.")
        certificate = ProfileCertificate.from_statistics(
            statistics, groups=tuple(filter(None, groups.split(","))), **declared
        )
    else:
        _refuse_statistics(previous, following)
        refuse_idle(ctx, _HARVEST_ONLY, wanted="STATISTICS", got="two arrays")
        _check_target(target, target_range)
        if ids is None:
            raise InvalidInputError(
                "need --ids, the image of each row: tokens of one image are dependent, so rows cannot be the units"
            )
        x_prev, x_next = open_array(previous), open_array(following)
        with _progress(x_prev, quiet=as_json) as progress:
            certificate = LayerPairCertificate.from_arrays(
                x_prev,
                x_next,
                open_array(ids, column=column),
                target=None if target is None else open_array(target),
                target_range=target_range,
                layer=layer,
                seed=seed,
                base=base,
                progress=progress,
                **declared,
            )
    tested = _tested(certificate, below)
    if out is not None:
        write_new(out, certificate.to_json())
    if as_json:
        echo(json.dumps({**_record(certificate), **tested, "limitations": limits}, allow_nan=False))
    else:
        _show(certificate)
        for limit in limits:
            echo(f"Limitation: {limit}")
        if tested:
            echo(_in_words(certificate, tested["below"]))
        if out is not None:
            echo(f"\nWrote {out}; check it with: skip-it recheck {out}")


def _statistics_file(place: Path) -> Path:
    """The file itself, or that in the folder of a finished harvest."""
    file = place / STATISTICS_FILE if place.is_dir() else place
    if place.is_dir() and not file.is_file():
        raise StoreError(f"need a finished harvest, {place} has no {STATISTICS_FILE}; run it with --resume")
    return file


def _refuse_statistics(previous: str, following: str) -> None:
    """Two places are two arrays: statistics hold every layer already."""
    from redundancy.statistics.state import is_state

    for name, other in ((previous, following), (following, previous)):
        place = Path(name)
        if place.is_dir() or is_state(place):
            what = "a folder" if place.is_dir() else "the statistics of a harvest"
            raise InvalidInputError(
                f"need two array files, got {what}, {name}, with {other}; STATISTICS takes no NEXT, give it alone"
            )


def _check_target(target: str | None, target_range: tuple[float, float] | None) -> None:
    if target_range is None:
        return
    if target is None:
        raise InvalidInputError(
            "need --target with --target-range, got the range of no target; drop it or give the target"
        )
    low, high = target_range
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise InvalidInputError(f"need --target-range LOW HIGH, finite and LOW < HIGH, got {low:g} {high:g}")


def _tested(certificate: LayerPairCertificate | ProfileCertificate, below: float | None) -> dict[str, Any]:
    from redundancy.certificates.profile import ProfileCertificate

    if below is None or not isinstance(certificate, ProfileCertificate):
        return {}
    return {"below": {"threshold": below, "quantity": "mean_distance", "pairs": certificate.below(below)}}


def _in_words(certificate: LayerPairCertificate | ProfileCertificate, tested: dict[str, Any]) -> str:
    rows = tested["pairs"]
    names = ", ".join(f"{row['group']} {row['layer']}" for row in rows if row["below"]) or "none"
    return (
        f"Mean distance below {text_up(tested['threshold'])} (Holm over {len(rows)} hypotheses, at a family-wise "
        f"error of its own of {text_error(certificate.confidence_level or 0.0)}): {names}."
    )


def _pairs(certificate: LayerPairCertificate | ProfileCertificate) -> tuple[LayerPairCertificate, ...]:
    from redundancy.certificates.profile import ProfileCertificate

    return certificate.pairs if isinstance(certificate, ProfileCertificate) else (certificate,)


def _record(certificate: LayerPairCertificate | ProfileCertificate) -> dict[str, Any]:
    pairs = _pairs(certificate)
    from redundancy.certificates.profile import ProfileCertificate

    profile = isinstance(certificate, ProfileCertificate)
    rows = []
    for pair in pairs:
        for record in pair.to_records():
            place = {"layer": pair.layer, "group": pair.group} if profile else {}
            # JSON has no infinity; an end that nothing bounds is null.
            rows.append({**place, **{k: _finite(record[k]) for k in _FIELDS}})
    groups = {pair.group: pair.n_tokens for pair in pairs}
    return {
        "n_images": certificate.n_images,
        "n_tokens": sum(groups.values()),
        "n_tokens_by_group": groups,
        "confidence_level": certificate.confidence_level,
        "statements": rows,
        "sentence": certificate.sentence(),
    }


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _show(certificate: LayerPairCertificate | ProfileCertificate) -> None:
    table = [("", "quantity", "bound", "evidence", "by")]
    for pair in _pairs(certificate):
        place = f"{pair.group} {pair.layer}" if pair.layer else pair.group
        table += [
            (place, s.quantity, str(s.interval), "V (vacuous)" if s.is_vacuous else s.label, s.theorem)
            for s in pair.statements
        ]
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    for row in table:
        echo("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
    echo("")
    from redundancy.certificates.profile import ProfileCertificate

    echo(certificate.summary() if isinstance(certificate, ProfileCertificate) else certificate.sentence())


@contextmanager
def _progress(states: Any, *, quiet: bool) -> Iterator[Any]:
    """A progress bar on the error stream for long passes, None else."""
    import sys

    rows, width = (states.shape[0], states.shape[1]) if getattr(states, "ndim", 0) == 2 else (0, 0)
    if quiet or rows * width < _BAR_FROM or not sys.stderr.isatty():
        yield None
        return
    with typer.progressbar(length=rows, label="Reading states", file=sys.stderr) as bar:
        yield bar.update
