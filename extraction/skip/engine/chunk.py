"""The tokens of one forward, and everything per-token cut down to those present in a layer, each cut made once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import nn

from extraction.skip.engine.masks import Selection, compact_mask, gather_tokens, select_tokens
from extraction.skip.engine.support import CACHE_NAMES
from extraction.skip.plan import Presence
from extraction.skip.terms.base import Term
from redundancy.errors import UnsupportedModelError

__all__ = ["Chunk", "Prompt", "Sequence"]


@dataclass(slots=True)
class Sequence:
    """What is decided once for a sequence and lives with its cache.

    Attributes
    ----------
    has_vision : bool
        Whether a chunk with vision tokens has been seen.
    """

    has_vision: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Prompt:
    """The whole prompt of a `generate` call, of which forwards may see parts, or more than it.

    Attributes
    ----------
    vision : BoolTensor of shape (rows, columns)
        True at ids of vision tokens.
    start : int
        Logical position of its first column: tokens that a cache brings along.
    """

    vision: torch.Tensor
    start: int

    @property
    def end(self) -> int:
        """Logical position after its last column."""
        return self.start + int(self.vision.shape[1])


class Chunk:
    """What one forward of the model computes: a prompt, a part of one, new tokens after it, or both.

    Layers with equal `Presence` share every cut, so the device is waited for at most once per presence.

    Parameters
    ----------
    vision : BoolTensor of shape (batch, chunk)
        True at vision tokens.
    attention_mask : Tensor or None
        The mask that the model was called with; a 2-D one tells the last token of each row.
    is_flash : bool
        Whether attention masks are 2-D.
    offset : int, default=0
        Tokens of the sequence before this chunk.
    sequence : Sequence, optional
        What was decided for the sequence before.
    prompt : Prompt, optional
        The prompt that `generate` was called with. Without it the first chunk of a sequence is taken for its prompt,
        and a chunk of one token for an answer's; what a longer one is cannot be told.
    """

    def __init__(
        self,
        vision: torch.Tensor,
        attention_mask: Any,
        *,
        is_flash: bool,
        offset: int = 0,
        sequence: Sequence | None = None,
        prompt: Prompt | None = None,
    ) -> None:
        self.shape = vision.shape
        self.offset = offset
        self._vision = vision
        self._attention_mask = attention_mask
        self._is_flash = is_flash
        self.sequence = Sequence() if sequence is None else sequence
        self._prompt = prompt
        self.has_vision = bool(vision.any())
        self.chosen: dict[Term, torch.Tensor] = {}
        self._routed: dict[int, torch.Tensor] = {}
        self._selections: dict[Presence, Selection | None] = {}
        self._cuts: dict[Any, Any] = {}

    # Where the prompt is

    @property
    def n_prompt(self) -> int | None:
        """How many of the columns belong to the prompt; None if that cannot be told."""
        length = self.shape[1]
        if self._prompt is not None:
            return min(max(self._prompt.end - self.offset, 0), length)
        if self.offset == 0:
            return length
        return 0 if length == 1 else None

    @property
    def has_prompt_end(self) -> bool:
        """Whether the last token of the prompt is in this chunk."""
        if self._prompt is None:
            return self.offset == 0
        return self.offset < self._prompt.end <= self.offset + self.shape[1]

    def check(self, terms: Iterable[Any]) -> None:
        """Refuse, before anything runs, a chunk that does not show what a term must know of the prompt.

        Raises
        ------
        UnsupportedModelError
            With the term and what to do.
        """
        is_later = self.sequence.has_vision
        covered = self._prompt is not None and self._prompt.start == 0
        for term in terms:
            needs = term.knows
            lacks = None
            if needs in ("end", "whole") and self.n_prompt is None and (needs == "end" or is_later):
                lacks = f"where the prompt ends, and a chunk of {self.shape[1]} tokens after others does not tell"
            elif needs == "end" and self.offset and self._prompt is not None and 0 < self._prompt.start <= self.offset:
                if self.n_prompt:
                    lacks = "one prompt for each sequence, and this one goes on with another"
            elif needs in ("vision", "whole") and self.has_vision and is_later and not (needs == "vision" and covered):
                lacks = "all vision tokens of a sequence at once, and this chunk brings more"
            elif needs == "whole" and self.has_vision and not self.has_prompt_end:
                lacks = "the prompt in one chunk, and this one ends before it"
            if lacks is not None:
                raise UnsupportedModelError(
                    f"{term} needs {lacks}: give the whole prompt in one call, or use `generate` without earlier turns"
                )

    def settle(self) -> None:
        """Keep with the sequence what this chunk decided."""
        self.sequence.has_vision |= self.has_vision

    def prompt_vision(self) -> torch.Tensor:
        """True at vision tokens of the whole prompt, as far as they are known, shape (batch, columns)."""
        if self._prompt is None or self._prompt.start:
            return self._vision
        return self._prompt.vision.repeat_interleave(self.shape[0] // self._prompt.vision.shape[0], dim=0)

    def of_prompt(self, values: torch.Tensor) -> torch.Tensor:
        """Values of `prompt_vision`'s columns at the vision tokens of this chunk; False elsewhere."""
        if self._prompt is not None and not self._prompt.start:
            values = values[:, self.offset : self.offset + self.shape[1]]
            values = nn.functional.pad(values, (0, self.shape[1] - values.shape[1]))
        return values & self._vision

    @cached_property
    def from_last_prompt_token(self) -> torch.Tensor | None:
        """True at the last token of the prompt and all after it; None in a chunk after the prompt."""
        if self.n_prompt == 0:
            return None
        columns = torch.arange(self.shape[1], device=self._vision.device)
        after = columns >= (self.n_prompt or 0)
        return self.last | after if self.has_prompt_end else after.expand(self.shape)

    # Who is present

    def selection(self, presence: Presence) -> Selection | None:
        """The present tokens; None if all are."""
        if presence not in self._selections:
            self._selections[presence] = self._select(presence)
        return self._selections[presence]

    def _select(self, presence: Presence) -> Selection | None:
        present = self.present(presence)
        if present is None:
            return None
        selection = select_tokens(present, self.valid if self._may_pad else None)
        return selection if selection.n_present < self.shape[1] or selection.has_dummies else None

    def present(self, presence: Presence) -> torch.Tensor | None:
        """Where tokens are present, padding not told apart, shape (batch, chunk); None if all are."""
        masks = [
            cut.present(self) for cut in presence if not cut.is_frozen and (self.has_vision or not cut.is_of_vision)
        ]
        present: torch.Tensor | None = None
        for mask in masks:
            if mask is not None:
                present = mask if present is None else present & mask
        return present

    def frozen(self, presence: Presence) -> torch.Tensor | None:
        """True where states pass through while keys are kept, shape (batch, chunk); None if nowhere."""
        frozen: torch.Tensor | None = None
        for cut in presence:
            stays = cut.present(self) if cut.is_frozen and (self.has_vision or not cut.is_of_vision) else None
            if stays is not None:
                frozen = ~stays if frozen is None else frozen | ~stays
        return frozen

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
        """True at the last prompt token of each row that is not padding, else at its last token, (batch, chunk)."""
        columns = torch.arange(self.shape[1], device=self._vision.device)
        own = self.valid & (columns < self.n_prompt) if self.n_prompt else self.valid
        return columns == torch.where(own, columns, 0).amax(dim=1, keepdim=True)

    @property
    def vision(self) -> torch.Tensor:
        """True at vision tokens, shape (batch, chunk)."""
        return self._vision

    def route(self, layer: int, keep: torch.Tensor) -> None:
        """Leave out of `layer`, besides what the plan says, the tokens where `keep` is False."""
        self._routed[layer] = keep.to(self._vision.device)

    def routed(self, layer: int) -> torch.Tensor | None:
        """Tokens that a router left in `layer`; None if it was not asked or left all."""
        return self._routed.get(layer)

    def last_slot(self, presence: Presence) -> torch.Tensor:
        """Place of the last prompt token among the present tokens, shape (batch, 1)."""
        selection = self.selection(presence)
        if selection is None:
            return self.last.int().argmax(dim=1, keepdim=True)
        return (self.last.gather(1, selection.source) & (selection.index >= 0)).int().argmax(dim=1, keepdim=True)

    def spread(self, presence: Presence, values: torch.Tensor) -> torch.Tensor:
        """Values (batch, present) at their places in the chunk; 0 at tokens that are not present."""
        selection, values = self.selection(presence), values.to(self._vision.device)
        if selection is None:
            return values
        # Dummies point at a column of their own, which is cut off.
        target = torch.where(selection.index >= 0, selection.index, self.shape[1])
        wide = torch.zeros(self.shape[0], self.shape[1] + 1, dtype=values.dtype, device=values.device)
        return wide.scatter(1, target, values)[:, :-1]

    def choose(self, term: Term, stays: torch.Tensor | None) -> None:
        """Keep a term's choice; layers that go by it are cut anew."""
        if stays is not None:
            self.chosen[term] = stays

    def vision_rows(self, presence: Presence) -> torch.Tensor:
        """True at vision tokens among the present ones, shape (batch, present)."""
        selection = self.selection(presence)
        if selection is None:
            return self._vision
        return self._vision.gather(1, selection.source) & (selection.index >= 0)

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
        lender: int | None = None,
    ) -> torch.Tensor | None:
        """`compact_mask`, made once for all layers that see the same tokens through the same mask.

        More than eight parameters, one for each thing that tells two masks apart.
        """
        key = ("mask", presence, id(mask), is_causal, hidden is not None, lender)
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

    def recurrent_mask(self, presence: Presence, mask: torch.Tensor | None) -> torch.Tensor | None:
        """A mask of padding (batch, chunk) for layers that run along the sequence, cut to the present tokens."""
        selection = self.selection(presence)
        if selection is None or (mask is None and not selection.has_dummies):
            return mask
        real = selection.index >= 0
        return real if mask is None else mask.gather(1, selection.source).masked_fill(~real, 0)

    def cut(self, presence: Presence, arguments: dict[str, Any]) -> dict[str, Any]:
        """Arguments of a layer with every per-token tensor reduced to the present tokens."""
        return {name: self._cut(presence, name, value) for name, value in arguments.items()}

    def _cut(self, presence: Presence, name: str, value: Any) -> Any:
        if name in ("attention_mask", *CACHE_NAMES) or value is None:
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
