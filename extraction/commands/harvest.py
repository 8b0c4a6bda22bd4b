"""`skip-it harvest` and `skip-it merge`: long harvests in folders, shards and their union."""

from __future__ import annotations

import logging
import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from extraction.commands.support import EMBEDDED, Batch, Data, counted, need_extras, note, read_input, say
from extraction.harvesting.options import DEFAULTS, HarvestOptions
from extraction.run.distributed.ranks import default_shard, local_device, rank_and_world
from redundancy.commands.options import refuse_idle
from redundancy.commands.printing import refuse_existing
from redundancy.errors import InvalidInputError, StoreError
from redundancy.interval import text_down, text_level, text_up

if TYPE_CHECKING:
    from extraction.run import HarvestRun

__all__ = ["harvest", "merge"]

_LOG = logging.getLogger("skip_it.harvest")
_FEW = 5
_ARRAY_MARKS = {"a NumPy array": b"\x93NUMPY", "an archive of arrays": b"PK\x03\x04"}
_THRESHOLDS = list(DEFAULTS["thresholds"])
_STORE_ONLY = ("store_tokens", "store_groups", "store_depths", "store_dtype")


def harvest(
    ctx: typer.Context,
    model: Annotated[str, typer.Argument(help=f"Folder of a Hugging Face image-text-to-text model, or {EMBEDDED!r}.")],
    out: Annotated[Path, typer.Option(help="Folder of the run; new, or with --resume that of the same run.")],
    data: Data = None,
    shard: Annotated[
        str | None,
        typer.Option(
            help="i/n: only part i of n, by a hash of the sample ids; i from 0. Under torchrun RANK/WORLD_SIZE by "
            "default, and every rank gets a folder of its own below --out.",
            show_default="0/1",
        ),
    ] = None,
    workers: Annotated[
        int, typer.Option(help="Processes that share the batches; each loads the model once.", min=1)
    ] = 1,
    threads: Annotated[
        int | None, typer.Option(help="CPU threads per process; an equal share by default.", min=1, show_default=False)
    ] = None,
    engine: Annotated[str, typer.Option(help="Who runs the workers: processes, or ray (the extra ray).")] = "processes",
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run.")] = False,
    until: Annotated[
        str | None,
        typer.Option(help='Stop as soon as this is decided, as "D_vision[3] < 0.05" or "P_vision[3](0.05) > 0.1".'),
    ] = None,
    confidence: Annotated[float, typer.Option(help="Confidence of that decision, whenever it comes.")] = 0.95,
    threshold: Annotated[
        list[float],
        typer.Option(
            help="Distance t in (0, 2) whose share P(rho > t) certify --t and --until can ask for; repeat for more."
        ),
    ] = _THRESHOLDS,
    store: Annotated[
        Path | None,
        typer.Option(
            help="Also store a sub-sample of activations in this folder, for skip-it scan.", show_default=False
        ),
    ] = None,
    store_tokens: Annotated[int, typer.Option(help="Tokens per group and sample in the store.", min=1)] = 16,
    store_groups: Annotated[
        str, typer.Option(help="Token groups in the store, out of vision,words,sink,special.")
    ] = "vision",
    store_depths: Annotated[
        str | None, typer.Option(help="Depths in the store with commas, as 0,6,12; all by default.", show_default=False)
    ] = None,
    store_dtype: Annotated[str, typer.Option(help="float32, or float16 for half the disk.")] = "float32",
    batch_by_length: Annotated[
        bool, typer.Option("--batch-by-length", help="Batches of questions of like length; not with --until.")
    ] = False,
    batch_size: Batch = DEFAULTS["batch_size"],
    limit: Annotated[int | None, typer.Option(help="Use the first N samples only.", min=1)] = None,
    matrix: Annotated[
        bool, typer.Option("--matrix/--no-matrix", help="Distances between all pairs of depths.")
    ] = DEFAULTS["matrix"],
    attention: Annotated[
        bool, typer.Option("--attention/--no-attention", help="Attention mass on vision tokens (VAR).")
    ] = DEFAULTS["attention"],
    dtype: Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")] = "auto",
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, mps, or auto to spread over all GPUs.")] = "cpu",
    allow_download: Annotated[bool, typer.Option(help="Let the model come from a hub; off means local only.")] = False,
    trust_remote_code: Annotated[bool, typer.Option(help="Run code that the model folder brings.")] = False,
    merge_adapter: Annotated[
        bool, typer.Option("--merge-adapter", help="Merge the adapter (PEFT) that lies in the model folder.")
    ] = False,
    prompt: Annotated[
        str | None,
        typer.Option(
            help="Prompt with {image} and {question} instead of the model's chat template.", show_default=False
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Harvest redundancy statistics into a folder that survives interruption; samples that fail are recorded.

    Example: skip-it harvest ./llava --data vqa.jsonl --out run --shard 0/4 --until "D_vision[3] < 0.05"
    """
    need_extras("torch", "transformers")
    thresholds = _thresholds(threshold)
    if store is None:
        refuse_idle(ctx, _STORE_ONLY, wanted="--store", got="none")
    if until is None:
        refuse_idle(ctx, ("confidence",), wanted="--until", got="none")
    part = _shard(default_shard() if shard is None else shard)
    if shard is None and rank_and_world() is not None:
        out.mkdir(parents=True, exist_ok=True)
        out = out / f"shard-{part[0]:05d}-of-{part[1]:05d}"
    read = partial(
        _read_here,
        model,
        data,
        limit=limit,
        dtype=dtype,
        device=device,
        allow_download=allow_download,
        trust_remote_code=trust_remote_code,
        merge_adapter=merge_adapter,
        prompt=prompt,
        keep_faulty=True,
    )
    try:
        run = _run(
            read,
            out,
            workers=workers,
            threads=threads,
            engine=engine,
            options=HarvestOptions(
                batch_size=batch_size,
                prompt=prompt,
                name=Path(model).name or model,
                thresholds=thresholds,
                matrix=matrix,
                attention=attention,
            ),
            shard=part,
            resume=resume,
            until=until,
            confidence_level=confidence,
            batch_by_length=batch_by_length,
            store=_store(store, store_tokens, store_groups, store_depths, store_dtype),
            announce=_LOG.info if as_json else note,
        )
    except KeyboardInterrupt:
        # The header is the first file of a run; without it there is nothing that --resume could go on with.
        begun = (out / "run.json").exists()
        what = f"What is done is in {out}; go on with --resume." if begun else "Nothing was done yet; start it again."
        say(f"\nInterrupted. {what}")
        raise typer.Exit(130) from None
    if as_json:
        say((out / "summary.json").read_text(encoding="utf-8"))
    else:
        _say_run(run, out, EMBEDDED if data is None else Path(data).name, confidence)
        if store is not None:
            say(f"Stored activations in {store}; scan them with: skip-it scan {store}")


def merge(
    sources: Annotated[list[Path], typer.Argument(help="Folders of harvests, or statistics files.")],
    out: Annotated[Path, typer.Option(help="File for the merged statistics; must not exist yet.")],
) -> None:
    """Merge the statistics of shards into one file, as if one run had seen all samples.

    Example: skip-it merge run0 run1 run2 run3 --out statistics.safetensors
    """
    refuse_existing(out, "an output file")
    files = [_statistics_file(source) for source in sources]
    # Here, not above: it brings numpy, which a help page need not wait for.
    from redundancy.statistics.merging import merge_files

    merged = merge_files(files)
    merged.save(out)
    samples, layers = counted(merged.n_samples, "sample"), counted(merged.spec.n_layers, "layer")
    say(f"Wrote {out}: {samples} of {counted(len(files), 'file')}, {layers}.")


def _statistics_file(source: Path) -> Path:
    """The statistics that a source of a merge stands for; `StoreError` that says what it is instead."""
    is_folder = source.is_dir()
    store = source if is_folder else source.parent
    if (is_folder or source.name.startswith("shard-")) and any(store.glob("manifest-*.jsonl")):
        raise StoreError(
            f"need statistics to merge, {source} is of an activation store, whose shards need no merge; give the "
            "folders of the harvests, or read the store with skip-it scan"
        )
    file = source / "statistics.safetensors" if is_folder else source
    if is_folder and not file.is_file():
        begun = (source / "run.json").is_file()
        hint = "finish it with skip-it harvest --resume" if begun else "give the --out of a skip-it harvest"
        raise StoreError(f"need a finished harvest, {source} has no statistics.safetensors; {hint}")
    if file.is_file():
        with file.open("rb") as opened:
            start = opened.read(6)
        for kind, mark in _ARRAY_MARKS.items():
            if start.startswith(mark):
                raise StoreError(
                    f"need statistics to merge, {source} is {kind}; give statistics.safetensors of a harvest, or "
                    "certify two arrays with skip-it certify"
                )
    return file


def _read_here(model: str, data: str | None, *, device: str, **options: Any) -> tuple[Any, ...]:
    """`read_input` in whatever process this is: "cuda" is the device of that process."""
    import torch

    return read_input(model, data, device=local_device(device, torch.cuda.device_count()), **options)


def _run(
    read: partial[tuple[Any, ...]], out: Path, *, workers: int, threads: int | None, engine: str, **options: Any
) -> HarvestRun:
    """The harvest in this process, or by workers."""
    import torch

    from extraction.run import harvest_to
    from extraction.run.distributed.runner import harvest_with_workers

    if workers > 1 or engine != "processes":
        return harvest_with_workers(read, out, workers=workers, threads=threads, engine=engine, **options)
    if threads is not None:
        torch.set_num_threads(threads)
    model, processor, samples, _ = read()
    return harvest_to(model, samples, out, processor=processor, **options)


def _shard(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if match is None or int(match[1]) >= int(match[2]):
        raise InvalidInputError(f"need a shard as i/n with 0 <= i < n, got {text!r}")
    return int(match[1]), int(match[2])


def _thresholds(values: list[float]) -> tuple[float, ...]:
    """Thresholds in rising order, so that the order of the flags decides nothing."""
    if not values or len(set(values)) != len(values) or not all(0.0 < t < 2.0 for t in values):
        got = ", ".join(f"{t:g}" for t in values) or "none"
        raise InvalidInputError(f"need distinct distances inside (0, 2) with --threshold, got {got}")
    return tuple(sorted(values))


def _store(path: Path | None, tokens: int, groups: str, depths: str | None, dtype: str) -> Any:
    """Options of the store, checked before the model is loaded as far as that goes."""
    if path is None:
        return None
    from extraction.run import StoreOptions

    try:
        chosen = None if depths is None else tuple(int(d) for d in depths.split(","))
    except ValueError:
        raise InvalidInputError(f"need depths as numbers with commas, such as 0,6,12, got {depths!r}") from None
    return StoreOptions(
        path=str(path),
        groups=tuple(group.strip() for group in groups.split(",") if group.strip()),
        tokens_per_group=tokens,
        depths=chosen,
        dtype=dtype,
    )


def _say_run(run: HarvestRun, out: Path, name: str, confidence: float) -> None:
    left = f", {run.n_left} not needed" if run.n_left else ""
    causes = ", ".join(f"{cause} {n}" for cause, n in run.statistics.provenance.causes().items())
    why = f" with a reason ({causes})" if causes else ""
    say(f"{name}: {counted(run.statistics.n_samples, 'sample')} harvested, {len(run.faults)} left out{why}{left}.")
    for fault in run.faults[:_FEW]:
        say(f"  {fault.sample_id}: {fault.reason}")
    if len(run.faults) > _FEW:
        say(f"  and {len(run.faults) - _FEW} more in {out / 'faults.jsonl'}")
    if (odd := run.non_finite()) is not None:
        say(
            f"NaN or infinite states in {counted(odd['tokens'], 'token')} of {counted(odd['samples'], 'sample')}, from "
            f"layer {odd['first_layer']} on: they are counted and have no distance; try bfloat16 or float32."
        )
    if not run.statistics.token_counts("vision").any():
        say("No vision tokens are in the stream: everything about vision is undefined (NaN), text is not.")
    if run.decision is not None:
        say(_verdict(run.decision, confidence))
    file = out / "statistics.safetensors"
    if run.n_left:
        say(
            f"Wrote {file}. How many units it holds was decided by looking at them: the interval above allows for "
            "that, the bounds of skip-it certify do not; go on with --resume and without --until before certifying."
        )
    else:
        say(f"Wrote {file}; certify it with: skip-it certify {file}")


def _verdict(decision: dict[str, Any], confidence: float) -> str:
    span = f"[{text_down(decision['lower'], 4)}, {text_up(decision['upper'], 4)}]"
    n = counted(decision["n_units"], "unit")
    if decision["answer"] is None:
        return f"Not decided after {n}: {decision['question']} is open, the mean is in {span}."
    word = "true" if decision["answer"] else "false"
    return (
        f"Decided after {n}: {decision['question']} is {word}; the mean over the population is in {span}, "
        f"with confidence {text_level(confidence)} at whatever moment one stops."
    )
