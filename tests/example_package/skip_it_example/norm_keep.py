"""`norm_keep`: of the vision features the longest enter the decoder, a term of another package in one file."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from extraction.skip.terms import Chosen, Cut, Term
from redundancy.checks import check_real


@dataclass(frozen=True, slots=True)
class NormKeep(Term):
    """The share of vision tokens whose features are longest; at least one, of equals the first."""

    name = "norm_keep"
    form = "norm_keep(0.5)"
    knows = "vision"

    share: float

    def __post_init__(self) -> None:
        self.set_field("share", check_real(self.share, "the share of norm_keep", lower=0.0, upper=1.0))

    def cut(self, layer: int, n_layers: int) -> Cut | None:
        """The choice, in every layer."""
        return Chosen(self)

    def looks(self, layer: int) -> str | None:
        """The features, before the first layer."""
        return "states" if layer == 0 else None

    def choose(self, view) -> torch.Tensor:
        """All text tokens and the longest features."""
        norms = view.states.float().norm(dim=-1).masked_fill(~view.vision, -torch.inf)
        ranks = norms.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
        n_kept = (view.vision.sum(dim=1, keepdim=True).double() * self.share + 0.5).floor().clamp(min=1)
        return ~view.vision | (ranks < n_kept)

    def n_chosen(self, n_vision: int) -> int:
        """The share, rounded, at least one."""
        return max(min(1, n_vision), int(self.share * n_vision + 0.5))
