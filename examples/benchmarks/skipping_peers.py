"""FastV's and VTW's own way of leaving vision tokens out: the decoder's forward pass rewritten for one model.

Both projects publish a patched copy of `LlamaModel.forward`. These are rewrites of what their papers and repositories
describe, for the current library and one prompt without padding. FastV (Chen et al., ECCV 2024) reads the eager
attention of the layer before, ranks the vision tokens by the last query, and masks the others (its default) or cuts
them out; VTW (Lin et al., AAAI 2025) cuts out all vision tokens.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import MethodType
from typing import Any

import torch
from transformers.cache_utils import DynamicCache
from transformers.modeling_outputs import BaseModelOutputWithPast

__all__ = ["rewritten"]


@contextmanager
def rewritten(
    model: Any, vision: torch.Tensor, *, after: int, n_kept: int, eager: bool, masked: bool = False
) -> Iterator[None]:
    """The model with a forward pass of its own, for the time of the context.

    Parameters
    ----------
    model : LlavaForConditionalGeneration
        With a Llama decoder and the "sdpa" attention.
    vision : LongTensor of shape (n_vision,)
        Positions of the vision tokens.
    after : int
        Layers that see all tokens: K of both papers.
    n_kept : int
        Vision tokens that stay, ranked by attention as FastV does; 0 for VTW, which reads no attention.
    eager : bool
        Eager attention in every layer, the only kind that the repositories knew; else only in the layer that is read.
    masked : bool
        Hide the tokens that leave by a mask, and compute them all the same.
    """
    decoder = model.model.language_model
    shares: list[torch.Tensor] = []

    def forward(self: Any, inputs_embeds: torch.Tensor, use_cache: bool = True, **_: Any) -> BaseModelOutputWithPast:
        states, cache = inputs_embeds, DynamicCache(config=self.config) if use_cache else None
        places = torch.arange(states.shape[1], device=states.device)
        kept = places
        bias = _causal(places, places, states.dtype)
        rope = self.rotary_emb(states, position_ids=places[None])
        for depth, layer in enumerate(self.layers):
            if depth == after:
                kept = _kept(places, vision, n_kept, shares.pop() if n_kept else None)
                if masked:
                    hidden = torch.ones_like(places, dtype=torch.bool)
                    hidden[kept] = False
                    bias = bias.masked_fill(hidden, torch.finfo(bias.dtype).min)
                else:
                    states = states[:, kept]
                    bias, rope = _causal(kept, kept, states.dtype), self.rotary_emb(states, position_ids=kept[None])
            reads = depth == after - 1 and n_kept > 0
            self.config._attn_implementation = "eager" if eager or reads else "sdpa"
            needs_mask = eager or reads or (masked and depth >= after)
            hook = layer.self_attn.register_forward_hook(lambda m, a, out: shares.append(out[1])) if reads else None
            states = layer(
                states,
                attention_mask=bias if needs_mask else None,
                position_embeddings=rope,
                past_key_values=cache,
                use_cache=use_cache,
            )
            if hook is not None:
                hook.remove()
        return BaseModelOutputWithPast(last_hidden_state=self.norm(states), past_key_values=cache)

    implementation = decoder.config._attn_implementation
    decoder.forward = MethodType(forward, decoder)
    try:
        yield
    finally:
        del decoder.forward
        decoder.config._attn_implementation = implementation


def _kept(places: torch.Tensor, vision: torch.Tensor, n_kept: int, shares: torch.Tensor | None) -> torch.Tensor:
    """Positions that stay, in order."""
    stays = torch.ones_like(places, dtype=torch.bool)
    stays[vision] = False
    if shares is not None:
        stays[vision[shares.float().mean(dim=1)[0, -1, vision].topk(n_kept).indices]] = True
    return places[stays]


def _causal(queries: torch.Tensor, keys: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Additive causal mask, (1, 1, Q, K)."""
    bias = torch.zeros(len(queries), len(keys), dtype=dtype, device=queries.device)
    return bias.masked_fill(keys > queries[:, None], torch.finfo(dtype).min)[None, None]
