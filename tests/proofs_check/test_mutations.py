"""The checker has power: every mutant is refuted by an exact law. And it is valid: nothing true is."""

from fractions import Fraction

import pytest

from proofs_check.exact.enclosure import Enclosure, exceeds
from proofs_check.extremal import family
from proofs_check.mutations import Mutation, all_mutations, constant_mutants, try_mutation
from proofs_check.pool import random_laws
from proofs_check.refute import refute, shrink
from proofs_check.statements import all_statements

MUTATIONS = all_mutations()
STATEMENTS = all_statements()

SEEDS = (0, 1, 2, 3, 4, 5)
POOL = random_laws(0, 60)
SPECIFIED = {f"M{k}" for k in range(1, 33)}


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda m: m.id)
def test_every_mutant_is_killed_by_an_exact_law(mutation):
    result = try_mutation(mutation, POOL)
    assert result.killed, mutation.claim
    found = result.counterexample
    assert mutation.statement.applies(found.law)
    assert sum(found.law.masses.values()) == 1
    assert all(isinstance(p, Fraction) for p in found.law.masses.values())
    left, right = found.verdict.left, found.verdict.right
    assert not isinstance(left, float)
    if mutation.statement.relation == "<=":
        assert exceeds(left, right)
    assert result.to_dict()["counterexample"]["law"].startswith("P(")


@pytest.mark.parametrize("statement", [s for s in STATEMENTS if s.true], ids=lambda s: s.name)
def test_nothing_true_is_killed_by_the_same_means(statement):
    """The search that kills the mutants, aimed at the statements themselves."""
    assert refute(statement, POOL) is None


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_mutants_die_and_truths_live_under_every_seed(seed):
    pool = random_laws(seed, 200)
    survivors = [m.id for m in MUTATIONS if not try_mutation(m, pool).killed]
    assert survivors == []
    assert [s.name for s in STATEMENTS if s.true and refute(s, pool) is not None] == []


def test_all_mutants_of_the_specification_are_there():
    ids = {m.id.split(":")[0] for m in MUTATIONS}
    missing = {name for name in SPECIFIED if not any(i == name or i[:-1] == name for i in ids)}
    assert missing == set()
    assert len({m.id for m in MUTATIONS}) == len(MUTATIONS)


def test_every_constant_has_a_mutant():
    covered = {m.id for m in MUTATIONS}
    for statement in STATEMENTS:
        if statement.true:
            mutants = list(constant_mutants(statement))
            assert len(mutants) == len(statement.constants)
            assert {m.id for m in mutants} <= covered


def test_random_laws_alone_would_not_do():
    """Why the extremal families are there: some wrong constants survive all random laws."""
    for name in ("M21b", "M29", "M32"):
        (mutation,) = (m for m in MUTATIONS if m.id == name)
        assert try_mutation(mutation, random_laws(0, 400)).counterexample.found_by == ("family",)


def test_known_counterexamples_are_found_in_their_plain_form():
    values = {}
    for mutation in MUTATIONS:
        if mutation.id.startswith("M"):
            found = try_mutation(mutation).counterexample
            values[mutation.id] = (float(found.verdict.left), float(found.verdict.right))
    expected = {
        "M1": (4, 3.8),
        "M2b": (4, 0),
        "M3": (9, 6),
        "M10": (0.25, 0),
        "M11a": (0, 0),
        "M12": (1, 0),
        "M13a": (4, 2),
        "M13b": (0.003564, 0.0034684),
        "M16": (0.6931471805599453, 0),
        "M21a": (1, 0.6931471805599453),
        "M21c": (1, 0.6020599913279624),
        "M22": (1, 0),
        "M24": (0.375, 0),
        "M25": (0, 0.6931471805599453),
        "M28": (1, 0),
        "M30a": (0.6931471805599453, 0),
        "M32": (64 / 27, 2),
    }
    for name, pair in expected.items():
        assert values[name] == pytest.approx(pair, abs=1e-12), name


def test_a_checker_that_looks_away_would_be_noticed():
    """Break the checker on purpose: without families and without a pool the mutant lives, and the result says so."""
    (mutation,) = (m for m in MUTATIONS if m.id == "M21b")
    blind = Mutation(mutation.id, mutation.theorem, mutation.claim, mutation.statement.but(families=()))
    result = try_mutation(blind)
    assert not result.killed
    assert "SURVIVED" in str(result)


def test_shrinking_keeps_the_violation_and_the_exactness():
    (mutation,) = (m for m in MUTATIONS if m.id == "M8a")
    law = family("flip")[0]
    small = shrink(mutation.statement, law)
    assert len(small.masses) < len(law.masses)
    verdict = mutation.statement.check(small)
    assert verdict.broken
    assert not isinstance(verdict.left, (float, Enclosure))
