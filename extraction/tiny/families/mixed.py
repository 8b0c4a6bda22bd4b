"""Families whose layers are not all softmax attention over keys of their own: hybrids, and shared keys."""

from __future__ import annotations

from typing import Any

import torch

from extraction.tiny.parts import (
    END,
    IMAGE,
    QWEN_IDS,
    QWEN_TOWER,
    START,
    TEXT,
    TOWER,
    VIDEO,
    WORDS,
    Built,
    Rows,
    mrope,
    patch_rows,
    pixels,
    row_of,
)

__all__ = ["FAMILIES"]

_TOWER = {**QWEN_TOWER, "depth": 2, "hidden_size": 16, "intermediate_size": 16, "out_hidden_size": 32}
_TOWER |= {"num_position_embeddings": 16}
_SHARED = {**TEXT, "head_dim": 8, "sliding_window": 6, "layer_types": ["sliding_attention", "full_attention"] * 2}
_SHARED |= {"num_kv_shared_layers": 2, "hidden_size_per_layer_input": 8, "vocab_size_per_layer_input": 99}


def qwen3_5(hf: Any) -> Built:
    """Gated delta rule in every other layer, gated attention in the others."""
    config = hf.Qwen3_5Config(text_config=_hybrid(), vision_config=_TOWER, **QWEN_IDS)
    return hf.Qwen3_5ForConditionalGeneration(config), patch_rows(96)


def qwen3_5_moe(hf: Any) -> Built:
    """Qwen3.5 with experts."""
    text = _hybrid() | {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}
    del text["intermediate_size"]
    config = hf.Qwen3_5MoeConfig(
        text_config=text | {"shared_expert_intermediate_size": 16}, vision_config=_TOWER, **QWEN_IDS
    )
    return hf.Qwen3_5MoeForConditionalGeneration(config), patch_rows(96)


def minicpmv4_6(hf: Any) -> Built:
    """Qwen3.5's decoder with plain rotary positions; the tower merges its patches within and after its layers."""
    rope = {"rope_type": "default", "rope_theta": 1e4, "partial_rotary_factor": 0.5}
    tower = {**TOWER, "num_hidden_layers": 2, "image_size": 32, "insert_layer_id": 0}
    config = hf.MiniCPMV4_6Config(
        text_config=hf.Qwen3_5TextConfig(**_hybrid() | {"rope_parameters": rope}),
        vision_config=tower,
        insert_layer_id=0,
        image_size=32,
        image_token_id=IMAGE,
        video_token_id=VIDEO,
    )
    rows: Rows = []
    for i, words in enumerate(WORDS):
        ids = row_of([START, *[IMAGE] * 4, END], words=words, seed=i)
        rows.append({"input_ids": ids, "pixel_values": pixels(1, 3, 4, 4 * 64, seed=i)})
        rows[-1]["target_sizes"] = torch.tensor([[8, 8]])
    # The processor lays the patches of all images in one row.
    joins = {"pixel_values": lambda parts: torch.cat(parts, dim=-1)}
    return hf.MiniCPMV4_6ForConditionalGeneration(config), rows, joins


def lfm2_vl(hf: Any) -> Built:
    """Short convolutions in every other layer."""
    config = hf.Lfm2VlConfig(
        vision_config=hf.Siglip2VisionConfig(**{k: v for k, v in TOWER.items() if k != "image_size"}, num_patches=16),
        text_config=hf.Lfm2Config(
            **TEXT, layer_types=["conv", "full_attention"] * 2, conv_L_cache=3, block_auto_adjust_ff_dim=False
        ),
        image_token_id=IMAGE,
        projector_hidden_size=32,
    )
    rows: Rows = []
    for i, words in enumerate(WORDS):
        ids = row_of([START, *[IMAGE] * 4, END], words=words, seed=i)
        rows.append({"input_ids": ids, "pixel_values": pixels(1, 16, 48, seed=i)})
        rows[-1]["pixel_attention_mask"] = torch.ones(1, 16, dtype=torch.long)
        rows[-1]["spatial_shapes"] = torch.tensor([[4, 4]])
    return hf.Lfm2VlForConditionalGeneration(config), rows


def gemma4(hf: Any) -> Built:
    """The last two layers read keys and values of earlier ones; every layer has embeddings of its own."""
    tower = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    tower |= {"num_key_value_heads": 2, "head_dim": 8, "pooling_kernel_size": 2, "patch_size": 4}
    config = hf.Gemma4Config(
        text_config=_SHARED,
        vision_config={**tower, "position_embedding_size": 16},
        audio_config=None,
        image_token_id=IMAGE,
        boi_token_id=START,
        eoi_token_id=END,
        video_token_id=VIDEO,
        audio_token_id=94,
    )
    places = torch.cartesian_prod(torch.arange(4), torch.arange(4)).flip(-1)[None]
    rows: Rows = []
    for i, words in enumerate(WORDS):
        ids = row_of([START, *[IMAGE] * 4, END], words=words, seed=i)
        rows.append({"input_ids": ids, "pixel_values": pixels(1, 16, 48, seed=i), "image_position_ids": places})
        rows[-1]["mm_token_type_ids"] = (ids == IMAGE).long()
    return hf.Gemma4ForConditionalGeneration(config), rows


def _hybrid() -> dict[str, Any]:
    """A decoder in which every other layer has linear attention."""
    text = {**TEXT, "head_dim": 16, "rope_parameters": mrope(mrope_interleaved=True, partial_rotary_factor=0.5)}
    text |= {"linear_key_head_dim": 8, "linear_value_head_dim": 8, "linear_num_key_heads": 2}
    text |= {"linear_num_value_heads": 4, "linear_conv_kernel_dim": 4}
    return text | {"layer_types": ["linear_attention", "full_attention"] * 2}


FAMILIES = {
    "qwen3_5": qwen3_5,
    "qwen3_5_moe": qwen3_5_moe,
    "minicpmv4_6": minicpmv4_6,
    "lfm2_vl": lfm2_vl,
    "gemma4": gemma4,
}
