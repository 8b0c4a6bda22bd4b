"""The cost model against torch's own operation counter on the running engine, and against closed forms."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from extraction.skip import (
    DecoderShape,
    Plan,
    apply,
    cache_bytes,
    decode_bytes,
    decode_flops,
    flop_speedup,
    kv_share,
    late_entry,
    parse_plan,
    prefill_flops,
    random_keep,
    skip_layers,
    tokens_per_layer,
    vision_exit,
)
from extraction.tiny import tiny_batch, tiny_llava
from redundancy.errors import InvalidInputError

N, N_VISION, N_TEXT = 5, 9, 6
PLANS = [
    "identity",
    "late_entry(2)",
    "late_entry(5)",
    "vision_exit(3)",
    "late_entry(1) + vision_exit(4) + skip_layers(2)",
    "skip_attention(0, 3) + skip_mlp(1)",
    "text_exit(2)",
    "random_keep(0.4)",
]


@pytest.fixture(scope="module")
def model():
    return tiny_llava(n_layers=N, attn_implementation="eager")  # torch does not count the fused kernel of the CPU


def counted(model, **inputs):
    """Operations of the decoder layers and the head, counted by torch while they run."""
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        cache = model(**inputs, logits_to_keep=1, use_cache=True).past_key_values
    counts = counter.get_flop_counts()
    parts = [v for k, v in counts.items() if k.endswith(("language_model", ".lm_head")) and "layers" not in k]
    assert len(parts) == 2
    return sum(sum(part.values()) for part in parts), cache


@pytest.mark.parametrize("text", PLANS)
def test_flops_and_cache_equal_what_torch_counts(model, text):
    plan, batch = parse_plan(text), tiny_batch(model, 1, N_TEXT - 1)
    with apply(model, plan):
        prefill, cache = counted(model, **batch)
        stored = sum(layer.keys.numel() for layer in cache.layers if layer.keys is not None)
        decode, _ = counted(model, input_ids=torch.tensor([[7]]), past_key_values=cache)
    # The prompt counts m keys, the new token attends to itself too: one generated token so far.
    assert prefill == prefill_flops(model.config, plan, N_VISION, N_TEXT)
    assert decode == decode_flops(model.config, plan, N_VISION, N_TEXT, n_generated=1)
    assert cache_bytes(model.config, plan, N_VISION, N_TEXT, item_bytes=4) == 2 * 4 * stored
    full = N * 15 * DecoderShape.of(model.config).kv_width
    assert kv_share(model.config, plan, N_VISION, N_TEXT) == pytest.approx(stored / full)


def test_weights_are_those_of_the_model(model):
    shape, layer = DecoderShape.of(model.config), model.model.language_model.layers[0]
    assert shape.attention_weights == sum(p.numel() for p in layer.self_attn.parameters())
    assert shape.mlp_weights == sum(p.numel() for p in layer.mlp.parameters())
    weights = N * (shape.attention_weights + shape.mlp_weights) + model.lm_head.weight.numel()
    read = decode_bytes(model.config, Plan(), N_VISION, N_TEXT, item_bytes=4)
    assert read == 4 * weights + cache_bytes(model.config, Plan(), N_VISION, N_TEXT, item_bytes=4)


def test_predictions_of_the_specification():
    """12 layers, d = 512, 576 + 40 tokens: the speed-ups printed in brackets there."""
    shape = DecoderShape(n_layers=12, width=512, query_width=512, kv_width=512, mlp_width=1408, vocabulary=4096)
    printed = {late_entry(3): 1.31, late_entry(6): 1.90, vision_exit(6): 1.90, vision_exit(9): 1.31}
    printed[skip_layers(3, 4, 5)] = 1.33
    for plan, speedup in printed.items():
        assert flop_speedup(shape, plan, 576, 40) == pytest.approx(speedup, abs=0.005)
    assert flop_speedup(shape, Plan(), 576, 40) == 1.0
    assert kv_share(shape, late_entry(6), 576, 40) == pytest.approx((616 + 40) / (2 * 616))


def test_tokens_per_layer():
    plan = late_entry(1) + vision_exit(3) + skip_layers(2)
    assert tokens_per_layer(plan, 4, 10, 5) == (5, 15, 0, 5)
    assert tokens_per_layer(random_keep(0.25), 2, 10, 5) == (8, 8)
    assert tokens_per_layer(parse_plan("text_exit(1)"), 3, 10, 5) == (15, 1, 1)


def test_shapes_that_the_model_does_not_know_are_refused(model):
    from transformers import MixtralConfig

    with pytest.raises(InvalidInputError, match="mixture of experts"):
        DecoderShape.of(MixtralConfig(num_local_experts=4))
    with pytest.raises(InvalidInputError, match="all its sizes"):
        DecoderShape.of(model.config.vision_config.__class__.__mro__[-1]())
    with pytest.raises(InvalidInputError, match="n_text"):
        prefill_flops(model.config, Plan(), 9, 0)
    with pytest.raises(InvalidInputError, match="late_entry"):
        prefill_flops(model.config, late_entry(6), 9, 5)
