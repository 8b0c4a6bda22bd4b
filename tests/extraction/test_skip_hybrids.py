"""Layers without keys of their own: leaving tokens out means what stock layers give on the shorter sequence."""

import pytest
import torch

from extraction.skip import (
    apply,
    fastv,
    hide_vision,
    late_entry,
    random_keep,
    skip_attention,
    skip_layers,
    skip_mlp,
    text_exit,
    vision_exit,
)
from extraction.tiny import tiny_family
from extraction.tiny.parts import END, IMAGE, START, VIDEO
from extraction.tiny.plans import check_plan
from redundancy.errors import UnsupportedModelError

HYBRIDS = ("qwen3_5", "qwen3_5_moe", "minicpmv4_6", "lfm2_vl")
N = 4  # layers: without softmax, with it, and so on
CLOSE = {"rtol": 0, "atol": 1e-4}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module", params=HYBRIDS)
def hybrid(request):
    return tiny_family(request.param, dtype=torch.float64)


def decoder_calls(model, inputs):
    """Arguments and states of every layer in a stock forward of one row."""
    calls = []
    hooks = [
        layer.register_forward_pre_hook(lambda m, args, kwargs: calls.append((args, kwargs)), with_kwargs=True)
        for layer in model.get_decoder().layers
    ]
    model(**inputs, use_cache=False)
    for hook in hooks:
        hook.remove()
    return calls


def short(arguments, here):
    """Per-token arguments of a layer at some positions; no mask, since one row is short and causal by itself."""
    tables = arguments.get("position_embeddings")
    cut = {} if tables is None else {"position_embeddings": tuple(t[..., here, :] for t in tables)}
    return {**arguments, **cut, "attention_mask": None, "position_ids": None, "past_key_values": None}


def by_hand(model, inputs, present):
    """Logits of one row when layer i is fed the tokens where present(i, vision) is True, and nothing else."""
    vision = inputs["input_ids"][0] == IMAGE
    decoder, calls = model.get_decoder(), decoder_calls(model, inputs)
    states = calls[0][0][0].clone()
    for i, (layer, (_, arguments)) in enumerate(zip(decoder.layers, calls, strict=True)):
        here = present(i, vision).nonzero()[:, 0]
        output = layer(states[:, here], **short(arguments, here))
        states = states.index_copy(1, here, output)
    norm = decoder.norm if hasattr(decoder, "norm") else decoder.embedding_norm
    return model.get_output_embeddings()(norm(states))


@pytest.mark.parametrize("entry", range(N + 1))
@pytest.mark.parametrize("leave", range(N + 1))
def test_a_layer_runs_on_the_short_sequence(hybrid, entry, leave):
    """Stock layers, called one by one on the tokens that are present: no engine, no mask, no padding."""
    if leave < entry:
        return
    plan = late_entry(entry) + vision_exit(leave)
    with torch.no_grad():
        for i in range(len(hybrid.rows)):
            inputs = hybrid.single(i)
            expected = by_hand(hybrid.model, inputs, lambda i, v: torch.ones_like(v) if entry <= i < leave else ~v)
            with apply(hybrid.model, plan):
                for use_cache in (True, False):
                    torch.testing.assert_close(hybrid.model(**inputs, use_cache=use_cache).logits, expected, **CLOSE)


def test_a_blind_model_is_transformers_on_the_words_alone(hybrid):
    """vision_exit(0) against the whole stock decoder, which gets embeddings and positions of the text tokens only."""
    model, inputs = hybrid.model, hybrid.single(1)
    text = (inputs["input_ids"][0] != IMAGE).nonzero()[:, 0]
    seen = []
    hook = model.get_decoder().register_forward_pre_hook(lambda m, args, kw: seen.append(kw), with_kwargs=True)
    with torch.no_grad():
        model(**inputs, use_cache=False)
        hook.remove()
        position_ids = seen[0].get("position_ids")
        places = text[None] if position_ids is None else position_ids[..., text]
        whole = torch.ones(1, len(text), dtype=torch.long)  # without it, jumps of positions mean packed sequences
        embeds = seen[0]["inputs_embeds"][:, text]
        states = model.get_decoder()(
            inputs_embeds=embeds, attention_mask=whole, position_ids=places, use_cache=False
        ).last_hidden_state
        expected = model.get_output_embeddings()(states)
        with apply(model, vision_exit(0)):
            got = model(**inputs).logits
    torch.testing.assert_close(got[:, text], expected, **CLOSE)


@pytest.mark.parametrize(
    "plan",
    [vision_exit(1), late_entry(3), fastv(2, 0.5), random_keep(0.5), text_exit(2), skip_layers(2), skip_attention(3),
     skip_mlp(0), late_entry(1) + vision_exit(3) + skip_mlp(1)],
    ids=str,
)  # fmt: skip
def test_padding_and_caches_change_nothing(hybrid, plan):
    assert check_plan(hybrid, plan) == "yes"


@pytest.mark.parametrize("plan", [skip_attention(0), hide_vision(2), fastv(1, 0.5)], ids=str)
def test_what_needs_softmax_is_refused_where_there_is_none(hybrid, plan):
    with pytest.raises(UnsupportedModelError, match="needs softmax attention in layer"), apply(hybrid.model, plan):
        pass


# Layers that read the keys of earlier ones


@pytest.fixture(scope="module")
def shared():
    return tiny_family("gemma4", dtype=torch.float64)


@pytest.mark.parametrize(
    "plan",
    [vision_exit(1), vision_exit(2), vision_exit(3), fastv(2, 0.5), fastv(3, 0.5), random_keep(0.5), text_exit(3),
     skip_layers(2), skip_attention(3), vision_exit(0), text_exit(1)],
    ids=str,
)  # fmt: skip
def test_shared_keys_are_read_of_present_tokens_only(shared, plan):
    """Also where the lender had vision tokens that the reader has not: their keys are hidden from it."""
    assert check_plan(shared, plan) == "yes"


@pytest.mark.parametrize(
    ("plan", "words"),
    [(late_entry(1), "leaves tokens out of layer 0"),
     (skip_layers(0), "takes keys of layer 0 away"), (skip_attention(1), "takes keys"), (hide_vision(1), "takes keys"),
     (hide_vision(3), "takes keys")],
    ids=str,
)  # fmt: skip
def test_plans_that_take_shared_keys_away_are_refused(shared, plan, words):
    with pytest.raises(UnsupportedModelError, match=words), apply(shared.model, plan):
        pass


def test_a_plan_reaches_layers_that_would_compute_the_last_token_alone(shared):
    """`generate` asks for the last logits only, and the stock model then computes one token in layers that share."""
    batch = shared.batch()
    options = {"do_sample": False, "max_new_tokens": 5, "suppress_tokens": [0, 1, 2, START, IMAGE, END, VIDEO]}
    with torch.no_grad(), apply(shared.model, vision_exit(3)) as skipping:
        full = shared.model(**batch).logits[:, -1:]
        computed = skipping.tokens_computed
        torch.testing.assert_close(shared.model(**batch, logits_to_keep=1).logits, full, **CLOSE)
        assert skipping.tokens_computed == computed
        shared.model.generate(**batch, **options)
