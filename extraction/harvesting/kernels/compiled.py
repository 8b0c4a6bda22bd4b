"""Row kernel by torch.compile: the formula of the plain one, fused by the compiler; sums are the plain ones."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch

from extraction.harvesting.kernels.layout import Means
from extraction.harvesting.kernels.plain import reduce_rows

__all__ = ["reduce_rows", "row_values"]


def row_values(
    x: torch.Tensor, y: torch.Tensor, groups: torch.Tensor | None = None, means: Means | None = None
) -> torch.Tensor:
    """As `extraction.harvesting.kernels.plain.row_values`; compiles for some seconds on a new kind of input."""
    x, y = x.detach(), y.detach()
    if means is None or groups is None:
        return _compiled(False)(x, y)  # type: ignore[no-any-return]
    return _compiled(True)(x, y, groups, *means)  # type: ignore[no-any-return]


@cache
def _compiled(centred: bool) -> Any:
    return torch.compile(_both if centred else _one, dynamic=True, fullgraph=True)


def _one(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    x, y = x.float(), y.float()
    a, b = x.square().sum(dim=-1).sqrt(), y.square().sum(dim=-1).sqrt()
    gap = (y * (a / b).unsqueeze(-1) - x).square().sum(dim=-1).sqrt()
    return torch.stack([gap, a, b])


def _both(
    x: torch.Tensor, y: torch.Tensor, groups: torch.Tensor, mean_x: torch.Tensor, mean_y: torch.Tensor
) -> torch.Tensor:
    return torch.cat([_one(x, y), _one(x.float() - mean_x[groups], y.float() - mean_y[groups])])
