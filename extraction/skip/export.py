"""Plans that leave whole layers out, made permanent: a shorter model, saved as an ordinary checkpoint."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from torch import nn

from extraction.models.adapters.registry import adapt
from extraction.skip.plan import Plan
from extraction.skip.terms import SkipLayers
from extraction.skip.terms.base import LAYER
from redundancy.errors import InvalidInputError, UnsupportedModelError

__all__ = ["export_checkpoint", "remove_layers"]

# Settings of a decoder that name layers by number or count, besides the ones that are rewritten below.
_BY_NUMBER = ("no_rope_layers", "full_attention_interval", "sliding_window_pattern", "max_window_layers")


def remove_layers(model: nn.Module, plan: Plan) -> nn.Module:
    """Take the skipped layers out of `model` for good, in place.

    Parameters
    ----------
    model : PreTrainedModel
        A vision-language model that `apply` supports.
    plan : Plan
        One that only skips whole layers (`skip_layers`, `logit_exit`).

    Returns
    -------
    PreTrainedModel
        The same model, shorter: its outputs are those of ``apply(model, plan)``.

    Raises
    ------
    InvalidInputError
        If the plan does anything else: tokens that leave and single sublayers are the engine's work, no checkpoint's.
    UnsupportedModelError
        If the configuration ties other things to the numbers of layers.
    """
    adapter = adapt(model)
    plan.check(adapter.n_layers)
    removed = [i for i in range(adapter.n_layers) if LAYER in plan.left_out(i)]
    if plan != Plan((SkipLayers(frozenset(removed)),)) or not removed:
        raise InvalidInputError(
            f"need a plan of skip_layers alone for a checkpoint, got {plan}; run {plan.without(SkipLayers)} with "
            "extraction.skip.apply"
        )
    if len(removed) == adapter.n_layers:
        raise InvalidInputError(f"need at least one layer left, got {plan} for {adapter.n_layers} layers")
    config: Any = model.config
    text = config.get_text_config(decoder=True)
    _refuse_ties(config, text, adapter.n_layers, removed[0])
    kept = [i for i in range(adapter.n_layers) if i not in removed]
    path, _, name = adapter.layers_path.rpartition(".")
    parent = model.get_submodule(path)
    layers = nn.ModuleList(adapter.layers[i] for i in kept)
    for new, layer in enumerate(layers):
        module: Any
        for module in layer.modules():
            if isinstance(getattr(module, "layer_idx", None), int):
                module.layer_idx = new
    setattr(parent, name, layers)
    types = getattr(text, "layer_types", None)
    text.num_hidden_layers = len(kept)
    if types is not None:
        text.layer_types = [types[i] for i in kept]
    return model


def export_checkpoint(model: nn.Module, plan: Plan, folder: str | os.PathLike[str], *, processor: Any = None) -> Path:
    """Remove the plan's layers from `model` and save it where there is nothing yet, as safetensors.

    The folder loads with ``from_pretrained`` like any other: it needs neither this package nor remote code.

    Parameters
    ----------
    model, plan
        As in `remove_layers`; the model in memory becomes the shorter one.
    folder : path
        Must not exist.
    processor : ProcessorMixin, optional
        Saved beside the model.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    InvalidInputError
        If the plan is more than skipped layers, or the folder exists.
    """
    target = Path(folder)
    if target.exists():
        raise InvalidInputError(f"need a folder that does not exist yet, {target} does; choose another or remove it")
    remove_layers(model, plan)
    saver: Any = model
    saver.save_pretrained(target, safe_serialization=True)
    if processor is not None:
        processor.save_pretrained(target)
    return target


def _refuse_ties(config: Any, text: Any, n_layers: int, first_removed: int) -> None:
    """Refuse configurations in which removing a layer changes what the others do."""
    vision = getattr(config, "vision_config", None)
    deep = getattr(vision, "deepstack_visual_indexes", None)
    if deep and first_removed < len(deep):
        raise UnsupportedModelError(
            f"{config.model_type} adds image features after its first {len(deep)} layers, layer {first_removed} among "
            "them; skip later layers, or use extraction.skip.apply"
        )
    tied = [name for name in _BY_NUMBER if _matters(getattr(text, name, None))]
    if tied and getattr(text, "layer_types", None) is None:
        raise UnsupportedModelError(
            f"the configuration of {config.model_type} ties {tied[0]} to layer numbers, a shorter model would change "
            "it; use extraction.skip.apply"
        )
    shared = getattr(text, "num_kv_shared_layers", None)
    if shared:
        raise UnsupportedModelError(
            f"the last {shared} layers of {config.model_type} share keys with earlier ones; use extraction.skip.apply"
        )
    per_layer = [
        name
        for name, value in vars(text).items()
        if isinstance(value, (list, tuple)) and len(value) == n_layers and name != "layer_types"
    ]
    if per_layer:
        raise UnsupportedModelError(
            f"the configuration of {config.model_type} has a setting per layer, {per_layer[0]}, that a shorter model "
            "would misread; use extraction.skip.apply"
        )


def _matters(value: Any) -> bool:
    return any(value) if isinstance(value, Iterable) and not isinstance(value, str) else bool(value)
