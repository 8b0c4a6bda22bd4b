"""Harvest an image encoder such as CLIP's or SigLIP's vision tower: images only, patches as the one token group."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Unpack

import torch
from torch import nn

from extraction.data.items import Sample
from extraction.harvesting.harvester import Harvester
from extraction.harvesting.options import DEFAULTS, HarvestChanges, HarvestOptions
from extraction.harvesting.stream import ready_harvester
from extraction.models.adapters import Adapter, generic_adapter
from redundancy.errors import InvalidInputError, UnsupportedModelError
from redundancy.statistics.harvest_statistics import HarvestStatistics

__all__ = ["encoder_adapter", "harvest_encoder"]

_OF_TEXT = ("prompt", "pairing", "answer", "special_ids", "vision_ids")
_PATHS = ("encoder.layers", "vision_model.encoder.layers")


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
        ``CLIPVisionModel``, ``SiglipVisionModel`` or one built like them, in eval mode.
    data : iterable
        Mappings with "pixel_values" (rows, 3, height, width) and optionally "sample_ids", or images (paths, PIL
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
        Patches are the group "vision"; a class token, which is no patch, is alone in "sink". The others are empty.

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
    batches = _batches(model, data, processor, options.batch_size)
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
    if not isinstance(getattr(model.config, "patch_size", None), int):
        raise UnsupportedModelError(
            f"need an image encoder with a patch_size, the {kind} model's configuration has none; pass its vision tower"
        )
    if layers_path is None:
        found = [path for path in _PATHS if _has_layers(model, path)]
        if not found:
            raise UnsupportedModelError(
                f"need the layers of a {kind} encoder, found none at {' or '.join(_PATHS)}; pass layers_path"
            )
        layers_path = found[0]
    return generic_adapter(
        model, layers_path=layers_path, vision_ids=(), family="encoder", note="a class token is alone in the group sink"
    )


class _EncoderHarvester(Harvester):
    """Harvester whose batches have pixels where those of a decoder have token ids."""

    def model_inputs(self, batch: Mapping[str, Any], *, full_logits: bool = True) -> dict[str, Any]:
        """Pixels only: the ids of `_with_tokens` speak to the harvest."""
        inputs = super().model_inputs(batch, full_logits=full_logits)
        del inputs["input_ids"]
        return inputs


def _has_layers(model: nn.Module, path: str) -> bool:
    try:
        return isinstance(model.get_submodule(path), nn.ModuleList)
    except AttributeError:
        return False


def _batches(model: nn.Module, data: Iterable[Any], processor: Any, batch_size: int) -> Iterator[dict[str, Any]]:
    """Pixels with sample ids, from pixels or from images."""
    items = iter(data)
    position = 0
    for item in items:
        if isinstance(item, Mapping) and "pixel_values" in item:
            pixels = item["pixel_values"]
            ids = list(item.get("sample_ids", [f"{position + i:08d}" for i in range(len(pixels))]))
        else:
            if processor is None:
                raise InvalidInputError("need a processor to make pixels of images, got none; pass processor=")
            raw = [item, *itertools.islice(items, batch_size - 1)]
            samples = [
                one if isinstance(one, Sample) else Sample(f"{position + i:08d}", one, "") for i, one in enumerate(raw)
            ]
            pixels = processor(images=[s.load_image() for s in samples], return_tensors="pt")["pixel_values"]
            ids = [s.sample_id for s in samples]
        position += len(pixels)
        yield _with_tokens(model, pixels, ids)


def _with_tokens(model: nn.Module, pixels: torch.Tensor, ids: list[str]) -> dict[str, Any]:
    """A batch with an id and a group for every token of the encoder's stream."""
    if pixels.dim() != 4:
        raise InvalidInputError(
            f"need pixel_values of shape (images, channels, height, width), got {tuple(pixels.shape)}"
        )
    config: Any = model.config
    n_patches = (pixels.shape[2] // config.patch_size) * (pixels.shape[3] // config.patch_size)
    has_class = any(name.endswith("class_embedding") for name, _ in model.named_parameters())
    tokens = torch.zeros(len(pixels), n_patches + has_class, dtype=torch.long)
    vision = torch.ones_like(tokens, dtype=torch.bool)
    if has_class:
        vision[:, 0] = False
    return {"input_ids": tokens, "vision_mask": vision, "pixel_values": pixels, "sample_ids": ids}
