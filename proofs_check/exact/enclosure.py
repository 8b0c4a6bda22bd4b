"""Real numbers one can trust: exact Fractions where possible, rigorous enclosures by two Fractions elsewhere.

Rational operations are exact; square roots come from integer square roots, logarithms from mpmath intervals
at 200 bits. The same formula also runs on plain floats, for gradient searches, since `log`, `sqrt` and
the rest dispatch on the type.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any, TypeAlias

import mpmath
from mpmath.ctx_iv import MPIntervalContext

__all__ = ["Enclosure", "at_most", "decimal", "enclose", "exceeds", "greatest", "least", "log", "sqrt", "total"]

Real: TypeAlias = Any  # Fraction, int, Enclosure or float: one formula serves them all
End: TypeAlias = Any  # Fraction or an infinite float

_BITS = 200
_CONTEXT = MPIntervalContext()
_CONTEXT.prec = _BITS


@dataclass(frozen=True, slots=True)
class Enclosure:
    """A real number known to lie in [lower, upper]; ends are Fractions or infinities.

    Parameters
    ----------
    lower, upper : Fraction or infinite float
        Ends, lower <= upper.

    Examples
    --------
    >>> root = sqrt(Fraction(2))
    >>> root.lower < Fraction(14142135624, 10**10) and exceeds(root, Fraction(14142135623, 10**10))
    True
    """

    lower: End
    upper: End

    def __add__(self, other: Real) -> Enclosure:
        o = enclose(other)
        return Enclosure(_down(self.lower + o.lower), _up(self.upper + o.upper))

    __radd__ = __add__

    def __neg__(self) -> Enclosure:
        return Enclosure(-self.upper, -self.lower)

    def __sub__(self, other: Real) -> Enclosure:
        return self + (-enclose(other))

    def __rsub__(self, other: Real) -> Enclosure:
        return enclose(other) + (-self)

    def __mul__(self, other: Real) -> Enclosure:
        if isinstance(other, (int, Fraction)):
            ends = _times(self.lower, other), _times(self.upper, other)
            return Enclosure(_down(min(ends)), _up(max(ends)))
        o = enclose(other)
        corners = [_times(a, b) for a in (self.lower, self.upper) for b in (o.lower, o.upper)]
        return Enclosure(_down(min(corners)), _up(max(corners)))

    __rmul__ = __mul__

    def __truediv__(self, other: Real) -> Enclosure:
        o = enclose(other)
        if o.lower <= 0 <= o.upper:
            raise ZeroDivisionError("the divisor's enclosure holds zero")
        inverse = Enclosure(*(Fraction(0) if math.isinf(e) else 1 / Fraction(e) for e in (o.upper, o.lower)))
        return self * inverse

    def __rtruediv__(self, other: Real) -> Enclosure:
        return enclose(other) / self

    def __pow__(self, exponent: int) -> Enclosure:
        if exponent != 2:
            raise ValueError(f"need the exponent 2, got {exponent}")
        ends = sorted((_times(self.lower, self.lower), _times(self.upper, self.upper)))
        return Enclosure(Fraction(0) if self.lower <= 0 <= self.upper else _down(ends[0]), _up(ends[1]))

    def __float__(self) -> float:
        return float(self.lower) if math.isinf(self.upper) else float((self.lower + self.upper) / 2)

    def __str__(self) -> str:
        return decimal(self)


def enclose(x: Real) -> Enclosure:
    """Any real as an enclosure; floats are read exactly."""
    if isinstance(x, Enclosure):
        return x
    end = x if isinstance(x, float) and math.isinf(x) else Fraction(x)
    return Enclosure(end, end)


def exceeds(left: Real, right: Real) -> bool:
    """Whether left > right for certain; for floats, plainly.

    Parameters
    ----------
    left, right : Fraction, int, Enclosure or float
        Numbers to compare.

    Returns
    -------
    bool
        False also where the enclosures overlap.
    """
    if isinstance(left, float) or isinstance(right, float):
        return float(left) > float(right)
    return bool(enclose(left).lower > enclose(right).upper)


def at_most(left: Real, right: Real) -> bool:
    """Whether left <= right for certain.

    Parameters
    ----------
    left, right : Fraction, int, Enclosure or float
        Numbers to compare; with a float the comparison is that of floats.

    Returns
    -------
    bool
        False also where the enclosures overlap.
    """
    if isinstance(left, float) or isinstance(right, float):
        return float(left) <= float(right)
    return bool(enclose(left).upper <= enclose(right).lower)


def greatest(*values: Real) -> Real:
    """Maximum; of enclosures, the enclosure of the maximum."""
    if any(isinstance(v, Enclosure) for v in values):
        parts = [enclose(v) for v in values]
        return Enclosure(max(p.lower for p in parts), max(p.upper for p in parts))
    return max(values)


def least(*values: Real) -> Real:
    """Minimum; of enclosures, the enclosure of the minimum."""
    if any(isinstance(v, Enclosure) for v in values):
        parts = [enclose(v) for v in values]
        return Enclosure(min(p.lower for p in parts), min(p.upper for p in parts))
    return min(values)


def total(values: Iterable[Real]) -> Real:
    """Sum, starting from an exact zero."""
    result: Real = Fraction(0)
    for value in values:
        result = result + value
    return result


def log(x: Real) -> Real:
    """Natural logarithm; log 0 = -inf and log inf = inf as ends of enclosures, and as floats.

    Parameters
    ----------
    x : Fraction, int, Enclosure or float
        At least 0.

    Returns
    -------
    Fraction, Enclosure or float
        In nats; exact only for x = 1, a float for a float.

    Raises
    ------
    ValueError
        If an enclosure reaches below 0.
    """
    if isinstance(x, float):
        return math.log(x) if x > 0.0 else -math.inf
    if x == 1:
        return Fraction(0)
    e = enclose(x)
    if e.lower < 0:
        raise ValueError(f"need a number >= 0 under the logarithm, got {decimal(e)}")
    return Enclosure(_log_end(e.lower, 0), _log_end(e.upper, 1))


def sqrt(x: Real) -> Real:
    """Square root; exact for squares of rationals. Enclosures that reach below 0 by rounding start at 0.

    Parameters
    ----------
    x : Fraction, int, Enclosure or float
        The number under the root.

    Returns
    -------
    Fraction, Enclosure or float
        A float for a float.
    """
    if isinstance(x, float):
        return math.sqrt(max(x, 0.0))
    if isinstance(x, (int, Fraction)):
        root = _root(Fraction(x), 0)
        return root if root * root == x else Enclosure(root, _root(Fraction(x), 1))
    return Enclosure(_root(max(x.lower, Fraction(0)), 0), _root(x.upper, 1))


def decimal(x: Real, digits: int = 10) -> str:
    """A rational as it is if short, any other number in `digits` significant digits.

    Parameters
    ----------
    x : Fraction, int, Enclosure or float
        The number; of an enclosure its middle is shown.
    digits : int, default=10
        Significant digits.

    Returns
    -------
    str
    """
    if isinstance(x, (int, Fraction)):
        text = str(x)
        return text if len(text) <= 12 else _digits(Fraction(x), digits)
    if isinstance(x, Enclosure) and not math.isinf(x.upper) and not math.isinf(x.lower):
        return _digits(Fraction(x.lower + x.upper) / 2, digits)
    return f"{float(x):.{digits}g}"


def _digits(x: Fraction, digits: int) -> str:
    with mpmath.workdps(digits + 15):
        return str(mpmath.nstr(mpmath.mpf(x.numerator) / x.denominator, digits))


def _times(a: End, b: End) -> End:
    return Fraction(0) if a == 0 or b == 0 else a * b  # 0 * inf = 0: a factor that is surely zero


@lru_cache(maxsize=65536)
def _log_end(x: End, side: int) -> End:
    if x == 0:
        return -math.inf
    if math.isinf(x):
        return math.inf
    value = _CONTEXT.log(_CONTEXT.mpf(x.numerator) / _CONTEXT.mpf(x.denominator))
    numerator, denominator = mpmath.libmp.to_rational(value._mpi_[side])
    return Fraction(int(numerator), int(denominator))


def _root(x: End, side: int) -> End:
    if isinstance(x, float):
        return x  # inf
    shift = max(0, 2 * _BITS - x.numerator.bit_length() - x.denominator.bit_length()) // 2 + 1
    scaled = x.numerator * x.denominator << (2 * shift)
    root = math.isqrt(scaled)
    return Fraction(root + (side if root * root != scaled else 0), x.denominator << shift)


def _down(x: End) -> End:
    return _short(x, 0)


def _up(x: End) -> End:
    return _short(x, 1)


def _short(x: End, side: int) -> End:
    """Round outward once a fraction has grown long, to keep the arithmetic quick."""
    if isinstance(x, float) or x.denominator.bit_length() < 3 * _BITS:
        return x
    shift = _BITS + 8 + max(0, x.denominator.bit_length() - x.numerator.bit_length())
    return Fraction((x.numerator << shift) // x.denominator + side, 1 << shift)
