"""Measure one model of the study: statistics on one set of samples, losses of really skipping on another."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from extraction import default_model, harvest
from extraction.data import Sample
from extraction.default_model.questions import ask
from extraction.default_model.scenes import sample_scene
from extraction.skip import Plan, flop_speedup, hide_vision, late_entry, vision_exit
from extraction.skip.terms import LateEntry, VisionExit
from extraction.study import PlanEvaluation, sweep
from extraction.study.validating import labelled_batch, prompt_counts
from redundancy.concentration.betting import betting_upper_columns
from redundancy.statistics.harvest_statistics import HarvestStatistics
from study_analysis import to_hex
from study_models import StudyModel, picture

__all__ = ["DEFAULT", "draw_samples", "load_trained", "measure"]

CONFIDENCE = 0.95
DEFAULT = StudyModel(
    name="default", n_layers=12, width=128, families=("color", "shape", "digit", "exist", "count", "choice"), seed=0
)


def load_trained(spec: StudyModel, folder: Path) -> tuple[Any, Any]:
    """Model and processor, in eval mode and float32."""
    if spec.name == DEFAULT.name:
        return default_model.load_model(), default_model.load_processor()
    from transformers import AutoModelForImageTextToText, LlavaNextProcessor, LlavaProcessor

    model = AutoModelForImageTextToText.from_pretrained(folder / spec.name, local_files_only=True)
    kind = LlavaNextProcessor if spec.tiles else LlavaProcessor
    return model.eval(), kind.from_pretrained(folder / spec.name, local_files_only=True)


def draw_samples(spec: StudyModel, n: int, *, seed: int) -> list[Sample]:
    """`n` questions on as many fresh held-out scenes, the model's families in turn; other seeds, other scenes."""
    rng = np.random.default_rng([20261121, spec.seed, seed])
    fine = spec.tiles or spec.name == DEFAULT.name
    samples = []
    for i in range(n):
        family, question = spec.families[i % len(spec.families)], None
        while question is None:
            scene = sample_scene(rng, held_out=True)
            question = ask(scene, family, rng)
        image = picture(scene, tiles=fine)
        samples.append(Sample(f"s{seed}-{i:04d}", image, question.text, question.answer, family))
    return samples


def measure(
    spec: StudyModel, folder: Path, *, n_harvest: int, n_test: int, batch_size: int = 50, progress: bool | None = None
) -> dict[str, Any]:
    """Everything that the study knows of one model, ready for JSON: baselines and one record per plan."""
    model, processor = load_trained(spec, folder)
    n_layers = model.config.text_config.num_hidden_layers
    profiling, testing = draw_samples(spec, n_harvest, seed=1), draw_samples(spec, n_test, seed=2)
    statistics = harvest(model, profiling, processor=processor, batch_size=batch_size, name=spec.name)
    hidden = [hide_vision(layer) for layer in range(n_layers)]
    ablations = sweep(model, _batches(model, processor, profiling, batch_size), hidden, progress=progress)
    plans = [*map(late_entry, range(1, n_layers + 1)), *map(vision_exit, range(n_layers))]
    evaluations = sweep(model, _batches(model, processor, testing, batch_size), plans, progress=progress)
    n_vision, n_text = prompt_counts(model, processor, testing)
    predictors = predictors_of(statistics, ablations)
    cells = []
    for plan, outcome in zip(plans, evaluations, strict=True):
        entry = plan.term(LateEntry)
        kind, layer = ("late entry", entry.layer) if entry else ("vision exit", plan.term(VisionExit).layer)
        index = layer - 1 if kind == "late entry" else layer
        lower, upper = outcome.accuracy_change_interval(CONFIDENCE)
        cells.append(
            {
                "kind": kind,
                "layer": layer,
                "blind": (kind == "late entry") == (layer == n_layers) and layer in (0, n_layers),
                "loss": -outcome.accuracy_change,
                "loss_interval": [-upper, -lower],
                "lost_hex": to_hex(outcome.losses("accuracy")),
                "flop_speedup": flop_speedup(model.config, plan, n_vision, n_text),
                "predictors": {name: float(values[index]) for name, values in predictors[kind].items()},
            }
        )
    return {
        "name": spec.name,
        "n_layers": n_layers,
        "width": model.config.text_config.hidden_size,
        "n_parameters": sum(p.numel() for p in model.parameters()),
        "n_vision": int(np.median(n_vision)),
        "families": list(spec.families),
        "n_harvest": n_harvest,
        "n_test": n_test,
        "accuracy": evaluations[0].plain_accuracy,
        "baselines": baselines(model, processor, testing, evaluations[n_layers - 1], batch_size),
        "cells": cells,
    }


def baselines(
    model: Any, processor: Any, samples: list[Sample], blind: PlanEvaluation, batch_size: int
) -> dict[str, float]:
    """What is reached without the image: vision tokens nowhere, another's image, best constant per family."""
    moved = [
        Sample(s.sample_id, samples[(i + 17) % len(samples)].image, s.question, s.answer, s.family)
        for i, s in enumerate(samples)
    ]
    shuffled = sweep(model, _batches(model, processor, moved, batch_size), [Plan()], progress=False)[0]
    by_family: dict[str, Counter[str]] = {}
    for sample in samples:
        by_family.setdefault(sample.family, Counter())[sample.answer] += 1
    majority = sum(c.most_common(1)[0][1] for c in by_family.values()) / len(samples)
    return {"text only": blind.accuracy, "image shuffled": shuffled.plain_accuracy, "majority answer": majority}


def predictors_of(
    statistics: HarvestStatistics, ablations: tuple[PlanEvaluation, ...]
) -> dict[str, dict[str, npt.NDArray[np.float64]]]:
    """What each statistic says of every plan, larger = worse; index l - 1 of late entry at l, index e of an exit.

    "At the layer" is layer l of a late entry at l, and layer e + 1, the first that vision tokens leave out, of an
    exit at e. "Skipped" layers are 1..l and e+1..L. Upper limits hold each on its own, at 95 %, over images.
    """
    group, n_layers = "vision", statistics.spec.n_layers
    answer, text = statistics.answer_var().mean(-1), statistics.text_var_mean().mean(-1)  # (n, L)
    peak = statistics.text_var_max().max(-1)
    norm = statistics.mean_norm(group)
    text_norm = statistics.mean_norm("words")
    hide = np.array([e.mean_kl for e in ablations])
    dropped = np.array([-e.accuracy_change for e in ablations])
    entry = statistics.entry_sums(group) / np.maximum(statistics.entry_counts(group), 1)  # (n, L + 1)
    leave = statistics.exit_sums(group) / np.maximum(statistics.exit_counts(group), 1)
    at_layer = {
        "adjacent distance": statistics.mean_distance(group),
        "adjacent distance, upper limit": _upper(statistics.sample_distances(group), 2.0),
        "share not within 0.05": 1.0 - statistics.fraction_below(group, 0.05),
        "adjacent distance, centred": statistics.centred_distance(group),
        "VAR of answer": answer.mean(0),
        "VAR of all text": text.mean(0),
        "VAR of all text, upper limit": _upper(text, 1.0),
        "hiding at the layer (KL)": hide,
    }
    summed = {
        "adjacent distances, summed": statistics.mean_distance(group),
        "centred distances, summed": statistics.centred_distance(group),
        "VAR of answer, summed": answer.mean(0),
        "VAR of all text, summed": text.mean(0),
        "largest VAR of a text query, summed": peak.mean(0),
        "hiding, summed (KL)": hide,
        "hiding, summed (accuracy)": dropped,
    }
    table: dict[str, dict[str, npt.NDArray[np.float64]]] = {"late entry": dict(at_layer), "vision exit": dict(at_layer)}
    for name, values in summed.items():
        table["late entry"][name] = np.cumsum(values)
        table["vision exit"][name] = np.cumsum(values[::-1])[::-1]
    growth = np.abs(np.log(norm[1:] / norm[0])), np.abs(np.log(norm[-1] / norm[:-1]))
    share = norm / text_norm
    for kind, sums, pair in (("late entry", entry[:, 1:], 0), ("vision exit", leave[:, :-1], 1)):
        table[kind]["cumulative distance"] = np.nanmean(sums, axis=0)
        table[kind]["cumulative distance, upper limit"] = _upper(sums, 2.0)
        table[kind]["norm change (log)"] = growth[pair]
        table[kind]["norm, vision over words"] = share[1:] if pair == 0 else share[:-1]
    masses = {"late entry": np.cumsum(text, axis=1), "vision exit": np.cumsum(text[:, ::-1], axis=1)[:, ::-1]}
    for kind, mass in masses.items():
        table[kind]["VAR of all text, summed, upper limit"] = n_layers * _upper(mass / n_layers, 1.0)
    return table


def _upper(rows: npt.NDArray[np.float64], scale: float) -> npt.NDArray[np.float64]:
    """Certified upper limit of each column's mean over images, values in [0, scale]."""
    limits: npt.NDArray[np.float64] = scale * betting_upper_columns(rows / scale, confidence_level=CONFIDENCE)
    return limits


def _batches(model: Any, processor: Any, samples: list[Sample], size: int) -> list[dict[str, Any]]:
    return [labelled_batch(model, processor, samples[i : i + size]) for i in range(0, len(samples), size)]
