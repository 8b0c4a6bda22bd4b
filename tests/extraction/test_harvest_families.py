"""The general recipe on families that LLaVA's file does not know, against hidden states and eager attention."""

import numpy as np
import pytest
import torch

from extraction.adapters import adapt
from extraction.harvesting import harvest
from extraction.tiny import randomise
from redundancy.errors import UnsupportedModelError

TEXT = {
    "vocab_size": 99,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "tie_word_embeddings": False,
}
START, IMAGE, END = 90, 91, 92


def qwen2_5_vl():
    """Three-dimensional rotary positions, images of different size, patches flattened over the batch."""
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    rope = {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 10000.0}
    vision = {"depth": 1, "hidden_size": 32, "intermediate_size": 32, "num_heads": 2, "patch_size": 4}
    vision |= {"spatial_merge_size": 2, "temporal_patch_size": 2, "out_hidden_size": 32, "window_size": 16}
    config = Qwen2_5_VLConfig(
        text_config={**TEXT, "rope_parameters": rope},
        vision_config={**vision, "fullatt_block_indexes": [0]},
        image_token_id=IMAGE,
        vision_start_token_id=START,
        vision_end_token_id=END,
        video_token_id=93,
    )
    ids = torch.tensor([[5, 6, START, *[IMAGE] * 8, END, 20, 21, 22]])
    batch = {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "pixel_values": torch.randn(32, 96, generator=torch.Generator().manual_seed(0)),
        "image_grid_thw": torch.tensor([[1, 4, 8]]),
        "mm_token_type_ids": (ids == IMAGE).long(),
    }
    return Qwen2_5_VLForConditionalGeneration(config), batch, 8


def gemma3():
    """Sliding-window layers, image tokens that see each other both ways, norms after the sublayers."""
    from transformers import Gemma3Config, Gemma3ForConditionalGeneration

    text = {**TEXT, "head_dim": 8, "sliding_window": 6, "query_pre_attn_scalar": 8}
    text["layer_types"] = ["sliding_attention", "full_attention"] * 2
    vision = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = Gemma3Config(
        text_config=text,
        vision_config={**vision, "image_size": 16, "patch_size": 4},
        mm_tokens_per_image=4,
        image_token_index=IMAGE,
        boi_token_index=START,
        eoi_token_index=END,
    )
    ids = torch.tensor([[5, 6, START, *[IMAGE] * 4, END, 20, 21, 22, 23]])
    batch = {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "pixel_values": torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(0)),
        "token_type_ids": (ids == IMAGE).long(),
    }
    return Gemma3ForConditionalGeneration(config), batch, 4


@pytest.mark.parametrize("make", [qwen2_5_vl, gemma3])
def test_generic_recipe_sees_the_right_states_and_attention(make):
    torch.set_num_threads(1)
    model, batch, n_vision = make()
    model = randomise(model, 0).eval()
    assert adapt(model).family == "generic"
    stats = harvest(model, [batch])
    with torch.inference_mode():
        states = torch.stack(model(**batch, output_hidden_states=True).hidden_states).double().numpy()
        model.set_attn_implementation("eager")
        shares = torch.stack(model(**batch, output_attentions=True).attentions)[:, 0, :, -1].numpy()
    vision = batch["input_ids"][0].numpy() == IMAGE
    assert stats.token_counts("vision").tolist() == [n_vision]
    x, y = states[:3, 0, vision], states[1:4, 0, vision]  # the last state is after the final norm
    rho = 1 - (x * y).sum(-1) / (np.linalg.norm(x, axis=-1) * np.linalg.norm(y, axis=-1))
    np.testing.assert_allclose(stats.mean_distance("vision")[:3], rho.mean(-1), rtol=5e-6)
    np.testing.assert_allclose(stats.answer_var()[0], shares[..., vision].sum(-1), atol=1e-5)
    stats.validate()


def test_cross_attention_models_have_no_vision_tokens():
    """Mllama's placeholder is one token of the prompt, not an image feature: vision is undefined, not 0."""
    from transformers import MllamaConfig, MllamaForConditionalGeneration

    vision = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_global_layers": 1}
    vision |= {"attention_heads": 2, "image_size": 16, "patch_size": 8, "vision_output_dim": 32, "max_num_tiles": 1}
    vision |= {"intermediate_layers_indices": [0], "supported_aspect_ratios": [[1, 1]]}
    text = {**TEXT, "cross_attention_layers": [1], "rope_parameters": {"rope_type": "default", "rope_theta": 1e4}}
    config = MllamaConfig(vision_config=vision, text_config=text, image_token_index=IMAGE)
    model = randomise(MllamaForConditionalGeneration(config), 0).eval()
    ids = torch.tensor([[1, IMAGE, 20, 21, 22]])
    batch = {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "pixel_values": torch.randn(1, 1, 1, 3, 16, 16, generator=torch.Generator().manual_seed(0)),
        "aspect_ratio_ids": torch.ones(1, 1, dtype=torch.long),
        "aspect_ratio_mask": torch.ones(1, 1, 1, dtype=torch.long),
        "cross_attention_mask": torch.ones(1, 5, 1, 1, dtype=torch.long),
    }
    stats = harvest(model, [batch], special_ids=(IMAGE,))
    assert np.isnan(stats.mean_distance("vision")).all()
    assert np.isnan(stats.answer_var()).all()
    assert np.isfinite(stats.mean_distance("words")).all()
    assert {g: int(stats.token_counts(g)[0]) for g in ("sink", "special", "words")} == {
        "sink": 1,
        "special": 1,
        "words": 3,
    }


def test_model_without_recognisable_layers_is_refused():
    class Odd(torch.nn.Module):
        config = type("Config", (), {"model_type": "odd", "num_hidden_layers": 3})()

    with pytest.raises(UnsupportedModelError, match="odd model, found no list of 3 blocks; pass layers_path"):
        adapt(Odd())
