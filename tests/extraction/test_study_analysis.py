"""The study's scores on made-up data with known answers, next to scipy and scikit-learn."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

import study_analysis as analysis
from extraction.skip import late_entry, vision_exit
from extraction.study import choose_plan

ROWS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=3, max_size=30)


def cell(model, kind, harm, loss, speedup=1.0):
    return {"model": model, "kind": kind, "loss": loss, "flop_speedup": speedup, "predictors": {"x": harm}}


@given(rows=ROWS)
def test_spearman_is_that_of_scipy(rows):
    x, y = np.array(rows, dtype=float).T
    ours = analysis.spearman(x, y)
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        assert math.isnan(ours)
    else:
        assert ours == pytest.approx(spearmanr(x, y).statistic, abs=1e-12)


@given(rows=ROWS)
def test_auc_is_that_of_scikit_learn(rows):
    harm, bad = np.array([r[0] for r in rows]), np.array([r[1] > 3 for r in rows])
    ours = analysis.auc(harm, bad)
    if bad.all() or not bad.any():
        assert math.isnan(ours)
    else:
        assert ours == pytest.approx(roc_auc_score(bad, harm), abs=1e-12)


def test_known_values():
    assert analysis.spearman([1, 2, 3, 4], [10, 20, 30, 40]) == pytest.approx(1.0)
    assert analysis.spearman([1, 2, 3], [3, 1, 2]) == pytest.approx(-0.5)
    # Harmful at 1 and 4, harmless at 2 and 3: two of four pairs in the right order.
    assert analysis.auc([1, 2, 3, 4], [True, False, False, True]) == 0.5
    assert analysis.auc([5, 5], [True, False]) == 0.5


def test_within_and_pooled_tell_different_things():
    # In each model the rank is perfect, but the models' scales run against each other.
    cells = [cell("a", "late entry", h, h / 10) for h in (1, 2, 3)]
    cells += [cell("b", "late entry", h, (h - 10) / 1000) for h in (11, 12, 13)]
    result = analysis.statistics_of(cells, "x")
    assert result["spearman_within"] == pytest.approx(1.0)
    pooled = spearmanr([1, 2, 3, 11, 12, 13], [c["loss"] for c in cells]).statistic
    assert result["spearman_pooled"] == pytest.approx(pooled)
    assert pooled < 0
    # Harmful: all of model a (10, 20 and 30 points); all of b is harmless and rated worse.
    assert result["auc_pooled"] == 0.0


def test_bootstrap_draws_models_not_cells():
    alike = [cell(m, "late entry", h, h / 10) for m in "abc" for h in (0.1, 2, 3)]
    low, high = analysis.bootstrap(alike, lambda c: analysis.statistics_of(c, "x"), n=50)["spearman_within"]
    assert (low, high) == (1.0, 1.0)
    mixed = alike[:3] + [cell("b", "late entry", -h, h / 10) for h in (0.1, 2, 3)]
    first = analysis.bootstrap(mixed, lambda c: analysis.statistics_of(c, "x"), n=60)
    assert first["spearman_within"] == pytest.approx([-1.0, 1.0])
    assert first == analysis.bootstrap(mixed, lambda c: analysis.statistics_of(c, "x"), n=60)


def test_rule_counts_by_hand():
    cells = [cell("a", "late entry", h, loss) for h, loss in ((1, 0.0), (1, 0.02), (1, 0.021), (2, 0.5), (2, 0.01))]
    counts = analysis.rule_counts(cells, lambda c: c["predictors"]["x"] == 1)
    assert counts == {
        "cells": 5,
        "harmless": 3,
        "called_safe": 3,
        "false_safe": 1,
        "false_safe_rate": pytest.approx(1 / 3),
        "missed": 1,
        "worst_loss": 0.021,
    }
    none = analysis.rule_counts(cells, lambda c: False)
    assert (none["called_safe"], none["false_safe_rate"], none["worst_loss"]) == (0, None, None)


@pytest.mark.parametrize("one_chain", [False, True])
def test_the_simulated_choice_is_that_of_the_package(one_chain):
    """With as many draws as samples and one repetition, `order_power` and `choose_plan` see the same losses."""
    plans = [*map(late_entry, (1, 2, 3)), *map(vision_exit, (1, 2, 3))]
    kinds = ["late entry"] * 3 + ["vision exit"] * 3
    speedups = np.array([1.1, 1.3, 1.7, 1.8, 1.35, 1.15])
    for seed in range(20):
        rng = np.random.default_rng(100 + seed)
        losses = rng.random((6, 300)) < rng.choice([0.0, 0.025, 0.03], size=6)[:, None]
        times = np.random.default_rng(seed).multinomial(300, np.full(300, 1 / 300))
        drawn = np.repeat(losses, times, axis=1)
        result = analysis.order_power(
            losses, speedups, kinds, None, one_chain=one_chain, risk=0.05, n_draw=300, repeats=1, seed=seed
        )
        choice = choose_plan(
            plans,
            list(drawn.astype(int)),
            costs=1 / speedups,
            sample_ids=[str(i) for i in range(300)],
            risk=0.05,
            chains=None if one_chain else kinds,
        )
        cost = 1.0 if choice.chosen_test is None else choice.chosen_test.cost
        assert result["relative_cost"] == pytest.approx(cost)


def test_an_order_from_the_same_losses_breaks_the_level():
    """Why statistics that order the tests must come from other samples: ten plans whose risk is just the tolerated."""
    rng = np.random.default_rng(3)
    n, n_plans, risk, repeats = 200, 10, 0.1, 1500
    counts = rng.binomial(n, risk, size=(repeats, n_plans))
    p_values = analysis.binom.cdf(counts, n, risk)
    declared = analysis.fixed_sequence(p_values, np.arange(n_plans), 0.05).any(axis=1).mean()
    looked = np.mean(p_values.min(axis=1) <= 0.05)  # the plan that looks best is tested first
    sorted_first = [analysis.fixed_sequence(p, np.argsort(p), 0.05).any() for p in p_values[:100]]
    assert sorted_first == (p_values[:100].min(axis=1) <= 0.05).tolist()
    assert declared <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / repeats)
    assert looked > 0.2


def test_the_guarantee_holds_for_any_order_declared_beforehand():
    rng = np.random.default_rng(5)
    risks = np.array([0.01, 0.06, 0.02, 0.07, 0.03, 0.055])
    losses = rng.random((6, 400)) < risks[:, None]
    kinds, speedups = ["late entry"] * 3 + ["vision exit"] * 3, np.linspace(1.1, 2.0, 6)
    for harm in (None, losses.mean(axis=1), -losses.mean(axis=1), rng.random(6)):
        for one_chain in (False, True):
            result = analysis.order_power(losses, speedups, kinds, harm, one_chain=one_chain, risk=0.05, repeats=400)
            assert result["violations"] <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 400)


def test_the_tests_run_in_the_order_of_cost_whatever_the_losses():
    plans = [late_entry(1), late_entry(2), vision_exit(3), vision_exit(2)]
    ids, costs = [str(i) for i in range(50)], [0.9, 0.7, 0.8, 0.6]
    rng = np.random.default_rng(0)
    orders = set()
    for _ in range(5):
        losses = rng.integers(0, 2, size=(4, 50))
        choice = choose_plan(plans, list(losses), costs=costs, sample_ids=ids)
        orders.add(tuple(str(test.plan) for test in choice.tests))
    assert orders == {("late_entry(1)", "vision_exit(3)", "late_entry(2)", "vision_exit(2)")}


@given(bits=st.lists(st.booleans(), min_size=1, max_size=40))
def test_losses_survive_the_record(bits):
    assert analysis.from_hex(analysis.to_hex(bits), len(bits)).tolist() == bits
