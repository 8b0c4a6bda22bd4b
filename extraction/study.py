"""The main line on one model and one data set: harvest, certify, really skip, measure, choose, report."""

from __future__ import annotations

import json
import math
import os
import platform
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm.auto import tqdm

from extraction.adapters import adapt
from extraction.data import Sample, make_batch
from extraction.data.scoring import answer_token_ids
from extraction.harvesting import harvest
from extraction.skip import (
    Plan,
    PlanChoice,
    PlanEvaluation,
    PrefillTiming,
    flop_speedup,
    kv_share,
    late_entry,
    measure_prefill,
    random_keep,
    select_plan,
    sweep,
    vision_exit,
)
from redundancy import __version__
from redundancy._validate import check_real
from redundancy.errors import InvalidInputError
from redundancy.profile import ProfileCertificate
from redundancy.statistics import HarvestStatistics

__all__ = ["GROUPS", "StudySettings", "Validation", "certify", "profile_report", "validate", "write_study"]

GROUPS = ("vision", "text", "words", "sink")
_CERTIFIED = ("vision", "text")
_LABELS = ("special_mask",)  # keys of a batch that the harvest reads and a plain forward must not get
NOT_CLAIMED = (
    "That a layer is safe to skip because its distances are small: distances describe the states, not what the rest "
    "of the model does with them.",
    "Anything about other data: every interval is over the draw of samples from the population these came from.",
    "Anything about the conditional entropy of raw hidden states, which is 0 or infinite for a deterministic layer.",
    "That the speed-up carries over to other hardware, batch sizes or prompt lengths.",
)


@dataclass(frozen=True, kw_only=True)
class StudySettings:
    """What a study declares before it looks at the data.

    Parameters
    ----------
    confidence_level : float
        Joint level of all certified statements about the profile, and level of the choice.
    risk : float
        Tolerated share of inputs on which the chosen plan loses a right answer.
    batch_size : int
        Samples per forward pass.
    timing_batch, timing_rounds : int
        Prompts per timed prefill, and rounds of the interleaved timing.
    """

    confidence_level: float = 0.95
    risk: float = 0.05
    batch_size: int = 32
    timing_batch: int = 8
    timing_rounds: int = 9

    def __post_init__(self) -> None:
        check_real(self.confidence_level, "confidence_level", lower=0.0, upper=1.0, open_ends=True)
        check_real(self.risk, "risk", lower=0.0, upper=1.0, open_ends=True)


@dataclass(frozen=True, kw_only=True)
class Validation:
    """What really skipping showed: outcomes and times of every plan, and the choice."""

    evaluations: dict[Plan, PlanEvaluation]
    timings: dict[Plan, PrefillTiming]
    choice: PlanChoice
    n_layers: int
    flops: dict[Plan, float]
    kv: dict[Plan, float]
    shuffled_accuracy: float | None

    @property
    def plain(self) -> PlanEvaluation:
        """The unmodified model: the identity plan's own row."""
        return self.evaluations[Plan()]


def certify(statistics: HarvestStatistics, settings: StudySettings) -> ProfileCertificate:
    """Certificates of every adjacent pair of layers, vision and text, at one simultaneous level."""
    return ProfileCertificate.from_statistics(statistics, groups=_CERTIFIED, confidence_level=settings.confidence_level)


def validate(
    model: Any,
    processor: Any,
    samples: Sequence[Sample],
    settings: StudySettings,
    *,
    progress: bool | None = None,
) -> Validation:
    """Run late entry and vision exit at every layer, time them, and choose a plan with a guarantee.

    The two families are tested as two chains, mildest plan first; each gets half of the error, so the
    choice holds jointly. Ordering and costs come from the FLOP model, before any loss is seen.

    Raises
    ------
    InvalidInputError
        If an answer is missing or is no single token of the model.
    """
    n_layers = adapt(model).n_layers
    batches = [_labelled(model, processor, chunk) for chunk in _chunks(samples, settings.batch_size)]
    entries = [late_entry(layer) for layer in range(1, n_layers + 1)]
    exits = [vision_exit(layer) for layer in range(n_layers)]
    quarter = random_keep(0.25)
    plans = [Plan(), *entries, *exits, quarter]
    evaluations = sweep(model, batches, plans, progress=progress)
    by_plan = dict(zip(plans, evaluations, strict=True))

    n_vision, n_text = _token_counts(model, batches)
    flops = {plan: flop_speedup(model.config, plan, n_vision, n_text) for plan in plans}
    kv = {plan: kv_share(model.config, plan, n_vision, n_text) for plan in plans}
    candidates = entries[:-1] + exits[1:]  # blind plans are controls, not candidates
    choice = select_plan(
        [by_plan[plan] for plan in candidates],
        costs=[1.0 / flops[plan] for plan in candidates],
        risk=settings.risk,
        confidence_level=settings.confidence_level,
        chains=["late entry"] * (n_layers - 1) + ["vision exit"] * (n_layers - 1),
    )
    timing_batch = _labelled(model, processor, samples[: settings.timing_batch])
    timed = plans[1:]
    timings = measure_prefill(model, timing_batch, timed, rounds=settings.timing_rounds, progress=progress)
    return Validation(
        evaluations=by_plan,
        timings=dict(zip(timed, timings, strict=True)),
        choice=choice,
        n_layers=n_layers,
        flops=flops,
        kv=kv,
        shuffled_accuracy=_shuffled_accuracy(model, processor, samples, settings, progress=progress),
    )


def profile_report(
    model: Any,
    statistics: HarvestStatistics,
    certificate: ProfileCertificate,
    samples: Sequence[Sample],
    settings: StudySettings,
    *,
    name: str,
    data_name: str,
    command: str,
    sha256: str | None = None,
) -> dict[str, Any]:
    """The parts of report.json that need no skipping: profile, matrices, certificates, provenance."""
    families = Counter(sample.family for sample in samples if sample.family)
    return {
        "schema": "skip-it/report/1",
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "version": __version__,
        "command": command,
        "model": {
            "name": name,
            "model_type": statistics.spec.model_type,
            "n_layers": statistics.spec.n_layers,
            "n_parameters": sum(p.numel() for p in model.parameters()),
            "dtype": statistics.spec.dtype,
            "n_vision_tokens": float(statistics.token_counts("vision").mean()),
            "sha256": sha256,
        },
        "data": {"name": data_name, "n_questions": len(samples), "families": dict(families)},
        "n_samples": statistics.n_samples,
        "baseline_accuracy": None,
        "confidence_level": settings.confidence_level,
        "profile": _profile_rows(statistics, certificate),
        "distance_matrix": {g: _matrix(statistics.depth_matrix(g)) for g in _CERTIFIED},
        "late_entry": [],
        "vision_exit": [],
        "other_plans": [],
        "chosen_plan": None,
        "certificates": [
            {"layer": pair.layer, "group": pair.group, "statements": pair.to_records()} for pair in certificate.pairs
        ],
        "certificate_file": "certificates.json",
        "not_claimed": list(NOT_CLAIMED),
        "environment": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "device": str(model.device),
            "threads": torch.get_num_threads(),
            "cpus": os.cpu_count() or 0,
        },
    }


def validation_report(validation: Validation, samples: Sequence[Sample], settings: StudySettings) -> dict[str, Any]:
    """The parts of report.json that come from skipping."""
    n_layers, plain = validation.n_layers, validation.plain
    family = {sample.sample_id: sample.family for sample in samples}

    def row(plan: Plan) -> dict[str, Any]:
        evaluation, timing = validation.evaluations[plan], validation.timings.get(plan)
        entry = evaluation.to_record(settings.confidence_level)
        if plan == Plan():  # the unmodified model beside itself: known exactly, not sampled
            entry.update(accuracy_change_interval=(0.0, 0.0), agreement_interval=(1.0, 1.0))
        timed = None if timing is None else timing.to_record(settings.confidence_level)
        return {
            "plan": str(plan),
            **{k: entry[k] for k in ("accuracy", "accuracy_change", "agreement", "mean_kl")},
            **{f"{k}_interval": list(entry[f"{k}_interval"]) for k in ("accuracy", "accuracy_change", "agreement")},
            # The unmodified model is its own reference.
            "prefill_speedup": 1.0 if timed is None else timed["prefill_speedup"],
            "prefill_speedup_interval": [1.0, 1.0] if timed is None else list(timed["prefill_speedup_interval"]),
            "decoder_speedup": 1.0 if timed is None else timed["decoder_speedup"],
            "prefill_ms": None if timed is None else timed["prefill_ms"],
            "flop_speedup": validation.flops[plan],
            "kv_share": validation.kv[plan],
            "family_accuracy": _family_accuracy(evaluation, family),
        }

    entries = [Plan(), *(late_entry(layer) for layer in range(1, n_layers + 1))]
    exits = [*(vision_exit(layer) for layer in range(n_layers)), Plan()]
    others = [plan for plan in validation.evaluations if plan not in entries and plan not in exits]
    counts = Counter((family[i], token) for i, token in zip(plain.sample_ids, plain.answers or (), strict=True))
    best = {f: max(n for (g, _), n in counts.items() if g == f) for f in {g for g, _ in counts}}
    return {
        "baseline_accuracy": plain.accuracy,
        "baseline_interval": list(plain.accuracy_interval(settings.confidence_level)),
        "baseline_family_accuracy": _family_accuracy(plain, family),
        "baselines": {
            "image_shuffled": validation.shuffled_accuracy,
            "image_removed": validation.evaluations[late_entry(n_layers)].accuracy,
            "majority": sum(best.values()) / plain.n_samples,
        },
        "late_entry": [{"layer": layer, **row(plan)} for layer, plan in enumerate(entries)],
        "vision_exit": [{"layer": layer, **row(plan)} for layer, plan in enumerate(exits)],
        "other_plans": [row(plan) for plan in others],
        "chosen_plan": _chosen(validation, row(validation.choice.chosen)),
    }


def write_study(
    out: Path,
    report: dict[str, Any],
    *,
    statistics: HarvestStatistics,
    certificate: ProfileCertificate,
    choice: PlanChoice | None = None,
) -> None:
    """Write statistics, certificates, the choice, report.json, the figures and report.html, each file whole."""
    from redundancy.report import render_html, save_figures, validate_report

    validate_report(report)
    statistics.save(out / "statistics.safetensors")
    write_text(out / "certificates.json", certificate.to_json())
    if choice is not None:
        write_text(out / "choice.json", choice.to_json())
    write_text(out / "report.json", json.dumps(report, indent=1, allow_nan=False))
    save_figures(report, out / "figures")
    write_text(out / "report.html", render_html(report))


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all, also when the process is killed."""
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


class Clock:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._start = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Seconds so far."""
        return time.perf_counter() - self._start


def _chunks(samples: Sequence[Sample], size: int) -> list[Sequence[Sample]]:
    return [samples[i : i + size] for i in range(0, len(samples), size)]


def harvest_samples(
    model: Any, processor: Any, samples: Sequence[Sample], settings: StudySettings, *, name: str, revision: str = ""
) -> HarvestStatistics:
    """Harvest every sample; see `extraction.harvest`."""
    return harvest(
        model, list(samples), processor=processor, batch_size=settings.batch_size, name=name, revision=revision
    )


def _labelled(model: Any, processor: Any, samples: Sequence[Sample]) -> dict[str, Any]:
    """Model inputs with sample ids and the single token of each right answer."""
    unanswered = [s.sample_id for s in samples if not s.answer]
    if unanswered:
        raise InvalidInputError(
            f"need an answer for every sample to measure accuracy, {unanswered[0]!r} has none; add it, or skip the "
            "validation"
        )
    batch = make_batch(processor, samples, vision_ids=adapt(model).vision_ids)
    batch["answers"] = answer_token_ids(processor.tokenizer, [s.answer for s in samples])
    return {key: value for key, value in batch.items() if key not in _LABELS}


def _token_counts(model: Any, batches: Sequence[dict[str, Any]]) -> tuple[int, int]:
    """Mean vision and text tokens per prompt, rounded."""
    ids = torch.tensor(adapt(model).vision_ids)
    vision = text = rows = 0
    for batch in batches:
        is_vision = torch.isin(batch["input_ids"], ids)
        valid = batch["attention_mask"].bool()
        vision += int((is_vision & valid).sum())
        text += int((~is_vision & valid).sum())
        rows += len(valid)
    return round(vision / rows), round(text / rows)


@torch.inference_mode()
def _shuffled_accuracy(
    model: Any, processor: Any, samples: Sequence[Sample], settings: StudySettings, *, progress: bool | None
) -> float | None:
    """Accuracy when every question gets the image of another; None with a single sample."""
    if len(samples) < 2:
        return None
    step = next(s for s in (17, 7, 3, 1) if s % len(samples))
    moved = [
        Sample(s.sample_id, samples[(i + step) % len(samples)].image, s.question, s.answer, s.family)
        for i, s in enumerate(samples)
    ]
    chunks = tqdm(
        _chunks(moved, settings.batch_size), desc="shuffled images", disable=None if progress is None else not progress
    )
    batches = (_labelled(model, processor, chunk) for chunk in chunks)
    return sweep(model, batches, [Plan()], progress=False)[0].plain_accuracy


def _family_accuracy(evaluation: PlanEvaluation, family: dict[str, str]) -> dict[str, float]:
    right: dict[str, list[bool]] = {}
    for sample_id, hit in zip(evaluation.sample_ids, evaluation.correct.tolist(), strict=True):
        if family[sample_id]:
            right.setdefault(family[sample_id], []).append(hit)
    return {name: float(np.mean(hits)) for name, hits in sorted(right.items())}


def _chosen(validation: Validation, row: dict[str, Any]) -> dict[str, Any]:
    choice = validation.choice
    plan, test = choice.chosen, choice.chosen_test
    return {
        **{k: row[k] for k in ("plan", "accuracy", "accuracy_change", "accuracy_change_interval", "agreement")},
        **{k: row[k] for k in ("prefill_speedup", "prefill_speedup_interval", "decoder_speedup", "flop_speedup")},
        "text": str(plan),
        "late_entry": plan.late_entry,
        "vision_exit": validation.n_layers if plan.vision_exit is None else plan.vision_exit,
        "risk": choice.risk,
        "confidence_level": choice.confidence_level,
        "loss_upper": choice.loss_upper,
        "n_losses": 0 if test is None else test.n_losses,
        "guarantee": choice.guarantee,
        "n_calibration": choice.n_samples,
        "n_tested_plans": choice.n_tested,
    }


def _profile_rows(statistics: HarvestStatistics, certificate: ProfileCertificate) -> list[dict[str, Any]]:
    certified = {(pair.layer, pair.group): pair for pair in certificate.pairs}
    attention = {
        "var": statistics.answer_var().sum(axis=2).mean(axis=0),
        "var_mean": statistics.answer_var().mean(axis=(0, 2)),
        "var_text_mean": statistics.text_var_mean().mean(axis=(0, 2)),
        "var_text_max": statistics.text_var_max().mean(axis=(0, 2)),
    }
    rows = []
    for group in GROUPS:
        columns = {
            "mean_distance": statistics.mean_distance(group),
            "image_mean_distance": statistics.image_mean_distance(group),
            "fraction_below_0.05": statistics.fraction_below(group, 0.05),
            "centred_distance": statistics.centred_distance(group),
            "max_distance": statistics.max_distance(group),
            "q99_distance": statistics.quantile(group, 0.99),
            "mean_norm": statistics.mean_norm(group)[1:],
            **attention,
        }
        for layer in range(1, statistics.spec.n_layers + 1):
            row = {"layer": layer, "group": group, **{k: _number(v[layer - 1]) for k, v in columns.items()}}
            pair = certified.get((layer, group))
            row["distance_upper"] = None if pair is None else pair.distance_upper
            row["tail_upper"] = None if pair is None else pair.tail_upper
            rows.append(row)
    return rows


def _matrix(matrix: Any) -> list[list[float | None]]:
    return [[_number(value) for value in row] for row in matrix]


def _number(value: float) -> float | None:
    """A JSON number; null where the quantity is undefined."""
    return float(value) if math.isfinite(value) else None
