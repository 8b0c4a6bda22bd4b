"""`vision_exit`: vision tokens are present in the first layers only (VTW)."""

from __future__ import annotations

from dataclasses import dataclass

from extraction.skip.plan import Plan
from extraction.skip.terms.base import Cut, Term, WithoutVision, check_depth
from extraction.skip.terms.late_entry import LateEntry
from redundancy.checks import check_count
from redundancy.errors import InvalidInputError

__all__ = ["VisionExit", "vision_exit"]


@dataclass(frozen=True, slots=True)
class VisionExit(Term):
    """Vision tokens are present in the first `layer` layers; what those cached stays visible to them.

    Parameters
    ----------
    layer : int
        First layer without vision tokens, counted from 0.
    """

    name = "vision_exit"
    form = "vision_exit(24)"
    rank = 10

    layer: int

    def __post_init__(self) -> None:
        check_count(self.layer, self.name)

    def check_beside(self, plan: Plan) -> None:
        """Vision tokens cannot leave before they enter."""
        entry = plan.term(LateEntry)
        if entry is not None and self.layer < entry.layer:
            raise InvalidInputError(
                f"need vision_exit >= late_entry, got {entry} and {self}: vision tokens cannot leave before they enter"
            )

    def check(self, n_layers: int) -> None:
        """The depth exists."""
        check_depth(self, self.layer, n_layers)

    def cut(self, layer: int, n_layers: int) -> Cut | None:
        """No vision from the exit on."""
        return WithoutVision() if layer >= self.layer else None


def vision_exit(layer: int) -> Plan:
    """Vision tokens are present in the first `layer` layers only.

    Parameters
    ----------
    layer : int
        The number of layers is the unmodified model.

    Returns
    -------
    Plan
        To be added to others with ``+``.
    """
    return Plan((VisionExit(layer),))
