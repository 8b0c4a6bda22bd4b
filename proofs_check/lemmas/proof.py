"""Lemmas 1 to 5, proved, every step by exact algebra."""

from __future__ import annotations

from collections.abc import Callable

import sympy as sp

from proofs_check.symbolic.decide import Expr
from proofs_check.symbolic.draft import Draft, Proof

__all__ = ["PROOFS"]


_HALF = sp.Rational(1, 2)


def _lemma1(first: Expr = 2, second: Expr = 2) -> Proof:
    a, b, c = sp.symbols("a b c", nonnegative=True)
    draft = Draft("squared triangle inequality", a="d(x, z)", b="d(z, y)", c="d(x, y)")
    _squared_triangle(draft, a, b, c)
    draft.squares("doubling", (a + b) ** 2, 2 * a**2 + 2 * b**2, [a, b])
    draft.combine("statement", c**2, first * a**2 + second * b**2, {"squared": 1, "doubling": 1})
    draft.attained("best", c**2, first * a**2 + second * b**2, {a: 1, b: 1, c: 2}, "points 0, 1, 2 on the line")
    # Equality at a = b fixes the sum of the two constants; the stationary ratio fixes each of them.
    ratio = (a + 1) ** 2 / (first * a**2 + second)
    draft.stationary("balance", ratio, a, sp.Integer(1))
    return draft.done("lemmas.squared_triangle_upper", "statement")


def _lemma1_minkowski(factor: Expr = 1) -> Proof:
    a, b, c = sp.symbols("a b c", nonnegative=True)
    draft = Draft("triangle inequality, squared", a="d(x, z)", b="d(z, y)", c="d(x, y)")
    _squared_triangle(draft, a, b, c)
    draft.combine("statement", c**2, factor * (a + b) ** 2, {"squared": 1})
    draft.identity("gain over Lemma 1", 2 * a**2 + 2 * b**2 - (a + b) ** 2, (a - b) ** 2)
    draft.attained("best", c**2, factor * (a + b) ** 2, {c: a + b}, "z between x and y on a line")
    return draft.done("lemmas.squared_triangle_minkowski", "statement")


def _squared_triangle(draft: Draft, a: Expr, b: Expr, c: Expr) -> None:
    draft.cite("triangle", c, "<=", a + b, "triangle inequality of the distance")
    draft.square("squared", "triangle")


def _polarised(draft: Draft) -> tuple[Expr, ...]:
    """|x - y|^2 = (|x| - |y|)^2 + 2 |x||y| rho, from the definition of cosine distance."""
    x, y, rho = (sp.Symbol(name, nonnegative=True) for name in ("|x|", "|y|", "rho"))
    scalar = sp.Symbol("<x,y>", real=True)
    draft.assume("cosine distance", scalar, "=", x * y * (1 - rho), "definition: rho = 1 - <x,y>/(|x||y|)")
    distance = x**2 + y**2 - 2 * scalar
    draft.combine(
        "norms",
        distance,
        (x - y) ** 2 + 2 * x * y * rho,
        {"cosine distance": -2},
        sense="=",
        rule="bilinearity, |x-y|^2 = |x|^2 + |y|^2 - 2<x,y>, and cosine distance",
    )
    return x, y, rho, scalar, distance


def _lemma2(factor: Expr = 2) -> Proof:
    draft = Draft(
        "unit norm: mean squared distance is twice the mean cosine distance",
        **{"<x,y>": "scalar product", "rho": "cosine distance", "e": "E rho", "D": "E|X-Y|^2"},
    )
    x, y, rho, scalar, distance = _polarised(draft)
    e, d = sp.symbols("e D", nonnegative=True)
    draft.substitute("on the sphere", "norms", {x: 1, y: 1}, "unit norm")
    draft.mean("expectation", "on the sphere", d, 2 * e, {d: distance.subs({x: 1, y: 1}), e: rho})
    draft.combine("statement", d, factor * e, {"expectation": 1}, sense="=")
    draft.refuted("unit norm needed", distance.subs({x: 1, y: 3, scalar: 3}), 0, "x = e1, y = 3 e1 have rho = 0")
    return draft.done("lemmas.squared_distance_of_cosine", "statement")


def _lemma2_norms(gap: Expr = 1, cross: Expr = 2) -> Proof:
    draft = Draft(
        "any norms: mean squared distance from norms and cosine distance",
        **{"N": "E(|X|-|Y|)^2", "C": "E[|X||Y| rho]", "D": "E|X-Y|^2", "m": "least norm", "M": "largest norm"},
    )
    x, y, rho, _, distance = _polarised(draft)
    n, c, d = sp.symbols("N C D", nonnegative=True)
    draft.mean("expectation", "norms", d, n + 2 * c, {d: distance, n: (x - y) ** 2, c: x * y * rho})
    draft.combine("statement", d, gap * n + cross * c, {"expectation": 1}, sense="=")
    least, most, u, v = sp.symbols("m M u v", nonnegative=True)
    draft.cases("norms from below", least**2 * rho, x * y * rho, {"m <= |x|, |y|": {x: least + u, y: least + v}})
    below = {"|x| <= |y| <= M": {most: x + u + v, y: x + u}, "|y| <= |x| <= M": {most: y + u + v, x: y + u}}
    draft.cases("norms from above", x * y * rho, most**2 * rho, below)
    return draft.done("lemmas.squared_distance_of_norms", "statement")


def _lemma3(factor: Expr = 3) -> Proof:
    a, b, c = sp.symbols("a b c", real=True)
    draft = Draft("squared norm of a sum of three", a="a vector", b="a vector", c="a vector; a*b is <a,b>")
    statement = (a + b + c) ** 2, factor * (a**2 + b**2 + c**2)
    draft.squares("statement", *statement, [a, b, c])
    draft.identity("Lagrange", 3 * (a**2 + b**2 + c**2) - (a + b + c) ** 2, (a - b) ** 2 + (b - c) ** 2 + (a - c) ** 2)
    draft.attained("best", *statement, {a: 1, b: 1, c: 1}, "a = b = c")
    return draft.done("lemmas.squared_sum_upper", "statement")


def _lemma3_minkowski(factor: Expr = 1) -> Proof:
    a, b, c, s = sp.symbols("a b c s", nonnegative=True)
    draft = Draft("norm of a sum of three", a="|a|", b="|b|", c="|c|", s="|a+b+c|")
    draft.cite("triangle", s, "<=", a + b + c, "triangle inequality of the norm")
    draft.square("squared", "triangle")
    draft.combine("statement", s**2, factor * (a + b + c) ** 2, {"squared": 1})
    draft.squares("below Lemma 3", (a + b + c) ** 2, 3 * (a**2 + b**2 + c**2), [a, b, c])
    draft.attained("best", s**2, factor * (a + b + c) ** 2, {s: a + b + c}, "parallel vectors")
    return draft.done("lemmas.sum_minkowski", "statement")


def _lemma4(factor: Expr = 1) -> Proof:
    names = ("p(x,y,z)", "p(z|x)", "p(z|y)", "p(z|x,y)")
    mass, left, right, both = (sp.Symbol(name, positive=True) for name in names)
    d, i = sp.symbols("D I", nonnegative=True)
    draft = Draft(
        "previous - next - task: mean divergence is conditional information",
        D="E D(p(z|x) || p(z|y)) = sum p(x,y,z) log p(z|x)/p(z|y)",
        I="I(Z; X | Y) = sum p(x,y,z) log p(z|x,y)/p(z|y)",
    )
    draft.assume("chain", both, "=", left, "Y - X - Z is a Markov chain: p(z|x,y) = p(z|x)")
    draft.assume("information term", sp.Symbol("i"), "=", mass * sp.log(both / right), "definition of I")
    draft.substitute("under the chain", "information term", {both: left}, "chain")
    term = mass * sp.log(left / right)
    draft.assume("divergence term", sp.Symbol("d"), "=", term, "definition of D")
    using = {"divergence term": 1, "under the chain": -1}
    draft.combine("term by term", sp.Symbol("d"), sp.Symbol("i"), using, sense="=")
    draft.mean("summed", "term by term", d, i, {d: sp.Symbol("d"), i: sp.Symbol("i")})
    draft.combine("statement", d, factor * i, {"summed": 1}, sense="=")
    quarter = sp.Rational(1, 4)
    divergence = _HALF * sp.log(_HALF / (1 - quarter)) + _HALF * sp.log(_HALF / quarter)
    draft.refuted(
        "chain needed", divergence, 0, "X, Y independent fair bits, Z = Y flipped w.p. 1/4: D = KL(1/2 || 1/4)"
    )
    return draft.done("lemmas.divergence_information", "statement")


PROOFS: dict[str, Callable[..., Proof]] = {
    "lemmas.squared_triangle_upper": _lemma1,
    "lemmas.squared_triangle_minkowski": _lemma1_minkowski,
    "lemmas.squared_distance_of_cosine": _lemma2,
    "lemmas.squared_distance_of_norms": _lemma2_norms,
    "lemmas.squared_sum_upper": _lemma3,
    "lemmas.sum_minkowski": _lemma3_minkowski,
    "lemmas.divergence_information": _lemma4,
}
