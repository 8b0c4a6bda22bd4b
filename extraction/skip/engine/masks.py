"""Choose the present tokens of a chunk, and cut the model's own attention mask down to them."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from redundancy.errors import UnsupportedModelError

__all__ = ["Selection", "compact_mask", "gather_tokens", "scatter_tokens", "select_tokens"]


@dataclass(frozen=True, slots=True, eq=False)
class Selection:
    """The present tokens of one chunk, row by row, in order and right-aligned.

    Attributes
    ----------
    index : LongTensor of shape (batch, n_present)
        Position in the chunk; -1 for the dummies on the left that fill up shorter rows.
    source : LongTensor of shape (batch, n_present)
        `index` with dummies pointing at token 0, to gather with.
    has_dummies : bool
        Whether rows differ in length.
    is_shared : bool
        Whether every row selects the same tokens, so that plain indexing does.
    rows_of : LongTensor of shape (batch * n_present,)
        `source` as rows of a (batch * chunk, d) matrix: whole rows move several times as fast as single numbers.
    targets : tuple of two LongTensor, or None
        Of every token that is not a dummy, its row in such a matrix and in one of the present tokens; only if there
        are dummies.
    n_needed : int
        Tokens of all rows that are neither dummies nor padding: the least that any layout computes.
    """

    index: torch.Tensor
    source: torch.Tensor
    has_dummies: bool
    is_shared: bool
    rows_of: torch.Tensor
    targets: tuple[torch.Tensor, torch.Tensor] | None
    n_needed: int

    @property
    def n_present(self) -> int:
        """Tokens per row, dummies included."""
        return self.index.shape[1]


def select_tokens(present: torch.Tensor, valid: torch.Tensor | None = None) -> Selection:
    """Selection of the True entries of `present`, shape (batch, chunk). Waits for the device once.

    Padding, where `valid` is False, is left out if that makes the selection narrower: rows whose images differ in
    size are padded by more than the words need. Where it does not, padding stays, and rows need no dummies.
    """
    length = present.shape[1]
    trimmed = present if valid is None else present & valid
    low, high, is_shared, low_trimmed, high_trimmed, is_shared_trimmed, needed = torch.stack(
        [*_extent(present), *_extent(trimmed), trimmed.sum()]
    ).tolist()
    if high_trimmed < high:
        present, low, high, is_shared = trimmed, low_trimmed, high_trimmed, is_shared_trimmed
    # Absent tokens get rank 0 and sort to the left; what is left of them after the cut are the dummies.
    ranks = torch.where(present, torch.arange(1, length + 1, device=present.device), 0)
    index = ranks.sort(dim=1).values[:, length - high :] - 1
    source = index.clamp(min=0)
    first = torch.arange(present.shape[0], device=present.device)[:, None] * length
    rows_of = (source + first).reshape(-1)
    targets = None
    if low != high:
        slots = (index >= 0).reshape(-1).nonzero()[:, 0]
        targets = (rows_of[slots], slots)
    return Selection(index, source, low != high, bool(is_shared), rows_of, targets, needed)


def _extent(present: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Fewest and most present tokens of a row, and whether all rows have the same, on the device."""
    counts = present.sum(dim=1)
    return counts.min(), counts.max(), (present == present[:1]).all()


def gather_tokens(values: torch.Tensor, selection: Selection, axis: int) -> torch.Tensor:
    """Select the present tokens of `values` along `axis`; its batch axis is the one before.

    A batch axis of length 1 is broadcast when rows select different tokens.
    """
    axis %= values.ndim
    if selection.is_shared:
        return values.index_select(axis, selection.source[0])
    rows, n_present = selection.source.shape
    if axis == 1 and values.ndim == 3 and values.shape[0] == rows:
        return values.reshape(-1, values.shape[2]).index_select(0, selection.rows_of).view(rows, n_present, -1)
    values = values.expand(*(rows if i == axis - 1 else -1 for i in range(values.ndim)))
    shape = [1] * values.ndim
    shape[axis - 1], shape[axis] = rows, n_present
    target = [n_present if i == axis else n for i, n in enumerate(values.shape)]
    return values.gather(axis, selection.source.view(shape).expand(target))


def scatter_tokens(full: torch.Tensor, compact: torch.Tensor, selection: Selection) -> torch.Tensor:
    """A copy of `full` (batch, chunk, d) in which the present tokens are those of `compact`."""
    if selection.is_shared:
        return full.index_copy(1, selection.source[0], compact)
    compact = compact.reshape(-1, full.shape[2])
    rows = selection.rows_of
    if selection.targets is not None:
        rows, slots = selection.targets
        compact = compact.index_select(0, slots)
    return full.reshape(-1, full.shape[2]).index_copy(0, rows, compact).view(full.shape)


def compact_mask(
    mask: torch.Tensor | None,
    *,
    rows: torch.Tensor,
    keys: torch.Tensor,
    offset: int,
    has_dummies: bool,
    is_causal: bool = True,
    is_flash: bool = False,
    hidden: tuple[torch.Tensor, torch.Tensor] | None = None,
) -> torch.Tensor | None:
    """The model's mask restricted to present queries and stored keys.

    Parameters
    ----------
    mask : Tensor or None
        What the layer was given for the whole chunk: None (causal, nothing padded), 4-D boolean or
        additive (batch or 1, heads or 1, chunk, logical keys), or 2-D (batch, logical keys) for flash
        attention.
    rows : LongTensor of shape (batch, n_queries)
        Logical positions of the queries, -1 for dummies.
    keys : LongTensor of shape (batch, n_keys)
        Logical positions of the keys, the queries' own last, -1 for dummies.
    offset : int
        Logical position of the first token of the chunk.
    has_dummies : bool
        Whether `rows` or `keys` may hold dummies.
    is_causal : bool, default=True
        What None means: causal attention, or all to all.
    is_flash : bool, default=False
        Whether masks are 2-D.
    hidden : pair of BoolTensor, optional
        Queries (batch, n_queries) that must not see the marked keys (batch, n_keys). Not for 2-D masks.

    Returns
    -------
    Tensor or None
        In the form that came in; None again where the kernel's own causal rule says the same.
    """
    n_queries, n_keys = rows.shape[1], keys.shape[1]
    if mask is None:
        if hidden is None and not has_dummies and (is_flash or n_keys == n_queries or n_queries == 1 or not is_causal):
            return None
        if is_flash:
            return keys >= 0
        allowed = (keys >= 0)[:, None, :]
        if is_causal:
            allowed = allowed & (keys[:, None, :] <= rows[:, :, None])
        allowed = _hide(allowed.expand(-1, n_queries, -1)[:, None], hidden)
        return _open_dummy_rows(allowed, rows) if has_dummies else allowed
    if mask.ndim == 2:
        return mask.gather(1, keys.clamp(min=0)).masked_fill(keys < 0, 0)
    if mask.ndim != 4:
        raise UnsupportedModelError(f"need an attention mask with 2 or 4 axes, got shape {tuple(mask.shape)}")
    batch = torch.arange(rows.shape[0], device=mask.device)[:, None, None]
    picked = mask.expand(rows.shape[0], -1, -1, -1)[
        batch, :, (rows - offset).clamp(min=0)[:, :, None], keys.clamp(min=0)[:, None, :]
    ].permute(0, 3, 1, 2)
    picked = _hide(picked, hidden)
    if not has_dummies:
        return picked
    return _open_dummy_rows(_close(picked, (keys < 0)[:, None, None, :]), rows)


def _hide(mask: torch.Tensor, hidden: tuple[torch.Tensor, torch.Tensor] | None) -> torch.Tensor:
    """Close the marked keys to the marked queries."""
    if hidden is None:
        return mask
    queries, keys = hidden
    return _close(mask, queries[:, None, :, None] & keys[:, None, None, :])


def _close(mask: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
    return mask & ~where if mask.dtype == torch.bool else mask.masked_fill(where, torch.finfo(mask.dtype).min)


def _open_dummy_rows(mask: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Let dummy queries see everything: a row that sees nothing would be NaN, and NaN spreads in some kernels."""
    dummy = (rows < 0)[:, None, :, None]
    return mask | dummy if mask.dtype == torch.bool else mask.masked_fill(dummy, 0.0)
