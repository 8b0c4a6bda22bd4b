"""The verdict on a treated run as one record: in words, as a table, and as JSON that computes itself again."""

from __future__ import annotations

import textwrap
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

import numpy as np

from redundancy.certificates.parts import RecheckReport
from redundancy.checks import check_real
from redundancy.comparison.judging import TaskComparison, judge_task, with_verdict
from redundancy.comparison.logs import RunLog
from redundancy.concentration.multiplicity import holm
from redundancy.errors import InvalidInputError
from redundancy.files.digested import check_sentence, reading, seal, unseal
from redundancy.files.tabular import Tabular
from redundancy.interval import text_down, text_level, text_up

__all__ = ["Comparison", "judge"]

SCHEMA = "skip-it/comparison/1"
_RUNS = ("base", "treated")


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
        percent = f"{_percent(self.risk, is_exceeded=o.verdict == 'refuted')} %"
        how = "exact binomial test" if o.test == "binomial" else "betting test"
        level = text_level(self.confidence_level)
        confidence = f"with confidence at least {level} over the draw of {n}"
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
                f"Undecided: {n} neither certify nor refute, at confidence {level}, that the treated "
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
            found = judge(
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
        again = judge(
            self.base,
            self.treated,
            risk=self.risk,
            confidence_level=self.confidence_level,
            score_range=self.score_range,
            left_out=self.left_out,
        )
        problems = () if again == self else ("the stored results are not those of the stored scores",)
        return RecheckReport(theorem=SCHEMA, problems=problems)


def judge(
    base: RunLog,
    treated: RunLog,
    *,
    risk: float,
    confidence_level: float,
    score_range: tuple[float, float],
    left_out: int,
) -> Comparison:
    """The verdict on two joined logs; see `redundancy.comparison.compare.compare` for the parameters."""
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
    found = [judge_task(name, scores[:, rows], units[rows], risk, confidence_level) for name, rows in parts]
    error = 1.0 - confidence_level
    overall = with_verdict(found[0], found[0].p_certified <= error, found[0].p_refuted <= error, risk)
    certified, refuted = ([False] * len(found[1:]),) * 2
    if found[1:]:
        certified, refuted = (
            list(holm([getattr(task, name) for task in found[1:]], confidence_level=confidence_level).refuted)
            for name in ("p_certified", "p_refuted")
        )
    return Comparison(
        overall=overall,
        tasks=tuple(with_verdict(t, c, r, risk) for t, c, r in zip(found[1:], certified, refuted, strict=True)),
        risk=risk,
        confidence_level=confidence_level,
        score_range=(low, high),
        base=base,
        treated=treated,
        left_out=left_out,
    )


def _stored_log(tree: dict[str, Any]) -> RunLog:
    fields: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in tree.items()}
    return RunLog(**fields)


def _percent(risk: float, *, is_exceeded: bool) -> str:
    """Per cent without loss of what a float of the risk says, rounded so that the sentence stays true."""
    shown = float(100 * Decimal(repr(risk)))
    return text_down(shown) if is_exceeded else text_up(shown)


def _plural(n: int, word: str) -> str:
    return word if n == 1 else f"{word}s"
