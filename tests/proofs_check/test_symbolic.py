"""Every symbolic proof goes through, and none survives a change of a constant of its statement."""

from fractions import Fraction

import pytest
import sympy as sp

from proofs_check.symbolic import available, constants, prove
from proofs_check.symbolic.decide import gram_squares, never_negative, sign_on_interval, vanishes
from redundancy.errors import InvalidInputError

CONSTANTS = [(theorem, name) for theorem in available() for name in constants(theorem)]


@pytest.mark.parametrize("theorem", available())
def test_every_proof_goes_through(theorem):
    proof = prove(theorem)
    assert proof.ok, str(proof)
    assert proof.statement in proof.steps
    assert any(step.kind == "checked" for step in proof.steps)
    assert proof.theorem == theorem


@pytest.mark.parametrize(("theorem", "name"), CONSTANTS)
@pytest.mark.parametrize("factor", [Fraction(39, 40), Fraction(41, 40)])
def test_no_proof_survives_another_constant(theorem, name, factor):
    """Below the constant the statement is false; above it, the proof that it is best fails."""
    value = Fraction(str(constants(theorem)[name]))
    assert not prove(theorem, **{name: value * factor}).ok


def test_unknown_theorems_and_constants():
    assert prove("lemma99") is None
    with pytest.raises(InvalidInputError, match="need constants of lemma3"):
        prove("lemma3", facto=3)


def test_a_printed_proof_names_rules_and_tells_checked_from_cited():
    text = str(prove("lemma1"))
    assert "cited  triangle" in text
    assert "sum of squares" in text
    assert text.endswith("1 cited.")
    assert "NOT proved: statement" in str(prove("lemma1", first="19/10"))
    tree = prove("lemma1").to_dict()
    assert [s["kind"] for s in tree["steps"]][:2] == ["cited", "checked"]
    assert tree["ok"]


def test_decisions_are_not_generous():
    a, b = sp.symbols("a b", nonnegative=True)
    x = sp.Symbol("x", real=True)
    assert vanishes((a + b) ** 2 - a**2 - 2 * a * b - b**2)
    assert not vanishes(a**2 - b**2)
    assert never_negative(a + 2 * b)
    assert not never_negative(a - b)
    assert not never_negative(x)
    assert never_negative(x**2 + a)
    assert never_negative((a + b) / (1 + a))
    assert gram_squares(a**2 + b**2 - 3 * a * b, [a, b]) is None
    assert gram_squares(a * b, [a, b]) is None
    assert sign_on_interval(x * (1 - x), x, 0, 1) == 1
    assert sign_on_interval(x - sp.Rational(1, 2), x, 0, 1) == 0
