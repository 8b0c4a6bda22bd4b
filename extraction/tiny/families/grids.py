"""Families whose images differ in size: patches come as a grid, or pictures with their sizes."""

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

_TWO_LAYERS = {**QWEN_TOWER, "depth": 2, "hidden_size": 16, "intermediate_size": 16, "out_hidden_size": 32}
_EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}
_GLM_TOWER = {
    **QWEN_TOWER,
    "depth": 1,
    "hidden_size": 16,
    "intermediate_size": 16,
    "out_hidden_size": 32,
    "image_size": 16,
}
_GLM_IDS = {
    "image_token_id": IMAGE,
    "image_start_token_id": START,
    "image_end_token_id": END,
    "video_token_id": VIDEO,
    "video_start_token_id": 94,
    "video_end_token_id": 95,
}


def mistral3(hf: Any) -> Built:
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
        ids = row_of([IMAGE] * (high * wide // 64), words=WORDS[i], seed=i)
        rows.append({"input_ids": ids, "pixel_values": picture, "image_sizes": torch.tensor([[high, wide]])})
    return hf.Mistral3ForConditionalGeneration(config), rows


def pixtral(hf: Any) -> Built:
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
        ids = row_of([IMAGE] * (high * wide // 16), words=WORDS[i], seed=i)
        rows.append({"input_ids": ids, "pixel_values": picture, "image_sizes": torch.tensor([[high, wide]])})
    return hf.LlavaForConditionalGeneration(config), rows


def qwen2_vl(hf: Any) -> Built:
    config = hf.Qwen2VLConfig(
        text_config={**TEXT, "rope_parameters": mrope()},
        vision_config={**QWEN_TOWER, "depth": 1, "embed_dim": 16, "hidden_size": 32, "mlp_ratio": 1},
        **QWEN_IDS,
    )
    return hf.Qwen2VLForConditionalGeneration(config), patch_rows(96)


def qwen2_5_vl(hf: Any) -> Built:
    tower = {**QWEN_TOWER, "depth": 1, "hidden_size": 16, "intermediate_size": 16, "out_hidden_size": 32}
    config = hf.Qwen2_5_VLConfig(
        text_config={**TEXT, "rope_parameters": mrope()},
        vision_config={**tower, "window_size": 16, "fullatt_block_indexes": [0]},
        **QWEN_IDS,
    )
    return hf.Qwen2_5_VLForConditionalGeneration(config), patch_rows(96)


def qwen3_vl(hf: Any) -> Built:
    """Deepstack: features of the tower are added to vision tokens between the first decoder layers."""
    tower = {**QWEN_TOWER, "depth": 2, "hidden_size": 16, "intermediate_size": 16, "out_hidden_size": 32}
    config = hf.Qwen3VLConfig(
        text_config={**TEXT, "head_dim": 8, "rope_parameters": mrope(mrope_interleaved=True)},
        vision_config={**tower, "num_position_embeddings": 16, "deepstack_visual_indexes": [0, 1]},
        **QWEN_IDS,
    )
    return hf.Qwen3VLForConditionalGeneration(config), patch_rows(96)


def lighton_ocr(hf: Any) -> Built:
    """A Pixtral tower under a Qwen3 decoder."""
    config = hf.LightOnOcrConfig(
        vision_config=hf.PixtralVisionConfig(**TOWER, head_dim=8),
        text_config=hf.Qwen3Config(**TEXT, head_dim=8),
        image_token_id=IMAGE,
        spatial_merge_size=2,
    )
    return hf.LightOnOcrForConditionalGeneration(config), mistral3(hf)[1]


def qwen3_vl_moe(hf: Any) -> Built:
    """Deepstack and experts."""
    config = hf.Qwen3VLMoeConfig(
        text_config={**TEXT, "head_dim": 8, "rope_parameters": mrope(mrope_interleaved=True), **_EXPERTS},
        vision_config={**_TWO_LAYERS, "num_position_embeddings": 16, "deepstack_visual_indexes": [0, 1]},
        **QWEN_IDS,
    )
    return hf.Qwen3VLMoeForConditionalGeneration(config), patch_rows(96)


def glm4v(hf: Any) -> Built:
    """Norms after the sublayers too, half of each head rotated."""
    config = hf.Glm4vConfig(text_config={**TEXT, "rope_parameters": mrope()}, vision_config=_GLM_TOWER, **_GLM_IDS)
    return hf.Glm4vForConditionalGeneration(config), patch_rows(96)


def glm46v(hf: Any) -> Built:
    """GLM-4.6V around GLM-4V's decoder."""
    parts = glm4v(hf)[0].config
    config = hf.Glm46VConfig(text_config=parts.text_config, vision_config=parts.vision_config, **_GLM_IDS)
    return hf.Glm46VForConditionalGeneration(config), patch_rows(96)


def glm4v_moe(hf: Any) -> Built:
    """GLM-4.5V: routed experts after a dense first layer."""
    text = {**TEXT, "head_dim": 8, "rope_parameters": mrope(partial_rotary_factor=1.0), "n_routed_experts": 4}
    config = hf.Glm4vMoeConfig(
        text_config={**text, "num_experts_per_tok": 2, "moe_intermediate_size": 16},
        vision_config=_GLM_TOWER,
        **_GLM_IDS,
    )
    return hf.Glm4vMoeForConditionalGeneration(config), patch_rows(96)


def kimi_k25(hf: Any) -> Built:
    """Kimi: latent attention with keys and values of other widths, DeepSeek's experts."""
    text: dict[str, Any] = {**TEXT, "num_key_value_heads": 4, "q_lora_rank": 16, "kv_lora_rank": 16, "v_head_dim": 8}
    text |= {"qk_rope_head_dim": 8, "qk_nope_head_dim": 8, "n_routed_experts": 4, "num_experts_per_tok": 2}
    text |= {"n_group": 1, "topk_group": 1, "moe_intermediate_size": 16, "n_shared_experts": 1}
    text |= {"first_k_dense_replace": 1, "rope_parameters": {"rope_type": "default", "rope_theta": 1e4}}
    tower = {"patch_size": 4, "pos_emb_height": 4, "pos_emb_width": 4, "num_attention_heads": 2}
    config = hf.Kimi_K25Config(
        text_config=hf.DeepseekV3Config(**text),
        vision_config={**tower, "num_hidden_layers": 1, "hidden_size": 16, "intermediate_size": 16},
        projection_hidden_size=16,
        **QWEN_IDS,
    )
    rows: Rows = []
    for i, words in enumerate(WORDS):
        ids = row_of([START, *[IMAGE] * 4, END], words=words, seed=i)
        grid = torch.tensor([[1, 4, 4]])
        rows.append({"input_ids": ids, "pixel_values": pixels(16, 3, 4, 4, seed=i), "image_grid_thw": grid})
    return hf.Kimi_K25ForConditionalGeneration(config), rows


def paddleocr_vl(hf: Any) -> Built:
    """ERNIE's small decoder under a tower of native resolution."""
    config = hf.PaddleOCRVLConfig(
        text_config={**TEXT, "head_dim": 8, "rope_parameters": mrope()},
        vision_config={**TOWER, "spatial_merge_size": 2},
        **QWEN_IDS,
    )
    rows = [{**row, "pixel_values": row["pixel_values"].view(-1, 3, 4, 4)} for row in patch_rows(48)]
    return hf.PaddleOCRVLForConditionalGeneration(config), rows


def ernie4_5_vl_moe(hf: Any) -> Built:
    """Experts for words and others for vision tokens, told apart by the token types."""
    text = {**TEXT, "rope_parameters": mrope(), "moe_intermediate_size": [16, 16], "moe_k": 2, "moe_num_experts": 4}
    tower = {"depth": 1, "hidden_size": 16, "num_heads": 2, "patch_size": 4, "spatial_merge_size": 2}
    config = hf.Ernie4_5_VLMoeConfig(
        text_config={**text, "moe_num_shared_experts": 1, "mlp_layer_types": ["dense", "sparse", "sparse", "sparse"]},
        vision_config={**tower, "intermediate_size": 16, "temporal_merge_size": 2},
        **_GLM_IDS,
    )
    return hf.Ernie4_5_VLMoeForConditionalGeneration(config), patch_rows(48)


def video_llama_3(hf: Any) -> Built:
    """Patches of native resolution under a plain Qwen2 decoder."""
    config = hf.VideoLlama3Config(
        text_config=hf.Qwen2Config(**TEXT),
        vision_config={name: value for name, value in TOWER.items() if name != "image_size"},
        image_token_id=IMAGE,
        video_token_id=VIDEO,
    )
    rows: Rows = []
    for i, (high, wide) in enumerate([(4, 4), (4, 8), (2, 4)]):
        ids = row_of([IMAGE] * (high * wide // 4), words=WORDS[i], seed=i)
        rows.append({"input_ids": ids, "pixel_values": pixels(high * wide, 48, seed=i)})
        rows[-1] |= {"image_grid_thw": torch.tensor([[1, high, wide]]), "image_merge_sizes": torch.tensor([2])}
    return hf.VideoLlama3ForConditionalGeneration(config), rows


def molmo2(hf: Any) -> Built:
    """Molmo: patches pooled by attention, as a table says which; image tokens see each other both ways."""
    text = {**TEXT, "vocab_size": 85, "additional_vocab_size": 14, "head_dim": 8}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 8, "hidden_size": 16}
    tower = {**heads, "intermediate_size": 16, "num_hidden_layers": 2, "image_size": [16, 16], "patch_size": 4}
    adapter = {**heads, "intermediate_size": 16, "text_hidden_size": 32, "vision_feature_layer": [-1, -2]}
    config = hf.Molmo2Config(
        text_config={**text, "rope_parameters": {"rope_type": "default", "rope_theta": 1e4}},
        vision_config={**tower, "num_position_embeddings": 16},
        adapter_config=adapter,
        image_patch_id=IMAGE,
        image_start_token_id=START,
        image_end_token_id=END,
        low_res_image_start_token_id=94,
        frame_start_token_id=95,
        frame_end_token_id=96,
    )
    pooled = torch.arange(16).view(2, 2, 2, 2).permute(0, 2, 1, 3).reshape(4, 4)
    rows: Rows = []
    for i, words in enumerate(WORDS):
        ids = row_of([START, *[IMAGE] * 4, END], words=words, seed=i)
        rows.append({"input_ids": ids, "pixel_values": pixels(1, 16, 48, seed=i), "image_token_pooling": pooled})
        rows[-1] |= {"image_grids": torch.tensor([[2, 2, 0, 0]]), "image_num_crops": torch.tensor([1])}
        rows[-1]["mm_token_type_ids"] = (ids == IMAGE).long()
    # Patches are counted through the batch.
    joins = {"image_token_pooling": lambda parts: torch.cat([part + 16 * i for i, part in enumerate(parts)])}
    return hf.Molmo2ForConditionalGeneration(config), rows, joins


FAMILIES = {
    "mistral3": mistral3,
    "pixtral": pixtral,
    "qwen2_vl": qwen2_vl,
    "qwen2_5_vl": qwen2_5_vl,
    "qwen3_vl": qwen3_vl,
    "lighton_ocr": lighton_ocr,
    "qwen3_vl_moe": qwen3_vl_moe,
    "glm4v": glm4v,
    "glm46v": glm46v,
    "glm4v_moe": glm4v_moe,
    "kimi_k25": kimi_k25,
    "paddleocr_vl": paddleocr_vl,
    "ernie4_5_vl_moe": ernie4_5_vl_moe,
    "video_llama_3": video_llama_3,
    "molmo2": molmo2,
}
