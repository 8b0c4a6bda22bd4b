"""Learn then Test: which of many plans have a risk of at most r, jointly, and which of those is cheapest."""
# Over 400 lines: the record and the procedure that its recheck repeats change together.

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from redundancy.certificates.certificate import ArrayInput, RecheckReport
from redundancy.checks import check_real
from redundancy.concentration.multiplicity import bonferroni
from redundancy.errors import InvalidInputError
from redundancy.files.digested import check_sentence, reading, seal, unseal
from redundancy.files.tabular import Tabular
from redundancy.interval import text_down, text_up
from redundancy.risk.graph import PROCEDURES, ErrorGraph, ordered_graph, sequentially_reject
from redundancy.risk.losses import SALT, LossTable
from redundancy.risk.p_values import betting_p_value, fewest_units, mean_upper, p_value

__all__ = ["PROCEDURES", "SCHEMA", "RiskControl", "RiskTest", "control_risk"]

SCHEMA = "skip-it/risk-control/2"
_OLD_SCHEMA = "skip-it/risk-control/1"  # release 0.1.0: no units, no groups, no ceiling, bets in the given order
_TESTS = {
    "binomial": "exact binomial tests",
    "betting": "betting tests",
    "betting_sequence": "betting tests that are valid at any stopping time",
}
_GIVEN_ORDER = ""  # salt of a record whose bets were placed in the order of the file


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskTest:
    """The test of one plan: its mean loss in the sample, p-value, level, and whether it is certified.

    Parameters
    ----------
    name : str
        Of the plan.
    cost : float
        What it costs; lower is preferred.
    mean_loss : float
        In the sample, a mean over units.
    p_value : float
        Of the hypothesis that the risk is too high; with groups, the largest over groups.
    level : float
        Error that reached the test.
    is_certified : bool
        Whether the hypothesis was rejected.
    """

    name: str
    cost: float
    mean_loss: float
    p_value: float
    level: float
    is_certified: bool

    @property
    def is_tested(self) -> bool:
        """Whether any of the error reached this plan."""
        return self.level > 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskControl(Tabular):
    """Plans with certified risk and the cheapest of them, with all that is needed to check it again.

    Made by `control_risk` or `AnytimeControl`.

    Parameters
    ----------
    tests : tuple of RiskTest
        From the mildest plan (highest cost) to the cheapest.
    table : LossTable
        Losses in the order of `tests`, with units, groups and the largest loss possible.
    loss : str
        What the loss is, for the sentence.
    claim : str
        What a certified plan does, with "{risk}" where the number stands.
    risk, confidence_level : float
        Every certified plan has a mean loss below `risk`, with at least this confidence jointly.
    procedure : str
        Name of the graph, or "graph" for the caller's own.
    graph : ErrorGraph
        In the order of `tests`.
    """

    drawn_by = "loss_by_cost"
    tests: tuple[RiskTest, ...]
    table: LossTable
    loss: str
    claim: str
    risk: float
    confidence_level: float
    procedure: str
    graph: ErrorGraph

    @property
    def losses(self) -> ArrayInput:
        """Losses of shape (n_plans, n_samples)."""
        return self.table.values

    @property
    def kind(self) -> str:
        """Kind of the p-values."""
        return self.table.kind

    @property
    def n_samples(self) -> int:
        """Samples that the statement rests on."""
        return self.table.n_samples

    @property
    def n_units(self) -> int:
        """Independent units that the statement rests on."""
        return self.table.n_units

    @property
    def n_tested(self) -> int:
        """Plans that any of the error reached."""
        return sum(test.is_tested for test in self.tests)

    @property
    def ceiling_upper(self) -> float | None:
        """Upper confidence bound of the largest mean loss that any plan could have; None if none was declared.

        With groups, the largest over groups.
        """
        if self.table.ceiling is None:
            return None
        return max(self._upper(self.table.ceiling_per_unit(g), self.confidence_level) for g in self.table.group_names)

    @property
    def is_vacuous(self) -> bool:
        """Whether no plan could fail: then a guarantee says nothing, and no plan is recommended."""
        upper = self.ceiling_upper
        return upper is not None and upper <= self.risk

    @property
    def certified(self) -> tuple[str, ...]:
        """Names of all certified plans: the statement holds for all of them at once."""
        return tuple(test.name for test in self.tests if test.is_certified)

    @property
    def chosen(self) -> str | None:
        """The certified plan of least cost; None if there is none, or if none could fail."""
        certified = [test for test in self.tests if test.is_certified]
        return None if self.is_vacuous or not certified else min(certified, key=lambda test: test.cost).name

    def risk_uppers(self) -> dict[str, float]:
        """Upper confidence bound of every plan's risk, all of them jointly at the confidence level.

        Because they hold for all plans at once whatever risk is tolerated, the risk may be chosen after looking at
        them. They spend an error of their own: beside the choice, this is a second statement.
        """
        level = bonferroni(self.confidence_level, len(self.tests))[0]
        rows = self._all_groups()
        return {test.name: self._upper(rows[k], level) for k, test in enumerate(self.tests)}

    def group_p_values(self, name: str) -> dict[str, float]:
        """P-value of one plan in every group."""
        k = [test.name for test in self.tests].index(name)
        return {
            group: _p(rows[k], self.risk, self.table, self.confidence_level) for group, rows in self.table.by_group()
        }

    @property
    def guarantee(self) -> str:
        """The statement as a sentence."""
        level, risk, draw = text_down(self.confidence_level), text_up(self.risk), self.table.draw
        plans = f"{self.n_tested} of {len(self.tests)} plan{'' if len(self.tests) == 1 else 's'} tested"
        how = f"{_TESTS[self.kind]}, {self.procedure.replace('_', ' ')}, {plans}"
        claim = self.claim.replace("{risk}", risk)
        groups = self.table.group_names
        if self.table.groups is not None:
            claim += f", in each of {len(groups)} groups ({', '.join(groups)})"
        if self.is_vacuous:
            return (
                f"Vacuous (V): with confidence at least {level} no plan could lose more than "
                f"{text_up(self.ceiling_upper or 0.0)}, the most that there is to lose, and {risk} is tolerated; a "
                f"guarantee would say nothing, and no plan is recommended ({draw})."
            )
        if self.chosen is None:
            return (
                f"No plan is certified at risk {risk} and confidence {level} from {draw} ({how}): the unmodified "
                f"model is kept; this is no evidence against the plans{self._hint()}."
            )
        others = len(self.certified) - 1
        rest = "" if not others else f"; so do {others} other plans at once" if others > 1 else "; so does 1 other plan"
        return (
            f"With confidence at least {level} over the draw of {draw}, the plan {self.chosen} {claim} from the same "
            f"distribution{rest} ({how})."
        )

    def recheck(self) -> RecheckReport:
        """Repeat every test from the stored losses, and compare."""
        theorem = f"risk.{self.procedure}"
        try:
            table = self.table
            if table.kind == "binomial" and len(set(table.units or ())) not in (0, table.n_samples):
                raise InvalidInputError("need one loss per unit for the binomial p-value")
            again = _tests(
                table,
                [test.name for test in self.tests],
                [test.cost for test in self.tests],
                self.graph,
                self.risk,
                self.confidence_level,
            )
        except (InvalidInputError, ValueError, IndexError) as error:
            return RecheckReport(theorem=theorem, problems=(f"the tests do not run: {error}",))
        problems = [
            f"the test of {old.name} gives {new}, stored is {old}"
            for old, new in zip(self.tests, again, strict=True)
            if old != new
        ]
        return RecheckReport(theorem=theorem, problems=tuple(problems))

    def __repr__(self) -> str:
        certified = sum(test.is_certified for test in self.tests)
        return (
            f"RiskControl({certified} of {len(self.tests)} certified, risk={self.risk:g}, "
            f"confidence_level={self.confidence_level:g}, procedure={self.procedure!r})"
        )

    def to_records(self) -> list[dict[str, Any]]:
        """One flat row per plan."""
        sizes = {"risk": self.risk, "n_samples": self.n_samples, "n_units": self.n_units}
        return [{**asdict(test), **sizes} for test in self.tests]

    def to_dict(self) -> dict[str, Any]:
        """JSON values, with the loss of every sample."""
        return {
            "schema": SCHEMA,
            "tests": [asdict(test) for test in self.tests],
            **self.table.to_dict(),
            "loss": self.loss,
            "claim": self.claim,
            "risk": self.risk,
            "confidence_level": self.confidence_level,
            "procedure": self.procedure,
            "weights": list(self.graph.weights),
            "transitions": [list(row) for row in self.graph.transitions],
            "guarantee": self.guarantee,
        }

    @classmethod
    def from_dict(cls, body: Mapping[str, Any]) -> RiskControl:
        """Inverse of `to_dict`; what release 0.1.0 wrote is read, too.

        Raises
        ------
        StoreError
            If the content is misshapen, or the stored sentence does not follow from the stored tests.
        """
        is_old = body.get("schema") == _OLD_SCHEMA
        with reading(SCHEMA):
            table = LossTable.from_dict({**body, "salt": _GIVEN_ORDER} if is_old else dict(body))
            control = cls(
                tests=tuple(RiskTest(**test) for test in body["tests"]),
                table=table,
                graph=ErrorGraph(tuple(body["weights"]), tuple(tuple(row) for row in body["transitions"])),
                loss=str(body["loss"]),
                claim=_claim(str(body["loss"])) if is_old else str(body["claim"]),
                **{name: body[name] for name in ("risk", "confidence_level", "procedure")},
            )
            stated, follows = body["guarantee"], _old_sentence(control) if is_old else control.guarantee
        check_sentence(stated, follows)
        return control

    def to_json(self) -> str:
        """Exact JSON with the per-sample losses and a digest."""
        return seal(self.to_dict())

    @classmethod
    def from_json(cls, text: str) -> RiskControl:
        """Inverse of `to_json`.

        Raises
        ------
        StoreError
            If the text is no such record or was altered.
        """
        return cls.from_dict(unseal(text, SCHEMA, _OLD_SCHEMA))

    def _all_groups(self) -> npt.NDArray[np.float64]:
        if self.table.groups is None:
            return self.table.per_unit()
        return replace(self.table, groups=None).per_unit()

    def _upper(self, values: npt.NDArray[np.float64] | None, level: float) -> float:
        if values is None or not values.size:
            return self.table.loss_range[1]
        # The ceiling of 0/1 losses may be a fraction.
        exact = self.kind == "binomial" and bool(np.isin(values, (0.0, 1.0)).all())
        kind = "betting" if self.kind == "binomial" and not exact else self.kind
        return mean_upper(values, level, loss_range=self.table.loss_range, kind=kind)

    def _hint(self) -> str:
        """From how many units on a plan could be certified at all, where these are fewer."""
        if self.table.loss_range != (0.0, 1.0) or not 0.0 < self.risk < 1.0:
            return ""
        level = min(test.level for test in self.tests if test.is_tested)
        fewest = fewest_units(self.risk, level, kind=self.kind, confidence_level=self.confidence_level)
        smallest = min(len(rows[0]) for _, rows in self.table.by_group())
        what = f"{self.table.nouns[0]} in each group" if self.table.groups else self.table.nouns[0]
        return f"; at this risk no plan can be certified with fewer than {fewest} {what}" if smallest < fewest else ""


def control_risk(
    losses: npt.ArrayLike,
    *,
    names: Sequence[str],
    costs: Sequence[float],
    risk: float,
    confidence_level: float = 0.95,
    loss: str = "loss",
    loss_range: tuple[float, float] = (0.0, 1.0),
    procedure: str | ErrorGraph = "fixed_sequence",
    chains: Sequence[str] | None = None,
    kind: str = "auto",
    units: Sequence[str] | None = None,
    groups: Sequence[str] | None = None,
    ceiling: npt.ArrayLike | None = None,
    nouns: tuple[str, str] = ("samples", "samples"),
    claim: str | None = None,
    salt: str = SALT,
) -> RiskControl:
    """Certify every plan that its samples allow, at one joint level, and choose the cheapest.

    It has more than eight parameters because each is a declaration that the guarantee rests on.

    Parameters
    ----------
    losses : array_like of shape (n_plans, n_samples)
        Loss of each plan on the same samples, which nothing about the plans was chosen with.
    names : sequence of str
        Unique.
    costs : sequence of float
        >= 0, fixed before the losses were seen; plans are tested from the highest cost to the lowest, ties in
        the given order.
    risk : float
        Tolerated mean loss, inside `loss_range`.
    confidence_level : float, default=0.95
        Holds jointly for all certified plans.
    loss : str
        What the loss is.
    loss_range : (float, float)
        (0, 1), or (-1, 1) for paired losses.
    procedure : {"fixed_sequence", "bonferroni", "holm", "fallback", "chains"} or ErrorGraph
        How the plans share the error: see `ErrorGraph`, whose rows are in the *given* order of plans. "fallback"
        starts with equal shares; "chains" needs `chains` and passes on the share of a chain that is certified to
        its end.
    chains : sequence of str, optional
        Chain of each plan, for "chains".
    kind : {"auto", "binomial", "betting", "betting_sequence"}
        P-value; see `p_value`. "betting" bets on units in the order of their salted hashes, "betting_sequence" in
        the order in which they came.
    units : sequence of str, optional
        Independent unit of each sample, such as its image; each sample is one by default. The risk is the mean over
        units of each unit's mean loss. Units of several samples are tested by betting.
    groups : sequence of str, optional
        Group of each sample, such as its task: a plan is certified if its risk is at most `risk` in *every* group.
        No correction is due: a plan passes only if all groups reject at the plan's level.
    ceiling : array_like of shape (n_samples,), optional
        The largest loss that any plan could have on each sample, as the score of the unmodified model where the loss
        is a lost score. If its mean is certainly at most `risk`, no plan could fail, and none is chosen.
    nouns : (str, str)
        What units and samples are, for the sentence.
    claim : str, optional
        What a certified plan does, with "{risk}" in place of the number.
    salt : str
        Of the order of the bets.

    Returns
    -------
    RiskControl
        With the cheapest certified plan, if there is one.

    Raises
    ------
    InvalidInputError
        For losses outside their range, NaN, names that repeat, or shapes that do not match.

    References
    ----------
    .. [1] Angelopoulos, Bates, Candes, Jordan and Lei (2021), Learn then Test, arXiv:2110.01052, section 2.
    .. [2] Berger (1982), Multiparameter hypothesis testing and acceptance sampling, Technometrics 24(4), for groups.

    Examples
    --------
    >>> mild, harsh = [0] * 300, [1] * 60 + [0] * 240
    >>> control_risk([mild, harsh], names=["mild", "harsh"], costs=[2.0, 1.0], risk=0.05).chosen
    'mild'
    """
    names = [str(name) for name in names]
    if len(set(names)) != len(names):
        raise InvalidInputError("need each name once, a plan that stands twice would be tested twice")
    table = LossTable.of(
        losses,
        names,
        loss_range=loss_range,
        kind=kind,
        units=units,
        groups=groups,
        ceiling=ceiling,
        nouns=nouns,
        salt=salt,
    )
    if len(costs) != len(names):
        raise InvalidInputError(f"need a cost for each of {len(names)} plans, got {len(costs)}")
    prices = [check_real(cost, "each cost", lower=0.0) for cost in costs]
    # Plain floats: numpy's own are no JSON.
    risk, confidence_level = check_real(risk, "risk"), check_real(confidence_level, "confidence_level")
    order = sorted(range(len(names)), key=lambda i: -prices[i])
    graph = ordered_graph(procedure, order, chains)
    table = replace(table, values=ArrayInput(table.values.values[order]))
    return RiskControl(
        tests=_tests(table, [names[i] for i in order], [prices[i] for i in order], graph, risk, confidence_level),
        table=table,
        loss=loss,
        claim=_claim(loss) if claim is None else claim,
        risk=risk,
        confidence_level=confidence_level,
        procedure=procedure if isinstance(procedure, str) else "graph",
        graph=graph,
    )


def _claim(loss: str) -> str:
    return f"has a mean {loss} of at most {{risk}} on inputs"


def _tests(
    table: LossTable, names: list[str], costs: list[float], graph: ErrorGraph, risk: float, confidence_level: float
) -> tuple[RiskTest, ...]:
    """Tests in the order of the rows of the table."""
    groups = [rows for _, rows in table.by_group()]
    p_values = [max(_p(rows[k], risk, table, confidence_level) for rows in groups) for k in range(len(names))]
    decisions = sequentially_reject(p_values, graph, confidence_level=confidence_level)
    means = replace(table, groups=None).per_unit().mean(axis=1)
    return tuple(
        RiskTest(
            name=name,
            cost=cost,
            mean_loss=float(mean),
            p_value=p,
            level=decision.level,
            is_certified=decision.is_rejected,
        )
        for name, cost, mean, p, decision in zip(names, costs, means, p_values, decisions, strict=True)
    )


def _p(values: npt.NDArray[np.float64], risk: float, table: LossTable, confidence_level: float) -> float:
    options: dict[str, Any] = {"loss_range": table.loss_range, "kind": table.kind, "confidence_level": confidence_level}
    if table.salt == _GIVEN_ORDER and table.kind != "binomial":
        return betting_p_value(values, check_real(risk, "risk"), **options)
    return p_value(values, risk, **options)


def _old_sentence(control: RiskControl) -> str:
    """The sentence as release 0.1.0 wrote it."""
    how = (
        f"{_TESTS[control.kind]}, {control.procedure.replace('_', ' ')}, {control.n_tested} of {len(control.tests)} "
        "plans tested"
    )
    if control.chosen is None:
        return (
            f"No plan is certified to have a mean {control.loss} of at most {control.risk:g} at confidence "
            f"{control.confidence_level:g} from {control.n_samples} samples ({how}); this is no evidence against them."
        )
    others = len(control.certified) - 1
    rest = f", and so do {others} milder or dearer plans jointly" if others else ""
    return (
        f"With confidence at least {control.confidence_level:g} over the draw of {control.n_samples} i.i.d. samples, "
        f"the plan {control.chosen} has a mean {control.loss} of at most {control.risk:g} on inputs from the same "
        f"distribution{rest} ({how})."
    )
