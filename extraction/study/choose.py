"""Choose a plan with a finite-sample guarantee: exact tests of 0/1 losses in an order declared beforehand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import beta

from extraction.skip.plan import GRAMMAR, Plan
from extraction.skip.terms import parse_plan
from extraction.study.evaluation import PlanEvaluation
from redundancy.certificates.certificate import RecheckReport
from redundancy.certificates.digested import check_sentence, reading, seal, unseal
from redundancy.checks import check_real
from redundancy.errors import InvalidInputError
from redundancy.risk import Decision, ErrorGraph, p_value, sequentially_reject

__all__ = ["PlanChoice", "PlanTest", "check_settings", "choose_plan", "select_plan"]

SCHEMA = "skip-it/plan-choice/1"
_METHODS = ("fixed_sequence", "bonferroni", "holm", "graph")
_LOSSES = {"accuracy": "loses a right answer of the unmodified model on", "answer": "changes the answer on"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanTest:
    """The test of one plan.

    Parameters
    ----------
    plan : Plan
        What was tested.
    cost : float
        Its declared cost; smaller is faster.
    chain : str
        The sequence it was tested in.
    losses : str
        One "0" or "1" per sample.
    p_value : float
        Probability of as few losses or fewer if the plan's risk were the tolerated one.
    level : float
        Significance level of the test.
    loss_upper : float
        Exact upper confidence bound of this plan's risk, at 1 - `level`, for this plan taken alone.
    is_tested : bool
        Whether the sequence came as far as this plan.
    is_certified : bool
        Whether its risk is certified to be at most the tolerated one.
    """

    plan: Plan
    cost: float
    chain: str
    losses: str
    p_value: float
    level: float
    loss_upper: float
    is_tested: bool
    is_certified: bool

    @property
    def n_losses(self) -> int:
        """Samples with a loss."""
        return self.losses.count("1")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanChoice:
    """The cheapest certified plan, with all that is needed to check the choice again.

    Parameters
    ----------
    chosen : Plan
        The identity if no plan was certified.
    risk, confidence_level : float
        Every certified plan has a risk of at most `risk`, with at least this confidence jointly.
    loss : {"accuracy", "answer"}
        What counts as a loss.
    method : {"fixed_sequence", "bonferroni", "holm", "graph"}
        How the tests share the error.
    sample_ids : tuple of str
        The samples, in the order of the stored losses.
    tests : tuple of PlanTest
        In the declared order.
    """

    chosen: Plan
    risk: float
    confidence_level: float
    loss: str
    method: str
    sample_ids: tuple[str, ...]
    tests: tuple[PlanTest, ...]

    def __repr__(self) -> str:
        return (
            f"PlanChoice({str(self.chosen)!r}, risk={self.risk:g}, confidence_level={self.confidence_level:g}, "
            f"n_samples={self.n_samples}, n_tested={self.n_tested})"
        )

    @property
    def n_samples(self) -> int:
        """Samples that the choice rests on."""
        return len(self.sample_ids)

    @property
    def n_tested(self) -> int:
        """Plans that were tested before their sequence stopped."""
        return sum(test.is_tested for test in self.tests)

    @property
    def chosen_test(self) -> PlanTest | None:
        """The test of the chosen plan; None for the identity."""
        return next((t for t in self.tests if t.is_certified and t.plan == self.chosen), None)

    @property
    def loss_upper(self) -> float:
        """What is certified of the chosen plan's risk: `risk`, or 0 for the unmodified model.

        The `PlanTest.loss_upper` of a plan that was chosen by looking is no bound of its risk.
        """
        return 0.0 if self.chosen_test is None else self.risk

    @property
    def guarantee(self) -> str:
        """The statement as a sentence."""
        n, tested = self.n_samples, self.n_tested
        plans = f"{tested} plan{'' if tested == 1 else 's'}"
        if self.chosen_test is None:
            fewest = _fewest_samples(self.risk, min(t.level for t in self.tests if t.level > 0.0))
            hint = f"; at this risk no plan can be certified with fewer than {fewest} samples" if n < fewest else ""
            return (
                f"No plan is certified at risk {self.risk:g} and confidence {self.confidence_level:g} from {n} samples "
                f"({plans} tested): the unmodified model is kept{hint}."
            )
        return (
            f"With confidence at least {self.confidence_level:g} over the draw of {n} i.i.d. samples, the plan "
            f"{self.chosen} {_LOSSES[self.loss]} at most {self.risk:g} of inputs from the same distribution "
            f"(exact binomial tests, {self.method.replace('_', ' ')}, {plans} tested)."
        )

    def recheck(self) -> RecheckReport:
        """Repeat every test from the stored losses, and compare."""
        try:
            again = choose_plan(
                [test.plan for test in self.tests],
                [[int(bit) for bit in test.losses] for test in self.tests],
                costs=[test.cost for test in self.tests],
                sample_ids=self.sample_ids,
                loss=self.loss,
                risk=self.risk,
                confidence_level=self.confidence_level,
                method=self.method,
                chains=[test.chain for test in self.tests],
            )
        except (InvalidInputError, ValueError) as error:
            return RecheckReport(theorem=f"risk.{self.method}", problems=(f"the tests do not run: {error}",))
        problems = [
            f"the test of {old.plan} gives {new}, stored is {old}"
            for old, new in zip(self.tests, again.tests, strict=True)
            if old != new
        ]
        if again.chosen != self.chosen:
            problems.append(f"the choice is {again.chosen}, stored is {self.chosen}")
        return RecheckReport(theorem=f"risk.{self.method}", problems=tuple(problems))

    def to_json(self) -> str:
        """Exact JSON with a digest."""
        names = ("cost", "chain", "losses", "p_value", "level", "loss_upper", "is_tested", "is_certified")
        tests = [{"plan": str(t.plan), **{name: getattr(t, name) for name in names}} for t in self.tests]
        return seal(
            {
                "schema": SCHEMA,
                "grammar": GRAMMAR,
                "chosen": str(self.chosen),
                "risk": self.risk,
                "confidence_level": self.confidence_level,
                "loss": self.loss,
                "method": self.method,
                "sample_ids": list(self.sample_ids),
                "tests": tests,
                "guarantee": self.guarantee,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> PlanChoice:
        """Inverse of `to_json`.

        Raises
        ------
        StoreError
            If the text is not a plan choice, was altered, or states another sentence than its tests give.
        """
        body = unseal(text, SCHEMA)
        with reading(SCHEMA):
            grammar = int(body.get("grammar", 1))
            tests = tuple(
                PlanTest(**{**test, "plan": parse_plan(test["plan"], grammar=grammar)}) for test in body["tests"]
            )
            names = ("risk", "confidence_level", "loss", "method")
            choice = cls(
                chosen=parse_plan(body["chosen"], grammar=grammar),
                sample_ids=tuple(body["sample_ids"]),
                tests=tests,
                **{name: body[name] for name in names},
            )
            stated, follows = body["guarantee"], choice.guarantee
        check_sentence(stated, follows)
        return choice


def select_plan(
    evaluations: Sequence[PlanEvaluation],
    *,
    costs: Sequence[float],
    loss: str = "accuracy",
    risk: float = 0.02,
    confidence_level: float = 0.95,
    method: str = "fixed_sequence",
    chains: Sequence[str] | None = None,
) -> PlanChoice:
    """Choose the cheapest evaluated plan whose risk is certified; see `choose_plan`.

    Parameters
    ----------
    evaluations : sequence of PlanEvaluation
        All on the same samples, which nothing else about the plans was chosen with.
    costs : sequence of float
        Predicted cost of each plan, fixed before the losses were seen, as ``1 / flop_speedup(...)``.
    loss : {"accuracy", "answer"}
        "accuracy": the unmodified model is right and the plan wrong; "answer": the answer changes.
    risk, confidence_level, method, chains
        As in `choose_plan`.

    Returns
    -------
    PlanChoice
        The unmodified model if nothing can be certified.

    Raises
    ------
    InvalidInputError
        If the evaluations are not of the same samples.
    """
    if not evaluations:
        raise InvalidInputError("need at least one evaluated plan, got none")
    ids = evaluations[0].sample_ids
    if any(e.sample_ids != ids for e in evaluations):
        raise InvalidInputError("need all plans evaluated on the same samples in the same order")
    return choose_plan(
        [e.plan for e in evaluations],
        [e.losses(loss) for e in evaluations],
        costs=costs,
        sample_ids=ids,
        loss=loss,
        risk=risk,
        confidence_level=confidence_level,
        method=method,
        chains=chains,
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
) -> PlanChoice:
    r"""Learn then Test with exact binomial p-values.

    A plan whose risk exceeds r loses at most k of n i.i.d. samples with probability at most
    ``binom.cdf(k, n, r)``: that is the p-value. Fixed-sequence testing goes through a chain from the mildest
    plan (highest cost) to the cheapest, each at the chain's level, and stops at the first that is not
    rejected. Several chains (as late entries and exits) share the error equally, so one that stops early does
    not stop the others; "graph" also hands the share of a chain that is certified to its end on to the others.
    Bonferroni tests every plan at an equal share, Holm hands the shares of certified plans on to the rest.
    Losses other than 0/1, graphs of one's own and stopping at any time: `redundancy.risk`.

    Parameters
    ----------
    plans : sequence of Plan
        The family, each plan once.
    losses : sequence of array-like of shape (n_samples,)
        0/1 losses of each plan on the same samples.
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
    _check(plans, costs, sample_ids)
    check_settings(loss=loss, risk=risk, confidence_level=confidence_level, method=method)
    delta = 1.0 - confidence_level
    names = ["all"] * len(plans) if chains is None else [str(c) for c in chains]
    if len(names) != len(plans):
        raise InvalidInputError(f"need a chain for each of {len(plans)} plans, got {len(names)}")
    if len(losses) != len(plans):
        raise InvalidInputError(f"need losses for each of {len(plans)} plans, got {len(losses)}")
    n = len(sample_ids)
    order = sorted(range(len(plans)), key=lambda i: -float(costs[i]))
    bits = [_bits(losses[i], n, plans[i]) for i in order]
    p_values = [p_value(_integers(b), risk, kind="binomial") for b in bits]
    decisions = _decide(p_values, [names[i] for i in order], method, confidence_level)
    # A plan of a fixed sequence that was not reached shows the level that it would have been tested at.
    sequence_level = delta / len(set(names))
    tests = []
    for i, b, p, decision in zip(order, bits, p_values, decisions, strict=True):
        level = sequence_level if method == "fixed_sequence" else decision.level
        tests.append(
            PlanTest(
                plan=plans[i],
                cost=float(costs[i]),
                chain=names[i],
                losses=b,
                p_value=p,
                level=level,
                loss_upper=_upper(b.count("1"), n, level),
                is_tested=decision.is_tested,
                is_certified=decision.is_rejected,
            )
        )
    certified_tests = [test for test in tests if test.is_certified]
    chosen = min(certified_tests, key=lambda test: test.cost).plan if certified_tests else Plan()
    return PlanChoice(
        chosen=chosen,
        risk=risk,
        confidence_level=confidence_level,
        loss=loss,
        method=method,
        sample_ids=tuple(str(i) for i in sample_ids),
        tests=tuple(tests),
    )


def check_settings(*, loss: str, risk: float, confidence_level: float, method: str) -> None:
    """Refuse settings of `choose_plan` that it would refuse, before anything has run.

    Raises
    ------
    InvalidInputError
        If one is out of its range.
    """
    if method not in _METHODS:
        raise InvalidInputError(f"need a method among {_METHODS}, got {method!r}")
    if loss not in _LOSSES:
        raise InvalidInputError(f"need a loss among {tuple(_LOSSES)}, got {loss!r}")
    check_real(risk, "risk", lower=0.0, upper=1.0, open_ends=True)
    check_real(confidence_level, "confidence_level", lower=0.0, upper=1.0, open_ends=True)


def _check(plans: Sequence[Plan], costs: Sequence[float], ids: Sequence[str]) -> None:
    if not plans:
        raise InvalidInputError("need at least one plan to choose from, got none")
    if len(set(plans)) != len(plans):
        raise InvalidInputError("need each plan once, a plan that stands twice would be tested twice")
    if len(costs) != len(plans):
        raise InvalidInputError(f"need a cost for each of {len(plans)} plans, got {len(costs)}")
    for cost in costs:
        check_real(cost, "each cost", lower=0.0)
    if not len(ids) or len({str(i) for i in ids}) != len(ids):
        raise InvalidInputError(f"need at least one sample and unique sample ids, got {len(ids)} ids")


def _decide(p_values: list[float], chains: list[str], method: str, confidence_level: float) -> tuple[Decision, ...]:
    """Outcome of each plan, in test order."""
    graphs = {
        "fixed_sequence": lambda: ErrorGraph.chains(chains, connected=False),
        "graph": lambda: ErrorGraph.chains(chains),
        "bonferroni": lambda: ErrorGraph.bonferroni(len(chains)),
        "holm": lambda: ErrorGraph.holm(len(chains)),
    }
    return sequentially_reject(p_values, graphs[method](), confidence_level=confidence_level)


def _integers(bits: str) -> npt.NDArray[np.int64]:
    return np.array([int(bit) for bit in bits], dtype=np.int64)


def _bits(losses: npt.ArrayLike, n: int, plan: Plan) -> str:
    values = np.asarray(losses)
    if values.shape != (n,) or not np.isin(values, (0, 1)).all():
        raise InvalidInputError(f"need {n} losses of 0 or 1 for the plan {plan}, got an array of shape {values.shape}")
    return "".join("1" if value else "0" for value in values)


def _upper(k: int, n: int, delta: float) -> float:
    """Clopper-Pearson upper bound at level 1 - delta."""
    return 1.0 if k == n else float(beta.ppf(1.0 - delta, k + 1, n - k))


def _fewest_samples(risk: float, level: float) -> int:
    """Samples from which a plan without a loss is certified: (1 - risk)^n <= level."""
    return int(np.ceil(np.log(level) / np.log1p(-risk)))
