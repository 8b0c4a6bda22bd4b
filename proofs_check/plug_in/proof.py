"""Theorem 2, proved, every step by exact algebra."""

from __future__ import annotations

from collections.abc import Callable

import sympy as sp

from proofs_check.symbolic.decide import Expr
from proofs_check.symbolic.draft import Draft, Proof

__all__ = ["PROOFS"]


_F, _G, _N, _P = (sp.Symbol(name, nonnegative=True) for name in ("sqrtF", "sqrtG", "a", "b"))


_LETTERS = {"sqrtF, sqrtG": "roots of the gaps of ideal readers and of probes", "a, b": "roots of eta_next, eta_prev"}


def _triangle(draft: Draft) -> None:
    draft.cite(
        "triangle", _G, "<=", _F + _N + _P, "Minkowski in L2 for p_X - p_Y = (p_X - f_X) + (f_X - f_Y) + (f_Y - p_Y)"
    )
    draft.square("squared", "triangle")


def _errors(draft: Draft) -> None:
    """The error of a probe is eta + mmse, so eta <= MSE."""
    z, f, p = sp.symbols("Z f p", real=True)
    mse, eta, mmse, cross = sp.symbols("MSE eta mmse k", real=True)
    draft.identity("error split", (z - p) ** 2, (z - f) ** 2 + 2 * (z - f) * (f - p) + (f - p) ** 2)
    meaning = {mse: (z - p) ** 2, mmse: (z - f) ** 2, cross: (z - f) * (f - p), eta: (f - p) ** 2}
    draft.mean("error averaged", "error split", mse, mmse + 2 * cross + eta, meaning)
    draft.cite("orthogonal", cross, "=", 0, "Z - E[Z|X] is orthogonal to every function of X")
    draft.cite("mmse", 0, "<=", mmse, "a mean of squares")
    using = {"error averaged": -1, "orthogonal": -2, "mmse": 1}
    draft.combine("eta below the error", eta, mse, using)


def _printed(outer: Expr = 3, inner: Expr = 12) -> Proof:
    alpha, beta, e = sp.symbols("alpha beta e", nonnegative=True)
    draft = Draft("Theorem 2 as printed, with <=, unit norm", e="E rho", **_LETTERS)
    _triangle(draft)
    draft.squares("Lemma 3", (_F + _N + _P) ** 2, 3 * (_F**2 + _N**2 + _P**2), [_F, _N, _P])
    draft.earlier("Theorem 1", _F**2, "<=", 4 * (alpha**2 + beta**2) * e, "lipschitz.printed_upper")
    right = outer * (_N**2 + _P**2) + inner * (alpha**2 + beta**2) * e
    draft.combine("statement", _G**2, right, {"squared": 1, "Lemma 3": 1, "Theorem 1": 3})
    # Equal terms: flipped sign with h = 1 at (0,1), -1 at (1,0), else 0, and probes off by q.
    equal = {_G: 3, _N: 1, _P: 1, alpha: sp.sqrt(sp.Rational(1, 8)), beta: sp.sqrt(sp.Rational(1, 8)), e: 1}
    draft.attained("best", _G**2, right, equal, "three equal and parallel terms, F at the bound of Theorem 1")
    slope = sp.Symbol("s", nonnegative=True)
    loss = outer * (_N**2 + _P**2) + 3 * slope**2 - (_N + _P + slope) ** 2
    draft.stationary("balance", loss.subs({_P: 1, slope: 1}), _N, sp.Integer(1))
    draft.attained("not strict", 0, right.subs({_N: 0, _P: 0, alpha: 0, beta: 0}), {}, "alpha = beta = eta = 0")
    return draft.done("plug_in.printed_upper", "statement")


def _minkowski(outer: Expr = 1) -> Proof:
    draft = Draft("the probes' gap from the ideal gap and the probes' errors", **_LETTERS)
    _triangle(draft)
    draft.combine("statement", _G**2, (_F + outer * (_N + _P)) ** 2, {"squared": 1})
    draft.cite(
        "reverse", _F, "<=", _G + _N + _P, "Minkowski in L2 for f_X - f_Y = (f_X - p_X) + (p_X - p_Y) + (p_Y - f_Y)"
    )
    draft.combine("from below", _F - _N - _P, _G, {"reverse": 1})
    draft.squares("below Lemma 3", (_F + _N + _P) ** 2, 3 * (_F**2 + _N**2 + _P**2), [_F, _N, _P])
    first, second = sp.symbols("l1 l2", positive=True)
    _young(draft, first, second)
    draft.attained("best", 9, (_F + outer * (_N + _P)) ** 2, {_F: 1, _N: 1, _P: 1}, "parallel differences")
    return draft.done("plug_in.minkowski_bounds", "statement")


def _young(draft: Draft, first: Expr, second: Expr) -> None:
    """Every weighted bound a^2/l1 + b^2/l2 + c^2/l3, l1 + l2 + l3 = 1, is at least (a+b+c)^2, met at l ~ a, b, c."""
    third = sp.Symbol("l3", positive=True)
    total = first + second + third  # homogeneous: weights need not be normalised
    a, b, c = _F, _N, _P
    weighted = total * (a**2 / first + b**2 / second + c**2 / third)
    squares = (
        (a * second - b * first) ** 2 / (first * second)
        + (a * third - c * first) ** 2 / (first * third)
        + (b * third - c * second) ** 2 / (second * third)
    )
    draft.identity("Lagrange, weighted", weighted - (a + b + c) ** 2, squares)
    values = {first: a, second: b, third: c}
    draft.attained("best weights", (a + b + c) ** 2, weighted.subs(values), {}, "weights in proportion to a, b, c")


def _inverse(outer: Expr = 1) -> Proof:
    draft = Draft("the ideal gap from the probes' gap and their errors, both sides", **_LETTERS)
    draft.cite(
        "triangle", _F, "<=", _G + _N + _P, "Minkowski in L2 for f_X - f_Y = (f_X - p_X) + (p_X - p_Y) + (p_Y - f_Y)"
    )
    draft.square("squared", "triangle")
    draft.combine("statement", _F**2, (_G + outer * (_N + _P)) ** 2, {"squared": 1})
    draft.cite(
        "reverse", _G, "<=", _F + _N + _P, "Minkowski in L2 for p_X - p_Y = (p_X - f_X) + (f_X - f_Y) + (f_Y - p_Y)"
    )
    draft.combine("from below", _G - _N - _P, _F, {"reverse": 1})
    _errors(draft)
    draft.attained("best", 9, (_G + outer * (_N + _P)) ** 2, {_G: 1, _N: 1, _P: 1}, "parallel differences")
    return draft.done("plug_in.inverse_bounds", "statement")


def _function(factor: Expr = 1) -> Proof:
    f, g, p = sp.symbols("f_X f_Y p_X", real=True)
    reach = sp.Symbol("w", nonnegative=True)
    draft = Draft("the next state is a function of the previous one", w="root of eta_next + F", **_LETTERS)
    whole, eta, gap, cross = sp.symbols("W eta_next F k", real=True)
    draft.identity("split", (p - g) ** 2, (p - f) ** 2 + 2 * (p - f) * (f - g) + (f - g) ** 2)
    meaning = {whole: (p - g) ** 2, eta: (p - f) ** 2, cross: (p - f) * (f - g), gap: (f - g) ** 2}
    draft.mean("averaged", "split", whole, eta + 2 * cross + gap, meaning)
    draft.cite("orthogonal", cross, "=", 0, "X = g(Y), so f_X = E[f_Y|X] and f_X - f_Y is orthogonal to functions of X")
    draft.combine("Pythagoras", whole, eta + gap, {"averaged": 1, "orthogonal": 2}, sense="=")
    draft.assume("root", eta + gap, "=", reach**2, "name of the root")
    draft.cite(
        "triangle", _G, "<=", reach + _P, "Minkowski in L2 for p_X - p_Y = (p_X - f_Y) + (f_Y - p_Y), with Pythagoras"
    )
    draft.square("squared", "triangle")
    right = factor * (_P + reach) ** 2
    draft.combine("statement", _G**2, right, {"squared": 1})
    draft.attained("best", _G**2, right, {_G: reach + _P}, "f_Y - p_Y parallel to p_X - f_Y")
    return draft.done("plug_in.function_upper", "statement")


def _probe_lipschitz(factor: Expr = 1) -> Proof:
    lip = sp.Symbol("L", nonnegative=True)
    shift, d = sp.symbols("S D", nonnegative=True)
    moved, distance = (sp.Symbol(name, nonnegative=True) for name in ("|p(x)-p(y)|^2", "|x-y|^2"))
    draft = Draft("one L-Lipschitz probe on both layers", S="E|p(X) - p(Y)|^2", D="E|X - Y|^2")
    draft.assume("pointwise", moved, "<=", lip**2 * distance, "the probe is L-Lipschitz")
    draft.mean("expectation", "pointwise", shift, lip**2 * d, {shift: moved, d: distance})
    draft.combine("statement", shift, factor * lip**2 * d, {"expectation": 1})
    draft.attained("best", shift, factor * lip**2 * d, {shift: lip**2, d: 1}, "p(x) = L x")
    return draft.done("plug_in.probe_lipschitz_upper", "statement")


PROOFS: dict[str, Callable[..., Proof]] = {
    "plug_in.printed_upper": _printed,
    "plug_in.minkowski_bounds": _minkowski,
    "plug_in.inverse_bounds": _inverse,
    "plug_in.function_upper": _function,
    "plug_in.probe_lipschitz_upper": _probe_lipschitz,
}
