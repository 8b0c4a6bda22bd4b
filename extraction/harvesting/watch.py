"""See the input and output states of every decoder layer during one forward pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn

from extraction.harvesting.taps import own_calls
from extraction.models.adapters import Adapter
from extraction.models.adapters.base import first_tensor, layer_input
from redundancy.errors import InvalidInputError, UnsupportedModelError

__all__ = ["watch_layers"]

OnPair = Callable[[int, torch.Tensor, torch.Tensor], None]


@contextmanager
def watch_layers(adapter: Adapter, on_pair: OnPair, *, pairing: str = "io") -> Iterator[None]:
    """Call ``on_pair(layer, x, y)`` for layers 1..L in order while the context lasts, in calls from this context.

    Parameters
    ----------
    adapter : Adapter
        Layers and final norm.
    on_pair : callable
        Gets the layer (from 1) and two states of shape (B, S, d).
    pairing : {"io", "hf"}
        "io": input and output of the layer itself. "hf": the outputs of the layer before and of this one, for the
        first layer its own input, and for the last one the output of the final norm instead of its own: these are
        transformers' ``hidden_states``. The two differ where a model changes states between layers.
    """
    if pairing not in ("io", "hf"):
        raise InvalidInputError(f'need a pairing "io" or "hf", got {pairing!r}')
    if pairing == "hf" and adapter.final_norm is None:
        raise UnsupportedModelError(
            f'need a final norm for pairing "hf", the {adapter.model_type} model shows none; use pairing "io"'
        )
    previous: list[torch.Tensor] = []

    # The hooks take what comes: torch drops a hook's wish for keyword arguments a moment before the hook itself, and
    # another thread may be calling the model then.
    def io_hook(module: nn.Module, args: Any, *rest: Any) -> None:
        if own() and module in layer_of:
            on_pair(layer_of[module], layer_input(args, rest[0]), first_tensor(rest[1]))

    def hf_hook(module: nn.Module, args: Any, *rest: Any) -> None:
        if not own() or module not in layer_of:
            return
        layer, state = layer_of[module], first_tensor(rest[1])
        x = layer_input(args, rest[0]).clone() if layer == 1 else previous.pop()
        if layer < adapter.n_layers:
            on_pair(layer, x, state)
            x = state.clone()  # since some models add to a layer's output in place
        previous[:] = [x]

    def norm_hook(module: nn.Module, args: Any, output: Any) -> None:
        if own() and module is adapter.final_norm and previous:
            on_pair(adapter.n_layers, previous.pop(), first_tensor(output))

    # By module and not by place, since a deep copy made meanwhile takes the hooks along.
    layer_of = {module: layer for layer, module in enumerate(adapter.layers, start=1)}
    with ExitStack() as stack:
        own = stack.enter_context(own_calls())
        for module in adapter.layers:
            hook = io_hook if pairing == "io" else hf_hook
            stack.callback(module.register_forward_hook(hook, with_kwargs=True).remove)
        if pairing == "hf" and adapter.final_norm is not None:
            stack.callback(adapter.final_norm.register_forward_hook(norm_hook).remove)
        yield
