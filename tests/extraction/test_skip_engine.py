"""The engine against an oracle written here: stock layers at full length, absent tokens masked and passed through."""

import copy
import itertools

import pytest
import torch
from transformers import DynamicCache, StaticCache
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, flash_attention_mask
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from extraction.skip import (
    Plan,
    apply,
    late_entry,
    logit_exit,
    random_keep,
    skip_attention,
    skip_layers,
    skip_mlp,
    text_exit,
    vision_exit,
)
from extraction.tiny import IMAGE_ID, tiny_batch, tiny_llava
from redundancy.errors import InvalidInputError, UnsupportedModelError
from skip_oracle import batches, oracle_logits, ragged_batch, valid_logits, window

N = 5  # decoder layers
CLOSE = {"rtol": 0, "atol": 1e-5}  # fp32 sums in another order; the acceptance limit of the specification
NO_IMAGE_OUT = {"suppress_tokens": [IMAGE_ID, 0, 2], "do_sample": False, "pad_token_id": 0}


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.no_grad():
        yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module", params=["sdpa", "eager"])
def model(request):
    return tiny_llava(n_layers=N, attn_implementation=request.param)


@pytest.fixture(scope="module")
def sdpa_model():
    return tiny_llava(n_layers=N)


@pytest.mark.parametrize("plan", [Plan(), late_entry(0), vision_exit(N), late_entry(0) + vision_exit(N)])
def test_plans_that_change_nothing_are_bit_equal(model, plan):
    for name, batch in batches(model):
        before = model(**batch, use_cache=True)
        with apply(model, plan) as skipping:
            after = model(**batch, use_cache=True)
        assert torch.equal(before.logits, after.logits), name
        assert all(type(layer).__name__ == "DynamicLayer" for layer in after.past_key_values.layers)
        assert skipping.tokens_computed == (0,) * N


@pytest.mark.parametrize("use_cache", [False, True])
@pytest.mark.parametrize("depth", range(N + 1))
def test_late_entry_and_exit_equal_the_masking_oracle_at_every_layer(model, depth, use_cache):
    for name, batch in batches(model):
        for plan, present in [(late_entry(depth), window(depth, N)), (vision_exit(depth), window(0, depth))]:
            expected = valid_logits(oracle_logits(model, batch, present), batch)
            with apply(model, plan):
                got = valid_logits(model(**batch, use_cache=use_cache).logits, batch)
            torch.testing.assert_close(got, expected, **CLOSE, msg=lambda m, n=name, p=plan: f"{n}, {p}: {m}")


def test_the_oracle_sees_each_layer(sdpa_model):
    """The comparison above can fail: neighbouring plans differ by far more than its tolerance."""
    batch = tiny_batch(sdpa_model, 2, 5)
    late = [oracle_logits(sdpa_model, batch, window(depth, N)) for depth in range(N + 1)]
    leave = [oracle_logits(sdpa_model, batch, window(0, depth)) for depth in range(N + 1)]
    for plans in (late, leave):
        assert min((a - b).abs().max() for a, b in itertools.pairwise(plans)) > 1e-2


@pytest.mark.parametrize(("entry", "leave"), [(1, 3), (2, 2), (1, 4), (0, 0), (4, 5)])
def test_composed_entry_and_exit_equal_the_oracle(model, entry, leave):
    for name, batch in batches(model):
        expected = valid_logits(oracle_logits(model, batch, window(entry, leave)), batch)
        with apply(model, late_entry(entry) + vision_exit(leave)):
            got = valid_logits(model(**batch).logits, batch)
        torch.testing.assert_close(got, expected, **CLOSE, msg=lambda m, n=name: f"{n}: {m}")


PLANS = [
    late_entry(2),
    vision_exit(2),
    late_entry(1) + vision_exit(3),
    late_entry(N),
    skip_layers(0, 3),
    late_entry(2) + skip_layers(2) + skip_mlp(1),
    skip_attention(0, 2) + vision_exit(4),
    random_keep(0.4, seed=3),
    random_keep(0.4) + late_entry(1),
]


@pytest.mark.parametrize("plan", PLANS, ids=str)
def test_cached_generation_equals_uncached(model, plan):
    for name, batch in batches(model):
        if "right" in name:  # generate continues after the last column, which right padding leaves empty
            continue
        with apply(model, plan):
            cached, plain = (
                model.generate(
                    **batch,
                    max_new_tokens=6,
                    use_cache=use_cache,
                    output_logits=True,
                    return_dict_in_generate=True,
                    **NO_IMAGE_OUT,
                )
                for use_cache in (True, False)
            )
        assert torch.equal(cached.sequences, plain.sequences), name
        torch.testing.assert_close(torch.stack(cached.logits), torch.stack(plain.logits), **CLOSE)


def test_generation_continues_from_the_plan_and_not_from_the_plain_model(sdpa_model):
    batch = tiny_batch(sdpa_model, 2, 5)
    with apply(sdpa_model, late_entry(3)):
        skipped = sdpa_model.generate(**batch, max_new_tokens=8, **NO_IMAGE_OUT)
    plain = sdpa_model.generate(**batch, max_new_tokens=8, **NO_IMAGE_OUT)
    assert not torch.equal(skipped, plain)


@pytest.mark.parametrize("plan", PLANS, ids=str)
@pytest.mark.parametrize("padding", ["left", "right"])
def test_rows_of_a_padded_batch_equal_each_alone(model, plan, padding):
    batch = ragged_batch(model, padding)
    images = iter(batch["pixel_values"])
    with apply(model, plan):
        together = model(**batch).logits
        for row in range(len(together)):
            valid = batch["attention_mask"][row].bool()
            ids = batch["input_ids"][row, valid][None]
            n_images = int((ids == IMAGE_ID).sum()) // 9
            pixels = [next(images) for _ in range(n_images)]
            alone = model(input_ids=ids, pixel_values=torch.stack(pixels) if pixels else None).logits[0]
            torch.testing.assert_close(together[row, valid], alone, **CLOSE)


def test_cache_lengths_differ_per_layer_and_the_logical_length_does_not(sdpa_model):
    batch = tiny_batch(sdpa_model, 2, 5)
    n_text, n_all = 6, 15
    with apply(sdpa_model, late_entry(1) + vision_exit(3) + skip_layers(4)) as skipping:
        cache = sdpa_model(**batch, use_cache=True).past_key_values
        assert skipping.tokens_computed == (n_text, n_all, n_all, n_text, 0)
        sdpa_model(input_ids=torch.tensor([[7], [8]]), attention_mask=torch.ones(2, n_all + 1), past_key_values=cache)
    stored = [0 if layer.keys is None else layer.keys.shape[-2] for layer in cache.layers]
    assert stored == [n_text + 1, n_all + 1, n_all + 1, n_text + 1, 0]
    assert [layer.get_seq_length() for layer in cache.layers] == [n_all + 1] * N


def test_late_entry_after_the_last_layer_is_blind_to_the_image(sdpa_model):
    batch = tiny_batch(sdpa_model, 2, 5)
    other = {
        **batch,
        "pixel_values": torch.randn(batch["pixel_values"].shape, generator=torch.Generator().manual_seed(9)),
    }
    text = batch["input_ids"] != IMAGE_ID
    for plan, blind in [(late_entry(N), True), (vision_exit(0), True), (late_entry(N - 1), False), (Plan(), False)]:
        with apply(sdpa_model, plan):
            first, second = (sdpa_model(**b).logits[text] for b in (batch, other))
        assert torch.equal(first, second) == blind, plan


def test_absent_tokens_keep_their_state(sdpa_model):
    batch = tiny_batch(sdpa_model, 2, 5)
    vision = batch["input_ids"] == IMAGE_ID
    with apply(sdpa_model, late_entry(2) + vision_exit(4)):
        states = sdpa_model(**batch, output_hidden_states=True).hidden_states
    moved = [not torch.equal(states[i][vision], states[i + 1][vision]) for i in range(N - 1)]
    assert moved == [False, False, True, True]
    assert all(not torch.equal(states[i][~vision], states[i + 1][~vision]) for i in range(N))


def test_beam_search_with_and_without_cache_agree(model):
    for batch in (tiny_batch(model, 2, 5), ragged_batch(model)):
        with apply(model, late_entry(1) + vision_exit(3)):
            cached, plain = (
                model.generate(**batch, num_beams=3, max_new_tokens=6, use_cache=use_cache, **NO_IMAGE_OUT)
                for use_cache in (True, False)
            )
        assert torch.equal(cached, plain)


def test_a_cache_can_be_cut_and_its_rows_chosen(sdpa_model):
    """What assisted decoding and contrastive search do to a cache, against a run that never did it."""
    batch = ragged_batch(sdpa_model)
    mask, n = batch["attention_mask"], batch["input_ids"].shape[1]
    words = torch.tensor([[11, 12, 13], [14, 15, 16], [17, 18, 19]])

    def step(cache, new, seen, rows=slice(None)):
        grown = torch.cat([mask[rows], torch.ones(len(new), seen + new.shape[1] - n, dtype=torch.long)], dim=1)
        return sdpa_model(input_ids=new, attention_mask=grown, past_key_values=cache, use_cache=True)

    for plan in (late_entry(2), vision_exit(1) + skip_layers(3)):
        with apply(sdpa_model, plan):
            straight = sdpa_model(**batch, use_cache=True).past_key_values
            expected = step(straight, words[:, :1], n).logits
            cut = sdpa_model(**batch, use_cache=True).past_key_values
            step(cut, words, n)
            cut.crop(-3)
            torch.testing.assert_close(step(copy.deepcopy(cut), words[:, :1], n).logits, expected, **CLOSE)
            rows = torch.tensor([2, 0])
            cut.batch_select_indices(rows)
            torch.testing.assert_close(step(cut, words[rows, :1], n, rows).logits, expected[rows], **CLOSE)
            cut.crop(-1)
            cut.batch_repeat_interleave(2)
            twice = rows.repeat_interleave(2)
            torch.testing.assert_close(step(cut, words[twice, :1], n, twice).logits, expected[twice], **CLOSE)
            # The last four tokens of row 0 hold a vision token, so rows lose different numbers of entries. Fed again
            # without its pixels it is another token: compare the other rows.
            deep = sdpa_model(**batch, use_cache=True).past_key_values
            deep.crop(-4)
            shorter = {"input_ids": batch["input_ids"][:, -4:], "attention_mask": mask}
            again = sdpa_model(**shorter, past_key_values=deep, use_cache=True).logits
            torch.testing.assert_close(again[1:], sdpa_model(**batch).logits[1:, -4:], **CLOSE)
            deep.reset()
            assert deep.get_seq_length() == 0
            torch.testing.assert_close(
                sdpa_model(**batch, past_key_values=deep).logits[mask.bool()], sdpa_model(**batch).logits[mask.bool()]
            )


def test_a_prompt_in_chunks_equals_the_prompt_at_once(model):
    """Later chunks of several tokens meet caches that lack tokens: masks have to be cut by rows and columns."""
    for batch in (tiny_batch(model, 3, [4, 8, 6]), ragged_batch(model)):
        first = batch["input_ids"].shape[1] - 2
        valid = batch["attention_mask"].bool()
        for plan in (late_entry(2), vision_exit(3), late_entry(1) + vision_exit(3) + skip_layers(2), skip_attention(1)):
            with apply(model, plan):
                whole = model(**batch).logits
                head = model(
                    input_ids=batch["input_ids"][:, :first],
                    attention_mask=batch["attention_mask"][:, :first],
                    pixel_values=batch["pixel_values"],
                    use_cache=True,
                )
                tail = model(
                    input_ids=batch["input_ids"][:, first:],
                    attention_mask=batch["attention_mask"],
                    past_key_values=head.past_key_values,
                )
            got = torch.cat([head.logits, tail.logits], dim=1)
            torch.testing.assert_close(got[valid], whole[valid], **CLOSE)


def test_flash_style_two_dimensional_masks(sdpa_model):
    """A reference of the flash-attention contract (2-D mask or None, lower-right causal) on the CPU."""

    def reference(module, query, key, value, attention_mask, scaling=None, **kwargs):
        groups = query.shape[1] // key.shape[1]
        key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
        q, k = query.shape[2], key.shape[2]
        allowed = torch.ones(q, k, dtype=torch.bool).tril(k - q)[None, None]
        if attention_mask is not None:
            assert attention_mask.ndim == 2
            assert attention_mask.shape[1] == k
            allowed = allowed & attention_mask.bool()[:, None, None, :]
        scores = (query @ key.transpose(2, 3)) * scaling
        weights = scores.masked_fill(~allowed, torch.finfo(scores.dtype).min).softmax(-1)
        return (weights @ value).transpose(1, 2), None

    ALL_ATTENTION_FUNCTIONS.register("flash_reference", reference)
    ALL_MASK_ATTENTION_FUNCTIONS.register("flash_reference", flash_attention_mask)
    flash = copy.deepcopy(sdpa_model)
    flash.model.language_model.config._attn_implementation_internal = "flash_reference"
    for name, batch in batches(sdpa_model):
        for plan in (late_entry(2), vision_exit(2), late_entry(1) + vision_exit(3)):
            with apply(sdpa_model, plan), apply(flash, plan):
                expected, got = (m(**batch, use_cache=True) for m in (sdpa_model, flash))
                torch.testing.assert_close(
                    valid_logits(got.logits, batch), valid_logits(expected.logits, batch), **CLOSE
                )
                if "right" in name:
                    continue
                expected, got = (m.generate(**batch, max_new_tokens=4, **NO_IMAGE_OUT) for m in (sdpa_model, flash))
                assert torch.equal(got, expected)


def test_layer_and_sublayer_skips(model):
    """A skipped layer is the identity; skipping both its parts is the same."""
    decoder = model.model.language_model
    for name, batch in batches(model):
        identity = copy.deepcopy(model)
        for i in (1, 3):
            identity.model.language_model.layers[i].forward = lambda states, **kwargs: states
        expected = valid_logits(identity(**batch, use_cache=False).logits, batch)
        for plan in (skip_layers(1, 3), skip_attention(1, 3) + skip_mlp(1, 3)):
            with apply(model, plan):
                got = valid_logits(model(**batch).logits, batch)
            torch.testing.assert_close(got, expected, **CLOSE, msg=lambda m, n=name: f"{n}: {m}")
    batch = tiny_batch(model, 2, 5)
    states = model(**batch, output_hidden_states=True).hidden_states
    with apply(model, logit_exit(2, n_layers=N)):
        torch.testing.assert_close(model(**batch).logits, model.lm_head(decoder.norm(states[2])), **CLOSE)


@pytest.mark.parametrize("padding", ["left", "right"])
def test_text_exit_computes_the_last_prompt_token_only(model, padding):
    batch = tiny_batch(model, 3, [2, 6, 4], padding=padding)
    columns = torch.arange(batch["input_ids"].shape[1])
    last = torch.where(batch["attention_mask"].bool(), columns, 0).amax(1)
    for depth in range(N + 1):
        only_last = columns == last[:, None]
        expected = oracle_logits(model, batch, lambda i, v, d=depth, o=only_last: torch.ones_like(v) if i < d else o)
        with apply(model, text_exit(depth)) as skipping:
            got = model(**batch).logits
        torch.testing.assert_close(valid_logits(got, batch), valid_logits(expected, batch), **CLOSE)
        assert depth == N or skipping.tokens_computed == tuple(columns.numel() if i < depth else 1 for i in range(N))


def test_random_keep_keeps_the_same_share_in_every_row_and_layer(sdpa_model):
    batch = ragged_batch(sdpa_model)
    vision = batch["input_ids"] == IMAGE_ID
    plan = random_keep(1 / 3, seed=5)
    with apply(sdpa_model, plan):
        states = sdpa_model(**batch, output_hidden_states=True).hidden_states
    computed = (states[0] != states[N - 1]).any(-1)
    assert (computed & vision).sum(1).tolist() == [3, 6, 0]
    assert bool(computed[batch["attention_mask"].bool() & ~vision].all())
    expected = valid_logits(oracle_logits(sdpa_model, batch, lambda i, v: computed | ~v), batch)
    with apply(sdpa_model, plan):
        torch.testing.assert_close(valid_logits(sdpa_model(**batch).logits, batch), expected, **CLOSE)
    with apply(sdpa_model, random_keep(1 / 3, seed=6)):
        assert not torch.allclose(valid_logits(sdpa_model(**batch).logits, batch), expected, atol=1e-2)


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
    from transformers import LlamaConfig, LlamaForCausalLM, Qwen3NextConfig, Qwen3NextForCausalLM

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
    linear = Qwen3NextForCausalLM(
        Qwen3NextConfig(**small, layer_types=["linear_attention", "full_attention"], num_experts=0, head_dim=8)
    )
    with pytest.raises(UnsupportedModelError, match="linear_attention"), apply(linear, skip_layers(1)):
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
