"""The performance gap: unique information bounds it, and does not bound the functional gap."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import product

import numpy as np
import pytest

from redundancy.bounds import performance_gap
from support import theory_laws as L

CHAIN = {"O": "prev-next-task", "N": "next-prev-task"}


def test_unique_information_does_not_bound_the_gap():
    """M24: two BSC(1/4) copies of a fair sign: Uni = 0, F = 3/8; M28: the gain by skipping is not bounded either."""
    law, values = L.two_noisy_copies()
    assert L.functional_gap(law, values) == Fraction(3, 8) * 1
    certificate = performance_gap.performance_gap_upper(unique_information=0.0, diameter=2.0)
    assert certificate.quantity == "mmse_increase"
    assert certificate.interval.upper == 0.0
    lost, signs = L.lost_sign()
    assert L.mmse(lost, signs, 1) - L.mmse(lost, signs, 0) == -1
    assert L.information_given(lost, 2, 0, 1) == 0
    found = performance_gap.performance_gap_upper(unique_information=0.0, diameter=2.0).interval
    assert L.at_most(found.lower, Fraction(-1))


def test_information_of_the_task_may_exceed_the_marginal_one():
    """M30: Z = X xor Y: I(Z; X | Y) = ln 2 > I(Z; X) = 0, and codes may lose: H(X|Y) = ln 2 > H(codes) = 0."""
    law = np.full((2, 2, 2), Fraction(0), dtype=object)
    for x, y in product((0, 1), repeat=2):
        law[x, y, x ^ y] = Fraction(1, 4)
    assert float(L.information_given(law, 2, 0, 1)) == pytest.approx(math.log(2))
    assert float(L.mutual_information(law.sum(axis=1))) == pytest.approx(0.0, abs=1e-30)
    bit = L.table([["1/2"], ["1/2"]])
    assert float(L.conditional_entropy(bit)) == pytest.approx(math.log(2))
    assert L.conditional_entropy(bit.sum(axis=0, keepdims=True)) == 0
