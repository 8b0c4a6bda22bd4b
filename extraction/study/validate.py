"""What a plan does to the answers: every sample through the unmodified model and through the plan."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, TypeAlias

import torch
from tqdm.auto import tqdm

from extraction.models.selfcheck import fitting
from extraction.skip.engine.patch import apply
from extraction.skip.engine.prefix import SharedPrefix
from extraction.skip.engine.support import argument_names
from extraction.skip.plan import Plan
from extraction.study.answers import first_tokens, greedy_answers, refuse_unfinite
from extraction.study.evaluation import Answer, PlanEvaluation
from extraction.study.outcomes import BatchOutcome, OutcomeLog, collect
from redundancy.errors import InvalidInputError

__all__ = [
    "Batch",
    "answer_positions",
    "evaluate",
    "last_logits",
    "model_inputs",
    "own_inputs",
    "sweep",
]

Batch: TypeAlias = dict[str, Any] | Callable[[Plan], dict[str, Any]]
_NOT_INPUTS = ("sample_ids", "answers", "families", "units", "score")


def evaluate(
    model: Any,
    batches: Iterable[Batch],
    plan: Plan,
    *,
    candidates: Sequence[int] | None = None,
    progress: bool | None = None,
    answer_length: int = 1,
) -> PlanEvaluation:
    """Run every sample with and without `plan`.

    Parameters
    ----------
    model : PreTrainedModel
        In eval mode.
    batches : iterable of dict
        As for `sweep`.
    plan : Plan
        What is left out.
    candidates, progress, answer_length
        As in `sweep`, which has more options.

    Returns
    -------
    PlanEvaluation
        Answers with and without the plan, sample by sample.
    """
    return sweep(model, batches, [plan], candidates=candidates, progress=progress, answer_length=answer_length)[0]


def sweep(
    model: Any,
    batches: Iterable[Batch],
    plans: Sequence[Plan],
    *,
    candidates: Sequence[int] | None = None,
    share_image_features: bool = True,
    share_layers: bool = True,
    log: OutcomeLog | None = None,
    progress: bool | None = None,
    answer_length: int = 1,
) -> tuple[PlanEvaluation, ...]:
    """Run every sample through the unmodified model and through each plan.

    More than eight parameters, independent of each other: what an answer is, what may be shared, where results go.

    Parameters
    ----------
    model : PreTrainedModel
        In eval mode.
    batches : iterable of dict
        Model inputs (``input_ids``, ``attention_mask``, ``pixel_values``, ...), ``sample_ids`` (one name per row)
        and, if there are right answers, ``answers``: LongTensor of answer tokens, one per row, or a sequence of
        tokens, tuples of right tokens and None where the answer is unknown. Optionally ``units`` (independent unit of
        each row, such as a digest of its image), ``families``, and ``score``, a function from the answers' tokens, one
        entry per row, to their scores in [0, 1] or None. Read once. For plans with a prompt of their own
        (`downsample_image`), functions from a plan to such a batch.
    plans : sequence of Plan
        The unmodified model is always run and need not be among them.
    candidates : sequence of int, optional
        Tokens that are answers (as the letters of multiple choice); the whole vocabulary by default.
    share_image_features : bool, default=True
        Compute image features once per batch, where the model takes them and the first batch shows that its
        logits are then bit by bit those of the plain call; else every plan runs the image tower too.
    share_layers : bool, default=True
        Take the layers before the first that a plan changes from the unmodified run, at most 1 GiB of states; only
        where the first batch shows that the logits are then bit by bit those of a whole run.
    log : OutcomeLog, optional
        Where each batch goes as soon as it is done; what the log holds already is part of the result. Give only the
        samples that it lacks.
    progress : bool, optional
        Show a bar; by default on terminals only.
    answer_length : int, default=1
        Compare and score greedy answers of up to so many tokens; 1 compares the first token of the answer.

    Returns
    -------
    tuple of PlanEvaluation
        In the order of `plans`.

    Raises
    ------
    InvalidInputError
        If the model is training, a batch lacks or repeats sample ids or answers, or the unmodified model's logits are
        not finite. Logits that are not finite under a plan are no answer: a change, and a score of 0.

    Notes
    -----
    Tied logits: the token of the lowest id (or the first candidate) is the answer, without a plan and with one alike,
    so a tie never counts as a change by itself. A refusal is an answer like any other: wrong, unless it is the right
    one, and a change only if the unmodified model does not refuse too. To keep refusals out of multiple choice, give
    `candidates`. Without right answers, accuracies are None and agreement is still measured.
    """
    if model.training:
        raise InvalidInputError("need a model in eval mode, dropout would blur every comparison: call model.eval()")
    plans = list(plans)
    if log is not None and list(log.plans) != plans:
        raise InvalidInputError("need a log of these very plans, in this order")
    outcomes: list[BatchOutcome] = []
    sharing = share_image_features and bool(plans) and _takes_features(model)
    prefix = SharedPrefix(model, plans if share_layers else ())
    bar = tqdm(desc="plans", unit="forward", disable=None if progress is None else not progress)
    with bar, torch.inference_mode():
        for batch in batches:
            whole = batch(Plan()) if callable(batch) else batch
            ids, answers = _labels(whole)
            whole_inputs = inputs = model_inputs(model, whole)
            with prefix.record():
                plain = _answer_logits(model, inputs, candidates)
            bar.update()
            plain_tokens = _answers(model, plain, whole_inputs, candidates, answer_length)
            refuse_unfinite(first_tokens(plain), ids)
            refuse_unfinite(plain_tokens, ids)
            if sharing and not outcomes:
                shared = _tried_features(model, inputs, candidates, plain)
                sharing, inputs = shared is not None, shared or inputs
            elif sharing:
                inputs = _with_features(model, inputs)
            tokens, kl = [], []
            for plan in plans:
                own = own_inputs(model, batch, plan, ids)
                given = inputs if own is None else own
                with apply(model, plan):
                    logits = prefix.logits(plan, partial(_answer_logits, model, given, candidates))
                    tokens.append(_answers(model, logits, own or whole_inputs, candidates, answer_length))
                kl.append(_divergences(plain, logits))
                bar.update()
            score = whole.get("score")
            outcome = BatchOutcome(
                sample_ids=tuple(ids),
                answers=answers,
                plain_tokens=plain_tokens,
                plan_tokens=tuple(tokens),
                kl=tuple(kl),
                units=_names(whole, "units", len(ids)),
                families=_names(whole, "families", len(ids)),
                plain_scores=None if score is None else tuple(score(plain_tokens)),
                plan_scores=None if score is None else tuple(tuple(score(row)) for row in tokens),
            )
            outcomes.append(outcome)
            if log is not None:
                log.append(outcome)
    return collect(plans, outcomes, answer_length=answer_length) if log is None else log.evaluations()


def _answers(
    model: Any, logits: torch.Tensor, inputs: dict[str, Any], candidates: Sequence[int] | None, length: int
) -> tuple[Answer, ...]:
    """First tokens, or whole answers, which the model generates under the plan that is on."""
    return first_tokens(logits, candidates) if length == 1 else greedy_answers(model, inputs, length)


def _divergences(plain: torch.Tensor, logits: torch.Tensor) -> tuple[float, ...]:
    """KL divergence of each row in nats, infinite where the plan's logits are not finite."""
    log_p, log_q = plain.log_softmax(-1), logits.log_softmax(-1)
    kl = (log_p.exp() * (log_p - log_q)).sum(-1)
    return tuple(torch.where(torch.isfinite(logits).all(-1), kl, torch.inf).tolist())


def _names(batch: dict[str, Any], name: str, n: int) -> tuple[str, ...] | None:
    values = batch.get(name)
    if values is None:
        return None
    if len(values) != n:
        raise InvalidInputError(f"need one of `{name}` for each of the {n} rows of a batch, got {len(values)}")
    return tuple(str(value) for value in values)


def own_inputs(model: Any, batch: Batch, plan: Plan, sample_ids: list[str] | None = None) -> dict[str, Any] | None:
    """Inputs of a plan that has a prompt of its own; None for all others."""
    if not plan.has_own_prompt:
        return None
    if not callable(batch):
        raise InvalidInputError(
            f"the plan {plan} needs a prompt of its own: give a function from a plan to its batch, as "
            "`lambda plan: plan_batch(processor, samples, plan)`"
        )
    own = batch(plan)
    if sample_ids is not None and _labels(own)[0] != sample_ids:
        raise InvalidInputError(f"need the same samples in the same order in the batch for {plan}")
    return model_inputs(model, own)


def model_inputs(model: Any, batch: dict[str, Any]) -> dict[str, Any]:
    """The part of a batch that the model takes, on its device."""
    inputs = {name: value for name, value in batch.items() if name not in _NOT_INPUTS}
    return {name: v.to(model.device) if torch.is_tensor(v) else v for name, v in inputs.items()}


def answer_positions(inputs: dict[str, Any]) -> torch.Tensor:
    """Column of the last prompt token of every row, padding on either side, shape (batch,)."""
    ids, mask = inputs["input_ids"], inputs.get("attention_mask")
    if mask is None:
        return torch.full((ids.shape[0],), ids.shape[1] - 1, device=ids.device)
    columns = torch.arange(ids.shape[1], device=ids.device)
    return torch.where(mask.bool(), columns, 0).amax(dim=1)


def last_logits(model: Any, inputs: dict[str, Any], *, use_cache: bool) -> torch.Tensor:
    """Logits at the last prompt token of every row, shape (batch, vocabulary)."""
    positions = answer_positions(inputs)
    width = inputs["input_ids"].shape[1]
    if "logits_to_keep" in argument_names(model) and bool((positions == width - 1).all()):
        with fitting(model):
            kept: torch.Tensor = model(**inputs, logits_to_keep=1, use_cache=use_cache).logits
        return kept[:, -1]
    with fitting(model):
        logits: torch.Tensor = model(**inputs, use_cache=use_cache).logits
    return logits[torch.arange(len(positions), device=logits.device), positions.to(logits.device)]


def _answer_logits(model: Any, inputs: dict[str, Any], candidates: Sequence[int] | None) -> torch.Tensor:
    logits = last_logits(model, inputs, use_cache=False).double()
    return logits if candidates is None else logits[:, torch.as_tensor(candidates, device=logits.device)]


def _labels(batch: dict[str, Any]) -> tuple[list[str], tuple[Answer | None, ...] | None]:
    n = len(batch["input_ids"])
    ids = [str(i) for i in batch.get("sample_ids", ())]
    if len(ids) != n:
        raise InvalidInputError(f"need one of `sample_ids` for each of the {n} rows of a batch, got {len(ids)}")
    answers = batch.get("answers")
    if answers is None:
        return ids, None
    if not torch.is_tensor(answers) and any(a is None or isinstance(a, tuple) for a in answers):
        if len(answers) != n:
            raise InvalidInputError(f"need `answers` for each of the {n} rows of a batch, got {len(answers)}")
        return ids, tuple(a if a is None or isinstance(a, tuple) else int(a) for a in answers)
    answers = torch.as_tensor(answers)
    if answers.shape != (n,) or answers.is_floating_point():
        raise InvalidInputError(
            f"need `answers` as {n} integer tokens, one per row, got shape {tuple(answers.shape)} of {answers.dtype}"
        )
    return ids, tuple(answers.tolist())


def _takes_features(model: Any) -> bool:
    return "mm_encoder_outputs" in argument_names(model) and hasattr(model, "get_image_features")


def _tried_features(
    model: Any, inputs: dict[str, Any], candidates: Sequence[int] | None, plain: torch.Tensor
) -> dict[str, Any] | None:
    """The inputs with image features, if the model takes them and gives the very logits; some demand the pixels."""
    try:
        shared = _with_features(model, inputs)
        same = shared is inputs or torch.equal(_answer_logits(model, shared, candidates), plain)
    except (TypeError, ValueError):
        return None
    return shared if same else None


def _with_features(model: Any, inputs: dict[str, Any]) -> dict[str, Any]:
    """The inputs with image features in place of pixels; the same inputs if there are no pixels, or videos too."""
    if inputs.get("pixel_values") is None or inputs.get("pixel_values_videos") is not None:
        return inputs
    parameters = inspect.signature(model.get_image_features).parameters
    features = model.get_image_features(**{k: v for k, v in inputs.items() if k in parameters}, return_dict=True)
    return {**{k: v for k, v in inputs.items() if k != "pixel_values"}, "mm_encoder_outputs": {"image": features}}
