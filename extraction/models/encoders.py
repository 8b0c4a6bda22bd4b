"""Harvest an image encoder such as CLIP's or SigLIP's vision tower: images only, patches as the one token group."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import nn

from extraction.data.items import Sample
from extraction.harvesting.harvester import Harvester, Shift
from extraction.models.adapters import Adapter, generic_adapter
from extraction.models.device import dtype_name
from extraction.models.selfcheck import check_first_batch, pilot_shift
from redundancy.errors import InvalidInputError, UnsupportedModelError
from redundancy.statistics.harvest_statistics import HarvestStatistics, StatisticsSpec, default_edges

__all__ = ["encoder_adapter", "harvest_encoder"]

_PATHS = ("encoder.layers", "vision_model.encoder.layers")


def harvest_encoder(
    model: nn.Module,
    data: Iterable[Any],
    *,
    processor: Any = None,
    batch_size: int = 8,
    name: str | None = None,
    revision: str = "",
    thresholds: tuple[float, ...] = (0.05,),
    matrix: bool = True,
    shift: str | Shift | None = "pilot",
    layers_path: str | None = None,
    self_check: bool = True,
) -> HarvestStatistics:
    """Statistics of every layer of an image encoder over a data set of images.

    Parameters
    ----------
    model : PreTrainedModel
        ``CLIPVisionModel``, ``SiglipVisionModel`` or one built like them, in eval mode.
    data : iterable
        Mappings with "pixel_values" (rows, 3, height, width) and optionally "sample_ids", or images (paths, PIL
        images, uint8 arrays, `Sample`), which need `processor`.
    processor : image processor, optional
        Makes pixels of images.
    batch_size : int, default=8
        Images per batch; batches that come ready keep their size.
    name, revision, thresholds, matrix, shift, self_check
        As in `extraction.harvest`.
    layers_path : str, optional
        Path of the layers where the recipe misses them.

    Returns
    -------
    HarvestStatistics
        Patches are the group "vision"; a class token, which is no patch, is alone in "sink". The others are empty.

    Raises
    ------
    InvalidInputError
        For empty data, images without a processor, unreadable images, a model in training mode.
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
    adapter = encoder_adapter(model, layers_path=layers_path)
    batches = _batches(model, data, processor, batch_size)
    try:
        first = next(batches)
    except StopIteration:
        raise InvalidInputError("need at least one image to harvest, got none; check the data") from None
    if isinstance(shift, str) and shift != "pilot":
        raise InvalidInputError(f'need shift as "pilot", an array of means or None, got {shift!r}')
    spec = StatisticsSpec(
        model=name or str(getattr(model.config, "name_or_path", "") or type(model).__name__),
        model_type=adapter.model_type,
        n_layers=adapter.n_layers,
        n_heads=adapter.n_heads,
        edges=default_edges(thresholds),
        thresholds=thresholds,
        dtype=dtype_name(model),
        revision=revision,
        has_matrix=matrix,
        has_attention=False,
    )
    harvester = _EncoderHarvester(model, adapter, spec, shift=None if isinstance(shift, str) else shift)
    if self_check:
        check_first_batch(harvester, first)
    if isinstance(shift, str):
        harvester = _EncoderHarvester(model, adapter, spec, shift=pilot_shift(harvester, first))
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
    if batch_size < 1:
        raise InvalidInputError(f"need batch_size >= 1, got {batch_size}")
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
