"""The plan on paper: its page is that of the script, and its figures are those of a hand calculation."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from redundancy.statistics.harvest_statistics import HarvestStatistics, StatisticsSpec
from support import load_script

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def script():
    return load_script("examples/scale_plan.py")


def test_the_page_is_that_of_the_script(script):
    assert (ROOT / "docs" / "scale_plan.md").read_text(encoding="utf-8") == script.page(1e8, 64, script.Assumptions())


def test_a_plan_by_hand(script):
    model = script.Model(
        name="m", parameters=1e9, layers=10, heads=8, width=1000, vision_tokens=90, text_tokens=10,
        vision_parameters=1e8, patches=100, gigabytes=2.0, gpus=2,
    )  # fmt: skip
    given = script.Assumptions(
        peak_tflops=100, utilisation=0.5, harvest_overhead=0.1, matrix_overhead=0.0, storage_gb_per_second=1.0,
        start_seconds=10.0, rent_per_gpu_hour=2.0, image_cpu_seconds=0.0, image_megabytes=0.0,
    )  # fmt: skip
    cost = script.plan(model, 1e6, 8, given)
    per_token = 2e9 + 4 * 10 * 1000 * 50 + 2 * 1e8  # weights, half of a 100-token sequence, the encoder's share
    assert cost.flops_per_token == pytest.approx(per_token)
    assert cost.samples == pytest.approx(1e4)
    assert cost.replicas == 4
    seconds = 1e6 * per_token * 1.1 / (4 * 5e13)
    assert cost.compute_hours * 3600 == pytest.approx(seconds)
    assert cost.load_hours * 3600 == pytest.approx(4 * 2.0 / 1.0 + 10)
    assert cost.gpu_hours == pytest.approx((seconds + 18) * 8 / 3600)
    assert cost.rent == pytest.approx(2 * cost.gpu_hours)


def test_bytes_of_statistics_are_those_of_a_file(script, tmp_path):
    model = replace(script.LLAVA_7B, layers=6, heads=4, width=64)
    rows, pooled = script.statistics_bytes(model)
    spec = StatisticsSpec(model="m", model_type="m", n_layers=6, n_heads=4, shift_digest="0")
    sizes = []
    for n in (1, 101):
        state = HarvestStatistics(
            spec, sample_ids=[f"{i:04d}" for i in range(n)], arrays={"shift": np.zeros((4, 7, 64), np.float32)}
        )
        state.save(tmp_path / str(n))
        sizes.append((tmp_path / str(n)).stat().st_size)
    assert (sizes[1] - sizes[0]) / 100 == pytest.approx(rows, abs=16)  # and the ids with their lengths
    assert sizes[0] - rows == pytest.approx(pooled, abs=8192)  # and the header
