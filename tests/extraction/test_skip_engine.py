"""The engine against an oracle written here: stock layers at full length, absent tokens masked and passed through."""

import copy
import itertools

import pytest
import torch
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
from support.skip_oracle import CLOSE, PLANS, N, batches, oracle_logits, ragged_batch, valid_logits, window

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
