"""Probes: scikit-learn's estimator checks, fits of known functions, Lipschitz bounds that hold, calibration."""

import warnings

import numpy as np
import pytest
from sklearn.exceptions import SkipTestWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.utils.estimator_checks import parametrize_with_checks

from estimators.probes.classify import CalibratedProbe
from estimators.probes.kernel import KernelProbe
from estimators.probes.lipschitz_constants import (
    gaussian_kernel_upper,
    product_upper,
    random_features_upper,
    softmax_upper,
    spectral_norm,
)
from estimators.probes.ridge import StreamingRidge
from redundancy.errors import InvalidInputError

ESTIMATORS = [
    StreamingRidge(),
    StreamingRidge(relative=True, alphas=(1e-3, 1.0)),
    KernelProbe(30),
    KernelProbe(30, method="random_features"),
    CalibratedProbe(),
]


@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks(ESTIMATORS)
def test_estimator_contract(estimator, check):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SkipTestWarning)
        check(estimator)


@pytest.mark.filterwarnings("ignore")
def test_estimator_contract_of_the_mlp():
    pytest.importorskip("torch", reason="torch is in the extract extra")
    from sklearn.utils.estimator_checks import check_estimator

    from estimators.probes.mlp import MLPProbe

    outcomes = check_estimator(MLPProbe((16,), epochs=25), on_fail=None, on_skip=None)
    assert [o["check_name"] for o in outcomes if o["status"] not in ("passed", "skipped")] == []
    assert sum(o["status"] == "passed" for o in outcomes) > 40


def steepest(probe, x, *, seed=0, n=4000):
    """Largest difference quotient that random pairs, near and far, find."""
    rng = np.random.default_rng(seed)
    first = x[rng.integers(0, len(x), n)] + 0.1 * rng.standard_normal((n, x.shape[1]))
    second = first + 10.0 ** rng.uniform(-4, 0.5, (n, 1)) * rng.standard_normal(first.shape)
    a, b = (np.asarray(probe(p)).reshape(n, -1) for p in (first, second))
    return float((np.linalg.norm(a - b, axis=1) / np.linalg.norm(first - second, axis=1)).max())


@pytest.mark.parametrize("method", ["nystroem", "random_features"])
def test_kernel_probe_fits_a_bump_and_its_lipschitz_bound_holds(method):
    rng = np.random.default_rng(0)
    x = rng.uniform(-2, 2, (400, 2))
    z = np.stack([np.sin(2 * x[:, 0]), np.cos(x[:, 1]) * x[:, 0]], axis=1)
    probe = KernelProbe(80, method=method).fit(x, z, groups=np.arange(400) // 2)
    fresh = rng.uniform(-1.8, 1.8, (200, 2))
    truth = np.stack([np.sin(2 * fresh[:, 0]), np.cos(fresh[:, 1]) * fresh[:, 0]], axis=1)
    assert np.abs(probe.predict(fresh) - truth).max() < 0.1
    quotient = steepest(probe.predict, x)
    assert quotient <= probe.lipschitz_
    if method == "nystroem":
        assert probe.lipschitz_ < 100.0 * quotient, "a bound, not infinity"
    assert 5.0 < probe.effective_dof_ <= 80.0


def test_gaussian_kernel_bound_is_nearly_attained_by_one_bump():
    """One centre: steepest slope exp(-1/2)/s against the bound 1/s."""
    s = 0.7
    bound = gaussian_kernel_upper([[1.0]], [[1.0]], bandwidth=s)
    assert np.exp(-0.5) / s <= bound <= 1.000001 / s


def test_the_bound_on_an_mlp_holds():
    pytest.importorskip("torch", reason="torch is in the extract extra")
    from estimators.probes.mlp import MLPProbe

    rng = np.random.default_rng(0)
    x = 5.0 + 3.0 * rng.standard_normal((400, 3))
    z = np.stack([np.abs(x[:, 0] - 5.0), x[:, 1]], axis=1)
    probe = MLPProbe((32,), epochs=80).fit(x, z)
    assert probe.score(x, z) > 0.95
    assert 0.0 < steepest(probe.predict, x) <= probe.lipschitz_
    np.testing.assert_array_equal(probe.predict(x), MLPProbe((32,), epochs=80).fit(x, z).predict(x))


def test_lipschitz_constants_against_numpy():
    rng = np.random.default_rng(0)
    first, second = rng.standard_normal((4, 6)), rng.standard_normal((6, 2))
    assert spectral_norm(first) == pytest.approx(np.linalg.norm(first, 2), rel=1e-12)
    product = np.linalg.norm(first, 2) * np.linalg.norm(second, 2)
    assert product_upper([first, second]) == pytest.approx(product, rel=1e-9)
    assert random_features_upper(first, second) == product_upper([first, second])
    with pytest.raises(InvalidInputError, match="one weight matrix"):
        product_upper([])


def test_softmax_bound_holds_ignores_common_shifts_and_is_attained_by_two_classes():
    rng = np.random.default_rng(0)
    weights = rng.standard_normal((3, 4))
    bound = softmax_upper(weights)
    assert bound == pytest.approx(softmax_upper(weights + rng.standard_normal((3, 1))), rel=1e-9)

    def softmax(x):
        e = np.exp(x @ weights - (x @ weights).max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)

    assert steepest(softmax, rng.standard_normal((50, 3))) <= bound
    # Logits (t, -t): the slope of the pair of probabilities at 0 is |(1/2, -1/2)| = 1/sqrt 2.
    assert softmax_upper([[1.0, -1.0]]) == pytest.approx(np.sqrt(0.5), rel=1e-9)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_temperature_repairs_overconfident_scores(n_classes):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((600, 40))
    y = (x[:, :n_classes] + 1.5 * rng.standard_normal((600, n_classes))).argmax(axis=1)
    groups = np.arange(600) // 3
    base = LogisticRegression(C=1e4, max_iter=2000)
    probe = CalibratedProbe(base).fit(x[:300], y[:300], groups=groups[:300])
    raw = base.fit(x[:300], y[:300])
    assert probe.temperature_ > 1.2
    assert log_loss(y[300:], probe.predict_proba(x[300:])) < log_loss(y[300:], raw.predict_proba(x[300:])) - 0.02
    np.testing.assert_array_equal(probe.predict(x), raw.predict(x))
    np.testing.assert_allclose(probe.predict_proba(x).sum(axis=1), 1.0, rtol=1e-12)
    assert steepest(probe.predict_proba, x) <= probe.lipschitz_


def test_calibrated_labels_keep_their_names_and_one_class_is_refused():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((60, 2))
    names = np.where(x[:, 0] > 0, "yes", "no")
    assert set(CalibratedProbe().fit(x, names).predict(x)) == {"yes", "no"}
    with pytest.raises(InvalidInputError, match="two classes"):
        CalibratedProbe().fit(x, np.full(60, "yes"))
