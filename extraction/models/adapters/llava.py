"""LLaVA and its relatives: a vision tower, a projector, a stock language decoder, one placeholder per feature."""

from __future__ import annotations

from typing import Any

from torch import nn

from extraction.models.adapters.base import Adapter, generic_adapter

__all__ = ["adapter"]

_NEWLINE_NOTE = "newline embeddings between rows of patches carry the image placeholder and count as vision tokens"


def adapter(model: nn.Module) -> Adapter:
    """Record of a LLaVA-style model: layers of its ``language_model``, vision tokens by ``image_token_id``."""
    whole: Any = model
    config, decoder = whole.config, whole.get_decoder()
    layers = getattr(decoder, "layers", None)  # OPT and older decoders keep them elsewhere: the recipe finds them
    path = next((name for name, module in model.named_modules() if layers is not None and module is layers), None)
    ids = [config.image_token_id, getattr(config, "video_token_id", None)]
    note = _NEWLINE_NOTE if config.model_type in ("llava_next", "llava_onevision") else ""
    return generic_adapter(
        model,
        layers_path=path,
        vision_ids=tuple(i for i in ids if isinstance(i, int)),
        family="llava",
        note=note,
    )
