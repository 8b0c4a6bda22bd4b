"""Choose the adapter of a model: what the caller says, else its family's file, else the general recipe."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points

from torch import nn

from extraction.models.adapters.base import Adapter, generic_adapter
from redundancy.errors import UnsupportedModelError

__all__ = ["FAMILIES", "GROUP", "adapt"]

GROUP = "skip_it.families"  # entry points named by model type: a function from a model to its `Adapter`

# Import strings by model type, so that a family costs nothing until it is met.
FAMILIES: dict[str, str] = {
    "llava": "extraction.models.adapters.llava",
    "vipllava": "extraction.models.adapters.llava",
    "llava_next": "extraction.models.adapters.llava",
    "llava_onevision": "extraction.models.adapters.llava",
    "qwen3_vl": "extraction.models.adapters.deepstack",
    "qwen3_vl_moe": "extraction.models.adapters.deepstack",
    "mllama": "extraction.models.adapters.cross_attention",
    "idefics": "extraction.models.adapters.cross_attention",
}


def adapt(model: nn.Module, *, layers_path: str | None = None, vision_ids: tuple[int, ...] | None = None) -> Adapter:
    """Return the adapter record of `model`.

    Parameters
    ----------
    model : PreTrainedModel
        Any Hugging Face vision-language model.
    layers_path : str, optional
        Path of its decoder layers, if the recipe misses them; also sets the family aside.
    vision_ids : tuple of int, optional
        Token ids of its vision placeholders, likewise.

    Returns
    -------
    Adapter

    Raises
    ------
    UnsupportedModelError
        If its layers are not found.
    """
    make = _maker(str(getattr(model.config, "model_type", "")))
    if make is None or layers_path is not None or vision_ids is not None:
        return generic_adapter(model, layers_path=layers_path, vision_ids=vision_ids)
    return make(model)


@cache
def _maker(model_type: str) -> Callable[[nn.Module], Adapter] | None:
    """What makes the record of a family: ours, else that of an entry point named by the model type."""
    if model_type in FAMILIES:
        ours: Callable[[nn.Module], Adapter] = import_module(FAMILIES[model_type]).adapter
        return ours
    points = list(entry_points(group=GROUP, name=model_type))
    if len(points) > 1:
        raise UnsupportedModelError(
            f"need one adapter for {model_type}, {' and '.join(p.value for p in points)} both bring one; uninstall one"
        )
    return points[0].load() if points else None
