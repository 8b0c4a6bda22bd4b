"""Attention masses against a dense float64 softmax, for every kind of mask and score that models use."""

import numpy as np
import pytest
import torch

from extraction.harvesting import attention
from extraction.harvesting.attention import attention_mass

B, H, KV, S, D = 2, 4, 2, 11, 8


def dense(query, key, allowed, scale, *, softcap=None, sinks=None, bias=None, additive=None):
    """Full softmax table (B, H, S, S) in float64 numpy."""
    q, k = query.double().numpy(), np.repeat(key.double().numpy(), H // KV, axis=1)
    scores = q @ k.swapaxes(2, 3) * scale
    if softcap:
        scores = softcap * np.tanh(scores / softcap)
    for table in (bias, additive):
        scores = scores if table is None else scores + table.double().numpy()
    scores = np.where(allowed, scores, -np.inf)
    top = scores.max(-1, keepdims=True)
    weights = np.exp(scores - np.where(np.isneginf(top), 0, top))
    extra = 0 if sinks is None else np.exp(sinks.double().numpy()[None, :, None, None] - top)
    total = weights.sum(-1, keepdims=True) + extra
    return weights / np.where(total == 0, 1, total)  # padded queries see nothing, and nobody asks for them


@pytest.fixture
def case():
    rng = torch.Generator().manual_seed(0)
    query, key = torch.randn(B, H, S, D, generator=rng), torch.randn(B, KV, S, D, generator=rng)
    weights = torch.rand(B, KV, S, 3, generator=rng)
    index = torch.tensor([[10, 4, 7], [9, 5, 6]])
    rows, columns = np.arange(S)[:, None], np.arange(S)[None]
    return query, key, weights, index, rows, columns, rng


def check(mass, shares, weights, index):
    picked = np.take_along_axis(shares, index.numpy()[:, None, :, None], axis=2)
    expected = picked @ np.repeat(weights.double().numpy(), H // KV, axis=1)
    np.testing.assert_allclose(mass.numpy(), expected, rtol=2e-5, atol=1e-6)


def test_causal_without_mask_with_window_and_padding(case):
    """What flash attention is called with: no table, or a row of valid keys, and a window."""
    query, key, weights, index, rows, columns, _ = case
    causal = columns <= rows
    check(attention_mass(query, key, None, index, weights), dense(query, key, causal, D**-0.5), weights, index)
    window = causal & (columns > rows - 4)
    mass = attention_mass(query, key, None, index, weights, scaling=0.3, sliding_window=4)
    check(mass, dense(query, key, window, 0.3), weights, index)
    valid = torch.ones(B, S, dtype=torch.long)
    valid[1, :3] = 0
    mass = attention_mass(query, key, valid, index, weights)
    check(mass, dense(query, key, causal & valid.bool().numpy()[:, None, None], D**-0.5), weights, index)
    mass = attention_mass(query, key, None, index, weights, is_causal=False)
    check(mass, dense(query, key, np.full((S, S), True), D**-0.5), weights, index)


@pytest.mark.parametrize("per_head", [False, True])
def test_boolean_and_additive_tables(case, per_head):
    query, key, weights, index, _, _, rng = case
    allowed = torch.rand(B, H if per_head else 1, S, S, generator=rng) > 0.4
    allowed[..., 0] = True
    expected = dense(query, key, allowed.numpy(), D**-0.5)
    check(attention_mass(query, key, allowed, index, weights), expected, weights, index)
    additive = torch.where(allowed, torch.randn(allowed.shape, generator=rng), torch.finfo(torch.float32).min)
    expected = dense(query, key, allowed.numpy(), D**-0.5, additive=additive)
    check(attention_mass(query, key, additive, index, weights), expected, weights, index)


def test_softcap_sinks_and_position_bias(case):
    query, key, weights, index, rows, columns, rng = case
    sinks, bias = torch.randn(H, generator=rng), torch.randn(1, H, S, S, generator=rng)
    for options in ({"softcap": 0.7}, {"sinks": sinks}, {"bias": bias}, {"softcap": 2.0, "sinks": sinks, "bias": bias}):
        mass = attention_mass(query, key, None, index, weights, **options)
        check(mass, dense(query, key, columns <= rows, D**-0.5, **options), weights, index)


def test_blocks_of_queries_change_nothing(case, monkeypatch):
    query, key, weights, index, *_ = case
    whole = attention_mass(query, key, None, index, weights)
    monkeypatch.setattr(attention, "_ROW_BUDGET", 1)
    torch.testing.assert_close(attention_mass(query, key, None, index, weights), whole, rtol=1e-6, atol=1e-7)
