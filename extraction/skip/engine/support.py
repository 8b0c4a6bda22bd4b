"""Which models the engine can skip in: find the layers and vision tokens, or say why not, before anything runs."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import nn
from transformers.generation import utils
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, eager_mask, flash_attention_mask, sdpa_mask

from extraction.models.adapters.registry import adapt
from extraction.skip.plan import Plan
from extraction.skip.terms.base import ATTENTION, LAYER
from redundancy.errors import InvalidInputError, UnsupportedModelError

__all__ = [
    "CACHE_NAMES",
    "Anatomy",
    "Parts",
    "argument_names",
    "bind",
    "cache_of",
    "check_call",
    "dissect",
    "has_features",
    "unwrapped",
]

_SOFTMAX = {"full_attention", "sliding_attention", "chunked_attention"}
# Layers whose state runs along the sequence, by the attribute that holds what mixes tokens. Leaving a token out of one
# means that it is not fed to it: the layer runs on the shorter sequence.
_RECURRENT = {"linear_attention": "linear_attn", "conv": "conv"}
CACHE_NAMES = ("cache", "past_key_values")  # the first since transformers 5.24, where the second stays as an alias
_PACKED = ("cu_seq_lens_q", "cu_seq_lens_k")  # several sequences in one row: positions are not columns
_MLP_NAMES = ("mlp", "feed_forward", "block_sparse_moe", "ffn")
# Arguments that bring features of images or videos to a forward; after the prompt `generate` drops them.
_FEATURES = frozenset(getattr(utils, "MULTIMODAL_INPUTS_TO_DROP_OUTSIDE_PREFILL", ()))
_FEATURE_WORDS = ("pixel_values", "image_embeds", "image_features", "image_hidden_states", "image_patches", "images")


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """Sublayers of one decoder layer.

    Attributes
    ----------
    attention : Module
        What mixes tokens.
    mlp : Module or None
        None where the layer has none that can be left out alone.
    is_recurrent : bool
        Whether the layer has no keys but a state that runs along the sequence.
    lender : int or None
        Earlier layer whose keys and values this one reads instead of own ones.
    """

    attention: nn.Module
    mlp: nn.Module | None
    is_recurrent: bool = False
    lender: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Anatomy:
    """The model-specific facts that the engine needs.

    Attributes
    ----------
    layers : tuple of Module
        The decoder layers in order.
    parts : tuple of Parts
        Their sublayers.
    vision_ids : tuple of int
        Ids in `input_ids` that stand for vision features.
    is_flash : bool
        Whether attention masks are 2-D.
    has_tower : bool
        Whether features of images can be given to the model; without a tower ids alone tell vision tokens.
    scale_floor : int or None
        Position from which on the attention of some layers scales queries by their place in the cache.
    """

    layers: tuple[nn.Module, ...]
    parts: tuple[Parts, ...]
    vision_ids: tuple[int, ...]
    is_flash: bool
    has_tower: bool = True
    scale_floor: int | None = None


def dissect(model: nn.Module, plan: Plan, *, layers_path: str | None, vision_ids: tuple[int, ...] | None) -> Anatomy:
    """Find what `plan` needs in `model`.

    Raises
    ------
    UnsupportedModelError
        If the engine cannot run the plan correctly on this model; the message says why.
    InvalidInputError
        If the plan names layers that the model has not.
    """
    for module in model.modules():
        # By name: importing the compiler to ask takes seconds.
        if type(module).__name__ == "OptimizedModule" or module._compiled_call_impl is not None:
            raise UnsupportedModelError(
                f"skipping needs a model that is not compiled, {type(module).__name__} is: use the original module"
            )
    config = getattr(model, "config", None)
    if config is None or not hasattr(model, "get_decoder"):
        raise UnsupportedModelError(
            f"skipping needs a transformers model with a decoder, got a {type(model).__name__}; pass the whole model"
        )
    text = config.get_text_config(decoder=True)
    if getattr(config, "is_encoder_decoder", False):
        raise UnsupportedModelError(f"skipping needs a decoder-only model, {config.model_type} has a text encoder")
    for name in ("cross_attention_layers", "cross_layer_interval"):
        if getattr(text, name, None) is not None or getattr(config, name, None) is not None:
            raise UnsupportedModelError(
                f"skipping needs vision tokens in the decoder's stream, {config.model_type} reads the image by "
                "cross-attention"
            )
    adapter = adapt(model, layers_path=layers_path, vision_ids=vision_ids)
    layers = adapter.layers
    _check_positions(model, layers, text.model_type)
    kinds = list(getattr(text, "layer_types", None) or ["full_attention"])
    kinds = kinds if len(kinds) == len(layers) else ["full_attention"] * len(layers)
    known = dict.fromkeys(_SOFTMAX, "self_attn") | _RECURRENT
    odd = sorted({k for layer, k in zip(layers, kinds, strict=True) if k not in known or not hasattr(layer, known[k])})
    if odd:
        raise UnsupportedModelError(
            "skipping needs softmax attention in every layer (a `self_attn` module), or linear attention "
            f"(`linear_attn`) or a short convolution (`conv`), {config.model_type} has {', '.join(odd)} of another kind"
        )
    plan.check(len(layers))
    presences = [plan.presence(i, len(layers)) for i in range(len(layers))]
    needs_vision = any(plan.hides(i) or any(c.is_of_vision for c in p) for i, p in enumerate(presences))
    if needs_vision and not adapter.vision_ids:
        raise UnsupportedModelError(
            f"the plan {plan} removes vision tokens, but the configuration of {config.model_type} names none; "
            "pass vision_ids"
        )
    lenders = _lenders(text, kinds)
    anatomy = Anatomy(
        layers=layers,
        parts=tuple(_parts(layer, kind, lender) for layer, kind, lender in zip(layers, kinds, lenders, strict=True)),
        vision_ids=adapter.vision_ids,
        is_flash=_is_flash(text._attn_implementation),
        has_tower=getattr(config, "vision_config", config) is not None,
        scale_floor=int(text.floor_scale) if getattr(text, "attn_temperature_tuning", None) else None,
    )
    for term in plan.terms:
        term.check_model(anatomy)
    _check_recurrent(plan, anatomy)
    _check_lenders(plan, anatomy, config.model_type)
    return anatomy


def _check_positions(model: nn.Module, layers: Iterable[nn.Module], kind: str) -> None:
    """Refuse decoders whose attention is biased by distances in the full sequence, not by what a layer is given."""
    for layer in layers:
        biased = {"alibi", "position_bias"} & set(argument_names(layer))
        if biased:
            raise UnsupportedModelError(
                f"skipping needs positions that come with the tokens, layers of {kind} take `{min(biased)}`, made for "
                f"the full sequence; use a {type(model).__name__} around another decoder"
            )


def _parts(layer: Any, kind: str, lender: int | None) -> Parts:
    mlp = next((m for name in _MLP_NAMES if isinstance(m := getattr(layer, name, None), nn.Module)), None)
    return Parts(getattr(layer, _RECURRENT.get(kind, "self_attn")), mlp, kind in _RECURRENT, lender)


def _lenders(text: Any, kinds: list[str]) -> list[int | None]:
    """The last layers of some decoders read the keys of the last layer of their own kind before them."""
    first = len(kinds) - (getattr(text, "num_kv_shared_layers", None) or 0)
    return [None] * first + [max(j for j in range(first) if kinds[j] == kind) for kind in kinds[first:]]


def _check_recurrent(plan: Plan, anatomy: Anatomy) -> None:
    """Refuse what asks for keys or attention where a layer has none."""
    for i, parts in enumerate(anatomy.parts):
        if not parts.is_recurrent:
            continue
        asked = next((term for term in plan.terms if term.hides(i) or term.looks(i) == "attention"), None)
        asked = asked or next(
            (t for t in plan.terms if ATTENTION in t.left_out(i) and LAYER not in t.left_out(i)), None
        )
        if asked is not None:
            raise UnsupportedModelError(
                f"{asked} needs softmax attention in layer {i}, which has a {type(parts.attention).__name__}; name "
                "another layer"
            )


def _check_lenders(plan: Plan, anatomy: Anatomy, kind: str) -> None:
    """Refuse what takes keys away that a later layer reads, or brings tokens in after their keys were due."""
    n = len(anatomy.layers)
    for i, parts in enumerate(anatomy.parts):
        j = parts.lender
        if j is None:
            continue
        if anatomy.is_flash:
            raise UnsupportedModelError(
                f"skipping needs masks with queries and keys where layers share keys, as in {kind}: call "
                'model.set_attn_implementation("sdpa")'
            )
        if plan.hides(i) or plan.hides(j) or plan.left_out(j) & {LAYER, ATTENTION}:
            raise UnsupportedModelError(
                f"the plan {plan} takes keys of layer {j} away, which layer {i} of {kind} reads; name other layers"
            )
        if not set(plan.presence(j, n)) <= set(plan.presence(i, n)):
            raise UnsupportedModelError(
                f"the plan {plan} leaves tokens out of layer {j} that are present in layer {i}, which reads the keys "
                f"of layer {j} in {kind}; let tokens enter no later than layer {j}"
            )


def unwrapped(model: Any) -> Any:
    """The model inside wrappers that hand their calls on to it: adapters' and data-parallel ones."""
    while True:
        if hasattr(model, "get_base_model"):
            inner = model.get_base_model()
        elif isinstance(model, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
            inner = model.module
        else:
            return model
        if inner is model:
            return model
        model = inner


def has_features(arguments: dict[str, Any]) -> bool:
    """Whether a forward brings features for its vision tokens; ids of vision tokens without any are text."""
    return any(
        value is not None and (name in _FEATURES or name.startswith(_FEATURE_WORDS))
        for name, value in arguments.items()
        if not isinstance(value, dict) or value
    )


def check_call(arguments: dict[str, Any]) -> torch.Tensor:
    """Return the `input_ids` of a forward that the engine can follow.

    Raises
    ------
    InvalidInputError
        If there are none.
    UnsupportedModelError
        If several sequences are packed into one row.
    """
    ids: torch.Tensor | None = arguments.get("input_ids")
    if ids is None:
        raise InvalidInputError(
            "skipping needs input_ids to tell vision from text tokens, got inputs_embeds alone; pass input_ids"
        )
    if any(arguments.get(name) is not None for name in _PACKED):
        raise UnsupportedModelError("skipping needs one sequence per row, got packed sequences; pad them instead")
    return ids


def cache_of(arguments: Any) -> Any:
    """Key-value cache among the arguments or outputs of a forward; None if there is none."""
    return next((found for name in CACHE_NAMES if (found := arguments.get(name)) is not None), None)


def bind(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Arguments of a module's forward by name."""
    return {**dict(zip(argument_names(module), args, strict=False)), **kwargs} if args else dict(kwargs)


def argument_names(module: nn.Module) -> tuple[str, ...]:
    """Names of the parameters that the class's forward takes by position (an instance's may be a bare wrapper)."""
    kind: Any = type(module)
    return _argument_names(kind)


@cache
def _argument_names(kind: Any) -> tuple[str, ...]:
    """Kept by class: to work a signature out takes as long as a small layer."""
    parameters = list(inspect.signature(kind.forward).parameters.values())[1:]
    return tuple(p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD)


def _is_flash(implementation: str) -> bool:
    mask = ALL_MASK_ATTENTION_FUNCTIONS.get(implementation)
    if mask is flash_attention_mask:
        return True
    if mask in (sdpa_mask, eager_mask):
        return False
    raise UnsupportedModelError(
        f"skipping needs sdpa, eager or flash attention, got {implementation!r}; call model.set_attn_implementation"
    )
