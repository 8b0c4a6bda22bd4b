"""Is a treated run as good as its base on the same inputs: risk of losing right answers, exact tests, one record."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.stats import binom

from redundancy.certificates.digested import check_sentence, reading, seal, unseal
from redundancy.certificates.parts import RecheckReport
from redundancy.checks import check_real
from redundancy.comparison.logs import RunLog, read_log
from redundancy.concentration.betting import betting_lower, betting_upper
from redundancy.concentration.clopper_pearson import clopper_pearson_lower, clopper_pearson_upper
from redundancy.concentration.multiplicity import holm
from redundancy.errors import InvalidInputError
from redundancy.files.tabular import Tabular
from redundancy.interval import text_down, text_up
from redundancy.risk.p_values import p_value
from redundancy.sampling import hash_order, unit_means

__all__ = ["Comparison", "TaskComparison", "compare"]

SCHEMA = "skip-it/comparison/1"
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


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Comparison(Tabular):
    """The verdict on a treated run, with all that is needed to compute it again.

    Parameters
    ----------
    overall : TaskComparison
        All documents together, one test in each direction.
    tasks : tuple of TaskComparison
        Each task; empty if there is one. The verdicts "certified" hold jointly at the confidence level (Holm), and so
        do the verdicts "refuted".
    risk, confidence_level : float
        What is tolerated, and how sure the verdicts are.
    score_range : (float, float)
        Declared range of the score.
    base, treated : RunLog
        Joined: the same documents in the same order.
    left_out : int
        Documents that only one run has, where the caller asked to compare the others.
    """

    overall: TaskComparison
    tasks: tuple[TaskComparison, ...]
    risk: float
    confidence_level: float
    score_range: tuple[float, float]
    base: RunLog
    treated: RunLog
    left_out: int

    def __repr__(self) -> str:
        return f"Comparison({self.overall.verdict}, risk={self.risk:g}, n_units={self.overall.n_units})"

    @property
    def worst(self) -> TaskComparison:
        """The task with the largest observed loss."""
        return max(self.tasks or (self.overall,), key=lambda task: task.loss)

    @property
    def sentence(self) -> str:
        """The verdict in words, with what it rests on."""
        o = self.overall
        n = f"{o.n_units} i.i.d. {_plural(o.n_units, 'unit')}"
        if self.base.units is None:
            n = f"{o.n_units} {_plural(o.n_units, 'document')}, independent by assumption: the logs name no images"
        elif o.n_samples != o.n_units:
            n += f" ({o.n_samples} documents)"
        what = "loses a right answer of the base run on" if self._is_exact else "loses"
        amount = "of inputs" if self._is_exact else "of the score"
        percent = f"{100 * self.risk:g} %"
        how = "exact binomial test" if o.test == "binomial" else "betting test"
        confidence = f"with confidence at least {self.confidence_level:g} over the draw of {n}"
        if o.verdict == "vacuous":
            text = (
                f"Vacuous: {confidence}, the base run scores at most {text_up(o.base_upper, 3)}, so it has no more "
                f"than {percent} to lose whatever the treated run does."
            )
        elif o.verdict == "certified":
            text = f"Certified: {confidence}, the treated run {what} at most {percent} {amount} ({how})."
        elif o.verdict == "refuted":
            text = f"Refuted: {confidence}, the treated run {what} more than {percent} {amount} ({how})."
        else:
            text = (
                f"Undecided: {n} neither certify nor refute, at confidence {self.confidence_level:g}, that the treated "
                f"run {what} at most {percent} {amount} ({how})."
            )
        if self.left_out:
            text += f" Left out, as only one run has them: {self.left_out} {_plural(self.left_out, 'document')}."
        return text

    @property
    def _is_exact(self) -> bool:
        return set(self.base.scores) | set(self.treated.scores) <= {0.0, 1.0}

    def to_records(self) -> list[dict[str, Any]]:
        """One row for all documents, then one per task."""
        return [asdict(part) | {"task": part.task or "all"} for part in (self.overall, *self.tasks)]

    def summary(self) -> str:
        """Ten lines for a terminal, at most 80 columns wide."""
        o = self.overall
        low, high = (
            text(end, decimals=4, sign=True)
            for text, end in ((text_down, o.difference_lower), (text_up, o.difference_upper))
        )
        lines = [
            textwrap.fill(self.sentence, 80),
            f"score {o.base_score:.4f} -> {o.treated_score:.4f}, difference in [{low}, {high}]",
            f"lost {o.n_lost}, won {o.n_won}; mean loss {o.loss:.4f} in "
            f"[{text_down(o.loss_lower, decimals=4)}, {text_up(o.loss_upper, decimals=4)}] (each end alone)",
            f"exact McNemar test of no change: p = {text_up(o.p_mcnemar, 3)}",
        ]
        if self.tasks:
            counts = {verdict: sum(t.verdict == verdict for t in self.tasks) for verdict in ("certified", "refuted")}
            lines.append(
                f"{len(self.tasks)} tasks, jointly: {counts['certified']} certified, {counts['refuted']} refuted; "
                f"worst {self.worst.task} (loss {self.worst.loss:.4f})"
            )
        return "\n".join(lines)

    def to_json(self) -> str:
        """Exact JSON form with a digest; `from_json` and ``skip-it recheck`` read it."""
        return seal(
            {
                "schema": SCHEMA,
                "risk": self.risk,
                "confidence_level": self.confidence_level,
                "score_range": list(self.score_range),
                "left_out": self.left_out,
                "base": asdict(self.base),
                "treated": asdict(self.treated),
                "results": self.to_records(),
                "sentence": self.sentence,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> Comparison:
        """Inverse of `to_json`; every number is computed again from the stored scores.

        Raises
        ------
        StoreError
            If the text is of another schema, altered, or states what its scores do not give.
        """
        body = unseal(text, SCHEMA)
        with reading(SCHEMA):
            logs = [_stored_log(body[run]) for run in _RUNS]
            found = _judge(
                logs[0],
                logs[1],
                risk=body["risk"],
                confidence_level=body["confidence_level"],
                score_range=(body["score_range"][0], body["score_range"][1]),
                left_out=body["left_out"],
            )
            if body["results"] != found.to_records():
                raise ValueError("results that its scores do not give")
        check_sentence(body["sentence"], found.sentence)
        return found

    def recheck(self) -> RecheckReport:
        """Compute every number again from the stored scores."""
        again = _judge(
            self.base,
            self.treated,
            risk=self.risk,
            confidence_level=self.confidence_level,
            score_range=self.score_range,
            left_out=self.left_out,
        )
        problems = () if again == self else ("the stored results are not those of the stored scores",)
        return RecheckReport(theorem=SCHEMA, problems=problems)


_RUNS = ("base", "treated")


def compare(
    base: RunLog | str | os.PathLike[str],
    treated: RunLog | str | os.PathLike[str],
    *,
    risk: float = 0.02,
    confidence_level: float = 0.95,
    score_range: tuple[float, float] = (0.0, 1.0),
    only_common: bool = False,
) -> Comparison:
    """Compare two runs on the same inputs, whatever software pruned the second.

    Parameters
    ----------
    base, treated : RunLog or path
        The run without and the run with the change; paths go through `read_log`.
    risk : float
        Share of right answers, or of the score, that may be lost.
    confidence_level : float
        In (0, 1).
    score_range : (float, float)
        Declared range of the score; losses are scaled to it.
    only_common : bool
        Compare the documents that both runs have, and say how many are left out. Otherwise they are refused.

    Returns
    -------
    Comparison

    Raises
    ------
    InvalidInputError
        If the runs have other documents, prompts, expected answers or metrics, or a score leaves its range.

    Notes
    -----
    The loss of a document is how much lower the treated run scores, never below 0: for an exact score, 1 where the
    base run is right and the treated one is wrong. One 0/1 loss per unit is tested by the exact binomial law, all else
    by betting on the mean of each unit, in the order of a salted hash of their names. McNemar's test counts units
    that lose against units that gain.

    References
    ----------
    .. [1] McNemar (1947), doi:10.1007/BF02295996.
    .. [2] Waudby-Smith and Ramdas (2024), Estimating means of bounded random variables by betting, JRSS-B 86(1).
    """
    first, second = (log if isinstance(log, RunLog) else read_log(log) for log in (base, treated))
    joined = _join(first, second, only_common=only_common)
    return _judge(
        *joined[:2], risk=risk, confidence_level=confidence_level, score_range=score_range, left_out=joined[2]
    )


def _join(base: RunLog, treated: RunLog, *, only_common: bool) -> tuple[RunLog, RunLog, int]:
    """Both logs on the same documents in the order of the base run."""
    if base.metric != treated.metric:
        raise InvalidInputError(f"need the same metric in both runs, got {base.metric} and {treated.metric}; name one")
    places = {document: i for i, document in enumerate(zip(treated.tasks, treated.keys, strict=True))}
    documents = list(zip(base.tasks, base.keys, strict=True))
    common = [i for i, document in enumerate(documents) if document in places]
    left_out = len(documents) + len(places) - 2 * len(common)
    if left_out and not only_common:
        odd = [d for d in documents if d not in places] or [d for d in places if d not in set(documents)]
        first = "/".join(filter(None, odd[0]))
        raise InvalidInputError(
            f"need the same documents in both runs, {left_out} are in one only, first {first}; "
            "run them, or compare the common ones (--only-common)"
        )
    if not common:
        raise InvalidInputError(f"need documents that both runs have, {base.source} and {treated.source} share none")
    mine = _rows_of(base, common)
    theirs = _rows_of(treated, [places[documents[i]] for i in common])
    for what, here, there in (
        ("expected answer", mine.targets, theirs.targets),
        ("prompt", mine.inputs, theirs.inputs),
        ("unit", mine.units or (), theirs.units or ()),
    ):
        for i, (a, b) in enumerate(zip(here, there, strict=False)):
            if a and b and a != b:
                name = "/".join(filter(None, documents[common[i]]))
                raise InvalidInputError(
                    f"need the same {what} in both runs, document {name} has {a!r:.60} and {b!r:.60}; "
                    "compare runs on the same inputs"
                )
    return mine, theirs, left_out


def _rows_of(log: RunLog, rows: Sequence[int]) -> RunLog:
    def take(column: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(column[i] for i in rows)

    return RunLog(
        source=log.source,
        metric=log.metric,
        tasks=take(log.tasks),
        keys=take(log.keys),
        scores=take(log.scores),
        units=None if log.units is None else take(log.units),
        inputs=take(log.inputs),
        targets=take(log.targets),
    )


def _judge(
    base: RunLog,
    treated: RunLog,
    *,
    risk: float,
    confidence_level: float,
    score_range: tuple[float, float],
    left_out: int,
) -> Comparison:
    risk = check_real(risk, "risk", lower=0.0, upper=1.0, open_ends=True)
    confidence_level = check_real(confidence_level, "confidence_level", lower=0.0, upper=1.0, open_ends=True)
    low, high = (check_real(end, "score_range") for end in score_range)
    if not low < high:
        raise InvalidInputError(f"need score_range with lower < upper, got {score_range}")
    scores = np.array([base.scores, treated.scores])
    outside = np.argwhere((scores < low) | (scores > high))
    if outside.size:
        run, i = outside[0]
        raise InvalidInputError(
            f"need {base.metric} in [{low:g}, {high:g}], document {base.keys[i]} of the {_RUNS[run]} run has "
            f"{scores[run, i]:g}; declare the range (--score-range)"
        )
    scores = (scores - low) / (high - low)
    units = np.array(base.keys if base.units is None else base.units, dtype=object)
    if base.units is None:  # a document's name is unique within its task only
        units = np.array([f"{t}/{k}" for t, k in zip(base.tasks, base.keys, strict=True)], dtype=object)
    tasks = np.array(base.tasks, dtype=object)
    names = list(dict.fromkeys(base.tasks))
    parts = [("", np.ones(len(tasks), dtype=bool))]
    parts += [(name, tasks == name) for name in names] if len(names) > 1 else []
    found = [_task(name, scores[:, rows], units[rows], risk, confidence_level) for name, rows in parts]
    error = 1.0 - confidence_level
    overall = _with_verdict(found[0], found[0].p_certified <= error, found[0].p_refuted <= error, risk)
    certified, refuted = ([False] * len(found[1:]),) * 2
    if found[1:]:
        certified, refuted = (
            list(holm([getattr(task, name) for task in found[1:]], confidence_level=confidence_level).refuted)
            for name in ("p_certified", "p_refuted")
        )
    return Comparison(
        overall=overall,
        tasks=tuple(_with_verdict(t, c, r, risk) for t, c, r in zip(found[1:], certified, refuted, strict=True)),
        risk=risk,
        confidence_level=confidence_level,
        score_range=(low, high),
        base=base,
        treated=treated,
        left_out=left_out,
    )


def _task(name: str, scores: Array, units: npt.NDArray[Any], risk: float, level: float) -> TaskComparison:
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


def _stored_log(tree: dict[str, Any]) -> RunLog:
    fields: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in tree.items()}
    return RunLog(**fields)


def _with_verdict(task: TaskComparison, is_certified: bool, is_refuted: bool, risk: float) -> TaskComparison:
    verdict: Verdict = "certified" if is_certified else "refuted" if is_refuted else "undecided"
    if task.base_upper <= risk:
        verdict = "vacuous"
    return TaskComparison(**{**asdict(task), "verdict": verdict})


def _plural(n: int, word: str) -> str:
    return word if n == 1 else f"{word}s"
