"""Code mismatch with kappa: holds with no assumption, is attained, and needs more than the diameter for vectors."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from redundancy.bounds import mismatch
from redundancy.bounds.task_range import kappa, task_range
from support import theory_laws as L

CHAIN = {"O": "prev-next-task", "N": "next-prev-task"}


@given(data=st.data())
@L.QUICK
def test_code_mismatch_holds_with_no_assumption(data):
    n = data.draw(st.integers(1, 3))
    k = data.draw(st.integers(1, 4))
    weights = data.draw(st.lists(st.integers(0, 9), min_size=n * n * k, max_size=n * n * k).filter(any))
    law = L.rational_table(weights, (n, n, k))
    values = data.draw(L.task_values(k, 3))
    p = sum((law[x, y].sum() for x in range(n) for y in range(n) if x != y), Fraction(0))
    gap = L.functional_gap(law, values)
    task = L.floats(values)
    found = mismatch.mismatch_upper(mismatch_prob=float(p), task_values=task)
    assert L.at_least(found.interval.upper, gap)
    diameter = task_range(task).diameter
    vector = mismatch.mismatch_upper_of_diameter(mismatch_prob=float(p), diameter=diameter, kind="vector")
    assert L.at_least(vector.interval.upper, gap)
    if values.shape[1] == 1:
        scalar = mismatch.mismatch_upper_of_diameter(mismatch_prob=float(p), diameter=diameter, kind="scalar")
        assert L.at_least(scalar.interval.upper, gap)
    labels = np.eye(k, dtype=int).astype(object)
    one_hot = mismatch.mismatch_upper_of_diameter(mismatch_prob=float(p), diameter=math.sqrt(2), kind="one_hot")
    assert L.at_least(one_hot.interval.upper, L.functional_gap(law, labels))


def test_kappa_against_brute_force_and_known_values():
    rng = np.random.default_rng(3)
    for _ in range(10):
        values = rng.integers(-3, 4, (4, 2)).astype(float)
        brute = max(float((a - b) @ (h - d) + (c - d) @ (a - h)) for a, b, c, d, h in product(values, repeat=5))
        found = kappa(values)
        assert brute <= found <= brute + 1e-9
        diameter2 = max(float((a - b) @ (a - b)) for a in values for b in values)
        assert found <= 1.75 * diameter2 + 1e-9
    for k in (2, 3, 5, 7):
        assert kappa(np.eye(k)) == pytest.approx(2.0, abs=1e-9)
    assert kappa([0.0, 1.0, 5.0]) == pytest.approx(25.0, abs=1e-9)
    assert kappa([[1.0, 2.0]]) == 0.0


def test_kappa_exceeds_the_squared_diameter_for_vectors():
    """M29: (0,0), two unit vectors to either side of (1,0), and (1,0): the constant Delta^2 = 1 is too small.

    The layers disagree on two rare cells; the third rare cell pulls both conditional means outward.
    """
    values = np.array([[0, 0], ["12/13", "5/13"], ["12/13", "-5/13"], [1, 0]], dtype=object)
    values = np.array([[Fraction(v) for v in row] for row in values], dtype=object)
    assert max(L.square(L.minus(u, v)) for u in values for v in values) == 1
    rare = Fraction(1, 10**5)
    law = np.full((2, 2, 4), Fraction(0), dtype=object)
    law[1, 1, 0] = 1 - 3 * rare
    law[0, 1, 1] = law[1, 0, 2] = law[0, 0, 3] = rare
    gap = L.functional_gap(law, values)
    mismatch_prob = 2 * rare
    assert gap > Fraction(103, 100) * mismatch_prob
    found = mismatch.mismatch_upper(mismatch_prob=float(mismatch_prob), task_values=L.floats(values))
    assert L.at_least(found.interval.upper, gap)
    scalar_rule = mismatch.mismatch_upper_of_diameter(mismatch_prob=float(mismatch_prob), diameter=1.0, kind="scalar")
    assert scalar_rule.interval.upper < gap
    vector_rule = mismatch.mismatch_upper_of_diameter(mismatch_prob=float(mismatch_prob), diameter=1.0, kind="vector")
    assert L.at_least(vector_rule.interval.upper, gap)


def test_mismatch_is_attained_by_one_hot_labels():
    """The constant 2 is approached: F = kappa P up to second order for a rare disagreement that flips the label."""
    delta = Fraction(1, 1000)
    law = np.full((2, 2, 2), Fraction(0), dtype=object)
    # Given X = Y the label follows; of the rare disagreements it follows neither alone.
    law[0, 0, 0] = law[1, 1, 1] = (1 - delta) / 2
    law[0, 1, 0] = law[1, 0, 1] = delta / 2
    gap = L.functional_gap(law, np.eye(2, dtype=int).astype(object))
    upper = mismatch.mismatch_upper(mismatch_prob=float(delta), task_values=np.eye(2)).interval.upper
    assert L.at_least(upper, gap)
    assert float(gap) > 0.99 * upper
    assert upper == pytest.approx(0.002, abs=1e-12)
