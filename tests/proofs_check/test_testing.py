"""The five tests pass for what is true and fail, with a readable law, for what is not."""

from fractions import Fraction

import numpy as np
import pytest

from proofs_check.extremal import family
from proofs_check.statements import Statement, add_assumption, statements_of
from proofs_check.testing import Refuted, attained, coherent, covers, five_tests, holds, necessary

F = Fraction
MINE = Statement(
    theorem="mine",
    claim="H(X|Y) <= a H(X)",
    left=lambda law, c: law.forward_entropy,
    right=lambda law, c: c["a"] * law.entropy("x"),
    constants={"a": F(1)},
)


def test_a_true_statement_passes_all_that_apply():
    text = five_tests(MINE, equality=family("independent bits"))
    assert [line.split(":")[0] for line in text.splitlines()] == ["holds", "attained", "coherent"]


def test_a_statement_of_the_ledger_passes_with_its_assumption_shown_necessary():
    (claim,) = (s for s in statements_of("pinsker.chain_entropy_upper") if s.part == "previous - next - task")
    text = five_tests(claim, breaking={"previous - next - task": family("lost bit")}, max_examples=60)
    assert "necessary: without 'previous - next - task', 1 > 0.0 at P(x=0, y=0, z=-1) = 1/2" in text


def test_holds_shows_the_smallest_law():
    """Drawn by Hypothesis, shrunk by it: a fair or nearly fair bit, not three symbols."""
    wrong = MINE.but(right=lambda law, c: c["a"] * law.mutual_information, claim="H(X|Y) <= a I(X;Y)")
    with pytest.raises(AssertionError, match=r"H\(X\|Y\) <= a I\(X;Y\) is false, .* at P\(x=") as caught:
        holds(wrong)
    assert str(caught.value.args[0]).count("P(") == 2


def test_holds_can_draw_from_your_own_laws():
    from hypothesis import strategies as st

    wrong = MINE.but(right=lambda law, c: F(0), claim="H(X|Y) <= 0")
    holds(wrong, law=st.sampled_from(family("equal layers")))
    with pytest.raises(AssertionError, match="is false"):
        holds(wrong, law=st.sampled_from(family("fresh bit")))


def test_attained_wants_equality_and_every_constant():
    with pytest.raises(AssertionError, match="not attained"):
        attained(MINE.with_constants(a=F(2)), family("independent bits"))
    slack = MINE.but(right=lambda law, c: law.entropy("x"))
    with pytest.raises(AssertionError, match="depends on the constant a"):
        attained(slack, family("independent bits"))
    assert attained(MINE, family("independent bits")) is family("independent bits")[0]


def test_necessary_wants_a_law_that_breaks():
    add_assumption("at least one symbol", "the alphabets are not empty", lambda law: len(law.x) > 0)
    idle = MINE.but(needs=("at least one symbol",))
    with pytest.raises(AssertionError, match="no law found that breaks it without"):
        necessary(idle, "at least one symbol")
    (chain,) = (s for s in statements_of("mismatch.coupling_upper") if s.part == "previous - next - task")
    found = necessary(chain.but(families=()), "previous - next - task")
    assert found.verdict.broken


def test_coherent_sees_a_side_that_reads_names():
    coherent(MINE)
    names = MINE.but(left=lambda law, c: law.mean(lambda i, j: i), claim="mean of the name of x")
    with pytest.raises(AssertionError, match="moves by relabelling"):
        coherent(names)


def test_coherent_takes_a_change_of_your_own():
    from dataclasses import replace

    scaled = MINE.but(left=lambda law, c: law.squared_distance, needs=("one space",), claim="E|X-Y|^2")
    with pytest.raises(AssertionError, match="moves by relabelling"):
        coherent(scaled, lambda law: replace(law, x=tuple(tuple(2 * v for v in point) for point in law.x)))


def test_covers_tells_a_valid_interval_from_an_invalid_one():
    def wald(sample):
        width = 1.645 * sample.std() / np.sqrt(len(sample))
        return 0.0, sample.mean() + width

    def hoeffding(sample):
        return 0.0, sample.mean() + np.sqrt(np.log(20) / (2 * len(sample)))

    def draw(rng):
        return (rng.random(50) < 0.02).astype(float)

    assert covers(hoeffding, draw, 0.02) == 0
    with pytest.raises(AssertionError, match="a valid bound does so with probability"):
        covers(wald, draw, 0.02)


def test_importing_needs_no_pytest():
    import subprocess
    import sys

    code = "import sys, proofs_check.testing; sys.exit('pytest' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_false_claim_is_called_false_and_its_law_handed_out():
    """Also where only the law that was to show equality breaks it."""
    (statement,) = (s for s in statements_of("lemmas.squared_sum_upper") if s.true)
    wrong = statement.with_constants(a=F(2))
    with pytest.raises(Refuted, match="is false") as found:
        five_tests(wrong)
    assert wrong.check(found.value.law).broken
    (printed,) = (s for s in statements_of("pinsker.printed_upper") if not s.true)
    with pytest.raises(Refuted, match="is false"):
        attained(printed.but(families=()), family("lost bit"))
