"""Bounds from a sample, recomputed from a stored record, without the code that wrote it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import partial

from proofs_check.concentration.capital import Bet, last_unrefuted
from proofs_check.exact.enclosure import Enclosure, Real, at_most, enclose, exceeds, greatest, least, log, sqrt, total
from proofs_check.recheck.record import Claim, Inputs, Refused

__all__ = ["RULES"]


_OVER = 1 + Fraction(1, 10**9)  # a sum may pass its range by rounding


_ROOM = Fraction(2, 10**9)  # of a betting bound: its grid and its own safety margin


_IID = ("iid_images", "images (with their prompts) are i.i.d. draws from the population", "declared")


_UNIT = (Fraction(0), Fraction(1))
_HASHED = re.compile(r'ascending SHA-256 of salt (".*") and row number', re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sample:
    u: list[Fraction]
    w: list[Fraction] | None
    scale: Fraction
    assumptions: tuple[tuple[str, str, str], ...]

    @property
    def average(self) -> Fraction:
        total = Fraction(len(self.u)) if self.w is None else sum(self.w, Fraction(0))
        return min(sum(self.u, Fraction(0)) / total, Fraction(1)) if total else Fraction(1)


def _sample(
    given: Inputs, *, counted: bool = True, pooled: bool = False, scaled: bool = True, ordered: bool = True
) -> _Sample:
    values = given.vector("values")
    places = list(range(len(values)))
    scale = given.number("scale", 0, positive=True) if scaled else Fraction(1)
    order = given.text("order") if ordered else "as given"
    if stated := _HASHED.fullmatch(order):
        places.sort(key=partial(_rank, json.loads(stated[1])))
        values = [values[k] for k in places]
    fixed = f"the order of the images was fixed without looking at the values ({order})"
    assumptions = (_IID, ("order_fixed", fixed, "declared"))
    estimand = given.choice("estimand", ["image_average", "token_pooled"]) if pooled else "image_average"
    most = None
    if pooled and not given.absent("count_max"):
        most = given.count("count_max", 1)
    counts = None if not counted or given.absent("counts") else given.vector("counts")
    if counts is None:
        if estimand == "token_pooled":
            raise Refused("inputs.counts", "pooling tokens needs counts")
        return _Sample(u=_shares(values, [scale] * len(values)), w=None, scale=scale, assumptions=assumptions)
    if len(counts) != len(values) or any(k.denominator != 1 or k < 0 for k in counts):
        raise Refused("inputs.counts", "need one whole number >= 0 per value")
    counts = [counts[k] for k in places]
    shares = _shares(values, [scale * k for k in counts])
    if estimand == "image_average":
        if not min(counts):
            raise Refused("inputs.counts", "an image without tokens has no mean")
        return _Sample(u=shares, w=None, scale=scale, assumptions=assumptions)
    if most is None or max(counts) > most:
        raise Refused("inputs.count_max", f"need at least {int(max(counts))}")
    weights = [k / most for k in counts]
    bounded = ("count_max", f"no image of the population has more than {most} tokens", "declared")
    pairs = zip(shares, weights, strict=True)
    return _Sample(u=[s * w for s, w in pairs], w=weights, scale=scale, assumptions=(*assumptions, bounded))


def _rank(salt: str, row: int) -> bytes:
    """Place of a row in the order of the bets: values without names are ordered by a hash of their row numbers."""
    return hashlib.sha256(f"{len(salt)}:{salt}{row}".encode("utf-8", "surrogatepass")).digest()


def _shares(values: list[Fraction], ranges: list[Fraction]) -> list[Fraction]:
    for k, (x, r) in enumerate(zip(values, ranges, strict=True)):
        if not 0 <= x <= r * _OVER:
            raise Refused("inputs.values", f"value {k} is {float(x)!r}, outside [0, {float(r)!r}]")
    return [min(x / r, Fraction(1)) if r else Fraction(0) for x, r in zip(values, ranges, strict=True)]


def _delta(given: Inputs) -> tuple[Fraction, float]:
    level = given.raw("confidence_level")
    if isinstance(level, bool) or not isinstance(level, float) or not 0 < level < 1:
        raise Refused("inputs.confidence_level", f"need a level inside (0, 1), got {level!r}")
    return Fraction(1.0 - level), level


def _claim(given: Inputs, sample: _Sample, side: str, end: Real, level: float, slack: Real) -> Claim:
    upper = side == "upper"
    return Claim(
        quantity=given.text("quantity"),
        lower=Fraction(0) if upper else greatest(end, Fraction(0)),
        upper=least(end, sample.scale) if upper else sample.scale,
        trivial=(Fraction(0), sample.scale),
        assumptions=sample.assumptions,
        evidence="C",
        level=level,
        slack=slack,
    )


def _betting(given: Inputs, *, side: str, mode: str) -> Claim:
    sample = _sample(given, pooled=True)
    delta, level = _delta(given)
    bet = Bet(u=sample.u, w=sample.w, delta=delta, side=side, mode=mode)
    return _settled(given, sample, bet, level, _ROOM)


def _finite(given: Inputs, *, side: str) -> Claim:
    sample = _sample(given, counted=False)
    size = given.count("population_size", len(sample.u))
    order = given.text("order")
    drawn = f"the images are a uniformly random part of a fixed benchmark, in random order ({order})"
    sample = _Sample(
        u=sample.u, w=None, scale=sample.scale, assumptions=(("without_replacement", drawn, "declared"),)
    )  # fmt: skip
    delta, level = _delta(given)
    bet = Bet(u=sample.u, w=None, delta=delta, side=side, mode="fixed", population=size)
    return _settled(given, sample, bet, level, 2 * _ROOM)


def _settled(given: Inputs, sample: _Sample, bet: Bet, level: float, room: Fraction) -> Claim:
    """The stored end if the bet confirms it within `room`, else what the bet gives."""
    stored = given.stored[bet.side == "upper"]
    hint = stored / sample.scale if isinstance(stored, Fraction) else Fraction(-1)
    inner, outer = last_unrefuted(bet, hint, room)
    # What an early run of luck refutes, and the sample as a whole does not, is not excluded.
    if bet.mode == "fixed":
        limit = max if bet.side == "upper" else min
        inner, outer = limit(inner, sample.average), limit(outer, sample.average)
    ends = sorted([sample.scale * inner, sample.scale * outer])
    return _claim(given, sample, bet.side, Enclosure(*ends), level, sample.scale * room)


def _hoeffding(given: Inputs, *, side: str) -> Claim:
    sample = _sample(given)
    delta, level = _delta(given)
    return _around(given, sample, side, sqrt(enclose(log(1 / delta)) / (2 * len(sample.u))), level)


def _bernstein(given: Inputs, *, side: str) -> Claim:
    sample = _sample(given)
    delta, level = _delta(given)
    n = len(sample.u)
    if n < 2:
        raise Refused("inputs.values", "a sample variance needs two images")
    centre = sample.average
    variance = sum(((u - centre) ** 2 for u in sample.u), Fraction(0)) / (n - 1)
    odds = enclose(log(2 / delta))
    return _around(given, sample, side, enclose(sqrt(2 * variance * odds / n)) + 7 * odds / (3 * (n - 1)), level)


def _around(given: Inputs, sample: _Sample, side: str, width: Real, level: float) -> Claim:
    end = sample.average + width if side == "upper" else sample.average - enclose(width)
    slack = sample.scale * Fraction(len(sample.u) + 10, 10**14)
    return _claim(given, sample, side, sample.scale * enclose(end), level, slack)


def _clopper_pearson(given: Inputs, *, side: str) -> Claim:
    sample = _sample(given, counted=False, scaled=False)
    if any(u not in (0, 1) for u in sample.u):
        raise Refused("inputs.values", "need outcomes 0 and 1")
    delta, level = _delta(given)
    n, hits = len(sample.u), int(sum(sample.u))
    # The lower bound is 1 minus the upper bound of the misses.
    few = hits if side == "upper" else n - hits
    stored = given.stored[side == "upper"]
    stored = stored if isinstance(stored, Fraction) else Fraction(-1)
    p = stored if side == "upper" else 1 - stored
    end = enclose(1) if few == n else _binomial_limit(few, n, delta, p)
    return _claim(given, sample, side, end if side == "upper" else 1 - end, level, Fraction(1, 10**14))


def _binomial_limit(few: int, n: int, delta: Fraction, stored: Fraction) -> Enclosure:
    """The p at which P(Bin(n, p) <= few) = delta; around the stored one if that is close, else by bisection."""
    near = stored * (1 - Fraction(1, 10**6))
    sensible = near > 0 and stored < 1
    if sensible and at_most(_at_most(few, n, stored), delta) and exceeds(_at_most(few, n, near), delta):
        return Enclosure(near, stored)
    low, high = Fraction(0), Fraction(1)
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if at_most(_at_most(few, n, middle), delta) else (middle, high)
    return Enclosure(low, high)


def _at_most(few: int, n: int, p: Fraction) -> Real:
    """P(Bin(n, p) <= few), 0 < p < 1."""
    term = enclose(1)
    for bit in bin(n)[2:]:
        term = term * term * (enclose(1 - p) if bit == "1" else enclose(1))
    terms = [term]
    odds = enclose(p / (1 - p))
    for k in range(few):
        term = term * odds * Fraction(n - k, k + 1)
        terms.append(term)
    return total(terms)


def _band(given: Inputs) -> Claim:
    n = given.count("n_images", 1)
    delta, level = _delta(given)
    width = sqrt((1 + enclose(log(2 / delta))) / (2 * n))  # ln(2e/delta) = 1 + ln(2/delta)
    return Claim(
        quantity="cdf_deviation",
        lower=0,
        upper=least(width, Fraction(1)),
        trivial=_UNIT,
        assumptions=(_IID,),
        evidence="C",
        level=level,
    )


def _band_tail(given: Inputs) -> Claim:
    width = given.evidence("band", 0, 1)[1]
    strict = given.flag("strict")
    sample = _sample(given, scaled=False, ordered=False)
    return Claim(
        quantity="tail_prob" if strict else "tail_prob_closed",
        lower=max(Fraction(0), sample.average - width),
        upper=min(Fraction(1), sample.average + width),
        trivial=_UNIT,
        slack=Fraction(len(sample.u) + 10, 10**14),
    )


RULES: dict[str, Callable[[Inputs], Claim]] = {
    "concentration.betting_upper": partial(_betting, side="upper", mode="fixed"),
    "concentration.betting_lower": partial(_betting, side="lower", mode="fixed"),
    "concentration.betting_sequence_upper": partial(_betting, side="upper", mode="sequence"),
    "concentration.betting_sequence_lower": partial(_betting, side="lower", mode="sequence"),
    "concentration.finite_population_upper": partial(_finite, side="upper"),
    "concentration.finite_population_lower": partial(_finite, side="lower"),
    "concentration.hoeffding_upper": partial(_hoeffding, side="upper"),
    "concentration.hoeffding_lower": partial(_hoeffding, side="lower"),
    "concentration.empirical_bernstein_upper": partial(_bernstein, side="upper"),
    "concentration.empirical_bernstein_lower": partial(_bernstein, side="lower"),
    "concentration.clopper_pearson_upper": partial(_clopper_pearson, side="upper"),
    "concentration.clopper_pearson_lower": partial(_clopper_pearson, side="lower"),
    "concentration.dkw_band": _band,
    "concentration.dkw_tail": _band_tail,
}
