"""Attention mass on image tokens, read from the running attention function: a few fp32 rows, no eager attention."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import AttentionInterface

from extraction.tokens import TokenGroups

__all__ = ["AttentionCall", "AttentionMasses", "attention_mass", "attention_rows", "tap_attention", "tap_calls"]

_ROW_BUDGET = 1 << 24  # entries of the fp32 score block: 64 MiB
Sink = Callable[[int, "AttentionMasses"], None]


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
    n_rows, n_heads, n_queries, width = query.shape
    n_kv, n_keys, m = key.shape[1], key.shape[2], index.shape[1]
    scale = width**-0.5 if scaling is None else scaling
    rows = query.gather(2, index[:, None, :, None].expand(-1, n_heads, -1, width)).float()
    scores = rows.reshape(n_rows, n_kv, -1, width) @ key.float().transpose(2, 3)
    scores = scores.mul_(scale).reshape(n_rows, n_heads, m, n_keys)
    if softcap:
        scores = torch.tanh(scores / softcap).mul_(softcap)
    if bias is not None:
        scores = scores + _rows_of(bias.expand(n_rows, -1, n_queries, -1), index, n_keys).float()
    scores = _masked(scores, mask, index, n_keys - n_queries, is_causal, sliding_window)
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
    **options: Any,
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
    n_rows, n_heads = query.shape[:2]
    n_kv, n_keys = key.shape[1], key.shape[2]
    key, weights = key.float(), weights.float()
    step = max(1, _ROW_BUDGET // (n_rows * n_heads * n_keys))
    parts = []
    for part in torch.split(index, step, dim=1):
        shares = attention_rows(query, key, mask, part, **options)
        mass = shares.reshape(n_rows, n_kv, -1, n_keys) @ weights
        parts.append(mass.reshape(n_rows, n_heads, part.shape[1], -1))
    return torch.cat(parts, dim=2)


def _rows_of(table: torch.Tensor, index: torch.Tensor, n_keys: int) -> torch.Tensor:
    """Rows `index` (B, M) of a (B, 1 or H, Q, K) table."""
    place = index[:, None, :, None].expand(-1, table.shape[1], -1, table.shape[3])
    return table.gather(2, place)[..., :n_keys]


def _masked(
    scores: torch.Tensor,
    mask: torch.Tensor | None,
    index: torch.Tensor,
    n_past: int,
    is_causal: bool,
    sliding_window: int | None,
) -> torch.Tensor:
    """Scores with -inf where a query does not look; changed in place."""
    n_rows, _, _, n_keys = scores.shape
    if mask is not None and mask.dim() == 4:
        n_queries = n_keys - n_past
        rows = _rows_of(mask.expand(n_rows, -1, n_queries, -1), index, n_keys)
        return scores.masked_fill_(~rows, -torch.inf) if rows.dtype == torch.bool else scores.add_(rows.float())
    positions = torch.arange(n_keys, device=scores.device)
    own = (index + n_past)[:, None, :, None]
    if is_causal:
        scores = scores.masked_fill_(positions > own, -torch.inf)
        if sliding_window is not None:
            scores = scores.masked_fill_(positions <= own - sliding_window, -torch.inf)
    if mask is not None:
        scores = scores.masked_fill_(~mask[:, None, None, :n_keys].bool(), -torch.inf)
    return scores


@dataclass(frozen=True, slots=True, eq=False)
class AttentionCall:
    """One call of a registered attention function, before it runs.

    Attributes
    ----------
    query, key, value : Tensor
        Of shape (B, H or H_kv, tokens, D).
    mask : Tensor or None
        As the function gets it.
    options : dict
        Keyword arguments for `attention_rows`.
    """

    query: torch.Tensor
    key: torch.Tensor
    value: torch.Tensor
    mask: Any
    options: dict[str, Any]


@contextmanager
def tap_calls(
    attentions: Sequence[nn.Module | None],
    on_call: Callable[[int, AttentionCall], None],
    on_shares: Callable[[int, torch.Tensor], None],
) -> Iterator[None]:
    """Look at every attention computed by the given modules inside the context; nothing that they compute changes.

    The registered attention functions in use are wrapped for the duration, and only calls of the given
    modules are looked at (a vision tower shares the registry). The name of the implementation does not change,
    so the model takes the very same path. Eager attention is no registered function; there its returned
    weights are read.

    Parameters
    ----------
    attentions : sequence of Module or None
        Self-attention of each layer.
    on_call : callable
        Gets layer index and call, where the implementation is a registered function.
    on_shares : callable
        Gets layer index and weights of shape (B, H, Q, K), where attention is eager.
    """
    layer_of = {id(module): i for i, module in enumerate(attentions) if module is not None}

    def wrap(function: Callable[..., Any]) -> Callable[..., Any]:
        def tapped(
            module: nn.Module,
            query: torch.Tensor,
            key: torch.Tensor,
            value: torch.Tensor,
            attention_mask: Any,
            *args: Any,
            **kwargs: Any,
        ) -> Any:
            layer = layer_of.get(id(module))
            if layer is not None:
                on_call(layer, AttentionCall(query, key, value, attention_mask, _options(module, kwargs)))
            return function(module, query, key, value, attention_mask, *args, **kwargs)

        return tapped

    def from_weights(layer: int) -> Callable[..., None]:
        def hook(module: nn.Module, args: Any, output: Any) -> None:
            shares = output[1] if isinstance(output, tuple) and len(output) > 1 else None
            if torch.is_tensor(shares) and shares.dim() == 4:
                on_shares(layer, shares)

        return hook

    with ExitStack() as stack:
        names = set()
        registry: Any = AttentionInterface()  # type: ignore[no-untyped-call]
        for i, module in enumerate(attentions):
            if module is None:
                continue
            name = getattr(getattr(module, "config", None), "_attn_implementation", None)
            if name == "eager":
                stack.callback(module.register_forward_hook(from_weights(i)).remove)
            elif name is not None:
                names.add(name)
        for name in sorted(names):
            original = registry[name]
            AttentionInterface.register(name, wrap(original))
            stack.callback(AttentionInterface.register, name, original)
        yield


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
    moved: dict[torch.device, TokenGroups] = {}

    def on(device: torch.device) -> TokenGroups:
        if device not in moved:
            moved[device] = tokens.to(device)
        return moved[device]

    def on_call(layer: int, call: AttentionCall) -> None:
        if _readable(call, on(call.query.device)):
            sink(layer, _from_states(call, on(call.query.device)))

    def on_shares(layer: int, shares: torch.Tensor) -> None:
        sink(layer, _from_shares(shares, on(shares.device)))

    with tap_calls(attentions, on_call, on_shares):
        yield


def _readable(call: AttentionCall, tokens: TokenGroups) -> bool:
    """Whether keys are this batch's tokens and the mask is of a known kind; otherwise the layer stays undefined."""
    n_tokens = tokens.groups.shape[1]
    known = call.mask is None or (torch.is_tensor(call.mask) and call.mask.dim() in (2, 4))
    return known and call.query.dim() == 4 and call.query.shape[2] == n_tokens and call.key.shape[2] == n_tokens


def _options(module: nn.Module, kwargs: dict[str, Any]) -> dict[str, Any]:
    causal = kwargs.get("is_causal")
    return {
        "scaling": kwargs.get("scaling"),
        "is_causal": bool(getattr(module, "is_causal", True) if causal is None else causal),
        "sliding_window": kwargs.get("sliding_window"),
        "softcap": kwargs.get("softcap"),
        "sinks": kwargs.get("s_aux"),
        "bias": kwargs.get("position_bias"),
    }


def _from_states(call: AttentionCall, tokens: TokenGroups) -> AttentionMasses:
    vision = tokens.vision.unsqueeze(1)
    norms = call.value.float().norm(dim=-1)
    # Keys last in memory: the product with so few columns is four times as fast on a CPU.
    weights = torch.stack([vision.expand_as(norms), norms * vision, norms], dim=2).transpose(2, 3)
    index = torch.cat([tokens.answer[:, None], tokens.text_index], dim=1)
    mass = attention_mass(call.query, call.key, call.mask, index, weights, **call.options)
    answer, text = mass[:, :, 0], mass[:, :, 1:, 0]
    return AttentionMasses(answer[..., 0], answer[..., 1] / answer[..., 2], *_over_text(text, tokens.text_valid))


def _from_shares(shares: torch.Tensor, tokens: TokenGroups) -> AttentionMasses:
    mass = shares.float() @ tokens.vision[:, None, :, None].float()
    rows = mass[..., 0]
    n_heads = rows.shape[1]
    answer = rows.gather(2, tokens.answer[:, None, None].expand(-1, n_heads, -1))[..., 0]
    text = rows.gather(2, tokens.text_index[:, None].expand(-1, n_heads, -1))
    return AttentionMasses(answer, torch.full_like(answer, torch.nan), *_over_text(text, tokens.text_valid))


def _over_text(mass: torch.Tensor, valid: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and maximum over the valid queries; NaN for a row without text."""
    real = valid[:, None]
    mean = torch.where(real, mass, 0).sum(dim=-1) / real.sum(dim=-1)
    largest = torch.where(real, mass, -torch.inf).amax(dim=-1)
    return mean, torch.where(torch.isneginf(largest), torch.nan, largest)
