"""Probes behind a certificate: wide states are folded, and the folded probe still reads the task."""

import numpy as np
import pytest

from redundancy.certificates.pair import LayerPairCertificate
from redundancy.certificates.probes import _MOST_FEATURES, _features, probe_calls
from redundancy.statistics.streaming import index_images


@pytest.mark.parametrize("width", [513, 1024, 1300])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_fold_is_the_product_with_a_matrix_of_signs(width, dtype):
    """One sign per coordinate, in the column of its remainder; nothing is lost at the end."""
    rng = np.random.default_rng(width)
    x = rng.normal(size=(9, width)).astype(dtype)
    signs = rng.choice((-1.0, 1.0), size=width)
    matrix = np.zeros((width, _MOST_FEATURES))
    matrix[np.arange(width), np.arange(width) % _MOST_FEATURES] = signs
    rows = np.array([4, 0, 8])
    np.testing.assert_allclose(_features(x, rows, signs), x[rows].astype(float) @ matrix, rtol=0, atol=1e-12)


def test_narrow_states_are_taken_as_they_are():
    x = np.arange(12, dtype=np.float32).reshape(3, 4)
    np.testing.assert_array_equal(_features(x, np.array([2, 0]), None), x[[2, 0]].astype(float))


def held_out_error(width, seed, strength=8.0):
    """Mean squared error of the probe of the next layer per held-out token, of a task that one direction decides."""
    rng = np.random.default_rng(seed)
    n = 3000
    direction = rng.normal(size=width) / np.sqrt(width)
    x = rng.normal(size=(n, width)) / np.sqrt(width)
    side = rng.choice((-1.0, 1.0), size=n)
    x += strength * side[:, None] * direction / np.sqrt(width)
    index = index_images(np.repeat(np.arange(n // 3), 3), n)
    probes = probe_calls(x, x.astype(np.float32), index, (side > 0).astype(int), None, salt="skip-it", seed=seed)
    error, gap = probes.calls[1][2], probes.calls[2][2]
    assert np.sum(gap["values"]) == pytest.approx(0, abs=1e-6)  # both layers are the same states
    assert probes.task_cap == 1.0  # a class that the sample lacks would make 1 - 1/2 too small
    return np.sum(error["values"]) / np.sum(error["counts"]), 0.5


def test_folded_probe_reads_a_dense_direction():
    """A task along a random direction of 2,000 coordinates: a quarter of it survives the fold, enough here."""
    error, cap = held_out_error(2000, seed=1)
    assert error < 0.5 * cap


def test_probe_of_states_without_the_task_reads_nothing():
    """The same data with no signal: the error is that of a guess, so the test above can fail."""
    error, cap = held_out_error(2000, seed=1, strength=0.0)
    assert error > 0.95 * cap


@pytest.mark.parametrize("level", [0.0, 1.0, 1e-200, 1e150, 3.3])
def test_a_layer_that_does_not_vary_has_a_probe_that_predicts_the_mean(level):
    """A sink token with a target: what a constant says of it is its mean, and no statement is lost to NaN."""
    z = np.random.default_rng(0).integers(0, 2, 80)
    index = index_images(np.arange(80), 80)
    probes = probe_calls(np.full((80, 3), level), np.eye(3)[z], index, z, None, salt="skip-it", seed=0)
    calls = {inputs["quantity"]: inputs["values"] for _, _, inputs in probes.calls}
    assert np.mean(calls["error_prev"]) == pytest.approx(0.5, abs=0.1)
    assert np.mean(calls["error_next"]) < 0.01


def test_the_cap_is_that_of_the_declared_classes_not_of_those_seen():
    z = np.tile([0, 1], 20)
    index = index_images(np.arange(40), 40)
    x = np.random.default_rng(0).normal(size=(40, 3))
    found = [probe_calls(x, x, index, z, None, n_classes=k, salt="skip-it", seed=0).task_cap for k in (None, 2, 3)]
    assert found == pytest.approx([1.0, 0.5, 2 / 3])
    # With the cap of the labels seen, one in seven certificates of twelve images missed F = 0.5704.
    rng, p = np.random.default_rng(0), np.array([0.46, 0.46, 0.08])
    gap, missed = 1 - (p**2).sum(), 0
    for _ in range(60):
        z = rng.choice(3, p=p, size=12)
        if len(set(z)) > 1:
            noise = 0.01 * rng.standard_normal((2, 12, 3))
            pair = LayerPairCertificate.from_arrays(1 + noise[0], np.eye(3)[z] + noise[1], np.arange(12), target=z)
            missed += pair.best_upper("functional_gap") < gap
    assert missed <= 60 * 0.05 + 2 * np.sqrt(60 * 0.05 * 0.95)
