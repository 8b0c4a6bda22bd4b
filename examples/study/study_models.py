"""The small models of the study: shapes, tile scheme, processors, and how image features become vision tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaNextConfig,
    LlavaNextForConditionalGeneration,
    LlavaNextImageProcessorPil,
    LlavaNextProcessor,
    LlavaProcessor,
)

from extraction import default_model
from extraction.default_model.questions import VOCABULARY
from extraction.default_model.scenes import IMAGE_SIZE, Scene, render

__all__ = ["SPECS", "StudyModel", "features_of", "make_model", "make_processor", "picture", "vision_tokens"]

CROP, PATCH = 48, 8  # pixels
SIDE = CROP // PATCH  # patches per side of a crop: 36 vision tokens
TOWER_WIDTH = 64
PIXEL_MEAN, PIXEL_STD = 0.5, 0.25
LOOKUP = ("color", "shape")
MIXED = ("color", "shape", "exist", "count", "choice")
CHAT_TEMPLATE = (
    "{% for message in messages %}{% if message['role'] == 'user' %}USER: "
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}<image> "
    "{% else %}{{ part['text'] }} {% endif %}{% endfor %}"
    "{% else %}ASSISTANT: {% for part in message['content'] %}{{ part['text'] }} {% endfor %}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)


@dataclass(frozen=True, kw_only=True)
class StudyModel:
    """One model of the study.

    Parameters
    ----------
    name : str
        Its folder and its label on the page.
    n_layers, width, heads : int
        Shape of the Llama decoder.
    families : tuple of str
        Question families that it learns and is measured on.
    seed : int
        Of weights and data.
    tiles : bool
        Whether an image is a thumbnail and four tiles (192 vision tokens) or one crop (36).
    steps, easy_steps : int
        Steps of training on images; the first ask for colours and shapes only.
    text_steps : int
        Steps on scenes in words before the decoder sees an image; 0 for none.
    """

    name: str
    n_layers: int
    width: int
    families: tuple[str, ...]
    seed: int
    heads: int = 4
    tiles: bool = False
    steps: int = 500
    easy_steps: int = 120
    text_steps: int = 0

    @property
    def n_vision(self) -> int:
        """Vision tokens of an image."""
        return SIDE * SIDE + 2 * SIDE * (2 * SIDE + 1) if self.tiles else SIDE * SIDE


SPECS = (
    StudyModel(name="lookup-4", n_layers=4, width=96, families=LOOKUP, seed=1),
    StudyModel(name="lookup-8", n_layers=8, width=96, families=LOOKUP, seed=2, steps=450),
    StudyModel(name="mixed-6", n_layers=6, width=64, families=MIXED, seed=3),
    StudyModel(name="tiles-4", n_layers=4, width=64, families=LOOKUP, seed=4, tiles=True, steps=400),
    StudyModel(name="mixed-8", n_layers=8, width=128, families=MIXED, seed=5),
    StudyModel(name="lookup-6", n_layers=6, width=96, families=LOOKUP, seed=6, steps=400),
    StudyModel(name="tiles-5", n_layers=5, width=96, families=LOOKUP, seed=7, tiles=True, steps=360),
    StudyModel(name="text-first-6", n_layers=6, width=96, families=LOOKUP, seed=8, steps=250, text_steps=250),
)


def picture(scene: Scene, *, tiles: bool) -> Image.Image:
    """The scene at the resolution of the model: 96 x 96 for tiles, else the mean of 2 x 2 pixels."""
    pixels = render(scene)
    if not tiles:
        pixels = pixels.reshape(CROP, 2, CROP, 2, 3).mean(axis=(1, 3)).round().astype(np.uint8)
    return Image.fromarray(pixels)


def crops(scene: Scene) -> npt.NDArray[np.uint8]:
    """Thumbnail and the four tiles of a scene, shape (5, 48, 48, 3)."""
    pixels = render(scene)
    small = pixels.reshape(CROP, 2, CROP, 2, 3).mean(axis=(1, 3)).round().astype(np.uint8)
    tiles = pixels.reshape(2, CROP, 2, CROP, 3).swapaxes(1, 2).reshape(4, CROP, CROP, 3)
    return np.concatenate([small[None], tiles])


def to_pixels(images: npt.NDArray[np.uint8]) -> torch.Tensor:
    """Normalised pixels (..., 3, 48, 48) of images (..., 48, 48, 3)."""
    return (torch.from_numpy(images).movedim(-1, -3).float() / 255 - PIXEL_MEAN) / PIXEL_STD


def tower_config() -> CLIPVisionConfig:
    return CLIPVisionConfig(
        hidden_size=TOWER_WIDTH,
        intermediate_size=3 * TOWER_WIDTH,
        num_hidden_layers=3,
        num_attention_heads=4,
        image_size=CROP,
        patch_size=PATCH,
        projection_dim=TOWER_WIDTH,
        initializer_range=0.04,
    )


def make_model(spec: StudyModel) -> Any:
    """The model with fresh weights from the spec's seed."""
    torch.manual_seed(spec.seed)
    text = LlamaConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=spec.width,
        intermediate_size=3 * spec.width,
        num_hidden_layers=spec.n_layers,
        num_attention_heads=spec.heads,
        num_key_value_heads=spec.heads,
        max_position_embeddings=512,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        tie_word_embeddings=True,
        initializer_range=0.05,
    )
    common: dict[str, Any] = {
        "vision_config": tower_config(),
        "text_config": text,
        "image_token_index": VOCABULARY.index("<image>"),
        "image_seq_length": SIDE * SIDE,
        "vision_feature_layer": -1,
        "vision_feature_select_strategy": "default",
        "tie_word_embeddings": True,
    }
    if spec.tiles:
        return LlavaNextForConditionalGeneration(
            LlavaNextConfig(image_grid_pinpoints=[[IMAGE_SIZE, IMAGE_SIZE]], **common)
        )
    return LlavaForConditionalGeneration(LlavaConfig(**common))


def make_processor(spec: StudyModel) -> Any:
    """The embedded model's tokenizer and a PIL image processor of our crops; with tiles, that of LLaVA-NeXT."""
    sizes: dict[str, Any] = {
        "size": {"shortest_edge": CROP},
        "crop_size": {"height": CROP, "width": CROP},
        "image_mean": [PIXEL_MEAN] * 3,
        "image_std": [PIXEL_STD] * 3,
    }
    common: dict[str, Any] = {
        "tokenizer": default_model.load_processor().tokenizer,
        "patch_size": PATCH,
        "vision_feature_select_strategy": "default",
        "num_additional_image_tokens": 1,
        "chat_template": CHAT_TEMPLATE,
    }
    if spec.tiles:
        # Box resampling makes the thumbnail the mean of 2 x 2 pixels, as in training.
        images = LlavaNextImageProcessorPil(
            image_grid_pinpoints=[[IMAGE_SIZE, IMAGE_SIZE]], resample=Image.Resampling.BOX, **sizes
        )
        return LlavaNextProcessor(image_processor=images, **common)
    return LlavaProcessor(image_processor=CLIPImageProcessorPil(**sizes), **common)


@torch.no_grad()
def features_of(tower: Any, images: npt.NDArray[np.uint8]) -> torch.Tensor:
    """Patch features of crops (B, C, 48, 48, 3), shape (B, C, 36, 64)."""
    pixels = to_pixels(images)
    return tower(pixels.flatten(0, 1)).last_hidden_state[:, 1:].unflatten(0, pixels.shape[:2])


def vision_tokens(model: Any, features: torch.Tensor) -> torch.Tensor:
    """Projected tokens in the order of the sequence, shape (B, n_vision, width); for tiles as LLaVA-NeXT packs them.

    The thumbnail comes first, then the tiles as one 12 x 12 grid, with a newline token after each row.
    """
    projected = model.model.multi_modal_projector(features)
    first: torch.Tensor = projected[:, 0]
    if features.shape[1] == 1:
        return first
    n, _, _, width = projected.shape
    grid = projected[:, 1:].view(n, 2, 2, SIDE, SIDE, width).transpose(2, 3).reshape(n, 2 * SIDE, 2 * SIDE, width)
    newline = model.model.image_newline.expand(n, 2 * SIDE, 1, width)
    return torch.cat([first, torch.cat([grid, newline], 2).flatten(1, 2)], 1)
