"""Exact values of known laws: each interval holds the rational truth, and is as narrow as rounding allows."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from redundancy.bounds import laws
from redundancy.errors import InvalidInputError
from support import theory_laws as L


def holds(certificate, truth):
    interval = certificate.interval
    assert L.at_most(interval.lower, truth)
    assert L.at_least(interval.upper, truth)
    assert interval.upper - interval.lower < 1e-12
    assert certificate.recheck().ok


@given(law=L.tables(2, 4, square=True))
@L.QUICK
def test_values_of_a_pair(law):
    joint = L.floats(law)
    holds(laws.law_mismatch(joint=joint), law.sum() - np.trace(law))
    holds(laws.forward_entropy_of_law(joint=joint, base=math.e), L.conditional_entropy(law))
    holds(laws.backward_entropy_of_law(joint=joint, base=math.e), L.conditional_entropy(law.T))


@given(law=L.tables(2, 4, square=True), t=st.integers(0, 3))
@L.QUICK
def test_values_of_a_distance(law, t):
    joint, size = L.floats(law), len(law)
    rho = np.abs(np.subtract.outer(np.arange(size), np.arange(size)))
    cells = [(law[i, j], int(rho[i, j])) for i in range(size) for j in range(size)]
    distances = rho.astype(float)
    holds(laws.law_distance(joint=joint, distances=distances), sum(p * r for p, r in cells))
    holds(laws.law_tail(joint=joint, distances=distances, t=float(t)), sum(p for p, r in cells if r > t))
    holds(laws.law_tail_closed(joint=joint, distances=distances, t=float(t)), sum(p for p, r in cells if r >= t))


@given(data=st.data())
@L.QUICK
def test_values_of_a_task(data):
    law = data.draw(L.tables(3, 3))
    values = data.draw(L.task_values(law.shape[2]))
    joint = L.floats(law)
    holds(laws.information_of_law(joint=joint, base=math.e), L.information_given(law, 2, 0, 1))
    certificate = laws.gap_of_law(joint=joint, task_values=L.floats(values))
    assert L.at_most(certificate.interval.lower, L.functional_gap(law, values))
    assert L.at_least(certificate.interval.upper, L.functional_gap(law, values))


def test_two_alphabets_have_no_mismatch():
    with pytest.raises(InvalidInputError, match="one alphabet"):
        laws.law_mismatch(joint=[[0.5, 0.25, 0.25]])
