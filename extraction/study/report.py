"""From the results of a study to report.json, the page, and the files beside them."""

from __future__ import annotations

import json
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
from extraction.skip import Plan, late_entry, vision_exit
from extraction.skip.terms import LateEntry, VisionExit
from extraction.study import PlanChoice, PlanEvaluation, PlanTest
from extraction.study.steps import StudySettings, Validation
from redundancy import __version__
from redundancy.certificates.profile import ProfileCertificate
from redundancy.figures.sources import certificate_rows, matrices, profile_records
from redundancy.files.writing import write_text
from redundancy.statistics.harvest_statistics import HarvestStatistics

__all__ = ["GROUPS", "profile_report", "validation_report", "write_study"]

GROUPS = ("vision", "text", "words", "sink")
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
        "profile": profile_records(statistics, certificate, groups=GROUPS),
        "distance_matrix": matrices(statistics),
        "late_entry": [],
        "vision_exit": [],
        "other_plans": [],
        "chosen_plan": None,
        "certificates": certificate_rows(certificate),
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
    uppers = validation.choice.control.risk_uppers()
    tests = {test.plan: _test(test, uppers[str(test.plan)]) for test in validation.choice.tests}

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
            **tests.get(plan, {}),
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


def _test(test: PlanTest, upper: float) -> dict[str, Any]:
    """What risk control found of a plan."""
    return {
        "loss_share": test.mean_loss,
        "risk_upper": upper,
        "p_value": test.p_value,
        "is_tested": test.is_tested,
        "is_certified": test.is_certified,
    }


def _chosen(validation: Validation, row: dict[str, Any]) -> dict[str, Any]:
    choice = validation.choice
    plan, test = choice.chosen, choice.chosen_test
    return {
        **{k: row[k] for k in ("plan", "accuracy", "accuracy_change", "accuracy_change_interval", "agreement")},
        **{k: row[k] for k in ("prefill_speedup", "prefill_speedup_interval", "decoder_speedup", "flop_speedup")},
        "text": str(plan),
        "late_entry": 0 if (entry := plan.term(LateEntry)) is None else entry.layer,
        "vision_exit": validation.n_layers if (leave := plan.term(VisionExit)) is None else leave.layer,
        "risk": choice.risk,
        "confidence_level": choice.confidence_level,
        "loss_upper": choice.loss_upper,
        "n_losses": 0 if test is None else test.n_losses,
        "guarantee": choice.guarantee,
        "n_calibration": choice.n_samples,
        "n_tested_plans": choice.n_tested,
    }
