"""Which token belongs to which group: decided once per batch, before the forward pass."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import torch

from redundancy.errors import InvalidInputError
from redundancy.statistics.harvest_statistics import BASE_GROUPS

__all__ = ["TokenGroups", "last_valid", "token_groups"]

VISION, WORDS, SINK, SPECIAL = range(4)  # positions in BASE_GROUPS


@dataclass(frozen=True, slots=True, eq=False)
class TokenGroups:
    """Groups of the tokens of a batch of B rows and S positions.

    Attributes
    ----------
    groups : LongTensor of shape (B, S)
        Index into ``BASE_GROUPS``; ``len(BASE_GROUPS)`` for padding and ignored tokens.
    answer : LongTensor of shape (B,)
        Position of the answer query.
    text_index : LongTensor of shape (B, M)
        Positions of the non-vision tokens of each row; rows with fewer than M are filled up with 0.
    text_valid : BoolTensor of shape (B, M)
        Which of them are real.
    """

    groups: torch.Tensor
    answer: torch.Tensor
    text_index: torch.Tensor
    text_valid: torch.Tensor

    @property
    def vision(self) -> torch.Tensor:
        """Vision tokens, shape (B, S)."""
        return self.groups == VISION

    @property
    def valid(self) -> torch.Tensor:
        """Tokens that are in a group, shape (B, S)."""
        return self.groups < len(BASE_GROUPS)

    def to(self, device: torch.device) -> TokenGroups:
        """Move every tensor to `device`."""
        return TokenGroups(*(getattr(self, name).to(device) for name in self.__slots__))


def last_valid(valid: torch.Tensor) -> torch.Tensor:
    """Last True position of each row of a (B, S) mask, under left and right padding alike.

    Parameters
    ----------
    valid : BoolTensor of shape (B, S)
        True at tokens that are no padding.

    Returns
    -------
    LongTensor of shape (B,)
        -1 for a row without any.
    """
    positions = torch.arange(valid.shape[1], device=valid.device)
    return torch.where(valid, positions, -1).amax(dim=1)


def token_groups(
    input_ids: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    vision_ids: Collection[int],
    special_ids: Collection[int] = (),
    special_mask: torch.Tensor | None = None,
    vision_mask: torch.Tensor | None = None,
    ignored_mask: torch.Tensor | None = None,
    answer: torch.Tensor | None = None,
) -> TokenGroups:
    """Group the tokens of a batch.

    A placeholder of the image is "vision"; else the first valid token of a row is "sink"; else an id of
    `special_ids` or a position of `special_mask` is "special"; everything else is "words".

    Parameters
    ----------
    input_ids : LongTensor of shape (B, S)
    attention_mask : Tensor of shape (B, S), optional
        Non-zero where valid; all valid by default.
    vision_ids, special_ids : collection of int
        Token ids.
    special_mask, vision_mask : BoolTensor of shape (B, S), optional
        Template positions; vision positions that replace the rule by ids.
    ignored_mask : BoolTensor of shape (B, S), optional
        Positions in no group, such as a generated answer; they may still be the answer query.
    answer : LongTensor of shape (B,), optional
        Position of the answer query; the last valid one by default.

    Returns
    -------
    TokenGroups

    Raises
    ------
    InvalidInputError
        For wrong shapes, a row without valid tokens, an answer position on padding.
    """
    if input_ids.dim() != 2:
        raise InvalidInputError(f"need input_ids of shape (rows, tokens), got {tuple(input_ids.shape)}")
    masks = {"attention_mask": attention_mask, "special_mask": special_mask, "vision_mask": vision_mask}
    for name, tensor in {**masks, "ignored_mask": ignored_mask}.items():
        if tensor is not None and tensor.shape != input_ids.shape:
            raise InvalidInputError(
                f"need {name} of the shape {tuple(input_ids.shape)} of input_ids, got {tuple(tensor.shape)}"
            )
    valid = torch.ones_like(input_ids, dtype=torch.bool) if attention_mask is None else attention_mask.bool()
    if not valid.any(dim=1).all():
        raise InvalidInputError("need at least one valid token in every row, one row is padding only; drop the sample")
    vision = _is_one_of(input_ids, vision_ids) if vision_mask is None else vision_mask.bool()
    special = _is_one_of(input_ids, special_ids)
    if special_mask is not None:
        special = special | special_mask.bool()
    first = valid & (valid.cumsum(dim=1) == 1)
    groups = torch.full_like(input_ids, WORDS)
    groups[special] = SPECIAL
    groups[first] = SINK
    groups[vision] = VISION
    grouped = valid if ignored_mask is None else valid & ~ignored_mask.bool()
    groups[~grouped] = len(BASE_GROUPS)
    text = grouped & ~vision
    longest = max(1, int(text.sum(dim=1).max()))
    # Stable sort moves the text positions of each row to the front, in order.
    text_index = torch.argsort((~text).to(torch.uint8), dim=1, stable=True)[:, :longest]
    text_valid = text.gather(1, text_index)
    if answer is None:
        answer = last_valid(valid)
    elif not valid.gather(1, answer[:, None]).all():
        raise InvalidInputError("need answer positions on valid tokens, one is on padding")
    return TokenGroups(groups, answer, torch.where(text_valid, text_index, 0), text_valid)


def _is_one_of(input_ids: torch.Tensor, ids: Collection[int]) -> torch.Tensor:
    return torch.isin(input_ids, torch.tensor(sorted(ids), dtype=input_ids.dtype, device=input_ids.device))
