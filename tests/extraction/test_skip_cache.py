"""Caches under a plan: generation with and without one, cuts and choices of rows, prompts in chunks."""

import copy

import pytest
import torch

from extraction.skip import apply, late_entry, skip_attention, skip_layers, vision_exit
from extraction.tiny import IMAGE_ID, tiny_batch, tiny_llava
from support.skip_oracle import CLOSE, PLANS, N, batches, ragged_batch

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
