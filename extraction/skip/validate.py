"""What a plan does to the answers: every sample through the unmodified model and through the plan."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from scipy.stats import beta
from tqdm.auto import tqdm

from extraction.skip.patch import apply
from extraction.skip.plan import Plan
from extraction.skip.support import argument_names
from redundancy._validate import check_count, check_real
from redundancy.errors import InvalidInputError

__all__ = [
    "Batch",
    "PlanEvaluation",
    "answer_positions",
    "evaluate",
    "last_logits",
    "model_inputs",
    "own_inputs",
    "proportion_interval",
    "sweep",
]

Batch: TypeAlias = dict[str, Any] | Callable[[Plan], dict[str, Any]]
_NOT_INPUTS = ("sample_ids", "answers", "families")


@dataclass(frozen=True, kw_only=True)
class PlanEvaluation:
    """Per-sample outcomes of one plan next to the unmodified model's; samples are the i.i.d. units.

    Parameters
    ----------
    plan : Plan
        The plan that was run.
    sample_ids : tuple of str
        Unique names of the samples.
    plain_tokens, plan_tokens : tuple of int
        Most likely next token at the last prompt position, without and with the plan.
    kl : tuple of float
        KL divergence of the plan's answer distribution from the unmodified model's, in nats.
    answers : tuple of int or None
        Right answer tokens; None if there are none: then only agreement is known.
    """

    plan: Plan
    sample_ids: tuple[str, ...]
    plain_tokens: tuple[int, ...]
    plan_tokens: tuple[int, ...]
    kl: tuple[float, ...]
    answers: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if len(set(self.sample_ids)) != len(self.sample_ids):
            raise InvalidInputError("need unique sample ids: a sample that counts twice is not an independent draw")

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return len(self.sample_ids)

    @cached_property
    def agrees(self) -> npt.NDArray[np.bool_]:
        """Whether the answer token is that of the unmodified model, shape (n_samples,)."""
        return np.equal(self.plain_tokens, self.plan_tokens)

    @cached_property
    def correct(self) -> npt.NDArray[np.bool_]:
        """Whether the plan's answer is right, shape (n_samples,)."""
        return self._right(self.plan_tokens)

    @cached_property
    def plain_correct(self) -> npt.NDArray[np.bool_]:
        """Whether the unmodified model's answer is right, shape (n_samples,)."""
        return self._right(self.plain_tokens)

    def _right(self, tokens: tuple[int, ...]) -> npt.NDArray[np.bool_]:
        if self.answers is None:
            raise InvalidInputError("accuracy needs `answers` in the batches; without them only agreement is known")
        return np.equal(tokens, self.answers)

    @property
    def accuracy(self) -> float:
        """Share of right answers under the plan."""
        return float(self.correct.mean())

    @property
    def plain_accuracy(self) -> float:
        """Share of right answers of the unmodified model on the same samples."""
        return float(self.plain_correct.mean())

    @property
    def accuracy_change(self) -> float:
        """Accuracy under the plan minus accuracy without, on the same samples."""
        return float(self.correct.mean() - self.plain_correct.mean())

    @property
    def agreement(self) -> float:
        """Share of samples whose answer the plan leaves as it is."""
        return float(self.agrees.mean())

    @property
    def mean_kl(self) -> float:
        """Mean KL divergence in nats."""
        return float(np.mean(self.kl))

    def losses(self, kind: str) -> npt.NDArray[np.bool_]:
        """Per-sample 0/1 losses, shape (n_samples,).

        Parameters
        ----------
        kind : {"accuracy", "answer"}
            "accuracy": the unmodified model is right and the plan wrong. "answer": the answer changes.
        """
        if kind == "accuracy":
            return self.plain_correct & ~self.correct
        if kind == "answer":
            return ~self.agrees
        raise InvalidInputError(f'need a loss among "accuracy" and "answer", got {kind!r}')

    def accuracy_interval(self, confidence_level: float = 0.95) -> tuple[float, float]:
        """Exact (Clopper-Pearson) interval of the accuracy under the plan."""
        return proportion_interval(int(self.correct.sum()), self.n_samples, confidence_level)

    def agreement_interval(self, confidence_level: float = 0.95) -> tuple[float, float]:
        """Exact (Clopper-Pearson) interval of the agreement."""
        return proportion_interval(int(self.agrees.sum()), self.n_samples, confidence_level)

    def accuracy_change_interval(self, confidence_level: float = 0.95) -> tuple[float, float]:
        """Interval of the paired accuracy change, valid at every sample size.

        The change is the share of samples gained minus the share lost; each gets an exact interval at half the
        error, so the difference of the two holds jointly.
        """
        share = 1.0 - (1.0 - confidence_level) / 2.0
        gained = int((self.correct & ~self.plain_correct).sum())
        lost = int(self.losses("accuracy").sum())
        gain_lower, gain_upper = proportion_interval(gained, self.n_samples, share)
        loss_lower, loss_upper = proportion_interval(lost, self.n_samples, share)
        return gain_lower - loss_upper, gain_upper - loss_lower

    def to_record(self, confidence_level: float = 0.95) -> dict[str, Any]:
        """One flat row; accuracy columns are None when there are no right answers."""
        row: dict[str, Any] = {
            "plan": str(self.plan),
            "n_samples": self.n_samples,
            "agreement": self.agreement,
            "agreement_interval": self.agreement_interval(confidence_level),
            "mean_kl": self.mean_kl,
        }
        names = ("plain_accuracy", "accuracy", "accuracy_change")
        row.update({name: None if self.answers is None else getattr(self, name) for name in names})
        for name in names[1:]:
            interval = f"{name}_interval"
            row[interval] = None if self.answers is None else getattr(self, interval)(confidence_level)
        return row


def proportion_interval(successes: int, n: int, confidence_level: float = 0.95) -> tuple[float, float]:
    """Exact two-sided (Clopper-Pearson) interval of a binomial proportion."""
    check_count(successes, "successes", upper=check_count(n, "n", lower=1))
    delta = 1.0 - check_real(confidence_level, "confidence_level", lower=0.0, upper=1.0, open_ends=True)
    lower = float(beta.ppf(delta / 2, successes, n - successes + 1)) if successes else 0.0
    upper = float(beta.ppf(1 - delta / 2, successes + 1, n - successes)) if successes < n else 1.0
    return lower, upper


def evaluate(model: Any, batches: Iterable[Batch], plan: Plan, **options: Any) -> PlanEvaluation:
    """Run every sample with and without `plan`; `options` are those of `sweep`."""
    return sweep(model, batches, [plan], **options)[0]


def sweep(
    model: Any,
    batches: Iterable[Batch],
    plans: Sequence[Plan],
    *,
    candidates: Sequence[int] | None = None,
    share_image_features: bool = True,
    progress: bool | None = None,
) -> tuple[PlanEvaluation, ...]:
    """Run every sample through the unmodified model and through each plan.

    Parameters
    ----------
    model : PreTrainedModel
        In eval mode.
    batches : iterable of dict
        Model inputs (``input_ids``, ``attention_mask``, ``pixel_values``, ...), ``sample_ids`` (one name per row)
        and, if there are right answers, ``answers``: LongTensor of answer tokens, one per row. Read once. For plans
        with a prompt of their own (`downsample_image`), functions from a plan to such a batch.
    plans : sequence of Plan
        The unmodified model is always run and need not be among them.
    candidates : sequence of int, optional
        Tokens that are answers (as the letters of multiple choice); the whole vocabulary by default.
    share_image_features : bool, default=True
        Compute image features once per batch, where the model takes them and the first batch shows that its
        logits are then bit by bit those of the plain call; else every plan runs the image tower too.
    progress : bool, optional
        Show a bar; by default on terminals only.

    Returns
    -------
    tuple of PlanEvaluation
        In the order of `plans`.

    Raises
    ------
    InvalidInputError
        If the model is training, or a batch lacks or repeats sample ids or answers.
    """
    if model.training:
        raise InvalidInputError("need a model in eval mode, dropout would blur every comparison: call model.eval()")
    plans = list(plans)
    rows = [_Rows() for _ in plans]
    sharing = share_image_features and _takes_features(model)
    bar = tqdm(desc="plans", unit="forward", disable=None if progress is None else not progress)
    with bar, torch.inference_mode():
        for batch in batches:
            whole = batch(Plan()) if callable(batch) else batch
            ids, answers = _labels(whole)
            inputs = model_inputs(model, whole)
            plain = _answer_logits(model, inputs, candidates)
            bar.update()
            if sharing:
                shared = _with_features(model, inputs)
                if shared is not None and rows and not rows[0].sample_ids:
                    sharing = torch.equal(_answer_logits(model, shared, candidates), plain)
                inputs = shared if sharing and shared is not None else inputs
            for plan, row in zip(plans, rows, strict=True):
                own = own_inputs(model, batch, plan, ids)
                with apply(model, plan):
                    logits = _answer_logits(model, inputs if own is None else own, candidates)
                row.add(ids, answers, plain, logits, candidates)
                bar.update()
    return tuple(row.finish(plan) for plan, row in zip(plans, rows, strict=True))


def own_inputs(model: Any, batch: Batch, plan: Plan, sample_ids: list[str] | None = None) -> dict[str, Any] | None:
    """Inputs of a plan that has a prompt of its own; None for all others."""
    if plan.image_share is None:
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


@dataclass
class _Rows:
    """Outcomes of one plan while batches come in."""

    sample_ids: list[str] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    plain_tokens: list[int] = field(default_factory=list)
    plan_tokens: list[int] = field(default_factory=list)
    kl: list[float] = field(default_factory=list)

    def add(
        self,
        ids: list[str],
        answers: list[int] | None,
        plain: torch.Tensor,
        plan: torch.Tensor,
        candidates: Sequence[int] | None,
    ) -> None:
        self.sample_ids += ids
        self.answers += answers or []
        for logits, tokens in ((plain, self.plain_tokens), (plan, self.plan_tokens)):
            best = logits.argmax(dim=-1).tolist()
            tokens += best if candidates is None else [int(candidates[i]) for i in best]
        log_p, log_q = plain.log_softmax(-1), plan.log_softmax(-1)
        self.kl += (log_p.exp() * (log_p - log_q)).sum(-1).tolist()

    def finish(self, plan: Plan) -> PlanEvaluation:
        if not self.sample_ids:
            raise InvalidInputError("need at least one batch, got none")
        if self.answers and len(self.answers) != len(self.sample_ids):
            raise InvalidInputError(
                f"need `answers` in every batch or in none, got {len(self.answers)} answers for "
                f"{len(self.sample_ids)} samples"
            )
        return PlanEvaluation(
            plan=plan,
            sample_ids=tuple(self.sample_ids),
            plain_tokens=tuple(self.plain_tokens),
            plan_tokens=tuple(self.plan_tokens),
            kl=tuple(self.kl),
            answers=tuple(self.answers) or None,
        )


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


def last_logits(model: Any, inputs: dict[str, Any], **options: Any) -> torch.Tensor:
    """Logits at the last prompt token of every row, shape (batch, vocabulary)."""
    positions = answer_positions(inputs)
    width = inputs["input_ids"].shape[1]
    if "logits_to_keep" in argument_names(model) and bool((positions == width - 1).all()):
        kept: torch.Tensor = model(**inputs, logits_to_keep=1, **options).logits
        return kept[:, -1]
    logits: torch.Tensor = model(**inputs, **options).logits
    return logits[torch.arange(len(positions), device=logits.device), positions.to(logits.device)]


def _answer_logits(model: Any, inputs: dict[str, Any], candidates: Sequence[int] | None) -> torch.Tensor:
    logits = last_logits(model, inputs, use_cache=False).double()
    return logits if candidates is None else logits[:, torch.as_tensor(candidates, device=logits.device)]


def _labels(batch: dict[str, Any]) -> tuple[list[str], list[int] | None]:
    n = len(batch["input_ids"])
    ids = [str(i) for i in batch.get("sample_ids", ())]
    if len(ids) != n:
        raise InvalidInputError(f"need one of `sample_ids` for each of the {n} rows of a batch, got {len(ids)}")
    answers = batch.get("answers")
    if answers is None:
        return ids, None
    answers = torch.as_tensor(answers)
    if answers.shape != (n,) or answers.is_floating_point():
        raise InvalidInputError(
            f"need `answers` as {n} integer tokens, one per row, got shape {tuple(answers.shape)} of {answers.dtype}"
        )
    return ids, answers.tolist()


def _takes_features(model: Any) -> bool:
    return "mm_encoder_outputs" in argument_names(model) and hasattr(model, "get_image_features")


def _with_features(model: Any, inputs: dict[str, Any]) -> dict[str, Any] | None:
    """The inputs with image features in place of pixels; None if there are no pixels, or videos too."""
    if inputs.get("pixel_values") is None or inputs.get("pixel_values_videos") is not None:
        return None
    parameters = inspect.signature(model.get_image_features).parameters
    features = model.get_image_features(**{k: v for k, v in inputs.items() if k in parameters}, return_dict=True)
    return {**{k: v for k, v in inputs.items() if k != "pixel_values"}, "mm_encoder_outputs": {"image": features}}
