"""Row kernels in plain torch: on every device, and what the other implementations are compared with."""

from __future__ import annotations

import torch

from extraction.harvesting.kernels.layout import CONSTANT, Layout, Means, RowSums, n_columns

__all__ = ["pair_distances", "pairwise_distances", "reduce_rows", "row_values", "settle"]

# Entries of a fp32 temporary: small enough for the cache that the cores share, large enough that calls are few.
_CHUNK_CPU, _CHUNK_GPU = 1 << 19, 1 << 25
_REDUCED_AT_ONCE_CPU, _REDUCED_AT_ONCE_GPU = 1 << 14, 1 << 20  # tokens times layers


def pair_distances(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    r"""Cosine distances of paired rows, and both norms, in float32.

    .. math:: \rho = \tfrac12 |y\,(a/b) - x|^2 / a^2, \qquad a = |x|, \; b = |y|

    equals 1 - cos(x, y) and keeps about six digits where 1 - cos loses all of them.

    Parameters
    ----------
    x, y : Tensor of shape (N, d)
        Any floating type.

    Returns
    -------
    rho, a, b : Tensor of shape (N,)
        Distance in [0, 2]: 0 for two zero vectors, 1 for one, NaN if a vector is not finite (or so long that
        its square overflows float32); rounding above 2 is cut, since no cosine distance exceeds it.
    """
    rho, a, b = settle(row_values(x, y))
    return rho, a, b


def pairwise_distances(states: torch.Tensor) -> torch.Tensor:
    """`pair_distances` between all vectors of each token.

    Parameters
    ----------
    states : Tensor of shape (N, D, d), float32
        D vectors of each of N tokens.

    Returns
    -------
    Tensor of shape (N, D, D), float32
        With the same values for vectors that are zero or not finite.
    """
    norms = states.square().sum(dim=-1, keepdim=True).sqrt()
    unit = states / torch.where(norms == 0, 1.0, norms)
    gap = norms * torch.cdist(unit, unit, compute_mode="donot_use_mm_for_euclid_dist")
    both = [norms.expand_as(gap), norms.transpose(1, 2).expand_as(gap)]
    return settle(torch.stack([gap, *both]).flatten(1))[0].view(gap.shape)


def row_values(
    x: torch.Tensor, y: torch.Tensor, groups: torch.Tensor | None = None, means: Means | None = None
) -> torch.Tensor:
    """Scaled gap and both norms of paired rows; with means, also those of the centred rows.

    What `reduce_rows` takes and `settle` makes distances of: that is done once for all layers, since a dozen
    operations on so few numbers take as long as reading the states.

    Parameters
    ----------
    x, y : Tensor of shape (N, d)
        Any floating type.
    groups : LongTensor of shape (N,), optional
        Row of the means that belongs to each token.
    means : pair of Tensor of shape (G + 1, d), optional
        Float32, for x and for y.

    Returns
    -------
    Tensor of shape (3 or 6, N), float32
        |y (a/b) - x|, a and b, then the same of ``x - means[0][groups]`` and ``y - means[1][groups]``.
    """
    n, width = x.shape
    x, y = x.detach(), y.detach()
    out = torch.empty(3 if means is None else 6, n, dtype=torch.float32, device=x.device)
    step = min(n, max(1, (_CHUNK_GPU if x.is_cuda else _CHUNK_CPU) // width))
    # Buffers for all chunks: fresh ones of this size would each be mapped and unmapped by the system.
    buffers = [torch.empty(step, width, dtype=torch.float32, device=x.device) for _ in range(1 if means is None else 2)]
    for start in range(0, n, max(1, step)):
        part = slice(start, start + step)
        xs, ys, to = x[part].float(), y[part].float(), out[:, part]
        work = [buffer[: len(xs)] for buffer in buffers]
        _norms_and_gap(xs, ys, to, work[0])
        if means is not None and groups is not None:
            for states, mean, buffer in zip((xs, ys), means, work, strict=True):
                torch.index_select(mean, 0, groups[part], out=buffer)
                torch.sub(states, buffer, out=buffer)
            _norms_and_gap(work[0], work[1], to[3:], work[1])
    return out


def _norms_and_gap(x: torch.Tensor, y: torch.Tensor, out: torch.Tensor, work: torch.Tensor) -> None:
    """Write |y (a/b) - x|, a and b to the first three rows of `out`; `work` may be y itself."""
    gap, a, b = out[0], out[1], out[2]
    torch.linalg.vector_norm(x, dim=-1, out=a)
    torch.linalg.vector_norm(y, dim=-1, out=b)
    torch.addcmul(x, y, (a / b).unsqueeze(-1), value=-1, out=work)
    torch.linalg.vector_norm(work, dim=-1, out=gap)


def settle(values: torch.Tensor) -> torch.Tensor:
    """Distances instead of gaps, with the cases decided that the formula leaves open.

    Parameters
    ----------
    values : Tensor of shape (..., 3 or 6, N)
        `row_values` of one or more layers.

    Returns
    -------
    Tensor of the same shape
        rho, a and b as `pair_distances`, once or twice.
    """
    *front, n_values, n = values.shape
    gap, a, b = values.reshape(*front, n_values // 3, 3, n).unbind(dim=-2)
    short, long = torch.minimum(a, b), torch.maximum(a, b)  # NaN if one of them is
    rho = (gap / a).square_().mul_(0.5).clamp_(max=2.0)
    rho = torch.where(short == 0, (long > 0).to(rho.dtype), rho).masked_fill_(~long.isfinite(), torch.nan)
    return torch.stack([rho, a, b], dim=-2).flatten(-3, -2)


def reduce_rows(values: torch.Tensor, layout: Layout) -> RowSums:
    """Sums over the tokens of a batch, some layers at a time, without any wait for the device.

    Parameters
    ----------
    values : Tensor of shape (L, 3 or 6, B * S), float32
        `row_values` of every layer.
    layout : Layout
        On the same device.

    Notes
    -----
    On a CPU sums are added in the order of the tokens: the same batch gives the same bits.
    """
    n = values.shape[-1]
    step = max(1, (_REDUCED_AT_ONCE_GPU if values.is_cuda else _REDUCED_AT_ONCE_CPU) // n)
    parts = [_reduce(part, layout) for part in torch.split(values, step)]
    return RowSums(*(torch.cat(column) for column in zip(*parts, strict=True)))


def _reduce(values: torch.Tensor, layout: Layout) -> RowSums:
    n_layers, n = values.shape[0], values.shape[-1]
    n_slots = layout.n_groups + 1
    values = settle(values)
    rho, a, b = values[:, 0], values[:, 1], values[:, 2]
    finite = ~rho.isnan()
    ratio_known = finite & (a > 0)
    ratio = torch.where(ratio_known, b.double() / a.double(), 0)
    if values.shape[1] == 6:
        centred, short_x, short_y = values[:, 3], values[:, 4], values[:, 5]
        constant = ~centred.isnan() & ((short_x <= CONSTANT * a) | (short_y <= CONSTANT * b))
        centred_known = ~centred.isnan() & ~constant
        centred = torch.where(centred_known, centred, 0)
    else:
        centred = constant = centred_known = torch.zeros_like(finite)
    rho = torch.where(finite, rho, 0).double()
    zero_x, zero_y, finite_x, finite_y = a == 0, b == 0, a.isfinite(), b.isfinite()
    columns = [rho, finite, ratio, ratio_known, centred, centred_known, constant]
    columns += [finite & (zero_x ^ zero_y), finite & zero_x & zero_y]
    columns += [torch.where(finite_x, a, 0), finite_x, zero_x, ~finite_x]
    columns += [torch.where(finite_y, b, 0), finite_y, zero_y, ~finite_y]
    table = torch.empty(n_layers, n, n_columns(layout), dtype=torch.float64, device=values.device)
    for i, column in enumerate(columns):
        table[..., i] = column
    n_tails = len(layout.thresholds)
    high, known = rho.unsqueeze(-1), finite.unsqueeze(-1)
    table[..., len(columns) : len(columns) + n_tails] = (high > layout.thresholds) & known
    table[..., len(columns) + n_tails :] = (high >= layout.thresholds) & known
    layers = torch.arange(n_layers, device=values.device)[:, None]
    samples = torch.arange(layout.n_rows, device=values.device).repeat_interleave(layout.n_tokens)
    # A token without a distance joins those in no group in what is counted per token.
    groups = torch.where(finite, layout.groups, layout.n_groups)
    slots = (layers * layout.n_rows + samples) * n_slots
    shape = (n_layers, layout.n_rows, n_slots)
    sums = table.new_zeros(n_layers * layout.n_rows * n_slots, table.shape[-1])
    sums.index_add_(0, (slots + layout.groups).flatten(), table.flatten(0, 1))
    highest = table.new_full((len(sums),), -torch.inf)
    highest.scatter_reduce_(0, (slots + groups).flatten(), rho.flatten(), "amax")
    bins = torch.bucketize(rho, layout.edges, right=True) + (rho > 0)
    ratio_groups = torch.where(ratio_known, layout.groups, layout.n_groups)
    return RowSums(
        sums.view(*shape, -1)[:, :, :-1],
        _count(groups, bins, n_slots, len(layout.edges) + 2)[:, :-1],
        _count(
            ratio_groups, torch.bucketize(ratio, layout.ratio_edges, right=True), n_slots, len(layout.ratio_edges) + 1
        )[:, :-1],
        highest.view(shape)[:, :, :-1],
    )


def _count(groups: torch.Tensor, bins: torch.Tensor, n_groups: int, n_bins: int) -> torch.Tensor:
    """Table of counts by layer, group and bin; `bincount` would wait for the device."""
    n_layers = len(groups)
    table = torch.zeros(n_layers * n_groups * n_bins, dtype=torch.int64, device=bins.device)
    layers = torch.arange(n_layers, device=bins.device)[:, None]
    index = ((layers * n_groups + groups) * n_bins + bins).flatten()
    return table.index_add_(0, index, torch.ones_like(index)).view(n_layers, n_groups, n_bins)
