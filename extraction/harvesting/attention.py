"""Attention mass on image tokens, read from the running attention function: a few fp32 rows, no eager attention."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypedDict, Unpack

import torch
from torch import nn

from extraction.harvesting.taps import AttentionCall, tap_calls
from extraction.harvesting.tokens import TokenGroups

__all__ = ["AttentionMasses", "attention_mass", "attention_rows", "tap_attention"]

_ROW_BUDGET = 1 << 24  # entries of the fp32 score block: 64 MiB
Sink = Callable[[int, "AttentionMasses"], None]


class ShareOptions(TypedDict, total=False):
    """What changes the scores, as the attention function was called with."""

    scaling: float | None
    softcap: float | None
    sinks: torch.Tensor | None
    bias: torch.Tensor | None


class MassOptions(ShareOptions, total=False):
    """What changes the scores or hides keys."""

    is_causal: bool
    sliding_window: int | None


class AttentionMasses:
    """Masses on vision tokens in one layer, each of shape (B, H) and type float32."""

    __slots__ = ("answer", "answer_value", "text_max", "text_mean")

    def __init__(
        self, answer: torch.Tensor, answer_value: torch.Tensor, text_mean: torch.Tensor, text_max: torch.Tensor
    ) -> None:
        self.answer, self.answer_value = answer, answer_value
        self.text_mean, self.text_max = text_mean, text_max


def attention_rows(
    query: torch.Tensor,
    key: torch.Tensor,
    mask: torch.Tensor | None,
    index: torch.Tensor,
    *,
    scaling: float | None = None,
    is_causal: bool = True,
    sliding_window: int | None = None,
    softcap: float | None = None,
    sinks: torch.Tensor | None = None,
    bias: torch.Tensor | None = None,
) -> torch.Tensor:
    """Softmax rows of chosen queries, float32, shape (B, H, M, K).

    More than eight parameters, one for each argument of transformers' attention functions that changes a row.

    Parameters
    ----------
    query : Tensor of shape (B, H, Q, D)
        Queries after the rotation.
    key : Tensor of shape (B, H_kv, K, D)
        Keys after the rotation, not repeated; H is a multiple of H_kv.
    mask : Tensor or None
        The model's own mask: 4-D boolean or additive, 2-D key padding (flash), or None.
    index : LongTensor of shape (B, M)
        Positions of the queries.
    scaling, is_causal, sliding_window, softcap, sinks, bias
        As the attention function was called with. `is_causal` and `sliding_window` speak only where no 4-D
        mask does.
    """
    hidden = _Hidden(index).keys(query, key, mask, is_causal, sliding_window)
    return _shares(query, key, mask, index, hidden, scaling=scaling, softcap=softcap, sinks=sinks, bias=bias)


def _shares(
    query: torch.Tensor,
    key: torch.Tensor,
    mask: torch.Tensor | None,
    index: torch.Tensor,
    hidden: torch.Tensor | None,
    *,
    scaling: float | None = None,
    softcap: float | None = None,
    sinks: torch.Tensor | None = None,
    bias: torch.Tensor | None = None,
) -> torch.Tensor:
    """Softmax rows, once it is known which keys are hidden; of the mask only an additive one is still read.

    More than eight parameters, as `attention_rows`.
    """
    n_rows, n_heads, _, width = query.shape
    n_kv, n_keys, m = key.shape[1], key.shape[2], index.shape[1]
    # The scale goes to the few rows, not to the many scores.
    rows = torch.stack([heads.index_select(1, at) for heads, at in zip(query, index, strict=True)]).float()
    rows = rows.mul_(width**-0.5 if scaling is None else scaling).view(n_rows, n_kv, -1, width)
    scores = (rows @ key.float().transpose(2, 3)).view(n_rows, n_heads, m, n_keys)
    if softcap:
        scores = scores.div_(softcap).tanh_().mul_(softcap)
    if bias is not None:
        scores = scores.add_(_rows_of(bias, index, query.shape[2], n_keys).float())
    if mask is not None and mask.dim() == 4 and mask.dtype != torch.bool:
        scores = scores.add_(_rows_of(mask, index, query.shape[2], n_keys).float())
    if hidden is not None:
        scores = scores.add_(hidden)
    if sinks is None:
        return scores.softmax(dim=-1)
    extra = sinks.float().reshape(1, n_heads, 1, 1).expand(n_rows, -1, m, -1)
    return torch.cat([scores, extra], dim=-1).softmax(dim=-1)[..., :-1]


def attention_mass(
    query: torch.Tensor,
    key: torch.Tensor,
    mask: torch.Tensor | None,
    index: torch.Tensor,
    weights: torch.Tensor,
    **options: Unpack[MassOptions],
) -> torch.Tensor:
    r"""Softmax rows of chosen queries times a weight per key: :math:`\sum_j a_{ij} w_j`.

    Parameters
    ----------
    query, key, mask, index
        As in `attention_rows`.
    weights : Tensor of shape (B, 1 or H_kv, K, C)
        C weights of every key.
    **options
        Those of `attention_rows`.

    Returns
    -------
    Tensor of shape (B, H, M, C)
        Float32.

    Notes
    -----
    Peak memory is one block of at most 2^24 scores, whatever the number of layers.
    """
    return _mass(query, key, mask, _Hidden(index), weights, **options)


def _mass(
    query: torch.Tensor,
    key: torch.Tensor,
    mask: torch.Tensor | None,
    hidden: _Hidden,
    weights: torch.Tensor,
    *,
    is_causal: bool = True,
    sliding_window: int | None = None,
    **options: Unpack[ShareOptions],
) -> torch.Tensor:
    """As `attention_mass`, for the queries of `hidden`."""
    n_rows, n_heads = query.shape[:2]
    n_kv, n_keys = key.shape[1], key.shape[2]
    unseen = hidden.keys(query, key, mask, is_causal, sliding_window)
    key, weights = key.float(), weights.float()
    step = max(1, _ROW_BUDGET // (n_rows * n_heads * n_keys))
    parts = []
    for start in range(0, hidden.index.shape[1], step):
        part = slice(start, start + step)
        index = hidden.index[:, part]
        there = unseen if unseen is None or unseen.shape[2] == 1 else unseen[:, :, part]
        shares = _shares(query, key, mask, index, there, **options)
        mass = shares.view(n_rows, n_kv, -1, n_keys) @ weights
        parts.append(mass.view(n_rows, n_heads, index.shape[1], -1))
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=2)


def _rows_of(table: torch.Tensor, index: torch.Tensor, n_queries: int, n_keys: int) -> torch.Tensor:
    """Rows `index` (B, M) of a table that spreads to (B, 1 or H, Q, K)."""
    table = table.expand(len(index), -1, n_queries, -1)
    place = index[:, None, :, None].expand(-1, table.shape[1], -1, table.shape[3])
    return table.gather(2, place)[..., :n_keys]


class _Hidden:
    """Keys at which chosen queries (B, M) do not look: worked out once for all layers that share a mask."""

    def __init__(self, index: torch.Tensor) -> None:
        self.index = index
        self._known: list[tuple[torch.Tensor | None, tuple[Any, ...], torch.Tensor | None]] = []

    def keys(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        mask: torch.Tensor | None,
        is_causal: bool,
        sliding_window: int | None,
    ) -> torch.Tensor | None:
        """0 or -inf, of shape (B, 1 or H, 1 or M, K); None where no key is hidden or an additive mask hides them."""
        kind = (query.shape[2], key.shape[2], is_causal, sliding_window)
        for known, its_kind, hidden in self._known:
            if known is mask and its_kind == kind:
                return hidden
        hidden = self._work_out(mask, *kind)
        self._known.append((mask, kind, hidden))
        return hidden

    def _work_out(
        self, mask: torch.Tensor | None, n_queries: int, n_keys: int, is_causal: bool, sliding_window: int | None
    ) -> torch.Tensor | None:
        if mask is not None and mask.dim() == 4:
            return _minus_infinity(~_rows_of(mask, self.index, n_queries, n_keys)) if mask.dtype == torch.bool else None
        positions = torch.arange(n_keys, device=self.index.device)
        own = (self.index + n_keys - n_queries)[:, None, :, None]
        hidden = None
        if is_causal:
            hidden = positions > own
            if sliding_window is not None:
                hidden |= positions <= own - sliding_window
        if mask is not None:
            padding = ~mask[:, None, None, :n_keys].bool()
            hidden = padding if hidden is None else hidden | padding
        return None if hidden is None else _minus_infinity(hidden)


def _minus_infinity(hidden: torch.Tensor) -> torch.Tensor:
    """What hides keys when it is added to scores: seven times as fast on a CPU as filling by a boolean mask."""
    return torch.zeros_like(hidden, dtype=torch.float32).masked_fill_(hidden, -torch.inf)


@contextmanager
def tap_attention(attentions: Sequence[nn.Module | None], tokens: TokenGroups, sink: Sink) -> Iterator[None]:
    """Call ``sink(layer, masses)`` for every layer whose attention runs inside the context; see `tap_calls`.

    Parameters
    ----------
    attentions : sequence of Module or None
        Self-attention of each layer.
    tokens : TokenGroups
        Groups of the batch.
    sink : callable
        Gets layer index and masses, on the layer's device. A layer without softmax attention never calls it.
    """
    readers: dict[torch.device, _Reader] = {}

    def on(device: torch.device) -> _Reader:
        if device not in readers:
            readers[device] = _Reader(tokens.to(device))
        return readers[device]

    on(tokens.groups.device)  # copies to the device now, since they would wait inside the forward pass

    def on_call(layer: int, call: AttentionCall) -> None:
        if _readable(call, tokens.groups.shape[1]):
            sink(layer, on(call.query.device).from_states(call))

    def on_shares(layer: int, shares: torch.Tensor) -> None:
        sink(layer, on(shares.device).from_shares(shares))

    with tap_calls(attentions, on_call, on_shares):
        yield


def _readable(call: AttentionCall, n_tokens: int) -> bool:
    """Whether keys are this batch's tokens and the mask is of a known kind; otherwise the layer stays undefined."""
    known = call.mask is None or (torch.is_tensor(call.mask) and call.mask.dim() in (2, 4))
    return known and call.query.dim() == 4 and call.query.shape[2] == n_tokens and call.key.shape[2] == n_tokens


class _Reader:
    """Masses of the answer and of the text queries of one batch, on one device."""

    def __init__(self, tokens: TokenGroups) -> None:
        valid = tokens.text_valid
        # Slots without a text query repeat the answer's, whose softmax is never empty, and count as nothing.
        self._text = torch.where(valid, tokens.text_index, tokens.answer[:, None])
        self._answer = tokens.answer[:, None]
        self._hidden = _Hidden(torch.cat([self._answer, self._text], dim=1))
        self._vision = tokens.vision[:, None].float()
        n_valid = valid.sum(dim=1, keepdim=True)
        self._share = (valid / n_valid)[:, None, :, None]  # NaN in a row without text
        absent = torch.where(n_valid > 0, -torch.inf, torch.nan)
        self._absent = torch.where(valid, 0.0, absent)[:, None]

    def from_states(self, call: AttentionCall) -> AttentionMasses:
        """Masses where query, key and value are seen."""
        # Heads of a token lie together in memory as a rule.
        norms = torch.linalg.vector_norm(call.value.transpose(1, 2).float(), dim=-1).transpose(1, 2)
        # Keys last in memory: the product with so few columns is four times as fast on a CPU.
        weights = torch.stack([self._vision.expand_as(norms), norms * self._vision, norms], dim=2).transpose(2, 3)
        mass = _mass(call.query, call.key, call.mask, self._hidden, weights, **call.options)
        answer = mass[:, :, 0]
        return AttentionMasses(answer[..., 0], answer[..., 1] / answer[..., 2], *self._over_text(mass[:, :, 1:, :1]))

    def from_shares(self, shares: torch.Tensor) -> AttentionMasses:
        """Masses where the softmax is seen whole; values are not."""
        rows = shares.float() @ self._vision.unsqueeze(-1)
        n_heads = rows.shape[1]
        answer, text = (
            rows.gather(2, at[:, None, :, None].expand(-1, n_heads, -1, -1)) for at in (self._answer, self._text)
        )
        answer = answer[:, :, 0, 0]
        return AttentionMasses(answer, torch.full_like(answer, torch.nan), *self._over_text(text))

    def _over_text(self, mass: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and maximum of (B, H, M, 1) over the text queries; NaN for a row without text."""
        mean = (mass.transpose(2, 3) @ self._share)[..., 0, 0]
        return mean, (mass[..., 0] + self._absent).amax(dim=-1)
