"""What the engine refuses, and that a failure leaves model and engine as they were."""

import copy

import pytest
import torch
from transformers import DynamicCache, StaticCache

from extraction.skip import (
    apply,
    late_entry,
    skip_attention,
    skip_layers,
    skip_mlp,
    text_exit,
    vision_exit,
)
from extraction.tiny import IMAGE_ID, tiny_batch, tiny_llava
from redundancy.errors import InvalidInputError, UnsupportedModelError
from support.skip_oracle import N

NO_IMAGE_OUT = {"suppress_tokens": [IMAGE_ID, 0, 2], "do_sample": False, "pad_token_id": 0}


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.no_grad():
        yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def sdpa_model():
    return tiny_llava(n_layers=N)


def test_everything_is_restored_after_an_exception(sdpa_model):
    batch = tiny_batch(sdpa_model, 2, 5)
    before = sdpa_model(**batch).logits
    layers = sdpa_model.model.language_model.layers

    def shadow(*args, **kwargs):
        return type(layers[1]).forward(layers[1], *args, **kwargs)

    layers[1].forward = shadow  # as accelerate does
    attributes = [{**vars(m)} for m in sdpa_model.modules()]
    hooks = len(sdpa_model._forward_pre_hooks), len(sdpa_model._forward_hooks)
    plan = late_entry(2) + skip_attention(0) + skip_mlp(3)
    seen = []

    def run_and_fail():
        with apply(sdpa_model, plan):
            sdpa_model(**batch)
            seen.append(layers[1].forward)
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        run_and_fail()
    assert seen[0] is not shadow
    with pytest.raises(ValueError, match="Image features and image tokens do not match"), apply(sdpa_model, plan):
        sdpa_model(**{**batch, "pixel_values": batch["pixel_values"][:1]})
    assert [{**vars(m)}.keys() for m in sdpa_model.modules()] == [a.keys() for a in attributes]
    assert layers[1].forward is shadow
    assert (len(sdpa_model._forward_pre_hooks), len(sdpa_model._forward_hooks)) == hooks
    del layers[1].forward
    assert torch.equal(sdpa_model(**batch).logits, before)
    with apply(sdpa_model, plan):  # and can be patched again
        sdpa_model(**batch)


def test_a_failed_forward_does_not_spoil_the_next(sdpa_model):
    batch = tiny_batch(sdpa_model, 2, 5)
    with apply(sdpa_model, late_entry(2)):
        expected = sdpa_model(**batch).logits
        with pytest.raises(ValueError, match="do not match"):
            sdpa_model(**{**batch, "pixel_values": batch["pixel_values"][:1]})
        with pytest.raises(InvalidInputError, match="call that model"):
            sdpa_model.model(**batch)
        assert torch.equal(sdpa_model(**batch).logits, expected)


def test_unsupported_cases_fail_before_a_layer_runs(sdpa_model):
    batch = tiny_batch(sdpa_model, 2, 5)
    ran = []
    hook = sdpa_model.model.language_model.layers[0].register_forward_hook(lambda *a: ran.append(1))
    plain_cache = sdpa_model(**batch, use_cache=True).past_key_values
    ran.clear()
    with apply(sdpa_model, late_entry(2)):
        with pytest.raises(UnsupportedModelError, match="StaticCache"):
            sdpa_model(**batch, past_key_values=StaticCache(config=sdpa_model.config, max_cache_len=32))
        with pytest.raises(UnsupportedModelError, match="StaticCache"):
            sdpa_model.generate(**batch, max_new_tokens=2, cache_implementation="static", **NO_IMAGE_OUT)
        with pytest.raises(UnsupportedModelError, match="15 tokens of the unmodified model"):
            sdpa_model(input_ids=torch.tensor([[5], [6]]), past_key_values=plain_cache)
        with pytest.raises(InvalidInputError, match="skipping needs input_ids"):
            sdpa_model(inputs_embeds=torch.zeros(1, 3, 32))
        with pytest.raises(InvalidInputError, match="already runs a plan"), apply(sdpa_model, vision_exit(1)):
            pass
        assert not ran
        cache = sdpa_model(**batch, past_key_values=DynamicCache(), use_cache=True).past_key_values
    ran.clear()
    with apply(sdpa_model, late_entry(1)), pytest.raises(UnsupportedModelError, match=r"late_entry\(2\) has filled"):
        sdpa_model(input_ids=torch.tensor([[5], [6]]), past_key_values=cache)
    assert not ran
    hook.remove()
    with pytest.raises(UnsupportedModelError, match=r"filled under the plan late_entry\(2\)"):
        sdpa_model(input_ids=torch.tensor([[5], [6]]), past_key_values=cache)


def test_unsupported_models_are_refused_with_the_reason(sdpa_model):
    from transformers import BambaConfig, BambaForCausalLM, LlamaConfig, LlamaForCausalLM

    small = {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "vocab_size": 32,
    }
    text_only = LlamaForCausalLM(LlamaConfig(**small))
    with pytest.raises(UnsupportedModelError, match="names none"), apply(text_only, late_entry(1)):
        pass
    with apply(text_only, skip_layers(1)):
        text_only(input_ids=torch.tensor([[1, 2]]))
    state = {"mamba_n_heads": 2, "mamba_d_head": 16, "mamba_n_groups": 1, "mamba_d_state": 4}
    mamba = BambaForCausalLM(BambaConfig(**small, **state, attn_layer_indices=[1]))
    with pytest.raises(UnsupportedModelError, match="linear_attention of another kind"), apply(mamba, skip_layers(1)):
        pass
    from transformers import MllamaForCausalLM
    from transformers.models.mllama.configuration_mllama import MllamaTextConfig

    crossed = MllamaForCausalLM(
        MllamaTextConfig(**small, cross_attention_layers=[1], pad_token_id=0, bos_token_id=1, eos_token_id=2)
    )
    with pytest.raises(UnsupportedModelError, match="cross-attention"), apply(crossed, skip_layers(0)):
        pass
    compiled = copy.deepcopy(sdpa_model)
    compiled.compile()
    with pytest.raises(UnsupportedModelError, match="not compiled"), apply(compiled, late_entry(1)):
        pass
    with pytest.raises(UnsupportedModelError, match="not compiled"), apply(torch.compile(sdpa_model), late_entry(1)):
        pass
    flex = copy.deepcopy(sdpa_model)
    flex.model.language_model.config._attn_implementation_internal = "flex_attention"
    with pytest.raises(UnsupportedModelError, match="flex_attention"), apply(flex, late_entry(1)):
        pass
    with pytest.raises(UnsupportedModelError, match="transformers model"), apply(torch.nn.Linear(2, 2), late_entry(1)):
        pass


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        (late_entry(N + 1), r"need late_entry in 0\.\.5 for a decoder of 5 layers, got 6"),
        (vision_exit(9), r"need vision_exit in 0\.\.5 .*, got 9"),
        (text_exit(9), r"need text_exit in 0\.\.5 .*, got 9"),
        (skip_layers(2, 5, 7), r"need layers 0\.\.4 in skip_layers .* got \[5, 7\]"),
        (skip_mlp(6), "skip_mlp"),
    ],
)
def test_plans_for_another_depth_are_refused(sdpa_model, plan, words):
    with pytest.raises(InvalidInputError, match=words), apply(sdpa_model, plan):
        pass
