"""How much the last prompt token attends to every token in one layer: what terms may choose vision tokens by."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import nn

from extraction.harvesting.attention import attention_rows
from extraction.harvesting.taps import AttentionCall, tap_calls

__all__ = ["read_attention"]


@contextlib.contextmanager
def read_attention(attention: nn.Module, slots: torch.Tensor) -> Iterator[list[torch.Tensor]]:
    """Read one softmax row per prompt and head beside the kernel in use: no eager attention, no second pass.

    Parameters
    ----------
    attention : Module
        Self-attention of the layer that runs inside the context.
    slots : LongTensor of shape (batch, 1)
        Place of the query in every row.

    Yields
    ------
    list of Tensor
        Filled by the layer's run with the attention of that query, averaged over heads, on every token of the chunk:
        float32, (batch, tokens). Empty if the layer computes attention without a function of the library.
    """
    found: list[torch.Tensor] = []

    def on_call(_: int, call: AttentionCall) -> None:
        rows = attention_rows(call.query, call.key, call.mask, slots.to(call.query.device), **call.options)
        found.append(rows.mean(dim=1)[:, 0, -call.query.shape[2] :])  # keys of the chunk come last

    def on_shares(_: int, shares: torch.Tensor) -> None:
        at = slots.to(shares.device)[:, None, :, None].expand(-1, shares.shape[1], -1, shares.shape[3])
        found.append(shares.float().gather(2, at).mean(dim=1)[:, 0, -shares.shape[2] :])

    with tap_calls([attention], on_call, on_shares):
        yield found
