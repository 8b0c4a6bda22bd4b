"""Every family with real pixel inputs: the adapter finds the layers, and each invariant of a harvest holds."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import Gemma3nForCausalLM, Gemma3nTextConfig

from extraction.harvesting.stream import harvest, make_harvester
from extraction.models.adapters import adapt
from extraction.tiny import TINY_FAMILIES, tiny_family
from extraction.tiny.invariants import INVARIANTS, decoder_layers
from redundancy.errors import InvalidInputError, UnsupportedModelError

BY_NAME = {invariant.name: invariant for invariant in INVARIANTS}
CROSSED = ("mllama", "idefics")


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module", params=TINY_FAMILIES)
def family(request):
    return tiny_family(request.param)


def test_adapter_finds_the_decoder_layers_and_the_placeholder(family):
    record = adapt(family.model)
    assert list(record.layers) == decoder_layers(family.model)
    assert record.n_layers == 4
    assert record.n_heads == 4
    assert (family.image_id in record.vision_ids) == (family.name not in CROSSED)
    weights = [w for name, w in family.model.named_parameters() if "norm" in name and w.dim() == 1]
    assert all(float((w - 1).abs().max()) > 0.01 for w in weights)  # no norm that hides a mistake


@pytest.mark.parametrize("name", BY_NAME)
def test_invariant(family, name):
    error = BY_NAME[name].measure(family)
    assert error <= BY_NAME[name].tolerance


def test_rows_differ_and_images_matter(family):
    """Rows of unequal length, so that padding is exercised; and the image changes the answer."""
    assert len({row["input_ids"].shape[1] for row in family.rows}) > 1
    batch = family.batch()
    with torch.inference_mode():
        first = family.model(**batch).logits[:, -1]
        second = family.model(**{**batch, "pixel_values": -batch["pixel_values"]}).logits[:, -1]
    assert (first != second).any(-1).all()


def test_models_are_the_same_every_time_and_leave_the_random_state_alone():
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    one, two = tiny_family("gemma3"), tiny_family("gemma3")
    assert torch.equal(torch.rand(3), expected)
    pairs = zip(one.model.state_dict().values(), two.model.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("name", ["D", "VAR", "vision"])
def test_invariants_see_a_wrong_placeholder(name):
    """Called with another placeholder than the model's, the reference differs from the harvest."""
    wrong = replace(tiny_family("idefics3"), image_id=92, n_vision=(1, 1, 1))
    assert not BY_NAME[name].holds(wrong)


def test_invariant_of_padding_sees_a_model_that_reads_padding():
    family = tiny_family("llava")
    decoder = family.model.get_decoder()
    stock = decoder.forward

    def forward(*args, attention_mask=None, **kwargs):
        return stock(*args, attention_mask=None, **kwargs)

    decoder.forward = forward
    assert not BY_NAME["padding"].holds(family)


@pytest.mark.parametrize("name", CROSSED)
def test_cross_attention_models_have_no_vision_tokens(name):
    """Their placeholder is one token of the prompt, not an image feature: vision is undefined, not 0."""
    family = tiny_family(name)
    stats = harvest(family.model, [family.batch()], special_ids=(family.image_id,), progress=False)
    assert np.isnan(stats.mean_distance("vision")).all()
    assert np.isnan(stats.answer_var()).all()
    assert np.isfinite(stats.mean_distance("words")).all()
    assert stats.token_counts("special").tolist() == [1, 1, 1]
    assert stats.token_counts("sink").tolist() == [1, 1, 1]


def test_deepstack_is_between_the_layers():
    """Qwen3-VL adds to vision tokens between layers: a layer's input is not the output of the one before."""
    family = tiny_family("qwen3_vl")
    io, hf = (harvest(family.model, [family.batch()], pairing=p, progress=False) for p in ("io", "hf"))
    assert io.mean_distance("vision")[0] == hf.mean_distance("vision")[0]
    assert abs(io.mean_distance("vision")[1] - hf.mean_distance("vision")[1]) > 0.01
    np.testing.assert_allclose(io.mean_distance("text")[:3], hf.mean_distance("text")[:3], rtol=1e-6)


@pytest.mark.parametrize("name", ["llava", "qwen3_vl", "idefics"])
def test_self_check_sees_layers_in_a_wrong_order(name):
    """Also where the family has leave to change states between layers: that is no leave to be wrong."""
    family = tiny_family(name)
    layers = decoder_layers(family.model)
    record = adapt(family.model)
    assert list(record.layers) == list(layers)
    assert record.changes_between == (name != "llava")
    swapped = replace(record, layers=(*layers[:2], layers[3], layers[2]))
    first = {**family.batch(), "sample_ids": ["a", "b", "c"]}
    with pytest.raises(UnsupportedModelError, match="differ at depths"):
        make_harvester(family.model, swapped, first)


def test_a_decoder_with_several_states_per_token_is_refused():
    """Gemma 3n (AltUp): what a layer gets is four predictions of a state, of which one is computed."""
    shape = {"hidden_size": 16, "intermediate_size": [16] * 2, "num_hidden_layers": 2, "num_attention_heads": 2}
    shape |= {"num_key_value_heads": 1, "head_dim": 8, "vocab_size": 32, "vocab_size_per_layer_input": 32}
    shape |= {"hidden_size_per_layer_input": 4, "laurel_rank": 4, "num_kv_shared_layers": 0}
    shape |= {"activation_sparsity_pattern": [0.0, 0.0], "layer_types": ["full_attention"] * 2}
    with torch.random.fork_rng(devices=[]):
        model = Gemma3nForCausalLM(Gemma3nTextConfig(**shape)).eval()
    with pytest.raises(UnsupportedModelError, match="AltUp"):
        harvest(model, [{"input_ids": torch.tensor([[5, 6, 7]])}], progress=False)


def test_unknown_family_gives_a_sentence():
    with pytest.raises(InvalidInputError, match=r"need a family among llava, .*, got 'gpt'"):
        tiny_family("gpt")


def test_model_without_recognisable_layers_is_refused():
    class Odd(torch.nn.Module):
        config = type("Config", (), {"model_type": "odd", "num_hidden_layers": 3})()

    with pytest.raises(UnsupportedModelError, match="odd model, found no list of 3 blocks; pass layers_path"):
        adapt(Odd())
