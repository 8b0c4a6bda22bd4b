"""`random_keep`: a random share of the vision tokens, the baseline of equal budget."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from extraction.skip.plan import Plan
from extraction.skip.terms.base import Cut, Term
from redundancy.checks import check_count, check_real
from redundancy.errors import InvalidInputError

if TYPE_CHECKING:
    import torch

    from extraction.skip.engine.chunk import Chunk

__all__ = ["RandomKeep", "random_keep"]


@dataclass(frozen=True, slots=True)
class _Drawn(Cut):
    """The draw."""

    term: RandomKeep

    def count(self, n_vision: int, n_text: int) -> tuple[int, int]:
        """The share, at least one token."""
        return self.term.n_chosen(n_vision), n_text

    def present(self, chunk: Chunk) -> torch.Tensor | None:
        """All but the vision tokens that are not drawn; the places depend on the seed and on their number alone."""
        import torch

        vision = chunk.prompt_vision()
        counts = vision.sum(dim=1).tolist()
        out = torch.zeros(vision.shape, dtype=torch.bool)
        for v in set(counts):
            generator = torch.Generator().manual_seed(self.term.seed)
            drop = torch.randperm(v, generator=generator)[self.term.n_chosen(v) :]
            for row in (b for b, count in enumerate(counts) if count == v):
                out[row, vision[row].nonzero()[:, 0].cpu()[drop]] = True
        return ~chunk.of_prompt(out.to(chunk.vision.device))


@dataclass(frozen=True, slots=True)
class RandomKeep(Term):
    """Of v vision tokens ``floor(share * v + 0.5)`` enter the model, at least one; which ones the seed says.

    Parameters
    ----------
    share : float
        Share of the vision tokens that stay, in (0, 1].
    seed : int, default=0
        Of the draw; at least 0.
    """

    name = "random_keep"
    form = "random_keep(0.5, seed=0)"
    rank = 50
    knows = "vision"

    share: float
    seed: int = 0

    def __post_init__(self) -> None:
        self.set_field("share", check_real(self.share, "the share of random_keep", lower=0.0, upper=1.0))
        if self.share == 0.0:
            raise InvalidInputError(
                "need a share of random_keep above 0, got 0; a plan without vision is vision_exit(0)"
            )
        check_count(self.seed, "seed")

    @property
    def body(self) -> str:
        """Share and seed."""
        return f"{self.share!r}, seed={self.seed}"

    @property
    def is_nothing(self) -> bool:
        """If all tokens stay."""
        return self.share == 1.0

    def cut(self, layer: int, n_layers: int) -> Cut | None:
        """The draw, in every layer."""
        return _Drawn(self) if self.share < 1.0 else None

    def n_chosen(self, n_vision: int) -> int:
        """The share, rounded, at least one token."""
        return max(min(1, n_vision), int(self.share * n_vision + 0.5))


def random_keep(share: float, *, seed: int = 0) -> Plan:
    """Keep a random `share` of the vision tokens from layer 0 on: the baseline of equal budget.

    Parameters
    ----------
    share : float
        In (0, 1).
    seed : int, default=0
        Which tokens.

    Returns
    -------
    Plan
        To be added to others with ``+``.
    """
    return Plan((RandomKeep(share, seed),))
