"""The tests of one task: what the treated run loses, certified or refuted, exact where units give one answer each."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.stats import binom

from redundancy.concentration.betting import betting_lower, betting_upper
from redundancy.concentration.clopper_pearson import clopper_pearson_lower, clopper_pearson_upper
from redundancy.risk.p_values import p_value
from redundancy.sampling import hash_order, unit_means

__all__ = ["TaskComparison", "Verdict", "judge_task", "with_verdict"]

SALT = "skip-it/comparison"
Array = npt.NDArray[np.float64]
Verdict = Literal["certified", "refuted", "undecided", "vacuous"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskComparison:
    """What the two runs say of one task, or of all documents together.

    Parameters
    ----------
    task : str
        Its name; "" for all documents.
    n_samples, n_units : int
        Documents, and independent units among them.
    base_score, treated_score : float
        Means over units.
    n_lost, n_won : int
        Documents that the treated run scores lower, and higher.
    loss : float
        Mean over units of what a document loses; the share of right answers lost for an exact score.
    loss_lower, loss_upper : float
        One-sided confidence bounds of the population's loss, each at the confidence level, on its own.
    p_certified, p_refuted : float
        P-values of "the loss is at least the risk" and of "the loss is at most the risk".
    base_upper : float
        Upper confidence bound of the base run's score; no loss can exceed it.
    verdict : {"certified", "refuted", "undecided", "vacuous"}
        Of "the loss is at most the risk"; vacuous where the base run has no more than that to lose. Over tasks
        jointly, see `Comparison`.
    difference_lower, difference_upper : float
        Two-sided confidence interval of the treated minus the base score.
    p_mcnemar : float
        Exact two-sided p-value of "a unit is as likely to lose as to gain".
    test : {"binomial", "betting"}
        Exact for one 0/1 loss per unit, betting otherwise.
    """

    task: str
    n_samples: int
    n_units: int
    base_score: float
    treated_score: float
    n_lost: int
    n_won: int
    loss: float
    loss_lower: float
    loss_upper: float
    p_certified: float
    p_refuted: float
    base_upper: float
    verdict: Verdict
    difference_lower: float
    difference_upper: float
    p_mcnemar: float
    test: str


def judge_task(name: str, scores: Array, units: npt.NDArray[Any], risk: float, level: float) -> TaskComparison:
    """Test one task.

    Parameters
    ----------
    name : str
    scores : ndarray of shape (2, n_samples)
        Base and treated, in [0, 1].
    units : ndarray of str, shape (n_samples,)
    risk, level : float
        What is tolerated, and the confidence level of each statement.

    Returns
    -------
    TaskComparison
        Undecided until `with_verdict`.
    """
    change = scores[1] - scores[0]
    order = hash_order(sorted(set(units)), SALT)
    losses, names = unit_means(np.maximum(-change, 0.0), units)
    place = {unit: i for i, unit in enumerate(names)}
    arranged = np.array([place[unit] for unit in np.array(sorted(set(units)), dtype=object)[order]])
    losses, moves = losses[arranged], unit_means(change, units)[0][arranged]
    means = [unit_means(row, units)[0][arranged] for row in scores]
    is_exact = len(names) == len(units) and bool(np.isin(scores, (0.0, 1.0)).all())
    kind = "binomial" if is_exact else "betting"
    lower, upper = (clopper_pearson_lower, clopper_pearson_upper) if is_exact else (betting_lower, betting_upper)
    half = 1.0 - (1.0 - level) / 2.0
    raised = (moves + 1.0) / 2.0
    fell, rose = int((moves < 0.0).sum()), int((moves > 0.0).sum())
    return TaskComparison(
        task=name,
        n_samples=len(units),
        n_units=len(names),
        base_score=float(means[0].mean()),
        treated_score=float(means[1].mean()),
        n_lost=int((change < 0.0).sum()),
        n_won=int((change > 0.0).sum()),
        loss=float(losses.mean()),
        loss_lower=lower(values=losses, confidence_level=level).interval.lower,
        loss_upper=upper(values=losses, confidence_level=level).interval.upper,
        p_certified=p_value(losses, risk, kind=kind, confidence_level=level),
        p_refuted=_p_above(losses, risk, kind, level),
        base_upper=upper(values=means[0], confidence_level=level).interval.upper,
        verdict="undecided",
        difference_lower=2.0 * betting_lower(values=raised, confidence_level=half).interval.lower - 1.0,
        difference_upper=2.0 * betting_upper(values=raised, confidence_level=half).interval.upper - 1.0,
        p_mcnemar=min(1.0, 2.0 * float(binom.cdf(min(fell, rose), fell + rose, 0.5))),
        test=kind,
    )


def _p_above(losses: Array, risk: float, kind: str, level: float) -> float:
    """P-value of "the mean loss is at most the risk"."""
    if kind == "binomial":
        return float(binom.sf(int(losses.sum()) - 1, len(losses), risk))
    return p_value(1.0 - losses, 1.0 - risk, kind=kind, confidence_level=level)


def with_verdict(task: TaskComparison, is_certified: bool, is_refuted: bool, risk: float) -> TaskComparison:
    """The task with its verdict, vacuous where the base run cannot lose more than the risk."""
    verdict: Verdict = "certified" if is_certified else "refuted" if is_refuted else "undecided"
    if task.base_upper <= risk:
        verdict = "vacuous"
    return TaskComparison(**{**asdict(task), "verdict": verdict})
