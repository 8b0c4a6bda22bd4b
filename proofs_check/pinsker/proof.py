"""Theorem 5, proved, every step by exact algebra."""

from __future__ import annotations

from collections.abc import Callable

import sympy as sp

from proofs_check.fano.proof import binary_entropy
from proofs_check.symbolic.decide import Expr
from proofs_check.symbolic.draft import Draft, Proof

__all__ = ["PROOFS", "nearly_fair"]


_F, _I, _H, _DELTA, _R = sp.symbols("F I H Delta R", nonnegative=True)


_HALF = sp.Rational(1, 2)


_LETTERS = {"F": "E|f_X - f_Y|^2", "Delta": "diameter of the task values"}


def _pinsker(draft: Draft) -> None:
    """``2 (p - q)^2 <= d(p || q)``, from the sign of the slope in q; step "binary Pinsker"."""
    p, q, w = sp.symbols("p q w", positive=True)
    divergence = p * sp.log(p / q) + (1 - p) * sp.log((1 - p) / (1 - q))
    gap = divergence - 2 * (p - q) ** 2
    draft.valley("least at q = p", gap, q, p, {q: 1 / (1 + w)})
    draft.identity("value at q = p", gap.subs(q, p), 0)
    using = {"least at q = p": 1, "value at q = p": -1}
    draft.combine("binary Pinsker", 2 * (p - q) ** 2, divergence, using)


def _information_steps(draft: Draft, information: Expr, square: Expr, name: str = "") -> str:
    """``square <= (Delta^2/2) information``: Pinsker with oscillation, averaged."""
    tv, kl, jump = (sp.Symbol(letter + name, nonnegative=True) for letter in ("TV^2", "KL", "|f-f'|^2"))
    draft.cite(
        f"total variation{name}", 2 * tv, "<=", kl, "binary Pinsker for the event that attains TV, data processing"
    )
    draft.cite(f"oscillation{name}", jump, "<=", _DELTA**2 * tv, "|E_P Z - E_Q Z| <= Delta TV(P, Q): maximal coupling")
    using = {f"oscillation{name}": 1, f"total variation{name}": _DELTA**2 / 2}
    draft.combine(f"pointwise{name}", jump, _DELTA**2 / 2 * kl, using)
    right = _DELTA**2 / 2 * information
    return draft.mean(
        f"averaged{name}", f"pointwise{name}", square, right, {square: jump, information: kl}, fixed=[_DELTA]
    )


def nearly_fair() -> tuple[Expr, Expr, Expr]:
    """F, I and Delta of Z = 0, 1 with P(Z = 1|X) = 1/2 +- s for a fair X, Y constant."""
    s = sp.Symbol("s", positive=True)
    kl = (_HALF + s) * sp.log(1 + 2 * s) + (_HALF - s) * sp.log(1 - 2 * s)
    return s**2, kl, s


def _information(factor: Expr = _HALF) -> Proof:
    draft = Draft("information about the task, under one chain", I="I(Z;X|Y) = E KL(p(z|x) || p(z|y))", **_LETTERS)
    _pinsker(draft)
    _information_steps(draft, _I, _F)
    right = factor * _DELTA**2 * _I
    draft.combine("statement", _F, right, {"averaged": 1}, rule="lemma4 turns the mean divergence into I(Z;X|Y)")
    gap, kl, s = nearly_fair()
    draft.limit("best", gap / right.subs({_DELTA: 1, _I: kl}), s, 0, 1, "P(Z=1|X) = 1/2 +- s as s -> 0: F / bound")
    return draft.done("pinsker.chain_information_upper", "statement")


def _printed(factor: Expr = 2) -> Proof:
    b = sp.Symbol("B", nonnegative=True)
    draft = Draft("Theorem 5 as printed: (O), nats", B="largest |Z|", H="H(X|Y)", **_LETTERS)
    draft.earlier("information", _F, "<=", _DELTA**2 / 2 * _I, "pinsker.chain_information_upper")
    draft.assume("diameter", _DELTA, "<=", 2 * b, "|z - z'| <= |z| + |z'|")
    draft.square("diameter squared", "diameter")
    draft.cite("information and entropy", _I, "<=", _H, "I(Z;X|Y) <= H(X|Y): proved by the Shannon prover")
    using = {"information": 1, "diameter squared": _I / 2, "information and entropy": 2 * b**2}
    right = factor * b**2 * _H
    draft.combine("statement", _F, right, using)
    # 1/log 2 is the best constant, but the printed route gives 2: its two steps are sharp one by one.
    gap, kl, s = nearly_fair()
    route = right.subs({b: _HALF, _H: kl})
    draft.limit("route is sharp", gap / route, s, 0, 1, "Z = +-1/2, P(Z=1/2|X) = 1/2 +- s, I in place of H: F / bound")
    draft.refuted("chain needed", 1, 0, "X constant, Z = Y a fair sign: F = 1 = B^2, H(X|Y) = 0")
    draft.refuted("nats needed", 1, 2 * sp.log(2, 10), "X a fair sign, Y constant, Z = X: 2 log10(2) = 0.602")
    return draft.done("pinsker.printed_upper", "statement")


def _free_steps(draft: Draft, first: Expr, second: Expr) -> None:
    """Steps to ``sqrtF <= s_next + s_prev``: x^2 = E|h-f_Y|^2 <= first = s_next^2, y^2 = E|h-f_X|^2 <= second."""
    x, y, u, v = sp.symbols("x y s_next s_prev", nonnegative=True)
    root = sp.Symbol("sqrtF", nonnegative=True)
    draft.cite("triangle", root, "<=", x + y, "Minkowski in L2 for f_X - f_Y = (h - f_Y) - (h - f_X)")
    for name, small, large, value in (("next", x, u, first), ("prev", y, v, second)):
        draft.assume(f"{name} root", value, "=", large**2, f"s_{name} is the root")
        draft.combine(f"{name} squares", small**2, large**2, {f"{name} part": 1, f"{name} root": 1})
        draft.root(f"{name} bound", f"{name} squares", small, large)
    draft.combine("root", root, u + v, {"triangle": 1, "next bound": 1, "prev bound": 1})
    draft.square("squared", "root")


def _free_information(factor: Expr = _HALF) -> Proof:
    i, j = sp.symbols("i_next i_prev", nonnegative=True)  # roots of the informations
    x, y = sp.symbols("x y", nonnegative=True)
    draft = Draft(
        "information about the task, no chain",
        **{"i_next, i_prev": "roots of I(Z;X|Y) and I(Z;Y|X)", "x, y": "roots of E|h-f_Y|^2 and E|h-f_X|^2"},
        **_LETTERS,
    )
    _pinsker(draft)
    for name, square, root in (("next", x, i), ("prev", y, j)):
        information, gap = sp.Symbol(f"I_{name}", nonnegative=True), sp.Symbol(f"W_{name}", nonnegative=True)
        averaged = _information_steps(draft, information, gap, f" {name}")
        draft.assume(f"{name} names", gap, "=", square**2, "name of the root")
        draft.assume(f"{name} information", information, "=", root**2, "name of the root")
        using = {averaged: 1, f"{name} names": -1, f"{name} information": _DELTA**2 / 2}
        draft.combine(f"{name} part", square**2, _DELTA**2 / 2 * root**2, using)
    _free_steps(draft, _DELTA**2 / 2 * i**2, _DELTA**2 / 2 * j**2)
    u, v = sp.symbols("s_next s_prev", nonnegative=True)
    half = sp.sqrt(_HALF) * _DELTA
    for name, root, small in (("next", u, i), ("prev", v, j)):
        draft.combine(f"{name} value", root**2, (half * small) ** 2, {f"{name} root": -1}, sense="=")
        draft.root(f"{name} scaled", f"{name} value", root, half * small)
    draft.combine(
        "scaled", sp.Symbol("sqrtF", nonnegative=True), half * (i + j), {"root": 1, "next scaled": 1, "prev scaled": 1}
    )
    draft.square("scaled squared", "scaled")
    right = factor * _DELTA**2 * (i + j) ** 2
    draft.combine("statement", sp.Symbol("sqrtF", nonnegative=True) ** 2, right, {"scaled squared": 1})
    gap, kl, s = nearly_fair()
    draft.limit(
        "best",
        gap / (right.subs({_DELTA: 1, j: 0, i: 1}) * kl),
        s,
        0,
        1,
        "one information 0, the other a nearly fair coin",
    )
    return draft.done("pinsker.free_information_upper", "statement")


def _free_entropy(radius: Expr = 1, diameter: Expr = _HALF) -> Proof:
    i, j = sp.symbols("k_next k_prev", nonnegative=True)  # roots of the entropies
    x, y = sp.symbols("x y", nonnegative=True)
    constant = sp.Symbol("C", nonnegative=True)
    draft = Draft(
        "entropies of both codes, no chain",
        **{"k_next, k_prev": "roots of H(X|Y), H(Y|X), nats", "C": "R^2/log 2, or Delta^2/2", "R": "enclosing radius"},
        **_LETTERS,
    )
    draft.assume("first constant", constant, "<=", radius * _R**2 / sp.log(2), "C is the smaller of the two")
    draft.assume("second constant", constant, "<=", diameter * _DELTA**2, "C is the smaller of the two")
    for name, square, root in (("next", x, i), ("prev", y, j)):
        note = "with h in place of f_X; the second constant by pinsker.chain_information_upper, I <= H"
        draft.earlier(f"{name} part", square**2, "<=", constant * root**2, "pinsker.chain_entropy_upper", note)
    _free_steps(draft, constant * i**2, constant * j**2)
    u, v = sp.symbols("s_next s_prev", nonnegative=True)
    scale = sp.sqrt(constant)
    for name, root, small in (("next", u, i), ("prev", v, j)):
        draft.combine(f"{name} value", root**2, (scale * small) ** 2, {f"{name} root": -1}, sense="=")
        draft.root(f"{name} scaled", f"{name} value", root, scale * small)
    gap = sp.Symbol("sqrtF", nonnegative=True)
    draft.combine("scaled", gap, scale * (i + j), {"root": 1, "next scaled": 1, "prev scaled": 1})
    draft.square("scaled squared", "scaled")
    draft.combine("statement", gap**2, constant * (i + j) ** 2, {"scaled squared": 1})
    at = {_R: 1, _DELTA: 2}
    first, second = (draft[f"{name} constant"].right.subs(at) for name in ("first", "second"))
    draft.attained(
        "best by radius", 1, first * sp.log(2), {}, "X a fair bit, Y constant, Z = +-1 by X: F = 1 = R^2 H/log 2"
    )
    fair, kl, s = nearly_fair()
    draft.limit(
        "best by diameter", fair / (second / 4 * kl), s, 0, 1, "nearly fair coin, values 1 apart, I in place of H"
    )
    return draft.done("pinsker.free_entropy_upper", "statement")


_F, _H, _DELTA, _R = sp.symbols("F H Delta R", nonnegative=True)


def _ball_variance(draft: Draft) -> None:
    """Variance of values in a ball of radius R with a heaviest mass p: at most R^2 4p(1-p) from p = 1/2 on, else R^2.

    a = |u - c| of the heaviest value; the others, at most R from c, have mean square <= R^2.
    """
    p, a = sp.symbols("p a", nonnegative=True)
    slack = sp.Symbol("v", nonnegative=True)
    far = p * a**2 + (1 - p) * _R**2 - (p * a - (1 - p) * _R) ** 2
    draft.cite(
        "variance",
        sp.Symbol("Var", nonnegative=True),
        "<=",
        far,
        "E|u-c|^2 - |E u - c|^2 with |E u - c| >= p a - (1-p) R, if that is >= 0",
    )
    slope = sp.diff(far, a)
    draft.identity("slope in a", slope, 2 * p * (1 - p) * (a + _R), "so a = R is worst")
    draft.identity("at a = R", far.subs(a, _R), 4 * p * (1 - p) * _R**2)
    near = p * a**2 + (1 - p) * _R**2
    draft.identity("at the edge", near.subs(a, (1 - p) * _R / p), (1 - p) * _R**2 / p, "p a = (1-p) R: drop the mean")
    half = _HALF + slack
    edge = (4 * p * (1 - p) - (1 - p) / p).subs(p, half)
    rest = sp.Symbol("1-p", nonnegative=True)
    draft.nonnegative("edge below", 0, rest * sp.cancel(edge / (1 - half)), "p = 1/2 + v: (1-p)(4p^2 - 1)/p >= 0")
    draft.cite("in all", sp.Symbol("Var", nonnegative=True), "<=", _R**2, "a variance in a ball of radius R")


def _guess_entropy(draft: Draft) -> None:
    """``4 p (1-p) log 2 <= H2(p)`` on [1/2, 1]."""
    p = sp.Symbol("p", positive=True)
    gap = binary_entropy(p) - 4 * sp.log(2) * p * (1 - p)
    draft.identity("value at 1/2", gap.subs(p, _HALF), 0)
    draft.stationary("slope at 1/2", gap, p, _HALF)
    draft.identity("curvature", sp.diff(gap, p, 2), 8 * sp.log(2) - 1 / (p * (1 - p)), "falls as p moves from 1/2")
    draft.refuted(
        "convex at 1/2", 8 * sp.log(2), 4, "curvature > 0 at 1/2: the gap rises from 0, until it turns concave"
    )
    draft.attained("value at 1", sp.limit(gap, p, 1, "-"), 0, {}, "concave from there to 0 at p = 1, so >= 0")
    draft.cite(
        "guesses",
        sp.Symbol("4p(1-p)log2", nonnegative=True),
        "<=",
        sp.Symbol("H2(p)", nonnegative=True),
        "the five steps before: convex from a minimum 0, then concave down to 0",
    )


def _guessing(factor: Expr = 1) -> Proof:
    g = sp.Symbol("G", nonnegative=True)
    var, share = sp.symbols("Var g", nonnegative=True)
    draft = Draft(
        "the best guess of the code, under (O)",
        G="E g(p1), g = 4p(1-p) from p = 1/2 on, else 1",
        R="enclosing radius",
        **_LETTERS,
    )
    _ball_variance(draft)
    draft.cite(
        "spread", var, "<=", _R**2 * share, "variance, its slope and the edge: Var(f_X(X) | Y = y) <= R^2 g(p1(y))"
    )
    draft.mean("averaged", "spread", _F, _R**2 * g, {_F: var, g: share}, fixed=[_R])
    draft.combine(
        "statement", _F, factor * _R**2 * g, {"averaged": 1}, rule="F = E Var(f_X(X)|Y), as f_Y = E[f_X|Y] under (O)"
    )
    draft.attained(
        "best", 1, factor * _R**2 * g, {_R: 1, g: 1}, "X a fair bit, Y constant, Z = +-1 by X: F = 1, p1 = 1/2"
    )
    return draft.done("pinsker.guessing_upper", "statement")


def _entropy(factor: Expr = 1) -> Proof:
    g = sp.Symbol("G", nonnegative=True)
    share, h = sp.symbols("g h", nonnegative=True)
    draft = Draft("entropy of the code in bits, under (O)", H="H(X|Y), nats", R="enclosing radius", **_LETTERS)
    draft.earlier("guessing", _F, "<=", _R**2 * g, "pinsker.guessing_upper")
    _guess_entropy(draft)
    draft.cite(
        "pointwise", share, "<=", h / sp.log(2), "H(X|Y=y) >= H2(p1) >= 4p1(1-p1) log 2, or >= log 1/p1 >= log 2"
    )
    draft.mean("averaged", "pointwise", g, _H / sp.log(2), {g: share, _H: h})
    right = factor * _R**2 * _H / sp.log(2)
    draft.combine("statement", _F, right, {"guessing": 1, "averaged": _R**2})
    draft.attained("best", 1, right, {_R: 1, _H: sp.log(2)}, "X a fair bit, Y constant, Z = +-1 by X: F = 1, H = log 2")
    return draft.done("pinsker.chain_entropy_upper", "statement")


PROOFS: dict[str, Callable[..., Proof]] = {
    "pinsker.printed_upper": _printed,
    "pinsker.chain_information_upper": _information,
    "pinsker.free_information_upper": _free_information,
    "pinsker.free_entropy_upper": _free_entropy,
    "pinsker.chain_entropy_upper": _entropy,
    "pinsker.guessing_upper": _guessing,
}
