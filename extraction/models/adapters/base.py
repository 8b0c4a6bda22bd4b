"""The adapter record, and the recipe that guesses it for any Hugging Face vision-language model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from redundancy.errors import UnsupportedModelError

__all__ = ["Adapter", "first_tensor", "generic_adapter", "layer_input", "text_config"]

_VISION_ID_NAMES = ("image_token_id", "image_token_index", "video_token_id", "video_token_index", "vision_token_id")
_LAYER_COUNT_NAMES = ("num_hidden_layers", "num_layers", "decoder_layers", "n_layer")
_HEAD_COUNT_NAMES = ("num_attention_heads", "num_heads", "decoder_attention_heads", "n_head")
_ATTENTION_NAMES = ("self_attn", "self_attention", "attention", "attn")
_NORM_NAMES = ("norm", "final_layernorm", "ln_f", "final_layer_norm", "layer_norm", "embedding_norm")
# A list of equally many blocks in one of these is not the decoder.
_NOT_DECODER = ("vision", "visual", "encoder", "qformer", "image", "audio", "perceiver")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Adapter:
    """What a harvest must know of a model; everything else is the model's own business.

    Attributes
    ----------
    family : str
        Who made the record: a family of the registry, or "generic".
    model_type : str
        ``config.model_type``.
    layers_path : str
        Path of the decoder layers below the model.
    layers : tuple of Module
        The decoder layers in order.
    attentions : tuple of Module or None
        The self-attention of each layer; None where a layer has no softmax attention to look at.
    final_norm : Module or None
        The norm after the last layer.
    vision_ids : tuple of int
        Token ids of vision placeholders; empty if the stream has no vision tokens.
    n_heads : int
        Query heads per layer.
    note : str
        What a reader of the statistics should know of this family.
    changes_between : bool
        Whether the model itself changes states between one layer's output and the next one's input.
    """

    family: str
    model_type: str
    layers_path: str
    layers: tuple[nn.Module, ...]
    attentions: tuple[nn.Module | None, ...]
    final_norm: nn.Module | None
    vision_ids: tuple[int, ...]
    n_heads: int
    note: str = ""
    changes_between: bool = False

    @property
    def n_layers(self) -> int:
        """Number of decoder layers L."""
        return len(self.layers)


def text_config(model: nn.Module) -> Any:
    """Configuration of the language decoder."""
    config: Any = model.config
    try:
        return config.get_text_config(decoder=True)
    except (AttributeError, ValueError, TypeError):
        return getattr(config, "text_config", config)


def generic_adapter(
    model: nn.Module,
    *,
    layers_path: str | None = None,
    vision_ids: tuple[int, ...] | None = None,
    family: str = "generic",
    note: str = "",
) -> Adapter:
    """Record of `model` by the general recipe.

    Layers: `layers_path`, else ``get_decoder().layers``, else ``get_decoder()`` twice, else the outermost list
    of as many blocks as the text configuration says. Vision ids: `vision_ids`, else the placeholder ids of the
    configuration.

    Parameters
    ----------
    model : PreTrainedModel
        The model.
    layers_path : str, optional
        Path of the decoder layers below it.
    vision_ids : tuple of int, optional
        Token ids of vision placeholders.
    family : str, default="generic"
        Recorded.
    note : str, default=""
        Recorded.

    Returns
    -------
    Adapter

    Raises
    ------
    UnsupportedModelError
        If no layer list of the right length is found; the sentence says what to pass.
    """
    model_type = str(getattr(model.config, "model_type", "unknown"))
    if getattr(text_config(model), "altup_num_inputs", None):
        raise UnsupportedModelError(
            f"need one state per token and layer, {model_type} carries several predictions of it side by side (AltUp)"
        )
    n_layers = _first_number(text_config(model), _LAYER_COUNT_NAMES)
    path, layers = _find_layers(model, layers_path, n_layers)
    if vision_ids is None:
        found = [getattr(model.config, name, None) for name in _VISION_ID_NAMES]
        vision_ids = tuple(sorted({i for i in found if isinstance(i, int) and i >= 0}))
    return Adapter(
        family=family,
        model_type=model_type,
        layers_path=path,
        layers=tuple(layers),
        attentions=tuple(_find_attention(layer) for layer in layers),
        final_norm=_find_norm(model, path),
        vision_ids=tuple(vision_ids),
        n_heads=_first_number(text_config(model), _HEAD_COUNT_NAMES) or 1,
        note=note,
    )


def layer_input(args: tuple[Any, ...], kwargs: dict[str, Any]) -> torch.Tensor:
    """Hidden states that a decoder layer was called with."""
    if args and torch.is_tensor(args[0]):
        return args[0]
    for name in ("hidden_states", "hidden_state", "x"):
        state = kwargs.get(name)
        if isinstance(state, torch.Tensor):
            return state
    raise UnsupportedModelError(f"need hidden states among inputs of a layer, got {sorted(kwargs)}; write an adapter")


def first_tensor(output: Any) -> torch.Tensor:
    """Hidden states that a decoder layer returned."""
    if torch.is_tensor(output):
        return output
    if isinstance(output, (tuple, list)) and output and torch.is_tensor(output[0]):
        return output[0]
    for name in ("hidden_states", "last_hidden_state"):
        state = getattr(output, name, None)
        if isinstance(state, torch.Tensor):
            return state
    raise UnsupportedModelError(f"need hidden states from a layer, got {type(output).__name__}; write an adapter")


def _first_number(config: Any, names: tuple[str, ...]) -> int | None:
    for name in names:
        try:
            value = getattr(config, name, None)
        except Exception as error:  # of a kind that only some releases have, where a number varies from layer to layer
            raise UnsupportedModelError(f"need one {name} for all layers, the configuration has several") from error
        if isinstance(value, int) and value > 0:
            return value
    return None


def _path_of(model: nn.Module, wanted: nn.Module) -> str:
    return next((name for name, module in model.named_modules() if module is wanted), "")


def _find_layers(model: nn.Module, path: str | None, n_layers: int | None) -> tuple[str, nn.ModuleList]:
    if path is not None:
        try:
            layers = model.get_submodule(path)
        except AttributeError as error:
            raise UnsupportedModelError(f"need the path of a layer list, {path!r} is none: {error}") from error
        if not isinstance(layers, nn.ModuleList):
            raise UnsupportedModelError(f"need the path of a ModuleList, {path!r} is a {type(layers).__name__}")
        return path, layers
    decoder: Any = model
    for _ in range(2):
        if not hasattr(decoder, "get_decoder"):
            break
        decoder = decoder.get_decoder()
        own = getattr(decoder, "layers", None)
        if isinstance(own, nn.ModuleList) and n_layers in (None, len(own)):
            return _path_of(model, own), own
    candidates = [
        (name.count("."), -sum(p.numel() for p in module.parameters()), name, module)
        for name, module in model.named_modules()
        if isinstance(module, nn.ModuleList)
        and len(module) == n_layers
        and not any(word in name.lower() for word in _NOT_DECODER)
        and len(list(module[0].children())) > 1
    ]
    if not candidates:
        raise UnsupportedModelError(
            f"need the decoder layers of a {getattr(model.config, 'model_type', type(model).__name__)} model, found no "
            f"list of {n_layers} blocks; pass layers_path"
        )
    _, _, name, found = min(candidates, key=lambda item: item[:3])
    return name, found


def _find_attention(layer: nn.Module) -> nn.Module | None:
    for name in _ATTENTION_NAMES:
        module = getattr(layer, name, None)
        if isinstance(module, nn.Module):
            # GPT-like blocks wrap the attention proper once more.
            inner = getattr(module, "attention", None)
            return inner if isinstance(inner, nn.Module) else module
    return None


def _find_norm(model: nn.Module, layers_path: str) -> nn.Module | None:
    parent = model.get_submodule(layers_path.rpartition(".")[0])
    for name in _NORM_NAMES:
        module = getattr(parent, name, None)
        if isinstance(module, nn.Module):
            return module
    return None
