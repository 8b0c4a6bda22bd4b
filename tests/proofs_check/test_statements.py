"""Every checkable statement holds exactly on drawn laws and on its extremal families; every false one is broken."""

from dataclasses import replace
from fractions import Fraction

import pytest

from proofs_check.extremal import FAMILIES, family
from proofs_check.pool import random_laws
from proofs_check.refute import candidates, refute, size_of
from proofs_check.rooms import gather
from proofs_check.statements import ASSUMPTIONS, add_assumption, all_statements, statements_of
from proofs_check.testing import attained, coherent, holds
from redundancy.bounds.ledger import theorems

STATEMENTS = all_statements()

F = Fraction
TRUE = [s for s in STATEMENTS if s.true]
FALSE = [s for s in STATEMENTS if not s.true]
# Statements whose constants are suprema or not sharp: the ratio that their own families reach.
NOT_ATTAINED = {
    "lipschitz.printed_upper": 0.98,
    "lipschitz.probe_errors_cap": 0.99,
    "plug_in.printed_upper [with F]": 0.99,
    "mismatch.coupling_upper [previous - next - task]": 0.99,
    "mismatch.coupling_upper [next - previous - task]": 0.99,
    "mismatch.mismatch_upper": 0.99,
    "mismatch.mismatch_upper_of_diameter [scalar or one-hot]": 0.99,
    "pinsker.free_information_upper": 0.999,
    "performance_gap.performance_gap_upper [information]": 0.999,
    "performance_gap.performance_gap_upper [unique information]": 0.999,
    "pinsker.chain_information_upper [previous - next - task]": 0.999,
    "pinsker.chain_information_upper [next - previous - task]": 0.999,
}
# Constants that are known not to be sharp, or of bounds that hold at any sample size.
LOOSE = (
    "plug_in.printed_upper",
    "pinsker.printed_upper",
    "mismatch.mismatch_upper_of_diameter [any task]",
    "mismatch.mismatch_upper_of_diameter [kappa]",
)
SAMPLED = ("concentration.", "laws.", "implications.given")


@pytest.mark.parametrize("statement", TRUE, ids=lambda s: s.name)
def test_true_statements_hold_on_drawn_laws(statement):
    holds(statement, max_examples=20)


@pytest.mark.slow
@pytest.mark.parametrize("statement", TRUE, ids=lambda s: s.name)
def test_true_statements_hold_on_many_drawn_laws(statement):
    holds(statement, max_examples=1000)


@pytest.mark.parametrize("statement", TRUE, ids=lambda s: s.name)
def test_true_statements_hold_on_every_family_that_they_apply_to(statement):
    """Not only on the families chosen for them."""
    laws = [law for name in FAMILIES for law in family(name) if len(law.masses) < 50 and law.extra.get("n", 0) < 20]
    verdicts = [statement.check(law) for law in laws]
    assert any(v.applies for v in verdicts)
    assert not [str(v) for v in verdicts if v.broken]


@pytest.mark.parametrize("statement", FALSE, ids=lambda s: s.name)
def test_false_statements_are_broken_by_a_small_exact_law(statement):
    found = refute(statement)
    assert found is not None
    assert found.verdict.broken
    assert statement.applies(found.law)
    assert size_of(found.law)[0] <= 8
    assert all(isinstance(p, Fraction) for p in found.law.masses.values())


@pytest.mark.parametrize(
    "statement", [s for s in TRUE if s.name not in LOOSE and not s.theorem.startswith(SAMPLED)], ids=lambda s: s.name
)
def test_equality_is_reached_and_every_constant_is_seen(statement):
    attained(statement, ratio=NOT_ATTAINED.get(statement.name, 1.0))


RELABELLED = (
    "lipschitz.residual_upper",
    "plug_in.printed_upper",
    "fano.printed_upper",
    "fano.best_shells_upper",
    "braun_pokutta.law_lower",
    "mismatch.mismatch_upper",
    "lemmas.divergence_information",
)


@pytest.mark.parametrize("theorem", RELABELLED)
def test_relabelling_changes_nothing(theorem):
    for statement in statements_of(theorem):
        if statement.true:
            coherent(statement, max_examples=25)


def test_every_claim_of_the_ledger_has_a_checkable_form():
    without = [r.id for r in theorems() if not statements_of(r.id)]
    assert all(name.startswith("def") and "." not in name for name in without), without


def test_statements_speak_of_the_ledger_only():
    known = {r.id for r in theorems()}
    assert {s.theorem for s in STATEMENTS} <= known
    assert len({s.name for s in STATEMENTS}) == len(STATEMENTS)


def test_families_and_assumptions_exist():
    known = {*FAMILIES, *(name for room in gather("FAMILIES") for name in room)}
    for statement in STATEMENTS:
        assert set(statement.families) <= known, statement.name
        assert set(statement.needs) <= set(ASSUMPTIONS), statement.name
        assert any(statement.applies(law) for law in candidates(statement)), statement.name


def test_floats_and_fractions_agree():
    """The search route computes what the exact route does."""
    for law in random_laws(5, 40):
        soft = replace(law, masses={a: float(p) for a, p in law.masses.items()})
        for statement in TRUE:
            if statement.theorem.startswith(
                ("laws.", "implications.given", "concentration.clopper", "concentration.finite")
            ):
                continue  # knife-edge counts and float tables
            exact, rough = statement.check(law), statement.check(soft)
            if exact.applies and rough.applies:
                assert float(rough.left) == pytest.approx(float(exact.left), rel=1e-6, abs=1e-6), statement.name
                assert float(rough.right) == pytest.approx(float(exact.right), rel=1e-6, abs=1e-6), statement.name


def test_dropping_what_is_not_assumed_is_an_error():
    (statement,) = statements_of("fano.predictor_upper")
    with pytest.raises(KeyError, match="does not assume"):
        statement.without("unit norm")
    with pytest.raises(KeyError, match="has no constants"):
        statement.with_constants(k=F(1))
    with pytest.raises(KeyError, match="exists already"):
        add_assumption("unit norm", "another meaning", lambda law: True)
