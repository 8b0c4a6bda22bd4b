"""Files of plan choices: a risk control with what was declared about it, and the files of release 0.1.0."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from redundancy.certificates.certificate import ArrayInput, RecheckReport
from redundancy.errors import InvalidInputError, StoreError
from redundancy.files.digested import check_sentence, reading, seal, unseal
from redundancy.files.plan_texts import plan_text
from redundancy.interval import text_down, text_up
from redundancy.risk.control import RiskControl, RiskTest
from redundancy.risk.graph import ErrorGraph
from redundancy.risk.losses import SALT, LossTable
from redundancy.risk.p_values import fewest_units, mean_interval
from redundancy.sampling import hash_order, unit_means

__all__ = ["METHODS", "OLD_SCHEMA", "SCHEMA", "ChoiceRecord", "choice_graph", "claim_of"]

SCHEMA = "skip-it/plan-choice/2"
OLD_SCHEMA = "skip-it/plan-choice/1"
IDENTITY = "identity"
METHODS = ("fixed_sequence", "bonferroni", "holm", "graph")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoiceRecord:
    """A choice among plans that are known by their texts: all that a report needs, and no model.

    Parameters
    ----------
    control : RiskControl
        The tests, with the plans' texts as names.
    loss : {"accuracy", "answer"}
        What counts as a loss.
    method : {"fixed_sequence", "bonferroni", "holm", "graph"}
        How the tests share the error.
    chains : tuple of str
        Chain of each test.
    sample_ids : tuple of str
        The samples, in the order of the stored losses.
    plain_scores : tuple of float, optional
        Scores of the unmodified model on the samples.
    is_soft : bool
        Whether scores may be fractions.
    grammar : int
        Version of the plans' text.
    about : mapping
        What the choice is bound to, as JSON: model, weights, data, declared numbers, earlier looks at the data.
    stated : str, optional
        The sentence of a file of release 0.1.0, which is kept as it was written.
    """

    control: RiskControl
    loss: str
    method: str
    chains: tuple[str, ...]
    sample_ids: tuple[str, ...]
    plain_scores: tuple[float, ...] | None = None
    is_soft: bool = False
    grammar: int = 1
    about: Mapping[str, Any] = field(default_factory=dict)
    stated: str | None = None

    @property
    def chosen(self) -> str:
        """Text of the chosen plan; "identity" if none is certified."""
        return self.control.chosen or IDENTITY

    @property
    def guarantee(self) -> str:
        """The statement as a sentence."""
        return self.control.guarantee if self.stated is None else self.stated

    @property
    def baseline(self) -> str:
        """How good the unmodified model is on these samples, without which a guarantee cannot be judged."""
        if self.plain_scores is None:
            return "The accuracy of the unmodified model is not known: the samples have no answers."
        mean, (low, high) = self._plain()
        level = text_down(self.control.confidence_level)
        what = "scores" if self.is_soft else "is right on"
        return (
            f"The unmodified model {what} {mean:.4g} of them on average, between {text_down(low, decimals=4)} and "
            f"{text_up(high, decimals=4)} with confidence {level}."
        )

    @property
    def scope(self) -> str:
        """What the choice is valid for, and what else bears on it; "" where nothing was recorded."""
        said = []
        model, weights = (self.about.get(name) for name in ("model", "weights"))
        if model or weights:
            mark = f" with weights of digest {str(weights).rpartition(':')[2][:16]}" if weights else ""
            said.append(f"Valid for the model {model or 'at hand'}{mark}.")
        left_out = self.about.get("unanswered") or []
        if left_out:
            some = ", ".join(map(repr, left_out[:3])) + (", ..." if len(left_out) > 3 else "")
            said.append(f"Left out for want of an answer: {len(left_out)} ({some}).")
        said += self._price()
        looks = self.about.get("earlier_looks") or []
        if looks:
            said.append(
                f"The same data served {len(looks)} choice{'' if len(looks) == 1 else 's'} before, the last on "
                f"{looks[-1].get('when', 'an unknown day')} at risk {looks[-1].get('risk', '?')}: whoever picks among "
                "them after looking has no joint guarantee."
            )
        return " ".join(said)

    def _price(self) -> list[str]:
        """What looking at any time costs against a single look at the end."""
        if self.control.kind != "betting_sequence":
            return []
        level = max((test.level for test in self.control.tests if test.is_tested), default=0.0)
        once, any_time = (
            fewest_units(self.control.risk, level, kind=kind, confidence_level=self.control.confidence_level)
            for kind in ("binomial", "betting_sequence")
        )
        unit = self.control.table.nouns[0]
        return [
            f"The price of looking at any time: a plan without a loss needs {any_time} {unit} where a single look at "
            f"the end needs {once}."
        ]

    def _plain(self) -> tuple[float, tuple[float, float]]:
        units = self.control.table.units or self.sample_ids
        means, names = unit_means(self.plain_scores or (), units)
        if self.control.kind == "betting_sequence":  # whoever may stop at will looks at this interval, too
            return float(means.mean()), mean_interval(means, self.control.confidence_level, kind="betting_sequence")
        kind = "binomial" if len(names) == len(self.sample_ids) and not self.is_soft else "betting"
        interval = mean_interval(means[hash_order(names, SALT)], self.control.confidence_level, kind=kind)
        return float(means.mean()), interval

    def recheck(self) -> RecheckReport:
        """Repeat every test from the stored losses, and compare."""
        report = self.control.recheck()
        problems = list(report.problems)
        names = [test.name for test in self.control.tests]
        try:
            if choice_graph(self.method, self.chains) != self.control.graph:
                problems.append(f"the graph of the tests is not that of the method {self.method!r}")
        except InvalidInputError as error:
            problems.append(str(error))
        if len(self.sample_ids) != self.control.n_samples or len(set(names)) != len(names):
            problems.append(f"there are {len(self.sample_ids)} samples and losses of {self.control.n_samples}")
        return RecheckReport(theorem=f"risk.{self.method}", problems=tuple(problems))

    def to_json(self) -> str:
        """Exact JSON with a digest; a choice of release 0.1.0 is written with the sentence of this one."""
        if self.stated is not None:
            return replace(self, stated=None).to_json()
        return seal(
            {
                "schema": SCHEMA,
                "grammar": self.grammar,
                "chosen": self.chosen,
                "control": self.control.to_dict(),
                "loss": self.loss,
                "method": self.method,
                "chains": list(self.chains),
                "sample_ids": list(self.sample_ids),
                "plain_scores": None if self.plain_scores is None else list(self.plain_scores),
                "is_soft": self.is_soft,
                "about": dict(self.about),
                "guarantee": self.guarantee,
                "baseline": self.baseline,
                "scope": self.scope,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> ChoiceRecord:
        """Inverse of `to_json`; files of release 0.1.0 are read, too.

        Raises
        ------
        StoreError
            If the text is not a plan choice, was altered, or states another sentence than its tests give.
        """
        body = unseal(text, SCHEMA, OLD_SCHEMA)
        if body["schema"] == OLD_SCHEMA:
            return _old(body)
        with reading(SCHEMA):
            scores = body["plain_scores"]
            record = cls(
                control=RiskControl.from_dict(body["control"]),
                chains=tuple(map(str, body["chains"])),
                sample_ids=tuple(map(str, body["sample_ids"])),
                plain_scores=None if scores is None else tuple(map(float, scores)),
                about=dict(body["about"]),
                is_soft=bool(body["is_soft"]),
                grammar=int(body["grammar"]),
                loss=str(body["loss"]),
                method=str(body["method"]),
            )
            stated = [body[name] for name in ("guarantee", "baseline", "scope")]
            chosen, follows = body["chosen"], [record.guarantee, record.baseline, record.scope]
        for one, other in zip(stated, follows, strict=True):
            check_sentence(one, other)
        _check_chosen(chosen, record)
        return record


def choice_graph(method: str, chains: Sequence[str]) -> ErrorGraph:
    """How the tests of a method share the error, in the order of `chains`.

    Raises
    ------
    InvalidInputError
        For an unknown method.
    """
    if method not in METHODS:
        raise InvalidInputError(f"need a method among {METHODS}, got {method!r}")
    if method == "bonferroni":
        return ErrorGraph.bonferroni(len(chains))
    if method == "holm":
        return ErrorGraph.holm(len(chains))
    return ErrorGraph.chains(list(chains), connected=method == "graph")


def claim_of(loss: str, *, is_soft: bool = False, answer_length: int | None = None) -> str:
    """What a certified plan does, in words, with "{risk}" where the number stands.

    Parameters
    ----------
    loss : {"accuracy", "answer"}
    is_soft : bool
        Whether what is lost may be a part of a score.
    answer_length : int, optional
        Tokens of an answer at most; 1 for its first token. None says nothing about it.
    """
    if loss == "accuracy":
        if is_soft:
            return "loses at most {risk} of the unmodified model's score, on average over inputs"
        return "loses a right answer of the unmodified model on at most {risk} of inputs"
    if answer_length is None:
        return "changes the answer on at most {risk} of inputs"
    if answer_length == 1:
        return "changes the first token of the answer on at most {risk} of inputs"
    return f"changes the greedy answer, compared up to {answer_length} tokens, on at most {{risk}} of inputs"


def _check_chosen(stated: str, record: ChoiceRecord) -> None:
    if stated != record.chosen:
        raise StoreError(f"need the plan that the stored tests choose, {record.chosen}, got {stated}")


def _old(body: dict[str, Any]) -> ChoiceRecord:
    """A choice of release 0.1.0: one 0/1 loss per sample, plans as trees, tests at the levels of its graph."""
    with reading(OLD_SCHEMA):
        tests = body["tests"]
        if any(set(test["losses"]) - {"0", "1"} for test in tests):
            raise ValueError("a loss is neither 0 nor 1")
        bits = np.array([[int(bit) for bit in test["losses"]] for test in tests], dtype=np.float64)
        chains, method = tuple(str(test["chain"]) for test in tests), str(body["method"])
        control = RiskControl(
            tests=tuple(
                RiskTest(
                    name=plan_text(test["plan"]),
                    cost=test["cost"],
                    mean_loss=float(row.mean()),
                    p_value=test["p_value"],
                    level=test["level"] if test["is_tested"] else 0.0,
                    is_certified=test["is_certified"],
                )
                for test, row in zip(tests, bits, strict=True)
            ),
            table=LossTable(values=ArrayInput(bits), loss_range=(0.0, 1.0), kind="binomial"),
            loss=str(body["loss"]),
            claim=claim_of(str(body["loss"])),
            risk=float(body["risk"]),
            confidence_level=float(body["confidence_level"]),
            procedure=method,
            graph=choice_graph(method, chains),
        )
        record = ChoiceRecord(
            control=control,
            loss=str(body["loss"]),
            method=method,
            chains=chains,
            sample_ids=tuple(map(str, body["sample_ids"])),
            stated=str(body["guarantee"]),
        )
        follows, chosen = _old_sentence(record), plan_text(body["chosen"])
    check_sentence(record.guarantee, follows)
    _check_chosen(chosen, record)
    return record


def _old_sentence(record: ChoiceRecord) -> str:
    """The sentence as release 0.1.0 wrote it."""
    control, n = record.control, record.control.n_samples
    plans = f"{control.n_tested} plan{'' if control.n_tested == 1 else 's'}"
    if control.chosen is None:
        levels = [test.level for test in control.tests if test.is_tested]
        fewest = fewest_units(control.risk, min(levels))
        hint = f"; at this risk no plan can be certified with fewer than {fewest} samples" if n < fewest else ""
        return (
            f"No plan is certified at risk {control.risk:g} and confidence {control.confidence_level:g} from {n} "
            f"samples ({plans} tested): the unmodified model is kept{hint}."
        )
    return (
        f"With confidence at least {control.confidence_level:g} over the draw of {n} i.i.d. samples, the plan "
        f"{control.chosen} {control.claim.replace('{risk}', f'{control.risk:g}')} from the same distribution "
        f"(exact binomial tests, {record.method.replace('_', ' ')}, {plans} tested)."
    )
