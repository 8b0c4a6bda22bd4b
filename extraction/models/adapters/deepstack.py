"""Qwen3-VL and its relatives: features of the vision tower are added to vision tokens between the first layers."""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from extraction.models.adapters.base import Adapter, generic_adapter

__all__ = ["adapter"]


def adapter(model: nn.Module) -> Adapter:
    """Record by the general recipe, with leave to change states between layers."""
    note = "deepstack adds features to vision tokens between layers, which pairing 'hf' counts as the next layer's work"
    return replace(generic_adapter(model, family="deepstack", note=note), changes_between=True)
