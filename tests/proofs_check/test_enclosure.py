"""Enclosures hold the number, tightly, and never take sides on a tie."""

import math
from fractions import Fraction

import mpmath
from hypothesis import given, settings
from hypothesis import strategies as st

from proofs_check.exact.enclosure import Enclosure, at_most, enclose, exceeds, log, sqrt

QUICK = settings(deadline=None, max_examples=150, derandomize=True, database=None)
RATIONALS = st.fractions(min_value=Fraction(1, 10**6), max_value=10**6)


TINY = mpmath.mpf(2) ** -350  # the truth itself is rounded, at 120 digits


def mp(x):
    with mpmath.workdps(120):
        return mpmath.mpf(x.numerator) / x.denominator


def holds(enclosure, truth):
    with mpmath.workdps(120):
        e = enclose(enclosure)
        return (
            mp(Fraction(e.lower)) <= truth * (1 + TINY)
            and truth * (1 - TINY) <= mp(Fraction(e.upper))
            and e.upper - e.lower < Fraction(1, 2**120)
        )


@QUICK
@given(x=RATIONALS)
def test_log_and_root_hold_the_truth_and_little_else(x):
    with mpmath.workdps(120):
        assert holds(log(x), mpmath.log(mp(x)))
        assert holds(sqrt(x), mpmath.sqrt(mp(x)))


@QUICK
@given(x=RATIONALS)
def test_roots_of_squares_are_exact(x):
    assert sqrt(x * x) == x


@QUICK
@given(a=RATIONALS, b=RATIONALS, c=st.fractions(max_denominator=50, min_value=-5, max_value=5))
def test_arithmetic_holds_the_truth(a, b, c):
    u, v = log(a), sqrt(b)
    with mpmath.workdps(120):
        x, y, z = mpmath.log(mp(a)), mpmath.sqrt(mp(b)), mp(c)
        for enclosure, truth in [
            (u + v, x + y),
            (u - v, x - y),
            (u * v, x * y),
            (c * v, z * y),
            (c - u, z - x),
            (c / v, z / y),
            (u / v, x / y),
        ]:
            e = enclose(enclosure)
            # Exact ends are converted at 120 digits, which may move them by their last one.
            slack = abs(truth) * mpmath.mpf(10) ** -110
            assert mp(Fraction(e.lower)) - slack <= truth <= mp(Fraction(e.upper)) + slack


def test_long_sums_stay_tight_and_short():
    value = Fraction(0)
    for k in range(2, 400):
        value = value + log(Fraction(k, k - 1)) / Fraction(1)
    with mpmath.workdps(120):
        assert holds(value, mpmath.log(399))
    assert value.upper.denominator.bit_length() < 700


def test_comparisons_are_certain_or_silent():
    root = sqrt(Fraction(2))
    assert not exceeds(root, root)
    assert not at_most(root, root)
    assert exceeds(root, Fraction(141, 100))
    assert at_most(root, Fraction(142, 100))
    assert exceeds(1.5, 1.0)


def test_infinite_ends():
    assert log(Fraction(0)) == Enclosure(-math.inf, -math.inf)
    assert (Enclosure(Fraction(0), Fraction(0)) * Enclosure(Fraction(1), math.inf)).upper == 0
    assert (Enclosure(Fraction(1), math.inf) + 1).upper == math.inf
