"""A choice among plans: a view of `redundancy.risk` whose plans are plans."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from extraction.skip.plan import Plan
from extraction.skip.terms import parse_plan
from redundancy.certificates.certificate import RecheckReport
from redundancy.files.tabular import Tabular
from redundancy.risk import RiskControl
from redundancy.risk.choices import ChoiceRecord

__all__ = ["PlanChoice", "PlanTest"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanTest:
    """The test of one plan: its cost, chain, losses, p-value and level, and whether its risk is certified."""

    plan: Plan
    cost: float
    chain: str
    n_losses: int
    mean_loss: float
    p_value: float
    level: float
    is_tested: bool
    is_certified: bool


@dataclass(frozen=True, slots=True)
class PlanChoice(Tabular):
    """The cheapest certified plan, with all that is needed to check the choice again.

    Parameters
    ----------
    record : ChoiceRecord
        The risk control and what was declared about it; plans by their texts.
    """

    drawn_by = "loss_by_cost"
    record: ChoiceRecord

    def to_records(self) -> list[dict[str, Any]]:
        """One row per plan, with the text of the plan, from the mildest to the cheapest."""
        shared = {"risk": self.risk, "n_samples": self.n_samples}
        return [
            {**{name: getattr(test, name) for name in test.__dataclass_fields__}, "plan": str(test.plan), **shared}
            for test in self.tests
        ]

    @property
    def control(self) -> RiskControl:
        """The tests behind the choice."""
        return self.record.control

    @property
    def chosen(self) -> Plan:
        """The certified plan of least cost; the identity if none is certified, or none could fail."""
        return self._plan(self.record.chosen)

    @property
    def tests(self) -> tuple[PlanTest, ...]:
        """One test per plan, from the mildest to the cheapest."""
        rows = zip(self.control.tests, self.record.chains, self.control.losses.values, strict=True)
        return tuple(
            PlanTest(
                plan=self._plan(test.name),
                chain=chain,
                n_losses=int((losses > 0.0).sum()),
                is_tested=test.is_tested,
                **{name: getattr(test, name) for name in ("cost", "mean_loss", "p_value", "level", "is_certified")},
            )
            for test, chain, losses in rows
        )

    @property
    def chosen_test(self) -> PlanTest | None:
        """The test of the chosen plan; None for the identity."""
        name = self.control.chosen
        return None if name is None else next(test for test in self.tests if test.plan == self._plan(name))

    @property
    def risk(self) -> float:
        """Tolerated risk."""
        return self.control.risk

    @property
    def confidence_level(self) -> float:
        """Joint confidence level."""
        return self.control.confidence_level

    @property
    def loss(self) -> str:
        """What counts as a loss: "accuracy" or "answer"."""
        return self.record.loss

    @property
    def method(self) -> str:
        """How the tests share the error."""
        return self.record.method

    @property
    def sample_ids(self) -> tuple[str, ...]:
        """The samples, in the order of the stored losses."""
        return self.record.sample_ids

    @property
    def n_samples(self) -> int:
        """Samples that the choice rests on."""
        return self.control.n_samples

    @property
    def n_tested(self) -> int:
        """Plans that any of the error reached."""
        return self.control.n_tested

    @property
    def loss_upper(self) -> float:
        """What is certified of the chosen plan's risk: `risk`, or 0 for the unmodified model."""
        return 0.0 if self.control.chosen is None else self.risk

    @property
    def guarantee(self) -> str:
        """The statement as a sentence."""
        return self.record.guarantee

    @property
    def summary(self) -> str:
        """The guarantee, how good the unmodified model is, and what the choice is valid for."""
        return " ".join(filter(None, (self.guarantee, self.record.baseline, self.record.scope)))

    def __repr__(self) -> str:
        return (
            f"PlanChoice({str(self.chosen)!r}, risk={self.risk:g}, confidence_level={self.confidence_level:g}, "
            f"n_samples={self.n_samples}, n_tested={self.n_tested})"
        )

    def _plan(self, text: str) -> Plan:
        return parse_plan(text, grammar=self.record.grammar)

    def recheck(self) -> RecheckReport:
        """Repeat every test from the stored losses, and compare."""
        return self.record.recheck()

    def to_json(self) -> str:
        """Exact JSON with a digest."""
        return self.record.to_json()

    @classmethod
    def from_json(cls, text: str) -> PlanChoice:
        """Inverse of `to_json`; choices of release 0.1.0 are read, too.

        Raises
        ------
        StoreError
            If the text is not a plan choice, was altered, or states another sentence than its tests give.
        """
        return cls(ChoiceRecord.from_json(text))
