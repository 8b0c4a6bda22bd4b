"""Run a plan on a model: full length outside, compact inside each decoder layer.

The model's own forward (embedding merge, positions, masks, final norm, head, generate) runs untouched at full
length. Each decoder layer's `forward` is wrapped: gather the present tokens of everything it is given, call the
stock layer, scatter its output into a copy of its input.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, cast
from weakref import WeakSet

import torch
from torch import nn

from extraction.skip.downsample import interpolate_positions
from extraction.skip.engine.cache import CompactLayer, adopt, check_cache
from extraction.skip.engine.chunk import Chunk
from extraction.skip.engine.masks import gather_tokens, scatter_tokens
from extraction.skip.engine.patched_forward import replace_forward
from extraction.skip.engine.ranking import AttentionRanking
from extraction.skip.engine.support import Anatomy, argument_names, check_call, dissect
from extraction.skip.plan import Plan
from extraction.skip.routers import LayerInput, Router
from redundancy.errors import InvalidInputError, UnsupportedModelError

__all__ = ["Skipping", "apply"]

_PATCHED: WeakSet[nn.Module] = WeakSet()


@contextlib.contextmanager
def apply(
    model: nn.Module,
    plan: Plan,
    *,
    router: Router | None = None,
    layers_path: str | None = None,
    vision_ids: tuple[int, ...] | None = None,
) -> Iterator[Skipping]:
    """Skip for as long as the context is open: forward and `generate`, cached or not, padded or not.

    A plan that changes nothing touches nothing, so its outputs are those of the unmodified model bit by bit.
    On leaving, also by an exception, the model is as it was.

    Parameters
    ----------
    model : PreTrainedModel
        A decoder-only vision-language model; vision tokens are told by their ids in `input_ids`.
    plan : Plan
        What to leave out.
    router : callable, optional
        Asked before every layer which tokens it computes, on top of the plan: input-dependent plans and learned
        routers. See `extraction.skip.routers`.
    layers_path : str, optional
        Path of the decoder layers below the model, where the adapters do not find them.
    vision_ids : tuple of int, optional
        Token ids that stand for vision features, where the configuration does not name them.

    Yields
    ------
    Skipping
        `tokens_computed` tells what each layer computed in the latest forward.

    Raises
    ------
    UnsupportedModelError
        Before anything runs: compiled models, flex attention, linear-attention hybrids, cross-attention
        models; at the first forward: static, quantised, offloaded or foreign caches.
    InvalidInputError
        If the plan does not fit the model, the model is already patched, or a forward brings no `input_ids`.

    Notes
    -----
    A key-value cache belongs to the plan that filled it. Sliding-window layers keep all their keys.

    Examples
    --------
    >>> from extraction.skip import apply, late_entry
    >>> with apply(model, late_entry(4)):                            # doctest: +SKIP
    ...     tokens = model.generate(**inputs, max_new_tokens=20)
    """
    if model in _PATCHED:
        raise InvalidInputError("this model already runs a plan: join plans with + and apply them once")
    anatomy = dissect(model, plan, layers_path=layers_path, vision_ids=vision_ids)
    skipping = Skipping(model, plan, anatomy, router)
    with contextlib.ExitStack() as undo:
        if router is not None or not plan.is_identity(len(anatomy.layers)):
            _PATCHED.add(model)
            undo.callback(_PATCHED.discard, model)
            skipping._install(undo)
        yield skipping


class Skipping:
    """A plan at work on a model; made by `apply`.

    Parameters
    ----------
    model : Module
        The patched model.
    plan : Plan
        The plan at work.
    anatomy : Anatomy
        Where the parts of the model are.
    router : Router, optional
        Decides sample by sample.
    """

    def __init__(self, model: nn.Module, plan: Plan, anatomy: Anatomy, router: Router | None = None) -> None:
        self.model = model
        self.plan = plan
        self.n_layers = len(anatomy.layers)
        self._anatomy = anatomy
        self._router = router
        presence = [plan.presence(i, self.n_layers) for i in range(self.n_layers)]
        if router is not None:
            presence = [replace(p, routed=i) for i, p in enumerate(presence)]
        self._presence = tuple(presence)
        self._ranking: AttentionRanking | None = None
        if plan.fastv is not None and any(p.ranked for p in presence):
            layer = plan.fastv[0] - 1
            self._ranking = AttentionRanking(layer, cast(nn.Module, anatomy.layers[layer].self_attn))
        self._chunk: Chunk | None = None
        self._computed = [0] * self.n_layers
        self._needed: list[int | torch.Tensor] = [0] * self.n_layers
        self._n_rows = 0

    @property
    def tokens_computed(self) -> tuple[int, ...]:
        """Tokens per row that each layer computed in the latest forward; zeros for the identity plan."""
        return tuple(self._computed)

    @property
    def tokens_wasted(self) -> tuple[int, ...]:
        """Padding and dummies, of all rows together, that each layer computed in the latest forward.

        A layer computes a rectangle as wide as its longest row: with rows of one length there is no waste, and with
        others no less than this.
        """
        pairs = zip(self._computed, self._needed, strict=True)
        return tuple(self._n_rows * width - int(needed) for width, needed in pairs)

    def _install(self, undo: contextlib.ExitStack) -> None:
        if self.plan.image_share is not None:
            interpolate_positions(self.model, undo)
            if self._router is None and replace(self.plan, image_share=None).is_identity(self.n_layers):
                return
        names = argument_names(self.model)

        def begin(model: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            self._begin({**dict(zip(names, args, strict=False)), **kwargs})

        undo.callback(self.model.register_forward_pre_hook(begin, with_kwargs=True).remove)
        undo.callback(self.model.register_forward_hook(self._end, always_call=True).remove)
        for i, layer in enumerate(self._anatomy.layers):
            if i in self.plan.skip_attention:
                replace_forward(layer.self_attn, _silent_attention, undo)
            if i in self.plan.skip_mlp:
                replace_forward(layer.mlp, torch.zeros_like, undo)
            replace_forward(layer, self._wrap(i, layer), undo)
        if self._ranking is not None:
            self._ranking.install(undo)

    def _begin(self, arguments: dict[str, Any]) -> None:
        ids = check_call(arguments)
        cache = arguments.get("past_key_values")
        check_cache(cache, self.plan)
        markers = torch.tensor(self._anatomy.vision_ids, dtype=ids.dtype, device=ids.device)
        self._chunk = Chunk(
            self.plan, torch.isin(ids, markers), arguments.get("attention_mask"), is_flash=self._anatomy.is_flash
        )
        self._computed, self._needed, self._n_rows = [0] * self.n_layers, [0] * self.n_layers, ids.shape[0]

    def _end(self, model: Any, args: Any, output: Any) -> None:
        self._chunk = None

    def _wrap(self, i: int, layer: nn.Module) -> Callable[..., Any]:
        inner, names = layer.forward, argument_names(layer)

        def forward(*args: Any, **kwargs: Any) -> Any:
            if self._chunk is None:
                raise InvalidInputError(
                    f"the plan {self.plan} was applied to a {type(self.model).__name__}: call that model, not a part"
                )
            return self._run(i, inner, self._chunk, {**dict(zip(names, args, strict=False)), **kwargs})

        return forward

    def _run(self, i: int, inner: Callable[..., Any], chunk: Chunk, arguments: dict[str, Any]) -> Any:
        states = arguments.pop("hidden_states")
        if states.shape[:2] != chunk.shape:
            raise UnsupportedModelError(
                f"need {chunk.shape} tokens in layer {i}, as in input_ids, got states of shape {tuple(states.shape)}"
            )
        n_seen = chunk.shape[1]
        presence = self._presence[i]
        if self._router is not None:
            self._route(i, chunk, states, self._router)
        selection = chunk.selection(presence)
        store = self._store(i, arguments.get("past_key_values"))
        if i in self.plan.skip_layers or (selection is not None and selection.n_present == 0):
            if store is not None:
                store.skip(n_seen)
            return states
        self._computed[i] = n_seen if selection is None else selection.n_present
        self._needed[i] = chunk.n_valid if selection is None else selection.n_needed

        if self._ranking is not None and i == self._ranking.layer and chunk.has_vision and n_seen > 1:
            self._ranking.expect(chunk.last_slot(presence))
            output = self._compute(i, inner, chunk, states, arguments, store)
            chunk.rank(presence, self._ranking.take())
            return output
        return self._compute(i, inner, chunk, states, arguments, store)

    def _compute(
        self,
        i: int,
        inner: Callable[..., Any],
        chunk: Chunk,
        states: torch.Tensor,
        arguments: dict[str, Any],
        store: CompactLayer | None,
    ) -> Any:
        """Run the stock layer on the present tokens."""
        n_seen, presence = chunk.shape[1], self._presence[i]
        selection = chunk.selection(presence)
        is_silent = i in self.plan.skip_attention
        if is_silent and store is not None:
            store.skip(n_seen)
        is_plain = i not in self.plan.hide_vision and (store is None or store.is_dense)
        if selection is None and (is_silent or is_plain):
            if store is not None and not is_silent:
                store.announce_all(n_seen)
            return inner(states, **arguments)

        if not is_silent:
            arguments["attention_mask"] = self._mask(i, chunk, arguments.get("attention_mask"), store)
        if selection is None:
            return inner(states, **arguments)
        arguments = chunk.cut(presence, arguments)
        output = inner(gather_tokens(states, selection, 1), **arguments)
        if isinstance(output, tuple):
            return (scatter_tokens(states, output[0], selection), *output[1:])
        return scatter_tokens(states, output, selection)

    def _mask(self, i: int, chunk: Chunk, mask: torch.Tensor | None, store: CompactLayer | None) -> torch.Tensor | None:
        """Announce what the layer will store, and cut its mask to what it will hold."""
        presence, attention = self._presence[i], self._anatomy.layers[i].self_attn
        offset = 0 if store is None else store.logical_length
        rows, has_dummies = chunk.rows(presence, offset)
        keys, new = rows, chunk.vision_rows(presence) if i in self.plan.hide_vision else None
        marks = new
        if store is not None:
            keys = store.announce(chunk.shape[1], rows, has_dummies=has_dummies, vision=new)
            has_dummies, marks = store.has_dummies, store.vision
        return chunk.mask(
            presence,
            mask,
            rows,
            keys,
            offset,
            has_dummies,
            is_causal=getattr(attention, "is_causal", True),
            hidden=None if new is None or marks is None else (~new, marks),
        )

    def _route(self, i: int, chunk: Chunk, states: torch.Tensor, router: Router) -> None:
        keep = router(
            LayerInput(
                layer=i,
                n_layers=self.n_layers,
                states=states,
                vision=chunk.vision,
                valid=chunk.valid,
                last=chunk.last,
                is_prompt=chunk.shape[1] > 1,
            )
        )
        if keep is None:
            return
        if not torch.is_tensor(keep) or keep.dtype != torch.bool or keep.shape != chunk.shape:
            got = f"{tuple(keep.shape)} of {keep.dtype}" if torch.is_tensor(keep) else type(keep).__name__
            raise InvalidInputError(
                f"need a boolean tensor of shape {tuple(chunk.shape)} or None from the router in layer {i}, got {got}"
            )
        chunk.route(i, keep)

    def _store(self, i: int, cache: Any) -> CompactLayer | None:
        if cache is None:
            return None
        index = getattr(self._anatomy.layers[i].self_attn, "layer_idx", i)
        if index >= len(cache.layers) or not isinstance(cache.layers[index], CompactLayer):
            check_cache(cache, self.plan)  # a cache that the model itself has just made
            adopt(cache, self.plan, max(self.n_layers, index + 1))
        store: CompactLayer = cache.layers[index]
        return store


def _silent_attention(hidden_states: torch.Tensor, *args: Any, **kwargs: Any) -> tuple[torch.Tensor, None]:
    return torch.zeros_like(hidden_states), None
