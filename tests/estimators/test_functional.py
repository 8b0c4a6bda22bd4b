"""Functional redundancy: estimator against closed forms, what may not leak into it, certificates, errors."""

import json
import math
import subprocess
import sys
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression, LogisticRegression

from estimators.folds import image_folds
from estimators.functional import EstimateWarning, FunctionalRedundancy, functional_redundancy
from estimators.functional.linear import LinearEngine
from estimators.functional.scores import cell_scores, clustered_error, independent_rows, score_images
from estimators.probes.kernel import KernelProbe
from redundancy.concentration.betting import betting_upper
from redundancy.errors import InvalidInputError
from redundancy.task import read_task

GAP = 0.4**2 + 0.2**2


def linear(n_images=300, tokens=3, d=4, *, seed=0, noise=0.5, icc=0.0):
    """Layers share d - 1 coordinates, each has its own: Z = sum(shared) + 0.4 own_prev + 0.2 own_next + noise."""
    rng = np.random.default_rng(seed)

    def normal(width):
        shared = np.repeat(rng.standard_normal((n_images, width)), tokens, axis=0)
        return math.sqrt(icc) * shared + math.sqrt(1 - icc) * rng.standard_normal(shared.shape)

    common, own_prev, own_next = normal(d - 1), normal(1), normal(1)
    z = common.sum(axis=1) + 0.4 * own_prev[:, 0] + 0.2 * own_next[:, 0] + noise * normal(1)[:, 0]
    images = np.repeat([f"image {i}" for i in range(n_images)], tokens)
    return np.c_[common, own_prev], np.c_[common, own_next], z, images


def quiet(*args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EstimateWarning)
        return functional_redundancy(*args, **kwargs)


def test_a_large_sample_gives_the_known_gap_the_bracket_and_the_errors():
    x_prev, x_next, z, images = linear(6000, 2)
    result = quiet(x_prev, x_next, z, ids=images, target_range=(-12.0, 12.0))
    assert result.estimate == pytest.approx(GAP, abs=4 * result.standard_error)
    assert result.standard_error < 0.006
    assert GAP in result.interval
    # A = E|f_J - f_next|^2 = 0.4^2 and B = 0.2^2: the truth sits inside (0.4 -+ 0.2)^2.
    assert result.gain_next == pytest.approx(0.16, abs=0.01)
    assert result.gain_prev == pytest.approx(0.04, abs=0.01)
    assert result.bracket.lower < GAP < result.bracket.upper
    assert result.bracket_interval.includes(result.bracket)
    assert result.error_next == pytest.approx(0.25 + 0.16, abs=0.05)
    assert result.certified_upper.interval.upper >= GAP
    assert result.lipschitz_prev == pytest.approx(math.sqrt(3 + 0.16), rel=0.05)
    # The joint probe of least norm shares the common coordinates equally between the layers.
    assert result.alpha == pytest.approx(math.sqrt(0.75 + 0.2**2), rel=0.03)
    assert result.beta == pytest.approx(math.sqrt(0.75 + 0.4**2), rel=0.03)


def test_equal_layers_have_no_gap():
    x, _, z, images = linear()
    result = quiet(x, x, z, ids=images)
    assert abs(result.estimate) < 1e-12
    assert result.bracket.upper < 1e-3


def test_means_from_moments_are_the_means_of_the_rows():
    """Two computations of the same estimate: from cells of moments, and row by row."""
    x_prev, x_next, z, images = linear(60, 3)
    task, split = read_task(z, len(z)), image_folds(images, len(z))
    engine = LinearEngine(x_prev, x_next, task, split, replicas=2)
    rows = score_images(x_prev, x_next, task, split, engine, "token_pooled").mean()
    np.testing.assert_allclose(cell_scores(engine), rows, rtol=1e-9, atol=1e-12)


def test_probes_of_a_fold_see_neither_it_nor_each_others_half():
    x_prev, x_next, z, images = linear(60, 3)
    split = image_folds(images, len(z))
    before = LinearEngine(x_prev, x_next, read_task(z, len(z)), split)
    for half in (0, 1):
        changed = z.copy()
        changed[split.row_fold == 2] += 100.0
        other = LinearEngine(x_prev, x_next, read_task(changed, len(z)), split)
        for a, b in zip(before.halves(2), other.halves(2), strict=True):
            np.testing.assert_array_equal(a.joint.weights, b.joint.weights)
        assert not np.allclose(before.halves(1)[half].joint.weights, other.halves(1)[half].joint.weights)
        changed = z.copy()
        changed[(split.row_fold != 2) & (split.row_half == half)] *= 3.0
        other = LinearEngine(x_prev, x_next, read_task(changed, len(z)), split)
        other._penalties = dict(before._penalties)  # the penalty alone is chosen between the halves
        same = [engine.halves(2)[1 - half].prev.weights for engine in (before, other)]
        np.testing.assert_allclose(*same, rtol=1e-12)  # the pilot shift of the moments may differ


def test_certified_probes_do_not_see_the_certified_half():
    x_prev, x_next, z, images = linear(60, 3)
    split = image_folds(images, len(z))
    changed = np.where(split.row_half == 1, -z, z)
    first, second = (LinearEngine(x_prev, x_next, read_task(t, len(z)), split).certifying() for t in (z, changed))
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a.weights, b.weights)


def test_nothing_depends_on_the_order_of_the_rows():
    x_prev, x_next, z, images = linear(60, 3)
    order = np.random.default_rng(1).permutation(len(z))
    labels = z > 0
    first = quiet(x_prev, x_next, labels, ids=images)
    second = quiet(x_prev[order], x_next[order], labels[order], ids=images[order])
    assert second.estimate == pytest.approx(first.estimate, rel=1e-9)
    assert second.standard_error == pytest.approx(first.standard_error, rel=1e-9)
    for a, b in zip(first.certified, second.certified, strict=True):
        assert a.interval.upper == pytest.approx(b.interval.upper, rel=1e-8)


def test_labels_strings_one_hot_and_distributions_are_one_task():
    x_prev, x_next, z, images = linear(60, 3)
    labels = np.digitize(z, [-1.0, 1.0])
    names = np.array(["a", "b", "c"])[labels]
    results = [quiet(x_prev, x_next, t, ids=images) for t in (labels, names, np.eye(3)[labels])]
    soft = quiet(x_prev, x_next, 0.999 * np.eye(3)[labels] + 0.001 / 3, ids=images)
    assert len({r.estimate for r in results}) == 1
    assert len({r.certified_upper.interval.upper for r in results}) == 1
    assert soft.estimate == pytest.approx(0.999**2 * results[0].estimate, rel=1e-9)
    assert [r.task.split(" of ")[0] for r in (*results, soft)] == [
        "labels",
        "labels",
        "one-hot labels",
        "probability vectors",
    ]


def test_ranges_of_tasks():
    labels = np.array([0, 1, 2, 1])
    assert read_task(labels, 4).squared_diameter == 2.0
    assert read_task(labels, 4).cap == 1.0, "classes that the sample lacks"
    assert read_task(labels, 4, n_classes=4).cap == pytest.approx(0.75, rel=1e-12)
    box = read_task(np.array([[0.0, 1.0], [1.0, 0.5]]), 2, target_range=(-1.0, 3.0))
    assert box.squared_diameter == pytest.approx(2 * 4.0**2, rel=1e-12)
    assert box.cap == pytest.approx(2 * 2.0**2, rel=1e-12)
    assert read_task(np.array([0.5, 1.5]), 2).cap is None
    assert read_task(np.array([[1, 0], [0, 1]]), 2).kind == "one_hot"
    assert read_task(np.array([[0.25, 0.75], [0.5, 0.5]]), 2).kind == "distribution"
    assert read_task(np.array([[0.25, 0.75], [0.5, 0.5]]), 2, target_range=(0.0, 1.0)).kind == "vector"


@settings(deadline=None, max_examples=50)
@given(numbers=st.lists(st.lists(st.integers(-8, 8), min_size=3, max_size=3), min_size=1, max_size=4))
def test_projection_lands_on_the_simplex_and_never_moves_away_from_it(numbers):
    points = np.array(numbers) / 4.0
    landed = read_task(np.array([0, 1, 2]), 3).project(points)
    np.testing.assert_allclose(landed.sum(axis=1), 1.0, rtol=1e-12)
    assert (landed >= 0.0).all()
    for corner in np.eye(3):
        before, after = (((p - corner) ** 2).sum(axis=1) for p in (points, landed))
        assert (after <= before + 1e-12).all()
    # Nearest point: the residual makes no acute angle with the way to any corner.
    assert all(((points - landed) * (corner - landed)).sum(axis=1).max() <= 1e-12 for corner in np.eye(3))


def test_estimands_differ_when_images_differ_in_size():
    rng = np.random.default_rng(0)
    counts = np.where(np.arange(200) % 2, 1, 9)
    images = np.repeat(np.arange(200), counts)
    x = rng.standard_normal((len(images), 2))
    # The gap lives in the images of one token: half of the images, a tenth of the rows.
    z = x[:, 0] + np.where(counts[images] == 1, 1.0, 0.0) * x[:, 1]
    layers = np.c_[x[:, 0], x[:, 1] * (counts[images] == 1)], x[:, :1] + np.zeros((len(x), 2))
    by_image = quiet(*layers, z, ids=images)
    pooled = quiet(*layers, z, ids=images, estimand="token_pooled", target_range=(-9.0, 9.0), count_max=9)
    assert by_image.estimate == pytest.approx(0.5, abs=0.15)
    assert pooled.estimate == pytest.approx(0.1, abs=0.05)
    with pytest.raises(InvalidInputError, match="count_max"):
        quiet(*layers, z, ids=images, estimand="token_pooled", target_range=(-9.0, 9.0))


def test_certificates_recheck_survive_json_and_add_up_to_the_level():
    x_prev, x_next, z, images = linear(80, 3)
    codes = (z > 0).astype(int), (z > 0.3).astype(int)
    result = quiet(x_prev, x_next, z > 0, ids=images, codes=codes)
    assert {c.theorem for c in result.certified} == {
        "concentration.betting_upper",
        "concentration.betting_lower",
        "lipschitz.probe_errors_cap",
        "plug_in.inverse_bounds",
        "mismatch.mismatch_upper_of_diameter",
    }
    assert all(c.recheck().ok for c in (*result.certified, *result.theorems))
    failures = {key: delta for c in result.certified for key, delta in c.failures}
    assert math.fsum(failures.values()) == pytest.approx(0.05, rel=1e-9)
    again = FunctionalRedundancy.from_dict(json.loads(json.dumps(result.to_dict())))
    assert again == result
    assert again.certified_upper.recheck().ok
    assert result.certified_upper.theorem in {"lipschitz.probe_errors_cap", "plug_in.inverse_bounds"}, (
        "codes are another question"
    )
    rates = np.bincount(np.unique(images, return_inverse=True)[1], weights=codes[0] != codes[1]) / 3
    mismatch = next(c for c in result.certified if c.theorem == "mismatch.mismatch_upper_of_diameter")
    direct = betting_upper(values=rates, confidence_level=1 - 0.05 / 6)
    assert mismatch.interval.upper == pytest.approx(min(2 * direct.interval.upper, 1.0), rel=0.2), "another order"


def test_probe_errors_certify_a_gap_when_the_task_is_easy():
    """Probes that predict well make (sqrt mse + sqrt mse')^2 small, so the certificate says something."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 3000)
    x = np.c_[4.0 * (2 * labels - 1), rng.standard_normal((3000, 2))] + 0.3 * rng.standard_normal((3000, 3))
    result = quiet(x, x + 0.1 * rng.standard_normal(x.shape), labels, ids=np.arange(3000) // 2, n_classes=2)
    upper = result.certified_upper
    assert upper.label == f"C({2 * 0.05 / 5:.3g})"
    assert upper.interval.upper < 0.2
    assert max(result.estimate, 0.0) < upper.interval.upper


def test_theorems_stand_beside_with_the_right_labels():
    x_prev, x_next, z, images = linear(200, 3, d=6)
    x_next = x_prev + 0.1 * x_next
    unit_prev, unit_next = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (x_prev, x_next))
    guessed = quiet(unit_prev, unit_next, z, ids=images, target_range=(-12.0, 12.0))
    stated = quiet(unit_prev, unit_next, z, ids=images, target_range=(-12.0, 12.0), alpha=2.0, beta=1.0)
    raw = quiet(x_prev, x_next, z, ids=images)
    expected = {
        "lipschitz.minkowski_upper",
        "lipschitz.printed_upper",
        "lipschitz.unit_norm_upper",
        "lipschitz.residual_upper",
        "plug_in.printed_upper",
    }
    assert {c.theorem for c in guessed.theorems} == {c.theorem for c in stated.theorems} == expected
    assert {c.theorem for c in raw.theorems} == {"lipschitz.minkowski_upper", "lipschitz.residual_upper"}, (
        "printed forms need unit norm"
    )
    assert {c.evidence for c in guessed.theorems} == {"E"}
    labels = {c.theorem: c.evidence for c in stated.theorems}
    assert labels == {
        t: "A" if t in ("lipschitz.printed_upper", "lipschitz.unit_norm_upper") else "E" for t in expected
    }
    assert (stated.alpha, stated.beta) == (2.0, 1.0)
    values = {c.theorem: c.interval.upper for c in stated.theorems}
    squared = float(((unit_next - unit_prev) ** 2).sum(axis=1).mean())
    assert values["lipschitz.minkowski_upper"] == pytest.approx(9.0 * squared, rel=1e-9)
    distance = next(c for c in stated.certified if c.quantity == "mean_distance")
    assert values["lipschitz.printed_upper"] == pytest.approx(4.0 * 5.0 * distance.interval.upper, rel=1e-9)
    assert distance.interval.upper > squared / 2
    assert "estimated" in guessed.theorems[0].provenance["lipschitz_constants"]


def test_few_images_use_the_jackknife_and_design_effects_are_seen():
    x_prev, x_next, z, images = linear(100, 3)
    assert "jackknife over 20 groups" in quiet(x_prev, x_next, z, ids=images).method
    rng = np.random.default_rng(0)
    copies = np.repeat(rng.standard_normal((300, 4)), 5, axis=0)
    task = copies[:, 0] + np.repeat(rng.standard_normal(300), 5)
    ids = np.repeat(np.arange(300), 5)
    read, split = read_task(task, 1500), image_folds(ids, 1500)
    engine = LinearEngine(copies, copies[:, ::-1].copy(), read, split)
    scores = score_images(copies, copies[:, ::-1], read, split, engine, "image_average")
    assert independent_rows(scores) == pytest.approx(300, abs=2), "rows of an image are equal here"
    values = scores.values[:, 0]
    assert clustered_error(scores)[0] == pytest.approx(values.std(ddof=1) / math.sqrt(300), rel=1e-9)


@pytest.mark.filterwarnings("ignore::estimators.functional.EstimateWarning")
def test_warns_where_the_interval_is_not_to_be_used_and_only_there():
    x_prev, x_next, z, images = linear(300, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("error", EstimateWarning)
        fine = functional_redundancy(x_prev, x_next, z, ids=images, target_range=(-12.0, 12.0))
    assert fine.usable
    assert fine.warnings == ()
    wide_prev, wide_next, z, images = linear(60, 3, d=60)
    with pytest.warns(EstimateWarning, match="n_components=3"):
        poor = functional_redundancy(wide_prev, wide_next, z, ids=images, target_range=(-99.0, 99.0))
    assert not poor.usable
    with pytest.warns(EstimateWarning, match="upper_limit"):
        functional_redundancy(x_prev, x_prev + 1e-3, z[:180].repeat(5), ids=np.arange(900) // 3)
    with pytest.warns(EstimateWarning, match="effective number of features"):
        functional_redundancy(*linear()[:3], ids=linear()[3], probe=LinearRegression())


def test_other_probes_take_the_same_road():
    x_prev, x_next, z, images = linear(200, 3)
    ridge = quiet(x_prev, x_next, z, ids=images)
    plain = quiet(x_prev, x_next, z, ids=images, probe=LinearRegression())
    assert plain.estimate == pytest.approx(ridge.estimate, abs=0.005)
    assert plain.probe_class == "LinearRegression"
    kernel = quiet(x_prev, x_next, z > 0, ids=images, probe="kernel")
    assert "gaussian kernel (20 random features)" in kernel.probe_class
    assert kernel.effective_dof <= 20
    assert kernel.lipschitz_prev > 0
    nystroem = quiet(x_prev, x_next, z > 0, ids=images, probe=KernelProbe(15))
    assert nystroem.effective_dof is not None
    assert nystroem.lipschitz_next > 0
    classifier = quiet(x_prev, x_next, z > 0, ids=images, probe=LogisticRegression())
    linear_class = quiet(x_prev, x_next, z > 0, ids=images)
    assert classifier.error_prev < linear_class.error_prev, "probabilities are not linear"
    assert classifier.certified_upper is not None


def test_principal_components_make_a_usable_class_of_too_many_features():
    rng = np.random.default_rng(0)
    x_prev, x_next, z, images = linear(200, 3)
    wide = np.linalg.qr(rng.standard_normal((64, 64)))[0][:4]
    noise = 0.01 * rng.standard_normal((2, 600, 64))
    layers = 3.0 * x_prev @ wide + noise[0], 3.0 * x_next @ wide + noise[1]
    full = quiet(*layers, z, ids=images)
    few = quiet(*layers, z, ids=images, n_components=6)
    assert few.usable
    assert few.n_features == (64, 64)
    assert few.probe_class == "linear (ridge) on 6 pooled principal components"
    assert few.effective_dof <= 6
    assert few.standard_error < full.standard_error
    assert abs(few.estimate - GAP) < 4 * few.standard_error
    everything = quiet(*layers, z, ids=images, n_components=64)
    assert everything.estimate == pytest.approx(full.estimate, rel=1e-6), "a rotation changes no ridge probe"
    with pytest.raises(InvalidInputError, match="one width"):
        quiet(layers[0], x_next, z, ids=images, n_components=2)


def test_the_mlp_by_name():
    pytest.importorskip("torch", reason="torch is in the extract extra")
    from estimators.probes.mlp import MLPProbe

    x_prev, x_next, z, images = linear(60, 3)
    result = quiet(x_prev, x_next, np.abs(z), ids=images, folds=2, probe=MLPProbe((8,), epochs=5))
    assert result.probe_class == "multi-layer perceptron"
    assert not result.usable
    assert result.lipschitz_prev > 0


def test_memory_mapped_states_and_a_torch_device(tmp_path):
    x_prev, x_next, z, images = linear(60, 3)
    np.save(tmp_path / "prev.npy", x_prev.astype(np.float32))
    mapped = np.load(tmp_path / "prev.npy", mmap_mode="r")
    result = quiet(mapped, x_next, z, ids=images)
    assert result.estimate == pytest.approx(quiet(x_prev, x_next, z, ids=images).estimate, rel=1e-4)
    pytest.importorskip("torch", reason="torch is in the extract extra")
    device = quiet(x_prev, x_next, z, ids=images, device="cpu")
    assert device.estimate == pytest.approx(quiet(x_prev, x_next, z, ids=images).estimate, rel=1e-9)


def nan_row(x):
    broken = x.copy()
    broken[7, 1] = np.nan
    return broken


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p, n, z, i: (p, n, np.ones(len(z), dtype=int), i), "two classes in target, got only 1; there"),
        (lambda p, n, z, i: (np.ma.masked_less(p, 0), n, z, i), "without a mask for x_prev"),
        (lambda p, n, z, i: (p, np.ma.masked_less(n, 0), z, i), "without a mask for x_next"),
        (lambda p, n, z, i: (p, n, np.ma.masked_less(z, 0), i), "without a mask for target"),
        (lambda p, n, z, i: (p, n, z, np.ma.array(i, mask=False)), "without a mask for ids"),
        (lambda p, n, z, i: (p, n, np.ones(len(z)), i), "target that varies"),
        (lambda p, n, z, i: (p, n, z, np.zeros(len(z), dtype=int)), "got 1 image "),
        (lambda p, n, z, i: (p[:9], n[:9], z[:9], i[:9]), "at least 2 images in each of 5 folds, got 3"),
        (lambda p, n, z, i: (nan_row(p), n, z, i), "x_prev, got NaN or infinity in row 7"),
        (lambda p, n, z, i: (p, nan_row(n), z, i), "x_next, got NaN or infinity in row 7"),
        (lambda p, n, z, i: (p, n[:-2], z, i), "layers of one length, got 180 rows in x_prev and 178 in x_next"),
        (lambda p, n, z, i: (p, n, z[:-2], i), "one target per row"),
        (lambda p, n, z, i: (p, n, np.where(z > 1, np.nan, z), i), "finite targets"),
        (lambda p, n, z, i: (p, n, z, i[:-2]), "ids, one per row"),
        (lambda p, n, z, i: (p[:, 0], n, z, i), "x_prev of shape"),
        (lambda p, n, z, i: (p.astype(int), n, z, i), "floating-point states"),
    ],
)
def test_bad_input_gets_a_sentence(change, message):
    x_prev, x_next, z, images = change(*linear(60, 3))
    with pytest.raises(InvalidInputError, match=message):
        functional_redundancy(x_prev, x_next, z, ids=images)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"probe": "forest"}, "'ridge', 'kernel', 'mlp'"),
        ({"probe": 3}, "fit and predict"),
        ({"probe": LogisticRegression()}, "need labels for the classifier"),
        ({"view": "some"}, "view among"),
        ({"estimand": "all"}, "estimand among"),
        ({"alpha": 1.0}, "both alpha and beta"),
        ({"target_range": (-1.0, 1.0)}, "declared range"),
        ({"confidence_level": 1.0}, "confidence_level"),
        ({"folds": 1}, "folds"),
        ({"codes": (np.zeros(3), np.zeros(3))}, "codes="),
    ],
)
def test_bad_options_get_a_sentence(options, message):
    x_prev, x_next, z, images = linear(60, 3)
    with pytest.raises(InvalidInputError, match=message):
        quiet(x_prev, x_next, z, ids=images, **options)


def test_the_ridge_path_loads_no_torch():
    code = "import estimators.functional, sys; print('torch' in sys.modules or 'sklearn' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_class_of_fewer_than_five_images_is_said_and_makes_the_interval_unusable():
    rng = np.random.default_rng(0)
    images = np.repeat(np.arange(60), 2)
    labels = np.repeat((np.arange(60) < 4).astype(int), 2)
    x, y = rng.normal(size=(2, 120, 3))
    with pytest.warns(EstimateWarning, match=r"1 of 2 classes occur in fewer than 5 images \(one in 4\)"):
        result = functional_redundancy(x, y, labels, ids=images)
    assert not result.usable
    labels[8:10] = 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EstimateWarning)
        assert functional_redundancy(x, y, labels, ids=images).usable


def test_components_are_fitted_on_the_half_that_does_not_certify():
    """A direction that is large in the certifying half alone must not become the component."""
    rng = np.random.default_rng(5)
    ids = np.arange(400)
    second = image_folds(ids, 400, folds=5, random_state=0).row_half == 1
    signal = rng.normal(size=400)
    x = np.stack([signal, np.where(second, 30.0, 0.01) * rng.normal(size=400)], axis=1)
    found = functional_redundancy(x, x.copy(), (signal > 0).astype(int), ids=ids, n_components=1)
    assert found.error_prev < 0.3  # of about 0.5 for a component that knows nothing of the label


def test_mapped_states_have_a_row_for_each_state_and_a_column_for_each_wave():
    from estimators.functional.features import FourierStates

    states = np.arange(12.0).reshape(4, 3)
    mapped = FourierStates(states, np.eye(3)[:, [0, 1, 2, 0, 1]], np.zeros(5), 2.0)
    assert (mapped.shape, len(mapped), mapped[[1, 2]].shape) == ((4, 5), 4, (2, 5))
