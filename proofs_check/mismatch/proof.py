"""Code mismatch, proved, every step by exact algebra."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import sympy as sp

from proofs_check.symbolic.decide import Expr
from proofs_check.symbolic.draft import Draft, Proof

__all__ = ["PROOFS"]


_F, _H, _DELTA, _R = sp.symbols("F H Delta R", nonnegative=True)


_HALF = sp.Rational(1, 2)


_LETTERS = {"F": "E|f_X - f_Y|^2", "Delta": "diameter of the task values"}


_ANY_VECTOR = sp.Rational(7, 4)


def _coupling(factor: Expr = 1) -> Proof:
    p, apart, miss = sp.symbols("P d m", nonnegative=True)
    moved = sp.Symbol("W", nonnegative=True)
    draft = Draft(
        "a predictor g of the code, under (O)",
        P="P(X != g(Y))",
        W="E|f_X(X) - f_X(g(Y))|^2",
        m="1[X != g(Y)]",
        **_LETTERS,
    )
    draft.cite("best predictor", _F, "<=", moved, "f_Y = E[f_X|Y] is the best predictor of f_X(X) from Y")
    slack = sp.Symbol("u", nonnegative=True)
    cases = {"X = g(Y)": {apart: 0, miss: 0}, "X != g(Y)": {_DELTA: sp.sqrt(apart + slack), miss: 1}}
    draft.cases("pointwise", apart, _DELTA**2 * miss, cases)
    draft.mean("averaged", "pointwise", moved, _DELTA**2 * p, {moved: apart, p: miss}, fixed=[_DELTA])
    draft.combine("statement", _F, factor * _DELTA**2 * p, {"best predictor": 1, "averaged": 1})
    s = sp.Symbol("s", positive=True)
    # X = 1 w.p. s, else 0, Z = X, Y constant, g = 0: F = s(1-s), P = s, Delta = 1.
    draft.limit("best", s * (1 - s) / (factor * s), s, 0, 1, "X = Z = 1 w.p. s, else 0, Y constant, g = 0: F / bound")
    return draft.done("mismatch.coupling_upper", "statement")


def _mismatch(factor: Expr = 1) -> Proof:
    uy, vx, ux, vy, h = sp.symbols("u(Y) v(X) u(X) v(Y) h", real=True)
    names = ("<u(X),h>", "|u(X)|^2", "<v(Y),h>", "|v(Y)|^2", "<u(X),v(Y)>", "<u(Y),h-v(Y)>", "<v(X),u(X)-h>", "T")
    uh, uu, vh, vv, uv, ortho_y, ortho_x, twisted = (sp.Symbol(name, real=True) for name in names)
    kappa, p = sp.symbols("kappa P", nonnegative=True)
    draft = Draft(
        "mismatch of codes in one alphabet, no chain",
        **{
            "u, v": "f_X, f_Y as functions of a code",
            "T": "E <u(X)-u(Y), h-v(Y)> + <v(X)-v(Y), u(X)-h>",
            "kappa": "largest <a-b,h-d> + <c-d,a-h> over task values",
            "P": "P(X != Y)",
        },
        **_LETTERS,
    )
    integrand = (ux - uy) * (h - vy) + (vx - vy) * (ux - h)
    draft.identity("expanded", integrand, ux * h - ux * vy - uy * (h - vy) + vx * (ux - h) - vy * ux + vy * h)
    meaning = {twisted: integrand, uh: ux * h, uv: ux * vy, ortho_y: uy * (h - vy), ortho_x: vx * (ux - h), vh: vy * h}
    draft.mean("averaged", "expanded", twisted, uh - 2 * uv - ortho_y + ortho_x + vh, meaning)
    draft.cite("h - v(Y)", ortho_y, "=", 0, "v(Y) = E[h|Y]: h - v(Y) is orthogonal to functions of Y")
    draft.cite("h - u(X)", ortho_x, "=", 0, "u(X) = E[h|X]: h - u(X) is orthogonal to functions of X")
    draft.cite("u projects", uh, "=", uu, "E<u(X), h> = E|u(X)|^2")
    draft.cite("v projects", vh, "=", vv, "E<v(Y), h> = E|v(Y)|^2")
    draft.identity("gap", (ux - vy) ** 2, ux**2 - 2 * ux * vy + vy**2)
    draft.mean("gap averaged", "gap", _F, uu - 2 * uv + vv, {_F: (ux - vy) ** 2, uu: ux**2, uv: ux * vy, vv: vy**2})
    using = {"averaged": -1, "gap averaged": 1, "h - v(Y)": 1, "h - u(X)": -1, "u projects": -1, "v projects": -1}
    draft.combine("twisted form", _F, twisted, using, sense="=")
    differ, value = sp.Symbol("1[X!=Y]", nonnegative=True), sp.Symbol("<...>", real=True)
    draft.cite(
        "extremes",
        value,
        "<=",
        kappa * differ,
        "0 where X = Y; else multilinear in five means of Z, so largest at task values",
    )
    draft.mean("bounded", "extremes", twisted, kappa * p, {twisted: value, p: differ}, fixed=[kappa])
    draft.combine("statement", _F, factor * kappa * p, {"twisted form": 1, "bounded": 1})
    s = sp.Symbol("s", positive=True)
    # Y = 0, Z = X = 1 w.p. s: F = s(1 - s), P = s, kappa = 1 for the values 0 and 1.
    draft.limit("best", s * (1 - s) / (factor * s), s, 0, 1, "Z = X = 1 w.p. s, else 0, Y = 0, kappa = 1: F / bound")
    return draft.done("mismatch.mismatch_upper", "statement")


def _mismatch_diameter(scalar: Expr = 1, vector: Expr = _ANY_VECTOR) -> Proof:
    a, b, c, d, h = sp.symbols("a b c d h", real=True)
    p, kappa = sp.symbols("P kappa", nonnegative=True)
    form = (a - b) * (h - d) + (c - d) * (a - h)
    ad, bh, ah, bd, ch, ca, dh = (
        (a - d) ** 2,
        (b - h) ** 2,
        (a - h) ** 2,
        (b - d) ** 2,
        (c - h) ** 2,
        (c - a) ** 2,
        (d - h) ** 2,
    )
    draft = Draft("mismatch of codes by the diameter", P="P(X != Y)", kappa="of mismatch.mismatch_upper", **_LETTERS)
    draft.earlier("mismatch", _F, "<=", kappa * p, "mismatch.mismatch_upper")
    draft.identity("polarised", form, (2 * ad + bh + ch - ah - dh - bd - ca) / 2)
    draft.squares("parallelogram", (a - d) ** 2, 2 * (a - h) ** 2 + 2 * (h - d) ** 2, [a, d, h])
    names = ("|a-d|^2", "|b-h|^2", "|c-h|^2", "|a-h|^2", "|d-h|^2", "|b-d|^2", "|c-a|^2")
    x_ad, x_bh, x_ch, x_ah, x_dh, x_bd, x_ca = (sp.Symbol(name, nonnegative=True) for name in names)
    for name, symbol in (("ad", x_ad), ("bh", x_bh), ("ch", x_ch)):
        draft.assume(f"diameter {name}", symbol, "<=", _DELTA**2, "no two values are further apart")
    draft.assume("triangle", x_ad, "<=", 2 * x_ah + 2 * x_dh, "parallelogram, in the names of the squares")
    value = (2 * x_ad + x_bh + x_ch - x_ah - x_dh - x_bd - x_ca) / 2
    using = {
        "diameter ad": sp.Rational(3, 4),
        "diameter bh": _HALF,
        "diameter ch": _HALF,
        "triangle": sp.Rational(1, 4),
    }
    draft.combine("any vectors", value, _ANY_VECTOR * _DELTA**2, using)
    draft.assume("kappa of vectors", kappa, "<=", _ANY_VECTOR * _DELTA**2, "any vectors, at its largest")
    draft.combine("statement", _F, vector * _DELTA**2 * p, {"mismatch": 1, "kappa of vectors": p})
    draft.fact(
        "vector constant",
        vector,
        "=",
        _ANY_VECTOR,
        "the constant of the route",
        bool(vector == _ANY_VECTOR),
    )
    corners = [sp.Integer(0), sp.Integer(1)]
    most = max(form.subs(dict(zip((a, b, c, d, h), point, strict=True))) for point in product(corners, repeat=5))
    draft.fact(
        "scalars", most, "<=", scalar, "affine in each of five numbers in [0, 1]: 32 corners", bool(most <= scalar)
    )
    labels = _label_constant()
    draft.fact(
        "labels",
        labels,
        "<=",
        2 * scalar,
        "five one-hot labels, all 5^5 choices, Delta^2 = 2",
        bool(labels <= 2 * scalar),
    )
    draft.attained("scalar constant", most, scalar, {}, "the corner that is largest")
    plane = _plane_constant()
    draft.refuted("vectors need more", plane, 1, "four values of diameter <= 1 in the plane")
    return draft.done("mismatch.mismatch_upper_of_diameter", "statement")


def _label_constant() -> Expr:
    """Kappa of five one-hot labels: <e_i, e_j> = [i = j]."""
    same = [[int(i == j) for j in range(5)] for i in range(5)]
    return sp.Integer(
        max(
            same[a][h] - same[a][d] - same[b][h] + same[b][d] + same[c][a] - same[c][h] - same[d][a] + same[d][h]
            for a, b, c, d, h in product(range(5), repeat=5)
        )
    )


def _plane_constant() -> Expr:
    """Kappa of (0,0), (3/4, +-1/2), (1,0), whose diameter is 1."""
    values = [(0, 0), (sp.Rational(3, 4), _HALF), (sp.Rational(3, 4), -_HALF), (1, 0)]

    def dot(p: tuple[Expr, ...], q: tuple[Expr, ...], r: tuple[Expr, ...], s: tuple[Expr, ...]) -> Expr:
        return (p[0] - q[0]) * (r[0] - s[0]) + (p[1] - q[1]) * (r[1] - s[1])

    return max(dot(a, b, h, d) + dot(c, d, a, h) for a, b, c, d, h in product(values, repeat=5))


PROOFS: dict[str, Callable[..., Proof]] = {
    "mismatch.coupling_upper": _coupling,
    "mismatch.mismatch_upper": _mismatch,
    "mismatch.mismatch_upper_of_diameter": _mismatch_diameter,
}
