"""Learn then Test: which of many plans have a risk of at most r, jointly, and which of those is cheapest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from redundancy.certificates.certificate import ArrayInput, RecheckReport
from redundancy.certificates.digested import check_sentence, reading, seal, unseal
from redundancy.checks import as_floats, check_real, to_numpy
from redundancy.errors import InvalidInputError
from redundancy.files.tabular import Tabular
from redundancy.risk.graph import ErrorGraph, sequentially_reject
from redundancy.risk.p_values import check_losses, p_value, resolve_kind

__all__ = ["PROCEDURES", "RiskControl", "RiskTest", "control_risk"]

SCHEMA = "skip-it/risk-control/1"
PROCEDURES = ("fixed_sequence", "bonferroni", "holm", "fallback", "chains")
_TESTS = {
    "binomial": "exact binomial tests",
    "betting": "betting tests",
    "betting_sequence": "betting tests that are valid at any stopping time",
}


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
        In the sample.
    p_value : float
        Of the hypothesis that the risk is too high.
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
    losses : ArrayInput of shape (n_plans, n_samples)
        In the order of `tests`.
    loss : str
        What the loss is, for the sentence.
    loss_range : (float, float)
    risk, confidence_level : float
        Every certified plan has a mean loss below `risk`, with at least this confidence jointly.
    procedure : str
        Name of the graph, or "graph" for the caller's own.
    graph : ErrorGraph
        In the order of `tests`.
    kind : {"binomial", "betting", "betting_sequence"}
    """

    tests: tuple[RiskTest, ...]
    losses: ArrayInput
    loss: str
    loss_range: tuple[float, float]
    risk: float
    confidence_level: float
    procedure: str
    graph: ErrorGraph
    kind: str

    @property
    def n_samples(self) -> int:
        """Samples that the statement rests on."""
        return int(self.losses.values.shape[1])

    @property
    def certified(self) -> tuple[str, ...]:
        """Names of all certified plans: the statement holds for all of them at once."""
        return tuple(test.name for test in self.tests if test.is_certified)

    @property
    def chosen(self) -> str | None:
        """The certified plan of least cost; None if there is none."""
        certified = [test for test in self.tests if test.is_certified]
        return min(certified, key=lambda test: test.cost).name if certified else None

    @property
    def guarantee(self) -> str:
        """The statement as a sentence."""
        tested = sum(test.is_tested for test in self.tests)
        how = f"{_TESTS[self.kind]}, {self.procedure.replace('_', ' ')}, {tested} of {len(self.tests)} plans tested"
        if self.chosen is None:
            return (
                f"No plan is certified to have a mean {self.loss} of at most {self.risk:g} at confidence "
                f"{self.confidence_level:g} from {self.n_samples} samples ({how}); this is no evidence against them."
            )
        others = len(self.certified) - 1
        rest = f", and so do {others} milder or dearer plans jointly" if others else ""
        return (
            f"With confidence at least {self.confidence_level:g} over the draw of {self.n_samples} i.i.d. samples, the "
            f"plan {self.chosen} has a mean {self.loss} of at most {self.risk:g} on inputs from the same "
            f"distribution{rest} ({how})."
        )

    def recheck(self) -> RecheckReport:
        """Repeat every test from the stored losses, and compare."""
        theorem = f"risk.{self.procedure}"
        try:
            again = control_risk(
                self.losses.values,
                names=[test.name for test in self.tests],
                costs=[test.cost for test in self.tests],
                risk=self.risk,
                confidence_level=self.confidence_level,
                loss=self.loss,
                loss_range=self.loss_range,
                procedure=self.graph,
                kind=self.kind,
            )
        except InvalidInputError as error:
            return RecheckReport(theorem=theorem, problems=(f"the tests do not run: {error}",))
        problems = [
            f"the test of {old.name} gives {new}, stored is {old}"
            for old, new in zip(self.tests, again.tests, strict=True)
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
        return [{**_fields(test), "risk": self.risk, "n_samples": self.n_samples} for test in self.tests]

    def to_json(self) -> str:
        """Exact JSON with the per-sample losses and a digest."""
        return seal(
            {
                "schema": SCHEMA,
                "tests": [_fields(test) for test in self.tests],
                "losses": self.losses.values.tolist(),
                "loss": self.loss,
                "loss_range": list(self.loss_range),
                "risk": self.risk,
                "confidence_level": self.confidence_level,
                "procedure": self.procedure,
                "weights": list(self.graph.weights),
                "transitions": [list(row) for row in self.graph.transitions],
                "kind": self.kind,
                "guarantee": self.guarantee,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> RiskControl:
        """Inverse of `to_json`.

        Raises
        ------
        StoreError
            If the text is no such record or was altered.
        """
        body = unseal(text, SCHEMA)
        with reading(SCHEMA):
            low, high = body["loss_range"]
            control = cls(
                tests=tuple(RiskTest(**test) for test in body["tests"]),
                losses=ArrayInput(np.array(body["losses"], dtype=np.float64)),
                loss_range=(low, high),
                graph=ErrorGraph(tuple(body["weights"]), tuple(tuple(row) for row in body["transitions"])),
                **{name: body[name] for name in ("loss", "risk", "confidence_level", "procedure", "kind")},
            )
            stated, follows = body["guarantee"], control.guarantee
        check_sentence(stated, follows)
        return control


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
) -> RiskControl:
    """Certify every plan that its samples allow, at one joint level, and choose the cheapest.

    Parameters
    ----------
    losses : array_like of shape (n_plans, n_samples)
        Loss of each plan on the same i.i.d. samples, which nothing about the plans was chosen with.
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
        starts with equal shares; "chains" needs `chains` and passes on the share of a chain that ends well.
    chains : sequence of str, optional
        Chain of each plan, for "chains".
    kind : {"auto", "binomial", "betting", "betting_sequence"}
        P-value; see `p_value`.

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

    Examples
    --------
    >>> mild, harsh = [0] * 300, [1] * 60 + [0] * 240
    >>> control_risk([mild, harsh], names=["mild", "harsh"], costs=[2.0, 1.0], risk=0.05).chosen
    'mild'
    """
    as_floats(losses, "losses")  # for what it refuses; the data type is needed below, to tell binary losses
    given = to_numpy(losses, "losses")
    names = [str(name) for name in names]
    if given.ndim != 2 or len(given) != len(names) or not names:
        raise InvalidInputError(f"need losses of shape ({len(names)} plans, n_samples), got shape {given.shape}")
    if len(set(names)) != len(names):
        raise InvalidInputError("need each name once, a plan that stands twice would be tested twice")
    if len(costs) != len(names):
        raise InvalidInputError(f"need a cost for each of {len(names)} plans, got {len(costs)}")
    prices = [check_real(cost, "each cost", lower=0.0) for cost in costs]
    kind = resolve_kind(given, loss_range, kind)
    table = np.stack(
        [check_losses(row, loss_range, name=f"losses of {name}") for name, row in zip(names, given, strict=True)]
    )
    order = sorted(range(len(names)), key=lambda i: -prices[i])
    graph = _graph(procedure, order, chains)
    p_values = [
        p_value(table[i], risk, loss_range=loss_range, kind=kind, confidence_level=confidence_level) for i in order
    ]
    decisions = sequentially_reject(p_values, graph, confidence_level=confidence_level)
    tests = tuple(
        RiskTest(
            name=names[i],
            cost=prices[i],
            mean_loss=float(table[i].mean()),
            p_value=p,
            level=decision.level,
            is_certified=decision.is_rejected,
        )
        for i, p, decision in zip(order, p_values, decisions, strict=True)
    )
    return RiskControl(
        tests=tests,
        losses=ArrayInput(table[order]),
        loss=loss,
        loss_range=(float(loss_range[0]), float(loss_range[1])),
        risk=risk,
        confidence_level=confidence_level,
        procedure=procedure if isinstance(procedure, str) else "graph",
        graph=graph,
        kind=kind,
    )


def _graph(procedure: str | ErrorGraph, order: list[int], chains: Sequence[str] | None) -> ErrorGraph:
    """The graph of a procedure, with its rows in test order."""
    n = len(order)
    if (chains is not None) != (procedure == "chains"):
        raise InvalidInputError(f"need chains with procedure='chains' and only there, got procedure={procedure!r}")
    if isinstance(procedure, ErrorGraph):
        if len(procedure) != n:
            raise InvalidInputError(f"need a graph over {n} plans, got one over {len(procedure)}")
        weights = tuple(procedure.weights[i] for i in order)
        return ErrorGraph(weights, tuple(tuple(procedure.transitions[i][j] for j in order) for i in order))
    if procedure == "chains" and chains is not None:
        if len(chains) != n:
            raise InvalidInputError(f"need a chain for each of {n} plans, got {len(chains)}")
        return ErrorGraph.chains([chains[i] for i in order])
    if procedure == "fallback":
        return ErrorGraph.fallback([1.0 / n] * n)
    makers = {"fixed_sequence": ErrorGraph.chain, "bonferroni": ErrorGraph.bonferroni, "holm": ErrorGraph.holm}
    if procedure not in makers:
        raise InvalidInputError(f"need a procedure among {PROCEDURES} or an ErrorGraph, got {procedure!r}")
    return makers[procedure](n)


def _fields(test: RiskTest) -> dict[str, Any]:
    return {name: getattr(test, name) for name in ("name", "cost", "mean_loss", "p_value", "level", "is_certified")}
