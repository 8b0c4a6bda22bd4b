"""Proposition 1 and the two tails, recomputed from a stored record, without the code that wrote it."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise

from proofs_check.exact.enclosure import Real, enclose, least
from proofs_check.recheck.record import Claim, Inputs, Refused

__all__ = ["RULES"]


_UNIT = (Fraction(0), Fraction(1))


def _range(r: Fraction) -> tuple[tuple[str, str, str], ...]:
    return (("distance_range", f"distances lie in [0, {float(r):g}]", "declared"),)


def _radius(given: Inputs) -> tuple[Fraction, Fraction]:
    r = given.number("rho_max", 0, positive=True)
    return r, given.number("t", 0, r)


def _printed(given: Inputs) -> Claim:
    r, t = _radius(given)
    if t == r:
        raise Refused("inputs.t", "Proposition 1 needs t below the range")
    return _mean(Fraction(0), t + (r - t) * given.probability("tail_prob")[1], r, "A")


def _sandwich_upper(given: Inputs) -> Claim:
    r, t = _radius(given)
    return _mean(Fraction(0), t + (r - t) * given.probability("tail_prob")[1], r)


def _sandwich_lower(given: Inputs) -> Claim:
    r, t = _radius(given)
    return _mean(t * given.probability("tail_prob_closed")[0], r, r)


def _grid(given: Inputs) -> Claim:
    r = given.number("rho_max", 0, positive=True)
    t, strict, closed = (given.vector(name) for name in ("thresholds", "tail_upper", "tail_closed_lower"))
    if not len(t) == len(strict) == len(closed):
        raise Refused("inputs.thresholds", "need one pair of tails per threshold")
    if any(a >= b for a, b in pairwise(t)) or t[0] < 0 or t[-1] > r:
        raise Refused("inputs.thresholds", f"need increasing thresholds inside [0, {float(r)}]")
    if any(not 0 <= p <= 1 for p in strict + closed):
        raise Refused("inputs.tail_upper", "need probabilities")
    # The integral of P(rho > s): on (t_i, t_i+1) it is at most every bound at or before t_i, and at least every
    # bound on P(rho >= t) at or behind t_i+1.
    ends = [*t, r]
    upper = t[0] + sum((ends[i + 1] - ends[i]) * min(strict[: i + 1]) for i in range(len(t)))
    starts = [Fraction(0), *t]
    lower = sum((starts[i + 1] - starts[i]) * max(closed[i:]) for i in range(len(t)))
    return _mean(lower, upper, r, slack=Fraction(len(t) + 4, 10**15) * r)


def _mean(lower: Real, upper: Real, r: Fraction, evidence: str = "P", slack: Real = Fraction(0)) -> Claim:
    return Claim(
        quantity="mean_distance",
        lower=lower,
        upper=min(upper, r),
        trivial=(Fraction(0), r),
        assumptions=_range(r),
        evidence=evidence,
        slack=slack,
    )


def _tail_upper(given: Inputs) -> Claim:
    t = given.number("t", 0, positive=True)
    upper = least(enclose(given.upper("mean_distance")) / t, Fraction(1))
    return Claim(quantity="tail_prob_closed", lower=0, upper=upper, trivial=_UNIT)


def _tail_lower(given: Inputs) -> Claim:
    r, t = _radius(given)
    if t == r:
        raise Refused("inputs.t", "nothing lies above the range")
    mean = given.evidence("mean_distance", 0, r)[0]
    lower = max(Fraction(0), (mean - t) / (r - t))
    # The difference of mean and t is rounded before it is divided.
    slack = (mean + t) / (r - t) * Fraction(1, 10**14)
    return Claim(
        quantity="tail_prob", lower=lower, upper=1, trivial=_UNIT, assumptions=_range(r), slack=slack if lower else 0
    )


def _strict(given: Inputs) -> Claim:
    return Claim(quantity="tail_prob", lower=0, upper=given.probability("tail_prob_closed")[1], trivial=_UNIT)


def _closed(given: Inputs) -> Claim:
    return Claim(quantity="tail_prob_closed", lower=given.probability("tail_prob")[0], upper=1, trivial=_UNIT)


RULES: dict[str, Callable[[Inputs], Claim]] = {
    "tail.strict_tail_upper": _strict,
    "tail.closed_tail_lower": _closed,
    "tail.printed_upper": _printed,
    "tail.sandwich_upper": _sandwich_upper,
    "tail.sandwich_lower": _sandwich_lower,
    "tail.sandwich_grid": _grid,
    "tail.tail_closed_upper": _tail_upper,
    "tail.tail_lower": _tail_lower,
}
