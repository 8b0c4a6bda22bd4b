"""Outcomes of one plan, sample by sample, and the intervals they give."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import beta

from extraction.skip.plan import Plan
from redundancy.checks import check_count, check_real
from redundancy.errors import InvalidInputError
from redundancy.files.tabular import Tabular

__all__ = ["PlanEvaluation", "proportion_interval"]


@dataclass(frozen=True, kw_only=True)
class PlanEvaluation(Tabular):
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

    def __repr__(self) -> str:
        return f"PlanEvaluation({str(self.plan)!r}, n_samples={self.n_samples}, agreement={self.agreement:.4g})"

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
