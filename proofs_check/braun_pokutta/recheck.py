"""Theorem 4, recomputed from a stored record, without the code that wrote it."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

from proofs_check.exact.enclosure import Real, enclose, exceeds, greatest, log, total
from proofs_check.lemmas.recheck import marginal
from proofs_check.recheck.record import Claim, Inputs, Refused, entropy_terms, log_base

__all__ = ["RULES"]


_ULP = Fraction(1, 2**52)


_FINITE = ("finite_support", "both layers are coded in one finite alphabet of the size given", "declared")


def _claim(given: Inputs, nats: Real, *, size: int | None = None, terms: Real = 4) -> Claim:
    base = given.base()
    if size is None and not given.absent("support_size"):
        size = given.count("support_size", 1)
    unit = log_base(base)
    cap = math.inf if size is None else enclose(log(Fraction(size))) / unit
    lower = greatest(enclose(nats) / unit, enclose(0))
    if exceeds(lower, cap):
        raise Refused("inputs.support_size", "the bound exceeds the logarithm of the alphabet")
    return Claim(
        quantity="mutual_information",
        lower=lower,
        upper=cap,
        trivial=(Fraction(0), cap),
        base=base,
        assumptions=() if size is None else (_FINITE,),
        slack=Fraction(terms + 4) / 10**14,
    )


def _printed(given: Inputs) -> Claim:
    tail = given.probability("tail_prob")
    fewest, most = given.probability("ball_prob_min")[0], given.probability("ball_prob_max")[1]
    if most == 0 or fewest > most:
        raise Refused("inputs.ball_prob_max", "need 0 < p_max and p_min <= p_max")
    if fewest == 1:
        if tail[0] > 0:
            raise Refused("inputs.tail_prob", "must be 0 if every ball has probability 1")
        return _claim(given, Fraction(0))
    # Convex in P, with its bottom where the odds of P are (1 - p_min)/p_max.
    p = min(max((1 - fewest) / (1 - fewest + most), tail[0]), tail[1])
    value = total([(1 - p) * log(1 / most), p * log(1 / (1 - fewest)), -1 * enclose(entropy_terms([p, 1 - p]))])
    return _claim(given, value, terms=_scale(most) + _scale(1 - fewest) + 8)


def _scale(p: Fraction) -> int:
    """About |ln p|, which multiplies rounding errors."""
    return 64 if p <= 0 else 4 + abs(int(math.log(float(p)))) if float(p) > 0 else 800


def _divergence(tail: tuple[Fraction, Fraction], ball: tuple[Fraction, Fraction]) -> Real:
    """Least d(1 - P || q) over a box: 0 if it meets 1 - P = q, else at the corner next to that line."""
    # Closer than floats can tell 1 - P from q counts as equal: the divergence is then 0 to rounding, and 0 is safe.
    if 1 - tail[1] > ball[1] + _ULP:
        p, q = tail[1], ball[1]
    elif 1 - tail[0] < ball[0] - _ULP:
        p, q = tail[0], ball[0]
    else:
        return Fraction(0)
    if q in (0, 1):
        return enclose(math.inf)
    return total(a * log(a / b) for a, b in ((1 - p, q), (p, 1 - q)) if a)


def _binary(given: Inputs) -> Claim:
    tail, ball = given.probability("tail_prob"), given.probability("ball_prob")
    return _claim(given, _divergence(tail, ball), terms=_scale(ball[1]) + _scale(1 - ball[0]) + 8)


def _law(given: Inputs) -> Claim:
    _, joint = given.law("joint_law", 1)
    _, product = given.law("product_law", 1)
    if given.raw("joint_law") != given.raw("product_law") and not set(joint) <= set(product):
        return _claim(given, enclose(math.inf))
    return _claim(given, total(p * log(p / product[k]) for k, p in joint.items()), terms=20 * (2 + len(joint)))


def _variational(given: Inputs) -> Claim:
    score = given.evidence("mean_score", -math.inf)[0]
    partition = given.evidence("mean_exp_score")[1]
    if partition == 0:
        raise Refused("inputs.mean_exp_score", "must be above 0")
    if math.isinf(partition):
        return _claim(given, Fraction(0))
    value = enclose(score) - log(partition)
    scale = abs(int(score)) + _scale(Fraction(partition)) if math.isfinite(score) else 4
    return _claim(given, value, terms=scale + 8)


def _best_radius(given: Inputs) -> Claim:
    shape, masses = given.law("joint", 2)
    if shape[0] != shape[1]:
        raise Refused("inputs.joint", f"need one alphabet for both layers, got shape {shape}")
    rho = given.distances("distances", shape[0])
    x, y = marginal(masses, (0,)), marginal(masses, (1,))
    best: Real = enclose(0)
    for t in sorted({v for row in rho for v in row}):
        tail = sum((p for (i, j), p in masses.items() if rho[i][j] > t), Fraction(0))
        ball = sum((p * q for (i,), p in x.items() for (j,), q in y.items() if rho[i][j] <= t), Fraction(0))
        best = greatest(best, _divergence((tail, tail), (ball, ball)))
    return _claim(given, best, size=shape[0], terms=400 + 20 * shape[0] * shape[1])


RULES: dict[str, Callable[[Inputs], Claim]] = {
    "braun_pokutta.printed_lower": _printed,
    "braun_pokutta.binary_lower": _binary,
    "braun_pokutta.law_lower": _law,
    "braun_pokutta.variational_lower": _variational,
    "braun_pokutta.best_radius_lower": _best_radius,
}
