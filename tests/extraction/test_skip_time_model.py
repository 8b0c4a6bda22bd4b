"""The fitted time model recovers a known clock; decode timing measures the cache that is really held."""

import numpy as np
import pytest
import torch

from extraction.skip import (
    Plan,
    PrefillTiming,
    TimeModel,
    cache_bytes,
    calibration_plans,
    fastv,
    fit_time,
    kv_share,
    late_entry,
    measure_decode,
    skip_layers,
    skip_mlp,
    vision_exit,
)
from extraction.tiny import tiny_batch, tiny_llava
from redundancy.errors import InvalidInputError

PROMPT = {"n_layers": 12, "n_vision": 576, "n_text": 40}
CLOCK = TimeModel(**PROMPT, constant=3.0, per_layer=0.4, per_token=0.05, per_square=2e-5, residual=0.0)


def timed(plan, noise=0.0, rng=None):
    rng = np.random.default_rng(0) if rng is None else rng
    own, plain = (tuple(CLOCK.predict(p) * np.exp(noise * rng.standard_normal(9))) for p in (plan, Plan()))
    zero = (0.0,) * 9
    return PrefillTiming(
        plan=plan,
        total=own,
        decoder=own,
        vision=zero,
        plain_total=plain,
        plain_decoder=plain,
        plain_vision=zero,
        device="a known clock",
    )


def test_a_known_clock_is_recovered_and_other_plans_are_predicted():
    fitted = fit_time([timed(plan) for plan in calibration_plans(12)], **PROMPT)
    assert fitted.residual < 1e-9
    for plan in (late_entry(3), vision_exit(9), late_entry(2) + vision_exit(7), fastv(2, 0.5), skip_layers(4)):
        assert fitted.predict(plan) == pytest.approx(CLOCK.predict(plan), rel=1e-9)
        assert fitted.speedup(plan) == pytest.approx(CLOCK.speedup(plan), rel=1e-9)


def test_noise_moves_predictions_by_no_more_than_its_size():
    rng = np.random.default_rng(1)
    fitted = fit_time([timed(plan, 0.03, rng) for plan in calibration_plans(12)], **PROMPT)
    assert 0 < fitted.residual < 0.06
    for depth in range(13):
        assert fitted.predict(late_entry(depth)) == pytest.approx(CLOCK.predict(late_entry(depth)), rel=0.06)


def test_coefficients_are_never_negative():
    rng = np.random.default_rng(2)
    for _ in range(20):
        fitted = fit_time([timed(plan, 0.5, rng) for plan in calibration_plans(12)], **PROMPT)
        assert min(fitted.constant, fitted.per_layer, fitted.per_token, fitted.per_square) >= 0.0


def test_too_few_timings_and_sublayers_are_refused():
    with pytest.raises(InvalidInputError, match="at least 4 timed plans to fit 4 coefficients, got 2"):
        fit_time([timed(late_entry(1)), timed(late_entry(2))], **PROMPT)
    with pytest.raises(InvalidInputError, match=r"whole layers only, got skip_mlp\(3\)"):
        CLOCK.predict(skip_mlp(3))


@pytest.fixture(scope="module")
def model():
    with torch.no_grad():
        yield tiny_llava(n_layers=4)


def test_decode_timing_counts_the_bytes_that_are_held(model):
    batch = tiny_batch(model, 2, 5)
    plans = [late_entry(2), vision_exit(1), skip_layers(3)]
    options = {"suppress_tokens": [3, 0, 2], "pad_token_id": 0}
    timings = measure_decode(model, batch, plans, n_tokens=4, rounds=6, progress=False, **options)
    n_vision, n_text, n_new = 9, 6, 3  # the last new token is never fed back
    for timing in timings:
        assert len(timing.token_ms) == len(timing.plain_token_ms) == 6
        assert min(timing.token_ms) > 0
        active = 4 - sum("layer" in timing.plan.left_out(i) for i in range(4))
        prompt = cache_bytes(model.config, timing.plan, n_vision, n_text, item_bytes=4)
        per_token = cache_bytes(model.config, Plan(), 0, 1, item_bytes=4) // 4
        assert timing.cache_bytes == 2 * (prompt + n_new * active * per_token)  # 2 rows
        whole = cache_bytes(model.config, Plan(), n_vision, n_text, item_bytes=4)
        assert timing.plain_cache_bytes == 2 * (whole + n_new * 4 * per_token)
        assert timing.cache_share < 1
        assert timing.peak_bytes is None
        low, high = timing.speedup_interval()
        assert low <= timing.speedup <= high
    assert kv_share(model.config, plans[0], 9, 6) < 1


def test_decode_timing_is_checked(model):
    batch = tiny_batch(model, 2, 5)
    with pytest.raises(InvalidInputError, match="need n_tokens"):
        measure_decode(model, batch, [late_entry(1)], n_tokens=1)
    with pytest.raises(InvalidInputError, match="need rounds"):
        measure_decode(model, batch, [late_entry(1)], rounds=3)
