"""Closed real intervals and the outward rounding that keeps a reported bound on the safe side."""

from __future__ import annotations

import math
from dataclasses import dataclass

from redundancy.errors import InvalidInputError

__all__ = ["Interval", "outward", "round_down", "round_up"]

# A scalar formula of the package has at most a few dozen correctly rounded operations; libm's log and
# exp are within one ulp. Sixteen ulps cover both with room; sums over arrays must pass their own slack.
_ULPS = 16


def round_up(x: float, *, slack: float = 0.0) -> float:
    """Smallest safe float above `x`: sixteen ulps plus `slack` (absolute) upward; infinities stay.

    Parameters
    ----------
    x : float
        Computed value.
    slack : float, default=0.0
        Absolute error to allow for besides.

    Returns
    -------
    float
        The safe end.
    """
    return _shift(x + slack, math.inf)


def round_down(x: float, *, slack: float = 0.0) -> float:
    """Largest safe float below `x`: sixteen ulps plus `slack` (absolute) downward; infinities stay.

    Parameters
    ----------
    x : float
        Computed value.
    slack : float, default=0.0
        Absolute error to allow for besides.

    Returns
    -------
    float
        The safe end.
    """
    return _shift(x - slack, -math.inf)


def _shift(x: float, towards: float) -> float:
    return x if math.isinf(x) or x == 0.0 else x + math.copysign(_ULPS, towards) * math.ulp(x)


@dataclass(frozen=True, slots=True)
class Interval:
    """The closed interval [lower, upper]; ends may be infinite, never NaN.

    Parameters
    ----------
    lower : float
        At most `upper`; may be -inf.
    upper : float
        At least `lower`; may be inf.

    Raises
    ------
    InvalidInputError
        If an end is NaN or ``lower > upper``.
    """

    lower: float
    upper: float

    def __post_init__(self) -> None:
        lower, upper = float(self.lower), float(self.upper)
        if math.isnan(lower) or math.isnan(upper) or lower > upper:
            raise InvalidInputError(f"need lower <= upper and no NaN, got [{self.lower}, {self.upper}]")
        object.__setattr__(self, "lower", lower)
        object.__setattr__(self, "upper", upper)

    @classmethod
    def point(cls, x: float) -> Interval:
        """The degenerate interval [x, x]."""
        return cls(x, x)

    @property
    def width(self) -> float:
        """``upper - lower``."""
        return self.upper - self.lower

    def __contains__(self, x: float) -> bool:
        return self.lower <= x <= self.upper

    def includes(self, other: Interval) -> bool:
        """Whether `other` lies inside this interval."""
        return self.lower <= other.lower and other.upper <= self.upper

    def intersect(self, other: Interval) -> Interval:
        """The common part.

        Raises
        ------
        InvalidInputError
            If the intervals are disjoint: two statements about one quantity contradict each other.
        """
        lower, upper = max(self.lower, other.lower), min(self.upper, other.upper)
        if lower > upper:
            raise InvalidInputError(f"need intervals that overlap, got {self} and {other}; one of the inputs is wrong")
        return Interval(lower, upper)

    def __str__(self) -> str:
        return f"[{self.lower:.6g}, {self.upper:.6g}]"


def outward(lower: float, upper: float, *, slack: float = 0.0) -> Interval:
    """``Interval(round_down(lower), round_up(upper))``.

    Parameters
    ----------
    lower : float
        Computed lower end.
    upper : float
        Computed upper end.
    slack : float, default=0.0
        Absolute error to allow for besides.

    Returns
    -------
    Interval
        Holds [lower, upper] whatever a few roundings did.
    """
    return Interval(round_down(lower, slack=slack), round_up(upper, slack=slack))
