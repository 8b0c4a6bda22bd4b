"""Image encoders: the same numbers as fp64 numpy on transformers' own hidden states; images in, sentences out."""

import numpy as np
import pytest
import torch
import transformers as hf
from PIL import Image
from transformers import CLIPImageProcessorPil

from extraction.models.encoders import encoder_adapter, harvest_encoder
from extraction.tiny import randomise, tiny_llava
from redundancy.errors import InvalidInputError, UnsupportedModelError

SHAPE = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "image_size": 16, "patch_size": 4}
WIDE = {**SHAPE, "intermediate_size": 24}
# Configuration and class, shape, and how many tokens stand before the patches: a class token, then others.
ENCODERS = {
    "clip": ("CLIPVision", WIDE, 1, 0),
    "siglip": ("SiglipVision", WIDE, 0, 0),
    "vit": ("ViT", WIDE, 1, 0),
    "deit": ("DeiT", WIDE, 1, 1),
    "beit": ("Beit", WIDE, 1, 0),
    "dinov2": ("Dinov2", SHAPE, 1, 0),
    "dinov2_registers": ("Dinov2WithRegisters", {**SHAPE, "num_register_tokens": 3}, 1, 3),
    "dinov3": ("DINOv3ViT", {**WIDE, "num_register_tokens": 2}, 1, 2),
}


def build(name):
    kind, shape, *_ = ENCODERS[name]
    with torch.random.fork_rng(devices=[]):
        return randomise(getattr(hf, f"{kind}Model")(getattr(hf, f"{kind}Config")(**shape)), 0).eval()


@pytest.fixture(scope="module", params=["clip", "siglip"])
def model(request):
    return build(request.param)


def pixels(n, seed=0):
    return torch.randn(n, 3, 16, 16, generator=torch.Generator().manual_seed(seed))


def distances(states):
    norms = np.linalg.norm([states[:-1], states[1:]], axis=-1)
    return 1 - (states[:-1] * states[1:]).sum(-1) / np.prod(norms, axis=0)


def states_of(model, batches):
    """What goes into every layer, and what comes out of the last, by plain hooks."""
    layers, seen = list(model.get_submodule(encoder_adapter(model).layers_path)), []
    hooks = [layer.register_forward_pre_hook(lambda m, args: seen.append(args[0].clone())) for layer in layers]
    hooks.append(layers[-1].register_forward_hook(lambda m, args, y: seen.append(y[0] if type(y) is tuple else y)))
    with torch.no_grad():
        for batch in batches:
            model(**batch)
    for hook in hooks:
        hook.remove()
    n = len(hooks)
    return np.concatenate([torch.stack(seen[i : i + n]).double().numpy() for i in range(0, len(seen), n)], axis=1)


@pytest.mark.parametrize("name", ENCODERS)
def test_distances_equal_fp64_numpy(name):
    model, (_, _, n_class, n_more) = build(name), ENCODERS[name]
    batches = [{"pixel_values": pixels(2)}, {"pixel_values": pixels(1, 1)}]
    stats = harvest_encoder(model, batches)
    rho = distances(states_of(model, batches))
    first = n_class + n_more  # no patches
    np.testing.assert_array_equal(stats.token_counts("vision"), 16)
    np.testing.assert_array_equal(stats.token_counts("sink"), n_class)
    np.testing.assert_array_equal(stats.token_counts("special"), n_more)
    np.testing.assert_allclose(stats.distance_sums("vision"), rho[:, :, first:].sum(-1).T, rtol=5e-6)
    np.testing.assert_allclose(stats.distance_sums("sink"), rho[:, :, :n_class].sum(-1).T, rtol=5e-6)
    np.testing.assert_allclose(stats.distance_sums("special"), rho[:, :, n_class:first].sum(-1).T, rtol=5e-6)
    assert stats.token_counts("words").sum() == 0
    assert np.isnan(stats.mean_distance("words")).all()
    stats.validate()


def test_an_encoder_of_flattened_patches_with_padding():
    """SigLIP 2: images of different shape in one batch; what pads the smaller is in no group."""
    config = hf.Siglip2VisionConfig(**{k: v for k, v in WIDE.items() if k != "image_size"}, num_patches=16)
    with torch.random.fork_rng(devices=[]):
        model = randomise(hf.Siglip2VisionModel(config), 0).eval()
    batch = {"pixel_values": torch.randn(2, 16, 48, generator=torch.Generator().manual_seed(1))}
    batch["pixel_attention_mask"] = torch.tensor([[1] * 16, [1] * 12 + [0] * 4])
    batch["spatial_shapes"] = torch.tensor([[4, 4], [3, 4]])
    stats = harvest_encoder(model, [{**batch, "sample_ids": ["a", "b"]}])
    assert stats.token_counts("vision").tolist() == [16, 12]
    rho = distances(states_of(model, [batch]))
    expected = np.stack([rho[:, 0].sum(-1), rho[:, 1, :12].sum(-1)])
    np.testing.assert_allclose(stats.distance_sums("vision"), expected, rtol=5e-6)
    assert stats.token_counts("all").tolist() == [16, 12]


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
    with pytest.raises(UnsupportedModelError, match=r"the llava model.*pass its vision tower"):
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
