"""Tiny families whose rows hold a video instead of an image, where the model class takes `pixel_values_videos`."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import torch

from extraction.tiny.families import tiny_family
from extraction.tiny.parts import END, IMAGE, START, TEXT, TOWER, VIDEO, TinyFamily, pixels, row_of
from extraction.tiny.weights import randomise
from redundancy.errors import InvalidInputError

__all__ = ["VIDEO_FAMILIES", "tiny_video_family"]

VIDEO_FAMILIES = ("llava_onevision", "qwen2_vl", "qwen2_5_vl", "qwen3_vl")
_WORDS = (6, 3, 5)
_GRIDS = ((1, 4, 4), (2, 4, 4), (2, 2, 4))  # pairs of frames, patches high and wide


def tiny_video_family(name: str, *, seed: int = 0) -> TinyFamily:
    """Tiny random model of a family with three rows that hold a video each; `image_id` is the video's placeholder.

    Parameters
    ----------
    name : str
        Out of `VIDEO_FAMILIES`.
    seed : int
        Decides every weight.

    Raises
    ------
    InvalidInputError
        For another family.

    Examples
    --------
    >>> family = tiny_video_family("qwen2_vl")
    >>> family.n_vision
    (4, 8, 4)
    """
    if name not in VIDEO_FAMILIES:
        raise InvalidInputError(f"need a family with video inputs among {', '.join(VIDEO_FAMILIES)}, got {name!r}")
    model = _llava_onevision(seed) if name == "llava_onevision" else tiny_family(name, seed=seed).model
    rows = [_frames_row(i) if name == "llava_onevision" else _patches_row(i, per_frame="3" in name) for i in range(3)]
    n_vision = tuple(int((row["input_ids"] == VIDEO).sum()) for row in rows)
    return TinyFamily(f"{name} video", model, tuple(rows), n_vision, VIDEO)


def _patches_row(i: int, *, per_frame: bool) -> dict[str, torch.Tensor]:
    """Qwen: patches of all frames in one table; Qwen3-VL marks every pair of frames, the others the whole."""
    pairs, high, wide = _GRIDS[i]
    each = high * wide // 4
    spans = [[START, *[VIDEO] * each, END]] * pairs if per_frame else [[START, *[VIDEO] * (each * pairs), END]]
    ids = row_of(*spans, words=_WORDS[i], seed=i)
    return {
        "input_ids": ids,
        "pixel_values_videos": pixels(pairs * high * wide, 96, seed=i),
        "video_grid_thw": torch.tensor([_GRIDS[i]]),
        "mm_token_type_ids": 2 * (ids == VIDEO).long(),
    }


def _frames_row(i: int) -> dict[str, torch.Tensor]:
    """LLaVA-OneVision: four pooled tokens per frame, and a newline at the end that carries the placeholder too."""
    ids = row_of([VIDEO] * (4 * 2 + 1), words=_WORDS[i], seed=i)
    return {"input_ids": ids, "pixel_values_videos": pixels(1, 2, 3, 16, 16, seed=i)}


def _llava_onevision(seed: int) -> Any:
    hf = import_module("transformers")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = hf.LlavaOnevisionConfig(
            vision_config=hf.SiglipVisionConfig(**TOWER, vision_use_head=False),
            text_config=hf.Qwen2Config(**TEXT),
            image_token_index=IMAGE,
            video_token_index=VIDEO,
            vision_feature_layer=-1,
            image_grid_pinpoints=[[16, 16]],
        )
        model = hf.LlavaOnevisionForConditionalGeneration(config)
    model.set_attn_implementation("sdpa")
    return randomise(model, seed).eval()
