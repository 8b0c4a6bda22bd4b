"""Streaming ridge against scikit-learn's own search, and what streaming promises: merging, order, memory, devices."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression, Ridge, RidgeCV
from sklearn.model_selection import GridSearchCV, GroupKFold

from estimators.probes.moments import Moments
from estimators.probes.ridge import ALPHAS, StreamingRidge
from estimators.probes.ridge_path import held_out_error, ridge_path
from redundancy.errors import InvalidInputError

SAME = 1e-6  # what the specification asks of predictions


def sample(n=300, d=12, q=3, *, seed=0, noise=1.0, shift=0.0, per_image=3):
    rng = np.random.default_rng(seed)
    groups = np.arange(n) // per_image
    shared = rng.standard_normal((n // per_image + 1, d))[groups]
    x = shift + (rng.standard_normal((n, d)) + shared) * (1.0 + np.arange(d))
    return x, x @ rng.standard_normal((d, q)) + noise * d * rng.standard_normal((n, q)) + shared[:, :1], groups


def folds_of(groups, n_splits=5):
    folds = np.empty(len(groups), dtype=int)
    for k, (_, test) in enumerate(GroupKFold(n_splits).split(groups, groups=groups)):
        folds[test] = k
    return folds


@pytest.mark.parametrize(
    ("n", "d", "q", "noise", "shift"),
    [
        (300, 12, 3, 1.0, 0.0),
        (120, 60, 1, 30.0, 5.0),
        (60, 90, 2, 3.0, 0.0),
        (500, 5, 4, 1e-6, 100.0),
        (40, 1, 1, 1, 0),
    ],
)
def test_chooses_and_predicts_like_grid_search_over_the_same_folds(n, d, q, noise, shift):
    x, z, groups = sample(n, d, q, noise=noise, shift=shift)
    folds = folds_of(groups)
    ours = StreamingRidge(ALPHAS).fit(x, z, folds=folds)
    splits = [(np.flatnonzero(folds != k), np.flatnonzero(folds == k)) for k in range(5)]
    search = GridSearchCV(Ridge(), {"alpha": list(ALPHAS)}, cv=splits, scoring="neg_mean_squared_error").fit(x, z)
    direct = RidgeCV(list(ALPHAS), cv=splits, scoring="neg_mean_squared_error").fit(x, z)
    assert ours.alpha_ == search.best_params_["alpha"] == direct.alpha_
    np.testing.assert_allclose(ours.cv_errors_ / q, -search.cv_results_["mean_test_score"], rtol=1e-6, atol=1e-8)
    fresh = sample(50, d, q, seed=1, shift=shift)[0]
    scale = np.abs(z).max()
    for peer in (search, direct):
        np.testing.assert_allclose(ours.predict(fresh), peer.predict(fresh).reshape(50, q), atol=SAME * scale)


def test_penalties_differ_when_clusters_are_ignored():
    """The reason for image folds: leave-one-out trusts copies of the held-out row."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(30), 10)
    x = rng.standard_normal((30, 40))[groups] + 0.05 * rng.standard_normal((300, 40))
    z = x[:, 0] + 2.0 * rng.standard_normal(30)[groups]
    by_image, by_row = StreamingRidge().fit(x, z, groups=groups), StreamingRidge().fit(x, z)
    assert by_image.alpha_ > 10.0 * by_row.alpha_


@settings(deadline=None, max_examples=25)
@given(cuts=st.lists(st.integers(0, 300), max_size=4), seed=st.integers(0, 5))
def test_any_blocks_in_any_order_and_any_tree_of_merges_give_one_probe(cuts, seed):
    x, z, groups = sample(300, 6, 2, seed=seed, shift=20.0)
    whole = StreamingRidge().partial_fit(x, z, groups=groups)
    blocks = np.split(np.arange(300), sorted(cuts))
    parts = [
        StreamingRidge().partial_fit(x[rows], z[rows], groups=groups[rows]) for rows in reversed(blocks) if len(rows)
    ]
    streamed = StreamingRidge()
    for rows in blocks:
        if len(rows):
            streamed.partial_fit(x[rows], z[rows], groups=groups[rows])
    merged = parts[0]
    for part in parts[1:]:
        merged = part.merge(merged)
    for other in (streamed, merged):
        assert (
            other.alpha_ == whole.alpha_ if hasattr(other, "alpha_") else other.solve().alpha_ == whole.solve().alpha_
        )
        np.testing.assert_allclose(other.coef_, whole.coef_, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(other.intercept_, whole.intercept_, rtol=1e-8, atol=1e-8)


def test_memory_does_not_depend_on_the_number_of_rows():
    def peak(n_blocks):
        rng = np.random.default_rng(0)
        probe = StreamingRidge()
        tracemalloc.start()
        for k in range(n_blocks):
            x = rng.standard_normal((500, 20))
            probe.partial_fit(x, x[:, :2], groups=k * 100 + np.arange(500) // 5)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(1)  # imports and caches
    assert peak(60) < 1.2 * peak(3)


def test_large_means_cost_no_digits():
    """estimation.md: raw float32 moments fail at mean/sd = 3000, moments about a pilot shift do not."""
    x, z, groups = sample(400, 8, 1, noise=0.1)
    moved = (x + 3000.0 * x.std(axis=0)).astype(np.float32)
    exact = LinearRegression().fit(moved.astype(np.float64), z)
    single = StreamingRidge((1e-6,), products="float32").fit(moved, z, groups=groups)
    assert np.abs(single.predict(moved) - exact.predict(moved)).max() < 1e-4 * np.abs(z).max()


def test_weights_count_rows_that_many_times():
    x, z, _ = sample(30, 4, 2)
    times = np.random.default_rng(0).integers(0, 4, 30)
    weighted = Moments(4, 2).update(x, z, weights=times).centred()
    repeated = Moments(4, 2).update(np.repeat(x, times, axis=0), np.repeat(z, times, axis=0)).centred()
    for name in ("weight", "mean_x", "mean_z", "xx", "xz", "zz"):
        np.testing.assert_allclose(getattr(weighted, name), getattr(repeated, name), rtol=1e-9, atol=1e-8)


@settings(deadline=None, max_examples=30)
@given(d=st.integers(1, 12), n=st.integers(2, 30), q=st.integers(1, 3), seed=st.integers(0, 999))
def test_path_solves_the_normal_equations_and_errors_are_those_of_the_rows(d, n, q, seed):
    rng = np.random.default_rng(seed)
    x, z = rng.integers(-3, 4, (n, d)).astype(float), rng.integers(-3, 4, (n, q)).astype(float)
    training = Moments(d, q).update(x, z).centred()
    path = ridge_path(training.xx, training.xz, [1e-2, 1.0, 100.0])
    for alpha, weights in zip([1e-2, 1.0, 100.0], path, strict=True):
        residual = training.xx @ weights + alpha * weights - training.xz
        assert np.abs(residual).max() <= 1e-9 * (1.0 + np.abs(training.xz).max())
    fresh_x, fresh_z = rng.standard_normal((7, d)), rng.standard_normal((7, q))
    errors = held_out_error(path, training, Moments(d, q).update(fresh_x, fresh_z).centred())
    rows = [((fresh_z - z.mean(0) - (fresh_x - x.mean(0)) @ w) ** 2).sum(axis=1).mean() for w in path]
    np.testing.assert_allclose(errors, rows, rtol=1e-9, atol=1e-9)


def test_duplicated_and_constant_features_are_harmless():
    x, z, groups = sample(100, 3, 1)
    wide = np.concatenate([x, x, np.ones((100, 2))], axis=1)
    probe = StreamingRidge((1e-10, 1e-8)).fit(wide, z, groups=groups)
    np.testing.assert_allclose(
        probe.predict(wide), StreamingRidge((1e-10,)).fit(x, z, groups=groups).predict(x), atol=1e-5
    )


def test_a_torch_device_gives_the_same_probe():
    torch = pytest.importorskip("torch", reason="torch is in the extract extra")
    x, z, groups = sample(200, 6, 2)
    plain = StreamingRidge().fit(x, z, groups=groups)
    for rows in (x, torch.as_tensor(x)):
        other = StreamingRidge(device="cpu").fit(rows, torch.as_tensor(z) if rows is not x else z, groups=groups)
        assert other.alpha_ == plain.alpha_
        np.testing.assert_allclose(other.predict(rows), plain.predict(x), rtol=1e-9, atol=1e-9)


@pytest.mark.gpu
def test_a_gpu_gives_the_same_probe():
    torch = pytest.importorskip("torch")
    x, z, groups = sample(5000, 64, 3)
    plain = StreamingRidge().fit(x, z, groups=groups)
    other = StreamingRidge(device="cuda").fit(torch.as_tensor(x, device="cuda"), z, groups=groups)
    assert other.alpha_ == plain.alpha_
    np.testing.assert_allclose(other.predict(x), plain.predict(x), rtol=1e-8, atol=1e-8)


def test_the_lipschitz_constant_is_attained():
    x, z, groups = sample(200, 6, 3)
    probe = StreamingRidge().fit(x, z, groups=groups)
    _, values, directions = np.linalg.svd(probe.coef_)
    step = probe.predict(directions[:1]) - probe.predict(np.zeros((1, 6)))
    assert np.linalg.norm(step) == pytest.approx(probe.lipschitz_, rel=1e-9)
    assert probe.lipschitz_ >= values[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"alphas": (0.0, 1.0)}, "positive finite alphas"),
        ({"cv": 1}, "cv"),
        ({"products": "float16"}, "products"),
    ],
)
def test_bad_parameters_are_refused(change, message):
    x, z, groups = sample(60, 3, 1)
    with pytest.raises(InvalidInputError, match=message):
        StreamingRidge(**change).fit(x, z, groups=groups)


def test_bad_data_are_refused():
    x, z, groups = sample(60, 3, 1)
    with pytest.raises(InvalidInputError, match="got 1 image"):
        StreamingRidge().fit(x, z, groups=np.zeros(60, dtype=int))
    with pytest.raises(InvalidInputError, match="at least two folds"):
        StreamingRidge().partial_fit(x, z, groups=np.zeros(60, dtype=int)).solve()
    with pytest.raises(InvalidInputError, match="one fold in 0"):
        StreamingRidge().fit(x, z, folds=np.full(60, 7))
    with pytest.raises(ValueError, match="NaN"):
        StreamingRidge().fit(np.where(x > 0, x, np.nan), z, groups=groups)
    with pytest.raises(InvalidInputError, match="like that of the first block"):
        StreamingRidge().partial_fit(x, z, groups=groups).partial_fit(x, np.c_[z, z], groups=groups)
    with pytest.raises(InvalidInputError, match="equal parameters"):
        StreamingRidge().fit(x, z, groups=groups).merge(StreamingRidge(cv=4).fit(x, z, groups=groups))
