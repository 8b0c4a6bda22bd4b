"""The tokens of one forward, and everything per-token cut down to those present in a layer, each cut made once."""

from __future__ import annotations

from typing import Any

import torch

from extraction.skip.masks import Selection, compact_mask, gather_tokens, select_tokens
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
        self._has_vision = bool(vision.any())
        self._selections: dict[Presence, Selection | None] = {}
        self._cuts: dict[Any, Any] = {}

    def selection(self, presence: Presence) -> Selection | None:
        """The present tokens; None if all are."""
        if presence not in self._selections:
            self._selections[presence] = self._select(presence)
        return self._selections[presence]

    def _select(self, presence: Presence) -> Selection | None:
        needs_vision = not presence.vision or presence.thinned
        has_fewer_words = not presence.text and self.shape[1] > 1
        if not has_fewer_words and not (needs_vision and self._has_vision):
            return None
        present = self._last() if has_fewer_words else torch.ones_like(self._vision)
        if not presence.vision:
            present = present & ~self._vision
        elif presence.thinned:
            present = present & ~self._thinned_out()
        selection = select_tokens(present)
        return selection if selection.n_present < self.shape[1] or selection.has_dummies else None

    def _last(self) -> torch.Tensor:
        """True at the last token of each row that is not padding."""
        rows, length = self.shape
        columns = torch.arange(length, device=self._vision.device)
        last = torch.full((rows, 1), length - 1, device=columns.device)
        mask = self._attention_mask
        if torch.is_tensor(mask) and mask.ndim == 2:
            last = torch.where(mask[:, -length:].bool(), columns, 0).amax(dim=1, keepdim=True)
        return columns == last

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
    ) -> torch.Tensor | None:
        """`compact_mask`, made once for all layers that see the same tokens through the same mask."""
        key = ("mask", presence, id(mask), is_causal)
        if key not in self._cuts:
            cut = compact_mask(
                mask,
                rows=rows,
                keys=keys,
                offset=offset,
                has_dummies=has_dummies,
                is_causal=is_causal,
                is_flash=self._is_flash,
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
