"""A smaller image instead of fewer tokens of a large one: the baseline that many pruning methods lose to."""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from extraction.data.items import Sample
from extraction.data.prompts import make_batch
from extraction.skip.engine.calls import Handler
from extraction.skip.plan import Plan
from redundancy.errors import UnsupportedModelError

__all__ = ["interpolating_towers", "plan_batch"]


def plan_batch(
    processor: Any,
    samples: Sequence[Sample],
    plan: Plan,
    *,
    vision_ids: Collection[int] = (),
    prompt: str | None = None,
) -> dict[str, Any]:
    """`make_batch` for a plan: with its smaller images if it has some.

    A processor of fixed size is copied with a smaller one (the tower then interpolates its position embeddings,
    see `interpolating_towers`); one that follows the image's size is given resized images.

    Parameters
    ----------
    processor : ProcessorMixin
        Of the model.
    samples : sequence of Sample
        One row each.
    plan : Plan
        What is left out.
    vision_ids : collection of int, default=()
        Placeholder ids of the model.
    prompt : str, optional
        Template with ``{image}`` and ``{question}``, as for `render_prompt`.

    Returns
    -------
    dict
        Model inputs with ``sample_ids``.

    Raises
    ------
    UnsupportedModelError
        If the processor makes the same number of vision tokens of a smaller image.
    """
    share = plan.image_share
    if not plan.has_own_prompt:
        return make_batch(processor, samples, vision_ids=vision_ids, prompt=prompt)
    smaller = _smaller_processor(processor, share)
    if smaller is not None:
        return make_batch(smaller, samples, vision_ids=vision_ids, prompt=prompt)
    resized = [replace(s, image=_resize(s.load_image(), share)) for s in samples]
    batch = make_batch(processor, resized, vision_ids=vision_ids, prompt=prompt)
    before = _n_vision(make_batch(processor, samples[:1], vision_ids=vision_ids, prompt=prompt), vision_ids)
    after = _n_vision({k: v[:1] for k, v in batch.items() if k == "input_ids"}, vision_ids)
    if after >= before:
        raise UnsupportedModelError(
            f"downsample_image({share}) needs a processor that makes fewer vision tokens of a smaller image, "
            f"{type(processor).__name__} makes {after} of {before}; use random_keep"
        )
    return batch


def interpolating_towers(model: nn.Module) -> dict[nn.Module, Handler]:
    """Forwards for the vision towers that can interpolate their position embeddings to the image."""
    found: dict[str, nn.Module] = {}
    for name, module in model.named_modules():
        parameters = inspect.signature(type(module).forward).parameters
        is_inner = any(name.startswith(f"{outer}.") for outer in found)
        if not is_inner and {"interpolate_pos_encoding", "pixel_values"} <= set(parameters):
            found[name] = module
    return dict.fromkeys(found.values(), _interpolating)


def _interpolating(inner: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return inner(*args, **{**kwargs, "interpolate_pos_encoding": True})


def _smaller_processor(processor: Any, share: float) -> Any:
    """A copy whose images have about `share` of the patches; None if its image size is not fixed."""
    images = processor.image_processor
    patch = getattr(processor, "patch_size", None) or getattr(images, "patch_size", None)
    fixed = (getattr(images, "crop_size", None) if getattr(images, "do_center_crop", False) else None) or images.size
    side = fixed.get("height") if fixed.get("height") == fixed.get("width") else None
    if side is None or not isinstance(patch, int):
        return None
    smaller = copy.deepcopy(processor)
    new_side = patch * max(1, int(math.sqrt(share) * (side // patch) + 0.5))
    for name in ("size", "crop_size"):
        size = getattr(smaller.image_processor, name, None)
        if size is not None:
            setattr(smaller.image_processor, name, type(size)(**{k: new_side for k, v in dict(size).items() if v}))
    return smaller


def _resize(image: Any, share: float) -> Any:
    scale = math.sqrt(share)
    return image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))))


def _n_vision(batch: dict[str, Any], vision_ids: Collection[int]) -> int:
    ids = batch["input_ids"][0]
    return int(torch.isin(ids, torch.tensor(sorted(vision_ids), dtype=ids.dtype)).sum())
