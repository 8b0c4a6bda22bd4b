"""Run a plan on a model: full length outside, compact inside each decoder layer.

The model's own forward (embedding merge, positions, masks, final norm, head, generate) runs untouched at full
length. In each decoder layer: gather the present tokens of everything it is given, call the stock layer, scatter its
output into a copy of its input. What a call needs lives in its `_Run`; the model and its modules hold nothing.
"""
# Over 400 lines: what a call installs, runs and takes back reads its state in one place.

from __future__ import annotations

import contextlib
import inspect
import warnings
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from functools import partial
from typing import Any

import torch
from torch import nn

from extraction.skip.engine.cache import CompactLayer, adopt, check_cache, sequence_of
from extraction.skip.engine.calls import Handler, Key, Scope, key_of, opened_here, running
from extraction.skip.engine.capabilities import check_capabilities
from extraction.skip.engine.chunk import Chunk, Prompt
from extraction.skip.engine.masks import gather_tokens, scatter_tokens
from extraction.skip.engine.ranking import read_attention
from extraction.skip.engine.support import Anatomy, bind, cache_of, check_call, dissect, has_features, unwrapped
from extraction.skip.plan import Plan, Presence
from extraction.skip.routers import LayerInput, Router
from extraction.skip.terms.base import ATTENTION, LAYER, MLP, Routed, Term
from redundancy.errors import InvalidInputError, UnsupportedModelError

__all__ = ["Skipping", "apply"]

_PROMPTS: ContextVar[tuple[tuple[Skipping, Prompt], ...]] = ContextVar("skip_it_prompts", default=())
_LATEST: ContextVar[_Run | None] = ContextVar("skip_it_latest", default=None)


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
        A decoder-only vision-language model, or a wrapper of one (adapters, data parallel). Vision tokens are those
        whose ids in `input_ids` stand for features that the same call brings; a generated image id is text.
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
        Before anything runs: compiled models, flex attention, cross-attention models, layers of a kind in which
        leaving a token out is not defined, a family or a release of transformers that is not measured and fails the
        self-check; at the first forward: static, quantised, offloaded or foreign caches, and chunks of a prompt that
        do not show what a term must know of it.
    InvalidInputError
        If the plan does not fit the model, the model or a whole that it is part of already runs a plan here, or a
        forward brings no `input_ids`.

    Notes
    -----
    A plan belongs to calls, not to the model: those of the thread or asyncio task that opened it, and those of others
    that open none themselves (so worker threads follow the one that set them to work). Any number of threads may open
    plans on one model; ``Plan()`` opens the unmodified model. A `generate` that is under way when the context closes
    keeps its plan to the end. Copies and pickles of the model are without the plan.

    A key-value cache belongs to the plan that filled it. Sliding-window layers keep all their keys.

    Examples
    --------
    >>> from extraction.skip import apply, late_entry
    >>> with apply(model, late_entry(4)):                            # doctest: +SKIP
    ...     tokens = model.generate(**inputs, max_new_tokens=20)
    """
    model = unwrapped(model)
    anatomy = dissect(model, plan, layers_path=layers_path, vision_ids=vision_ids)
    first = key_of(anatomy.layers[0])
    if any(first in scope.table for scope in opened_here()):
        raise InvalidInputError(
            f"this {type(model).__name__}, a whole that it is part of, or a part of it already runs a plan here: join "
            "plans with + and apply them once, to the whole model"
        )
    if router is not None or not plan.is_identity(len(anatomy.layers)):
        check_capabilities(model, anatomy)
    skipping = Skipping(model, plan, anatomy, router)
    with skipping._scope.opened():
        yield skipping


class Skipping:
    """A plan at work on a model; made by `apply`.

    Parameters
    ----------
    model : Module
        The model.
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
        self.anatomy = anatomy
        self.router = router
        presence = [plan.presence(i, self.n_layers) for i in range(self.n_layers)]
        if router is not None:
            presence = [(*p, Routed(i)) for i, p in enumerate(presence)]
        for i, parts in enumerate(anatomy.parts):
            if parts.lender is not None:  # what a router leaves out there has no keys to be read here
                presence[i] = tuple(dict.fromkeys((*presence[parts.lender], *presence[i])))
        self.presence: tuple[Presence, ...] = tuple(presence)
        self.knowers: tuple[Any, ...] = plan.terms if not hasattr(router, "knows") else (*plan.terms, router)
        self.left_out = tuple(plan.left_out(i) for i in range(self.n_layers))
        self.hides = tuple(plan.hides(i) for i in range(self.n_layers))
        self.lookers = tuple(
            tuple((term, how) for term in plan.terms if (how := term.looks(i))) for i in range(self.n_layers)
        )
        self._latest: _Run | None = None
        self._scope = self._make_scope()

    @property
    def tokens_computed(self) -> tuple[int, ...]:
        """Tokens per row that each layer computed in the latest forward of this thread; zeros for the identity."""
        run = self._own_latest()
        return (0,) * self.n_layers if run is None else tuple(run.computed)

    @property
    def tokens_wasted(self) -> tuple[int, ...]:
        """Padding and dummies, of all rows together, that each layer computed in the latest forward.

        A layer computes a rectangle as wide as its longest row: with rows of one length there is no waste, and with
        others no less than this.
        """
        run = self._own_latest()
        if run is None:
            return (0,) * self.n_layers
        pairs = zip(run.computed, run.needed, strict=True)
        return tuple(run.chunk.shape[0] * width - int(needed) for width, needed in pairs)

    def _own_latest(self) -> _Run | None:
        run = _LATEST.get()
        return run if run is not None and run.skipping is self else self._latest

    def _make_scope(self) -> Scope:
        """What stands in for what: nothing for a plan that changes nothing, whose calls are only told apart."""
        layers = {key_of(layer): layer for layer in self.anatomy.layers}
        subject = key_of(self.anatomy.layers[0])
        towers = {m: h for term in self.plan.terms for m, h in term.forwards(self.model).items()}
        modules: dict[Key, nn.Module] = {key_of(module): module for module in towers}
        table: dict[Key, Handler] = {key_of(module): handler for module, handler in towers.items()}
        if self.router is None and self.plan.n_untouched(self.n_layers) == self.n_layers and not towers:
            plain = _Plain(dict.fromkeys(layers, _stock))
            table |= dict.fromkeys(layers, _stock)
            table[key_of(self.model)] = partial(_run_plain, plain)
            table[key_of(self.model, "generate")] = self._generate_plain
            return Scope(table, {}, str(self.plan), subject)
        table |= dict.fromkeys(layers, self._refuse_part)
        table[key_of(self.model)] = self._forward
        modules |= {**layers, key_of(self.model): self.model}
        for i, parts in enumerate(self.anatomy.parts):
            for part, module in ((ATTENTION, parts.attention), (MLP, parts.mlp)):
                if part in self.left_out[i] and LAYER not in self.left_out[i] and module is not None:
                    modules[key_of(module)] = module
        if hasattr(self.model, "generate"):
            table[key_of(self.model, "generate")] = self._generate
            modules[key_of(self.model, "generate")] = self.model
        return Scope(table, modules, str(self.plan), subject)

    def _refuse_part(self, inner: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        raise InvalidInputError(
            f"the plan {self.plan} was applied to a {type(self.model).__name__}: call that model, not a part; if a "
            "call of it was under way elsewhere when the plan was opened, open Plan() around that call"
        )

    def _generate_plain(self, inner: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """All forwards of one `generate` run the unmodified model, whatever is opened or closed meanwhile."""
        with self._scope.held(here=True):
            return inner(*args, **kwargs)

    def _generate(self, inner: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """`generate` knows the prompt, of which its forwards may see parts, or more than it."""
        given = inspect.signature(inner).bind_partial(*args, **kwargs).arguments
        given = {**given, **given.get("kwargs", {}), **given.get("model_kwargs", {})}
        ids = next((v for n in ("input_ids", "inputs") if torch.is_tensor(v := given.get(n)) and v.ndim == 2), None)
        config = given.get("generation_config") or getattr(self.model, "generation_config", None)
        size = given.get("prefill_chunk_size") or getattr(config, "prefill_chunk_size", None)
        if size and any(term.knows == "whole" for term in self.knowers):
            if not given.get("prefill_chunk_size"):
                raise UnsupportedModelError(
                    f"{self.plan} needs the whole prompt in one chunk, the generation config sets prefill_chunk_size="
                    f"{size}: set it to None"
                )
            warnings.warn(f"{self.plan} needs the whole prompt at once: prefill_chunk_size is left aside", stacklevel=3)
            kwargs = {**kwargs, "prefill_chunk_size": None}
        token = None
        if ids is not None:
            cache, mask = cache_of(given), given.get("attention_mask")
            start = 0 if cache is None else int(cache.get_seq_length())
            if torch.is_tensor(mask) and mask.shape[1] == ids.shape[1] and start:
                start, ids = start, ids[:, start:]  # the turns that the cache holds come along once more
            token = _PROMPTS.set((*_PROMPTS.get(), (self, Prompt(self._markers(ids), start))))
        try:
            with self._scope.held(here=True):
                return inner(*args, **kwargs)
        finally:
            if token is not None:
                _PROMPTS.reset(token)

    def _markers(self, ids: torch.Tensor) -> torch.Tensor:
        return torch.isin(ids, torch.tensor(self.anatomy.vision_ids, dtype=ids.dtype, device=ids.device))

    def _forward(self, inner: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        arguments = bind(self.model, args, kwargs)
        ids = check_call(arguments)
        cache = cache_of(arguments)
        check_cache(cache, self.plan)
        vision = self._markers(ids)
        offset = 0 if cache is None else int(cache.get_seq_length())
        # Ids without features are text, but for a model that has no tower to make features with.
        if not has_features(arguments) and (self.anatomy.has_tower or offset):
            vision = torch.zeros_like(vision)
        chunk = Chunk(
            vision,
            arguments.get("attention_mask"),
            is_flash=self.anatomy.is_flash,
            offset=offset,
            sequence=sequence_of(cache),
            prompt=next((prompt for owner, prompt in reversed(_PROMPTS.get()) if owner is self), None),
        )
        chunk.check(self.knowers)
        floor = self.anatomy.scale_floor
        if floor is not None and 2 * (offset + ids.shape[1]) >= floor:
            raise UnsupportedModelError(
                f"need less than {floor // 2} tokens in a sequence, got {offset + ids.shape[1]}: beyond, "
                f"{type(self.model).__name__} scales attention by places in the cache, where a plan leaves gaps"
            )
        run = _Run(self, chunk)
        self._latest = run
        _LATEST.set(run)
        kept = arguments.get("logits_to_keep")
        if isinstance(kept, int) and kept and any(parts.lender is not None for parts in self.anatomy.parts):
            # With a number, layers that read others' keys would compute the last tokens alone.
            kwargs = {**kwargs, "logits_to_keep": torch.arange(-kept, 0, device=ids.device)}
        with self._scope.held(here=True), running(run):
            return inner(*args, **kwargs)


def _stock(inner: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return inner(*args, **kwargs)


def _run_plain(plain: _Plain, inner: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    with running(plain):
        return inner(*args, **kwargs)


class _Plain:
    """A call of the unmodified model, while others run plans on it."""

    def __init__(self, table: dict[Key, Handler]) -> None:
        self.table = table


class _Run:
    """One forward of the model under a plan: its chunk, and what stands in for the layers and sublayers meanwhile."""

    def __init__(self, skipping: Skipping, chunk: Chunk) -> None:
        self.skipping = skipping
        self.chunk = chunk
        self.computed = [0] * skipping.n_layers
        self.needed: list[int | torch.Tensor] = [0] * skipping.n_layers
        self.memory: dict[Any, Any] = {}
        self.table: dict[Key, Handler] = {}
        for i, layer in enumerate(skipping.anatomy.layers):
            self.table[key_of(layer)] = partial(self._layer, i)
            left_out, parts = skipping.left_out[i], skipping.anatomy.parts[i]
            if ATTENTION in left_out:
                self.table[key_of(parts.attention)] = partial(_silent, parts.attention, True)
            if MLP in left_out and parts.mlp is not None:
                self.table[key_of(parts.mlp)] = partial(_silent, parts.mlp, False)

    def _layer(self, i: int, inner: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        arguments = bind(self.skipping.anatomy.layers[i], args, kwargs)
        states, chunk = arguments.pop("hidden_states"), self.chunk
        if states.shape[:2] != chunk.shape:
            raise UnsupportedModelError(
                f"need {chunk.shape} tokens in layer {i}, as in input_ids, got states of shape {tuple(states.shape)}"
            )
        if i == 0:
            chunk.settle()
        presence = self.skipping.presence[i]
        if self.skipping.router is not None:
            self._route(i, states, self.skipping.router)
        lookers = self.skipping.lookers[i] if chunk.has_vision else ()
        for term, how in lookers:
            if how == "states":
                chunk.choose(term, _checked(term, term.choose(self._view(i, states)), chunk))
        selection = chunk.selection(presence)
        store = self._store(i, cache_of(arguments))
        if LAYER in self.skipping.left_out[i] or (selection is not None and selection.n_present == 0):
            if store is not None:
                store.skip(chunk.shape[1])
            return states
        self.computed[i] = chunk.shape[1] if selection is None else selection.n_present
        self.needed[i] = chunk.n_valid if selection is None else selection.n_needed

        readers = [term for term, how in lookers if how == "attention"]
        if not readers:
            return self._compute(i, inner, states, arguments, store)
        attention = self.skipping.anatomy.parts[i].attention
        with read_attention(attention, chunk.last_slot(presence)) as found:
            output = self._compute(i, inner, states, arguments, store)
        if not found:
            raise UnsupportedModelError(
                f"{readers[0]} needs the attention of layer {i}, which {type(attention).__name__} computes without an "
                "attention function of the library; use another plan"
            )
        view = self._view(i, states, attention=chunk.spread(presence, found[-1]))
        for term in readers:
            chunk.choose(term, _checked(term, term.choose(view), chunk))
        return output

    def _compute(
        self,
        i: int,
        inner: Callable[..., Any],
        states: torch.Tensor,
        arguments: dict[str, Any],
        store: CompactLayer | None,
    ) -> Any:
        """Run the stock layer on the present tokens; frozen ones get their states back."""
        output = self._compact(i, inner, states, arguments, store)
        frozen = self.chunk.frozen(self.skipping.presence[i])
        if frozen is None:
            return output
        keep = frozen[..., None]
        if isinstance(output, tuple):
            return (torch.where(keep, states, output[0]), *output[1:])
        return torch.where(keep, states, output)

    def _compact(
        self,
        i: int,
        inner: Callable[..., Any],
        states: torch.Tensor,
        arguments: dict[str, Any],
        store: CompactLayer | None,
    ) -> Any:
        chunk, presence = self.chunk, self.skipping.presence[i]
        n_seen, selection = chunk.shape[1], chunk.selection(presence)
        parts = self.skipping.anatomy.parts[i]
        if parts.is_recurrent:
            arguments["attention_mask"] = chunk.recurrent_mask(presence, arguments.get("attention_mask"))
            return self._on_present(i, inner, states, arguments)
        if parts.lender is not None:
            arguments["attention_mask"] = self._borrowed_mask(i, parts.lender, arguments, store)
            return self._on_present(i, inner, states, arguments)
        is_silent = ATTENTION in self.skipping.left_out[i]
        if is_silent and store is not None:
            store.skip(n_seen)
        is_plain = not self.skipping.hides[i] and (store is None or store.is_dense)
        if selection is None and (is_silent or is_plain):
            if store is not None and not is_silent:
                store.announce_all(n_seen)
            return inner(states, **arguments)

        if not is_silent:
            arguments["attention_mask"] = self._mask(i, arguments.get("attention_mask"), store)
        return self._on_present(i, inner, states, arguments)

    def _on_present(self, i: int, inner: Callable[..., Any], states: torch.Tensor, arguments: dict[str, Any]) -> Any:
        """Cut everything per-token but the mask, run the stock layer, put its output back."""
        chunk, presence = self.chunk, self.skipping.presence[i]
        selection = chunk.selection(presence)
        if selection is None:
            return inner(states, **arguments)
        arguments = chunk.cut(presence, arguments)
        output = inner(gather_tokens(states, selection, 1), **arguments)
        if isinstance(output, tuple):
            return (scatter_tokens(states, output[0], selection), *output[1:])
        return scatter_tokens(states, output, selection)

    def _mask(self, i: int, mask: torch.Tensor | None, store: CompactLayer | None) -> torch.Tensor | None:
        """Announce what the layer will store, and cut its mask to what it will hold."""
        chunk, presence = self.chunk, self.skipping.presence[i]
        attention = self.skipping.anatomy.parts[i].attention
        offset = 0 if store is None else store.logical_length
        rows, has_dummies = chunk.rows(presence, offset)
        keys, new = rows, chunk.vision_rows(presence) if self.skipping.hides[i] else None
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

    def _borrowed_mask(
        self, i: int, lender: int, arguments: dict[str, Any], store: CompactLayer | None
    ) -> torch.Tensor | None:
        """Mask of a layer that reads the keys of another: those of its own present tokens alone."""
        chunk, presence, mask = self.chunk, self.skipping.presence[i], arguments.get("attention_mask")
        n_seen, theirs = chunk.shape[1], self.skipping.presence[lender]
        keeper = self._store(lender, cache_of(arguments))
        is_whole = chunk.selection(presence) is None and chunk.selection(theirs) is None
        offset = 0 if store is None else store.logical_length
        rows, has_dummies = chunk.rows(presence, offset)
        if store is None or keeper is None:
            if is_whole:
                return mask
            seen, (keys, more) = rows, chunk.rows(theirs, 0)
        else:
            is_whole &= store.is_dense and keeper.is_dense
            noted = store.note(n_seen, None if is_whole else rows)
            if noted is None:
                return mask
            seen, more = noted, keeper.has_dummies
            stored = torch.arange(keeper.n_stored, device=rows.device).expand(rows.shape[0], -1)
            keys = stored if keeper.positions is None else keeper.positions
        end = offset + n_seen
        known = torch.zeros(rows.shape[0], end + 1, dtype=torch.bool, device=rows.device)
        known = known.scatter(1, torch.where(seen >= 0, seen, end), True)[:, :end]
        absent = ~known.gather(1, keys.clamp(min=0))
        return chunk.mask(
            presence,
            mask,
            rows,
            keys,
            offset,
            has_dummies or more,
            is_causal=getattr(self.skipping.anatomy.parts[i].attention, "is_causal", True),
            hidden=(torch.ones_like(rows, dtype=torch.bool), absent),
            lender=lender,
        )

    def _view(self, i: int, states: torch.Tensor, attention: torch.Tensor | None = None) -> LayerInput:
        chunk = self.chunk
        present = chunk.present(self.skipping.presence[i])
        return LayerInput(
            layer=i,
            n_layers=self.skipping.n_layers,
            states=states,
            vision=chunk.vision,
            valid=chunk.valid,
            last=chunk.last,
            is_prompt=bool(chunk.n_prompt) or chunk.n_prompt is None,
            present=torch.ones_like(chunk.vision) if present is None else present,
            attention=attention,
            memory=self.memory,
        )

    def _route(self, i: int, states: torch.Tensor, router: Router) -> None:
        keep = router(self._view(i, states))
        if keep is None:
            return
        if not torch.is_tensor(keep) or keep.dtype != torch.bool or keep.shape != self.chunk.shape:
            got = f"{tuple(keep.shape)} of {keep.dtype}" if torch.is_tensor(keep) else type(keep).__name__
            raise InvalidInputError(
                f"need a boolean tensor of shape {tuple(self.chunk.shape)} or None from the router in layer {i}, "
                f"got {got}"
            )
        self.chunk.route(i, keep)

    def _store(self, i: int, cache: Any) -> CompactLayer | None:
        if cache is None or self.skipping.anatomy.parts[i].is_recurrent:
            return None
        plan, n_layers = self.skipping.plan, self.skipping.n_layers
        index = getattr(self.skipping.anatomy.parts[i].attention, "layer_idx", i)
        if index >= len(cache.layers) or not isinstance(cache.layers[index], CompactLayer):
            check_cache(cache, plan)  # a cache that the model itself has just made
            adopt(cache, plan, max(n_layers, index + 1), self.chunk.sequence)
        store: CompactLayer = cache.layers[index]
        return store


def _checked(term: Term, stays: torch.Tensor | None, chunk: Chunk) -> torch.Tensor | None:
    if stays is not None and (stays.dtype != torch.bool or stays.shape != chunk.shape):
        raise InvalidInputError(
            f"need a boolean tensor of shape {tuple(chunk.shape)} or None from {term.name}, got {tuple(stays.shape)} "
            f"of {stays.dtype}"
        )
    return stays


def _silent(
    module: nn.Module, is_attention: bool, inner: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """What a sublayer that adds nothing returns, in the form that its module returns."""
    given = bind(module, args, kwargs)
    states = given["hidden_states"] if "hidden_states" in given else next(iter(given.values()))
    # A sublayer that is handed the residual adds to it itself.
    nothing = given["residual"] if torch.is_tensor(given.get("residual")) else torch.zeros_like(states)
    if is_attention:
        return nothing, None
    with torch.no_grad():  # no token at all tells the form
        form = inner(
            *(a[:, :0] if torch.is_tensor(a) and a.ndim == 3 else a for a in args),
            **{n: v[:, :0] if torch.is_tensor(v) and v.ndim == 3 else v for n, v in kwargs.items()},
        )
    return (nothing, *([None] * (len(form) - 1))) if isinstance(form, tuple) else nothing
