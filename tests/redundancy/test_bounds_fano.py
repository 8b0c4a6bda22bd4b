"""Theorem 3: printed, list, shell and predictor forms against textbook entropies of exact laws."""

from __future__ import annotations

import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from redundancy.bounds import fano
from redundancy.errors import InvalidInputError
from redundancy.interval import Interval
from support import theory_laws as L

BASES = [2.0, math.e, 10.0]


def printed(pair, rho, t, base=math.e):
    close = rho <= t
    sizes = close.sum(axis=0)
    far = sum((p for p, c in zip(pair.ravel(), close.ravel(), strict=True) if not c), Fraction(0))
    return fano.printed_upper(
        tail_prob=float(far), support_size=len(pair), ball_min=int(sizes.min()), ball_max=int(sizes.max()), base=base
    )


@given(data=st.data(), pair=L.tables(2, 5, square=True), t=st.integers(0, 8).map(lambda k: k / 4))
@L.QUICK
def test_every_form_holds_on_every_finite_law(data, pair, t):
    rho = data.draw(L.distances(len(pair)))
    truth = L.conditional_entropy(pair)
    joint, k = L.floats(pair), len(pair)
    whole = printed(pair, rho, t).interval.upper
    ball = fano.ball_upper(joint=joint, distances=rho, t=t, base=math.e).interval.upper
    best = fano.best_radius_upper(joint=joint, distances=rho, base=math.e).interval.upper
    edges = np.array(sorted(data.draw(st.sets(st.integers(0, 8).map(lambda v: v / 4), max_size=4))))
    shells = fano.shells_upper(joint=joint, distances=rho, edges=edges, base=math.e).interval.upper
    optimal = fano.best_shells_upper(joint=joint, distances=rho, base=math.e).interval.upper
    for upper in (whole, ball, best, shells, optimal):
        assert L.at_least(upper, truth)
        assert upper <= math.log(k) * (1 + 1e-12)
    assert ball <= whole + 1e-12
    assert best <= ball + 1e-12
    assert optimal <= shells + 1e-12


@given(data=st.data(), pair=L.tables(2, 4))
@L.QUICK
def test_every_predictor_bounds_the_entropy(data, pair):
    k = pair.shape[0]
    q = data.draw(L.kernels(pair.shape[1], k))
    # floor the predictor as the certificate of choice does
    q = [[(v * 9 + Fraction(1, k)) / 10 for v in row] for row in q]
    loss = -mpmath.fsum(L.mp(pair[x, y]) * L.log(q[y][x]) for x in range(k) for y in range(pair.shape[1]))
    truth = L.conditional_entropy(pair)
    upper = fano.predictor_upper(log_loss=float(loss), support_size=k, base=math.e).interval.upper
    assert L.at_least(upper, truth)
    assert upper <= math.log(k) * (1 + 1e-12)


def test_the_true_conditional_law_attains_the_predictor_form():
    pair = L.table([["1/4", "1/8"], ["1/8", "1/2"]])
    truth = L.conditional_entropy(pair)
    assert fano.predictor_upper(log_loss=float(truth), base=math.e).interval.upper == pytest.approx(float(truth))


@given(k=st.integers(2, 40), percent=st.integers(0, 100))
@L.QUICK
def test_classical_fano_is_attained(k, percent):
    """Y uniform, X = Y with probability 1 - p, else uniform among the others."""
    p = percent / 100
    truth = sum(-v * math.log2(v) for v in (1 - p, *[p / (k - 1)] * (k - 1)) if v > 0)
    upper = fano.list_upper(miss_prob=p, list_size=1, support_size=k).interval.upper
    assert upper == pytest.approx(truth, abs=1e-9)
    assert fano.printed_upper(tail_prob=p, support_size=k, ball_min=1, ball_max=1).interval.upper == pytest.approx(
        upper
    )


@pytest.mark.parametrize(("k", "n"), [(4, 2), (6, 3), (5, 5)])
def test_uniform_in_the_ball_is_attained(k, n):
    """P = 0: X uniform in a list of n symbols."""
    upper = fano.printed_upper(tail_prob=0.0, support_size=k, ball_min=n, ball_max=n).interval.upper
    assert upper == pytest.approx(math.log2(n))


@given(k=st.integers(3, 20), percent=st.integers(0, 100))
@L.QUICK
def test_escape_from_a_star_is_attained(k, percent):
    """Each of N_min, N_max enters: the hub's ball is everything, a leaf's is two; the list form sees both."""
    p = percent / 100
    # y = leaf 1: X uniform in {leaf 1, hub} with mass 1-p, else uniform on the k-2 others.
    truth = sum(-v * math.log2(v) for v in (*[(1 - p) / 2] * 2, *[p / (k - 2)] * (k - 2)) if v > 0)
    joint = np.zeros((k, k))
    joint[[0, 1], 1] = (1 - p) / 2
    joint[2:, 1] = p / (k - 2)
    rho = np.full((k, k), 2.0)
    rho[0, :] = rho[:, 0] = 1.0
    np.fill_diagonal(rho, 0.0)
    ball = fano.ball_upper(joint=joint, distances=rho, t=1.0).interval.upper
    assert ball == pytest.approx(truth, abs=1e-9)
    whole = fano.printed_upper(tail_prob=p, support_size=k, ball_min=2, ball_max=k).interval.upper
    assert whole >= ball - 1e-9  # both are rounded outward, each by its own slack


def test_shells_are_attained_by_a_law_that_is_uniform_on_shells():
    """A cycle of 5: at distance 0, 1, 2 with probability 1/2, 1/4, 1/4, uniform in each shell, any y."""
    k = 5
    gap = np.abs(np.subtract.outer(np.arange(k), np.arange(k)))
    rho = np.minimum(gap, k - gap).astype(float)
    joint = np.choose(rho.astype(int), [1 / 2, 1 / 8, 1 / 8]) / k
    truth = 1.5 + 0.5 * 1.0
    assert fano.shells_upper(joint=joint, distances=rho, edges=[0.0, 1.0]).interval.upper == pytest.approx(truth)
    assert fano.best_shells_upper(joint=joint, distances=rho).interval.upper == pytest.approx(truth)
    assert fano.best_radius_upper(joint=joint, distances=rho).interval.upper == pytest.approx(truth)


def test_best_shells_is_the_minimum_over_all_partitions():
    """Dynamic programming against brute force; the finest partition is not always best."""
    rng = np.random.default_rng(5)
    finest_lost = 0
    for _ in range(25):
        k = 4
        joint = rng.integers(0, 9, (k, k)) + np.eye(k)
        joint = joint / joint.sum()
        rho = np.zeros((k, k))
        rho[np.triu_indices(k, 1)] = rng.integers(1, 7, 6) / 4
        rho += rho.T
        inner = np.unique(rho)[:-1]
        brute = min(
            fano.shells_upper(
                joint=joint, distances=rho, edges=inner[[bool(bits >> i & 1) for i in range(len(inner))]]
            ).interval.upper
            for bits in range(2 ** len(inner))
        )
        found = fano.best_shells_upper(joint=joint, distances=rho).interval.upper
        assert found == pytest.approx(brute, abs=1e-9)
        finest_lost += fano.shells_upper(joint=joint, distances=rho, edges=inner).interval.upper > found + 1e-9
    assert finest_lost > 0


def test_terms_are_all_necessary():
    """M14 no H2; M15 log N_min; M17 |X| - N_max: each would fall below an entropy."""
    # M14: two points, P = 1/2, Y constant: ln 2 is all in the H2 term.
    upper = fano.printed_upper(tail_prob=0.5, support_size=2, ball_min=1, ball_max=1, base=math.e).interval.upper
    assert upper == pytest.approx(math.log(2))
    # M15: path of three, Y = middle, t = 1: balls of 2 and 3, X uniform: ln 3 > ln 2.
    upper = fano.printed_upper(tail_prob=0.0, support_size=3, ball_min=2, ball_max=3, base=math.e).interval.upper
    assert upper == pytest.approx(math.log(3))
    # M17: star of 4, N_max = 4: P > 0 is possible since N_min = 2; the wrong term would be log 0.
    upper = fano.printed_upper(tail_prob=0.5, support_size=4, ball_min=2, ball_max=4, base=math.e).interval.upper
    assert upper == pytest.approx(math.log(4))


def test_balls_are_closed():
    """M16: two points at distance t, independent: with open balls the bound would be 0 < ln 2."""
    joint, rho = np.full((2, 2), 0.25), np.array([[0.0, 0.5], [0.5, 0.0]])
    assert fano.ball_upper(joint=joint, distances=rho, t=0.5, base=math.e).interval.upper == pytest.approx(math.log(2))
    assert fano.best_radius_upper(joint=joint, distances=rho, base=math.e).interval.upper == pytest.approx(math.log(2))


def test_closeness_alone_says_nothing_about_entropy():
    """M26: 1024 points in one ball: P = 0, and the bound is the vacuous log K."""
    certificate = fano.printed_upper(tail_prob=0.0, support_size=1024, ball_min=1024, ball_max=1024, base=math.e)
    assert certificate.interval.upper == pytest.approx(6.93147, abs=1e-5)
    assert certificate.label == "V"


def test_numbers_of_the_audit():
    """P = 0.028, K = 1024: 0.322, 1.886 and 4.123 nats for N = 1, 5, 50."""
    for n, value in ((1, 0.322), (5, 1.886), (50, 4.123)):
        upper = fano.printed_upper(
            tail_prob=0.028, support_size=1024, ball_min=n, ball_max=n, base=math.e
        ).interval.upper
        assert upper == pytest.approx(value, abs=6e-4)


@given(data=st.data(), pair=L.tables(2, 4, square=True), t=st.integers(0, 8).map(lambda k: k / 4))
@L.QUICK
def test_relabelling_changes_nothing(data, pair, t):
    rho = data.draw(L.distances(len(pair)))
    order = data.draw(st.permutations(range(len(pair))))
    one = {"joint": L.floats(pair), "distances": rho}
    two = {"joint": one["joint"][np.ix_(order, order)], "distances": rho[np.ix_(order, order)]}
    for function in (fano.best_radius_upper, fano.best_shells_upper):
        assert function(**one).interval.upper == pytest.approx(function(**two).interval.upper, abs=1e-9)


@given(p=st.floats(0, 1), q=st.floats(0, 1), k=st.integers(2, 30), data=st.data())
@L.QUICK
def test_an_interval_is_filled_with_its_worst_point(p, q, k, data):
    largest = data.draw(st.integers(1, k))
    smallest = data.draw(st.integers(1, min(largest, k - 1)))
    low, high = sorted((p, q))
    sizes = {"support_size": k, "ball_min": smallest, "ball_max": largest}
    wide = fano.printed_upper(tail_prob=Interval(low, high), **sizes).interval.upper
    for v in np.linspace(low, high, 7):
        assert wide >= fano.printed_upper(tail_prob=min(max(float(v), low), high), **sizes).interval.upper - 1e-12


def test_the_peak_is_inside_the_interval():
    """The bound falls beyond its peak: the upper end alone would be too small."""
    sizes = {"support_size": 3, "ball_min": 1, "ball_max": 1}
    at_end = fano.printed_upper(tail_prob=1.0, **sizes).interval.upper
    wide = fano.printed_upper(tail_prob=Interval(0.5, 1.0), **sizes).interval.upper
    assert at_end == pytest.approx(1.0)
    assert wide == pytest.approx(math.log2(3))


@pytest.mark.parametrize("base", BASES)
def test_bases_are_units(base):
    nats = fano.printed_upper(tail_prob=0.1, support_size=9, ball_min=1, ball_max=2, base=math.e)
    other = fano.printed_upper(tail_prob=0.1, support_size=9, ball_min=1, ball_max=2, base=base)
    assert other.interval.upper == pytest.approx(nats.interval.upper / math.log(base))
    assert other.base == base
    inherited = fano.predictor_upper(log_loss=nats, base=base)
    assert inherited.interval.upper == pytest.approx(other.interval.upper)


def test_conventions_at_the_corners():
    """M = N_min forces P = 0 (0 log 0 = 0); one symbol has no entropy."""
    assert fano.printed_upper(tail_prob=0.0, support_size=1, ball_min=1, ball_max=1).interval.upper == 0.0
    assert fano.printed_upper(tail_prob=Interval(0, 0.2), support_size=3, ball_min=3, ball_max=3).is_vacuous
    with pytest.raises(InvalidInputError, match="tail_prob = 0"):
        fano.printed_upper(tail_prob=0.1, support_size=3, ball_min=3, ball_max=3)


def test_sized_lists_agree_with_one_list_and_take_empty_ones():
    one = fano.list_upper(miss_prob=0.2, list_size=2, support_size=6).interval.upper
    assert fano.sized_lists_upper(
        sizes=[2], hit_probs=[0.8], miss_probs=[0.2], support_size=6
    ).interval.upper == pytest.approx(one)
    empty = fano.sized_lists_upper(sizes=[0, 1], hit_probs=[0, 0.75], miss_probs=[0.25, 0.0], support_size=4)
    assert empty.interval.upper == pytest.approx(0.25 * 2)
    with pytest.raises(InvalidInputError, match="empty list"):
        fano.sized_lists_upper(sizes=[0], hit_probs=[0.5], miss_probs=[0.5], support_size=4)


@pytest.mark.parametrize(
    "change",
    [
        {"ball_min": 3, "ball_max": 2},
        {"ball_max": 0, "ball_min": 0},
        {"ball_max": 10},
        {"support_size": 0},
        {"tail_prob": 1.5},
        {"base": 1.0},
        {"ball_min": 1.0},
    ],
)
def test_bad_input_is_refused(change):
    good = {"tail_prob": 0.1, "support_size": 5, "ball_min": 1, "ball_max": 2}
    with pytest.raises(InvalidInputError):
        fano.printed_upper(**{**good, **change})


def test_bad_tables_are_refused():
    joint = np.full((2, 2), 0.25)
    with pytest.raises(InvalidInputError, match="symmetric"):
        fano.ball_upper(joint=joint, distances=[[0, 1], [2, 0]], t=0.5)
    with pytest.raises(InvalidInputError, match="one shape"):
        fano.ball_upper(joint=joint, distances=np.zeros((3, 3)), t=0.5)
    with pytest.raises(InvalidInputError, match="strictly increasing"):
        fano.shells_upper(joint=joint, distances=np.zeros((2, 2)), edges=[1.0, 1.0])
