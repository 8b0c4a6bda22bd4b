"""The steps of a study, one per command, each leaving its files in a folder; `demo` and `profile` take all of them."""

from __future__ import annotations

import json
import os
import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from extraction.data import Sample
from extraction.harvesting.stream import harvest
from extraction.models.adapters import adapt
from extraction.models.identity import weights_digest
from extraction.skip import (
    Plan,
    PrefillTiming,
    downsample_image,
    fastv,
    flop_speedup,
    kv_share,
    random_keep,
)
from extraction.study.choice import PlanChoice
from extraction.study.evaluation import PlanEvaluation, plan_records
from extraction.study.samples import labelled_batch, prompt_counts, reference_counts, settled, with_labels
from extraction.study.validate import sweep
from extraction.study.validating import candidates, decide, families, memory_of_plans, run, time_plans
from redundancy import __version__
from redundancy.certificates.profile import ProfileCertificate
from redundancy.checks import check_real
from redundancy.errors import InvalidInputError
from redundancy.files.tabular import csv_text
from redundancy.files.writing import write_text
from redundancy.statistics.harvest_statistics import HarvestStatistics

__all__ = [
    "StudySettings",
    "certify_step",
    "harvest_step",
    "plan_rows",
    "report_step",
    "run_step",
    "skip_step",
    "write_rows",
]

RUN_SCHEMA = "skip-it/run/1"
_CERTIFIED = ("vision", "text")


@dataclass(frozen=True, kw_only=True)
class StudySettings:
    """What a study declares before it looks at the data.

    Parameters
    ----------
    confidence_level : float
        Joint level of all certified statements about the profile, and level of the choice.
    risk : float
        Tolerated share of inputs on which the chosen plan loses a right answer.
    method : str
        How the tests of the choice share the error, see `choose_plan`.
    min_speedup : float
        Plans of a smaller predicted speed-up are not tested.
    batch_size : int
        Samples per forward pass.
    timing_batch, timing_rounds : int
        Prompts per timed prefill, and rounds of the interleaved timing.
    """

    confidence_level: float = 0.95
    risk: float = 0.05
    method: str = "graph"
    min_speedup: float = 1.02
    batch_size: int = 32
    timing_batch: int = 8
    timing_rounds: int = 9

    def __post_init__(self) -> None:
        check_real(self.confidence_level, "confidence_level", lower=0.0, upper=1.0, open_ends=True)
        check_real(self.risk, "risk", lower=0.0, upper=1.0, open_ends=True)


def harvest_step(
    model: Any, processor: Any, samples: Sequence[Sample], settings: StudySettings, out: Path, *, name: str
) -> HarvestStatistics:
    """Harvest every sample into statistics.safetensors; see `extraction.harvest`."""
    found = harvest(model, list(samples), processor=processor, batch_size=settings.batch_size, name=name)
    found.save(out / "statistics.safetensors")
    return found


def certify_step(statistics: HarvestStatistics, settings: StudySettings, out: Path) -> ProfileCertificate:
    """Certify every adjacent pair of layers, vision and text, at one simultaneous level, into certificates.json."""
    level = settings.confidence_level
    found = ProfileCertificate.from_statistics(statistics, groups=_CERTIFIED, confidence_level=level)
    write_text(out / "certificates.json", found.to_json())
    return found


def skip_step(
    model: Any,
    processor: Any,
    samples: Sequence[Sample],
    settings: StudySettings,
    out: Path,
    *,
    name: str,
    progress: bool | None = None,
) -> PlanChoice:
    """Run both families and the baselines, time them, and choose: outcomes.jsonl, validation.json and choice.json.

    Raises
    ------
    InvalidInputError
        If no sample has an answer.
    """
    n_layers, samples = adapt(model).n_layers, settled(samples)
    if not any(s.answers for s in samples):
        raise InvalidInputError(
            f"need an answer for every sample to choose a plan by accuracy, {samples[0].sample_id!r} has none; leave "
            "--validate out, or use skip-it select --loss answer"
        )
    # The choice does not test the last three: pruning by attention, and two baselines at a quarter of the tokens.
    others = [fastv(max(1, n_layers // 4), 0.5), random_keep(0.25), downsample_image(0.25)]
    plans = [Plan(), *families(model), *others]
    counts = reference_counts(model, processor)
    speeds = candidates(model, None, counts, settings.min_speedup)
    declared: dict[str, Any] = {
        "risk": settings.risk,
        "confidence_level": settings.confidence_level,
        "method": settings.method,
    }
    evaluations = run(
        model,
        processor,
        samples,
        plans,
        out / "outcomes.jsonl",
        name=name,
        batch_size=settings.batch_size,
        progress=progress,
        declared={"loss": "accuracy", **declared, "prompt_tokens": list(counts)},
    )
    rows = plan_rows(
        model,
        processor,
        samples,
        evaluations,
        confidence_level=settings.confidence_level,
        batch_size=settings.timing_batch,
        rounds=settings.timing_rounds,
    )
    write_rows(out, rows)
    about = {"model": name, "weights": weights_digest(model), "prompt_tokens": list(counts)}
    choice = decide(evaluations, speeds=speeds, about=about, **declared)
    write_text(out / "choice.json", choice.to_json())
    return choice


def plan_rows(
    model: Any,
    processor: Any,
    samples: Sequence[Sample],
    evaluations: Sequence[PlanEvaluation],
    *,
    confidence_level: float,
    batch_size: int,
    rounds: int,
) -> list[dict[str, Any]]:
    """Rows of validation.json: accuracy, agreement, times, memory and predicted costs of every plan.

    Intervals of accuracy and agreement hold jointly for all rows; those of times hold each, at the same level.

    Parameters
    ----------
    model, processor : PreTrainedModel, ProcessorMixin
    samples : sequence of Sample
        The first `batch_size` are timed.
    evaluations : sequence of PlanEvaluation
    confidence_level : float
    batch_size : int
    rounds : int
        Of the timing; 0 measures none.

    Returns
    -------
    list of dict
        JSON values.
    """
    plans = [e.plan for e in evaluations]
    first = list(samples[:batch_size])
    timings = time_plans(model, processor, first, [p for p in plans if p != Plan()], rounds=rounds)
    memory = memory_of_plans(model, processor, first, plans)
    counts = prompt_counts(model, processor, samples)
    rows = plan_records(evaluations, confidence_level)
    for row, plan, use in zip(rows, plans, memory, strict=True):
        row["confidence_level"] = confidence_level
        row["flop_speedup"] = flop_speedup(model.config, plan, *counts)
        row["kv_share"] = kv_share(model.config, plan, *counts)
        row.update(_time_columns(plan, timings, confidence_level, rounds))
        row.update({k: v for k, v in use.to_record().items() if k != "plan"})
    return [{k: list(v) if isinstance(v, tuple) else v for k, v in row.items()} for row in rows]


def write_rows(out: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write validation.json and, without what is nested, validation.csv."""
    write_text(out / "validation.json", json.dumps(rows, indent=1, allow_nan=False))
    flat = [{k: v for k, v in row.items() if not isinstance(v, Mapping)} for row in rows]
    write_text(out / "validation.csv", csv_text(flat))


def run_step(
    model: Any,
    processor: Any,
    samples: Sequence[Sample],
    settings: StudySettings,
    out: Path,
    *,
    name: str,
    data_name: str,
    with_baselines: bool,
) -> None:
    """Write run.json: the model, the data, the machine, and with baselines what answers without the image are worth."""
    kinds = Counter(s.family for s in samples if s.family)
    body = {
        "schema": RUN_SCHEMA,
        "version": __version__,
        "model": {
            "name": name,
            "model_type": model.config.model_type,
            "n_layers": adapt(model).n_layers,
            "n_parameters": sum(p.numel() for p in model.parameters()),
            "dtype": str(model.dtype).removeprefix("torch."),
            "sha256": weights_digest(model).removeprefix("weights:"),
        },
        "data": {"name": data_name, "n_questions": len(samples), "families": dict(kinds)},
        "baselines": _baselines(model, processor, samples, settings) if with_baselines else None,
        "environment": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "device": str(model.device),
            "threads": torch.get_num_threads(),
            "cpus": os.cpu_count() or 0,
        },
    }
    write_text(out / "run.json", json.dumps(body, indent=1, allow_nan=False))


def report_step(out: Path, *, command: str, seconds: float) -> dict[str, Any]:
    """Gather the files in the folder into report.json, the figures and report.html, each written whole."""
    from redundancy.report import gather_report, render_html, save_figures

    report = gather_report([out], command=command)
    report["seconds"] = round(seconds, 1)
    write_text(out / "report.json", json.dumps(report, indent=1, allow_nan=False))
    save_figures(report, out / "figures")
    write_text(out / "report.html", render_html(report))
    return report


def _time_columns(plan: Plan, timings: Mapping[Plan, PrefillTiming], level: float, rounds: int) -> dict[str, Any]:
    if plan in timings:
        return {k: v for k, v in timings[plan].to_record(level).items() if k != "plan"}
    # The unmodified model is its own reference.
    same = {"prefill_speedup": 1.0, "prefill_speedup_interval": (1.0, 1.0), "decoder_speedup": 1.0}
    return same if rounds and plan == Plan() else {}


def _baselines(
    model: Any, processor: Any, samples: Sequence[Sample], settings: StudySettings
) -> dict[str, float | None]:
    """Accuracies without the image: the most frequent answer of each family, and the images of other questions."""
    known = [s for s in samples if s.answers]
    counts = Counter((s.family, s.answer) for s in known)
    best: dict[str, int] = {}
    for (family, _), n in counts.items():
        best[family] = max(n, best.get(family, 0))
    return {
        "majority": sum(best.values()) / len(known) if known else None,
        "image_shuffled": _shuffled_accuracy(model, processor, known, settings),
    }


def _shuffled_accuracy(model: Any, processor: Any, samples: Sequence[Sample], settings: StudySettings) -> float | None:
    """Accuracy when every question gets the image of another; None with a single sample."""
    if len(samples) < 2:
        return None
    step = next(s for s in (17, 7, 3, 1) if s % len(samples))
    n = settings.batch_size
    moved = [
        Sample(s.sample_id, samples[(i + step) % len(samples)].image, s.question, s.answer, s.family, answers=s.answers)
        for i, s in enumerate(samples)
    ]
    chunks = [moved[i : i + n] for i in range(0, len(moved), n)]
    batches = (
        with_labels(labelled_batch(model, processor, chunk, need_answers=False), processor, chunk, True)
        for chunk in chunks
    )
    return sweep(model, batches, [Plan()], progress=False)[0].plain_accuracy
