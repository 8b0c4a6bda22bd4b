"""Row kernels in Triton: one launch per layer that reads each state once, one per batch for all sums."""

# mypy: disable-error-code="import-not-found, import-untyped, no-untyped-def, no-untyped-call, untyped-decorator"
# Triton has no types for kernels, and need not be installed.

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl

from extraction.harvesting.kernels.layout import COLUMNS, CONSTANT, Layout, Means, RowSums, n_columns

__all__ = ["reduce_rows", "row_values"]

_WIDEST = 8192  # a row up to this width stays in registers; a wider one is read twice
_TOKENS = 256  # tokens per step of the sums
_N_FIXED = tl.constexpr(len(COLUMNS))


@triton.jit
def _load(x_row, y_row, mean_x_row, mean_y_row, start, width, BLOCK: tl.constexpr, CENTRED: tl.constexpr):
    """One block of a pair of rows in float32, and the same with the means taken off."""
    at = start + tl.arange(0, BLOCK)
    inside = at < width
    x = tl.load(x_row + at, mask=inside, other=0.0).to(tl.float32)
    y = tl.load(y_row + at, mask=inside, other=0.0).to(tl.float32)
    u, v = x, y
    if CENTRED:
        u = x - tl.load(mean_x_row + at, mask=inside, other=0.0)
        v = y - tl.load(mean_y_row + at, mask=inside, other=0.0)
    return x, y, u, v, inside


@triton.jit
def _gap2(x, y, scale, inside):
    """Squared differences of x and the scaled y; beyond the row 0 * scale may be no number."""
    gap = tl.where(inside, y * scale - x, 0.0)
    return gap * gap


@triton.jit
def _settle(gap, a, b):
    """The distance, with zero vectors and vectors that are not finite decided as in the plain kernel."""
    share = tl.div_rn(gap, a)
    rho = tl.minimum(0.5 * (share * share), 2.0, propagate_nan=tl.PropagateNan.ALL)
    zeros = (a == 0).to(tl.int32) + (b == 0).to(tl.int32)
    rho = tl.where(zeros == 1, 1.0, tl.where(zeros == 2, 0.0, rho))
    return tl.where((a < float("inf")) & (b < float("inf")), rho, float("nan"))


@triton.jit
def _rows_kernel(
    x_ptr, y_ptr, group_ptr, mean_x_ptr, mean_y_ptr, out_ptr,
    n_rows, width, x_stride, y_stride, mean_x_stride, mean_y_stride,
    BLOCK: tl.constexpr, WHOLE: tl.constexpr, CENTRED: tl.constexpr,
):  # fmt: skip
    """One program per pair of rows: norms first, then the squared gap of the scaled rows.

    More than eight parameters: a kernel takes pointers, sizes and strides one by one.
    """
    row = tl.program_id(0).to(tl.int64)
    x_row, y_row = x_ptr + row * x_stride, y_ptr + row * y_stride
    mean_x_row, mean_y_row = mean_x_ptr, mean_y_ptr
    if CENTRED:
        group = tl.load(group_ptr + row)
        mean_x_row += group * mean_x_stride
        mean_y_row += group * mean_y_stride
    x, y, u, v, inside = _load(x_row, y_row, mean_x_row, mean_y_row, 0, width, BLOCK, CENTRED)
    aa, bb, cc, dd = x * x, y * y, u * u, v * v
    if not WHOLE:
        for start in range(BLOCK, width, BLOCK):
            p, q, r, s, _ = _load(x_row, y_row, mean_x_row, mean_y_row, start, width, BLOCK, CENTRED)
            aa, bb, cc, dd = aa + p * p, bb + q * q, cc + r * r, dd + s * s
    a, b = tl.sqrt_rn(tl.sum(aa)), tl.sqrt_rn(tl.sum(bb))
    scale = tl.div_rn(a, b)
    gap2 = _gap2(x, y, scale, inside)
    c, d, centred_scale, centred_gap2 = a, b, scale, gap2
    if CENTRED:
        c, d = tl.sqrt_rn(tl.sum(cc)), tl.sqrt_rn(tl.sum(dd))
        centred_scale = tl.div_rn(c, d)
        centred_gap2 = _gap2(u, v, centred_scale, inside)
    if not WHOLE:
        for start in range(BLOCK, width, BLOCK):
            p, q, r, s, within = _load(x_row, y_row, mean_x_row, mean_y_row, start, width, BLOCK, CENTRED)
            gap2 += _gap2(p, q, scale, within)
            if CENTRED:
                centred_gap2 += _gap2(r, s, centred_scale, within)
    tl.store(out_ptr + row, tl.sqrt_rn(tl.sum(gap2)))
    tl.store(out_ptr + n_rows + row, a)
    tl.store(out_ptr + 2 * n_rows + row, b)
    if CENTRED:
        tl.store(out_ptr + 3 * n_rows + row, tl.sqrt_rn(tl.sum(centred_gap2)))
        tl.store(out_ptr + 4 * n_rows + row, c)
        tl.store(out_ptr + 5 * n_rows + row, d)


def row_values(
    x: torch.Tensor, y: torch.Tensor, groups: torch.Tensor | None = None, means: Means | None = None
) -> torch.Tensor:
    """As `extraction.harvesting.kernels.plain.row_values`, in one launch."""
    n, width = x.shape
    x, y = (t.detach() if t.stride(-1) == 1 else t.detach().contiguous() for t in (x, y))
    centred = means is not None and groups is not None
    out = torch.empty(6 if centred else 3, n, dtype=torch.float32, device=x.device)
    if n == 0:
        return out
    mean_x, mean_y = means if centred and means is not None else (out, out)
    block = min(triton.next_power_of_2(width), _WIDEST)
    _rows_kernel[(n,)](
        x, y, groups if centred else x, mean_x, mean_y, out,
        n, width, x.stride(0), y.stride(0), mean_x.stride(0), mean_y.stride(0),
        BLOCK=block, WHOLE=width <= block, CENTRED=centred, num_warps=min(8, max(1, block // 512)),
    )  # fmt: skip
    return out


@triton.jit
def _bin_of(value, edge_ptr, n_edges, inside, STEPS: tl.constexpr):
    """How many of the ascending edges are <= value: binary search, the same number of steps for all."""
    found = tl.zeros_like(value).to(tl.int32)
    for power in tl.static_range(STEPS):
        further = found + (1 << (STEPS - 1 - power))
        edge = tl.load(edge_ptr + further - 1, mask=inside & (further <= n_edges), other=float("inf"))
        found = tl.where(edge <= value, further, found)
    return found


@triton.jit
def _add(sums, column, values):
    """Add the total of `values` to one entry of the vector of sums; the order of additions is fixed."""
    at = tl.arange(0, sums.shape[0])
    return sums + tl.where(at == column, tl.sum(values.to(tl.float64)), 0.0)


@triton.jit
def _add_norms(sums, column, norm, mine):
    """Sum of the finite norms, how many they are, how many are zero and how many are not finite."""
    finite = mine & (norm < float("inf"))
    sums = _add(sums, column, tl.where(finite, norm, 0.0))
    sums = _add(sums, column + 1, finite)
    sums = _add(sums, column + 2, mine & (norm == 0))
    return _add(sums, column + 3, mine.to(tl.int32) - finite.to(tl.int32))


@triton.jit
def _sums_kernel(
    value_ptr, group_ptr, edge_ptr, ratio_edge_ptr, threshold_ptr,
    sum_ptr, histogram_ptr, ratio_histogram_ptr, highest_ptr,
    n, n_samples, n_tokens, n_edges, n_ratio_edges, constant,
    N_GROUPS: tl.constexpr, N_THRESHOLDS: tl.constexpr, CENTRED: tl.constexpr, N_SUMS: tl.constexpr,
    STEPS: tl.constexpr, RATIO_STEPS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """One program per layer, sample and group; histograms by integer atomics, whose order changes nothing.

    More than eight parameters: a kernel takes pointers, sizes and constants one by one.
    """
    layer, sample = tl.program_id(0).to(tl.int64), tl.program_id(1).to(tl.int64)
    group = tl.program_id(2)
    values = value_ptr + layer * n * (6 if CENTRED else 3)
    slot = (layer * n_samples + sample) * N_GROUPS + group
    pooled = layer * N_GROUPS + group
    sums = tl.zeros([N_SUMS], tl.float64)
    highest = tl.full([BLOCK], float("-inf"), tl.float32)
    for start in range(0, n_tokens, BLOCK):
        token = start + tl.arange(0, BLOCK)
        inside = token < n_tokens
        at = sample * n_tokens + token
        mine = inside & (tl.load(group_ptr + at, mask=inside, other=N_GROUPS) == group)
        a = tl.load(values + n + at, mask=mine, other=1.0)
        b = tl.load(values + 2 * n + at, mask=mine, other=1.0)
        rho = _settle(tl.load(values + at, mask=mine, other=0.0), a, b)
        known = mine & (rho == rho)
        exact = tl.where(known, rho, 0.0).to(tl.float64)
        divides = known & (a > 0)
        ratio = tl.where(divides, b, 0.0).to(tl.float64) / tl.where(divides, a, 1.0).to(tl.float64)
        sums = _add(sums, 0, exact)
        sums = _add(sums, 1, known)
        sums = _add(sums, 2, ratio)
        sums = _add(sums, 3, divides)
        if CENTRED:
            short_x = tl.load(values + 4 * n + at, mask=mine, other=1.0)
            short_y = tl.load(values + 5 * n + at, mask=mine, other=1.0)
            centred = _settle(tl.load(values + 3 * n + at, mask=mine, other=0.0), short_x, short_y)
            defined = mine & (centred == centred)
            rounding = defined & ((short_x <= constant * a) | (short_y <= constant * b))
            counted = defined & (short_x > constant * a) & (short_y > constant * b)
            sums = _add(sums, 4, tl.where(counted, centred, 0.0))
            sums = _add(sums, 5, counted)
            sums = _add(sums, 6, rounding)
        sums = _add(sums, 7, known & ((a == 0) ^ (b == 0)))
        sums = _add(sums, 8, known & (a == 0) & (b == 0))
        sums = _add_norms(sums, 9, a, mine)
        sums = _add_norms(sums, 13, b, mine)
        for i in tl.static_range(N_THRESHOLDS):
            threshold = tl.load(threshold_ptr + i)
            sums = _add(sums, _N_FIXED + i, known & (exact > threshold))
            sums = _add(sums, _N_FIXED + N_THRESHOLDS + i, known & (exact >= threshold))
        one = tl.full([BLOCK], 1, tl.int64)
        place = _bin_of(exact, edge_ptr, n_edges, known, STEPS) + (exact > 0).to(tl.int32)
        tl.atomic_add(histogram_ptr + pooled * (n_edges + 2) + place, one, mask=known, sem="relaxed")
        place = _bin_of(ratio, ratio_edge_ptr, n_ratio_edges, divides, RATIO_STEPS)
        tl.atomic_add(ratio_histogram_ptr + pooled * (n_ratio_edges + 1) + place, one, mask=divides, sem="relaxed")
        highest = tl.maximum(highest, tl.where(known, rho, float("-inf")))
    column = tl.arange(0, N_SUMS)
    n_columns = _N_FIXED + 2 * N_THRESHOLDS
    tl.store(sum_ptr + slot * n_columns + column, sums, mask=column < n_columns)
    tl.store(highest_ptr + slot, tl.max(highest).to(tl.float64))


def reduce_rows(values: torch.Tensor, layout: Layout) -> RowSums:
    """As `extraction.harvesting.kernels.plain.reduce_rows`, in one launch; sums have the same bits every time."""
    n_layers, n_values, _ = values.shape
    device, shape = values.device, (n_layers, layout.n_rows, layout.n_groups)
    n_edges, n_ratio_edges = len(layout.edges), len(layout.ratio_edges)

    def zeros(*size: int, dtype: torch.dtype) -> torch.Tensor:
        return torch.zeros(size, dtype=dtype, device=device)

    sums = zeros(*shape, n_columns(layout), dtype=torch.float64)
    histogram = zeros(n_layers, layout.n_groups, n_edges + 2, dtype=torch.int64)
    ratio_histogram = zeros(n_layers, layout.n_groups, n_ratio_edges + 1, dtype=torch.int64)
    highest = zeros(*shape, dtype=torch.float64)
    grid: Any = shape
    _sums_kernel[grid](
        values.contiguous(), layout.groups, layout.edges, layout.ratio_edges, layout.thresholds,
        sums, histogram, ratio_histogram, highest,
        values.shape[-1], layout.n_rows, layout.n_tokens, n_edges, n_ratio_edges, CONSTANT,
        N_GROUPS=layout.n_groups, N_THRESHOLDS=len(layout.thresholds), CENTRED=n_values == 6,
        N_SUMS=triton.next_power_of_2(n_columns(layout)),
        STEPS=n_edges.bit_length(), RATIO_STEPS=n_ratio_edges.bit_length(), BLOCK=_TOKENS,
    )  # fmt: skip
    return RowSums(sums, histogram, ratio_histogram, highest)
