"""Plans on samples: whole families, an outcome log that survives interruption, times, and the choice of one plan."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from extraction.data import Sample, as_sample
from extraction.data.prompts import prompt_text
from extraction.data.scoring import answer_token_ids
from extraction.models.adapters import adapt
from extraction.skip import (
    MemoryUse,
    Plan,
    PrefillTiming,
    flop_speedup,
    late_entry,
    measure_memory,
    measure_prefill,
    plan_batch,
    vision_exit,
)
from extraction.skip.terms import LateEntry
from extraction.study import OutcomeLog, PlanChoice, PlanEvaluation, select_plan, sweep
from extraction.study.choose import check_settings
from redundancy.errors import InvalidInputError

__all__ = ["choose", "families", "labelled_batch", "memory_of_plans", "prompt_counts", "run", "time_plans"]

_PLAIN = Plan()
_LABELS = ("special_mask", "units")  # keys of a batch that the harvest reads and a plain forward must not get


def families(model: Any) -> list[Plan]:
    """Late entry and vision exit at every layer, the plans that change nothing left out."""
    n_layers = adapt(model).n_layers
    return [*map(late_entry, range(1, n_layers + 1)), *map(vision_exit, range(n_layers))]


def labelled_batch(
    model: Any, processor: Any, samples: Sequence[Sample], plan: Plan = _PLAIN, *, need_answers: bool = True
) -> dict[str, Any]:
    """Model inputs with sample ids and the single token of each right answer.

    Without `need_answers`, samples may lack answers, and then none are given.

    Raises
    ------
    InvalidInputError
        If an answer is missing, or is no single token of the model.
    """
    samples = _as_samples(samples)
    unanswered = [s.sample_id for s in samples if s.answer is None]
    if unanswered and need_answers:
        raise InvalidInputError(
            f"need an answer for every sample to measure accuracy, {unanswered[0]!r} has none; add it, or ask for "
            "agreement only"
        )
    batch = plan_batch(processor, samples, plan, vision_ids=adapt(model).vision_ids)
    if need_answers:
        prompts = [prompt_text(processor, s) for s in samples]
        batch["answers"] = answer_token_ids(processor.tokenizer, [s.answer or "" for s in samples], prompts=prompts)
    return {key: value for key, value in batch.items() if key not in _LABELS}


def run(
    model: Any,
    processor: Any,
    samples: Sequence[Sample],
    plans: Sequence[Plan],
    path: Path,
    *,
    name: str,
    batch_size: int = 8,
    resume: bool = False,
    progress: bool | None = None,
    declared: Mapping[str, Any] | None = None,
) -> tuple[PlanEvaluation, ...]:
    """Sweep `plans` over `samples` into an `OutcomeLog` at `path`; with `resume`, only what it lacks.

    Accuracy is measured if every sample has an answer; agreement with the unmodified model always. What is
    `declared` before any outcome is seen is part of the run: the log is not resumed with anything else.
    """
    samples = _as_samples(samples)
    answered = all(s.answer is not None for s in samples)
    for plan in plans:
        plan.check(adapt(model).n_layers)
    identity = {
        "model": name,
        "parameters": sum(p.numel() for p in model.parameters()),
        "dtype": str(model.dtype),
        "samples": hashlib.sha256(
            json.dumps([[s.sample_id, s.question, s.answer] for s in samples]).encode()
        ).hexdigest(),
        **(declared or {}),
    }
    log = OutcomeLog(path, plans, identity, resume=resume)
    rest = [s for s in samples if s.sample_id not in log.sample_ids]
    chunks = [rest[i : i + batch_size] for i in range(0, len(rest), batch_size)]
    batches = (partial(labelled_batch, model, processor, chunk, need_answers=answered) for chunk in chunks)
    return sweep(model, batches, plans, log=log, progress=progress)


def choose(
    model: Any,
    processor: Any,
    samples: Sequence[Sample],
    path: Path,
    *,
    name: str,
    plans: Sequence[Plan] | None = None,
    loss: str = "accuracy",
    risk: float = 0.02,
    confidence_level: float = 0.95,
    method: str = "graph",
    min_speedup: float = 1.02,
    batch_size: int = 8,
    resume: bool = False,
    progress: bool | None = None,
) -> PlanChoice:
    """Order both families by predicted cost, drop plans not worth an error, run the rest, and choose.

    `plans` is the family, both whole ones by default; it must be fixed without a look at `samples`.
    Nothing here looks at a loss before the order stands. A log is resumed with the same risk, confidence, loss and
    method only: chosen after a look at the losses, they would carry no guarantee. Blind plans (no vision token in any
    layer) are left out.

    Raises
    ------
    InvalidInputError
        If answers are missing for ``loss="accuracy"``, or no plan is predicted to reach `min_speedup`.
    """
    check_settings(loss=loss, risk=risk, confidence_level=confidence_level, method=method)
    samples = _as_samples(samples)
    if loss == "accuracy" and (missing := [s.sample_id for s in samples if s.answer is None]):
        raise InvalidInputError(
            f'need an answer for every sample to control accuracy, {missing[0]!r} has none; use loss="answer", which '
            "needs none"
        )
    n_vision, n_text = prompt_counts(model, processor, samples)
    n_layers = adapt(model).n_layers
    family = families(model) if plans is None else plans
    speed = {p: flop_speedup(model.config, p, n_vision, n_text) for p in family}
    plans = [p for p in speed if speed[p] >= min_speedup and p not in (late_entry(n_layers), vision_exit(0))]
    if not plans:
        raise InvalidInputError(
            f"need a plan that is predicted to be {min_speedup:g} times as fast, the best of {len(speed)} reaches "
            f"{max(speed.values()):.3g} with {n_vision} vision and {n_text} text tokens; lower min_speedup"
        )
    evaluations = run(
        model,
        processor,
        samples,
        plans,
        path,
        name=name,
        batch_size=batch_size,
        resume=resume,
        progress=progress,
        declared={"loss": loss, "risk": risk, "confidence_level": confidence_level, "method": method},
    )
    return select_plan(
        evaluations,
        costs=[1.0 / speed[plan] for plan in plans],
        loss=loss,
        risk=risk,
        confidence_level=confidence_level,
        method=method,
        chains=["late entry" if plan.term(LateEntry) else "vision exit" for plan in plans],
    )


def time_plans(
    model: Any, processor: Any, samples: Sequence[Sample], plans: Sequence[Plan], *, rounds: int
) -> dict[Plan, PrefillTiming]:
    """Prefill times of the plans on one batch; none for 0 rounds."""
    if not rounds:
        return {}
    make = partial(labelled_batch, model, processor, samples, need_answers=False)
    return dict(zip(plans, measure_prefill(model, make, plans, rounds=rounds), strict=True))


def memory_of_plans(
    model: Any, processor: Any, samples: Sequence[Sample], plans: Sequence[Plan]
) -> tuple[MemoryUse, ...]:
    """What the cache holds after the prefill of one batch under each plan, and the peak on CUDA."""
    make = partial(labelled_batch, model, processor, samples, need_answers=False)
    return measure_memory(model, make, plans)


def prompt_counts(model: Any, processor: Any, samples: Sequence[Sample]) -> tuple[int, int]:
    """Mean vision and text tokens per prompt, rounded: what costs are predicted from."""
    ids = torch.tensor(adapt(model).vision_ids)
    n_vision = n_valid = 0
    for i in range(0, len(samples), 32):
        batch = labelled_batch(model, processor, samples[i : i + 32], need_answers=False)
        valid = batch["attention_mask"].bool()
        n_vision += int((torch.isin(batch["input_ids"], ids) & valid).sum())
        n_valid += int(valid.sum())
    return round(n_vision / len(samples)), round((n_valid - n_vision) / len(samples))


def _as_samples(samples: Sequence[Any]) -> list[Sample]:
    """Samples of whatever `extraction.harvest` takes for one: also mappings and the embedded model's questions."""
    return [as_sample(sample, position) for position, sample in enumerate(samples)]
