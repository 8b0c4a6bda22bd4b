"""Families whose images all have one size, and so one number of tokens."""

from __future__ import annotations

from typing import Any

import torch

from extraction.tiny.parts import END, IMAGE, START, TEXT, TOWER, VIDEO, WORDS, Built, Rows, fixed_rows, pixels, row_of

__all__ = ["FAMILIES"]

_COHERE = {**TEXT, "head_dim": 8, "sliding_window": 6, "layer_types": ["sliding_attention", "full_attention"] * 2}


def llava(hf: Any) -> Built:
    config = hf.LlavaConfig(
        vision_config=hf.CLIPVisionConfig(**TOWER, projection_dim=16),
        text_config=hf.LlamaConfig(**TEXT),
        image_token_index=IMAGE,
        vision_feature_layer=-1,
        image_seq_length=16,
    )
    return hf.LlavaForConditionalGeneration(config), fixed_rows(16)


def llava_next(hf: Any) -> Built:
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
    for i, (words, (high, wide)) in enumerate(zip(WORDS, [(16, 32), (32, 16), (16, 32)], strict=True)):
        n_vision = 16 + (high // 4) * (wide // 4 + 1)  # the whole, the tiles, a newline per row of patches
        rows.append(
            {
                "input_ids": row_of([IMAGE] * n_vision, words=words, seed=i),
                "pixel_values": pixels(1, 3, 3, 16, 16, seed=i),
                "image_sizes": torch.tensor([[high, wide]]),
            }
        )
    return hf.LlavaNextForConditionalGeneration(config), rows


def deepseek_vl(hf: Any) -> Built:
    config = hf.DeepseekVLConfig(
        vision_config=hf.SiglipVisionConfig(**TOWER), text_config=hf.LlamaConfig(**TEXT), image_token_id=IMAGE
    )
    return hf.DeepseekVLForConditionalGeneration(config), fixed_rows(16)


def internvl(hf: Any) -> Built:
    config = hf.InternVLConfig(
        vision_config={**TOWER, "image_size": [16, 16], "patch_size": [4, 4]},
        text_config=hf.Qwen2Config(**TEXT),
        image_token_id=IMAGE,
        image_seq_length=4,
    )
    return hf.InternVLForConditionalGeneration(config), fixed_rows(4, wrap=True)


def gemma3(hf: Any) -> Built:
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
        ids = row_of(*[[START, *[IMAGE] * 4, END]] * n_images, words=WORDS[i] - 3 * (n_images == 2) + 3, seed=i)
        row = {"input_ids": ids, "pixel_values": pixels(n_images, 3, 16, 16, seed=i)}
        rows.append({**row, "token_type_ids": (ids == IMAGE).long()})
    return hf.Gemma3ForConditionalGeneration(config), rows


def paligemma(hf: Any) -> Built:
    """The whole prompt sees itself both ways, as the processor's token types say."""
    config = hf.PaliGemmaConfig(
        vision_config=hf.SiglipVisionConfig(**TOWER, projection_dim=32, vision_use_head=False),
        text_config=hf.GemmaConfig(**TEXT, head_dim=8),
        image_token_index=IMAGE,
        projection_dim=32,
        hidden_size=32,
    )
    return hf.PaliGemmaForConditionalGeneration(config), fixed_rows(16, types=True)


def blip2(hf: Any) -> Built:
    """A query transformer and an OPT decoder with learned positions."""
    text = {k: v for k, v in TEXT.items() if k not in ("intermediate_size", "num_key_value_heads")}
    config = hf.Blip2Config(
        vision_config=TOWER,
        qformer_config={**TOWER, "encoder_hidden_size": 16, "vocab_size": 9},
        text_config=hf.OPTConfig(**text, ffn_dim=48, word_embed_proj_dim=32, max_position_embeddings=64),
        num_query_tokens=4,
        image_token_index=IMAGE,
    )
    return hf.Blip2ForConditionalGeneration(config), fixed_rows(4)


def idefics3(hf: Any) -> Built:
    config = hf.Idefics3Config(
        vision_config=TOWER, text_config=hf.LlamaConfig(**TEXT), image_token_id=IMAGE, scale_factor=2, pad_token_id=0
    )
    return hf.Idefics3ForConditionalGeneration(config), fixed_rows(4, wrap=True, axes=1)


def smolvlm(hf: Any) -> Built:
    config = hf.SmolVLMConfig(
        vision_config=TOWER, text_config=hf.LlamaConfig(**TEXT), image_token_id=IMAGE, scale_factor=2, pad_token_id=0
    )
    return hf.SmolVLMForConditionalGeneration(config), fixed_rows(4, wrap=True, axes=1)


def llava_onevision(hf: Any) -> Built:
    """As LLaVA-NeXT, one tile and a whole; the newline embeddings carry the placeholder too."""
    config = hf.LlavaOnevisionConfig(
        vision_config=hf.SiglipVisionConfig(**TOWER, vision_use_head=False),
        text_config=hf.Qwen2Config(**TEXT),
        image_token_index=IMAGE,
        video_token_index=VIDEO,
        vision_feature_layer=-1,
        image_grid_pinpoints=[[16, 16]],
    )
    rows: Rows = []
    for i, words in enumerate(WORDS):
        ids = row_of([IMAGE] * (16 + 4 * (4 + 1)), words=words, seed=i)
        rows.append({"input_ids": ids, "pixel_values": pixels(1, 2, 3, 16, 16, seed=i)})
        rows[-1]["image_sizes"] = torch.tensor([[16, 16]])
    return hf.LlavaOnevisionForConditionalGeneration(config), rows


def vipllava(hf: Any) -> Built:
    """Features of two layers of the tower side by side."""
    config = hf.VipLlavaConfig(
        vision_config=hf.CLIPVisionConfig(**{**TOWER, "num_hidden_layers": 2}, projection_dim=16),
        text_config=hf.LlamaConfig(**TEXT),
        image_token_index=IMAGE,
        vision_feature_layers=[-1, -2],
    )
    return hf.VipLlavaForConditionalGeneration(config), fixed_rows(16)


def aya_vision(hf: Any) -> Built:
    """Attention and MLP side by side in each layer, without rotation in every full layer."""
    config = hf.AyaVisionConfig(
        vision_config=hf.SiglipVisionConfig(**TOWER), text_config=hf.Cohere2Config(**_COHERE), image_token_index=IMAGE
    )
    return hf.AyaVisionForConditionalGeneration(config), fixed_rows(4)


def cohere2_vision(hf: Any) -> Built:
    """Command A Vision: Aya's decoder under another projector."""
    config = hf.Cohere2VisionConfig(
        vision_config=hf.SiglipVisionConfig(**TOWER),
        text_config=hf.Cohere2Config(**_COHERE),
        image_token_id=IMAGE,
        downsample_factor=2,
        alignment_intermediate_size=32,
    )
    return hf.Cohere2VisionForConditionalGeneration(config), fixed_rows(4)


def idefics2(hf: Any) -> Built:
    """A perceiver makes four tokens of an image."""
    perceiver = {"hidden_size": 32, "resampler_n_latents": 4, "resampler_depth": 1, "resampler_n_heads": 2}
    config = hf.Idefics2Config(
        vision_config=TOWER,
        perceiver_config={**perceiver, "resampler_head_dim": 8, "num_key_value_heads": 1},
        text_config=hf.MistralConfig(**TEXT),
        image_token_id=IMAGE,
    )
    return hf.Idefics2ForConditionalGeneration(config), fixed_rows(4, wrap=True, axes=1)


def aria(hf: Any) -> Built:
    """Mixture of experts with shared ones."""
    config = hf.AriaConfig(
        vision_config=hf.Idefics3VisionConfig(**TOWER),
        text_config=hf.AriaTextConfig(**TEXT, moe_num_experts=2, moe_topk=1, moe_num_shared_experts=1),
        image_token_index=IMAGE,
        projector_patch_to_query_dict={16: 4},
    )
    return hf.AriaForConditionalGeneration(config), fixed_rows(4)


def ovis2(hf: Any) -> Built:
    """Visual words: the tower gives a law over a vocabulary of its own, embedded before the decoder."""
    tower = {**TOWER} | {"vocab_size": 24, "hidden_stride": 2, "num_visual_indicator_tokens": 5}
    config = hf.Ovis2Config(
        vision_config=tower,
        text_config=hf.Qwen2Config(**TEXT),
        image_token_id=IMAGE,
        visual_indicator_token_ids=[85, 86, 87, 88, 89],
        vocab_size=TEXT["vocab_size"],
        hidden_size=TEXT["hidden_size"],
    )
    return hf.Ovis2ForConditionalGeneration(config), fixed_rows(4, wrap=True)


def llama4(hf: Any) -> Built:
    """Attention in chunks, full attention without rotation in the last layer, one layer of experts."""
    text = {**TEXT, "head_dim": 8, "intermediate_size_mlp": 48, "num_local_experts": 2, "moe_layers": [1]}
    text |= {"attention_chunk_size": 8, "no_rope_layers": [1, 1, 1, 0]}
    tower: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    tower |= {
        "intermediate_size": 64,
        "vision_output_dim": 32,
        "image_size": 16,
        "patch_size": 4,
        "pixel_shuffle_ratio": 0.5,
    }
    config = hf.Llama4Config(
        text_config={**text, "rope_parameters": {"rope_type": "default", "rope_theta": 1e4}},
        vision_config={**tower, "projector_input_dim": 32, "projector_output_dim": 32},
        boi_token_index=START,
        eoi_token_index=END,
        image_token_index=IMAGE,
    )
    return hf.Llama4ForConditionalGeneration(config), fixed_rows(4, wrap=True)


def got_ocr2(hf: Any) -> Built:
    """SAM's tower, four times smaller on each side than its patches."""
    tower = {"hidden_size": 16, "output_channels": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    tower |= {"image_size": 64, "patch_size": 4, "mlp_dim": 16, "window_size": 4}
    config = hf.GotOcr2Config(
        vision_config={**tower, "global_attn_indexes": [0]},
        text_config=hf.Qwen2Config(**TEXT),
        image_token_index=IMAGE,
        image_seq_length=16,
    )
    rows: Rows = []
    for i, words in enumerate(WORDS):
        ids = row_of([START, *[IMAGE] * 16, END], words=words, seed=i)
        rows.append({"input_ids": ids, "pixel_values": pixels(1, 3, 64, 64, seed=i)})
    return hf.GotOcr2ForConditionalGeneration(config), rows


def janus(hf: Any) -> Built:
    """Reads images by one tower and writes them by another, which is not used here."""
    codes = {"embed_dim": 4, "num_embeddings": 8, "latent_channels": 4, "base_channels": 32, "num_res_blocks": 1}
    config = hf.JanusConfig(
        text_config=hf.LlamaConfig(**TEXT),
        vision_config={**TOWER, "projection_dim": 32, "depth": 1},
        vq_config={**codes, "channel_multiplier": [1], "projection_dim": 32, "image_token_embed_dim": 32},
        image_token_id=IMAGE,
    )
    return hf.JanusForConditionalGeneration(config), fixed_rows(16)


def instructblip(hf: Any) -> Built:
    """BLIP-2 whose query transformer reads the instruction too."""
    model, rows, *_ = blip2(hf)
    config = hf.InstructBlipConfig(
        vision_config=TOWER,
        qformer_config=model.config.qformer_config.to_dict(),
        text_config=model.config.text_config,
        num_query_tokens=4,
        image_token_index=IMAGE,
    )
    rows = [{**row, "qformer_input_ids": torch.tensor([[1, 2]])} for row in rows]
    return hf.InstructBlipForConditionalGeneration(config), rows


FAMILIES = {
    "llava": llava,
    "llava_next": llava_next,
    "deepseek_vl": deepseek_vl,
    "internvl": internvl,
    "gemma3": gemma3,
    "paligemma": paligemma,
    "blip2": blip2,
    "idefics3": idefics3,
    "smolvlm": smolvlm,
    "llava_onevision": llava_onevision,
    "vipllava": vipllava,
    "aya_vision": aya_vision,
    "cohere2_vision": cohere2_vision,
    "idefics2": idefics2,
    "aria": aria,
    "ovis2": ovis2,
    "llama4": llama4,
    "got_ocr2": got_ocr2,
    "janus": janus,
    "instructblip": instructblip,
}
