"""`fastv`: the vision tokens that the last prompt token attends to least leave, once per prompt (FastV)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from extraction.skip.plan import Plan
from extraction.skip.terms.base import ATTENTION, Chosen, Cut, Term
from redundancy.checks import check_count, check_real
from redundancy.errors import InvalidInputError

if TYPE_CHECKING:
    import torch

    from extraction.skip.routers import LayerInput

__all__ = ["FastV", "fastv"]


@dataclass(frozen=True, slots=True)
class FastV(Term):
    """After layer `layer` - 1 the share `drop` of vision tokens leaves that the last prompt token attends to least.

    Of v tokens ``floor(drop * v + 0.5)`` leave; with a share of 1 it is ``vision_exit(layer)``.

    Parameters
    ----------
    layer : int
        First layer without the dropped tokens, at least 1.
    drop : float
        Share of vision tokens that leave, in [0, 1].
    """

    name = "fastv"
    form = "fastv(2, 0.5)"
    rank = 40
    knows = "whole"

    layer: int
    drop: float

    def __post_init__(self) -> None:
        check_count(self.layer, "the layer of fastv", lower=1)
        self.set_field("drop", check_real(self.drop, "the share of fastv", lower=0.0, upper=1.0))

    @property
    def is_nothing(self) -> bool:
        """If no token leaves."""
        return self.drop == 0.0

    def check_beside(self, plan: Plan) -> None:
        """The layer that is read computes attention between text and vision tokens."""
        last = self.layer - 1
        for term in plan.terms:
            cut = term.cut(last, last + 1)
            if cut is not None and 0 in cut.count(10, 10):
                raise InvalidInputError(
                    f"need vision and text tokens in layer {last}, by whose attention {self} ranks, got {term}"
                )
            if ATTENTION in term.left_out(last) or term.hides(last):
                raise InvalidInputError(
                    f"need the attention of layer {last}, by which {self} ranks, got a plan without it: {term}"
                )

    def check(self, n_layers: int) -> None:
        """There are layers before and after."""
        if self.layer >= n_layers:
            raise InvalidInputError(
                f"need a layer in 1..{n_layers - 1} in fastv for a decoder of {n_layers} layers, got {self.layer}"
            )

    def cut(self, layer: int, n_layers: int) -> Cut | None:
        """The choice, from its layer on."""
        return Chosen(self) if layer >= self.layer and self.drop else None

    def looks(self, layer: int) -> Literal["states", "attention"] | None:
        """The attention of the layer before."""
        return "attention" if layer == self.layer - 1 and self.drop else None

    def choose(self, view: LayerInput) -> torch.Tensor:
        """All but the least attended of the vision tokens that are present; of equals the first leaves."""
        assert view.attention is not None
        vision = view.vision & view.present
        order = view.attention.masked_fill(~vision, float("inf")).argsort(dim=1, stable=True)
        ranks = order.argsort(dim=1)
        # As `n_chosen`, without waiting for the device.
        n_out = (vision.sum(dim=1, keepdim=True).double() * self.drop + 0.5).floor()
        return ~((ranks < n_out) & vision)

    def n_chosen(self, n_vision: int) -> int:
        """Those that stay."""
        return n_vision - int(self.drop * n_vision + 0.5)


def fastv(layer: int, drop: float) -> Plan:
    """After layer `layer` - 1 the share `drop` of vision tokens leaves that the last prompt token attends to least.

    Parameters
    ----------
    layer : int
        Layers that see all tokens, at least 1.
    drop : float
        Share of the vision tokens that leaves, in (0, 1).

    Returns
    -------
    Plan
        To be added to others with ``+``.
    """
    return Plan((FastV(layer, drop),))
