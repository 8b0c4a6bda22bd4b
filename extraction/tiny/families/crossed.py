"""Families whose images enter by cross-attention: their streams hold no vision tokens."""

from __future__ import annotations

from typing import Any

import torch

from extraction.tiny.parts import IMAGE, TEXT, WORDS, Built, Rows, pixels, row_of

__all__ = ["FAMILIES"]


def mllama(hf: Any) -> Built:
    tower: dict[str, Any] = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_global_layers": 1}
    tower |= {"attention_heads": 2, "image_size": 16, "patch_size": 8, "vision_output_dim": 32, "max_num_tiles": 1}
    tower |= {"intermediate_layers_indices": [0], "supported_aspect_ratios": [[1, 1]]}
    text = {**TEXT, "cross_attention_layers": [1], "rope_parameters": {"rope_type": "default", "rope_theta": 1e4}}
    rows: Rows = []
    for i, words in enumerate(WORDS):
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


def idefics(hf: Any) -> Built:
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
    for i, words in enumerate(WORDS):
        ids = row_of([IMAGE], words=words, seed=i)
        rows.append(
            {
                "input_ids": ids,
                "pixel_values": pixels(1, 1, 3, 16, 16, seed=i),
                "image_attention_mask": torch.ones(1, ids.shape[1], 1, dtype=torch.long),
            }
        )
    return hf.IdeficsForVisionText2Text(config), rows


FAMILIES = {
    "mllama": mllama,
    "idefics": idefics,
}
