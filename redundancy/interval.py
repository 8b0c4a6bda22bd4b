"""Closed real intervals and the outward rounding that keeps a reported bound on the safe side."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal

from redundancy.errors import InvalidInputError

__all__ = ["Interval", "outward", "round_down", "round_up", "text_down", "text_error", "text_level", "text_up"]

# A scalar formula of the package has at most a few dozen correctly rounded operations; libm's log and
# exp are within one ulp. Sixteen ulps cover both with room; sums over arrays must pass their own slack.
_ULPS = 16
_LEVEL_DECIMALS = 12  # a level is a sum of a few shares of the error, off by less than this


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


def text_up(x: float, digits: int = 6, *, decimals: int | None = None, sign: bool = False) -> str:
    """The number as text that is never below it: for upper ends and p-values.

    Parameters
    ----------
    x : float
        Not NaN.
    digits : int, default=6
        Significant digits at most, written as by the format "g".
    decimals : int, optional
        Digits behind the point instead, all of them written.
    sign : bool, default=False
        Write the sign of a positive number, too.

    Returns
    -------
    str
        A decimal number, or "inf" or "-inf".

    Examples
    --------
    >>> text_up(0.12340001, 4), text_up(0.05), text_up(0.123, decimals=1), text_up(-0.123, decimals=1)
    ('0.1235', '0.05', '0.2', '-0.1')
    """
    return _text(x, ROUND_CEILING, digits, decimals, sign)


def text_down(x: float, digits: int = 6, *, decimals: int | None = None, sign: bool = False) -> str:
    """The number as text that is never above it: for lower ends and confidence levels; see `text_up`.

    Parameters
    ----------
    x : float
        Not NaN.
    digits : int, default=6
        Significant digits at most.
    decimals : int, optional
        Digits behind the point instead.
    sign : bool, default=False
        Write the sign of a positive number, too.

    Returns
    -------
    str
        A decimal number, or "inf" or "-inf".

    Examples
    --------
    >>> text_down(0.9999999), text_down(0.95), text_down(0.129, decimals=2)
    ('0.999999', '0.95', '0.12')
    """
    return _text(x, ROUND_FLOOR, digits, decimals, sign)


def text_level(level: float, digits: int = 6) -> str:
    """A confidence level as text that is never above it, but for what sums of floats lose.

    Parameters
    ----------
    level : float
        In [0, 1].
    digits : int, default=6
        Significant digits at most.

    Returns
    -------
    str

    Examples
    --------
    >>> text_level(0.9499999999999996), text_level(0.99999996)
    ('0.95', '0.999999')
    """
    return text_down(float(_level(level)), digits)


def text_error(level: float, digits: int = 3) -> str:
    """The error ``1 - level`` of a confidence level as text that is never below it; see `text_level`.

    Parameters
    ----------
    level : float
        In [0, 1].
    digits : int, default=3
        Significant digits at most.

    Returns
    -------
    str

    Examples
    --------
    >>> text_error(0.95), text_error(1.0 - 0.05 / 24)
    ('0.05', '0.00209')
    """
    kept = Context(prec=digits, rounding=ROUND_CEILING).plus(1 - _level(level))
    return f"{float(kept):.{digits}g}"


def _level(level: float) -> Decimal:
    tidy = Decimal(repr(round(float(level), _LEVEL_DECIMALS)))
    return tidy if tidy < 1 else Decimal(repr(float(level)))


def _text(x: float, rounding: str, digits: int, decimals: int | None, sign: bool) -> str:
    plus = "+" if sign else ""
    if math.isnan(x):
        raise InvalidInputError("need a number to print, got NaN; leave what is undefined out")
    if math.isinf(x):
        return f"{x:{plus}}"
    exact = Decimal(repr(float(x)))  # the shortest decimal that reads back as this very float
    if decimals is None:
        kept = Context(prec=digits, rounding=rounding).plus(exact)
        return f"{float(kept):{plus}.{digits}g}"
    kept = exact.quantize(Decimal(1).scaleb(-decimals), rounding=rounding, context=Context(prec=400))
    return f"{kept + 0:{plus}.{decimals}f}"  # + 0 takes the sign off a negative zero


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
        return f"[{text_down(self.lower)}, {text_up(self.upper)}]"


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
