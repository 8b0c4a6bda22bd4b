"""How much the last prompt token attends to every token in one layer: what FastV ranks vision tokens by."""

from __future__ import annotations

import contextlib

import torch
from torch import nn

from extraction.harvesting.attention import attention_rows
from extraction.harvesting.taps import AttentionCall, tap_calls
from redundancy.errors import UnsupportedModelError

__all__ = ["AttentionRanking"]


class AttentionRanking:
    """Reads one softmax row per prompt and head beside the kernel in use: no eager attention, no second pass.

    Parameters
    ----------
    layer : int
        Layer that is read.
    attention : Module
        Its self-attention.
    """

    def __init__(self, layer: int, attention: nn.Module) -> None:
        self.layer = layer
        self._attention = attention
        self._slots: torch.Tensor | None = None
        self._scores: torch.Tensor | None = None

    def install(self, undo: contextlib.ExitStack) -> None:
        """Look at the layer's attention until `undo` is closed."""
        undo.enter_context(tap_calls([self._attention], self._on_call, self._on_shares))

    def expect(self, slots: torch.Tensor) -> None:
        """Say which query of every row is the last prompt token, shape (batch, 1), before the layer runs."""
        self._slots, self._scores = slots, None

    def take(self) -> torch.Tensor:
        """Attention of that query, averaged over heads, on every token of the chunk: float32, (batch, present)."""
        scores, self._slots, self._scores = self._scores, None, None
        if scores is None:
            raise UnsupportedModelError(
                f"fastv needs the attention of layer {self.layer}, which {type(self._attention).__name__} computes "
                "without an attention function of the library; use another plan"
            )
        return scores

    def _on_call(self, _: int, call: AttentionCall) -> None:
        if self._slots is None:
            return
        slots = self._slots.to(call.query.device)
        rows = attention_rows(call.query, call.key, call.mask, slots, **call.options)
        self._scores = rows.mean(dim=1)[:, 0, -call.query.shape[2] :]  # keys of the chunk come last

    def _on_shares(self, _: int, shares: torch.Tensor) -> None:
        if self._slots is None:
            return
        slots = self._slots.to(shares.device)[:, None, :, None].expand(-1, shares.shape[1], -1, shares.shape[3])
        self._scores = shares.float().gather(2, slots).mean(dim=1)[:, 0, -shares.shape[2] :]
