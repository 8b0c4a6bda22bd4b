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
        "io": input and output of the layer itself. "hf": the inputs of this and the next layer, and for the
        last layer its input and the output of the final norm, which are transformers' ``hidden_states``.
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
        state = layer_input(args, rest[0])
        if previous:
            on_pair(layer_of[module] - 1, previous.pop(), state)
        # A clone, since some models add to a layer's output in place.
        previous.append(state.clone())

    def norm_hook(module: nn.Module, args: Any, output: Any) -> None:
        if own() and module is adapter.final_norm and previous:
            on_pair(adapter.n_layers, previous.pop(), first_tensor(output))

    # By module and not by place, since a deep copy made meanwhile takes the hooks along.
    layer_of = {module: layer for layer, module in enumerate(adapter.layers, start=1)}
    with ExitStack() as stack:
        own = stack.enter_context(own_calls())
        for module in adapter.layers:
            handle = (
                module.register_forward_hook(io_hook, with_kwargs=True)
                if pairing == "io"
                else module.register_forward_pre_hook(hf_hook, with_kwargs=True)
            )
            stack.callback(handle.remove)
        if pairing == "hf" and adapter.final_norm is not None:
            stack.callback(adapter.final_norm.register_forward_hook(norm_hook).remove)
        yield
