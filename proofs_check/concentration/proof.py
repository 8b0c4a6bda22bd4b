"""Bounds from a sample, proved, every step by exact algebra."""

from __future__ import annotations

from collections.abc import Callable

import sympy as sp

from proofs_check.symbolic.decide import Expr
from proofs_check.symbolic.draft import Draft, Proof

__all__ = ["PROOFS"]


_U, _M, _MU, _STAKE = (sp.Symbol(name, nonnegative=True) for name in ("u", "m", "mu", "lambda"))


_DELTA, _PROB = sp.Symbol("delta", positive=True), sp.Symbol("P", nonnegative=True)


_LETTERS = {
    "u": "the next value, in [0, 1]",
    "m": "the mean that is bet against",
    "mu": "conditional mean of u given the past",
    "lambda": "predictable stake",
    "P": "probability that the capital against the true mean ever reaches 1/delta",
}


def _betting(theorem: str, *, upper: bool, finite: bool = False) -> Callable[..., Proof]:
    sign = 1 if upper else -1
    side = "at least" if upper else "at most"

    def build(factor: Expr = 1) -> Proof:
        draft = Draft(f"betting against 'the mean is {side} m', at every sample size", **_LETTERS)
        growth = 1 - sign * _STAKE * (_U - _M)
        mean, wealth, before = sp.symbols("g K K0", nonnegative=True)
        draft.identity("factor", growth, 1 - sign * _STAKE * _U + sign * _STAKE * _M)
        right = 1 - sign * _STAKE * _MU + sign * _STAKE * _M
        draft.mean("on average", "factor", mean, right, {mean: growth, _MU: _U}, fixed=[_STAKE, _M])
        if finite:
            seen, left = sp.symbols("S left", positive=True)
            total = sp.Symbol("Nm", nonnegative=True)
            draft.assume(
                "all that is left", left * _MU, "=", total - seen, "without replacement: the rest of the benchmark"
            )
            draft.combine(
                "conditional mean",
                _MU,
                (total - seen) / left,
                {"all that is left": 1 / left},
                sense="=",
                rule="the mean that the bet is against, (N m - sum of seen)/(N - j + 1)",
            )
        low, high = (_M, _MU) if upper else (_MU, _M)
        draft.assume("hypothesis", low, "<=", high, f"the mean is {side} m")
        draft.combine("no growth", mean, 1, {"on average": 1, "hypothesis": _STAKE})
        spare, v = sp.symbols("s v", nonnegative=True)
        if upper:
            # lambda <= 19/20 and u - m <= 1
            at = {_STAKE: sp.Rational(19, 20) / (1 + spare), _U: 1 / (1 + v)}
        else:
            # lambda <= (19/20)/m and m - u <= m
            at = {_STAKE: sp.Rational(19, 20) / (_M * (1 + spare))}
        draft.cases("never ruined", sp.Rational(1, 20), growth, {"the stake is capped": at})
        draft.assume(
            "capital", wealth, "<=", before * mean, "the capital is multiplied by the factor; K0 is known before"
        )
        draft.combine("supermartingale", wealth, before, {"capital": 1, "no growth": before})
        draft.cite(
            "Ville",
            _PROB,
            "<=",
            _DELTA,
            "Ville's inequality: a supermartingale >= 0 from 1 reaches 1/delta w.p. <= delta",
        )
        draft.combine("statement", _PROB, factor * _DELTA, {"Ville": 1})
        draft.identity("monotone in m", sp.diff(growth, _M), sign * _STAKE, "so what is refuted is an interval")
        draft.attained(
            "best",
            _PROB,
            factor * _DELTA,
            {_PROB: sp.Rational(1, 20), _DELTA: sp.Rational(1, 20)},
            "a capital that stops at 1/delta or 0: Ville's bound is met",
        )
        return draft.done(theorem, "statement")

    return build


def _hoeffding(theorem: str) -> Callable[..., Proof]:
    def build(factor: Expr = 2) -> Proof:
        s, u, n = sp.symbols("s w n", positive=True)
        exponent = -s * u + s**2 / 8
        draft = Draft("Hoeffding's bound for n images", w="deviation of the average", s="tilt", n="images")
        chance = sp.Symbol("log P", real=True)
        draft.cite(
            "Chernoff", chance, "<=", n * exponent, "Markov for exp(s n (mu - average)), Hoeffding's lemma: s^2/8 each"
        )
        draft.minimum("best tilt", exponent, s, 4 * u, sp.Rational(1, 4))
        draft.substitute("at the best tilt", "Chernoff", {s: 4 * u}, "best tilt")
        draft.combine("statement", chance, -factor * n * u**2, {"at the best tilt": 1})
        width = sp.sqrt(sp.log(1 / _DELTA) / (factor * n))
        draft.identity("width", -factor * n * width**2, sp.log(_DELTA), "solved for w")
        draft.attained("exponent", exponent.subs(s, 4 * u), -factor * u**2, {}, "at the best tilt")
        return draft.done(theorem, "statement")

    return build


def _band(factor: Expr = 2) -> Proof:
    n, u, x = sp.symbols("n w x", positive=True)
    draft = Draft("a band for averages of per-image distribution functions", w="width", n="images")
    chance = sp.Symbol("P", nonnegative=True)
    draft.cite(
        "one token per image",
        sp.Symbol("P1", nonnegative=True),
        "<=",
        2 * sp.exp(-2 * n * x**2),
        "Dvoretzky-Kiefer-Wolfowitz, Massart: i.i.d. tokens, one from each image",
    )
    tail = 2 * sp.exp(-2 * n * x**2)
    slope = sp.diff(sp.log(tail), x).subs(x, u)
    draft.identity("log-tail", sp.expand_log(sp.log(tail), force=True).subs(x, u), sp.log(2) - 2 * n * u**2)
    draft.identity("tangent", slope, -4 * n * u, "the log-tail is concave: it lies below its tangent at w")
    start = u - 1 / (4 * n * u)
    bound = 2 * sp.exp(-2 * n * u**2 + 1)
    line = sp.log(2) - 2 * n * u**2 + slope * (start - u)
    draft.identity("where the tangent is one up", line, sp.log(2) - 2 * n * u**2 + 1, "a = w - 1/(4 n w)")
    draft.cite(
        "convex transfer",
        chance,
        "<=",
        bound,
        "the average is a conditional mean, (sup - a)+ is convex: P <= E(sup1 - a)+/(w - a) <= exp(tangent at a)",
    )
    draft.combine("statement", chance, factor * sp.exp(1 - 2 * n * u**2), {"convex transfer": 1})
    width = sp.sqrt((1 + sp.log(2 / _DELTA)) / (2 * n))
    value = sp.log(factor) + 1 - 2 * n * width**2
    draft.identity("width", value, sp.log(_DELTA), "solved for w: log(2e/delta) = 2 n w^2")
    return draft.done("concentration.dkw_band", "statement")


PROOFS: dict[str, Callable[..., Proof]] = {
    "concentration.betting_upper": _betting("concentration.betting_upper", upper=True),
    "concentration.betting_lower": _betting("concentration.betting_lower", upper=False),
    "concentration.betting_sequence_upper": _betting("concentration.betting_sequence_upper", upper=True),
    "concentration.betting_sequence_lower": _betting("concentration.betting_sequence_lower", upper=False),
    "concentration.finite_population_upper": _betting("concentration.finite_population_upper", upper=True, finite=True),
    "concentration.finite_population_lower": _betting(
        "concentration.finite_population_lower", upper=False, finite=True
    ),
    "concentration.hoeffding_upper": _hoeffding("concentration.hoeffding_upper"),
    "concentration.hoeffding_lower": _hoeffding("concentration.hoeffding_lower"),
    "concentration.dkw_band": _band,
}
