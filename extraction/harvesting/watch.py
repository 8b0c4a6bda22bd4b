"""See the input and output states of every decoder layer during one forward pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn

from extraction.models.adapters import Adapter
from extraction.models.adapters.base import first_tensor, layer_input
from redundancy.errors import InvalidInputError, UnsupportedModelError

__all__ = ["watch_layers"]

OnPair = Callable[[int, torch.Tensor, torch.Tensor], None]


@contextmanager
def watch_layers(adapter: Adapter, on_pair: OnPair, *, pairing: str = "io") -> Iterator[None]:
    """Call ``on_pair(layer, x, y)`` for layers 1..L in order while the context lasts.

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

    def io_hook(layer: int) -> Callable[..., None]:
        def hook(module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
            on_pair(layer, layer_input(args, kwargs), first_tensor(output))

        return hook

    def hf_hook(layer: int) -> Callable[..., None]:
        def hook(module: nn.Module, args: Any, kwargs: Any) -> None:
            state = layer_input(args, kwargs)
            if layer > 1:
                on_pair(layer - 1, previous.pop(), state)
            # A clone, since some models add to a layer's output in place.
            previous.append(state.clone())

        return hook

    def norm_hook(module: nn.Module, args: Any, output: Any) -> None:
        if previous:
            on_pair(adapter.n_layers, previous.pop(), first_tensor(output))

    with ExitStack() as stack:
        for layer, module in enumerate(adapter.layers, start=1):
            handle = (
                module.register_forward_hook(io_hook(layer), with_kwargs=True)
                if pairing == "io"
                else module.register_forward_pre_hook(hf_hook(layer), with_kwargs=True)
            )
            stack.callback(handle.remove)
        if pairing == "hf" and adapter.final_norm is not None:
            stack.callback(adapter.final_norm.register_forward_hook(norm_hook).remove)
        yield
