"""One tiny random model per family of vision-language models, with real pixel inputs."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import torch

from extraction.tiny.parts import END, IMAGE, START, TEXT, TOWER, VIDEO, TinyFamily, mrope, pixels, row_of
from extraction.tiny.weights import randomise
from redundancy.errors import InvalidInputError

__all__ = ["TINY_FAMILIES", "TinyFamily", "tiny_family"]

_WORDS = (6, 3, 5)
Rows = list[dict[str, torch.Tensor]]
Built = tuple[Any, Rows]


def tiny_family(name: str, *, seed: int = 0, dtype: torch.dtype = torch.float32) -> TinyFamily:
    """Tiny random model of a family, four decoder layers of width 32, with three rows of inputs.

    Parameters
    ----------
    name : str
        A key of `TINY_FAMILIES`.
    seed : int
        Decides every weight; the global random state is left alone.
    dtype : torch.dtype
        Of weights and pixels.

    Returns
    -------
    TinyFamily

    Raises
    ------
    InvalidInputError
        For an unknown family.

    Examples
    --------
    >>> family = tiny_family("gemma3")
    >>> family.n_vision, tuple(family.batch()["input_ids"].shape)
    ((4, 8, 4), (3, 17))
    """
    if name not in TINY_FAMILIES:
        raise InvalidInputError(f"need a family among {', '.join(TINY_FAMILIES)}, got {name!r}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model, rows = TINY_FAMILIES[name](import_module("transformers"))
    model.set_attn_implementation("sdpa")
    randomise(model, seed).to(dtype).eval()
    crossed = name in ("mllama", "idefics")
    n_vision = tuple(0 if crossed else int((row["input_ids"] == IMAGE).sum()) for row in rows)
    rows = [{k: v.to(dtype) if v.is_floating_point() else v for k, v in row.items()} for row in rows]
    return TinyFamily(name, model, tuple(rows), n_vision)


def _fixed_rows(n_vision: int, *, wrap: bool = False, types: bool = False, axes: int = 0) -> Rows:
    """Rows with one image of 16 x 16 each; `axes` leading axes of length 1 before the pixels'."""
    rows: Rows = []
    for i, words in enumerate(_WORDS):
        image = [START, *[IMAGE] * n_vision, END] if wrap else [IMAGE] * n_vision
        ids = row_of(image, words=words, seed=i)
        row = {"input_ids": ids, "pixel_values": pixels(*[1] * axes, 1, 3, 16, 16, seed=i)}
        if types:
            row["token_type_ids"] = torch.zeros_like(ids)
        rows.append(row)
    return rows


def _llava(hf: Any) -> Built:
    config = hf.LlavaConfig(
        vision_config=hf.CLIPVisionConfig(**TOWER, projection_dim=16),
        text_config=hf.LlamaConfig(**TEXT),
        image_token_index=IMAGE,
        vision_feature_layer=-1,
        image_seq_length=16,
    )
    return hf.LlavaForConditionalGeneration(config), _fixed_rows(16)


def _llava_next(hf: Any) -> Built:
    """An image in two tiles and a whole; the newline embeddings carry the placeholder too."""
    config = hf.LlavaNextConfig(
        vision_config=hf.CLIPVisionConfig(**TOWER, projection_dim=16),
        text_config=hf.LlamaConfig(**TEXT),
        image_token_index=IMAGE,
        vision_feature_layer=-1,
        image_grid_pinpoints=[[16, 32], [32, 16]],
        image_seq_length=16,
    )
    rows: Rows = []
    for i, (words, (high, wide)) in enumerate(zip(_WORDS, [(16, 32), (32, 16), (16, 32)], strict=True)):
        n_vision = 16 + (high // 4) * (wide // 4 + 1)  # the whole, the tiles, a newline per row of patches
        rows.append(
            {
                "input_ids": row_of([IMAGE] * n_vision, words=words, seed=i),
                "pixel_values": pixels(1, 3, 3, 16, 16, seed=i),
                "image_sizes": torch.tensor([[high, wide]]),
            }
        )
    return hf.LlavaNextForConditionalGeneration(config), rows


def _deepseek_vl(hf: Any) -> Built:
    config = hf.DeepseekVLConfig(
        vision_config=hf.SiglipVisionConfig(**TOWER), text_config=hf.LlamaConfig(**TEXT), image_token_id=IMAGE
    )
    return hf.DeepseekVLForConditionalGeneration(config), _fixed_rows(16)


def _qwen_rows(patch_values: int) -> Rows:
    """Images of different size, two in the last row; patches are flattened over the batch."""
    rows: Rows = []
    for i, grids in enumerate([[(4, 4)], [(4, 8)], [(2, 4), (4, 4)]]):
        images = [[START, *[IMAGE] * (high * wide // 4), END] for high, wide in grids]
        ids = row_of(*images, words=_WORDS[i], seed=i)
        rows.append(
            {
                "input_ids": ids,
                "pixel_values": pixels(sum(high * wide for high, wide in grids), patch_values, seed=i),
                "image_grid_thw": torch.tensor([(1, *grid) for grid in grids]),
                "mm_token_type_ids": (ids == IMAGE).long(),
            }
        )
    return rows


_QWEN_IDS = {
    "image_token_id": IMAGE,
    "video_token_id": VIDEO,
    "vision_start_token_id": START,
    "vision_end_token_id": END,
}
_QWEN_TOWER = {"num_heads": 2, "patch_size": 4, "spatial_merge_size": 2, "temporal_patch_size": 2}


def _qwen2_vl(hf: Any) -> Built:
    config = hf.Qwen2VLConfig(
        text_config={**TEXT, "rope_parameters": mrope()},
        vision_config={**_QWEN_TOWER, "depth": 1, "embed_dim": 16, "hidden_size": 32, "mlp_ratio": 1},
        **_QWEN_IDS,
    )
    return hf.Qwen2VLForConditionalGeneration(config), _qwen_rows(96)


def _qwen2_5_vl(hf: Any) -> Built:
    tower = {**_QWEN_TOWER, "depth": 1, "hidden_size": 16, "intermediate_size": 16, "out_hidden_size": 32}
    config = hf.Qwen2_5_VLConfig(
        text_config={**TEXT, "rope_parameters": mrope()},
        vision_config={**tower, "window_size": 16, "fullatt_block_indexes": [0]},
        **_QWEN_IDS,
    )
    return hf.Qwen2_5_VLForConditionalGeneration(config), _qwen_rows(96)


def _qwen3_vl(hf: Any) -> Built:
    """Deepstack: features of the tower are added to vision tokens between the first decoder layers."""
    tower = {**_QWEN_TOWER, "depth": 2, "hidden_size": 16, "intermediate_size": 16, "out_hidden_size": 32}
    config = hf.Qwen3VLConfig(
        text_config={**TEXT, "head_dim": 8, "rope_parameters": mrope(mrope_interleaved=True)},
        vision_config={**tower, "num_position_embeddings": 16, "deepstack_visual_indexes": [0, 1]},
        **_QWEN_IDS,
    )
    return hf.Qwen3VLForConditionalGeneration(config), _qwen_rows(96)


def _idefics3(hf: Any) -> Built:
    config = hf.Idefics3Config(
        vision_config=TOWER, text_config=hf.LlamaConfig(**TEXT), image_token_id=IMAGE, scale_factor=2, pad_token_id=0
    )
    return hf.Idefics3ForConditionalGeneration(config), _fixed_rows(4, wrap=True, axes=1)


def _smolvlm(hf: Any) -> Built:
    config = hf.SmolVLMConfig(
        vision_config=TOWER, text_config=hf.LlamaConfig(**TEXT), image_token_id=IMAGE, scale_factor=2, pad_token_id=0
    )
    return hf.SmolVLMForConditionalGeneration(config), _fixed_rows(4, wrap=True, axes=1)


def _internvl(hf: Any) -> Built:
    config = hf.InternVLConfig(
        vision_config={**TOWER, "image_size": [16, 16], "patch_size": [4, 4]},
        text_config=hf.Qwen2Config(**TEXT),
        image_token_id=IMAGE,
        image_seq_length=4,
    )
    return hf.InternVLForConditionalGeneration(config), _fixed_rows(4, wrap=True)


def _gemma3(hf: Any) -> Built:
    """Sliding-window and full layers in turn; image tokens see each other both ways."""
    text = {**TEXT, "head_dim": 8, "sliding_window": 6, "query_pre_attn_scalar": 8}
    text["layer_types"] = ["sliding_attention", "full_attention"] * 2
    config = hf.Gemma3Config(
        text_config=text,
        vision_config=TOWER,
        mm_tokens_per_image=4,
        image_token_index=IMAGE,
        boi_token_index=START,
        eoi_token_index=END,
    )
    rows: Rows = []
    for i, n_images in enumerate((1, 2, 1)):
        ids = row_of(*[[START, *[IMAGE] * 4, END]] * n_images, words=_WORDS[i] - 3 * (n_images == 2) + 3, seed=i)
        row = {"input_ids": ids, "pixel_values": pixels(n_images, 3, 16, 16, seed=i)}
        rows.append({**row, "token_type_ids": (ids == IMAGE).long()})
    return hf.Gemma3ForConditionalGeneration(config), rows


def _paligemma(hf: Any) -> Built:
    """The whole prompt sees itself both ways, as the processor's token types say."""
    config = hf.PaliGemmaConfig(
        vision_config=hf.SiglipVisionConfig(**TOWER, projection_dim=32, vision_use_head=False),
        text_config=hf.GemmaConfig(**TEXT, head_dim=8),
        image_token_index=IMAGE,
        projection_dim=32,
        hidden_size=32,
    )
    return hf.PaliGemmaForConditionalGeneration(config), _fixed_rows(16, types=True)


def _mistral3(hf: Any) -> Built:
    """A Pixtral tower and images of different size, whose patches are merged by fours."""
    config = hf.Mistral3Config(
        vision_config=hf.PixtralVisionConfig(**TOWER, head_dim=8),
        text_config=hf.MistralConfig(**TEXT, head_dim=8),
        image_token_index=IMAGE,
        spatial_merge_size=2,
    )
    rows: Rows = []
    for i, (high, wide) in enumerate([(16, 16), (8, 16), (16, 8)]):
        # A batch holds pictures of one size, padded below and to the right; image_sizes say what is real.
        picture = torch.zeros(1, 3, 16, 16)
        picture[..., :high, :wide] = pixels(1, 3, high, wide, seed=i)
        ids = row_of([IMAGE] * (high * wide // 64), words=_WORDS[i], seed=i)
        rows.append({"input_ids": ids, "pixel_values": picture, "image_sizes": torch.tensor([[high, wide]])})
    return hf.Mistral3ForConditionalGeneration(config), rows


def _pixtral(hf: Any) -> Built:
    """Pixtral as published for transformers: LLaVA's classes with a Pixtral tower and a Mistral decoder."""
    config = hf.LlavaConfig(
        vision_config=hf.PixtralVisionConfig(**TOWER, head_dim=8),
        text_config=hf.MistralConfig(**TEXT, head_dim=8),
        image_token_index=IMAGE,
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
    )
    rows: Rows = []
    for i, (high, wide) in enumerate([(16, 16), (8, 16), (16, 8)]):
        picture = torch.zeros(1, 3, 16, 16)
        picture[..., :high, :wide] = pixels(1, 3, high, wide, seed=i)
        ids = row_of([IMAGE] * (high * wide // 16), words=_WORDS[i], seed=i)
        rows.append({"input_ids": ids, "pixel_values": picture, "image_sizes": torch.tensor([[high, wide]])})
    return hf.LlavaForConditionalGeneration(config), rows


def _blip2(hf: Any) -> Built:
    """A query transformer and an OPT decoder with learned positions."""
    text = {k: v for k, v in TEXT.items() if k not in ("intermediate_size", "num_key_value_heads")}
    config = hf.Blip2Config(
        vision_config=TOWER,
        qformer_config={**TOWER, "encoder_hidden_size": 16, "vocab_size": 9},
        text_config=hf.OPTConfig(**text, ffn_dim=48, word_embed_proj_dim=32, max_position_embeddings=64),
        num_query_tokens=4,
        image_token_index=IMAGE,
    )
    return hf.Blip2ForConditionalGeneration(config), _fixed_rows(4)


def _mllama(hf: Any) -> Built:
    tower: dict[str, Any] = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_global_layers": 1}
    tower |= {"attention_heads": 2, "image_size": 16, "patch_size": 8, "vision_output_dim": 32, "max_num_tiles": 1}
    tower |= {"intermediate_layers_indices": [0], "supported_aspect_ratios": [[1, 1]]}
    text = {**TEXT, "cross_attention_layers": [1], "rope_parameters": {"rope_type": "default", "rope_theta": 1e4}}
    rows: Rows = []
    for i, words in enumerate(_WORDS):
        ids = row_of([IMAGE], words=words, seed=i)
        rows.append(
            {
                "input_ids": ids,
                "pixel_values": pixels(1, 1, 1, 3, 16, 16, seed=i),
                "aspect_ratio_ids": torch.ones(1, 1, dtype=torch.long),
                "aspect_ratio_mask": torch.ones(1, 1, 1, dtype=torch.long),
                "cross_attention_mask": torch.ones(1, ids.shape[1], 1, 1, dtype=torch.long),
            }
        )
    config = hf.MllamaConfig(vision_config=tower, text_config=text, image_token_index=IMAGE)
    return hf.MllamaForConditionalGeneration(config), rows


def _idefics(hf: Any) -> Built:
    text = {k: v for k, v in TEXT.items() if k != "num_key_value_heads"}
    tower = {"embed_dim": 16, "image_size": 16, "patch_size": 4, "num_attention_heads": 2, "num_hidden_layers": 1}
    config = hf.IdeficsConfig(
        **text,
        vision_config={**tower, "intermediate_size": 16},
        cross_layer_interval=2,
        alpha_initializer="ones",
        use_resampler=False,
    )
    rows: Rows = []
    for i, words in enumerate(_WORDS):
        ids = row_of([IMAGE], words=words, seed=i)
        rows.append(
            {
                "input_ids": ids,
                "pixel_values": pixels(1, 1, 3, 16, 16, seed=i),
                "image_attention_mask": torch.ones(1, ids.shape[1], 1, dtype=torch.long),
            }
        )
    return hf.IdeficsForVisionText2Text(config), rows


# Each gets the module transformers, whose many classes are not typed.
TINY_FAMILIES: dict[str, Callable[[Any], Built]] = {
    "llava": _llava,
    "llava_next": _llava_next,
    "deepseek_vl": _deepseek_vl,
    "qwen2_vl": _qwen2_vl,
    "qwen2_5_vl": _qwen2_5_vl,
    "qwen3_vl": _qwen3_vl,
    "idefics3": _idefics3,
    "smolvlm": _smolvlm,
    "internvl": _internvl,
    "gemma3": _gemma3,
    "paligemma": _paligemma,
    "mistral3": _mistral3,
    "pixtral": _pixtral,
    "blip2": _blip2,
    "mllama": _mllama,
    "idefics": _idefics,
}
