"""What the bound functions share: reading inputs as intervals, caps, and rounding slack."""

from __future__ import annotations

import math
import sys

from redundancy.certificates.certificate import Assumption, Bound, BoundCertificate, Evidence, as_interval
from redundancy.errors import InvalidInputError
from redundancy.interval import Interval, round_up
from redundancy.units import to_nats

__all__ = [
    "NONNEGATIVE",
    "PROBABILITY",
    "binary_terms",
    "capped",
    "gap_bound",
    "nats",
    "nonnegative",
    "probability",
    "product",
    "range_assumption",
    "rounding_slack",
    "upper_of",
]

NONNEGATIVE = Interval(0.0, math.inf)
PROBABILITY = Interval(0.0, 1.0)


def nonnegative(value: Evidence, name: str) -> Interval:
    """Evidence on a quantity in [0, inf]."""
    return as_interval(value, name=name, within=NONNEGATIVE)


def upper_of(value: Evidence, name: str) -> float:
    """The upper end of evidence on a quantity in [0, inf]."""
    return nonnegative(value, name).upper


def probability(value: Evidence, name: str) -> Interval:
    """Evidence on a quantity in [0, 1]."""
    return as_interval(value, name=name, within=PROBABILITY)


def nats(value: Evidence, name: str, base: float) -> Interval:
    """Evidence on an amount of information, in nats; a certificate brings its own base, else `base` holds."""
    interval = nonnegative(value, name)
    if isinstance(value, BoundCertificate) and value.base is not None:
        base = value.base
    return Interval(to_nats(interval.lower, base), to_nats(interval.upper, base))


def product(*factors: float) -> float:
    """Product of non-negative numbers with 0 * inf = 0: a factor of zero kills an unbounded one."""
    return 0.0 if 0.0 in factors else math.prod(factors)


def binary_terms(p: float) -> tuple[float, float]:
    """``-p ln p`` and ``-(1-p) ln(1-p)``, the two non-negative terms of the binary entropy."""
    first = -p * math.log(p) if p > 0.0 else 0.0
    return first, (-(1.0 - p) * math.log1p(-p) if p < 1.0 else 0.0)


def rounding_slack(*terms: float) -> float:
    """Absolute rounding allowance for a sum of `terms` that may cancel."""
    return 16.0 * sys.float_info.epsilon * math.fsum(abs(t) for t in terms if math.isfinite(t))


def gap_bound(
    upper: float,
    *,
    cap: Evidence | None,
    assumptions: tuple[Assumption, ...],
    evidence: str,
    lower: float = 0.0,
    quantity: str = "functional_gap",
) -> Bound:
    """An upper bound on a squared gap, capped by `cap` (Var Z or R^2) where one is given."""
    ceiling = math.inf if cap is None else upper_of(cap, "task_cap")
    top = min(round_up(upper), ceiling)
    if lower > top:
        raise InvalidInputError(
            f"need inputs that agree, got a lower bound {lower:.6g} on {quantity} above its upper bound {top:.6g}; "
            "one of the inputs is wrong"
        )
    return Bound(
        quantity=quantity,
        interval=Interval(lower, top),
        trivial=Interval(0.0, ceiling),
        assumptions=assumptions,
        evidence=evidence,
    )


def range_assumption(diameter: float | None, radius: float | None) -> Assumption:
    """What is declared of the range of the task, in words."""
    parts = [] if diameter is None else [f"no two task values are further apart than {diameter:g}"]
    parts += [] if radius is None else [f"all task values lie in one ball of radius {radius:g}"]
    return Assumption("task_range", " and ".join(parts))


def capped(
    upper: float,
    diameter: float | None,
    radius: float | None,
    task_cap: Evidence | None,
    assumptions: tuple[Assumption, ...],
    evidence: str,
) -> Bound:
    """Cap by R^2 <= Delta^2 / 2 (Jung) and by what the caller knows of Var Z."""
    cap = math.inf if radius is None else round_up(radius**2)
    if diameter is not None:
        cap = min(cap, round_up(0.5 * diameter**2))
    if task_cap is not None:
        cap = min(cap, upper_of(task_cap, "task_cap"))
    return gap_bound(upper, cap=cap, assumptions=assumptions, evidence=evidence)
