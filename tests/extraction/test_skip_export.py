"""A checkpoint without the skipped layers is an ordinary one, and computes what the engine computes."""

import copy

import pytest
import torch
from transformers import AutoModelForImageTextToText, AutoProcessor

from extraction import default_model
from extraction.data import as_sample, make_batch
from extraction.skip import (
    Plan,
    apply,
    export_checkpoint,
    late_entry,
    remove_layers,
    skip_layers,
    skip_mlp,
)
from extraction.tiny import tiny_batch, tiny_llava
from redundancy.errors import InvalidInputError, UnsupportedModelError

N = 5


@pytest.fixture(autouse=True)
def _no_grad():
    with torch.no_grad():
        yield


@pytest.mark.parametrize("plan", [skip_layers(0), skip_layers(1, 3), skip_layers(*range(1, N))], ids=str)
def test_the_shorter_model_is_the_plan_bit_by_bit(plan):
    model = tiny_llava(n_layers=N)
    batch = tiny_batch(model, 3, [2, 6, 4])
    options = {"max_new_tokens": 5, "do_sample": False, "suppress_tokens": [3, 0, 2], "pad_token_id": 0}
    with apply(model, plan):
        logits, words = model(**batch).logits, model.generate(**batch, **options)
    shorter = remove_layers(copy.deepcopy(model), plan)
    assert torch.equal(shorter(**batch).logits, logits)
    assert torch.equal(shorter.generate(**batch, **options), words)
    assert shorter.config.get_text_config().num_hidden_layers == N - sum("layer" in plan.left_out(i) for i in range(N))


def test_the_checkpoint_loads_like_any_other(tmp_path):
    model, processor = default_model.load_model(), default_model.load_processor()
    samples = [as_sample(s, i) for i, s in enumerate(default_model.load_samples(4))]
    batch = make_batch(processor, samples)
    batch = {k: v for k, v in batch.items() if k not in ("special_mask", "sample_ids")}
    with apply(model, skip_layers(10, 11)):
        expected = model(**batch).logits
    folder = export_checkpoint(model, skip_layers(10, 11), tmp_path / "short", processor=processor)
    names = {path.name for path in folder.iterdir()}
    assert "model.safetensors" in names
    assert not [name for name in names if name.endswith((".bin", ".pt", ".py"))]
    loaded = AutoModelForImageTextToText.from_pretrained(folder, local_files_only=True).eval()
    assert torch.equal(loaded(**batch).logits, expected)
    assert sum(p.numel() for p in loaded.parameters()) < 0.87 * 3_310_000
    again = make_batch(AutoProcessor.from_pretrained(folder, local_files_only=True), samples)
    assert torch.equal(again["pixel_values"], batch["pixel_values"])


def test_windows_stay_with_their_layers():
    model = tiny_llava(n_layers=N)
    text = model.config.get_text_config()
    text.layer_types = ["sliding_attention", "full_attention"] * 2 + ["sliding_attention"]
    assert remove_layers(model, skip_layers(1, 2)).config.get_text_config().layer_types == [
        "sliding_attention",
        "full_attention",
        "sliding_attention",
    ]


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        (late_entry(2), "need a plan of skip_layers alone"),
        (skip_layers(1) + skip_mlp(2), r"run skip_mlp\(2\) with"),
        (Plan(), "need a plan of skip_layers alone"),
        (skip_layers(7), "need layers 0"),
        (skip_layers(*range(N)), "at least one layer left"),
    ],
    ids=str,
)
def test_other_plans_are_no_checkpoint(plan, words):
    model = tiny_llava(n_layers=N)
    with pytest.raises(InvalidInputError, match=words):
        remove_layers(model, plan)
    assert model.config.get_text_config().num_hidden_layers == N


def test_an_existing_folder_and_tied_settings_are_refused_before_anything_changes(tmp_path):
    model = tiny_llava(n_layers=N)
    with pytest.raises(InvalidInputError, match="does not exist yet"):
        export_checkpoint(model, skip_layers(1), tmp_path)
    text = model.config.get_text_config()
    for name, value, words in [
        ("num_kv_shared_layers", 2, "share keys"),
        ("no_rope_layers", [1, 1, 0, 1, 1], "no_rope_layers"),
        ("intermediate_sizes", [8] * N, "a setting per layer, intermediate_sizes"),
    ]:
        setattr(text, name, value)
        with pytest.raises(UnsupportedModelError, match=words):
            remove_layers(model, skip_layers(1))
        delattr(text, name)
    model.config.vision_config.deepstack_visual_indexes = [1, 2, 3]
    with pytest.raises(UnsupportedModelError, match="after its first 3 layers, layer 1 among them"):
        remove_layers(model, skip_layers(1))
    assert len(model.model.language_model.layers) == text.num_hidden_layers == N
