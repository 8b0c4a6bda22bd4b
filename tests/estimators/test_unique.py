"""Unique information from samples: counted tables against the solver, and coverage on a known law."""

import numpy as np
import pytest

from estimators.codes.pairs import CodedPair
from estimators.unique import ATOMS, unique_information_estimate
from redundancy.errors import InvalidInputError
from redundancy.pid import layer_pair_pid

SOLVER = ("unique_x", "unique_y", "redundant", "synergistic")


def noisy_law(k, t, error_next, error_prev):
    """A uniform label read twice through symmetric noise, independent given the label; axes (z, next, prev)."""

    def channel(error):
        table = np.full((t, k), error / k)
        table[np.arange(t), np.arange(t)] += 1 - error
        return table

    return np.einsum("zn,zp->znp", channel(error_next), channel(error_prev)) / t


def draw(rng, law, *, images=300, tokens=8, shared=0.3):
    """Tokens of images: one label per image, and part of the tokens repeat the image's first."""
    t, k, _ = law.shape
    labels = rng.integers(t, size=images)
    cumulative = np.cumsum(law.reshape(t, -1) / law.reshape(t, -1).sum(axis=1, keepdims=True), axis=1)
    cells = (rng.random((images, tokens, 1)) > cumulative[labels][:, None, :]).sum(axis=2)
    cells = np.where(rng.random(cells.shape) < shared, cells[:, :1], cells)
    ids = np.repeat(np.arange(images), tokens)
    pair = CodedPair.of(cells.ravel() % k, cells.ravel() // k, ids, n_codes=k)
    return pair, np.repeat(labels, tokens)


def test_the_values_are_those_of_the_counted_table():
    rng = np.random.default_rng(0)
    pair, z = draw(rng, noisy_law(4, 3, 0.3, 0.6))
    estimate = unique_information_estimate(pair, z, n_bootstrap=20)
    table = np.zeros((4, 4, 3))
    for after, before, label in zip(pair.next, pair.prev, z, strict=True):
        table[after, before, label] += 1
    reference = layer_pair_pid(table / table.sum())
    for name, theirs in zip(ATOMS, SOLVER, strict=True):
        assert estimate.atoms[name] == pytest.approx(getattr(reference, theirs).lower, abs=1e-5)
        assert estimate.atoms[name] in estimate.intervals[name]
    assert estimate.solver_gap < 2e-4
    assert estimate.occupied_cells == (table > 0).sum()


def test_copies_are_redundant_and_noise_is_nothing():
    rng = np.random.default_rng(1)
    labels = np.repeat(rng.integers(4, size=400), 5)
    ids = np.repeat(np.arange(400), 5)
    copy = unique_information_estimate(CodedPair.of(labels, labels, ids, n_codes=4), labels, n_bootstrap=20)
    assert copy.atoms["redundant"] == pytest.approx(2.0, abs=0.05)
    assert max(copy.atoms[name] for name in ATOMS if name != "redundant") < 1e-5
    fresh = CodedPair.of(rng.integers(4, size=2000), labels, ids, n_codes=4)
    only_next = unique_information_estimate(fresh, labels, n_bootstrap=20)
    assert only_next.atoms["unique_next"] > 1.9
    assert only_next.atoms["unique_prev"] < 0.01
    xor = CodedPair.of(rng.integers(2, size=2000), rng.integers(2, size=2000), ids, n_codes=2)
    synergy = unique_information_estimate(xor, xor.prev ^ xor.next, n_bootstrap=20)
    assert synergy.atoms["synergistic"] > 0.95


def test_intervals_cover_where_nothing_is_flagged():
    """26 of 30 or more for each atom: 95 % nominal, images with dependent tokens, one atom at its boundary 0."""
    law = noisy_law(4, 3, 0.3, 0.6)
    truth = [getattr(layer_pair_pid(np.moveaxis(law, 0, 2)), name).lower for name in SOLVER]
    rng = np.random.default_rng(2)
    hits = np.zeros(4)
    for seed in range(30):
        pair, z = draw(rng, law)
        estimate = unique_information_estimate(pair, z, n_bootstrap=40, random_state=seed)
        hits += [value in estimate.intervals[name] for name, value in zip(ATOMS, truth, strict=True)]
    assert estimate.flagged == ("synergistic",)  # 300 images on 48 cells
    assert (hits >= 26).all(), hits


def test_too_many_codes_are_flagged_and_biased_as_said():
    law = noisy_law(16, 4, 0.3, 0.3)
    exact = layer_pair_pid(np.moveaxis(law, 0, 2))
    truth = sum(getattr(exact, name).upper for name in SOLVER)
    pair, z = draw(np.random.default_rng(3), law, images=100)
    estimate = unique_information_estimate(pair, z, n_bootstrap=20)
    assert estimate.flagged == ATOMS
    assert sum(estimate.atoms.values()) > truth + 0.1
    assert "biased by sampling noise" in str(estimate)
    larger, labels = draw(np.random.default_rng(4), law, images=1300)
    assert unique_information_estimate(larger, labels, n_bootstrap=20).flagged == ("synergistic",)


def test_tokens_of_an_image_stay_together():
    """Repeating every token ten times adds nothing: the intervals stay, where a token bootstrap would shrink them."""
    pair, z = draw(np.random.default_rng(5), noisy_law(4, 3, 0.3, 0.6))
    many = CodedPair.of(np.repeat(pair.prev, 10), np.repeat(pair.next, 10), np.repeat(pair.index.rows, 10), n_codes=4)
    one = unique_information_estimate(pair, z, n_bootstrap=40)
    ten = unique_information_estimate(many, np.repeat(z, 10), n_bootstrap=40)
    for name in ATOMS:
        assert ten.intervals[name].lower == pytest.approx(one.intervals[name].lower, abs=1e-3)
        assert ten.intervals[name].upper == pytest.approx(one.intervals[name].upper, abs=1e-3)


def test_units_and_records():
    pair, z = draw(np.random.default_rng(6), noisy_law(4, 3, 0.3, 0.6), images=60)
    bits = unique_information_estimate(pair, z, n_bootstrap=20)
    nats = unique_information_estimate(pair, z, n_bootstrap=20, base=np.e)
    assert nats.atoms["unique_next"] == pytest.approx(bits.atoms["unique_next"] * np.log(2), abs=1e-5)
    assert bits.to_record()["evidence"] == "E"
    assert set(ATOMS) <= set(bits.to_record())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"task": np.zeros(480, dtype=int)}, "at least two classes"),
        ({"task": np.zeros(479, dtype=int)}, "each of 480 tokens"),
        ({"task": np.linspace(0, 1, 480)}, "each of 480 tokens"),
        ({"task": np.full(480, -1)}, "each of 480 tokens"),
        ({"n_bootstrap": 5}, "n_bootstrap"),
        ({"confidence_level": 1.0}, "confidence_level"),
    ],
)
def test_bad_input_is_refused(change, words):
    pair, z = draw(np.random.default_rng(7), noisy_law(4, 3, 0.3, 0.6), images=60)
    with pytest.raises(InvalidInputError, match=words):
        unique_information_estimate(pair, **{"task": z, **change})


def test_sizes_are_checked():
    z = np.arange(10) % 2
    with pytest.raises(InvalidInputError, match="at most 4000000 cells"):
        unique_information_estimate(CodedPair.of(z, z, np.arange(10), n_codes=4096), z)
    with pytest.raises(InvalidInputError, match="at least 8 images"):
        unique_information_estimate(CodedPair.of(z, z, np.arange(10) // 2, n_codes=2), z)
