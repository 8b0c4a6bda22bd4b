"""Models spread over devices and disk: the harvest is that of the same model in one place."""

import json

import numpy as np
import pytest
import torch

from extraction import default_model, harvest
from extraction.data import as_sample
from extraction.models.loading import load_model_and_processor
from redundancy.errors import InvalidInputError, MissingExtraError

PATH = str(default_model.PATH)
SAMPLES = [as_sample(s, i) for i, s in enumerate(default_model.load_samples(6))]


def run(device):
    model, processor = load_model_and_processor(PATH, dtype="float32", device=device)
    kept = harvest(model, SAMPLES, processor=processor, batch_size=3, name="m", revision="r", progress=False)
    return model, kept


@pytest.mark.parametrize("offloaded", ["layers", "embeddings", "all"])
def test_a_model_that_waits_on_disk_is_harvested_to_the_same_bits(tmp_path, offloaded):
    """Weights on disk are meta tensors until accelerate's hooks bring each module in: the hooks must still see it."""
    pytest.importorskip("accelerate", reason="device maps need accelerate, of the extra eval")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    whole, plain = run("cpu")
    place = "disk" if offloaded == "embeddings" else "cpu"
    tower = {"model.vision_tower": "cpu", "model.multi_modal_projector": "cpu"}
    decoder = {f"model.language_model.layers.{i}": "disk" if i % 2 else "cpu" for i in range(plain.spec.n_layers)}
    rest = {"model.language_model.norm": "cpu", "model.language_model.rotary_emb": "cpu"}
    embeddings = {"model.language_model.embed_tokens": place, "lm_head": place}  # tied: one place for both
    maps = {"layers": {**tower, **decoder, **rest, **embeddings}, "all": {"": "disk"}}
    maps["embeddings"] = maps["layers"]
    path = tmp_path / "map.json"
    path.write_text(json.dumps(maps[offloaded]))
    model, spread = run(str(path))
    torch.set_num_threads(before)
    assert any(weights.is_meta for weights in model.parameters())
    assert not any(weights.is_meta for weights in whole.parameters())
    assert spread.spec == plain.spec
    for name, array in plain.arrays().items():
        np.testing.assert_array_equal(spread.arrays()[name], array, err_msg=name)


def test_spreading_without_accelerate_names_the_extra(monkeypatch):
    import extraction.models.loading as module

    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"skip-it\[eval\]"):
        load_model_and_processor(PATH, device="auto")


@pytest.mark.parametrize("text", ["[]", "{", '{"lm_head": [0]}'])
def test_a_device_map_that_is_none_is_refused(tmp_path, text, monkeypatch):
    import extraction.models.loading as module

    monkeypatch.setattr(module, "find_spec", lambda name: name)
    path = tmp_path / "map.json"
    path.write_text(text)
    with pytest.raises(InvalidInputError, match="device map"):
        load_model_and_processor(PATH, device=str(path))
