"""Outcomes of one plan, sample by sample, and the intervals they give: one value per independent unit."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest

from extraction.skip.plan import Plan
from redundancy.checks import check_count, check_real
from redundancy.concentration.multiplicity import bonferroni
from redundancy.errors import InvalidInputError
from redundancy.files.tabular import Tabular
from redundancy.risk import SALT, mean_interval
from redundancy.sampling import hash_order, unit_means

__all__ = ["Answer", "PlanEvaluation", "plan_records", "proportion_interval"]

Answer: TypeAlias = int | tuple[int, ...]
Floats: TypeAlias = npt.NDArray[np.float64]
_OF_ALL = ("plan", "is_soft", "answer_length")  # fields that are not one value per sample


@dataclass(frozen=True, kw_only=True)
class PlanEvaluation(Tabular):
    """Per-sample outcomes of one plan next to the unmodified model's.

    Accuracy, agreement and their intervals are means over units of each unit's mean, so that an image with many
    questions counts once.

    Parameters
    ----------
    plan : Plan
        The plan that was run.
    sample_ids : tuple of str
        Unique names of the samples.
    plain_tokens, plan_tokens : tuple of int, or of tuple of int
        Most likely next token at the last prompt position, without and with the plan; or the whole greedy answers.
        A plan without a finite answer has -1.
    kl : tuple of float
        KL divergence of the plan's distribution of the first answer token from the unmodified model's, in nats.
    answers : tuple, optional
        Right answer token of each sample, a tuple of several, or None where it is unknown. None if there are none.
    units : tuple of str, optional
        Independent unit of each sample, such as its image; each sample is one by default.
    families : tuple of str, optional
        Kind of question of each sample, "" where it has none.
    plain_scores, plan_scores : tuple of float or None, optional
        Scores in [0, 1] without and with the plan, None where a sample has no answer; from `answers` by default.
    is_soft : bool, default=False
        Whether scores may be fractions, as VQA's. Declared, not read off the scores.
    answer_length : int, default=1
        Tokens of an answer at most.
    """

    plan: Plan
    sample_ids: tuple[str, ...]
    plain_tokens: tuple[Answer, ...]
    plan_tokens: tuple[Answer, ...]
    kl: tuple[float, ...]
    answers: tuple[Answer | None, ...] | None = None
    units: tuple[str, ...] | None = None
    families: tuple[str, ...] | None = None
    plain_scores: tuple[float | None, ...] | None = None
    plan_scores: tuple[float | None, ...] | None = None
    is_soft: bool = False
    answer_length: int = 1

    def __post_init__(self) -> None:
        if len(set(self.sample_ids)) != len(self.sample_ids):
            raise InvalidInputError("need unique sample ids: a sample that counts twice is not an independent draw")

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return len(self.sample_ids)

    @property
    def n_units(self) -> int:
        """Number of independent units."""
        return self.n_samples if self.units is None else len(set(self.units))

    @property
    def has_answers(self) -> bool:
        """Whether any sample has a right answer."""
        return bool(self.answered.any())

    @cached_property
    def agrees(self) -> npt.NDArray[np.bool_]:
        """Whether the answer is that of the unmodified model, shape (n_samples,)."""
        return np.array([a == b for a, b in zip(self.plain_tokens, self.plan_tokens, strict=True)], dtype=np.bool_)

    @cached_property
    def scores(self) -> Floats:
        """Score of each answer under the plan, NaN where no right answer is known, shape (n_samples,)."""
        return self._scores(self.plan_scores, self.plan_tokens)

    @cached_property
    def plain_sample_scores(self) -> Floats:
        """Score of each answer of the unmodified model, NaN where no right answer is known, shape (n_samples,)."""
        return self._scores(self.plain_scores, self.plain_tokens)

    @cached_property
    def answered(self) -> npt.NDArray[np.bool_]:
        """Whether the sample has a right answer, shape (n_samples,)."""
        return ~np.isnan(self.plain_sample_scores)

    @cached_property
    def correct(self) -> npt.NDArray[np.bool_]:
        """Whether the plan's answer is right (scores above 0), shape (n_samples,); False where nothing is known."""
        self._need_answers()
        return self.scores > 0.0

    @cached_property
    def plain_correct(self) -> npt.NDArray[np.bool_]:
        """Whether the unmodified model's answer is right (scores above 0), shape (n_samples,)."""
        self._need_answers()
        return self.plain_sample_scores > 0.0

    def _scores(self, given: tuple[float | None, ...] | None, tokens: tuple[Answer, ...]) -> Floats:
        if given is not None:
            return np.array([np.nan if score is None else float(score) for score in given], dtype=np.float64)
        if self.answers is None:
            return np.full(self.n_samples, np.nan)
        return np.array([_score(t, a) for t, a in zip(tokens, self.answers, strict=True)], dtype=np.float64)

    def _need_answers(self) -> None:
        if not self.has_answers:
            raise InvalidInputError("accuracy needs `answers` in the batches; without them only agreement is known")

    @property
    def accuracy(self) -> float:
        """Mean score under the plan, of the samples with an answer."""
        return self._mean(self.scores)

    @property
    def plain_accuracy(self) -> float:
        """Mean score of the unmodified model on the same samples."""
        return self._mean(self.plain_sample_scores)

    @property
    def accuracy_change(self) -> float:
        """Accuracy under the plan minus accuracy without, on the same samples."""
        return self._mean(self.scores - self.plain_sample_scores)

    @property
    def agreement(self) -> float:
        """Share of samples whose answer the plan leaves as it is."""
        return float(self._per_unit(self.agrees).mean())

    @property
    def mean_kl(self) -> float:
        """Mean KL divergence in nats; infinite if the plan has no finite answer somewhere."""
        return float(np.mean(self.kl))

    def part(self, ids: Collection[str]) -> PlanEvaluation:
        """The evaluation of some of the samples, in the same order."""
        keep = [k for k, name in enumerate(self.sample_ids) if name in ids]
        per_sample = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in _OF_ALL}
        parts: dict[str, Any] = {
            name: None if v is None else tuple(v[k] for k in keep) for name, v in per_sample.items()
        }
        return replace(self, **parts)

    def losses(self, kind: str) -> npt.NDArray[Any]:
        """Per-sample losses, shape (n_samples,); NaN where no right answer is known.

        Parameters
        ----------
        kind : {"accuracy", "answer"}
            "accuracy": what the plan loses of the unmodified model's score, 0 or 1 unless `is_soft`. "answer": whether
            the answer changes.
        """
        if kind == "answer":
            return ~self.agrees
        if kind != "accuracy":
            raise InvalidInputError(f'need a loss among "accuracy" and "answer", got {kind!r}')
        self._need_answers()
        lost = np.maximum(0.0, self.plain_sample_scores - self.scores)
        return lost if self.is_soft or not self.answered.all() else lost > 0.0

    def plain_accuracy_interval(self, confidence_level: float = 0.95) -> tuple[float, float]:
        """Interval of the unmodified model's accuracy, valid at every sample size."""
        return self._interval(self.plain_sample_scores, confidence_level)

    def accuracy_interval(self, confidence_level: float = 0.95) -> tuple[float, float]:
        """Interval of the accuracy under the plan: exact for one right or wrong answer per unit, else by betting."""
        return self._interval(self.scores, confidence_level)

    def agreement_interval(self, confidence_level: float = 0.95) -> tuple[float, float]:
        """Interval of the agreement: exact for one sample per unit, else by betting."""
        kind = "binomial" if self.n_units == self.n_samples else "betting"
        return mean_interval(self._per_unit(self.agrees), confidence_level, kind=kind)

    def accuracy_change_interval(self, confidence_level: float = 0.95) -> tuple[float, float]:
        """Interval of the paired accuracy change, valid at every sample size.

        The change is what is gained minus what is lost; each gets an interval at half the error, so the difference
        of the two holds jointly.
        """
        share = 1.0 - (1.0 - confidence_level) / 2.0
        change = self.scores - self.plain_sample_scores
        gained, lost = (self._interval(np.maximum(0.0, part), share) for part in (change, -change))
        return gained[0] - lost[1], gained[1] - lost[0]

    def _mean(self, values: Floats) -> float:
        self._need_answers()
        return float(self._per_unit(values).mean())

    def _interval(self, values: Floats, confidence_level: float) -> tuple[float, float]:
        self._need_answers()
        means = self._per_unit(values)
        exact = not self.is_soft and len(means) == int((~np.isnan(values)).sum())
        return mean_interval(means, confidence_level, kind="binomial" if exact else "betting")

    def _per_unit(self, values: npt.NDArray[Any]) -> Floats:
        """One value per unit in the order of the bets; samples without a value are left out."""
        names = self.sample_ids if self.units is None else self.units
        kept = [k for k, value in enumerate(values) if not np.isnan(value)]
        means, units = unit_means(np.asarray(values, dtype=np.float64)[kept], [names[k] for k in kept])
        return means[hash_order(units, SALT)]

    def __repr__(self) -> str:
        return f"PlanEvaluation({str(self.plan)!r}, n_samples={self.n_samples}, agreement={self.agreement:.4g})"

    def to_record(self, confidence_level: float = 0.95) -> dict[str, Any]:
        """One flat row, each interval at `confidence_level`; accuracy columns are None without right answers.

        Intervals of several plans that shall hold at once: `plan_records`.
        """
        known = self.has_answers
        row: dict[str, Any] = {
            "plan": str(self.plan),
            "n_samples": self.n_samples,
            "agreement": self.agreement,
            "agreement_interval": self.agreement_interval(confidence_level),
            "mean_kl": self.mean_kl if np.isfinite(self.mean_kl) else None,
        }
        names = ("plain_accuracy", "accuracy", "accuracy_change")
        row.update({name: getattr(self, name) if known else None for name in names})
        for name in names[1:]:
            interval = f"{name}_interval"
            row[interval] = getattr(self, interval)(confidence_level) if known else None
        if self.plan == Plan():  # the unmodified model beside itself: known exactly, not sampled
            row["agreement_interval"] = (1.0, 1.0)
            row["accuracy_change_interval"] = (0.0, 0.0) if known else None
        row["n_units"] = self.n_units
        row["n_answered"] = int(self.answered.sum())
        return row


def plan_records(evaluations: Sequence[PlanEvaluation], confidence_level: float = 0.95) -> list[dict[str, Any]]:
    """Rows of all plans whose intervals hold jointly, for all plans and all three quantities at once.

    They are therefore valid for a plan that was chosen by looking at them.

    Parameters
    ----------
    evaluations : sequence of PlanEvaluation
        All plans that were looked at.
    confidence_level : float
        Joint.

    Returns
    -------
    list of dict
        As `PlanEvaluation.to_record`, with the number of plans under "joint_over", and the joint level.
    """
    n_sampled = 3 * max(1, sum(e.plan != Plan() for e in evaluations)) + 1  # the last for the unmodified model
    level = bonferroni(confidence_level, n_sampled)[0]
    rows = [
        {**e.to_record(level), "joint_over": len(evaluations), "confidence_level": confidence_level}
        for e in evaluations
    ]
    for row, evaluation in zip(rows, evaluations, strict=True):
        families = evaluation.families or ()
        if evaluation.has_answers and any(families):
            row["family_accuracy"], row["plain_family_accuracy"] = (
                _by_family(scores, evaluation) for scores in (evaluation.scores, evaluation.plain_sample_scores)
            )
        if evaluation.has_answers:
            row["plain_accuracy_interval"] = evaluation.plain_accuracy_interval(level)
    return rows


def proportion_interval(successes: int, n: int, confidence_level: float = 0.95) -> tuple[float, float]:
    """Exact two-sided (Clopper-Pearson) interval of a binomial proportion."""
    check_count(successes, "successes", upper=check_count(n, "n", lower=1))
    level = check_real(confidence_level, "confidence_level", lower=0.0, upper=1.0, open_ends=True)
    interval = binomtest(successes, n).proportion_ci(level, method="exact")
    return float(interval.low), float(interval.high)


def _score(token: Answer, answer: Answer | None) -> float:
    if answer is None:
        return np.nan
    right = answer if isinstance(answer, tuple) else (answer,)
    return float(token in right)


def _by_family(scores: Floats, evaluation: PlanEvaluation) -> dict[str, float]:
    found: dict[str, list[float]] = {}
    for family, score in zip(evaluation.families or (), scores, strict=True):
        if family and not np.isnan(score):
            found.setdefault(family, []).append(float(score))
    return {family: float(np.mean(values)) for family, values in sorted(found.items())}
