"""What is decided once for a prompt belongs to the sequence, however its tokens come: whole, in chunks, or ahead."""

import copy
import warnings

import pytest
import torch
from transformers import DynamicCache

from extraction.skip import (
    Plan,
    StillVisionExit,
    apply,
    fastv,
    late_entry,
    random_keep,
    skip_layers,
    text_exit,
    vision_exit,
)
from extraction.tiny import IMAGE_ID, tiny_batch, tiny_llava
from redundancy.errors import UnsupportedModelError

N = 5
PLANS = [
    late_entry(2),
    vision_exit(2),
    vision_exit(0),
    late_entry(1) + vision_exit(3) + skip_layers(4),
    fastv(2, 0.5),
    late_entry(1) + fastv(3, 0.75) + vision_exit(4),
    text_exit(3),
    random_keep(0.4, seed=3),
]
GREEDY = {"do_sample": False, "suppress_tokens": [IMAGE_ID, 0, 2], "pad_token_id": 0, "max_new_tokens": 9}


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.no_grad():
        yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def model():
    return tiny_llava(n_layers=N)


@pytest.fixture(scope="module")
def batch(model):
    batch = tiny_batch(model, 1, 14)
    batch["input_ids"][0, -6:] = torch.tensor([7, 8, 7, 8, 7, 8])  # so that looking up the prompt proposes tokens
    return batch


@pytest.mark.parametrize("plan", PLANS, ids=str)
def test_speculative_decoding_is_plain_decoding(model, batch, plan):
    assistant = tiny_llava(n_layers=2, seed=1)
    with apply(model, plan):
        plain = model.generate(**batch, **GREEDY)
        looked_up = model.generate(**batch, **GREEDY, prompt_lookup_num_tokens=3)
        assisted = model.generate(**batch, **GREEDY, assistant_model=assistant)
    assert torch.equal(looked_up, plain)
    assert torch.equal(assisted, plain)


@pytest.mark.parametrize("plan", PLANS, ids=str)
@pytest.mark.parametrize("size", [4, 12, 100])
def test_prefill_in_chunks_is_prefill_at_once(model, plan, size):
    batch = tiny_batch(model, 2, [7, 14], padding="left")
    with apply(model, plan), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        plain = model.generate(**batch, **GREEDY)
        assert torch.equal(model.generate(**batch, **GREEDY, prefill_chunk_size=size), plain)


@pytest.mark.parametrize("plan", PLANS, ids=str)
@pytest.mark.parametrize("kind", [{"num_beams": 3}, {"num_beams": 2, "num_return_sequences": 2}])
def test_beams_are_the_same_with_a_cache_and_without(model, plan, kind):
    """Without a cache every forward sees prompt and answer together, so nothing can be lost in reordering."""
    batch = tiny_batch(model, 2, [7, 14], padding="left")
    with apply(model, plan):
        runs = [model.generate(**batch, **GREEDY, **kind, use_cache=use) for use in (True, False)]
    assert torch.equal(*runs)


@pytest.mark.parametrize("plan", PLANS, ids=str)
def test_a_generated_image_id_is_text(model, batch, plan):
    """Teacher-forced with an image id in the answer: as stock transformers, which embeds it by its row."""
    n = batch["input_ids"].shape[1]
    answer = torch.tensor([[9, IMAGE_ID, 11, IMAGE_ID, 12]])
    other = model.get_input_embeddings().weight
    spare = 60
    before = other[spare].clone()
    other[spare] = other[IMAGE_ID]  # a plain word with the very embedding
    try:
        logits = []
        for given in (answer, answer.masked_fill(answer == IMAGE_ID, spare)):
            with apply(model, plan):
                cache = DynamicCache()
                model(**batch, past_key_values=cache)
                steps = [model(input_ids=given[:, i : i + 1], past_key_values=cache).logits for i in range(5)]
            logits.append(torch.cat(steps, dim=1))
        assert torch.equal(*logits)
    finally:
        other[spare] = before
    with apply(model, plan) as skipping:
        model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])  # ids, but no features: all text
        if not plan.term(type(text_exit(1).terms[0])) and not plan.term(type(skip_layers(1).terms[0])):
            assert skipping.tokens_computed == (n,) * N


@pytest.mark.parametrize("plan", PLANS, ids=str)
def test_a_second_turn_goes_on_with_what_the_first_decided_or_is_refused(model, batch, plan):
    more = torch.randint(5, 50, (1, 6), generator=torch.Generator().manual_seed(5))
    with apply(model, plan):
        first = DynamicCache()
        model(**batch, past_key_values=first)
        together = copy.deepcopy(first)
        one_by_one = [model(input_ids=more[:, i : i + 1], past_key_values=first).logits for i in range(6)]
        if any(term.knows in ("end", "whole") for term in plan.terms):
            with pytest.raises(UnsupportedModelError, match="give the whole prompt in one call"):
                model(input_ids=more, past_key_values=together)
            return
        chunk = model(input_ids=more, past_key_values=together).logits
    assert torch.allclose(chunk, torch.cat(one_by_one, dim=1), rtol=0, atol=1e-5)


def test_chunks_that_do_not_show_what_a_term_must_know_are_refused(model, batch):
    again = tiny_batch(model, 1, 3, seed=4)
    for plan, words in (
        (random_keep(0.5), "all vision tokens of a sequence at once"),
        (fastv(2, 0.5), "where the prompt ends"),
        (text_exit(2), "where the prompt ends"),
    ):
        with apply(model, plan):
            cache = DynamicCache()
            model(**batch, past_key_values=cache)
            length = cache.get_seq_length()
            with pytest.raises(UnsupportedModelError, match=f"needs {words}"):
                model(input_ids=again["input_ids"], pixel_values=again["pixel_values"], past_key_values=cache)
            assert cache.get_seq_length() == length  # refused before anything ran
    for plan in (late_entry(2), vision_exit(2)):  # these know a vision token when they see it
        with apply(model, plan) as skipping:
            cache = DynamicCache()
            model(**batch, past_key_values=cache)
            model(input_ids=again["input_ids"], pixel_values=again["pixel_values"], past_key_values=cache)
            n = again["input_ids"].shape[1]
            n_text = int((again["input_ids"] != IMAGE_ID).sum())
            assert set(skipping.tokens_computed) == {n, n_text}


def test_a_router_that_judges_whole_images_never_sees_parts_of_one(model):
    batch, rule = tiny_batch(model, 2, [7, 14], padding="left"), StillVisionExit(0.5)
    with apply(model, Plan(), router=rule):
        plain = model.generate(**batch, **GREEDY)
        with pytest.warns(UserWarning, match="left aside"):
            assert torch.equal(model.generate(**batch, **GREEDY, prefill_chunk_size=4), plain)
        cache = DynamicCache()
        model(**batch, past_key_values=cache)
        words = r"StillVisionExit\(0.5, earliest=1\) needs where the prompt ends"
        with pytest.raises(UnsupportedModelError, match=words):
            model(**batch, past_key_values=cache)


def test_a_chunk_size_in_the_configuration_is_refused_by_what_needs_the_whole_prompt(model, batch):
    with apply(model, fastv(2, 0.5)):
        with pytest.warns(UserWarning, match="prefill_chunk_size is left aside"):
            model.generate(**batch, **GREEDY, prefill_chunk_size=4)
        model.generation_config.prefill_chunk_size = 4
        try:
            with pytest.raises(UnsupportedModelError, match="set it to None"):
                model.generate(**batch, **GREEDY)
        finally:
            model.generation_config.prefill_chunk_size = None
