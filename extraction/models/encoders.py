"""Harvest an image encoder such as CLIP, SigLIP, ViT or DINO: images only, patches as the one token group."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, Unpack

import torch
from torch import nn

from extraction.data.items import Sample
from extraction.harvesting.harvester import Harvester
from extraction.harvesting.options import DEFAULTS, HarvestChanges, HarvestOptions
from extraction.harvesting.stream import ready_harvester
from extraction.harvesting.taps import own_calls
from extraction.models.adapters import Adapter, generic_adapter
from extraction.models.adapters.base import layer_input
from extraction.models.device import input_device, model_dtype, to_device
from redundancy.errors import InvalidInputError, UnsupportedModelError
from redundancy.statistics.harvest_statistics import HarvestStatistics

__all__ = ["encoder_adapter", "harvest_encoder"]

_OF_TEXT = ("prompt", "pairing", "answer", "special_ids", "vision_ids")
_NORM_NAMES = ("norm", "layernorm", "post_layernorm")
_NOTE = "tokens that no pixel moves are no patches: the first of all is alone in the group sink, others are special"


def harvest_encoder(
    model: nn.Module,
    data: Iterable[Any],
    options: HarvestOptions | None = None,
    *,
    processor: Any = None,
    **changes: Unpack[HarvestChanges],
) -> HarvestStatistics:
    """Statistics of every layer of an image encoder over a data set of images.

    Parameters
    ----------
    model : PreTrainedModel
        ``CLIPVisionModel``, ``SiglipVisionModel``, ``ViTModel``, ``Dinov2Model`` or one built like them, in eval
        mode: it takes pixels, and its layers are a list of blocks that share the stream.
    data : iterable
        Mappings with "pixel_values" (rows, 3, height, width), whatever else the model takes (SigLIP 2 has patches,
        "pixel_attention_mask" and "spatial_shapes"), and optionally "sample_ids"; or images (paths, PIL
        images, uint8 arrays, `Sample`), which need `processor`.
    options : HarvestOptions, optional
        What to harvest and how. An encoder has no prompt, answer, special tokens or text: what concerns them must
        stay as it is by default, and attention masses are not harvested.
    processor : image processor, optional
        Makes pixels of images.
    **changes
        Fields of `HarvestOptions`, which go before those of `options`: batch_size, name, revision, thresholds,
        matrix, shift, layers_path, self_check.

    Returns
    -------
    HarvestStatistics
        Patches are the group "vision". A class token, which is no patch, is alone in "sink"; distillation and
        register tokens are "special". "words" is empty.

    Raises
    ------
    InvalidInputError
        For empty data, images without a processor, unreadable images, a model in training mode, options that
        concern text.
    UnsupportedModelError
        If the layers are not found or the self-check fails.

    Examples
    --------
    >>> import torch
    >>> from transformers import SiglipVisionConfig, SiglipVisionModel
    >>> shape = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    >>> model = SiglipVisionModel(SiglipVisionConfig(**shape, image_size=16, patch_size=4)).eval()
    >>> statistics = harvest_encoder(model, [{"pixel_values": torch.randn(3, 3, 16, 16)}])
    >>> statistics.n_samples, statistics.token_counts("vision").tolist(), statistics.mean_distance("vision").shape
    (3, [16, 16, 16], (2,))

    With images and the processor of a checkpoint::

        harvest_encoder(CLIPVisionModel.from_pretrained(folder), sorted(Path("images").glob("*.jpg")),
                        processor=AutoImageProcessor.from_pretrained(folder))
    """
    options = (options or HarvestOptions()).change(**changes)
    odd = [name for name in _OF_TEXT if getattr(options, name) != DEFAULTS[name]]
    if odd:
        raise InvalidInputError(f"need options of an image encoder, got {odd[0]}, which concerns text; leave it out")
    options = options.change(attention=False)
    adapter = encoder_adapter(model, layers_path=options.layers_path)
    batches = _batches(_Tokens(model, adapter.layers[0]), data, processor, options.batch_size)
    try:
        first = next(batches)
    except StopIteration:
        raise InvalidInputError("need at least one image to harvest, got none; check the data") from None
    bare = _EncoderHarvester(model, adapter, options.spec(model, adapter), shift=options.given_shift)
    harvester = ready_harvester(bare, first, options)
    parts = [harvester.step(batch)[0] for batch in itertools.chain([first], batches)]
    return HarvestStatistics.merge_all(parts)


def encoder_adapter(model: nn.Module, *, layers_path: str | None = None) -> Adapter:
    """Record of an image encoder.

    Parameters
    ----------
    model : PreTrainedModel
        The encoder itself, not the model around it.
    layers_path : str, optional
        Path of its layers.

    Returns
    -------
    Adapter

    Raises
    ------
    UnsupportedModelError
        If the layers are not found, or the model is a whole one rather than its vision tower.
    """
    kind = getattr(model.config, "model_type", type(model).__name__)
    inputs = inspect.signature(type(model).forward).parameters
    if "pixel_values" not in inputs or "input_ids" in inputs:
        raise UnsupportedModelError(
            f"need an image encoder, which takes pixel_values and no input_ids, got the {kind} model; "
            "pass its vision tower"
        )
    if layers_path is None:
        n_layers = getattr(model.config, "num_hidden_layers", None)
        found = [
            name
            for name, module in model.named_modules()
            if isinstance(module, nn.ModuleList) and len(module) == n_layers and len(list(module[0].children())) > 1
        ]
        if not found:
            raise UnsupportedModelError(
                f"need the layers of a {kind} encoder, found no list of {n_layers} blocks; pass layers_path"
            )
        layers_path = min(found, key=lambda name: (name.count("."), name))
    record = generic_adapter(model, layers_path=layers_path, vision_ids=(), family="encoder", note=_NOTE)
    if record.final_norm is None:  # one floor above the layers in some classes
        norms = (getattr(model, name, None) for name in _NORM_NAMES)
        record = replace(record, final_norm=next((norm for norm in norms if isinstance(norm, nn.Module)), None))
    return record


class _EncoderHarvester(Harvester):
    """Harvester whose batches have pixels where those of a decoder have token ids."""

    def model_inputs(self, batch: Mapping[str, Any], *, full_logits: bool = True) -> dict[str, Any]:
        """Pixels only: the ids and the padding of `_Tokens` are for the harvest."""
        inputs = super().model_inputs(batch, full_logits=full_logits)
        return {name: value for name, value in inputs.items() if name not in ("input_ids", "attention_mask")}


class _FirstLayer(Exception):
    """The states that enter the first layer are known; nothing more of the forward pass is needed."""


class _Tokens:
    """Which tokens of an encoder's stream are patches: those whose state before the first layer hangs on the pixels.

    Class, distillation and register tokens go by many names and stand in several places, but no pixel moves them.
    """

    def __init__(self, model: nn.Module, first_layer: nn.Module) -> None:
        self._model, self._first_layer = model, first_layer
        self._known: dict[tuple[Any, ...], torch.Tensor] = {}

    def batch(self, inputs: Mapping[str, Any], ids: list[str]) -> dict[str, Any]:
        """The inputs with an id and a group for every token of the stream."""
        pixels = inputs["pixel_values"]
        if pixels.dim() != 4 and "pixel_attention_mask" not in inputs:
            raise InvalidInputError(
                f"need pixel_values of shape (images, channels, height, width), got {tuple(pixels.shape)}"
            )
        key = tuple(pixels.shape[1:])
        if key not in self._known:
            self._known[key] = self._patches(inputs)
        patches = self._known[key].expand(len(pixels), -1)
        batch = {"input_ids": torch.zeros_like(patches, dtype=torch.long), "sample_ids": ids, **inputs}
        padding = inputs.get("pixel_attention_mask")
        if padding is not None and padding.shape == patches.shape:
            batch["attention_mask"], patches = padding.long().cpu(), torch.ones_like(patches)
        return batch | {"vision_mask": patches, "special_mask": ~patches}

    def _patches(self, inputs: Mapping[str, Any]) -> torch.Tensor:
        """True at patches, shape (1, tokens)."""
        pixels = inputs["pixel_values"]
        other = pixels + torch.arange(pixels.numel(), device=pixels.device).sin().view_as(pixels)
        first, second = (self._before_layers({**inputs, "pixel_values": one}) for one in (pixels, other))
        moved: torch.Tensor = (first != second).any(dim=-1).any(dim=0, keepdim=True).cpu()
        return moved

    def _before_layers(self, inputs: Mapping[str, Any]) -> torch.Tensor:
        seen: list[torch.Tensor] = []

        def stop(module: nn.Module, args: Any, *rest: Any) -> None:
            if own():
                seen.append(layer_input(args, rest[0]).clone())
                raise _FirstLayer

        with own_calls() as own, torch.inference_mode(), suppress(_FirstLayer):
            handle = self._first_layer.register_forward_pre_hook(stop, with_kwargs=True)
            try:
                self._model(**to_device(inputs, input_device(self._model), model_dtype(self._model)))
            finally:
                handle.remove()
        return seen[0]


def _batches(tokens: _Tokens, data: Iterable[Any], processor: Any, batch_size: int) -> Iterator[dict[str, Any]]:
    """Pixels with sample ids, from pixels or from images."""
    items = iter(data)
    position = 0
    for item in items:
        if isinstance(item, Mapping) and "pixel_values" in item:
            inputs = {name: value for name, value in item.items() if name != "sample_ids"}
            n = len(inputs["pixel_values"])
            ids = list(item.get("sample_ids", [f"{position + i:08d}" for i in range(n)]))
        else:
            if processor is None:
                raise InvalidInputError("need a processor to make pixels of images, got none; pass processor=")
            raw = [item, *itertools.islice(items, batch_size - 1)]
            samples = [
                one if isinstance(one, Sample) else Sample(f"{position + i:08d}", one, "") for i, one in enumerate(raw)
            ]
            inputs = dict(processor(images=[s.load_image() for s in samples], return_tensors="pt"))
            ids = [s.sample_id for s in samples]
        position += len(inputs["pixel_values"])
        yield tokens.batch(inputs, ids)
