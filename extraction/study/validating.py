"""Plans on samples: whole families, an outcome log that survives interruption, times, and the choice of one plan."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from extraction.data import Sample
from extraction.data.scoring import SOFT_FROM
from extraction.models.adapters import adapt
from extraction.models.identity import RunIdentity
from extraction.skip import (
    MemoryUse,
    Plan,
    PrefillTiming,
    flop_speedup,
    late_entry,
    measure_memory,
    measure_prefill,
    vision_exit,
)
from extraction.study import OutcomeLog, PlanChoice, PlanEvaluation, select_plan, sweep
from extraction.study.choose import check_settings
from extraction.study.looks import record_look
from extraction.study.samples import (
    data_digest,
    default_length,
    in_hash_order,
    labelled_batch,
    prompt_counts,
    reference_counts,
    settled,
    with_labels,
)
from redundancy.errors import InvalidInputError

__all__ = [
    "candidates",
    "choose",
    "decide",
    "families",
    "labelled_batch",
    "memory_of_plans",
    "prompt_counts",
    "run",
    "time_plans",
]


def families(model: Any) -> list[Plan]:
    """Late entry and vision exit at every layer, the plans that change nothing left out."""
    n_layers = adapt(model).n_layers
    return [*map(late_entry, range(1, n_layers + 1)), *map(vision_exit, range(n_layers))]


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
    answer_length: int = 1,
    until: Callable[[tuple[PlanEvaluation, ...]], bool] | None = None,
) -> tuple[PlanEvaluation, ...]:
    """Sweep `plans` over `samples` into an `OutcomeLog` at `path`; with `resume`, only what it lacks.

    Accuracy is measured on the samples with an answer; agreement with the unmodified model on all. The log is bound to
    the weights, the processor, every sample's pixels, question and answers, and to what is `declared` before any
    outcome is seen: it is not resumed with anything else. The options beyond the first five are independent.
    More than eight parameters: what is run, on what, what an answer is, and where the log goes.

    Parameters
    ----------
    model, processor : PreTrainedModel, ProcessorMixin
    samples : sequence of Sample
        All of the run.
    plans : sequence of Plan
    path : Path
        Of the log.
    name : str
        Of the model.
    batch_size : int, default=8
    resume : bool, default=False
    progress : bool, optional
    declared : mapping, optional
        JSON values.
    answer_length : int, default=1
        Tokens of an answer that are compared and scored; 1 for its first token.
    until : callable, optional
        Asked before each batch with the outcomes so far; True ends the run.

    Returns
    -------
    tuple of PlanEvaluation
        In the order of `plans`.
    """
    samples = settled(samples)
    for plan in plans:
        plan.check(adapt(model).n_layers)
    identity = RunIdentity.of(model, processor, samples, name=name).to_dict()
    is_soft = any(len(s.answers) >= SOFT_FROM for s in samples)
    about = {**identity, "answer_length": answer_length, "is_soft": is_soft, **(declared or {})}
    log = OutcomeLog(path, plans, about, resume=resume)
    rest = [s for s in samples if s.sample_id not in log.sample_ids]
    answered = any(s.answers for s in samples)

    def is_over(k: int) -> bool:
        """Whether the run ends before its k-th sample; asked only where all samples of each unit are done."""
        if until is None or not log.outcomes or k == len(rest):
            return k == len(rest)
        return (log.outcomes[-1].units or ("",))[-1] != rest[k].unit and until(log.evaluations())

    def batches() -> Iterator[Callable[[Plan], dict[str, Any]]]:
        for k in range(0, len(rest), batch_size):
            if is_over(k):
                return
            chunk = rest[k : k + batch_size]
            prompt = partial(labelled_batch, model, processor, chunk, need_answers=False)
            # Most plans share the prompt of the unmodified model: it is made once.
            common = with_labels(prompt(), processor, chunk, answered)

            def make(plan: Plan, prompt: Any = prompt, common: dict[str, Any] = common) -> dict[str, Any]:
                return dict(prompt(plan)) if plan.has_own_prompt else common

            yield make

    if is_over(0):
        return log.evaluations()
    return sweep(model, batches(), plans, log=log, progress=progress, answer_length=answer_length)


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
    answer_length: int | None = None,
    by_family: bool = False,
    prompt_tokens: tuple[int, int] | None = None,
    until: float | None = None,
    limit: int | None = None,
    looks: Path | None = None,
    batch_size: int = 8,
    resume: bool = False,
    progress: bool | None = None,
) -> PlanChoice:
    """Run a family of plans on the samples, in hash order, and choose one: `decide` on what `run` measured.

    Nothing that is declared here may be fixed after a look at the losses, and a log is resumed with the same
    declarations only. More than eight parameters: each is such a declaration, or says where results go.

    Parameters
    ----------
    model, processor : PreTrainedModel, ProcessorMixin
    samples : sequence of Sample
    path : Path
        Of the outcome log.
    name : str
        Of the model.
    plans : sequence of Plan, optional
        The family, fixed without a look at `samples`; late entry and vision exit at every layer by default.
    loss, risk, confidence_level, method
        As in `choose_plan`.
    min_speedup : float, default=1.02
        Plans of a smaller predicted speed-up are not worth a share of the error, and are left out.
    answer_length : int, optional
        Tokens of an answer that count, 1 for the first token alone. By default those of the longest gold
        answer, 32 without any.
    by_family : bool, default=False
        Control the risk in every family of questions.
    prompt_tokens : (int, int), optional
        Vision and text tokens of the prompt that speed-ups are predicted for; those of a reference prompt by default.
        The tested samples do not decide it: which plans are tested, and in which order, would depend on them.
    until : float, optional
        Look after every batch, and stop once a certified plan is predicted to be so many times as fast. The tests are
        then those that are valid at any stopping time, so that a run may be resumed with a larger `limit`.
    limit : int, optional
        Take the first so many samples of the hash order.
    looks : Path, optional
        Ledger of earlier choices on the same data, see `extraction.study.looks`.
    batch_size, resume, progress
        As in `run`.

    Returns
    -------
    PlanChoice

    Raises
    ------
    InvalidInputError
        If no sample has an answer for ``loss="accuracy"``, or no plan is predicted to reach `min_speedup`.
    """
    check_settings(loss=loss, risk=risk, confidence_level=confidence_level, method=method)
    samples = in_hash_order(settled(samples))
    if loss == "accuracy" and not any(s.answers for s in samples):
        raise InvalidInputError(
            f"need an answer for every sample to control accuracy, {samples[0].sample_id!r} has none; use "
            'loss="answer", which needs none'
        )
    counts = reference_counts(model, processor) if prompt_tokens is None else prompt_tokens
    length = answer_length or default_length(processor, samples)
    speeds = candidates(model, plans, counts, min_speedup)
    declared = {
        "loss": loss,
        "risk": risk,
        "confidence_level": confidence_level,
        "method": method,
        "by_family": by_family,
        "prompt_tokens": list(counts),
        "until": until,
    }
    # Under `until` the limit is no declaration: a growing one is what the test is made for.
    whole = samples if until is not None else samples[:limit]
    looked = partial(
        decide,
        speeds=speeds,
        loss=loss,
        risk=risk,
        confidence_level=confidence_level,
        method=method,
        by_family=by_family,
        anytime=until is not None,
    )

    def is_decided(evaluations: tuple[PlanEvaluation, ...]) -> bool:
        done = evaluations[0].n_samples
        if limit is not None and done >= limit:
            return True
        found = looked(evaluations)
        return found.chosen_test is not None and speeds[found.chosen] >= (until or 0.0)

    evaluations = run(
        model,
        processor,
        whole,
        list(speeds),
        path,
        name=name,
        batch_size=batch_size,
        resume=resume,
        progress=progress,
        declared=declared,
        answer_length=length,
        until=None if until is None else is_decided,
    )
    log = OutcomeLog.load(path)
    about = {**log.run, "log": log.digest, "min_speedup": min_speedup}
    if looks is not None:
        entry = {"risk": risk, "loss": loss, "method": method, "model": name, "until": until}
        about["earlier_looks"] = record_look(looks, data=data_digest(samples), run=log.run_digest, entry=entry)
    return looked(evaluations, about=about)


def decide(
    evaluations: Sequence[PlanEvaluation],
    *,
    speeds: Mapping[Plan, float],
    loss: str = "accuracy",
    risk: float = 0.02,
    confidence_level: float = 0.95,
    method: str = "graph",
    by_family: bool = False,
    anytime: bool = False,
    about: Mapping[str, Any] | None = None,
) -> PlanChoice:
    """The rule by which `select`, `demo` and `profile` choose among measured plans.

    More than eight parameters, since each is a declaration that the guarantee rests on.

    Parameters
    ----------
    evaluations : sequence of PlanEvaluation
        Of the candidates, and perhaps of other plans, which take no part.
    speeds : mapping of Plan to float
        Candidates with their predicted speed-up, from declared numbers; see `candidates`.
    loss, risk, confidence_level, method, by_family, about
        As in `select_plan`.
    anytime : bool, default=False
        Tests that are valid at any stopping time, along the order of the samples.

    Returns
    -------
    PlanChoice
    """
    tested = [e for e in evaluations if e.plan in speeds]
    return select_plan(
        tested,
        costs=[1.0 / speeds[e.plan] for e in tested],
        loss=loss,
        risk=risk,
        confidence_level=confidence_level,
        method=method,
        chains=[_chain(e.plan) for e in tested],
        by_family=by_family,
        kind="betting_sequence" if anytime else "auto",
        about=about,
    )


def candidates(
    model: Any, plans: Sequence[Plan] | None, prompt_tokens: tuple[int, int], min_speedup: float
) -> dict[Plan, float]:
    """Plans worth testing with their predicted FLOP speed-ups, all from declared numbers; blind plans are left out.

    Raises
    ------
    InvalidInputError
        If no plan is predicted to reach `min_speedup`.
    """
    n_layers, (n_vision, n_text) = adapt(model).n_layers, prompt_tokens
    family = families(model) if plans is None else plans
    speed = {p: flop_speedup(model.config, p, n_vision, n_text) for p in family}
    found = {p: s for p, s in speed.items() if s >= min_speedup and p not in (late_entry(n_layers), vision_exit(0))}
    if not found:
        raise InvalidInputError(
            f"need a plan that is predicted to be {min_speedup:g} times as fast, the best of {len(speed)} reaches "
            f"{max(speed.values()):.3g} with {n_vision} vision and {n_text} text tokens; lower min_speedup"
        )
    return found


def _chain(plan: Plan) -> str:
    """Plans that are ordered by what they leave out, from little to much, are tested one after the other."""
    kinds = {term.name for term in plan.terms}
    return next((name.replace("_", " ") for name in ("late_entry", "vision_exit") if kinds == {name}), "other plans")


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
