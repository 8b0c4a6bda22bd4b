"""`downsample_image`: a smaller image instead of fewer tokens, the other baseline of equal budget."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from extraction.skip.plan import Plan
from extraction.skip.terms.base import Term
from redundancy.checks import check_real
from redundancy.errors import InvalidInputError

if TYPE_CHECKING:
    from torch import nn

    from extraction.skip.engine.calls import Handler

__all__ = ["DownsampleImage", "downsample_image"]


@dataclass(frozen=True, slots=True)
class DownsampleImage(Term):
    """An image that brings about `share` of the vision tokens; the prompt is made for the plan, see `plan_batch`.

    Parameters
    ----------
    share : float
        Share of the vision tokens that the smaller image brings, in (0, 1].
    """

    name = "downsample_image"
    form = "downsample_image(0.5)"
    rank = 60

    share: float

    def __post_init__(self) -> None:
        self.set_field("share", check_real(self.share, "the share of downsample_image", lower=0.0, upper=1.0))
        if self.share == 0.0:
            raise InvalidInputError(
                "need a share of downsample_image above 0, got 0; a plan without vision is vision_exit(0)"
            )

    @property
    def is_nothing(self) -> bool:
        """At full size."""
        return self.share == 1.0

    @property
    def image_share(self) -> float:
        """The share."""
        return self.share

    def n_given(self, n_vision: int) -> int:
        """Vision tokens of the smaller image: a square grid stays square."""
        return max(1, int(math.sqrt(self.share * n_vision) + 0.5)) ** 2 if n_vision else 0

    def forwards(self, model: nn.Module) -> Mapping[nn.Module, Handler]:
        """Towers that interpolate their positions to the smaller image."""
        from extraction.skip.downsample import interpolating_towers

        return interpolating_towers(model)


def downsample_image(share: float) -> Plan:
    """A smaller image that brings about `share` of the vision tokens: the other baseline of equal budget.

    Parameters
    ----------
    share : float
        In (0, 1).

    Returns
    -------
    Plan
        To be added to others with ``+``.
    """
    return Plan((DownsampleImage(share),))
