"""The margin theorem, proved, every step by exact algebra."""

from __future__ import annotations

from collections.abc import Callable

import sympy as sp

from proofs_check.symbolic.decide import Expr
from proofs_check.symbolic.draft import Draft, Proof

__all__ = ["PROOFS"]

_M, _TV = sp.symbols("m TV", nonnegative=True)
_LETTERS = {"m": "margin of p", "TV": "total variation of p and q"}


def _pointwise(factor: Expr = 2) -> Proof:
    pa, pb, qa, qb = sp.symbols("p(a) p(b) q(a) q(b)", nonnegative=True)
    fall, rise = sp.symbols("|q(a)-p(a)| |q(b)-p(b)|", nonnegative=True)
    draft = Draft("the answer a of p is overtaken by another answer b", **_LETTERS)
    draft.assume("margin", _M, "<=", pa - pb, "a has the largest probability under p, b is any other answer")
    draft.assume("overtaken", qa, "<=", qb, "under q the answer may be b")
    draft.cite("a falls", pa - qa, "<=", fall, "a number is at most its absolute value")
    draft.cite("b rises", qb - pb, "<=", rise, "a number is at most its absolute value")
    draft.cite("two terms of many", fall + rise, "<=", 2 * _TV, "2 TV = sum |p - q| over all answers")
    steps = {"margin": 1, "overtaken": 1, "a falls": 1, "b rises": 1, "two terms of many": 1}
    draft.combine("statement", _M, factor * _TV, steps)
    at = {_M: sp.Rational(1, 2), _TV: sp.Rational(1, 4)}
    draft.attained("best", _M, factor * _TV, at, "p = (3/4, 1/4), q a tie")
    return draft.done("margin.pointwise_upper", "statement")


def _change(factor: Expr = 1) -> Proof:
    c, r, changed, reached = sp.symbols("c r C R", nonnegative=True)
    draft = Draft("the mean over inputs", C="P[answer changes]", R="P[2 TV >= margin]")
    draft.earlier("on each input", c, "<=", r, "margin.pointwise_upper", "indicators of a change and of 2 TV >= margin")
    draft.mean("averaged", "on each input", changed, reached, {changed: c, reached: r})
    draft.combine("statement", changed, factor * reached, {"averaged": 1})
    draft.attained("best", 1, factor, {}, "one input, q a tie: C = R = 1")
    return draft.done("margin.change_upper", "statement")


def _telescoped(factor: Expr = 1) -> Proof:
    t, u, r, first, second = sp.symbols("t u r c1 c2", nonnegative=True)
    changed, reached, one, two = sp.symbols("C R C1 C2", nonnegative=True)
    draft = Draft("two steps; more by induction", C="P[answer changes]", R="P[2 TV >= margin]",
                  c1="min(1, 2 TV(p, r) / m), mean C1", c2="min(1, 2 TV(r, q) / m), mean C2")  # fmt: skip
    path, left, right = sp.symbols("TV_pq TV_pr TV_rq", nonnegative=True)
    draft.cite("triangle", path, "<=", left + right, "total variation is a metric")
    cases = {
        "margin not reached": {r: 0},
        "first step alone reaches it": {r: 1, first: 1},
        "second step alone reaches it": {r: 1, second: 1},
        "both together, t + (1 - t + u) >= 1": {r: 1, first: t, second: 1 - t + u},
    }
    draft.cases("on each input", r, first + second, cases)
    draft.mean("averaged", "on each input", reached, one + two, {reached: r, one: first, two: second})
    draft.earlier("margin theorem", changed, "<=", reached, "margin.change_upper")
    draft.combine("statement", changed, factor * (one + two), {"averaged": 1, "margin theorem": 1})
    draft.attained("best", 1, factor * (one + two), {one: 1, two: 0}, "p to a tie, which stays")
    return draft.done("margin.telescoped_upper", "statement")


PROOFS: dict[str, Callable[..., Proof]] = {
    "margin.pointwise_upper": _pointwise,
    "margin.change_upper": _change,
    "margin.telescoped_upper": _telescoped,
}
