"""Bytes that a cache holds: equal to the predicted ones to the byte, for every kind of plan and batch."""

import pytest
import torch

from extraction.skip import (
    Plan,
    cache_bytes,
    fastv,
    kv_share,
    late_entry,
    measure_memory,
    random_keep,
    skip_attention,
    skip_layers,
    skip_mlp,
    text_exit,
    vision_exit,
)
from extraction.tiny import tiny_batch, tiny_llava
from redundancy.errors import InvalidInputError
from support.skip_oracle import ragged_batch

N, N_VISION, N_TEXT, ROWS = 4, 9, 7, 3
PLANS = [
    Plan(),
    late_entry(2),
    vision_exit(1),
    late_entry(1) + vision_exit(3),
    fastv(1, 0.5),
    late_entry(1) + fastv(2, 0.25),
    random_keep(0.4),
    skip_layers(1, 3) + vision_exit(2),
    skip_attention(2) + late_entry(1),
    skip_mlp(0),
    text_exit(2) + vision_exit(2),
]


@pytest.fixture(scope="module")
def model():
    return tiny_llava(n_layers=N)


@pytest.mark.parametrize("plan", PLANS, ids=str)
def test_measured_bytes_and_share_are_the_predicted_ones(model, plan):
    """Against the cost model, which knows nothing of batches or caches."""
    use = measure_memory(model, tiny_batch(model, ROWS, N_TEXT - 1), [plan], progress=False)[0]
    assert use.kv_bytes == ROWS * cache_bytes(model.config, plan, N_VISION, N_TEXT, item_bytes=4)
    assert use.kv_bytes == use.predicted_kv_bytes == use.least_kv_bytes
    assert use.kv_share == kv_share(model.config, plan, N_VISION, N_TEXT) == use.predicted_kv_share
    assert use.peak_bytes is None
    assert use.to_record()["measured_kv_share"] == use.kv_share


def test_positions_are_counted_apart_and_are_small(model):
    plain, entry = measure_memory(model, tiny_batch(model, ROWS, N_TEXT - 1), [Plan(), late_entry(2)], progress=False)
    assert plain.position_bytes == 0
    assert entry.position_bytes == 2 * ROWS * N_TEXT * 8  # two layers, a 64-bit position per entry


@pytest.mark.parametrize("padding", ["left", "right"])
@pytest.mark.parametrize("plan", [late_entry(2), vision_exit(1), random_keep(0.5), skip_layers(0)], ids=str)
def test_rows_of_different_length_hold_rectangles(model, plan, padding):
    use = measure_memory(model, ragged_batch(model, padding), [plan], progress=False)[0]
    assert use.kv_bytes == use.predicted_kv_bytes > use.least_kv_bytes
    assert use.plain_kv_bytes > use.kv_bytes


def test_half_the_type_is_half_the_bytes(model):
    batch = tiny_batch(model, ROWS, N_TEXT - 1)
    whole = measure_memory(model, batch, [late_entry(2)], progress=False)[0]
    half_model = tiny_llava(n_layers=N).to(torch.bfloat16)
    half_batch = {**batch, "pixel_values": batch["pixel_values"].to(torch.bfloat16)}
    half = measure_memory(half_model, half_batch, [late_entry(2)], progress=False)[0]
    assert 2 * half.kv_bytes == whole.kv_bytes


@pytest.mark.skipif(not torch.cuda.is_available(), reason="peaks are counted by the allocator of CUDA alone")
def test_the_peak_holds_the_cache():
    model = tiny_llava(n_layers=N).to("cuda")
    use = measure_memory(model, tiny_batch(model, ROWS, 400), [vision_exit(1)], progress=False)[0]
    assert use.peak_bytes > use.kv_bytes
    assert use.plain_peak_bytes > use.plain_kv_bytes


def test_a_training_model_is_refused(model):
    model.train()
    try:
        with pytest.raises(InvalidInputError, match="eval mode"):
            measure_memory(model, {}, [Plan()])
    finally:
        model.eval()
