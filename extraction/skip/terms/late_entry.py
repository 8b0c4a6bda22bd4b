"""`late_entry`: vision tokens are absent from the first layers (DeepInsert)."""

from __future__ import annotations

from dataclasses import dataclass

from extraction.skip.plan import Plan
from extraction.skip.terms.base import Cut, Term, WithoutVision, check_depth
from redundancy.checks import check_count

__all__ = ["LateEntry", "late_entry"]


@dataclass(frozen=True, slots=True)
class LateEntry(Term):
    """Vision tokens are absent from the first `layer` layers; all of them: the model is blind to the image.

    Parameters
    ----------
    layer : int
        First layer that has vision tokens, counted from 0; at least 0.
    """

    name = "late_entry"
    form = "late_entry(4)"
    rank = 0

    layer: int

    def __post_init__(self) -> None:
        check_count(self.layer, self.name)

    @property
    def is_nothing(self) -> bool:
        """At depth 0."""
        return self.layer == 0

    def check(self, n_layers: int) -> None:
        """The depth exists."""
        check_depth(self, self.layer, n_layers)

    def cut(self, layer: int, n_layers: int) -> Cut | None:
        """No vision before the entry."""
        return WithoutVision() if layer < self.layer else None


def late_entry(layer: int) -> Plan:
    """Vision tokens are absent from the first `layer` layers.

    Parameters
    ----------
    layer : int
        0 is the unmodified model; the number of layers makes the model blind to the image.

    Returns
    -------
    Plan
        To be added to others with ``+``.
    """
    return Plan((LateEntry(layer),))
