"""Information measures against 50-digit textbook sums and against scipy, over batches and bases."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from redundancy.errors import InvalidInputError
from redundancy.info import (
    binary_entropy,
    conditional_entropy,
    conditional_law,
    conditional_means,
    conditional_mutual_information,
    entropy,
    is_markov,
    joint_from_codes,
    kl_divergence,
    marginal,
    mutual_information,
    total_variation,
)
from support import theory_laws as L

CLOSE = 1e-13  # a sum of at most 64 terms below 3 nats in doubles


@given(pair=L.tables(2, 5))
@L.QUICK
def test_pairs_agree_with_textbook_sums(pair):
    joint = L.floats(pair)
    assert entropy(joint, axes=2, base=math.e) == pytest.approx(float(L.entropy(pair.ravel())), abs=CLOSE)
    assert conditional_entropy(joint, base=math.e) == pytest.approx(float(L.conditional_entropy(pair)), abs=CLOSE)
    assert mutual_information(joint, base=math.e) == pytest.approx(float(L.mutual_information(pair)), abs=CLOSE)


@given(law=L.tables(3, 4))
@L.QUICK
def test_conditional_information_agrees_with_the_textbook_sum(law):
    found = conditional_mutual_information(L.floats(law), base=math.e)
    assert found == pytest.approx(float(L.information_given(law, 0, 1, 2)), abs=CLOSE)


@given(
    p=st.lists(st.integers(0, 9), min_size=4, max_size=4).filter(any),
    q=st.lists(st.integers(0, 9), min_size=4, max_size=4).filter(any),
)
@L.QUICK
def test_divergences_agree_with_scipy(p, q):
    p, q = np.array(p) / sum(p), np.array(q) / sum(q)
    assert kl_divergence(p, q) == pytest.approx(scipy.stats.entropy(p, q, base=2), abs=CLOSE)
    assert entropy(p) == pytest.approx(scipy.stats.entropy(p, base=2), abs=CLOSE)
    distance = total_variation(p, q)
    events = (sum(p[i] - q[i] for i in range(4) if mask >> i & 1) for mask in range(16))
    assert distance == pytest.approx(max(events), abs=CLOSE)
    assert kl_divergence(p, q, base=math.e) >= 2 * distance**2 - CLOSE  # Pinsker, with the half-L1 distance


def test_pinsker_is_nearly_attained_so_a_lost_factor_shows():
    p, q = [0.5, 0.5], [0.505, 0.495]
    assert kl_divergence(p, q, base=math.e) / (2 * total_variation(p, q) ** 2) == pytest.approx(1.0, abs=1e-3)


def test_zeros_are_exact():
    assert entropy([1.0, 0.0]) == 0.0
    assert conditional_entropy([[0.5, 0.0], [0.0, 0.5]]) == 0.0
    assert mutual_information([[0.25, 0.25], [0.25, 0.25]]) == 0.0
    assert kl_divergence([0.5, 0.5, 0.0], [0.25, 0.75, 0.0]) > 0
    assert kl_divergence([0.5, 0.5], [1.0, 0.0]) == math.inf
    assert kl_divergence([1.0, 0.0], [1.0, 0.0]) == 0.0
    assert binary_entropy([0.0, 1.0]).tolist() == [0.0, 0.0]
    tiny = 5e-324
    assert conditional_entropy([[1.0, tiny]]) == 0.0
    assert math.isfinite(conditional_entropy([[1.0], [tiny]]))
    assert math.isfinite(kl_divergence([1.0, 1e-300], [1.0, tiny]))


@pytest.mark.parametrize("base", [2.0, math.e, 10.0, 3.5])
def test_bases_are_units(base):
    joint = np.array([[3, 1, 0], [0, 2, 4]]) / 10
    triple = np.arange(1, 9).reshape(2, 2, 2) / 36
    for function, table in (
        (conditional_entropy, joint),
        (mutual_information, joint),
        (conditional_mutual_information, triple),
    ):
        assert function(table, base=base) == pytest.approx(function(table, base=math.e) / math.log(base), rel=1e-14)
    assert binary_entropy(0.3, base=base) == pytest.approx(entropy([0.3, 0.7], base=base), rel=1e-14)
    assert kl_divergence([0.3, 0.7], [0.5, 0.5], base=base) * math.log(base) == pytest.approx(
        kl_divergence([0.3, 0.7], [0.5, 0.5], base=math.e)
    )


def test_batches_are_loops():
    rng = np.random.default_rng(0)
    batch = rng.dirichlet(np.ones(24), size=(2, 3)).reshape(2, 3, 2, 3, 4)
    for function, axes in ((conditional_entropy, 2), (mutual_information, 2), (conditional_mutual_information, 3)):
        tables = batch if axes == 3 else batch.sum(axis=-1)
        found = function(tables)
        assert found.shape == (2, 3)
        for i in range(2):
            for j in range(3):
                assert found[i, j] == pytest.approx(function(tables[i, j]), abs=CLOSE)
    assert entropy(batch, axes=3).shape == (2, 3)
    assert kl_divergence(batch, batch[0, 0], axes=3).shape == (2, 3)
    assert kl_divergence(batch, batch[0, 0], axes=3)[0, 0] == 0.0
    assert marginal(batch, [2, 0], axes=3).shape == (2, 3, 4, 2)
    assert np.allclose(marginal(batch, [2, 0], axes=3)[1, 2], batch[1, 2].sum(axis=1).T)
    assert is_markov(batch).shape == (2, 3)


@given(law=L.chains("O", 3))
@L.QUICK
def test_chains_are_recognised(law):
    assert is_markov(L.floats(law).transpose(1, 0, 2))


def test_a_broken_chain_is_recognised():
    xor = np.zeros((2, 2, 2))
    for a in (0, 1):
        for b in (0, 1):
            xor[a, b, a ^ b] = 0.25
    assert not is_markov(xor)
    chain = np.einsum("ab,bc->abc", [[0.3, 0.2], [0.1, 0.4]], [[0.9, 0.1], [0.2, 0.8]])
    assert is_markov(chain)
    assert not is_markov(chain.transpose(1, 0, 2))
    nearly = chain.copy()
    nearly[0, 0, 0] += 1e-6
    nearly[0, 0, 1] -= 1e-6
    assert not is_markov(nearly)
    assert is_markov(nearly, atol=1e-5)


@given(data=st.data(), law=L.tables(3, 3))
@L.QUICK
def test_conditional_means_agree_with_fractions(data, law):
    values = data.draw(L.task_values(law.shape[2]))
    f_next, f_prev, h = conditional_means(L.floats(law), L.floats(values))
    for x in range(law.shape[0]):
        truth = L.mean(law[x].sum(axis=0), values)
        assert (np.isnan(f_next[x]).all()) if truth is None else f_next[x] == pytest.approx([float(v) for v in truth])
        for y in range(law.shape[1]):
            truth = L.mean(law[x, y], values)
            assert (np.isnan(h[x, y]).all()) if truth is None else h[x, y] == pytest.approx([float(v) for v in truth])
    for y in range(law.shape[1]):
        truth = L.mean(law[:, y].sum(axis=0), values)
        assert (np.isnan(f_prev[y]).all()) if truth is None else f_prev[y] == pytest.approx([float(v) for v in truth])


def test_codes_are_counted():
    table = joint_from_codes([0, 1, 1, 2], [0, 0, 1, 1], n_codes=3)
    assert table.tolist() == [[0.25, 0, 0], [0.25, 0.25, 0], [0, 0.25, 0]]
    assert conditional_law([[0.5, 0.0], [0.5, 0.0]])[:, 0].tolist() == [0.5, 0.5]
    assert np.isnan(conditional_law([[0.5, 0.0], [0.5, 0.0]])[:, 1]).all()
    with pytest.raises(InvalidInputError, match="below n_codes"):
        joint_from_codes([0, 3], [0, 0], n_codes=3)
    with pytest.raises(InvalidInputError, match="integer codes"):
        joint_from_codes([0.5, 1.0], [0, 0])
    with pytest.raises(InvalidInputError, match="one length"):
        joint_from_codes([0, 1], [0])


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ([[0.5, 0.6]], "sum to 1"),
        ([[1.5, -0.5]], ">= 0"),
        ([[float("nan"), 1.0]], "finite"),
        (np.zeros((0, 2)), "non-empty"),
        ([0.5, 0.5], "axes"),
    ],
)
def test_bad_tables_are_refused(bad, message):
    for function in (conditional_entropy, mutual_information):
        with pytest.raises(InvalidInputError, match=message):
            function(bad)


def test_bad_bases_probabilities_and_alphabets_are_refused():
    with pytest.raises(InvalidInputError, match="base"):
        entropy([0.5, 0.5], base=1.0)
    with pytest.raises(InvalidInputError, match="inside"):
        binary_entropy(1.1)
    with pytest.raises(InvalidInputError, match="one alphabet"):
        kl_divergence([0.5, 0.5], [0.2, 0.3, 0.5])
    with pytest.raises(InvalidInputError, match="distinct positions"):
        marginal([[1.0]], [0, 0], axes=2)
    with pytest.raises(InvalidInputError, match="task_values"):
        conditional_means(np.ones((1, 1, 2)) / 2, [1.0, 2.0, 3.0])


def test_small_rounding_is_normalised_and_more_is_not():
    almost = np.array([1 / 3, 1 / 3, 1 / 3 + 5e-10])
    assert entropy(almost) == pytest.approx(math.log2(3))
    with pytest.raises(InvalidInputError, match="divide counts"):
        entropy(np.array([1 / 3, 1 / 3, 1 / 3 + 5e-9]))
