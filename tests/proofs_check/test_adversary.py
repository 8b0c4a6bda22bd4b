"""The adversary finds what is known: best constants, violations of wrong ones; and only exact laws count."""

from fractions import Fraction

import pytest

from proofs_check.adversary import plot_tightness, search, tightness
from proofs_check.extremal import family
from proofs_check.pool import random_laws
from proofs_check.statements import statements_of

F = Fraction
POOL = random_laws(0, 40)


def statement(theorem, part=""):
    (found,) = (s for s in statements_of(theorem) if s.part == part)
    return found


def test_climbs_towards_the_supremum_of_theorem_1():
    """(alpha + beta)^2 is approached by flipped signs and never reached by them; the family stops at 0.99."""
    start = family("flip")[0]
    claim = statement("lipschitz.minkowski_upper")
    before = claim.check(start).ratio
    found = search(claim, start, evaluations=300)
    assert before < 0.8 < 0.99 < found.ratio < 1.0
    assert found.source == "search"
    assert not found.violation
    assert sum(found.law.masses.values()) == 1
    assert all(isinstance(p, Fraction) for p in found.law.masses.values())


def test_finds_a_violation_that_no_start_has():
    """A constant 5 % too small holds at the start; the climb ends in a law that breaks it, exactly."""
    wrong = statement("lipschitz.minkowski_upper").with_constants(a=F(95, 100)).but(families=())
    start = family("flip")[0]
    assert not wrong.check(start).broken
    found = search(wrong, start, evaluations=300)
    assert found.violation
    assert wrong.check(found.law).broken
    assert tightness(wrong, [start], evaluations=300).violation


@pytest.mark.parametrize("chain", ["previous - next - task", "next - previous - task"])
def test_climbs_stay_on_the_chain(chain):
    claim = statement("pinsker.chain_information_upper", chain)
    place = "O" if chain.startswith("previous") else "N"
    start = next(law for law in POOL if claim.applies(law) and 3 < len(law.masses) < 12 and claim.check(law).ratio > 0)
    found = search(claim, start, evaluations=150)
    assert found.law.obeys(place)
    assert claim.check(start).ratio < found.ratio <= 1.0


def test_printed_theorem_5_is_not_tight():
    """1/(2 ln 2) = 0.7213: what the sharpened constant gains."""
    found = tightness(statement("pinsker.printed_upper"), POOL, evaluations=100)
    assert found.ratio == pytest.approx(0.7213475204444817, abs=1e-6)
    assert not found.attained


def test_equality_is_said_of_equality_only():
    assert tightness(statement("pinsker.chain_entropy_upper", "previous - next - task"), POOL).attained
    near = tightness(statement("mismatch.mismatch_upper"), POOL, evaluations=60)
    assert near.ratio > 0.99
    assert not near.attained
    assert "attained" not in str(near)


def test_searches_depend_on_their_seed_only():
    claim = statement("lipschitz.truncated_upper")
    one, same = (tightness(claim, POOL, seed=3, evaluations=60, restarts=1) for _ in range(2))
    assert one.ratio == same.ratio
    assert one.law.masses == same.law.masses


def test_plot_shows_every_statement():
    results = [
        tightness(s, evaluations=20)
        for t in ("lemmas.squared_triangle_upper", "pinsker.printed_upper")
        for s in statements_of(t)
        if s.true
    ]
    axes = plot_tightness(results)
    labels = [text.get_text() for text in axes.get_yticklabels()]
    assert labels == [r.statement.name for r in reversed(results)]
    assert axes.figure.get_size_inches()[0] == 6.9
    drawn = [line.get_xdata()[0] for line in axes.get_lines() if line.get_marker() == "o"]
    assert drawn == [r.ratio for r in reversed(results)]
