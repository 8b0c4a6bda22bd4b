"""Lemmas 1 to 5: hold, are attained with their constants, and fail without their assumptions."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from redundancy.bounds import lemmas
from redundancy.errors import AssumptionError, InvalidInputError
from redundancy.interval import Interval
from support import theory_laws as L

vectors = st.lists(st.integers(-5, 5), min_size=2, max_size=2)


@given(a=vectors, b=vectors, c=vectors)
@L.QUICK
def test_lemma_1_and_3_hold(a, b, c):
    def squared(u):
        return L.square([Fraction(v) for v in u])

    ab, bc = squared(L.minus(a, b)), squared(L.minus(b, c))
    legs = {"first": L.root_up(ab), "second": L.root_up(bc)}
    truth = squared(L.minus(a, c))
    printed, sharp = lemmas.squared_triangle_upper(**legs), lemmas.squared_triangle_minkowski(**legs)
    assert L.at_least(sharp.interval.upper, truth)
    assert printed.interval.upper >= sharp.interval.upper * (1 - 1e-12)
    three = {"first": float(squared(a)), "second": float(squared(b)), "third": float(squared(c))}
    total = squared([x + y + z for x, y, z in zip(a, b, c, strict=True)])
    printed, sharp = lemmas.squared_sum_upper(**three), lemmas.sum_minkowski(**three)
    assert L.at_least(sharp.interval.upper, total)
    assert printed.interval.upper >= sharp.interval.upper * (1 - 1e-12)


def test_constants_two_and_three_are_attained():
    """M1: points 0, 1, 2 on the line: 4 = 2 + 2. M3: a = b = c: 9 = 3 * 3."""
    assert lemmas.squared_triangle_upper(first=1.0, second=1.0).interval.upper == pytest.approx(4.0, abs=1e-12)
    assert lemmas.squared_triangle_upper(first=1.0, second=1.0).interval.upper >= 4.0
    assert lemmas.squared_triangle_minkowski(first=1.0, second=2.0).interval.upper == pytest.approx(9.0, abs=1e-12)
    assert lemmas.squared_sum_upper(first=1.0, second=1.0, third=1.0).interval.upper == pytest.approx(9.0, abs=1e-12)
    assert lemmas.squared_sum_upper(first=1.0, second=1.0, third=1.0).interval.upper >= 9.0
    assert lemmas.sum_minkowski(first=1.0, second=4.0, third=9.0).interval.upper == pytest.approx(36.0, abs=1e-12)


@given(data=st.data(), pair=L.tables(2, 4))
@L.QUICK
def test_lemma_2_is_an_identity_for_unit_states(data, pair):
    xs = [data.draw(st.sampled_from(L.UNIT)) for _ in range(pair.shape[0])]
    ys = [data.draw(st.sampled_from(L.UNIT)) for _ in range(pair.shape[1])]
    rho = sum((pair[i, j] * (1 - L.dot(x, y)) for i, x in enumerate(xs) for j, y in enumerate(ys)), Fraction(0))
    d = L.squared_distance(pair, xs, ys)
    assert d == 2 * rho
    interval = lemmas.squared_distance_of_cosine(mean_distance=float(rho)).interval
    assert interval == Interval(2 * float(rho), 2 * float(rho))


def test_lemma_2_needs_unit_norm():
    """M2: e1 and 3 e1: cosine distance 0, squared distance 4; the general form sees it."""
    certificate = lemmas.squared_distance_of_cosine(mean_distance=0.0)
    assert certificate.interval.upper == 0.0 < 4.0
    assert [a.name for a in certificate.assumptions] == ["unit_norm"]
    general = lemmas.squared_distance_of_norms(
        mean_distance=0.0, norm_gap_squared=4.0, norm_lower=1.0, norm_upper=3.0
    ).interval
    assert general.lower <= 4.0 <= general.upper
    assert general.width < 1e-12


@given(data=st.data(), pair=L.tables(2, 3))
@L.QUICK
def test_lemma_2_for_any_norms_holds(data, pair):
    scales = st.sampled_from([Fraction(1, 2), Fraction(1), Fraction(3)])

    def draw(n):
        chosen = [(data.draw(scales), data.draw(st.sampled_from(L.UNIT))) for _ in range(n)]
        return chosen, [tuple(s * v for v in u) for s, u in chosen]

    (nx, xs), (ny, ys) = draw(pair.shape[0]), draw(pair.shape[1])
    cells = [(pair[i, j], nx[i], ny[j]) for i in range(len(nx)) for j in range(len(ny))]
    rho = sum((p * (1 - L.dot(u, v)) for p, (_, u), (_, v) in cells), Fraction(0))
    gap = sum((p * (r - s) ** 2 for p, (r, _), (s, _) in cells), Fraction(0))
    norms = [float(s) for s, _ in (*nx, *ny)]
    interval = lemmas.squared_distance_of_norms(
        mean_distance=float(rho), norm_gap_squared=float(gap), norm_lower=min(norms), norm_upper=max(norms)
    ).interval
    d = L.squared_distance(pair, xs, ys)
    assert L.at_least(interval.upper, d)
    assert L.at_most(interval.lower, d)


@given(law=L.chains("O", 3))
@L.QUICK
def test_lemma_4_holds_under_its_chain(law):
    truth = L.information_given(law, 2, 0, 1)
    interval = lemmas.divergence_information(joint=L.floats(law), base=math.e).interval
    assert interval.lower <= truth + 1e-12
    assert interval.upper >= truth - 1e-40
    assert interval.width < 1e-10
    bits = lemmas.divergence_information(joint=L.floats(law)).interval
    assert bits.upper == pytest.approx(interval.upper / math.log(2), abs=1e-12)


def test_lemma_4_needs_its_chain():
    """M4: X, Y fair independent, Z = Y flipped 1/4: left side (1/2) ln(4/3) = 0.1438, right side 0."""
    law = np.empty((2, 2, 2), dtype=object)
    for x in (0, 1):
        for y in (0, 1):
            for z in (0, 1):
                law[x, y, z] = Fraction(1, 4) * Fraction(3 if y == z else 1, 4)
    assert L.information_given(law, 2, 0, 1) == pytest.approx(0.0, abs=1e-30)
    with pytest.raises(AssumptionError, match="previous - next - task"):
        lemmas.divergence_information(joint=L.floats(law))
    left = 0.5 * (0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25)) * 2
    assert left == pytest.approx(0.5 * math.log(4 / 3))


@given(pair=L.tables(2, 4))
@L.QUICK
def test_lemma_5_is_the_conditional_entropy(pair):
    truth = L.conditional_entropy(pair)
    interval = lemmas.self_unique_information(joint=L.floats(pair), base=math.e).interval
    assert L.at_least(interval.upper, truth)
    assert L.at_most(interval.lower, truth)
    assert interval.width < 1e-11


def test_lemma_5_is_not_the_entropy():
    """M25: X = Y a bit: unique information 0, not ln 2."""
    certificate = lemmas.self_unique_information(joint=[[0.5, 0], [0, 0.5]])
    assert certificate.interval.upper < 1e-12
    assert certificate.trivial.upper == pytest.approx(1.0)


@pytest.mark.parametrize("bad", [float("nan"), -1.0, Interval(-1.0, 0.0)])
def test_bad_input_is_refused(bad):
    with pytest.raises(InvalidInputError):
        lemmas.squared_triangle_upper(first=bad, second=1.0)
    with pytest.raises(InvalidInputError):
        lemmas.squared_distance_of_cosine(mean_distance=bad)
