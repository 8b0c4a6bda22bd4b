"""Choose a plan with a finite-sample guarantee, by `redundancy.risk`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from extraction.skip.plan import GRAMMAR, Plan
from extraction.study.choice import PlanChoice
from extraction.study.evaluation import PlanEvaluation
from redundancy.checks import as_floats, check_real
from redundancy.errors import InvalidInputError
from redundancy.risk import control_risk
from redundancy.risk.choices import METHODS, ChoiceRecord, choice_graph, claim_of

__all__ = ["check_settings", "choose_plan", "select_plan"]

LOSSES = ("accuracy", "answer")
NOUNS = ("images", "questions")


def select_plan(
    evaluations: Sequence[PlanEvaluation],
    *,
    costs: Sequence[float],
    loss: str = "accuracy",
    risk: float = 0.02,
    confidence_level: float = 0.95,
    method: str = "fixed_sequence",
    chains: Sequence[str] | None = None,
    by_family: bool = False,
    kind: str = "auto",
    about: Mapping[str, Any] | None = None,
) -> PlanChoice:
    """Choose the cheapest evaluated plan whose risk is certified; see `choose_plan`.

    More than eight parameters, since each is a declaration that the guarantee rests on.

    Parameters
    ----------
    evaluations : sequence of PlanEvaluation
        All on the same samples, which nothing else about the plans was chosen with.
    costs : sequence of float
        Predicted cost of each plan, fixed before the losses were seen, as ``1 / flop_speedup(...)``.
    loss : {"accuracy", "answer"}
        "accuracy": what the plan loses of the unmodified model's score; "answer": the answer changes. Samples without
        an answer take no part in "accuracy", and are named.
    risk, confidence_level, method, chains, kind, about
        As in `choose_plan`.
    by_family : bool, default=False
        Control the risk in every family of questions at once.

    Returns
    -------
    PlanChoice
        The unmodified model if nothing can be certified.

    Raises
    ------
    InvalidInputError
        If the evaluations are not of the same samples, or none has an answer where answers are needed.
    """
    if not evaluations:
        raise InvalidInputError("need at least one evaluated plan, got none")
    first = evaluations[0]
    if any(e.sample_ids != first.sample_ids or e.units != first.units for e in evaluations):
        raise InvalidInputError("need all plans evaluated on the same samples in the same order")
    check_settings(loss=loss, risk=risk, confidence_level=confidence_level, method=method)
    losses = [e.losses(loss) for e in evaluations]
    kept = np.flatnonzero(first.answered).tolist() if loss == "accuracy" else list(range(first.n_samples))
    is_soft = first.is_soft and loss == "accuracy"

    def of(values: Sequence[str] | None) -> list[str] | None:
        return None if values is None else [values[k] for k in kept]

    if by_family and not any(first.families or ()):
        raise InvalidInputError("need samples with a family to control the risk by task, got none; add the field")
    unanswered = [first.sample_ids[k] for k in np.flatnonzero(~first.answered)] if first.has_answers else []
    known = bool(first.answered[kept].all()) and first.has_answers
    return choose_plan(
        [e.plan for e in evaluations],
        [np.asarray(row)[kept].astype(np.float64 if is_soft else np.int64) for row in losses],
        costs=costs,
        sample_ids=[first.sample_ids[k] for k in kept],
        loss=loss,
        risk=risk,
        confidence_level=confidence_level,
        method=method,
        chains=chains,
        units=of(first.units),
        groups=of(first.families) if by_family else None,
        plain_scores=first.plain_sample_scores[kept] if known else None,
        is_soft=is_soft,
        answer_length=first.answer_length,
        kind=kind,
        about={**(about or {}), **({"unanswered": unanswered} if unanswered else {})},
    )


def choose_plan(
    plans: Sequence[Plan],
    losses: Sequence[npt.ArrayLike],
    *,
    costs: Sequence[float],
    sample_ids: Sequence[str],
    loss: str = "accuracy",
    risk: float = 0.02,
    confidence_level: float = 0.95,
    method: str = "fixed_sequence",
    chains: Sequence[str] | None = None,
    units: Sequence[str] | None = None,
    groups: Sequence[str] | None = None,
    plain_scores: npt.ArrayLike | None = None,
    is_soft: bool = False,
    answer_length: int | None = None,
    kind: str = "auto",
    about: Mapping[str, Any] | None = None,
) -> PlanChoice:
    r"""Learn then Test: certify what the losses allow at one joint level, and choose the cheapest.

    A plan whose risk exceeds r loses at most k of n i.i.d. samples with probability at most
    ``binom.cdf(k, n, r)``: that is the p-value of 0/1 losses, one per unit; all others are tested by betting.
    Fixed-sequence testing goes through a chain from the mildest plan (highest cost) to the cheapest, each at the
    chain's level, and stops at the first that is not rejected. Several chains (as late entries and exits) share the
    error equally, so one that stops early does not stop the others; "graph" also hands the share of a chain that is
    certified to its end on to the others. Bonferroni tests every plan at an equal share, Holm hands the shares of
    certified plans on to the rest. Each parameter is a declaration that the guarantee rests on, hence their number.
    More than eight parameters, since each is a declaration that the guarantee rests on.

    Parameters
    ----------
    plans : sequence of Plan
        The family, each plan once.
    losses : sequence of array-like of shape (n_samples,)
        Losses of each plan on the same samples: 0 or 1, or in [0, 1] with `is_soft`.
    costs : sequence of float
        Cost of each plan, > 0, fixed before the losses were seen; equal costs keep the given order.
    sample_ids : sequence of str
        Unique names of the samples.
    loss : {"accuracy", "answer"}
        What the losses mean, for the sentence.
    risk : float, default=0.02
        r in (0, 1), the tolerated risk.
    confidence_level : float, default=0.95
        Holds jointly for all certified plans.
    method : {"fixed_sequence", "bonferroni", "holm", "graph"}
        How the tests share the error.
    chains : sequence of str, optional
        Chain of each plan; one chain by default.
    units : sequence of str, optional
        Independent unit of each sample, such as its image; each sample is one by default.
    groups : sequence of str, optional
        Group of each sample: the risk is then at most r in every group.
    plain_scores : array_like of shape (n_samples,), optional
        Scores of the unmodified model. With "accuracy" no plan can lose more: if that is certainly at most r, the
        guarantee is vacuous and no plan is chosen.
    is_soft : bool, default=False
        Whether losses may be fractions.
    answer_length : int, optional
        Tokens of an answer at most, for the sentence of "answer".
    kind : {"auto", "betting_sequence"}
        "betting_sequence" stays valid if one looks after every unit, in the order of the samples.
    about : mapping, optional
        What else belongs to the choice, as JSON: the model, its weights, the data.

    Returns
    -------
    PlanChoice
        `chosen` is the certified plan of least cost, or the identity, which loses nothing.

    Raises
    ------
    InvalidInputError
        If plans, losses, costs and samples do not fit each other, or a number is outside its range.

    References
    ----------
    .. [1] Angelopoulos, Bates, Candes, Jordan and Lei (2021), Learn then Test, arXiv:2110.01052, sections 2, 3.

    Examples
    --------
    >>> from extraction.skip import late_entry
    >>> ids = [str(i) for i in range(200)]
    >>> none, many = [0] * 200, [1] * 100 + [0] * 100
    >>> choice = choose_plan([late_entry(1), late_entry(2)], [none, many], costs=[0.9, 0.8], sample_ids=ids)
    >>> choice.chosen, bool(choice.recheck())
    (Plan(late_entry(1)), True)
    """
    check_settings(loss=loss, risk=risk, confidence_level=confidence_level, method=method)
    names = ["all"] * len(plans) if chains is None else [str(c) for c in chains]
    _check(plans, losses, costs, sample_ids, names)
    rows = [_row(row, len(sample_ids), plan, is_soft=is_soft) for row, plan in zip(losses, plans, strict=True)]
    order = sorted(range(len(plans)), key=lambda i: -float(costs[i]))
    ordered = tuple(names[i] for i in order)
    scores = None if plain_scores is None else as_floats(plain_scores, "plain_scores")
    control = control_risk(
        np.stack([rows[i] for i in order]),
        names=[str(plans[i]) for i in order],
        costs=[float(costs[i]) for i in order],
        risk=risk,
        confidence_level=confidence_level,
        loss=loss,
        procedure=choice_graph(method, ordered),
        kind=kind,
        units=units,
        groups=groups,
        ceiling=scores if loss == "accuracy" else None,
        nouns=("samples", "samples") if units is None else NOUNS,
        claim=claim_of(loss, is_soft=is_soft, answer_length=answer_length),
    )
    record = ChoiceRecord(
        control=replace(control, procedure=method),
        loss=loss,
        method=method,
        chains=ordered,
        sample_ids=tuple(str(i) for i in sample_ids),
        plain_scores=None if scores is None else tuple(scores.tolist()),
        is_soft=is_soft,
        grammar=GRAMMAR,
        about=dict(about or {}),
    )
    return PlanChoice(record)


def check_settings(*, loss: str, risk: float, confidence_level: float, method: str) -> None:
    """Refuse settings of `choose_plan` that it would refuse, before anything has run.

    Raises
    ------
    InvalidInputError
        If one is out of its range.
    """
    if method not in METHODS:
        raise InvalidInputError(f"need a method among {METHODS}, got {method!r}")
    if loss not in LOSSES:
        raise InvalidInputError(f"need a loss among {LOSSES}, got {loss!r}")
    check_real(risk, "risk", lower=0.0, upper=1.0, open_ends=True)
    check_real(confidence_level, "confidence_level", lower=0.0, upper=1.0, open_ends=True)


def _check(
    plans: Sequence[Plan],
    losses: Sequence[npt.ArrayLike],
    costs: Sequence[float],
    ids: Sequence[str],
    chains: Sequence[str],
) -> None:
    if not plans:
        raise InvalidInputError("need at least one plan to choose from, got none")
    if len(set(plans)) != len(plans):
        raise InvalidInputError("need each plan once, a plan that stands twice would be tested twice")
    for name, values in (("cost", costs), ("chain", chains)):
        if len(values) != len(plans):
            raise InvalidInputError(f"need a {name} for each of {len(plans)} plans, got {len(values)}")
    if len(losses) != len(plans):
        raise InvalidInputError(f"need losses for each of {len(plans)} plans, got {len(losses)}")
    if not len(ids) or len({str(i) for i in ids}) != len(ids):
        raise InvalidInputError(f"need at least one sample and unique sample ids, got {len(ids)} ids")


def _row(losses: npt.ArrayLike, n: int, plan: Plan, *, is_soft: bool) -> npt.NDArray[Any]:
    values = np.asarray(losses)
    if is_soft and values.shape == (n,):
        return values.astype(np.float64)
    if values.shape != (n,) or not np.isin(values, (0, 1)).all():
        raise InvalidInputError(f"need {n} losses of 0 or 1 for the plan {plan}, got an array of shape {values.shape}")
    return values.astype(np.int64)
