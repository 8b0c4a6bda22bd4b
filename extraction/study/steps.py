"""The main line on one model and one data set: harvest, certify, really skip, measure, choose."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from tqdm.auto import tqdm

from extraction.data import Sample
from extraction.harvesting.stream import harvest
from extraction.models.adapters import adapt
from extraction.skip import (
    Plan,
    PrefillTiming,
    downsample_image,
    fastv,
    flop_speedup,
    kv_share,
    late_entry,
    measure_prefill,
    random_keep,
    vision_exit,
)
from extraction.study import PlanChoice, PlanEvaluation, select_plan, sweep
from extraction.study.validating import labelled_batch, prompt_counts
from redundancy.certificates.profile import ProfileCertificate
from redundancy.checks import check_real
from redundancy.statistics.harvest_statistics import HarvestStatistics

__all__ = ["Clock", "StudySettings", "Validation", "certify", "harvest_samples", "validate"]

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
    batches = [
        _for_plans(labelled_batch(model, processor, chunk), partial(labelled_batch, model, processor, chunk))
        for chunk in _chunks(samples, settings.batch_size)
    ]
    entries = [late_entry(layer) for layer in range(1, n_layers + 1)]
    exits = [vision_exit(layer) for layer in range(n_layers)]
    # Plans that the choice does not test: pruning by attention, and the baselines of a quarter of the tokens.
    others = [fastv(max(1, n_layers // 4), 0.5), random_keep(0.25), downsample_image(0.25)]
    plans = [Plan(), *entries, *exits, *others]
    evaluations = sweep(model, batches, plans, progress=progress)
    by_plan = dict(zip(plans, evaluations, strict=True))

    n_vision, n_text = prompt_counts(model, processor, samples)
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
    timing_batch = partial(labelled_batch, model, processor, samples[: settings.timing_batch])
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


def _for_plans(common: dict[str, Any], make: Callable[[Plan], dict[str, Any]]) -> Callable[[Plan], dict[str, Any]]:
    """The common batch for all plans but those with a prompt of their own."""
    return lambda plan: make(plan) if plan.has_own_prompt else common


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
    batches = (labelled_batch(model, processor, chunk) for chunk in chunks)
    return sweep(model, batches, [Plan()], progress=False)[0].plain_accuracy
