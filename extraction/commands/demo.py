"""Commands of the extraction layer: `skip-it demo` and `skip-it profile`. torch is imported when they run."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from extraction.commands.support import (
    EMBEDDED,
    AsJson,
    Batch,
    Confidence,
    Data,
    Out,
    Risk,
    hush_libraries,
    need_extras,
    new_folder,
    note,
    read_input,
    say,
)
from redundancy.commands.printing import refuse_existing
from redundancy.interval import text_down, text_up

if TYPE_CHECKING:
    from extraction.study import PlanChoice
    from extraction.study.steps import StudySettings

__all__ = ["demo", "profile"]


def demo(
    out: Out = Path("report"),
    questions: Annotated[int, typer.Option(help="Held-out questions to use, 50 to 1120.", min=50, max=1120)] = 420,
    confidence: Confidence = 0.95,
    risk: Risk = 0.05,
    batch_size: Batch = 40,
    as_json: AsJson = False,
) -> None:
    """Run the whole line on the embedded model: harvest, certify, really skip, measure, report.

    Needs no network and no GPU. Example: skip-it demo --out report
    """
    need_extras()
    refuse_existing(out, "an output folder", is_folder=True)
    hush_libraries()
    from extraction import default_model
    from extraction.data import as_sample
    from extraction.study.steps import StudySettings

    settings = StudySettings(confidence_level=confidence, risk=risk, batch_size=batch_size)
    samples = [as_sample(sample, i) for i, sample in enumerate(default_model.load_samples(questions))]
    with new_folder(out):
        _run(
            default_model.load_model(),
            default_model.load_processor(),
            samples,
            settings,
            out=out,
            name=default_model.NAME,
            data_name=f"{questions} held-out questions of the embedded model",
            with_validation=True,
            as_json=as_json,
        )


def profile(
    model: Annotated[str, typer.Argument(help=f"Folder of a Hugging Face image-text-to-text model, or {EMBEDDED!r}.")],
    out: Out,
    data: Data = None,
    validate: Annotated[
        bool, typer.Option("--validate/--no-validate", help="Also skip for real (needs one-token answers).")
    ] = False,
    confidence: Confidence = 0.95,
    risk: Risk = 0.05,
    batch_size: Batch = 8,
    limit: Annotated[int | None, typer.Option(help="Use the first N samples only.", min=1)] = None,
    dtype: Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")] = "auto",
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, mps, or auto to spread over all GPUs.")] = "cpu",
    allow_download: Annotated[bool, typer.Option(help="Let the model come from a hub; off means local only.")] = False,
    trust_remote_code: Annotated[bool, typer.Option(help="Run code that the model folder brings.")] = False,
    as_json: AsJson = False,
) -> None:
    """Harvest and certify your own model on your own data; with --validate, skip for real too.

    Example: skip-it profile ./llava-1.5-7b-hf --data vqa.jsonl --out profile --device cuda
    """
    need_extras()
    refuse_existing(out, "an output folder", is_folder=True)
    hush_libraries()
    from extraction.study.steps import StudySettings

    settings = StudySettings(confidence_level=confidence, risk=risk, batch_size=batch_size)
    loaded, processor, samples, data_name = read_input(
        model,
        data,
        limit=limit,
        dtype=dtype,
        device=device,
        allow_download=allow_download,
        trust_remote_code=trust_remote_code,
    )
    name = Path(model).name or model
    if model == EMBEDDED:
        from extraction import default_model

        name = default_model.NAME
    with new_folder(out):
        _run(
            loaded,
            processor,
            samples,
            settings,
            out=out,
            name=name,
            data_name=data_name,
            with_validation=validate,
            as_json=as_json,
        )


def _run(
    model: Any,
    processor: Any,
    samples: list[Any],
    settings: StudySettings,
    *,
    out: Path,
    name: str,
    data_name: str,
    with_validation: bool,
    as_json: bool,
) -> None:
    """The steps of harvest, certify, validate and select, then the report of the files they left.

    More than eight parameters: what the two commands have settled, handed on once.
    """
    from extraction.study import steps
    from redundancy.report import gather_report, profile_table, validation_table

    start = time.perf_counter()
    tell: Callable[[str], None] = _silent if as_json else say
    comment: Callable[[str], None] = _silent if as_json else note
    comment(f"Harvesting {len(samples)} samples of {data_name} through {name}.")
    statistics = steps.harvest_step(model, processor, samples, settings, out, name=name)
    certificate = steps.certify_step(statistics, settings, out)
    tell("\nProfile (mean distance D, share p of tokens with D < 0.05, certified upper bounds)\n")
    tell(profile_table(gather_report([out], recheck=False)))
    tell("\n" + certificate.summary())
    choice: PlanChoice | None = None
    if with_validation:
        comment("\nSkipping for real: late entry and vision exit at every layer.")
        choice = steps.skip_step(model, processor, samples, settings, out, name=name)
    steps.run_step(
        model, processor, samples, settings, out, name=name, data_name=data_name, with_baselines=with_validation
    )
    seconds = time.perf_counter() - start
    report = steps.report_step(out, command=" ".join(["skip-it", *sys.argv[1:]]), seconds=seconds)
    if choice is not None:
        for section, title in (("late_entry", "Late entry"), ("vision_exit", "Vision exit")):
            tell(f"\n{title}\n")
            tell(validation_table(report, section=section))
        tell(f"\nChosen plan: {choice.chosen}\n{choice.summary}")
        _say_measured(report["chosen_plan"], tell)
    if as_json:
        summary = {key: report.get(key) for key in ("n_samples", "baseline_accuracy", "chosen_plan", "seconds")}
        say(json.dumps({"out": str(out), **summary}, indent=1))
    tell(f"\nWrote {out / 'report.html'}, report.json, certificates.json and figures in {seconds:.0f} s.")


def _silent(text: str) -> None:
    """Print nothing: only JSON is wanted."""


def _say_measured(plan: dict[str, Any], tell: Callable[[str], None]) -> None:
    """The measured change and speed of the chosen plan; the interval of the change is joint over all plans."""
    if plan.get("accuracy_change") is None or plan.get("prefill_speedup") is None:
        return
    low, high = (100 * end for end in plan["accuracy_change_interval"])
    slow, fast = plan["prefill_speedup_interval"]
    tell(
        f"Measured accuracy change {100 * plan['accuracy_change']:+.1f} points "
        f"[{text_down(low, decimals=1, sign=True)}, {text_up(high, decimals=1, sign=True)}] (joint over all plans); "
        f"prefill {plan['prefill_speedup']:.2f} times as fast "
        f"[{text_down(slow, decimals=2)}, {text_up(fast, decimals=2)}]."
    )
