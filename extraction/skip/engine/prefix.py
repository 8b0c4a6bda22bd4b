"""Layers that a plan leaves as they are need not run again: their last output is kept from the unmodified model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn

from extraction.harvesting.taps import own_calls
from extraction.models.adapters import adapt
from extraction.models.adapters.base import layer_input
from extraction.skip.engine.calls import Handler, forced
from extraction.skip.plan import Plan

__all__ = ["SharedPrefix"]

_MOST_BYTES = 1 << 30  # of kept states; beyond, fewer depths are kept and plans start at the next shallower one


class SharedPrefix:
    """States of one batch at the depths where plans begin to differ from the unmodified model.

    A depth is used only once its first batch has shown that the logits are bit by bit those of a whole run. Where later
    layers read the keys of earlier ones nothing is shared.

    Parameters
    ----------
    model : PreTrainedModel
        In eval mode; its forward passes run without a cache.
    plans : sequence of Plan
        The plans that will run on every batch.
    """

    def __init__(self, model: nn.Module, plans: Sequence[Plan]) -> None:
        self._layers = adapt(model).layers
        config: Any = model.config
        text = config.get_text_config()
        if getattr(text, "num_kv_shared_layers", None):
            plans = ()  # later layers ask earlier ones for their keys, so those have to run
        self._depths = sorted({plan.n_untouched(len(self._layers)) for plan in plans} - {0})
        self._kept: dict[int, torch.Tensor] = {}
        self._trusted: dict[int, bool] = {}

    @contextmanager
    def record(self) -> Iterator[None]:
        """Keep the states of the unmodified forward pass that happens inside."""
        self._kept = {}
        n_kept = 0

        def keeper(depth: int, is_own: Callable[[], bool]) -> Callable[..., None]:
            def hook(_: nn.Module, __: Any, output: Any) -> None:
                nonlocal n_kept
                if not is_own() or not torch.is_tensor(output):  # a layer that returns more than its states
                    return
                n_kept += 1
                fits = max(1, _MOST_BYTES // max(1, output.nbytes))
                # Evenly thinned, the deepest always among them.
                if (len(self._depths) - n_kept) % -(-len(self._depths) // fits) == 0:
                    # A clone, since some models add to a layer's output in place.
                    self._kept[depth] = output.clone()

            return hook

        with ExitStack() as undo:
            is_own = undo.enter_context(own_calls())
            for depth in self._depths:
                undo.callback(self._layers[depth - 1].register_forward_hook(keeper(depth, is_own)).remove)
            yield

    def logits(self, plan: Plan, run: Callable[[], torch.Tensor]) -> torch.Tensor:
        """What `run` gives with the plan applied to the recorded batch, by a shorter way where that is the same."""
        untouched = plan.n_untouched(len(self._layers))
        depth = max((d for d in self._kept if d <= untouched), default=0)
        if depth and self._trusted.get(depth):
            with self._resumed(depth):
                return run()
        logits = run()
        if depth and depth not in self._trusted:
            with self._resumed(depth):
                self._trusted[depth] = torch.equal(run(), logits)
        return logits

    @contextmanager
    def _resumed(self, depth: int) -> Iterator[None]:
        """The first layers hand their input on, the one before `depth` gives the kept states."""
        handlers: dict[nn.Module, Handler] = {
            layer: lambda _, args, kwargs: layer_input(args, kwargs) for layer in self._layers[: depth - 1]
        }
        handlers[self._layers[depth - 1]] = lambda *_: self._kept[depth].clone()
        with forced(handlers):
            yield
