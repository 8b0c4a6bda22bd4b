"""The same invariants on families with other positions, masks and caches, built from configuration classes."""

from dataclasses import dataclass
from typing import Any

import pytest
import torch

from extraction.skip import (
    Plan,
    apply,
    fastv,
    hide_vision,
    late_entry,
    random_keep,
    skip_layers,
    vision_exit,
)
from extraction.tiny import randomise

N = 4
CLOSE = {"rtol": 0, "atol": 1e-5}  # in float64: these logits reach 65, where float32 itself is off by 5e-5
# Padding moves positions; rotary tables and Gemma's norms stay float32: the unmodified model is off by 2.3e-5 itself.
MOVED = {"rtol": 0, "atol": 1e-4}
TEXT = {
    "vocab_size": 99,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": N,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "tie_word_embeddings": False,
}
START, IMAGE, END = 90, 91, 92
PLANS = [
    late_entry(1),
    late_entry(3),
    vision_exit(1),
    vision_exit(3),
    late_entry(1) + vision_exit(3),
    late_entry(N),
    skip_layers(1) + vision_exit(3),
    random_keep(0.5) + late_entry(2),
    late_entry(1) + fastv(2, 0.5),
    hide_vision(0, 2) + vision_exit(3),
]


@dataclass
class Family:
    """A model, rows of unpadded inputs, and how rows of different length become one batch."""

    model: Any
    rows: list[dict[str, torch.Tensor]]

    def batch(self):
        longest = max(row["input_ids"].shape[1] for row in self.rows)
        padded = []
        for row in self.rows:
            missing = longest - row["input_ids"].shape[1]
            ids = torch.nn.functional.pad(row["input_ids"], (missing, 0))
            mask = torch.nn.functional.pad(torch.ones_like(row["input_ids"]), (missing, 0))
            extra = {k: torch.nn.functional.pad(row[k], (missing, 0)) for k in row if k.endswith("type_ids")}
            images = {k: row[k] for k in row if k in ("pixel_values", "image_grid_thw")}
            padded.append({"input_ids": ids, "attention_mask": mask, **extra, **images})
        return {k: torch.cat([row[k] for row in padded]) for k in padded[0]}


def qwen2_5_vl():
    """Three-dimensional rotary positions; images of different size, so rows keep different numbers of tokens."""
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    rope = {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 10000.0}
    vision = {
        "depth": 1,
        "hidden_size": 32,
        "intermediate_size": 32,
        "num_heads": 2,
        "patch_size": 4,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
        "out_hidden_size": 32,
        "window_size": 16,
        "fullatt_block_indexes": [0],
    }
    config = Qwen2_5_VLConfig(
        text_config={**TEXT, "rope_parameters": rope},
        vision_config=vision,
        image_token_id=IMAGE,
        vision_start_token_id=START,
        vision_end_token_id=END,
        video_token_id=93,
    )
    model = randomise(Qwen2_5_VLForConditionalGeneration(config), 0).double().eval()
    rng = torch.Generator().manual_seed(1)
    rows = []
    for grids, n_words in [([(4, 4)], 5), ([(4, 8)], 3), ([(2, 4), (4, 4)], 4)]:
        ids, pixels = [5, 6], []
        for high, wide in grids:
            ids += [START, *[IMAGE] * (high * wide // 4), END]
            pixels.append(torch.randn(high * wide, 3 * 2 * 4 * 4, generator=rng).double())
        ids += torch.randint(5, 80, (n_words,), generator=rng).tolist()
        row = {"input_ids": torch.tensor([ids]), "pixel_values": torch.cat(pixels)}
        row["image_grid_thw"] = torch.tensor([(1, *grid) for grid in grids])
        row["mm_token_type_ids"] = (row["input_ids"] == IMAGE).long()
        rows.append(row)
    return Family(model, rows)


def gemma3():
    """Sliding-window and full layers in turn, image tokens that see each other both ways, norms after sublayers."""
    from transformers import Gemma3Config, Gemma3ForConditionalGeneration

    text = {
        **TEXT,
        "head_dim": 8,
        "sliding_window": 6,
        "layer_types": ["sliding_attention", "full_attention"] * (N // 2),
        "query_pre_attn_scalar": 8,
    }
    vision = {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": 16,
        "patch_size": 4,
    }
    config = Gemma3Config(
        text_config=text, vision_config=vision, mm_tokens_per_image=4, image_token_index=IMAGE, boi_token_index=START
    )
    model = randomise(Gemma3ForConditionalGeneration(config), 0).double().eval()
    rng = torch.Generator().manual_seed(1)
    rows = []
    for n_images, n_words in [(1, 9), (2, 3), (1, 5)]:
        ids = [1, 7, *[START, IMAGE, IMAGE, IMAGE, IMAGE, END] * n_images]
        ids += torch.randint(5, 80, (n_words,), generator=rng).tolist()
        row = {
            "input_ids": torch.tensor([ids]),
            "pixel_values": torch.randn(n_images, 3, 16, 16, generator=rng).double(),
        }
        row["token_type_ids"] = (row["input_ids"] == IMAGE).long()
        rows.append(row)
    return Family(model, rows)


@pytest.fixture(scope="module", params=[qwen2_5_vl, gemma3], ids=lambda f: f.__name__)
def family(request):
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield request.param()
    torch.set_num_threads(before)


def valid(logits, batch):
    return logits[batch["attention_mask"].bool()]


def reference(model, batch, plan):
    """The plan at full length: keys of absent tokens masked in each layer's own mask, their states passed through."""
    vision = batch["input_ids"] == IMAGE
    undo = []
    for i, layer in enumerate(model.get_decoder().layers):
        absent = vision if i not in plan.vision_layers(N) else torch.zeros_like(vision)
        stock = layer.forward

        def forward(states, *args, stock=stock, absent=absent, **kwargs):
            mask = kwargs["attention_mask"]
            length = states.shape[1]
            if mask is None:
                mask = torch.ones(1, 1, length, length, dtype=torch.bool).tril()
            hidden = absent[:, None, None, :] & ~torch.eye(length, dtype=torch.bool)
            kwargs["attention_mask"] = mask & ~hidden
            return torch.where(absent[..., None], states, stock(states, *args, **kwargs))

        layer.forward = forward
        undo.append(layer)
    try:
        return model(**batch, use_cache=False).logits
    finally:
        for layer in undo:
            del layer.forward


def test_changing_nothing_is_bit_equal(family):
    batch = family.batch()
    before = family.model(**batch).logits
    for plan in (Plan(), late_entry(0), vision_exit(N)):
        with apply(family.model, plan):
            assert torch.equal(family.model(**batch).logits, before)


@pytest.mark.parametrize("use_cache", [False, True])
@pytest.mark.parametrize("depth", range(N + 1))
def test_late_entry_and_exit_equal_masking(family, depth, use_cache):
    batch = family.batch()
    for plan in (late_entry(depth), vision_exit(depth), late_entry(depth // 2) + vision_exit(depth)):
        expected = reference(family.model, batch, plan)
        with apply(family.model, plan):
            got = family.model(**batch, use_cache=use_cache).logits
        torch.testing.assert_close(valid(got, batch), valid(expected, batch), **CLOSE)


@pytest.mark.parametrize("plan", PLANS, ids=str)
def test_rows_of_a_padded_batch_equal_each_alone(family, plan):
    batch = family.batch()
    with apply(family.model, plan):
        together = family.model(**batch).logits
        for i, row in enumerate(family.rows):
            alone = family.model(**row, attention_mask=torch.ones_like(row["input_ids"])).logits
            torch.testing.assert_close(together[i, -alone.shape[1] :], alone[0], **MOVED)


@pytest.mark.parametrize("plan", PLANS, ids=str)
def test_cached_generation_equals_uncached(family, plan):
    """Ten new tokens run past the sliding window; beam search reorders the compact caches."""
    options = {"do_sample": False, "suppress_tokens": [START, IMAGE, END, 93, 0, 1, 2], "max_new_tokens": 10}
    with apply(family.model, plan):
        for beams in (1, 2):
            cached, plain = (
                family.model.generate(**family.batch(), use_cache=use, num_beams=beams, **options)
                for use in (True, False)
            )
            assert torch.equal(cached, plain)


def test_the_image_matters_until_the_last_layer(family):
    batch = family.batch()
    other = {**batch, "pixel_values": batch["pixel_values"].flip(-1) + 1.0}
    text = (batch["input_ids"] != IMAGE) & batch["attention_mask"].bool()
    for plan, blind in [(late_entry(N), True), (late_entry(N - 1), False)]:
        with apply(family.model, plan):
            first, second = (family.model(**b).logits[text] for b in (batch, other))
        assert torch.equal(first, second) == blind
