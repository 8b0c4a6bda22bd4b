"""Devices and data types: where a model lives, how a batch gets there, what the statistics are told."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from redundancy.errors import UnsupportedModelError

_ENDS = 16  # numbers of each end of a tensor
__all__ = ["check_float64", "dtype_name", "fingerprint", "input_device", "model_dtype", "to_device"]


def input_device(model: nn.Module) -> torch.device:
    """Device that the inputs of `model` belong on: that of its input embeddings.

    Embeddings that wait on disk or in main memory (a device map with offloading) run where their hook moves them.

    Parameters
    ----------
    model : Module
        The model.

    Returns
    -------
    torch.device
    """
    embeddings: Any = getattr(model, "get_input_embeddings", lambda: None)() or model
    weights = next(iter(embeddings.parameters()), None)
    if weights is None:
        return torch.device("cpu")
    if weights.is_meta:
        place = getattr(getattr(embeddings, "_hf_hook", None), "execution_device", None)
        return torch.device("cpu" if place is None else place)
    device: torch.device = weights.device
    return device


def check_float64(device: torch.device) -> None:
    """Refuse a device without float64, in which the statistics are accumulated.

    Parameters
    ----------
    device : torch.device
        Where sums are to be kept.

    Raises
    ------
    UnsupportedModelError
        On mps.
    """
    if device.type == "mps":
        raise UnsupportedModelError(
            "need a device with float64 to accumulate on, mps has none; move the model to the CPU"
        )


def model_dtype(model: nn.Module) -> torch.dtype:
    """Floating type of the model's weights."""
    return next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)


def dtype_name(model: nn.Module) -> str:
    """Name of `model_dtype`, such as "bfloat16"."""
    return str(model_dtype(model)).removeprefix("torch.")


def fingerprint(model: nn.Module) -> str:
    """A short name of the weights: SHA-256 over the name, shape and both ends of every parameter.

    Two models of one architecture are told apart without reading all of them; a change in the middle of a tensor
    alone is not seen.

    Parameters
    ----------
    model : Module
        Weights on the meta device count by name, shape and type alone.

    Returns
    -------
    str
        "weights:" and 16 hexadecimal digits.
    """
    total = hashlib.sha256()
    for name, weights in model.named_parameters():
        total.update(f"{name}{tuple(weights.shape)}{weights.dtype}".encode())
        if not weights.is_meta:
            flat = weights.detach().flatten()
            ends = torch.cat([flat[:_ENDS], flat[-_ENDS:]]).to(dtype=torch.float32, device="cpu")
            total.update(ends.numpy().astype("<f4").tobytes())
    return f"weights:{total.hexdigest()[:16]}"


def to_device(batch: Mapping[str, Any], device: torch.device, dtype: torch.dtype | None = None) -> dict[str, Any]:
    """Move the tensors of a batch; floating ones also to `dtype`.

    Parameters
    ----------
    batch : mapping
        Tensors and other values, which stay as they are.
    device : torch.device
        Where to.
    dtype : torch.dtype, optional
        Of floating tensors; theirs by default.

    Returns
    -------
    dict
        A new one.
    """
    moved = {}
    for name, value in batch.items():
        if torch.is_tensor(value):
            cast = dtype if value.is_floating_point() else None
            value = value.to(device=device, dtype=cast, non_blocking=True)
        moved[name] = value
    return moved
