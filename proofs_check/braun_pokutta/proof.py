"""Theorem 4, proved, every step by exact algebra."""

from __future__ import annotations

from collections.abc import Callable

import sympy as sp

from proofs_check.fano.proof import binary_entropy, gibbs
from proofs_check.symbolic.decide import Expr
from proofs_check.symbolic.draft import Draft, Proof

__all__ = ["PROOFS"]


_P, _Q = sp.symbols("P q", positive=True)


_I = sp.Symbol("I", nonnegative=True)


_LETTERS = {"I": "I(X;Y) = KL(joint || product)", "P": "P(rho > t)", "q": "P(rho(X',Y') <= t), independent copies"}


def _coins() -> Expr:
    """d(1 - P || q)."""
    return (1 - _P) * sp.log((1 - _P) / _Q) + _P * sp.log(_P / (1 - _Q))


def _log_sum(draft: Draft) -> None:
    """Sum over a cell of a log(a/b) >= A log(A/B), from Gibbs with q = b A/B."""
    a, b, whole, base = sp.symbols("a b A B", positive=True)
    p, q = sp.symbols("p q", positive=True)
    total, mass, other = sp.symbols("T M N", real=True)
    gibbs(draft)
    draft.substitute("rescaled", "Gibbs", {p: a, q: b * whole / base}, "p = a, q = b A/B")
    left = a * sp.log(b * whole / base / a)
    draft.identity("split", left, a * sp.log(whole / base) - a * sp.log(a / b), "logarithm of a product")
    using = {"rescaled": 1, "split": -1}
    draft.combine("in one point", a * sp.log(whole / base) - a * sp.log(a / b), b * whole / base - a, using)
    ratio = sp.Symbol("log(A/B)", real=True)
    scale = sp.Symbol("A/B", positive=True)
    draft.substitute("with names", "in one point", {whole: scale * base}, "A = (A/B) B")
    draft.assume("logarithm", ratio, "=", sp.log(scale), "name")
    right = b * scale - a
    draft.combine("named", a * ratio - a * sp.log(a / b), right, {"with names": 1, "logarithm": a})
    meaning = {mass: a, total: a * sp.log(a / b), other: b}
    draft.mean("over the cell", "named", mass * ratio - total, other * scale - mass, meaning, fixed=[ratio, scale])
    draft.assume("mass", mass, "=", whole, "A is the sum of a over the cell")
    draft.assume("scaled mass", other * scale, "=", whole, "B is the sum of b over the cell: B (A/B) = A")
    using = {"over the cell": 1, "mass": -ratio - 1, "scaled mass": 1}
    draft.combine("log-sum inequality", whole * ratio, total, using)


def _law(factor: Expr = 1) -> Proof:
    kl, pieces = sp.symbols("D T", real=True)
    cell = sp.Symbol("A*log(A/B)", real=True)
    draft = Draft(
        "from the pair to the law of its distance",
        a="P(x,y)",
        b="P(x) P(y)",
        A="P(rho = r)",
        B="the same, independent",
        D="KL(law of rho, joint || product)",
        T="sum of a log(a/b) over {rho = r}",
        **_LETTERS,
    )
    _log_sum(draft)
    draft.assume("one cell", cell, "<=", pieces, "log-sum inequality, A log(A/B) written as one symbol")
    draft.mean("all cells", "one cell", kl, _I, {kl: cell, _I: pieces})
    draft.combine("statement", factor * kl, _I, {"all cells": 1})
    draft.attained("best", factor * kl, _I, {kl: sp.log(2), _I: sp.log(2)}, "X = Y a fair bit, rho = 0 or 1")
    return draft.done("braun_pokutta.law_lower", "statement")


def _binary(near: Expr = 1, far: Expr = 1) -> Proof:
    draft = Draft("two cells: within t or not", **_LETTERS)
    draft.earlier(
        "two cells", _coins(), "<=", _I, "braun_pokutta.law_lower", "the distance is cut at t, so it has two values"
    )
    right = near * (1 - _P) * sp.log((1 - _P) / _Q) + far * _P * sp.log(_P / (1 - _Q))
    draft.combine("statement", right, _I, {"two cells": 1})
    _monotone(draft)
    half = sp.Rational(1, 2)
    # A fair bit twice: rho = 0 always, q = 1/2; and never: both terms are attained.
    at = {_I: sp.log(2), _Q: half}
    draft.attained("best near", sp.limit(right.subs(_Q, half), _P, 0), _I, at, "X = Y a fair bit, t = 0: P = 0")
    draft.attained("best far", sp.limit(right.subs(_Q, half), _P, 1), _I, at, "X the other bit: P = 1")
    return draft.done("braun_pokutta.binary_lower", "statement")


def _monotone(draft: Draft) -> None:
    """While 1 - P >= q the divergence falls in P and in q: upper confidence bounds may be put in."""
    p = sp.Symbol("P", positive=True)
    value = (1 - p) * sp.log((1 - p) / _Q) + p * sp.log(p / (1 - _Q))
    draft.identity("slope in q", sp.diff(value, _Q), (_Q - (1 - p)) / (_Q * (1 - _Q)), "sign of q - (1 - P)")
    draft.identity("slope in P", sp.diff(value, p), sp.log(p * _Q / ((1 - p) * (1 - _Q))), "sign of P q - (1-P)(1-q)")
    draft.identity("same sign", p * _Q - (1 - p) * (1 - _Q), _Q - (1 - p), "both are <= 0 while q <= 1 - P")


def _printed(near: Expr = 1, far: Expr = 1, entropy: Expr = 1) -> Proof:
    low, high, v = sp.symbols("p_min u v", positive=True)
    near_one = sp.Symbol("1-P", positive=True)
    draft = Draft("Theorem 4 as printed, without p_min + p_max < 1", u="p_max - q", v="q - p_min", **_LETTERS)
    ball = sp.Symbol("P(Y in ball of x)", positive=True)
    draft.assume("balls from below", low, "<=", ball, "p_min is the least")
    draft.mean("q from below", "balls from below", low, _Q, {_Q: ball}, fixed=[low])
    draft.assume("balls from above", ball, "<=", _Q + high, "p_max = q + u is the largest")
    draft.earlier("binary", _coins(), "<=", _I, "braun_pokutta.binary_lower")
    largest, most, least = (sp.Symbol(name, real=True) for name in ("log q", "log p_max", "log(1-p_min)"))
    other = sp.Symbol("log(1-q)", real=True)
    draft.logarithm("largest ball", _Q, _Q + high)
    draft.logarithm("smallest ball", 1 - (low + v), 1 - low)
    for name, symbol, argument in (
        ("log q", largest, _Q),
        ("log p_max", most, _Q + high),
        ("log(1-p_min)", least, 1 - low),
        ("log(1-q)", other, 1 - (low + v)),
    ):
        draft.assume(name, symbol, "=", sp.log(argument), "name; q = p_min + v")
    draft.combine("near", largest, most, {"largest ball": 1, "log q": 1, "log p_max": -1})
    draft.combine("far", other, least, {"smallest ball": 1, "log(1-q)": 1, "log(1-p_min)": -1})
    entropy_of = binary_entropy(_P)
    draft.identity(
        "coins", _coins(), -entropy_of - (1 - _P) * sp.log(_Q) - _P * sp.log(1 - _Q), "logarithms of quotients"
    )
    draft.assume("q", sp.log(1 - _Q), "=", other, "q = p_min + v")
    draft.assume("1 - P", near_one, "=", 1 - _P, "name of a probability")
    right = -near * near_one * most - far * _P * least - entropy * entropy_of
    using = {"binary": 1, "coins": -1, "log q": -near_one, "near": near_one, "far": _P, "q": _P, "1 - P": -sp.log(_Q)}
    draft.combine("statement", right, _I, using)
    p = sp.Symbol("P", positive=True)
    value = (1 - p) * sp.log(1 / (_Q + high)) + p * sp.log(1 / (1 - low)) - binary_entropy(p)
    odds = (1 - low) / (1 - low + _Q + high)
    draft.stationary("worst tail", value, p, odds)
    draft.identity("second derivative", sp.diff(value, p, 2), 1 / (p * (1 - p)), "convex for 0 < P < 1")
    fair = -near * sp.log(sp.Rational(1, 2))
    draft.attained("best near", fair, sp.log(2), {}, "X = Y fair bit, t = 0: P = 0, p_min = p_max = 1/2, I = log 2")
    draft.attained("best far", -far * sp.log(sp.Rational(1, 2)), sp.log(2), {}, "Y the other bit: P = 1")
    third = near * sp.log(3) / 3 + far * 2 * sp.log(sp.Rational(3, 2)) / 3
    third -= entropy * (sp.log(3) / 3 + 2 * sp.log(sp.Rational(3, 2)) / 3)
    draft.attained(
        "best H2", sp.expand(sp.expand_log(third)), 0, {}, "independent, P = 2/3, balls of probability 1/3: I = 0"
    )
    draft.refuted(
        "probabilities, not counts", sp.log(3), 0, "constant layer on three symbols: N/K = 1/3 for p_max, I = 0"
    )
    return draft.done("braun_pokutta.printed_lower", "statement")


def _variational(score: Expr = 1, partition: Expr = 1) -> Proof:
    a, b, z = sp.symbols("a b Z", positive=True)
    p, q = sp.symbols("p q", positive=True)
    phi, log_z = sp.symbols("phi log_Z", real=True)
    mean, total, mass, tilted = sp.symbols("E_phi T M W", real=True)
    kl = sp.Symbol("D", real=True)
    draft = Draft(
        "Donsker-Varadhan for the distance",
        a="P(rho = r)",
        b="the same, independent",
        phi="score of r, fixed",
        Z="E' exp phi",
        E_phi="E phi",
        D="KL(law of rho, joint || product)",
        **_LETTERS,
    )
    gibbs(draft)
    draft.substitute("tilted", "Gibbs", {p: a, q: b * sp.exp(phi) / z}, "p = a, q = b e^phi / Z")
    left = a * sp.log(b * sp.exp(phi) / z / a)
    draft.identity("split", left, a * phi - a * sp.log(z) - a * sp.log(a / b), "logarithm of a product")
    draft.assume("log Z", log_z, "=", sp.log(z), "name")
    weight = sp.Symbol("w", positive=True)
    draft.assume("weight", weight, "=", b * sp.exp(phi) / z, "name")
    named = a * phi - a * log_z - a * sp.log(a / b)
    draft.combine("in one point", named, weight - a, {"tilted": 1, "split": -1, "log Z": -a, "weight": -1})
    meaning = {mean: a * phi, mass: a, total: a * sp.log(a / b), tilted: weight}
    draft.mean("summed", "in one point", mean - mass * log_z - total, tilted - mass, meaning, fixed=[log_z])
    draft.assume("joint mass", mass, "=", 1, "a is a law")
    draft.assume("tilted mass", tilted, "=", 1, "the sum of b e^phi is Z")
    draft.assume("divergence", total, "=", kl, "definition of D")
    draft.earlier("law of the distance", kl, "<=", _I, "braun_pokutta.law_lower")
    value = score * mean - partition * log_z
    using = {
        "summed": 1,
        "joint mass": log_z - 1,
        "tilted mass": 1,
        "divergence": 1,
        "law of the distance": 1,
    }
    draft.combine("statement", value, _I, using)
    at = {mean: 2 * sp.log(2), log_z: sp.log(2), _I: sp.log(2)}
    draft.attained("best", value, _I, at, "X = Y a fair bit, phi = 2 log 2 at 0 and -inf at 1: Z = 2")
    draft.attained("shift", value, sp.Integer(0), {mean: phi, log_z: phi}, "constant phi says 0")
    return draft.done("braun_pokutta.variational_lower", "statement")


def _best_radius(factor: Expr = 1) -> Proof:
    first, slack = sp.symbols("b u", nonnegative=True)
    draft = Draft(
        "the largest of several valid bounds, over radii", I="I(X;Y)", b="the largest", u="what another lacks"
    )
    draft.earlier("first", first, "<=", _I, "braun_pokutta.binary_lower")
    draft.cases("the largest is one of them", sp.Max(first, first - slack), first, {"u >= 0": {}})
    draft.combine("statement", factor * first, _I, {"first": 1}, rule="it is the bound of one radius")
    draft.attained("best", factor * first, _I, {first: 1, _I: 1}, "already for a single radius")
    return draft.done("braun_pokutta.best_radius_lower", "statement")


PROOFS: dict[str, Callable[..., Proof]] = {
    "braun_pokutta.law_lower": _law,
    "braun_pokutta.binary_lower": _binary,
    "braun_pokutta.printed_lower": _printed,
    "braun_pokutta.variational_lower": _variational,
    "braun_pokutta.best_radius_lower": _best_radius,
}
