"""Families whose language stream holds no image tokens: images enter through cross-attention layers."""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from extraction.models.adapters.base import Adapter, generic_adapter

__all__ = ["adapter"]


def adapter(model: nn.Module) -> Adapter:
    """Record without vision ids: distances and attention masses of vision are undefined (NaN), not 0."""
    record = generic_adapter(
        model,
        vision_ids=(),
        family="cross_attention",
        note="images enter by cross-attention: the stream has no vision tokens, and the placeholder is a special token",
    )
    # Idefics' cross-attention blocks stand between decoder layers; mllama's are decoder layers themselves.
    return replace(record, changes_between=record.model_type == "idefics")
