"""Proposition 1 and the sandwich: hold, are attained, need their range, keep the two tails apart."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from redundancy.bounds import tail
from redundancy.errors import InvalidInputError
from redundancy.interval import Interval
from support import theory_laws as L

# A law of rho: weights on quarters of [0, 2].
rho_laws = st.lists(st.integers(0, 9), min_size=9, max_size=9).filter(any)
thresholds = st.integers(0, 8).map(lambda k: k / 4)


def law_of(weights):
    return {Fraction(k, 4): Fraction(w, sum(weights)) for k, w in enumerate(weights)}


def tails(law, t):
    return sum(p for r, p in law.items() if r > t), sum(p for r, p in law.items() if r >= t)


@given(weights=rho_laws, t=thresholds)
@L.QUICK
def test_sandwich_holds(weights, t):
    law = law_of(weights)
    e = sum(r * p for r, p in law.items())
    strict, closed = tails(law, t)
    upper = tail.sandwich_upper(tail_prob=float(strict), t=t).interval
    lower = tail.sandwich_lower(tail_prob_closed=float(closed), t=t).interval
    assert L.at_least(upper.upper, e)
    assert L.at_most(lower.lower, e)
    if t > 0:
        assert L.at_least(tail.tail_closed_upper(mean_distance=float(e), t=t).interval.upper, closed)
    if t < 2:
        assert L.at_most(tail.tail_lower(mean_distance=float(e), t=t).interval.lower, strict)


@given(weights=rho_laws, keep=st.sets(st.integers(0, 8), min_size=1))
@L.QUICK
def test_grid_sandwich_holds_and_is_never_wider_than_one_threshold(weights, keep):
    law = law_of(weights)
    e = sum(r * p for r, p in law.items())
    grid = sorted(k / 4 for k in keep)
    pairs = [tails(law, t) for t in grid]
    interval = tail.sandwich_grid(
        thresholds=np.array(grid),
        tail_upper=np.array([float(s) for s, _ in pairs]),
        tail_closed_lower=np.array([float(c) for _, c in pairs]),
    ).interval
    assert L.at_most(interval.lower, e)
    assert L.at_least(interval.upper, e)
    for t, (strict, closed) in zip(grid, pairs, strict=True):
        assert interval.upper <= tail.sandwich_upper(tail_prob=float(strict), t=t).interval.upper + 1e-12
        assert interval.lower >= tail.sandwich_lower(tail_prob_closed=float(closed), t=t).interval.lower - 1e-12


@pytest.mark.parametrize("t", [0.0, 0.25, 1.0])
@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_both_sides_are_attained(t, p):
    """{t, 2}: rho = 2 with probability p, else t. {0, t}: rho = t with probability p, else 0."""
    assert tail.sandwich_upper(tail_prob=p, t=t).interval.upper == pytest.approx(t + (2 - t) * p, abs=1e-12)
    assert tail.sandwich_lower(tail_prob_closed=p, t=t).interval.lower == pytest.approx(t * p, abs=1e-12)
    assert tail.tail_lower(mean_distance=t + (2 - t) * p, t=t).interval.lower == pytest.approx(p, abs=1e-12)
    if t > 0:
        assert tail.tail_closed_upper(mean_distance=t * p, t=t).interval.upper == pytest.approx(p, abs=1e-12)


def test_full_grid_gives_the_mean_exactly():
    """On a grid with every atom both step functions are the tail itself."""
    law = law_of([3, 1, 0, 2, 0, 0, 1, 0, 2])
    grid = np.arange(9) / 4
    pairs = [tails(law, t) for t in grid]
    interval = tail.sandwich_grid(
        thresholds=grid, tail_upper=[float(s) for s, _ in pairs], tail_closed_lower=[float(c) for _, c in pairs]
    ).interval
    e = float(sum(r * p for r, p in law.items()))
    assert interval.lower == pytest.approx(e, abs=1e-12)
    assert interval.upper == pytest.approx(e, abs=1e-12)


def test_printed_form_is_refuted_by_cosine_distance():
    """M5: rho = 2 with probability 1/20, else 1/20, t = 1/20, eps = 1/10: premise true, conclusion false."""
    strict, e = Fraction(1, 20), Fraction(2, 20) + Fraction(19, 400)
    assert strict < (Fraction(1, 10) - Fraction(1, 20)) / (1 - Fraction(1, 20))
    assert e == Fraction(59, 400)
    printed = tail.printed_upper(tail_prob=0.05, t=0.05)
    assert printed.interval.upper < 0.0976 < e
    assert printed.label == "A"
    assert tail.sandwich_upper(tail_prob=0.05, t=0.05).interval.upper >= e


def test_threshold_of_the_implication():
    """M6: rho in {1/2, 1}, t = eps = 1/2 cannot be certified; (eps - t)/(r - t) is exact."""
    assert tail.tail_threshold(epsilon=0.5, t=0.0, rho_max=1.0) == pytest.approx(0.5, abs=1e-12)
    threshold = tail.tail_threshold(epsilon=0.6, t=0.2)
    assert threshold == pytest.approx(0.4 / 1.8, abs=1e-12)
    assert tail.sandwich_upper(tail_prob=threshold * 0.999999, t=0.2).interval.upper < 0.6
    assert tail.sandwich_upper(tail_prob=threshold * 1.000001, t=0.2).interval.upper > 0.6
    with pytest.raises(InvalidInputError, match="t < min"):
        tail.tail_threshold(epsilon=0.5, t=0.5)


def test_t_beyond_the_range_is_refused():
    """M7: rho = 1, t = 2, eps = 1/2."""
    with pytest.raises(InvalidInputError, match="t below rho_max"):
        tail.printed_upper(tail_prob=0.0, t=2.0)
    with pytest.raises(InvalidInputError, match="t inside"):
        tail.sandwich_upper(tail_prob=0.0, t=2.5)


def test_an_atom_at_t_separates_the_tails():
    """All mass at t: strict tail 0, closed tail 1; only the closed tail may serve the lower side."""
    strict = tail.strict_tail_upper(tail_prob_closed=1.0)
    closed = tail.closed_tail_lower(tail_prob=0.0)
    assert strict.interval == Interval(0.0, 1.0)
    assert closed.interval == Interval(0.0, 1.0)
    assert tail.sandwich_upper(tail_prob=0.0, t=0.5).interval.upper == pytest.approx(0.5)
    assert tail.sandwich_lower(tail_prob_closed=1.0, t=0.5).interval.lower == pytest.approx(0.5)


@given(p=st.floats(0, 1), q=st.floats(0, 1), t=thresholds)
@L.QUICK
def test_wider_evidence_never_gives_a_smaller_bound(p, q, t):
    low, high = sorted((p, q))
    wide, narrow = Interval(low, high), Interval(low, low)
    for function, name in ((tail.sandwich_upper, "tail_prob"), (tail.sandwich_lower, "tail_prob_closed")):
        assert function(**{name: wide, "t": t}).interval.includes(function(**{name: narrow, "t": t}).interval)
    assert tail.tail_closed_upper(mean_distance=wide, t=t + 0.25).interval.includes(
        tail.tail_closed_upper(mean_distance=narrow, t=t + 0.25).interval
    )


def test_table_entry_that_contradicts_the_printed_range():
    numbers = {"mean_distance": 0.077, "fraction_below": 0.973, "t": 0.05}
    assert not tail.sandwich_consistency(**numbers, rho_max=1.0)
    assert not tail.sandwich_consistency(**numbers, rho_max=1.0, rounding=0.0005)
    assert tail.sandwich_consistency(**numbers)
    assert not tail.sandwich_consistency(mean_distance=0.001, fraction_below=0.5, t=0.05)


@pytest.mark.parametrize("bad", [-0.1, 1.1, float("nan"), "0.5", None])
def test_bad_tails_are_refused(bad):
    with pytest.raises(InvalidInputError):
        tail.sandwich_upper(tail_prob=bad, t=0.1)


def test_bad_grids_are_refused():
    good = {"thresholds": [0.1, 0.2], "tail_upper": [0.5, 0.1], "tail_closed_lower": [0.5, 0.1]}
    for change in (
        {"thresholds": [0.2, 0.1]},
        {"thresholds": [0.1, 2.5]},
        {"tail_upper": [0.5]},
        {"tail_closed_lower": [0.5, float("nan")]},
    ):
        with pytest.raises(InvalidInputError):
            tail.sandwich_grid(**{**good, **change})


def test_vacuous_at_no_evidence():
    assert tail.sandwich_upper(tail_prob=1.0, t=0.3).label == "V"
    assert tail.sandwich_lower(tail_prob_closed=0.0, t=0.3).label == "V"
