"""What the row kernels share: how tokens are laid out, and which sums come back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch

__all__ = ["COLUMNS", "CONSTANT", "Layout", "Means", "RowSums", "n_columns"]

# Columns of `RowSums.sums`; two for every threshold follow: tokens with rho > t, then tokens with rho >= t.
COLUMNS = (
    "distance",
    "pairs",
    "ratio",
    "ratio_count",
    "centred",
    "centred_count",
    "constant",
    "one_zero",
    "both_zero",
    "norm_x",
    "finite_x",
    "zero_x",
    "nonfinite_x",
    "norm_y",
    "finite_y",
    "zero_y",
    "nonfinite_y",
)
# A centred vector this much shorter than the vector is rounding: fp32 states leave about 1e-6 of noise.
CONSTANT = 1e-4

Means = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """B rows of S tokens in G groups, and where distances are counted.

    Attributes
    ----------
    n_rows, n_tokens, n_groups : int
        B, S and G.
    groups : LongTensor of shape (B * S,)
        Group of each token; G for tokens in no group.
    edges, ratio_edges : Tensor, float64
        Ascending bin edges of the distance (without its last one: the last bin is closed) and of the norm ratio.
    thresholds : Tensor, float64
        Values t of the tails.
    """

    n_rows: int
    n_tokens: int
    n_groups: int
    groups: torch.Tensor
    edges: torch.Tensor
    ratio_edges: torch.Tensor
    thresholds: torch.Tensor


class RowSums(NamedTuple):
    """Sums of L layers over the tokens of a batch; tokens in no group are in none of them.

    Attributes
    ----------
    sums : Tensor of shape (L, B, G, columns), float64
        Per sample and group, see `COLUMNS`.
    histogram, ratio_histogram : Tensor of shape (L, G, bins), int64
        Counts: exact 0, (0, e_0), [e_0, e_1), ...; for the ratio (-inf, e_0), [e_0, e_1), ...
    highest : Tensor of shape (L, B, G), float64
        Largest distance, -inf without any.
    """

    sums: torch.Tensor
    histogram: torch.Tensor
    ratio_histogram: torch.Tensor
    highest: torch.Tensor


def n_columns(layout: Layout) -> int:
    """Number of columns of `RowSums.sums`."""
    return len(COLUMNS) + 2 * len(layout.thresholds)
