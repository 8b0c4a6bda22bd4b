"""What the commands of the extraction layer share: extras, output folders, models and samples from arguments."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from redundancy.commands.options import is_quiet
from redundancy.commands.printing import echo, refuse_existing
from redundancy.errors import InvalidInputError, MissingExtraError

__all__ = [
    "EMBEDDED",
    "AsJson",
    "Batch",
    "Confidence",
    "Data",
    "Out",
    "Risk",
    "counted",
    "hush_libraries",
    "need_extras",
    "new_folder",
    "note",
    "read_input",
    "say",
]

EMBEDDED = "embedded"
Out = Annotated[Path, typer.Option(help="Folder for the results; must not exist yet.")]
Confidence = Annotated[float, typer.Option(help="Joint confidence level, in (0, 1).")]
Risk = Annotated[float, typer.Option(help="Tolerated share of inputs on which a plan loses a right answer, in (0, 1).")]
Data = Annotated[
    str | None,
    typer.Option(
        help=f"A .jsonl or .parquet file of {{image, question, answer}}, a folder of images with a questions file, or "
        f"hf:NAME:SPLIT (needs --allow-download); not needed for {EMBEDDED!r}."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Batch = Annotated[int, typer.Option(help="Samples per forward pass.", min=1)]


def need_extras(*modules: str) -> None:
    """Name the extra that a missing module comes with; settle what the libraries read once, at import."""
    from importlib.util import find_spec

    extras = {"torch": "extract", "transformers": "extract", "matplotlib": "report", "jinja2": "report"}
    for module in modules or tuple(extras):
        if find_spec(module) is None:
            extra = extras.get(module, "serve")
            raise MissingExtraError(f'this command needs {module}: pip install "skip-it[{extra}]"')
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    # Threads that spin long for each other stall for minutes beside other programs, threads that sleep at once take
    # 1.6 times as long on an idle machine; a short spin has neither fault. OpenMP reads this once, at import.
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "20000")


def counted(n: int, noun: str) -> str:
    """A number of things in words: "1 sample", "2 samples"."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def say(text: str) -> None:
    """Print a line of result."""
    echo(text)


def note(text: str) -> None:
    """Print what is going on, unless only the result is wanted."""
    if not is_quiet():
        echo(text)


def hush_libraries() -> None:
    """Libraries draw no progress bars into a pipe or a log."""
    if not sys.stderr.isatty():
        from transformers.utils import logging

        logging.disable_progress_bar()  # type: ignore[no-untyped-call]


@contextlib.contextmanager
def new_folder(out: Path, *, resume: bool = False) -> Iterator[None]:
    """Make the folder, which must be new unless a run is resumed; say where finished parts are if interrupted."""
    try:
        out.mkdir(parents=True, exist_ok=resume)
    except FileExistsError:
        refuse_existing(out, "an output folder", is_folder=True)
    except OSError as error:
        raise InvalidInputError(f"need a folder that can be made, {out} gives: {error.strerror}") from error
    try:
        yield
    except KeyboardInterrupt:
        done = sorted(p.name for p in out.iterdir())
        say(f"\nInterrupted. Finished parts in {out}: {', '.join(done) if done else 'none'}.")
        raise typer.Exit(130) from None
    finally:
        # A run that failed before its first file leaves no empty folder in the way of the next.
        with contextlib.suppress(OSError):
            out.rmdir()


def read_input(
    model: str,
    data: str | None,
    *,
    limit: int | None,
    dtype: str,
    device: str,
    allow_download: bool,
    trust_remote_code: bool,
    merge_adapter: bool = False,
    prompt: str | None = None,
    keep_faulty: bool = False,
) -> tuple[Any, Any, list[Any], str]:
    """Model, processor, samples and a name for the data, from the arguments of a command.

    Every row is looked at before the first forward pass, and the prompt of the first sample is printed. A sample that
    cannot be read is left out, which is said; or left in with `keep_faulty`, for a run that records it.
    More than eight parameters, one for each flag of how a command reads its input.

    The word "embedded" is the model that the package brings, with its held-out questions unless `data` is given.
    """
    from extraction.data import as_sample
    from extraction.data.prompts import prompt_text
    from extraction.data.sources import read_samples

    hush_libraries()
    is_embedded = model == EMBEDDED
    if data is None and not is_embedded:
        raise InvalidInputError(
            "need --data, a JSONL or Parquet file of {image, question, answer} or a folder; only `embedded` has its own"
        )
    if is_embedded:
        from extraction import default_model

        if (dtype, device) == ("auto", "cpu"):
            loaded, processor = default_model.load_model(), default_model.load_processor()
        else:  # its weights are stored as float16, which "auto" would take
            from extraction.models.loading import load_model_and_processor

            loaded, processor = load_model_and_processor(
                str(default_model.PATH), dtype="float32" if dtype == "auto" else dtype, device=device
            )
    if data is not None:
        samples, name = read_samples(data, allow_download=allow_download, strict=False)[:limit], Path(data).name
    else:
        held_out = default_model.load_samples(limit)
        samples = [as_sample(sample, i) for i, sample in enumerate(held_out)]
        name = f"{len(samples)} held-out questions of the embedded model"
    readable = _readable(samples, name)
    samples = samples if keep_faulty else readable
    if len(samples) < 2:
        raise InvalidInputError(
            f"need at least 2 samples, the i.i.d. units of every interval, {name} gives {len(samples)}"
        )
    if not is_embedded:
        from extraction.models.loading import load_model_and_processor

        loaded, processor = load_model_and_processor(
            model,
            dtype=dtype,
            device=device,
            allow_download=allow_download,
            trust_remote_code=trust_remote_code,
            merge_adapter=merge_adapter,
        )
    if readable:
        comment(f"Prompt of {readable[0].sample_id}: {prompt_text(processor, readable[0], prompt)!r}")
    return loaded, processor, samples, name


def _readable(samples: list[Any], name: str) -> list[Any]:
    """Samples whose row and pictures can be read, with their units; says how many others there are, and why."""
    from extraction.data import settle_units

    settled, faults = settle_units(samples)
    if faults:
        first = next(iter(faults.values()))
        comment(
            f"{len(faults)} of {counted(len(samples), 'sample')} of {name} cannot be read, the first so: {first}. "
            "Every guarantee is about samples that can be read."
        )
    return [sample for sample in settled if sample.sample_id not in faults]


def comment(text: str) -> None:
    """Print a line of commentary beside the result, on the error stream, unless only the result is wanted."""
    if not is_quiet():
        echo(text, err=True)
