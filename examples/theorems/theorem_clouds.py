"""Pairs (exact value, bound) of many laws, compared in rationals as they are added."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from statistics import median

from redundancy.certificates.certificate import BoundCertificate

__all__ = ["Cloud", "Panel", "down", "up"]

_DIGITS = Fraction(1, 10**40)  # entropies are computed to 50 digits


def up(value: Fraction | Decimal) -> float:
    """The smallest float that is at least the value."""
    result = float(value)
    return result if Fraction(result) >= Fraction(value) else math.nextafter(result, math.inf)


def down(value: Fraction | Decimal) -> float:
    """The largest float that is at most the value."""
    return -up(-value)


@dataclass(slots=True)
class Cloud:
    """All laws of one kind under one bound.

    Parameters
    ----------
    theorem : str
        Id of the bound.
    name : str
        What the legend says.
    side : {"upper", "lower", "inside"}
        Which end of the bound is compared; "inside" compares both and plots the upper.
    extremal : bool
        Drawn as large markers.
    refuted : bool
        A statement that is false: at least one law has to break it.
    allowed : int
        How many laws may break a bound that holds with a stated confidence only.
    """

    theorem: str
    name: str
    side: str = "upper"
    extremal: bool = False
    refuted: bool = False
    allowed: int = 0
    points: list[tuple[float, float]] = field(default_factory=list)
    broken: int = 0

    def add(self, truth: Fraction | Decimal, bound: BoundCertificate | float) -> None:
        """Compare exactly and remember."""
        exact = Fraction(truth)
        if isinstance(bound, BoundCertificate):
            if not self.refuted and bound.theorem != self.theorem:
                raise ValueError(f"need a certificate of {self.theorem}, got one of {bound.theorem}")
            lower, upper = bound.interval.lower, bound.interval.upper
        else:
            lower = upper = bound
        above = self.side != "lower" and upper < math.inf and Fraction(upper) < exact - _DIGITS
        below = self.side != "upper" and lower > -math.inf and Fraction(lower) > exact + _DIGITS
        self.broken += above or below
        self.points.append((float(exact), lower if self.side == "lower" else upper))

    @property
    def ok(self) -> bool:
        """Whether the laws say of the statement what the ledger says."""
        return bool(self.points) and (self.broken > 0 if self.refuted else self.broken <= self.allowed)

    def ratios(self) -> list[float]:
        """Smaller over larger of exact value and bound, 1 where they are equal; both signs of zero left out."""
        pairs = [(e, b) if self.side != "lower" else (b, e) for e, b in self.points]
        return [1.0 if e == b else e / b for e, b in pairs if e == b or (b > 0.0 and e >= 0.0)]

    def row(self) -> str:
        """One line of the page's table."""
        ratios = self.ratios()
        typical, best = (_plain(f(ratios)) if ratios else "" for f in (median, max))
        name = self.name.replace("|", r"\|")
        return f"| `{self.theorem}` | {name} | {len(self.points)} | {self.broken} | {typical} | {best} |"


@dataclass(slots=True)
class Panel:
    """One plot: clouds that share axes."""

    title: str
    quantity: str
    clouds: Sequence[Cloud]
    log: bool = False
    drawn: bool = True
    bound_label: str = "bound"
    lines: bool = False  # points are (x, y) of curves, nothing is compared
    reference: float = 0.0  # true value, a horizontal line in a plot of curves
    floor: float = 1e-5  # of a logarithmic plot


def _plain(ratio: float) -> str:
    return f"{ratio:.4f}" if ratio < 1e4 else "no limit"
