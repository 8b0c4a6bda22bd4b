"""The tokens of one forward, and everything per-token cut down to those present in a layer, each cut made once."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import torch

from extraction.skip.engine.masks import Selection, compact_mask, gather_tokens, select_tokens
from extraction.skip.plan import Plan, Presence

__all__ = ["Chunk"]


class Chunk:
    """What one forward of the model computes: a prompt, a part of one, or one new token per row.

    Layers with equal `Presence` share every cut, so the device is waited for at most once per presence.

    Parameters
    ----------
    plan : Plan
        For the draw of `Plan.keep_vision`.
    vision : BoolTensor of shape (batch, chunk)
        True at vision tokens.
    attention_mask : Tensor or None
        The mask that the model was called with; a 2-D one tells the last token of each row.
    is_flash : bool
        Whether attention masks are 2-D.
    """

    def __init__(self, plan: Plan, vision: torch.Tensor, attention_mask: Any, *, is_flash: bool) -> None:
        self.shape = vision.shape
        self._plan = plan
        self._vision = vision
        self._attention_mask = attention_mask
        self._is_flash = is_flash
        self.has_vision = bool(vision.any())
        self._ranked_out: torch.Tensor | None = None
        self._routed: dict[int, torch.Tensor] = {}
        self._selections: dict[Presence, Selection | None] = {}
        self._cuts: dict[Any, Any] = {}

    def selection(self, presence: Presence) -> Selection | None:
        """The present tokens; None if all are."""
        if presence not in self._selections:
            self._selections[presence] = self._select(presence)
        return self._selections[presence]

    def _select(self, presence: Presence) -> Selection | None:
        needs_vision = not presence.vision or presence.thinned or (presence.ranked and self._ranked_out is not None)
        has_fewer_words = not presence.text and self.shape[1] > 1
        routed = self._routed.get(presence.routed)
        if not has_fewer_words and routed is None and not (needs_vision and self.has_vision):
            return None
        present = self.last if has_fewer_words else torch.ones_like(self._vision)
        if not presence.vision:
            present = present & ~self._vision
        elif presence.thinned:
            present = present & ~self._thinned_out()
        if presence.ranked and self._ranked_out is not None:
            present = present & ~self._ranked_out
        if routed is not None:
            present = present & routed
        selection = select_tokens(present, self.valid if self._may_pad else None)
        return selection if selection.n_present < self.shape[1] or selection.has_dummies else None

    @cached_property
    def valid(self) -> torch.Tensor:
        """False at padding, shape (batch, chunk)."""
        if self._may_pad:
            mask: torch.Tensor = self._attention_mask
            return mask[:, -self.shape[1] :].bool()
        return torch.ones_like(self._vision)

    @property
    def _may_pad(self) -> bool:
        """Whether a mask of padding came with the call; a lone token of each row is never padding."""
        mask = self._attention_mask
        return torch.is_tensor(mask) and mask.ndim == 2 and self.shape[1] > 1

    @cached_property
    def n_valid(self) -> torch.Tensor:
        """Tokens of all rows that are not padding, left on the device."""
        return self.valid.sum()

    @cached_property
    def last(self) -> torch.Tensor:
        """True at the last token of each row that is not padding, shape (batch, chunk)."""
        columns = torch.arange(self.shape[1], device=self._vision.device)
        return columns == torch.where(self.valid, columns, 0).amax(dim=1, keepdim=True)

    @property
    def vision(self) -> torch.Tensor:
        """True at vision tokens, shape (batch, chunk)."""
        return self._vision

    def route(self, layer: int, keep: torch.Tensor) -> None:
        """Leave out of `layer`, besides what the plan says, the tokens where `keep` is False."""
        self._routed[layer] = keep.to(self._vision.device)

    def last_slot(self, presence: Presence) -> torch.Tensor:
        """Place of the last prompt token among the present tokens, shape (batch, 1)."""
        selection = self.selection(presence)
        if selection is None:
            return self.last.int().argmax(dim=1, keepdim=True)
        return (self.last.gather(1, selection.source) & (selection.index >= 0)).int().argmax(dim=1, keepdim=True)

    def rank(self, presence: Presence, scores: torch.Tensor) -> None:
        """Let the least of the present vision tokens leave, by `scores` of shape (batch, present); ties: the first."""
        vision, scores = self.vision_rows(presence), scores.to(self._vision.device)
        order = scores.masked_fill(~vision, torch.inf).argsort(dim=1, stable=True)
        ranks = order.argsort(dim=1)
        assert self._plan.fastv is not None
        # As Plan.n_dropped, without waiting for the device.
        n_out = (vision.sum(dim=1, keepdim=True).double() * self._plan.fastv[1] + 0.5).floor()
        out = (ranks < n_out) & vision
        selection = self.selection(presence)
        if selection is None:
            self._ranked_out = out
        else:
            # Dummies point at a column of their own, which is cut off.
            target = torch.where(selection.index >= 0, selection.index, self.shape[1])
            wide = torch.zeros(self.shape[0], self.shape[1] + 1, dtype=torch.bool, device=out.device)
            self._ranked_out = wide.scatter(1, target, out)[:, :-1]

    def vision_rows(self, presence: Presence) -> torch.Tensor:
        """True at vision tokens among the present ones, shape (batch, present)."""
        selection = self.selection(presence)
        if selection is None:
            return self._vision
        return self._vision.gather(1, selection.source) & (selection.index >= 0)

    def _thinned_out(self) -> torch.Tensor:
        """True at vision tokens that the draw leaves out."""
        counts = self._vision.sum(dim=1).tolist()
        out = torch.zeros(self.shape, dtype=torch.bool)
        for v in set(counts):
            generator = torch.Generator().manual_seed(self._plan.seed)
            drop = torch.randperm(v, generator=generator)[self._plan.n_kept(v) :]
            for row in (b for b, count in enumerate(counts) if count == v):
                out[row, self._vision[row].nonzero()[:, 0].cpu()[drop]] = True
        return out.to(self._vision.device)

    def rows(self, presence: Presence, offset: int) -> tuple[torch.Tensor, bool]:
        """Logical positions of the present tokens, -1 for dummies, and whether there are dummies."""
        key = ("rows", presence, offset)
        if key not in self._cuts:
            selection = self.selection(presence)
            if selection is None:
                chunk = torch.arange(self.shape[1], device=self._vision.device).expand(self.shape)
                self._cuts[key] = (chunk + offset, False)
            else:
                moved = torch.where(selection.index >= 0, selection.index + offset, selection.index)
                self._cuts[key] = (moved, selection.has_dummies)
        rows, has_dummies = self._cuts[key]
        return rows, has_dummies

    def mask(
        self,
        presence: Presence,
        mask: torch.Tensor | None,
        rows: torch.Tensor,
        keys: torch.Tensor,
        offset: int,
        has_dummies: bool,
        *,
        is_causal: bool,
        hidden: tuple[torch.Tensor, torch.Tensor] | None = None,
    ) -> torch.Tensor | None:
        """`compact_mask`, made once for all layers that see the same tokens through the same mask."""
        key = ("mask", presence, id(mask), is_causal, hidden is not None)
        if key not in self._cuts:
            cut = compact_mask(
                mask,
                rows=rows,
                keys=keys,
                offset=offset,
                has_dummies=has_dummies,
                is_causal=is_causal,
                is_flash=self._is_flash,
                hidden=hidden,
            )
            self._cuts[key] = (cut, mask)  # holding `mask` keeps its id from being used again
        result: torch.Tensor | None = self._cuts[key][0]
        return result

    def cut(self, presence: Presence, arguments: dict[str, Any]) -> dict[str, Any]:
        """Arguments of a layer with every per-token tensor reduced to the present tokens."""
        return {name: self._cut(presence, name, value) for name, value in arguments.items()}

    def _cut(self, presence: Presence, name: str, value: Any) -> Any:
        if name in ("attention_mask", "past_key_values") or value is None:
            return value
        if isinstance(value, (tuple, list)):
            return tuple(self._cut(presence, name, part) for part in value)
        axis = self._token_axis(name, value) if torch.is_tensor(value) else None
        if axis is None:
            return value
        key = ("cut", presence, id(value))
        if key not in self._cuts:
            selection = self.selection(presence)
            assert selection is not None
            batched = value[None] if value.ndim == 1 else value
            self._cuts[key] = (gather_tokens(batched, selection, axis), value)
        return self._cuts[key][0]

    def _token_axis(self, name: str, value: torch.Tensor) -> int | None:
        """Axis of the tokens, which follows the batch axis: last in ids, last but one in rotary tables."""
        rows, length = self.shape
        if name == "position_ids":
            return -1 if value.shape[-1] == length else None
        if name == "position_embeddings":
            return -2 if value.shape[-2] == length else None
        return 1 if value.ndim >= 2 and value.shape[1] == length and value.shape[0] in (1, rows) else None
