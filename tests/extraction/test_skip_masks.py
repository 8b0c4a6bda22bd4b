"""Selections and mask cuts against loops over rows, queries and keys."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from extraction.skip.engine.masks import compact_mask, gather_tokens, scatter_tokens, select_tokens
from redundancy.errors import UnsupportedModelError


@st.composite
def presences(draw, length=None):
    length = length or draw(st.integers(1, 6))
    rows = draw(st.lists(st.lists(st.booleans(), min_size=length, max_size=length), min_size=1, max_size=3))
    return torch.tensor(rows)


@given(present=presences())
def test_selection_lists_the_present_tokens_right_aligned(present):
    selection = select_tokens(present)
    kept = [[j for j, p in enumerate(row) if p] for row in present.tolist()]
    width = max(map(len, kept))
    assert selection.n_present == width
    assert selection.index.tolist() == [[-1] * (width - len(row)) + row for row in kept]
    assert selection.has_dummies == (len({len(row) for row in kept}) > 1)
    assert selection.is_shared == all(row == kept[0] for row in kept)


@given(present=presences(), broadcast=st.booleans(), leading=st.booleans())
def test_gather_then_scatter_touches_the_present_tokens_only(present, broadcast, leading):
    rows, length = present.shape
    selection = select_tokens(present)
    if not selection.n_present:
        return
    full = torch.arange(rows * length * 2.0).view(rows, length, 2)
    compact = gather_tokens(full, selection, 1)
    for b, row in enumerate(selection.index.tolist()):
        for slot, j in enumerate(row):
            assert j < 0 or torch.equal(compact[b, slot], full[b, j])
    merged = scatter_tokens(full, compact + 1000, selection)
    assert torch.equal(merged, torch.where(present[..., None], full + 1000, full))
    # A rotary table: its batch axis may be 1, and other axes may come before it.
    table = full[:1] if broadcast else full
    table = table[None].expand(3, -1, -1, -1) if leading else table
    expected = gather_tokens(table.expand(*table.shape[:-3], rows, length, 2).contiguous(), selection, -2)
    got = gather_tokens(table, selection, -2)
    assert torch.equal(got.expand_as(expected), expected)


@given(data=st.data(), seen=st.integers(0, 3), kind=st.sampled_from(["none", "bool", "float", "flash", "flash none"]))
def test_mask_cuts_equal_loops(data, seen, kind):
    """A chunk after `seen` cached tokens: what a query may see is what the whole mask lets it see."""
    present = data.draw(presences())
    rows, length = present.shape
    before = data.draw(presences(length=seen).filter(lambda p: len(p) >= 1)) if seen else torch.ones(rows, 0).bool()
    before = before[torch.arange(rows) % len(before)]
    now, old = select_tokens(present), select_tokens(before) if seen else None
    if not now.n_present:
        return
    queries = torch.where(now.index >= 0, now.index + seen, -1)
    keys = queries if old is None else torch.cat([old.index, queries], dim=1)
    has_dummies = now.has_dummies or (old is not None and old.has_dummies)
    causal = torch.ones(length, seen + length, dtype=torch.bool).tril(seen)
    valid = torch.tensor(data.draw(st.lists(st.booleans(), min_size=seen + length, max_size=seen + length)))
    whole = causal.expand(rows, 1, -1, -1)
    given_mask = None
    if kind == "bool":
        given_mask = whole = whole & valid
    elif kind == "float":
        whole = whole & valid
        given_mask = torch.zeros(whole.shape).masked_fill(~whole, torch.finfo(torch.float32).min)
    elif kind == "flash":
        given_mask = valid.expand(rows, -1)
    cut = compact_mask(
        given_mask, rows=queries, keys=keys, offset=seen, has_dummies=has_dummies, is_flash="flash" in kind
    )
    if "flash" in kind:
        for b, row in enumerate(keys.tolist()):
            expected = [j >= 0 and (kind == "flash none" or bool(valid[j])) for j in row]
            assert all(expected) if cut is None else cut[b].bool().tolist() == expected
        return
    if cut is None:
        # The kernel then takes upper-left causality, or everything for a single query.
        assert not has_dummies
        n_queries, n_keys = queries.shape[1], keys.shape[1]
        cut = torch.ones(n_queries, n_keys, dtype=torch.bool)
        cut = (cut if n_queries == 1 else cut.tril()).expand(rows, 1, -1, -1)
    cut = cut if cut.dtype == torch.bool else cut == 0
    for b, (query_row, key_row) in enumerate(zip(queries.tolist(), keys.tolist(), strict=True)):
        for q, query in enumerate(query_row):
            if query < 0:
                assert cut[b, 0, q].any(), "a query that sees nothing is NaN"
                continue
            expected = [k >= 0 and bool(whole[b, 0, query - seen, k]) for k in key_row]
            assert cut[b, 0, q].tolist() == expected


def test_masks_of_another_form_are_refused():
    index = torch.zeros(1, 1, dtype=torch.long)
    with pytest.raises(UnsupportedModelError, match="2 or 4 axes"):
        compact_mask(torch.ones(1, 1, 1), rows=index, keys=index, offset=0, has_dummies=False)
