"""Commands of the extraction layer: `skip-it demo` and `skip-it profile`. torch is imported when they run."""

from __future__ import annotations

import sys
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
    refuse_existing,
    say,
)

if TYPE_CHECKING:
    from extraction.study.steps import Validation

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
    refuse_existing(out)
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
            weights=default_model.PATH / "model.safetensors",
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
    refuse_existing(out)
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
    name, weights = Path(model).name or model, None
    if model == EMBEDDED:
        from extraction import default_model

        name, weights = default_model.NAME, default_model.PATH / "model.safetensors"
    with new_folder(out):
        _run(
            loaded,
            processor,
            samples,
            settings,
            out=out,
            name=name,
            data_name=data_name,
            weights=weights,
            with_validation=validate,
            as_json=as_json,
        )


def _run(
    model: Any,
    processor: Any,
    samples: list[Any],
    settings: Any,
    *,
    out: Path,
    name: str,
    data_name: str,
    weights: Path | None,
    with_validation: bool,
    as_json: bool,
) -> None:
    import hashlib
    import json

    from extraction.study import report as study_report
    from extraction.study import steps as study
    from redundancy.files.writing import write_text
    from redundancy.report import profile_table, validation_table

    clock = study.Clock()
    tell = _no_one if as_json else say
    comment = _no_one if as_json else note
    comment(f"Harvesting {len(samples)} samples of {data_name} through {name}.")
    statistics = study.harvest_samples(model, processor, samples, settings, name=name)
    statistics.save(out / "statistics.safetensors")
    certificate = study.certify(statistics, settings)
    write_text(out / "certificates.json", certificate.to_json())
    report = study_report.profile_report(
        model,
        statistics,
        certificate,
        samples,
        settings,
        name=name,
        data_name=data_name,
        command=" ".join(["skip-it", *sys.argv[1:]]),
        sha256=None if weights is None else hashlib.sha256(weights.read_bytes()).hexdigest(),
    )
    tell("\nProfile (mean distance D, share p of tokens with D < 0.05, certified upper bounds)\n")
    tell(profile_table(report))
    tell("\n" + certificate.summary())
    validation: Validation | None = None
    if with_validation:
        comment("\nSkipping for real: late entry and vision exit at every layer.")
        validation = study.validate(model, processor, samples, settings)
        report.update(study_report.validation_report(validation, samples, settings))
        for section, title in (("late_entry", "Late entry"), ("vision_exit", "Vision exit")):
            tell(f"\n{title}\n")
            tell(validation_table(report, section=section))
        _say_choice(report, tell)
    report["seconds"] = round(clock.seconds, 1)
    study_report.write_study(
        out,
        report,
        statistics=statistics,
        certificate=certificate,
        choice=None if validation is None else validation.choice,
    )
    if as_json:
        summary = {key: report.get(key) for key in ("n_samples", "baseline_accuracy", "chosen_plan", "seconds")}
        say(json.dumps({"out": str(out), **summary}, indent=1))
    tell(f"\nWrote {out / 'report.html'}, report.json, certificates.json and figures in {clock.seconds:.0f} s.")


def _no_one(text: str) -> None:
    """Whom a line of text is for when only JSON is wanted."""


def _say_choice(report: dict[str, Any], tell: Callable[[str], None]) -> None:
    plan = report["chosen_plan"]
    change, interval = 100 * plan["accuracy_change"], [100 * x for x in plan["accuracy_change_interval"]]
    tell(f"\nChosen plan: {plan['plan']}")
    tell(plan["guarantee"])
    tell(
        f"Measured accuracy change {change:+.1f} points [{interval[0]:+.1f}, {interval[1]:+.1f}]; "
        f"prefill {plan['prefill_speedup']:.2f} times as fast "
        f"[{plan['prefill_speedup_interval'][0]:.2f}, {plan['prefill_speedup_interval'][1]:.2f}]."
    )
