"""Bounds from a sample, as checkable statements."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction

from proofs_check.exact.enclosure import Real, exceeds, log, sqrt, total
from proofs_check.exact.law import Law
from proofs_check.statements.base import Constants, Statement

__all__ = ["STATEMENTS", "betting", "samples", "tail_of_binomial"]


_ONE, _TWO = Fraction(1), Fraction(2)


_CAP = Fraction(19, 20)  # largest share of the capital that is staked


_FINE = 1000  # bets are rationals of this denominator: any predictable bet is allowed


def samples(law: Law) -> Iterator[tuple[dict[int, int], Real]]:
    """Every multiset of n symbols, as counts, with its probability."""
    n, symbols = law.extra["n"], sorted(law.next_law)
    powers = {i: [_ONE * law.next_law[i] ** k for k in range(n + 1)] for i in symbols}
    for counts in _splits(n, len(symbols)):
        ways, mass = math.factorial(n), _ONE
        for symbol, count in zip(symbols, counts, strict=True):
            ways //= math.factorial(count)
            mass = mass * powers[symbol][count]
        yield dict(zip(symbols, counts, strict=True)), ways * mass


def _splits(n: int, parts: int) -> Iterator[tuple[int, ...]]:
    if parts == 1:
        yield (n,)
        return
    for first in range(n + 1):
        for rest in _splits(n - first, parts - 1):
            yield (first, *rest)


def _true_mean(law: Law) -> Real:
    return total(p * law.x[i][0] for i, p in law.next_law.items())


def _miss(law: Law, misses: Callable[[Real, Real], bool]) -> Real:
    """Probability that the bound from a sample's mean and mean square misses the truth."""
    n = law.extra["n"]
    missed: Real = Fraction(0)
    for counts, p in samples(law):
        mean = total(k * law.x[i][0] for i, k in counts.items()) / n
        square = total(k * law.x[i][0] ** 2 for i, k in counts.items()) / n
        if misses(mean, square):
            missed = missed + p
    return missed


def _hoeffding(law: Law, c: Constants, sign: int) -> Real:
    truth = _true_mean(law)
    width = sqrt(log(1 / law.extra["delta"]) / (c["a"] * law.extra["n"]))
    return _miss(law, lambda mean, _: exceeds(sign * (truth - mean), width))


def _bernstein(law: Law, c: Constants, sign: int) -> Real:
    n, truth = law.extra["n"], _true_mean(law)
    odds = log(2 / law.extra["delta"])

    def misses(mean: Real, square: Real) -> bool:
        if sign * (truth - mean) <= 0:
            return False
        variance = (square - mean**2) * n / (n - 1)
        width = sqrt(c["a"] * variance * odds / n) + c["b"] * odds / (n - 1)
        return exceeds(sign * (truth - mean), width)

    return _miss(law, misses)


def tail_of_binomial(k: int, n: int, p: Real) -> Real:
    """P(Binomial(n, p) <= k)."""
    return total(math.comb(n, s) * p**s * (1 - p) ** (n - s) for s in range(k + 1))


def _clopper_pearson(law: Law, c: Constants, *, upper: bool, tokens: int = 1) -> Real:
    """The bound misses p exactly where as extreme a count is rarer than a delta; `tokens` equal ones per image."""
    n, delta = law.extra["n"], law.extra["delta"]
    p = _true_mean(law) if upper else 1 - _true_mean(law)
    missed: Real = Fraction(0)
    for k in range(n + 1):
        if exceeds(c["a"] * delta, tail_of_binomial(k * tokens, n * tokens, p)):
            missed = missed + math.comb(n, k) * p**k * (1 - p) ** (n - k)
    return missed


def _bets(seen: Sequence[Real], n: int, delta: Real, *, sequence: bool) -> Real:
    """The stake on the next value, from those before it."""
    mean, spread, running = 0.5, 0.25, 0.5
    for j, x in enumerate(seen, start=1):
        running += float(x)
        mean = running / (j + 1)
        spread += (float(x) - mean) ** 2
    j = len(seen) + 1
    horizon = j * math.log1p(j) if sequence else n
    stake = math.sqrt(2.0 * math.log(1.0 / float(delta)) / (spread / j * horizon))
    return min(_CAP, Fraction(round(stake * _FINE), _FINE))


def betting(law: Law, c: Constants, *, upper: bool, sequence: bool = False, foresight: bool = False) -> Real:
    """Probability that the capital against the true mean ever reaches a / delta."""
    n, delta = law.extra["n"], law.extra["delta"]
    value = {i: law.x[i][0] if upper else 1 - law.x[i][0] for i in law.next_law}
    truth = total(p * value[i] for i, p in law.next_law.items())

    def ruined(seen: tuple[Real, ...], capital: Real) -> Real:
        if capital >= c["a"] / delta:
            return _ONE
        if len(seen) == n:
            return Fraction(0)
        stake = _bets(seen, n, delta, sequence=sequence)
        result: Real = Fraction(0)
        for i, p in law.next_law.items():
            # With foresight the stake depends on the value it is placed on.
            share = 0 if foresight and value[i] > truth else stake
            result = result + p * ruined((*seen, value[i]), capital * (1 - share * (value[i] - truth)))
        return result

    return ruined((), _ONE)


def _finite(law: Law, c: Constants, *, upper: bool) -> Real:
    """The same without replacement from N units: the bet is against (N m - sum of seen) / (N - b j), j before."""
    n, delta, size = law.extra["n"], law.extra["delta"], law.extra["population"]
    value = {i: law.x[i][0] if upper else 1 - law.x[i][0] for i in law.next_law}
    truth = total(p * value[i] for i, p in law.next_law.items())
    stock = {i: size * p for i, p in law.next_law.items()}

    def ruined(seen: tuple[Real, ...], left: Mapping[int, Real], capital: Real) -> Real:
        if capital >= c["a"] / delta:
            return _ONE
        if len(seen) == n:
            return Fraction(0)
        stake = _bets(seen, n, delta, sequence=False)
        rest = size - len(seen)
        conditional = (size * truth - total(seen)) / rest
        result: Real = Fraction(0)
        for i, count in left.items():
            if count > 0:
                grown = capital * (1 - stake * (value[i] - conditional))
                result = result + count / rest * ruined((*seen, value[i]), {**left, i: count - 1}, grown)
        return result

    return ruined((), stock, _ONE)


def _band(law: Law, c: Constants) -> Real:
    """P[sup over thresholds |average share - true share| > u], u^2 = ln(b e / delta) / (a n)."""
    n = law.extra["n"]
    width_squared = (1 + log(c["b"] / law.extra["delta"])) / (c["a"] * n)
    dims = range(len(law.x[0]))
    truth = [total(p * law.x[i][d] for i, p in law.next_law.items()) for d in dims]
    missed: Real = Fraction(0)
    for counts, p in samples(law):
        gap = max(abs(total(k * law.x[i][d] for i, k in counts.items()) / n - truth[d]) for d in dims)
        if exceeds(gap**2, width_squared):
            missed = missed + p
    return missed


def _delta(law: Law, c: Constants) -> Real:
    return law.extra["delta"]


def _shuffled(law: Law) -> Real:
    """Mean of 1[rho <= t] over pairs whose y comes from another token of the *same* image z."""
    by_image: dict[int, Real] = {k[0]: p for k, p in law.marginal("z").items()}
    result: Real = Fraction(0)
    for (i, k), p in law.marginal("xz").items():
        for (j, other), q in law.marginal("yz").items():
            if k == other and law.distance(i, j) <= law.t:
                result = result + p * q / by_image[k]
    return result


def _sided(
    theorem: str,
    claim: str,
    left: Callable[[Law, Constants, bool], Real],
    constants: Mapping[str, Real],
    needs: tuple[str, ...] = ("sample",),
    families: tuple[str, ...] = ("coins", "rare ones", "rare zeros"),
) -> tuple[Statement, Statement]:
    """The upper and the lower bound."""

    def one(upper: bool) -> Statement:
        return Statement(
            theorem=f"{theorem}_{'upper' if upper else 'lower'}",
            claim=f"P[mean {'>' if upper else '<'} {claim}] <= delta",
            left=lambda law, c: left(law, c, upper),
            right=_delta,
            needs=needs,
            constants=constants,
            families=families,
        )

    return one(True), one(False)


STATEMENTS: tuple[Statement, ...] = (
    *_sided(
        "concentration.hoeffding",
        "average +- sqrt(ln(1/delta) / (a n))",
        lambda law, c, upper: _hoeffding(law, c, 1 if upper else -1),
        {"a": _TWO},
        families=("many coins", "coins", "rare ones"),
    ),
    *_sided(
        "concentration.empirical_bernstein",
        "average +- (sqrt(a V ln(2/delta) / n) + b ln(2/delta) / (n-1))",
        lambda law, c, upper: _bernstein(law, c, 1 if upper else -1),
        {"a": _TWO, "b": Fraction(7, 3)},
        ("sample", "two units"),
        families=("many coins", "rare ones", "rare zeros"),
    ),
    *_sided(
        "concentration.clopper_pearson",
        "the p at which as extreme a count has probability a delta",
        lambda law, c, upper: _clopper_pearson(law, c, upper=upper),
        {"a": _ONE},
        ("outcomes",),
        families=("exact tail", "exact tail, other side", "coins", "rare ones", "rare zeros"),
    ),
    *_sided(
        "concentration.betting",
        "the m at which the capital reaches a / delta",
        lambda law, c, upper: betting(law, c, upper=upper),
        {"a": _ONE},
    ),
    *_sided(
        "concentration.betting_sequence",
        "the m at which the capital reaches a / delta, at any time",
        lambda law, c, upper: betting(law, c, upper=upper, sequence=True),
        {"a": _ONE},
    ),
    *_sided(
        "concentration.finite_population",
        "the m at which the capital against the conditional means reaches a / delta",
        lambda law, c, upper: _finite(law, c, upper=upper),
        {"a": _ONE},
        ("finite population",),
        ("benchmark of twelve", "benchmark of twelve, other side"),
    ),
    Statement(
        theorem="concentration.dkw_band",
        claim="P[sup_t |average share - share| > sqrt(ln(b e/delta) / (a n))] <= delta",
        left=_band,
        right=_delta,
        needs=("shares",),
        constants={"a": _TWO, "b": _TWO},
        families=("many shares", "shares", "coins"),
    ),
    Statement(
        theorem="concentration.dkw_tail",
        claim="for t chosen after looking: P[|average share - share| > u] <= delta, u = sqrt(ln(b e/delta) / (a n))",
        left=_band,
        right=_delta,
        needs=("shares",),
        constants={"a": _TWO, "b": _TWO},
        families=("many shares", "shares", "coins"),
    ),
    Statement(
        theorem="claim.token_intervals",
        part="coverage",
        claim="P[mean > Clopper-Pearson bound over all tokens] <= delta",
        left=lambda law, c: _clopper_pearson(law, {"a": _ONE}, upper=True, tokens=law.extra["tokens"]),
        right=_delta,
        needs=("outcomes", "tokens"),
        true=False,
        families=("two equal tokens",),
    ),
    Statement(
        theorem="claim.token_intervals",
        part="shuffle",
        claim="pairs shuffled within an image have P[rho <= t] = q_t",
        left=lambda law, c: _shuffled(law),
        right=lambda law, c: law.independent_ball_prob,
        needs=("distance table",),
        relation="=",
        true=False,
        families=("two images",),
    ),
)
