"""Image encoders: the same numbers as fp64 numpy on transformers' own hidden states; images in, sentences out."""

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    CLIPVisionModel,
    SiglipVisionConfig,
    SiglipVisionModel,
)

from extraction.models.encoders import encoder_adapter, harvest_encoder
from extraction.tiny import randomise, tiny_llava
from redundancy.errors import InvalidInputError, UnsupportedModelError

SHAPE = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 3, "num_attention_heads": 2}
SHAPE |= {"image_size": 16, "patch_size": 4}
ENCODERS = {"clip": (CLIPVisionConfig, CLIPVisionModel), "siglip": (SiglipVisionConfig, SiglipVisionModel)}


@pytest.fixture(scope="module", params=ENCODERS)
def model(request):
    config, kind = ENCODERS[request.param]
    with torch.random.fork_rng(devices=[]):
        return randomise(kind(config(**SHAPE)), 0).eval()


def pixels(n, seed=0):
    return torch.randn(n, 3, 16, 16, generator=torch.Generator().manual_seed(seed))


def test_distances_equal_fp64_numpy(model):
    stats = harvest_encoder(model, [{"pixel_values": pixels(2)}, {"pixel_values": pixels(1, 1)}])
    with torch.inference_mode():
        hidden = [model(pixel_values=p, output_hidden_states=True).hidden_states for p in (pixels(2), pixels(1, 1))]
    states = np.concatenate([torch.stack(h).double().numpy() for h in hidden], axis=1)
    rho = 1 - (states[:-1] * states[1:]).sum(-1) / np.prod(np.linalg.norm([states[:-1], states[1:]], axis=-1), axis=0)
    first = 1 if model.config.model_type.startswith("clip") else 0  # CLIP's class token is no patch
    np.testing.assert_array_equal(stats.token_counts("vision"), 16)
    np.testing.assert_array_equal(stats.token_counts("sink"), first)
    np.testing.assert_allclose(stats.distance_sums("vision"), rho[:, :, first:].sum(-1).T, rtol=5e-6)
    if first:
        np.testing.assert_allclose(stats.distance_sums("sink"), rho[:, :, 0].T, rtol=5e-6)
    assert stats.token_counts("words").sum() == 0
    assert np.isnan(stats.mean_distance("words")).all()
    stats.validate()


def test_outputs_are_untouched_and_batches_do_not_matter(model):
    images = pixels(4)
    with torch.inference_mode():
        before = model(pixel_values=images).last_hidden_state
        together = harvest_encoder(model, [{"pixel_values": images}], shift=None)
        after = model(pixel_values=images).last_hidden_state
    assert torch.equal(before, after)
    halves = [{"pixel_values": images[:1]}, {"pixel_values": images[1:]}]
    apart = harvest_encoder(model, halves, shift=None)
    assert apart.sample_ids == together.sample_ids
    np.testing.assert_allclose(apart.distance_sums("vision"), together.distance_sums("vision"), rtol=1e-6)


def test_images_and_a_processor(model, tmp_path):
    rng = np.random.default_rng(0)
    paths = []
    for i in range(3):
        paths.append(tmp_path / f"{i}.png")
        Image.fromarray(rng.integers(0, 256, (20, 16, 3), dtype=np.uint8)).save(paths[-1])
    size = {"height": 16, "width": 16}
    processor = CLIPImageProcessorPil(size={"shortest_edge": 16}, crop_size=size)
    stats = harvest_encoder(model, paths, processor=processor, batch_size=2)
    ready = processor(images=[Image.open(p) for p in paths], return_tensors="pt")
    again = harvest_encoder(model, [dict(ready)])
    assert stats.sample_ids == again.sample_ids == ("00000000", "00000001", "00000002")
    np.testing.assert_allclose(stats.distance_sums("vision"), again.distance_sums("vision"), rtol=1e-6)
    with pytest.raises(InvalidInputError, match="need a processor"):
        harvest_encoder(model, paths)
    with pytest.raises(InvalidInputError, match="sample '00000000'"):
        harvest_encoder(model, [tmp_path / "none.png"], processor=processor)


def test_bad_input_gets_a_sentence(model):
    with pytest.raises(InvalidInputError, match="at least one image"):
        harvest_encoder(model, [])
    with pytest.raises(InvalidInputError, match="need pixel_values of shape"):
        harvest_encoder(model, [{"pixel_values": pixels(1)[0]}])
    with pytest.raises(UnsupportedModelError, match="need the path"):
        encoder_adapter(model, layers_path="nowhere")
    with pytest.raises(UnsupportedModelError, match=r"llava .*pass its vision tower"):
        encoder_adapter(tiny_llava(n_layers=1))


def test_layers_of_another_place_are_refused(model):
    """Layers in a list of their own, in another order: not what the model reports."""
    swapped = type(model)(model.config).eval()
    path = encoder_adapter(swapped).layers_path
    layers = list(swapped.get_submodule(path))
    parent = swapped.get_submodule(path.rpartition(".")[0])
    parent.other = torch.nn.ModuleList([layers[1], layers[0], layers[2]])
    with pytest.raises(UnsupportedModelError, match="pass layers_path, or self_check=False"):
        harvest_encoder(swapped, [{"pixel_values": pixels(1)}], layers_path=path.replace("layers", "other"))
