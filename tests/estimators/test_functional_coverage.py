"""The coverage simulation at a reduced size: intervals near their level, certified bounds never below theirs."""

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from support import load_script

FOLDER = Path(__file__).parents[2] / "examples" / "simulations"


@pytest.fixture(scope="module")
def simulation():
    return load_script("examples/simulations/functional_coverage.py")


@pytest.mark.parametrize("kind", ["linear", "nonlinear", "classification"])
def test_gaps_of_the_laws_are_those_of_a_large_sample(simulation, kind):
    """The truths of the simulation, from quadrature, against least squares on 200,000 rows."""
    law = simulation.law(kind, 2, 0.0)
    x_prev, x_next, z, _ = law.draw(200_000, 1, np.random.default_rng(0))
    task = np.eye(2)[z] if kind == "classification" else z[:, None]
    ones = np.ones((len(z), 1))
    fits = [np.c_[x, ones] @ np.linalg.lstsq(np.c_[x, ones], task, rcond=None)[0] for x in (x_prev, x_next)]
    gaps = ((fits[1] - fits[0]) ** 2).sum(axis=1)
    assert gaps.mean() == pytest.approx(law.class_gap, abs=5 * gaps.std() / np.sqrt(len(z)) + 1e-3)
    assert law.ideal_gap >= law.class_gap - 1e-12, "here the linear class loses signal on both layers"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["linear", "nonlinear", "classification", "null"])
@pytest.mark.parametrize("icc", [0.0, 0.3])
def test_usable_intervals_cover_and_certified_bounds_hold(simulation, kind, icc):
    row = simulation.coverage(kind, 400, 5, 20, 100, icc)
    assert row["warned"] == 0.0
    if kind == "null":
        assert stats.binomtest(round(row["upper_limit"] * 100), 100, 0.92, alternative="less").pvalue > 1e-3
    else:
        assert stats.binomtest(round(row["interval"] * 100), 100, 0.92, alternative="less").pvalue > 1e-3
        assert abs(row["bias"]) < 0.5 * row["se"]
    assert row["certified"] == 1.0


@pytest.mark.slow
def test_a_warning_is_raised_where_features_outnumber_images(simulation):
    assert simulation.coverage("linear", 60, 5, 60, 2, 0.3)["warned"] == 1.0


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["nonlinear", "classification"])
def test_bounds_on_losses_hold_at_their_level(simulation, kind):
    row = simulation.certified_losses(kind, 200, 5, 10, 100, 0.3)
    for rate in row["rates"]:
        assert stats.binomtest(round(rate * 100), 100, row["level"], alternative="less").pvalue > 1e-3
