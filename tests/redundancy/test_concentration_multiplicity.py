"""Many statements at once: Bonferroni's errors add up, Holm is closed testing, and no more than delta goes wrong."""

import math
from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from redundancy.concentration import bonferroni, holm, mean_capital, mean_p_value
from redundancy.concentration.capital import Problem, solve
from redundancy.errors import InvalidInputError
from support import sampling_laws as S

ROUNDING = 1e-12
P_VALUES = st.lists(st.integers(0, 200).map(lambda k: k / 1000), min_size=1, max_size=6)


def closed_testing(p_values, delta):
    """Refute i if Bonferroni refutes every set of hypotheses that contains i: the definition, over all sets."""
    m = range(len(p_values))
    sets = [s for size in range(1, len(p_values) + 1) for s in combinations(m, size)]
    lost = [s for s in sets if min(p_values[i] for i in s) * len(s) > delta]
    return tuple(not any(i in s for s in lost) for i in m)


# ------------------------------------------------------------------- holds


@pytest.mark.parametrize("mode", ["fixed", "sequence"])
@pytest.mark.parametrize("side", ["upper", "lower"])
def test_p_values_are_valid_over_every_sample(side, mode):
    """P(p <= a) <= a for all a, at the boundary of the hypothesis and inside it."""
    values, law = [0.0, 0.4, 1.0], [0.5, 0.2, 0.3]
    samples, masses = S.iid_samples(values, law, 6)
    truth = float(np.dot(values, law))
    for threshold in (truth, 0.8 * truth if side == "upper" else 1.2 * truth):
        p = np.array([mean_p_value(x, threshold, side=side, confidence_level=0.8, mode=mode) for x in samples])
        for a in np.unique(p):
            assert masses[p <= a].sum() <= a + ROUNDING


def coupling(first, second):
    """Masses of pairs that walk through both laws in the given orders: the joint law of a single coin."""
    cuts = np.unique(np.concatenate([[0.0], np.cumsum(first), np.cumsum(second)]).round(15))
    middles = 0.5 * (cuts[1:] + cuts[:-1])
    joint = np.zeros((len(first), len(second)))
    rows, columns = (np.searchsorted(np.cumsum(law), middles).clip(max=len(law) - 1) for law in (first, second))
    np.add.at(joint, (rows, columns), np.diff(cuts))
    return joint


@pytest.mark.parametrize("dependence", ["independent", "equal", "opposed"])
def test_holm_on_capital_keeps_the_family_wise_error_over_every_sample(dependence):
    """Two true hypotheses, at their boundary, and a false one; all p-values listed with their probability."""
    n, delta = 5, 0.5
    samples, true_masses = S.iid_samples([0.0, 1.0], [0.4, 0.6], n)
    _, false_masses = S.iid_samples([0.0, 1.0], [0.95, 0.05], n)
    p = np.array([mean_p_value(x, 0.6, confidence_level=1 - delta) for x in samples])
    groups, where = np.unique(p.round(12), return_inverse=True)
    law, false_law = (np.bincount(where, weights=m) for m in (true_masses, false_masses))
    joint = {
        "independent": np.outer(law, law),
        "equal": coupling(law, law),
        "opposed": coupling(law, law[::-1])[:, ::-1],
    }[dependence]
    np.testing.assert_allclose(joint.sum(axis=0), law, atol=1e-12)
    np.testing.assert_allclose(joint.sum(axis=1), law, atol=1e-12)
    wrong = 0.0
    for i, j in np.argwhere(joint):
        for k, c in enumerate(groups):
            refuted = holm([groups[i], groups[j], c], confidence_level=1 - delta).refuted
            wrong += joint[i, j] * false_law[k] * (refuted[0] or refuted[1])
    assert 0.0 < wrong <= delta + ROUNDING


def exact_binomial_error(adjust):
    """Probability that a true hypothesis is refuted: two true ones, independent, with p-values that attain 1/2."""
    cdf = np.array([scipy.stats.binom.cdf(k, 3, 0.5) for k in range(4)])
    masses = S.binomial_masses(3, 0.5)
    return sum(masses[i] * masses[j] * any(adjust([cdf[i], cdf[j]])) for i in range(4) for j in range(4))


def test_holm_keeps_the_error_where_single_tests_do_not():
    """Exact binomial p-values reach 1/2 with probability 1/2; unadjusted, one of two fails in 3 of 4 runs."""
    assert exact_binomial_error(lambda p: [x <= 0.5 for x in p]) == pytest.approx(0.75)
    assert exact_binomial_error(lambda p: holm(p, confidence_level=0.5).refuted) <= 0.5


@pytest.mark.parametrize("level", [0.5, 0.8, 0.95])
def test_bonferroni_on_bounds_keeps_the_joint_level(level):
    """Three means of one image, listed in full: values that exclude each other, the worst dependence."""
    from redundancy.concentration.capital import Problem, solve, solved_together

    each = bonferroni(level, 3)[0]
    samples, masses = S.iid_samples([0, 1, 2, 3], [0.1, 0.1, 0.1, 0.7], 6)
    problems = [Problem((samples[i] == k).astype(float), None, 1 - each) for i in range(len(samples)) for k in range(3)]
    with solved_together(problems):
        found = np.array([solve(p) for p in problems]).reshape(-1, 3)
    assert masses[(found < 0.1).any(axis=1)].sum() <= 1 - level + ROUNDING


# ---------------------------------------------------------------- attained


@S.QUICK
@given(p=P_VALUES, delta=st.sampled_from([0.05, 0.1, 0.25, 0.5]))
def test_holm_is_closed_testing_with_bonferroni(p, delta):
    error = 1.0 - (1.0 - delta)  # as the library sees it
    assert holm(p, confidence_level=1.0 - delta).refuted == closed_testing(p, error)


def test_published_example():
    """Holm's step-down on p = .01, .04, .03, .005 at 5 per cent: refutes the first and the last."""
    verdict = holm([0.01, 0.04, 0.03, 0.005])
    assert verdict.refuted == (True, False, False, True)
    assert verdict.adjusted == pytest.approx((0.03, 0.06, 0.06, 0.02))


@S.QUICK
@given(level=st.integers(1, 999), weights=st.lists(st.integers(1, 20), min_size=1, max_size=40))
def test_the_errors_add_up_to_the_error(level, weights):
    """In rational arithmetic: never more than 1 - level, and nothing wasted."""
    level /= 1000
    for levels in (bonferroni(level, len(weights)), bonferroni(level, len(weights), weights=weights)):
        spent = sum(1 - Fraction(single) for single in levels)
        assert spent <= 1 - Fraction(level)
        assert spent >= (1 - Fraction(level)) * (1 - Fraction(1, 10**10))


def test_capital_is_the_product_by_hand():
    """Stakes sqrt(2 ln 20 / (s^2 n)), capped at 0.95, on 1, 0 against the mean 1/2."""
    bets = S.textbook_bets([1.0, 0.0], [1.0, 1.0], 1 - 0.95, "fixed")
    by_hand = [1 - bets[0] * 0.5, (1 - bets[0] * 0.5) * (1 + bets[1] * 0.5)]
    assert mean_capital([1.0, 0.0], 0.5) == pytest.approx(by_hand, rel=1e-12)
    assert mean_capital([2.0, 0.0], 1.0, scale=2.0) == pytest.approx(by_hand, rel=1e-12)
    assert mean_p_value([1.0, 0.0], 0.5) == pytest.approx(min(1.0, 1 / max(by_hand)), rel=1e-8)


# --------------------------------------------------------------- necessary


def test_maxima_over_orders_may_not_be_averaged_last_capitals_may():
    """The average of last capitals has mean 1, that of running maxima more (theory.md section 3)."""
    samples, masses = S.iid_samples([0.0, 1.0], [0.5, 0.5], 8)
    paths = np.array([[mean_capital(x[order], 0.5) for order in (np.arange(8), np.arange(8)[::-1])] for x in samples])
    assert masses @ paths[:, :, -1].mean(axis=1) == pytest.approx(1.0, rel=1e-11)
    assert masses @ paths.max(axis=2).mean(axis=1) > 1.2


def test_statements_chosen_after_looking_need_the_whole_split():
    """The best of three layers, bounded at the single level, fails more often than that level allows."""
    from redundancy.concentration.capital import Problem, solve, solved_together

    samples, masses = S.iid_samples([0.0, 1.0], [0.5, 0.5], 6)
    problems = [Problem(x, None, 0.2) for x in samples]
    with solved_together(problems):
        wrong = masses[np.array([solve(p) for p in problems]) < 0.5].sum()
    assert wrong <= 0.2
    assert 1 - (1 - wrong) ** 8 > 0.2


# ---------------------------------------------------------------- coherent


@S.QUICK
@given(p=P_VALUES, order=st.randoms(use_true_random=False))
def test_holm_has_at_least_bonferronis_power_and_no_favourites(p, order):
    verdict = holm(p)
    single = 1 - bonferroni(0.95, len(p))[0]
    assert all(refuted or value > single for refuted, value in zip(verdict.refuted, p, strict=True))
    picks = list(range(len(p)))
    order.shuffle(picks)
    again = holm([p[i] for i in picks])
    assert again.adjusted == tuple(verdict.adjusted[i] for i in picks)
    assert all(a >= value for a, value in zip(verdict.adjusted, p, strict=True))
    assert set(np.flatnonzero(holm(p, confidence_level=0.99).refuted)) <= set(np.flatnonzero(verdict.refuted))


@S.QUICK
@given(x=st.lists(st.integers(0, 8).map(lambda k: k / 8), min_size=1, max_size=25), level=st.sampled_from([0.7, 0.95]))
def test_p_value_and_bound_agree(x, level):
    """A threshold above the bound is refuted at its level, one below is not: two faces of one capital."""
    sample, delta = np.array(x), 1 - level
    upper, lower = (solve(Problem(sample, None, delta, side)) for side in ("upper", "lower"))
    if upper < 1.0:
        assert mean_p_value(x, min(1.0, upper + 1e-6), confidence_level=level) <= 1 - level
    assert mean_p_value(x, upper - 1e-6, confidence_level=level) > (1 - level) * (1 - 1e-6)
    if lower > 1e-6:
        assert mean_p_value(x, lower - 1e-6, side="lower", confidence_level=level) <= 1 - level
    assert mean_p_value(x, lower + 1e-6, side="lower", confidence_level=level) > (1 - level) * (1 - 1e-6)


def test_a_capital_out_of_the_range_of_floats_is_stopped():
    top = mean_capital(np.zeros(5000), 0.9)
    assert np.isfinite(top).all()
    assert top[-1] == np.finfo(float).max
    assert 0.0 < mean_p_value(np.zeros(5000), 0.9) < 1e-300
    # 5,000 losses, then gains enough for 1e900: what was lost below the smallest float stays lost.
    fall = mean_capital(np.concatenate([np.ones(5000), np.zeros(50_000)]), 0.5, confidence_level=0.999)
    assert fall[-1] == 0.0
    assert (np.diff(fall[:5000]) <= 0.0).all()


# ------------------------------------------------------------------ errors


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bonferroni(0.95, 0), "need n_statements"),
        (lambda: bonferroni(1.0, 2), "need confidence_level inside"),
        (lambda: bonferroni(0.95, 2, weights=[1.0]), "need 2 positive weights, got"),
        (lambda: bonferroni(0.95, 2, weights=[1.0, 0.0]), "need 2 positive weights, got"),
        (lambda: bonferroni(0.95, 2, weights=[1.0, math.inf]), "need 2 positive weights, got"),
        (lambda: bonferroni(0.95, 2, weights=[1.0, 1e-16]), "need shares of the error above 1e-16"),
        (lambda: holm([]), "need one p-value in .0, 1. per hypothesis"),
        (lambda: holm([0.1, math.nan]), "need one p-value"),
        (lambda: holm([1.1]), "need one p-value"),
        (lambda: holm([0.1], confidence_level=0.0), "need confidence_level inside"),
        (lambda: mean_capital([0.1], 0.5, side="both"), "need side 'upper' or 'lower', got 'both'"),
        (lambda: mean_capital([0.1], 0.5, mode="later"), "need a mode among"),
        (lambda: mean_capital([0.1], 1.5), "need threshold inside"),
        (lambda: mean_capital([1.5], 0.5), "at image 0"),
        (lambda: mean_p_value([], 0.5), "got shape"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(InvalidInputError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
