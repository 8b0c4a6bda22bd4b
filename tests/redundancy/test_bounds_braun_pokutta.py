"""Theorem 4: lower bounds on mutual information, ordered and attained, on exact laws."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from redundancy.bounds import braun_pokutta as bp
from redundancy.errors import InvalidInputError
from redundancy.interval import Interval
from support import theory_laws as L


def numbers(pair, rho, t):
    """P_t, q_t, p_min, p_max, exactly; balls are closed, p under the law of the previous layer (columns)."""
    close = rho <= t
    x, y = pair.sum(axis=1), pair.sum(axis=0)
    far = sum((p for p, c in zip(pair.ravel(), close.ravel(), strict=True) if not c), Fraction(0))
    masses = [sum((m for m, c in zip(y, row, strict=True) if c), Fraction(0)) for row in close]
    q = sum((p * m for p, m in zip(x, masses, strict=True)), Fraction(0))
    return far, q, min(masses), max(masses)


@given(data=st.data(), pair=L.tables(2, 4, square=True), t=st.integers(0, 8).map(lambda k: k / 4))
@L.QUICK
def test_every_form_holds_and_they_are_ordered(data, pair, t):
    rho = data.draw(L.distances(len(pair)))
    truth = L.mutual_information(pair)
    far, q, small, large = numbers(pair, rho, t)
    binary = bp.binary_lower(tail_prob=float(far), ball_prob=float(q), base=math.e).interval.lower
    _, first, second = bp.distance_laws(L.floats(pair), rho)
    law = bp.law_lower(joint_law=first, product_law=second, base=math.e).interval.lower
    best = bp.best_radius_lower(joint=L.floats(pair), distances=rho, base=math.e).interval.lower
    for lower in (binary, law, best):
        assert L.at_most(lower, truth)
    assert best >= binary - 1e-12
    assert law >= best - 1e-12
    if large > 0 and not (small == 1 and far > 0):
        printed = bp.printed_lower(
            tail_prob=float(far), ball_prob_min=float(small), ball_prob_max=float(large), base=math.e
        ).interval.lower
        assert L.at_most(printed, truth)
        assert printed <= binary + 1e-12


@given(data=st.data(), pair=L.tables(2, 4, square=True))
@L.QUICK
def test_any_score_bounds_the_information(data, pair):
    rho = data.draw(L.distances(len(pair)))
    levels, first, second = bp.distance_laws(L.floats(pair), rho)
    phi = np.array([data.draw(st.integers(-6, 6)) / 3 for _ in levels])
    lower = bp.variational_lower(
        mean_score=float(first @ phi) - 1e-13, mean_exp_score=float(second @ np.exp(phi)) * (1 + 1e-13), base=math.e
    ).interval.lower
    assert L.at_most(lower, L.mutual_information(pair))


@pytest.mark.parametrize("k", [2, 3, 8])
@pytest.mark.parametrize("p", [0.0, 0.1, 0.4])
def test_symmetric_channel_attains_every_form(k, p):
    """X = Y with probability 1-p, else uniform among the others, Y uniform: I = d(1-p || 1/k) exactly."""
    joint = (np.eye(k) * (1 - p) + (1 - np.eye(k)) * p / (k - 1)) / k
    truth = math.log(k) + sum(v * math.log(v) for v in (1 - p, *[p / (k - 1)] * (k - 1)) if v > 0)
    rho = 1.0 - np.eye(k)
    same = {"base": math.e}
    assert bp.binary_lower(tail_prob=p, ball_prob=1 / k, **same).interval.lower == pytest.approx(truth, abs=1e-9)
    assert bp.best_radius_lower(joint=joint, distances=rho, **same).interval.lower == pytest.approx(truth, abs=1e-9)
    printed = bp.printed_lower(tail_prob=p, ball_prob_min=1 / k, ball_prob_max=1 / k, **same).interval.lower
    assert printed == pytest.approx(truth, abs=1e-9)
    _, first, second = bp.distance_laws(joint, rho)
    assert bp.law_lower(joint_law=first, product_law=second, **same).interval.lower == pytest.approx(truth, abs=1e-9)
    score = np.log(first[first > 0] / second[first > 0])
    assert bp.variational_lower(
        mean_score=float(first[first > 0] @ score), mean_exp_score=float(second[first > 0] @ np.exp(score)), **same
    ).interval.lower == pytest.approx(truth, abs=1e-9)


def test_condition_of_the_paper_is_not_needed():
    """diag(3/5, 2/5), t = 0: p_min + p_max = 1; bound ln(5/3) = 0.511, truth 0.673."""
    lower = bp.printed_lower(tail_prob=0.0, ball_prob_min=0.4, ball_prob_max=0.6, base=math.e).interval.lower
    assert lower == pytest.approx(math.log(5 / 3))
    assert lower < L.mutual_information(L.table([["3/5", 0], [0, "2/5"]]))


def test_ball_masses_are_not_ball_counts():
    """M18: a constant layer on three symbols: counts would give 1/3 and ln 3 > I = 0."""
    pair = L.table([[1, 0, 0], [0, 0, 0], [0, 0, 0]])
    far, _, small, large = numbers(pair, 1.0 - np.eye(3), 0.0)
    lower = bp.printed_lower(tail_prob=float(far), ball_prob_min=float(small), ball_prob_max=float(large))
    assert lower.interval.lower == 0.0
    wrong = bp.printed_lower(tail_prob=0.0, ball_prob_min=1 / 3, ball_prob_max=1 / 3, base=math.e)
    assert wrong.interval.lower == pytest.approx(math.log(3))


def test_signs_and_roles_of_the_terms():
    """M19: independent bits: + H2 would give 1.386 > 0. M20: diag(.9, .1): p_min for p_max gives 2.303 > 0.325."""
    assert bp.printed_lower(tail_prob=0.5, ball_prob_min=0.5, ball_prob_max=0.5, base=math.e).interval.lower == 0.0
    lower = bp.printed_lower(tail_prob=0.0, ball_prob_min=0.1, ball_prob_max=0.9, base=math.e).interval.lower
    assert lower == pytest.approx(-math.log(0.9))
    assert lower < L.mutual_information(L.table([["9/10", 0], [0, "1/10"]])) < 0.3251
    # The far term: p_min counts through 1 - p_min.
    far = bp.printed_lower(tail_prob=1.0, ball_prob_min=0.75, ball_prob_max=0.8, base=math.e).interval.lower
    assert far == pytest.approx(math.log(4))


def test_large_information_does_not_mean_small_entropy():
    """M27: X = (A, C), Y = A: I = H(A) and H(X|Y) = H(C), both 3 bits."""
    pair = np.full((64, 8), Fraction(0), dtype=object)
    for a in range(8):
        for c in range(8):
            pair[8 * a + c, a] = Fraction(1, 64)
    assert float(L.mutual_information(pair)) == pytest.approx(3 * math.log(2))
    assert float(L.conditional_entropy(pair)) == pytest.approx(3 * math.log(2))


def test_worst_corner_of_intervals():
    point = bp.binary_lower(tail_prob=0.1, ball_prob=0.2, base=math.e).interval.lower
    for tail, ball in ((Interval(0.05, 0.1), 0.2), (0.1, Interval(0.01, 0.2)), (Interval(0, 0.1), Interval(0, 0.2))):
        assert bp.binary_lower(tail_prob=tail, ball_prob=ball, base=math.e).interval.lower == pytest.approx(point)
    assert bp.binary_lower(tail_prob=Interval(0, 0.5), ball_prob=Interval(0, 0.5)).interval.lower == 0.0
    # The other side: far apart more often than independent copies is information too.
    above = bp.binary_lower(tail_prob=Interval(0.9, 1.0), ball_prob=Interval(0.8, 1.0), base=math.e).interval.lower
    assert above == pytest.approx(bp.binary_lower(tail_prob=0.9, ball_prob=0.8, base=math.e).interval.lower)
    assert above > 0.5


@given(values=st.lists(st.floats(0, 1), min_size=6, max_size=6))
@L.QUICK
def test_wider_evidence_never_gives_a_larger_bound(values):
    p, q, s = (sorted(values[i : i + 2]) for i in (0, 2, 4))
    for tail in (p[0], p[1], sum(p) / 2):
        narrow = bp.binary_lower(tail_prob=tail, ball_prob=q[1]).interval.lower
        wide = bp.binary_lower(tail_prob=Interval(*p), ball_prob=Interval(*q)).interval.lower
        assert wide <= narrow + 1e-12
        if s[1] > 0 and s[0] < 1:
            one = {"ball_prob_min": s[0], "ball_prob_max": s[1]}
            narrow = bp.printed_lower(tail_prob=tail, **one).interval.lower
            assert bp.printed_lower(tail_prob=Interval(*p), **one).interval.lower <= narrow + 1e-12


@pytest.mark.parametrize("base", [2.0, math.e, 10.0])
def test_bases_are_units(base):
    nats = bp.binary_lower(tail_prob=0.1, ball_prob=0.2, base=math.e).interval.lower
    assert bp.binary_lower(tail_prob=0.1, ball_prob=0.2, base=base).interval.lower == pytest.approx(
        nats / math.log(base)
    )


def test_corners_and_caps():
    assert bp.printed_lower(tail_prob=Interval(0, 0.3), ball_prob_min=1.0, ball_prob_max=1.0).interval.lower == 0.0
    with pytest.raises(InvalidInputError, match="every ball"):
        bp.printed_lower(tail_prob=0.3, ball_prob_min=1.0, ball_prob_max=1.0)
    assert bp.binary_lower(tail_prob=0.0, ball_prob=0.0).interval.lower == math.inf
    assert bp.law_lower(joint_law=[1.0, 0.0], product_law=[0.0, 1.0]).interval.lower == math.inf
    assert bp.binary_lower(tail_prob=0.0, ball_prob=0.25, support_size=4).interval.upper == pytest.approx(2.0)
    assert bp.binary_lower(tail_prob=0.5, ball_prob=0.5, support_size=4).is_vacuous
    with pytest.raises(InvalidInputError, match="agree"):
        bp.binary_lower(tail_prob=0.0, ball_prob=0.1, support_size=2)


@pytest.mark.parametrize(
    "change", [{"ball_prob_max": 0.0, "ball_prob_min": 0.0}, {"ball_prob_min": 0.9}, {"tail_prob": -0.1}, {"base": 0.5}]
)
def test_bad_input_is_refused(change):
    good = {"tail_prob": 0.1, "ball_prob_min": 0.1, "ball_prob_max": 0.2}
    with pytest.raises(InvalidInputError):
        bp.printed_lower(**{**good, **change})
