"""Look at a running model from one thread or task alone: whoever opens a tap sees the calls of its own context."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import AttentionInterface

__all__ = ["AttentionCall", "own_calls", "tap_calls"]

_Interface: Any = AttentionInterface
# A context variable belongs to a thread and to an asyncio task, so neither sees what another has opened.
_OPEN: ContextVar[tuple[object, ...]] = ContextVar("skip_it_open_observers", default=())
_LOCK = threading.Lock()
_N_TAPS: dict[Any, int] = {}  # of each wrapper that stands in the registry


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
        Keyword arguments for `extraction.harvesting.attention.attention_rows`.
    """

    query: torch.Tensor
    key: torch.Tensor
    value: torch.Tensor
    mask: Any
    options: dict[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class _Tap:
    """Whom to tell of calls of which modules."""

    layer_of: dict[int, int]
    on_call: Callable[[int, AttentionCall], None]


@contextmanager
def own_calls(observer: object | None = None) -> Iterator[Callable[[], bool]]:
    """Tell calls of this thread or task from those of others that run the same model.

    A hook belongs to a module, and so to everyone who calls it. A hook that asks the function which this yields
    first, and does nothing on False, sees the calls of the context that opened it.

    Parameters
    ----------
    observer : object, optional
        What to find in this context; a new object by default.

    Yields
    ------
    callable
        Whether the code that runs now was called from where this was opened.

    Notes
    -----
    Observers may be closed in any order.
    """
    mine = object() if observer is None else observer
    _OPEN.set((*_OPEN.get(), mine))
    try:
        yield lambda: any(one is mine for one in _OPEN.get())
    finally:
        _OPEN.set(tuple(one for one in _OPEN.get() if one is not mine))


@contextmanager
def tap_calls(
    attentions: Sequence[nn.Module | None],
    on_call: Callable[[int, AttentionCall], None],
    on_shares: Callable[[int, torch.Tensor], None],
) -> Iterator[None]:
    """Look at every attention that the given modules compute inside the context; nothing that they compute changes.

    The registered attention functions in use are wrapped as long as anyone looks, and only calls of the given
    modules from this thread or task are looked at (a vision tower shares the registry, and so do all models). The
    name of the implementation does not change, so the model takes the very same path. Eager attention is no
    registered function; there its returned weights are read.

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

    def from_weights(layer: int, own: Callable[[], bool]) -> Callable[..., None]:
        def hook(module: nn.Module, args: Any, output: Any) -> None:
            if not own() or layer_of.get(id(module)) != layer:  # a deep copy brings its own module
                return
            shares = output[1] if isinstance(output, tuple) and len(output) > 1 else None
            if torch.is_tensor(shares) and shares.dim() == 4:
                on_shares(layer, shares)

        return hook

    with ExitStack() as stack:
        own = stack.enter_context(own_calls(_Tap(layer_of, on_call)))
        names = set()
        for i, module in enumerate(attentions):
            if module is None:
                continue
            name = getattr(getattr(module, "config", None), "_attn_implementation", None)
            if name == "eager":
                stack.callback(module.register_forward_hook(from_weights(i, own)).remove)
            elif name is not None:
                names.add(name)
        for name in sorted(names):
            stack.callback(_close, name, _open(name))
        yield


def _open(name: str) -> Any:
    """The wrapper that stands in the registry under `name`, put there if need be."""
    with _LOCK:
        function = _Interface()[name]
        if function not in _N_TAPS:
            function = _wrap(function)
            _Interface.register(name, function)
        _N_TAPS[function] = _N_TAPS.get(function, 0) + 1
        return function


def _close(name: str, wrapper: Any) -> None:
    """The last to look puts the original back, unless somebody else has registered another function since."""
    with _LOCK:
        _N_TAPS[wrapper] -= 1
        if _N_TAPS[wrapper]:
            return
        del _N_TAPS[wrapper]
        if _Interface()[name] is wrapper:
            _Interface.register(name, wrapper.__wrapped__)


def _wrap(function: Callable[..., Any]) -> Any:
    def tapped(
        module: nn.Module,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: Any,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        for tap in _OPEN.get():
            layer = tap.layer_of.get(id(module)) if isinstance(tap, _Tap) else None
            if layer is not None and isinstance(tap, _Tap):
                tap.on_call(layer, AttentionCall(query, key, value, attention_mask, _options(module, kwargs)))
        return function(module, query, key, value, attention_mask, *args, **kwargs)

    wrapper: Any = tapped
    wrapper.__wrapped__ = function
    return wrapper


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
