"""Definitions 1 to 4 as functions of samples, counts and laws, and their verdicts."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from redundancy import notions
from redundancy.bounds import lipschitz, tail
from redundancy.distances import ball_masses, ball_sizes, cosine_distance, pairwise_cosine_distance, squared_distance
from redundancy.errors import InvalidInputError
from redundancy.interval import Interval
from support import theory_laws as L


def test_cosine_distance_agrees_with_scipy():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(50, 7)), rng.normal(size=(50, 7))
    reference = np.diag(cdist(x, y, "cosine"))
    assert cosine_distance(x, y) == pytest.approx(reference, abs=1e-14)
    assert pairwise_cosine_distance(x) == pytest.approx(cdist(x, x, "cosine"), abs=1e-14)
    assert squared_distance(x, y) == pytest.approx(np.diag(cdist(x, y, "sqeuclidean")))


def test_cosine_distance_keeps_small_distances_and_its_range():
    close = cosine_distance([[1.0, 1e-9]], [[1.0, 0.0]])
    assert close[0] == pytest.approx(5e-19, rel=1e-6)
    assert cosine_distance([[1e200, 0.0]], [[-1e-200, 0.0]])[0] == 2.0
    rng = np.random.default_rng(2)
    v = rng.normal(size=(1000, 5))
    assert (cosine_distance(v, -v) <= 2.0).all()
    assert (cosine_distance(v, 3.7 * v) >= 0.0).all()


def test_zero_and_ragged_vectors_are_refused():
    with pytest.raises(InvalidInputError, match="row 1"):
        cosine_distance([[1.0], [0.0]], [[1.0], [1.0]])
    with pytest.raises(InvalidInputError, match="one shape"):
        cosine_distance([[1.0]], [[1.0], [1.0]])
    with pytest.raises(InvalidInputError, match="NaN"):
        cosine_distance([[np.nan]], [[1.0]])


def test_balls_are_closed_and_weighted():
    rho = np.array([[0, 0.5, 1], [0.5, 0, 0.5], [1, 0.5, 0]])
    assert ball_sizes(rho, 0.5).tolist() == [2, 3, 2]
    assert ball_sizes(rho, 0.4999).tolist() == [1, 1, 1]
    assert ball_masses(rho, [0.5, 0.25, 0.25], 0.5).tolist() == [0.75, 1.0, 0.5]


def test_ties_separate_the_two_tails():
    """Definition 2 counts rho < t, the theorems count rho > t; an atom at t is neither."""
    rho = [0.1, 0.2, 0.2, 0.3]
    assert notions.tail_prob(rho, 0.2) == 0.25
    assert notions.tail_prob_closed(rho, 0.2) == 0.75
    table = np.array([[0.5, 0.0], [0.5, 0.0]])
    distances = np.array([[0.0, 0.2], [0.2, 0.0]])
    assert notions.tail_prob_of_law(table, distances, 0.2) == 0.0
    assert notions.tail_prob_closed_of_law(table, distances, 0.2) == 0.5
    assert notions.tail_prob_of_counts(1, 4) == 0.25


@given(data=st.data(), pair=L.tables(2, 4, square=True), k=st.integers(0, 8))
@L.QUICK
def test_laws_agree_with_fractions(data, pair, k):
    rho = data.draw(L.distances(len(pair)))
    t = k / 4
    cells = list(zip(pair.ravel(), rho.ravel(), strict=True))
    assert notions.mean_distance_of_law(L.floats(pair), rho) == pytest.approx(
        float(sum(p * Fraction(r) for p, r in cells))
    )
    assert notions.tail_prob_of_law(L.floats(pair), rho, t) == pytest.approx(float(sum(p for p, r in cells if r > t)))
    assert notions.tail_prob_closed_of_law(L.floats(pair), rho, t) == pytest.approx(
        float(sum(p for p, r in cells if r >= t))
    )


@given(data=st.data(), law=L.tables(3, 3))
@L.QUICK
def test_functional_quantities_agree_with_fractions(data, law):
    values = data.draw(L.task_values(law.shape[2]))
    joint, task = L.floats(law), L.floats(values)
    assert notions.functional_gap_of_law(joint, task) == pytest.approx(float(L.functional_gap(law, values)), abs=1e-12)
    errors = notions.minimum_errors_of_law(joint, task)
    assert errors == pytest.approx((float(L.mmse(law, values, 0)), float(L.mmse(law, values, 1))), abs=1e-12)
    assert notions.task_variance_of_law(joint, task) == pytest.approx(float(L.variance(law, values)), abs=1e-12)


def test_probe_gap_is_a_mean_of_squares():
    assert notions.probe_gap([[1.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 2.0]]) == 2.5


def test_means_of_samples_and_sums():
    x, y = np.array([[1.0, 0.0], [0.0, 2.0]]), np.array([[0.0, 1.0], [0.0, 1.0]])
    assert notions.mean_distance(x, y) == pytest.approx(0.5)
    assert notions.mean_distance_of_sums(1.0, 2) == 0.5
    with pytest.raises(InvalidInputError, match="one token"):
        notions.mean_distance_of_sums(0.0, 0)
    with pytest.raises(InvalidInputError):
        notions.tail_prob([], 0.1)


def test_plug_in_entropy_refuses_the_degenerate_case():
    """n = 1000 distinct samples: the plug-in estimate is 0 whatever the truth."""
    rng = np.random.default_rng(0)
    with pytest.raises(InvalidInputError, match="whatever the truth"):
        notions.plug_in_conditional_entropy(rng.integers(0, 64, 1000), np.arange(1000))
    exact = notions.plug_in_conditional_entropy([0, 0, 1, 1], [0, 0, 1, 0])
    assert exact == pytest.approx(0.75 * (-(2 / 3) * math.log2(2 / 3) - (1 / 3) * math.log2(1 / 3)))


def test_plug_in_entropy_is_biased_down():
    """K = 64, n = 500, independent uniform codes: about 2.05 nats against 4.16."""
    rng = np.random.default_rng(0)
    estimates = [
        notions.plug_in_conditional_entropy(rng.integers(0, 64, 500), rng.integers(0, 64, 500), base=math.e)
        for _ in range(20)
    ]
    assert np.mean(estimates) == pytest.approx(2.0, abs=0.15)


def test_redundant_fraction_tells_large_information_from_redundancy():
    """M27: X = (A, C), Y = A: three bits shared, half of X missing."""
    table = np.zeros((64, 8))
    for a in range(8):
        table[8 * a : 8 * a + 8, a] = 1 / 64
    assert notions.redundant_fraction_of_law(table) == pytest.approx(0.5)
    assert notions.redundant_fraction_of_law(np.ones((1, 3)) / 3) == 1.0
    assert notions.conditional_entropy_of_law(table) == pytest.approx(3.0)


@pytest.mark.parametrize(
    ("value", "status"),
    [
        (0.09, "holds"),
        (0.1, "refuted"),
        (Interval(0.0, 0.0999), "holds"),
        (Interval(0.0, 0.1), "undecided"),
        (Interval(0.05, 0.2), "undecided"),
        (Interval(0.1, 0.2), "refuted"),
    ],
)
def test_verdicts_are_strict(value, status):
    for function, name in (
        (notions.geometric_verdict, "mean_distance"),
        (notions.functional_verdict, "functional_gap"),
        (notions.informational_verdict, "conditional_entropy"),
        (notions.proximal_verdict, "tail_prob_closed"),
    ):
        verdict = function(**{name: value}, epsilon=0.1)
        assert verdict.status == status
        assert bool(verdict) is (status == "holds")
        assert status in verdict.sentence()
        assert verdict.to_record()["status"] == status


def test_the_strict_tail_can_refute_but_never_establish():
    assert notions.proximal_verdict(tail_prob=0.0, epsilon=0.1).status == "undecided"
    assert notions.proximal_verdict(tail_prob=Interval(0.05, 0.08), epsilon=0.1).status == "undecided"
    assert notions.proximal_verdict(tail_prob=Interval(0.1, 0.3), epsilon=0.1).status == "refuted"
    with pytest.raises(InvalidInputError, match="both"):
        notions.proximal_verdict(tail_prob=0.1, tail_prob_closed=0.1, epsilon=0.1)
    with pytest.raises(InvalidInputError, match="neither"):
        notions.proximal_verdict(epsilon=0.1)


def test_a_verdict_keeps_its_certificate():
    certificate = tail.sandwich_upper(tail_prob=0.01, t=0.05)
    verdict = notions.geometric_verdict(mean_distance=certificate, epsilon=0.1)
    assert verdict.certificate is certificate
    assert "tail.sandwich_upper" in verdict.sentence()
    assumed = lipschitz.unit_norm_upper(mean_distance=certificate, alpha=1, beta=1)
    assert notions.functional_verdict(functional_gap=assumed, epsilon=1.0).to_record()["evidence"] == "A"


@pytest.mark.parametrize("epsilon", [0.0, -1.0, float("nan"), float("inf")])
def test_bad_epsilon_is_refused(epsilon):
    with pytest.raises(InvalidInputError):
        notions.geometric_verdict(mean_distance=0.1, epsilon=epsilon)
