"""Numbers and identifiers as a reader wants them: units, true minus signs, dashes for what is undefined."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from redundancy.bounds.ledger import find
from redundancy.errors import InvalidInputError
from redundancy.interval import text_down, text_up
from redundancy.report.tables import DASH
from redundancy.units import unit_name

__all__ = [
    "FILTERS",
    "bound_text",
    "change_interval",
    "fixed",
    "level",
    "percent",
    "percent_up",
    "percents",
    "plain",
    "points",
    "small",
    "theorem_name",
    "up",
]

MINUS, THIN = "\u2212", "\u202f"

_WORDS = {"tail_prob": "tail probability", "tail_prob_closed": "tail probability, closed"}


def theorem_name(theorem: str) -> str:
    """Title in the ledger, as "Theorem 1, Minkowski form"; ids that it lacks are shown without underscores."""
    try:
        return find(theorem).title
    except InvalidInputError:
        return plain(theorem.replace(".", ", "))


def plain(name: str) -> str:
    """An identifier as words."""
    return _WORDS.get(name, name.replace("_", " "))


def bound_text(statement: Mapping[str, Any]) -> str:
    """The interval of a statement as an inequality where one end says nothing."""
    lower, upper = statement.get("lower"), statement.get("upper")
    unit = unit_name(statement["base"]) if statement.get("base") else ""
    unit = f" {unit}" if unit else ""
    if lower is None and upper is None:
        return "no bound"
    if upper is None:
        return f"\u2265 {text_down(float(lower or 0.0), 4)}{unit}"
    if lower is None or lower == 0:
        return f"\u2264 {text_up(upper, 4)}{unit}"
    return f"{text_down(lower, 4)} to {text_up(upper, 4)}{unit}"


def percent(value: float | None, digits: int = 1) -> str:
    """0.965 as 96.5 %."""
    return DASH if value is None else f"{100 * value:.{digits}f}{THIN}%"


def percents(ends: Sequence[float] | None) -> str:
    """[0.9, 0.95] as 90.0 to 95.0 %, rounded outward."""
    return "" if ends is None else f"{_hundredfold(ends[0], text_down)} to {_hundredfold(ends[1], text_up)}{THIN}%"


def percent_up(value: float | None) -> str:
    """An upper bound as a percentage, rounded up."""
    return DASH if value is None else f"{_hundredfold(value, text_up)}{THIN}%"


def up(value: float | None, digits: int = 3) -> str:
    """An upper bound or a p-value, rounded up; small ones keep two significant digits."""
    if value is None:
        return DASH
    return text_up(value, 2) if 0 < value < 0.001 else text_up(value, decimals=digits)


def level(value: float | None) -> str:
    """A confidence level, rounded down."""
    return DASH if value is None else text_down(value)


def points(value: float | None, *, unit: bool = True) -> str:
    """A change in [-1, 1] in percentage points, with a true minus."""
    if value is None:
        return DASH
    text = f"{100 * value:+.1f}".replace("-", MINUS)
    return f"{text}{THIN}pp" if unit else text


def change_interval(ends: Sequence[float] | None) -> str:
    """[-0.02, 0.01] in points, rounded outward."""
    if ends is None:
        return DASH
    shown = (_hundredfold(ends[0], text_down, sign=True), _hundredfold(ends[1], text_up, sign=True))
    return " to ".join(shown).replace("-", MINUS)


def fixed(value: float | None, digits: int = 3) -> str:
    """A number with fixed digits, or a dash."""
    return DASH if value is None else f"{value:.{digits}f}"


def small(value: float | None) -> str:
    """A distance: three decimals, two significant digits below 0.001."""
    if value is None:
        return DASH
    return f"{value:.2g}" if 0 < value < 0.001 else f"{value:.3f}"


def _hundredfold(value: float, text: Callable[..., str], *, sign: bool = False) -> str:
    """A share in percent to one decimal; the product with 100 is taken in decimals, so that 0.07 gives 7.0."""
    return text(float(Decimal(repr(float(value))).scaleb(2)), decimals=1, sign=sign)


FILTERS = {
    "percent": percent,
    "percents": percents,
    "points": points,
    "change_interval": change_interval,
    "fixed": fixed,
    "small": small,
    "percent_up": percent_up,
    "up": up,
    "level": level,
}
