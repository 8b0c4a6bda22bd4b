from .base import Chosen, Cut, Term, WithoutVision
from .downsample_image import DownsampleImage, downsample_image
from .fastv import FastV, fastv
from .late_entry import LateEntry, late_entry
from .layer_sets import (
    HideVision,
    SkipAttention,
    SkipLayers,
    SkipMlp,
    hide_vision,
    logit_exit,
    skip_attention,
    skip_layers,
    skip_mlp,
)
from .random_keep import RandomKeep, random_keep
from .registry import parse_plan, term_kinds
from .text_exit import TextExit, text_exit
from .vision_exit import VisionExit, vision_exit

__all__ = [
    "Chosen",
    "Cut",
    "DownsampleImage",
    "FastV",
    "HideVision",
    "LateEntry",
    "RandomKeep",
    "SkipAttention",
    "SkipLayers",
    "SkipMlp",
    "Term",
    "TextExit",
    "VisionExit",
    "WithoutVision",
    "downsample_image",
    "fastv",
    "hide_vision",
    "late_entry",
    "logit_exit",
    "parse_plan",
    "random_keep",
    "skip_attention",
    "skip_layers",
    "skip_mlp",
    "term_kinds",
    "text_exit",
    "vision_exit",
]
