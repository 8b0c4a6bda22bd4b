"""A key-value cache layer whose contents are shorter than the sequence that the model has seen.

transformers builds one mask per forward, sized by one representative layer of the cache, so every layer must
report the same *logical* length: the number of tokens the model has seen. Keys and values are kept for the
tokens that were present in the layer, each with its logical position.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers.cache_utils import DynamicCache, DynamicLayer, DynamicSlidingWindowLayer

from extraction.skip.engine.chunk import Sequence
from extraction.skip.plan import Plan
from redundancy.errors import UnsupportedModelError

__all__ = ["CompactLayer", "adopt", "check_cache", "sequence_of"]

DUMMY = -1  # position of an entry that only fills up a shorter row


class CompactLayer(DynamicLayer):  # type: ignore[no-untyped-call]
    """Keys and values of the present tokens, with logical positions.

    Attributes
    ----------
    plan : Plan
        The plan that fills the layer; another plan must not continue it.
    sequence : Sequence
        What was decided once for the sequence; all layers of a cache share it.
    logical_length : int
        Tokens that the model has seen.
    is_dense : bool
        Whether all of them are stored, in order.
    positions : Tensor of shape (batch, stored) or None
        Logical position of every stored entry, -1 for a dummy. None while the layer is dense or stores nothing.
    vision : BoolTensor of shape (batch, stored) or None
        True at entries of vision tokens; kept only in layers that hide them from text.
    has_dummies : bool
        Whether some entry may be a dummy; known on the host, so that nothing waits for the device.
    """

    def __init__(self, plan: Plan, sequence: Sequence, *, is_sliding: bool = False) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.plan = plan
        self.sequence = sequence
        self.is_sliding = is_sliding
        self.logical_length = 0
        self.is_dense = True
        self.positions: torch.Tensor | None = None
        self.vision: torch.Tensor | None = None
        self.has_dummies = False
        self._announced = 0

    @property
    def n_stored(self) -> int:
        """Physical entries per row, dummies included."""
        return 0 if self.keys is None else self.keys.shape[-2]

    def announce_all(self, n_seen: int) -> None:
        """Say that the next `update` brings the `n_seen` new tokens of the sequence; the layer must be dense."""
        if not self.is_dense:
            raise ValueError("a layer that has left tokens out needs the positions of every later chunk")
        self.logical_length += n_seen
        self._announced = n_seen

    def announce(
        self, n_seen: int, positions: torch.Tensor, *, has_dummies: bool, vision: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Say that of `n_seen` new tokens the next `update` brings those at `positions`, shape (batch, present).

        Returns the positions of all that will then be stored. `vision` marks the new vision tokens; a layer
        that is given it once must be given it always.
        """
        old = self.positions
        if old is None:
            old = torch.arange(self.n_stored, device=positions.device).expand(positions.shape[0], -1)
        self.positions = torch.cat([old, positions], dim=1)
        if vision is not None:
            self.vision = vision if self.vision is None else torch.cat([self.vision, vision], dim=1)
        self.is_dense = False
        self.has_dummies |= has_dummies
        self.logical_length += n_seen
        self._announced = n_seen
        return self.positions

    def note(self, n_seen: int, positions: torch.Tensor | None) -> torch.Tensor | None:
        """Say which of `n_seen` new tokens a layer that reads another's keys computes; None for all.

        Returns the positions of all that it has computed, or None if it has computed every token so far.
        """
        if positions is None and self.is_dense:
            self.logical_length += n_seen
            return None
        assert positions is not None
        old = self.positions
        if old is None:
            old = torch.arange(self.logical_length, device=positions.device).expand(positions.shape[0], -1)
        self.positions = torch.cat([old, positions], dim=1)
        self.is_dense = False
        self.logical_length += n_seen
        return self.positions

    def skip(self, n_seen: int) -> None:
        """The model saw `n_seen` tokens, of which this layer stores none."""
        if self.is_dense and self.keys is not None:
            self.positions = torch.arange(self.n_stored, device=self.keys.device).expand(self.keys.shape[0], -1)
        self.is_dense = False
        self.logical_length += n_seen

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append the keys and values that were announced."""
        if not self._announced:
            raise UnsupportedModelError(
                f"this cache was filled under the plan {self.plan}: continue it inside apply() with that plan"
            )
        self._announced = 0
        return super().update(key_states, value_states, *args, **kwargs)

    def get_seq_length(self) -> int:
        """Logical length, before the tokens whose keys the layer is about to compute."""
        return self.logical_length - self._announced

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Mask columns are logical positions from 0, in sliding layers too."""
        return self.logical_length + query_length, 0

    def reset(self) -> None:
        """Forget everything."""
        super().reset()
        self.logical_length = 0
        self.is_dense, self.positions, self.vision = True, None, None
        self.has_dummies, self._announced = False, 0
        self.sequence.has_vision = False

    def reorder_cache(self, beam_idx: torch.LongTensor) -> None:
        """Reorder the rows for beam search."""
        self._take_rows(lambda x: x.index_select(0, beam_idx.to(x.device)))

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Repeat every row."""
        self._take_rows(lambda x: x.repeat_interleave(repeats, dim=0))

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        """Keep some rows."""
        self._take_rows(lambda x: x[indices.to(x.device)])

    def _take_rows(self, take: Any) -> None:
        if self.is_initialized:
            self.keys, self.values = take(self.keys), take(self.values)
        if self.positions is not None:
            self.positions = take(self.positions)
        if self.vision is not None:
            self.vision = take(self.vision)

    def crop(self, tokens_to_remove: int) -> None:
        """Forget the last `tokens_to_remove` tokens (a number <= 0, as in transformers) of the sequence."""
        if tokens_to_remove > 0:
            raise ValueError(f"need a number <= 0 of tokens to crop, got {tokens_to_remove}")
        if tokens_to_remove == 0:
            return
        length = max(0, self.logical_length + tokens_to_remove)
        n_stored = self.n_stored
        if n_stored:
            if self.positions is None:
                n_stored = min(n_stored, length)
            else:
                # Rows may lose different numbers of entries: the surplus of a row becomes dummies.
                kept = self.positions.masked_fill(self.positions >= length, DUMMY)
                used = (kept >= 0).any(dim=0).nonzero()
                n_stored = int(used[-1]) + 1 if len(used) else 0
                self.positions = kept[:, :n_stored]
                self.has_dummies = bool((self.positions < 0).any())
                if self.vision is not None:
                    self.vision = self.vision[:, :n_stored]
            keep = slice(0, n_stored)
            self.keys, self.values = self.keys[..., keep, :], self.values[..., keep, :]  # type: ignore[index]
        self.logical_length = length


def is_recurrent(layer: Any) -> bool:
    """Whether a layer of a cache holds a state that runs along the sequence, and no keys."""
    return hasattr(layer, "has_previous_state") and not isinstance(layer, DynamicLayer)


def check_cache(cache: Any, plan: Plan) -> None:
    """Refuse, before anything runs, a cache that cannot hold compact layers.

    Raises
    ------
    UnsupportedModelError
        For a static, quantised, offloaded or encoder-decoder cache, for a layer without keys and values
        of its own, and for a cache that something else has filled.
    """
    if cache is None:
        return
    if type(cache) is not DynamicCache:
        raise UnsupportedModelError(
            f"skipping needs a DynamicCache, whose layers may differ in length, got a {type(cache).__name__}; "
            "drop cache_implementation or pass use_cache=False"
        )
    if cache.offloading:
        raise UnsupportedModelError("skipping needs a cache that stays on the device, got an offloaded one")
    layer: Any
    for i, layer in enumerate(cache.layers):
        if isinstance(layer, CompactLayer):
            if layer.plan != plan:
                raise UnsupportedModelError(
                    f"need a fresh cache for the plan {plan}, got one that the plan {layer.plan} has filled"
                )
        elif is_recurrent(layer):
            continue  # the layers with keys tell whose it is
        elif type(layer).__name__ == "DummyLayer":
            continue  # of a layer that reads another's keys
        elif type(layer) not in (DynamicLayer, DynamicSlidingWindowLayer):
            raise UnsupportedModelError(
                f"skipping needs softmax attention with a cache of its own in every layer, layer {i} has a "
                f"{type(layer).__name__}"
            )
        elif layer.get_seq_length():
            raise UnsupportedModelError(
                f"need a fresh cache for the plan {plan}, got one with {layer.get_seq_length()} tokens of the "
                "unmodified model"
            )


def adopt(cache: Any, plan: Plan, n_layers: int, sequence: Sequence) -> None:
    """Turn the empty layers of a checked cache into compact ones, in place."""
    for i in range(n_layers):
        if i == len(cache.layers):
            cache.layers.append(CompactLayer(plan, sequence))
        elif not isinstance(cache.layers[i], CompactLayer) and not is_recurrent(cache.layers[i]):
            cache.layers[i] = CompactLayer(plan, sequence, is_sliding=getattr(cache.layers[i], "is_sliding", False))


def sequence_of(cache: Any) -> Sequence:
    """What was decided for the sequence that a cache holds; nothing yet without one."""
    layers = () if cache is None else cache.layers
    return next((layer.sequence for layer in layers if isinstance(layer, CompactLayer)), Sequence())
