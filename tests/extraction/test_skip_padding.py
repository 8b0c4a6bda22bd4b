"""Ragged batches: padding that only the images asked for is not computed in layers without vision tokens."""

import pytest
import torch

from extraction.skip import apply, fastv, late_entry, text_exit, vision_exit
from extraction.skip.engine.masks import select_tokens
from extraction.tiny import IMAGE_ID, tiny_llava
from support.skip_oracle import ragged_batch

N = 4


@pytest.fixture(scope="module")
def model():
    return tiny_llava(n_layers=N)


def lengths(batch):
    """Vision and text tokens of every row, counted by hand."""
    ids, valid = batch["input_ids"], batch["attention_mask"].bool()
    vision = [int((row == IMAGE_ID).sum()) for row in ids]
    return vision, [int(v.sum()) - n for v, n in zip(valid, vision, strict=True)]


@pytest.mark.parametrize("padding", ["left", "right"])
@pytest.mark.parametrize(("plan", "without"), [(late_entry(2), (0, 1)), (vision_exit(1), (1, 2, 3))], ids=str)
def test_layers_without_vision_are_as_wide_as_the_longest_text(model, padding, plan, without):
    batch = ragged_batch(model, padding)
    vision, text = lengths(batch)
    assert len(set(vision)) > 1, "rows must differ in vision tokens"
    width = batch["input_ids"].shape[1]
    n_rows, n_valid = len(vision), sum(vision) + sum(text)
    assert max(text) < width - min(vision), "padding must be wider than the texts need"
    with torch.no_grad(), apply(model, plan) as skipping:
        cache = model(**batch, use_cache=True).past_key_values
    for i in range(N):
        bare = i in without
        assert skipping.tokens_computed[i] == (max(text) if bare else width)
        floor = n_rows * max(text) - sum(text) if bare else n_rows * width - n_valid
        assert skipping.tokens_wasted[i] == floor
        assert cache.layers[i].keys.shape[-2] == skipping.tokens_computed[i]


def test_rows_of_one_length_waste_nothing(model):
    from extraction.tiny import tiny_batch

    with torch.no_grad(), apply(model, late_entry(2) + fastv(3, 0.5)) as skipping:
        model(**tiny_batch(model, 3, 5))
    assert skipping.tokens_wasted == (0,) * N


def test_generation_over_dummies_equals_each_row_alone(model):
    """Tokens dropped in one row leave dummies in another, which later tokens must not see."""
    batch = ragged_batch(model, "left")
    options = {"max_new_tokens": 5, "do_sample": False, "pad_token_id": 0, "suppress_tokens": [IMAGE_ID, 0, 2]}
    images = iter(batch["pixel_values"])
    for plan in (late_entry(2), vision_exit(1) + text_exit(3)):
        images = iter(batch["pixel_values"])
        with torch.no_grad(), apply(model, plan):
            together = model.generate(**batch, **options)[:, batch["input_ids"].shape[1] :]
            for row, tokens in enumerate(together):
                ids = batch["input_ids"][row, batch["attention_mask"][row].bool()][None]
                n_images = int((ids == IMAGE_ID).sum()) // 9
                pixels = [next(images) for _ in range(n_images)]
                inputs = {"pixel_values": torch.stack(pixels)} if pixels else {}
                alone = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), **inputs, **options)
                assert torch.equal(alone[0, ids.shape[1] :], tokens), plan


def test_padding_stays_where_leaving_it_out_saves_nothing():
    """Rows of one length, padding included, need no dummies; dropping padding would bring some for no gain."""
    present = torch.tensor([[1, 1, 0, 1, 1], [1, 1, 0, 1, 1]]).bool()
    valid = torch.tensor([[1, 1, 1, 1, 1], [0, 1, 1, 1, 1]]).bool()
    kept = select_tokens(present, valid)
    assert (kept.n_present, kept.has_dummies, kept.is_shared, kept.n_needed) == (4, False, True, 7)
    narrower = select_tokens(present, torch.tensor([[0, 1, 1, 1, 1], [0, 0, 1, 1, 1]]).bool())
    assert (narrower.n_present, narrower.has_dummies, narrower.n_needed) == (3, True, 5)
    assert narrower.index.tolist() == [[1, 3, 4], [-1, 3, 4]]
