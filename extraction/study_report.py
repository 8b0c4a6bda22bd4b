"""From the results of a study to report.json, the page, and the files beside them."""

from __future__ import annotations

import json
import math
import os
import platform
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from extraction.data import Sample
from extraction.skip import Plan, PlanChoice, PlanEvaluation, late_entry, vision_exit
from extraction.study import StudySettings, Validation
from redundancy import __version__
from redundancy.files import write_text
from redundancy.profile import ProfileCertificate
from redundancy.statistics import HarvestStatistics

__all__ = ["GROUPS", "profile_report", "validation_report", "write_study"]

GROUPS = ("vision", "text", "words", "sink")
_MATRICES = ("vision", "text")
NOT_CLAIMED = (
    "That a layer is safe to skip because its distances are small: distances describe the states, not what the rest "
    "of the model does with them.",
    "Anything about other data: every interval is over the draw of samples from the population these came from.",
    "Anything about the conditional entropy of raw hidden states, which is 0 or infinite for a deterministic layer.",
    "That the speed-up carries over to other hardware, batch sizes or prompt lengths.",
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
        "distance_matrix": {g: _matrix(statistics.depth_matrix(g)) for g in _MATRICES},
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
