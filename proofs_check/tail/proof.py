"""Proposition 1 and the two tails, proved, every step by exact algebra."""

from __future__ import annotations

from collections.abc import Callable

import sympy as sp

from proofs_check.symbolic.decide import Expr
from proofs_check.symbolic.draft import Draft, Proof

__all__ = ["PROOFS"]


_RHO, _T, _R = (sp.Symbol(name, nonnegative=True) for name in ("rho", "t", "r"))


_FAR, _CLOSED = (sp.Symbol(name, nonnegative=True) for name in ("1[rho>t]", "1[rho>=t]"))


_E, _P, _Q = (sp.Symbol(name, nonnegative=True) for name in ("e", "P", "P>="))


_U, _V = sp.symbols("u v", nonnegative=True)


_LETTERS = {"e": "E rho", "P": "P(rho > t)", "P>=": "P(rho >= t)", "r": "largest distance", "u": "a slack >= 0"}


_CASES = {
    "rho < t": {_T: _RHO + _U, _FAR: 0, _CLOSED: 0},
    "rho = t": {_T: _RHO, _FAR: 0, _CLOSED: 1},
    "rho > t": {_RHO: _T + _U, _FAR: 1, _CLOSED: 1},
}


def _strict(factor: Expr = 1) -> Proof:
    draft = Draft("the strict tail is at most the closed tail", **_LETTERS)
    draft.cases("pointwise", _FAR, _CLOSED, _CASES)
    draft.mean("expectation", "pointwise", _P, _Q, {_P: _FAR, _Q: _CLOSED})
    draft.combine("statement", _P, factor * _Q, {"expectation": 1})
    draft.attained("best", _P, factor * _Q, {_P: 1, _Q: 1}, "rho > t surely")
    draft.refuted("not conversely", 1, 0, "rho = t surely: P(rho >= t) = 1 and P(rho > t) = 0")
    return draft.done("tail.strict_tail_upper", "statement")


def _closed(factor: Expr = 1) -> Proof:
    draft = Draft("the closed tail is at least the strict tail", **_LETTERS)
    draft.cases("pointwise", _FAR, _CLOSED, _CASES)
    draft.mean("expectation", "pointwise", _P, _Q, {_P: _FAR, _Q: _CLOSED})
    draft.combine("statement", factor * _P, _Q, {"expectation": 1})
    draft.attained("best", factor * _P, _Q, {_P: 1, _Q: 1}, "rho > t surely")
    return draft.done("tail.closed_tail_lower", "statement")


def _upper_steps(draft: Draft, r: Expr) -> None:
    """Steps to ``e <= t + (r - t) P`` for distances up to r."""
    bound = _T + (r - _T) * _FAR
    cases = {
        "rho <= t": {_T: _RHO + _U, _FAR: 0},
        "t < rho <= r": {_FAR: 1, **({_RHO: r - _U} if r != _R else {_R: _RHO + _U})},
    }
    draft.cases("pointwise", _RHO, bound, cases)
    draft.mean("expectation", "pointwise", _E, _T + (r - _T) * _P, {_E: _RHO, _P: _FAR})


def _sandwich_upper(slope: Expr = 1, threshold: Expr = 1) -> Proof:
    draft = Draft("mean distance from above, by its strict tail", **_LETTERS)
    _upper_steps(draft, _R)
    right = threshold * _T + slope * (_R - _T) * _P
    draft.combine("statement", _E, right, {"expectation": 1})
    draft.attained("best", _E, right, {_E: _T * (1 - _P) + _R * _P}, "rho in {t, r}: mean t(1-P) + rP")
    return draft.done("tail.sandwich_upper", "statement")


def _printed(range: Expr = 1) -> Proof:
    """`range` is the printed largest distance."""
    draft = Draft("Proposition 1 as printed: distances at most 1", eps="asserted bound on E rho", **_LETTERS)
    draft.assume("range", _RHO, "<=", 1, "0 <= rho <= 1")
    _upper_steps(draft, sp.Integer(1))
    right = _T + (range - _T) * _P
    # Distances reach 1 and t < 1, so the bound must not be asked for a smaller range.
    t, p = sp.Rational(1, 4), sp.Rational(1, 2)
    draft.combine("statement", _E, right, {"expectation": 1})
    draft.attained("best", _E, right, {_E: t * (1 - p) + p, _T: t, _P: p}, "rho in {1/4, 1}, half and half")
    eps = sp.Symbol("eps", positive=True)
    threshold = (eps - _T) / (range - _T)
    draft.identity("printed form", right.subs(_P, threshold), eps, "P = (eps - t)/(1 - t) gives exactly eps")
    mean = sp.Rational(19, 20) * sp.Rational(1, 20) + 2 * sp.Rational(1, 20)
    bound = right.subs({_T: sp.Rational(1, 20), _P: sp.Rational(1, 20)})
    draft.refuted("range needed", mean, bound, "rho = 2 w.p. 1/20, else 1/20 = t: cosine distance reaches 2")
    half = sp.Rational(1, 2)
    draft.refuted("premise met", threshold.subs({eps: half, _T: 2}), 0, "t = 2, eps = 1/2: P(rho > 2) = 0 < 3/2")
    draft.refuted("t below the range", 1, half, "and yet rho = 1 surely has mean 1, not below 1/2")
    return draft.done("tail.printed_upper", "statement")


def _sandwich_lower(factor: Expr = 1) -> Proof:
    draft = Draft("mean distance from below, by its closed tail", **_LETTERS)
    draft.cases("pointwise", _T * _CLOSED, _RHO, _CASES)
    draft.mean("expectation", "pointwise", _T * _Q, _E, {_E: _RHO, _Q: _CLOSED})
    draft.combine("statement", factor * _T * _Q, _E, {"expectation": 1})
    draft.attained("best", factor * _T * _Q, _E, {_E: _T * _Q}, "rho in {0, t}: mean t P(rho >= t)")
    return draft.done("tail.sandwich_lower", "statement")


def _grid(upper: Expr = 1, lower: Expr = 1) -> Proof:
    """The step functions above and below rho telescope; induction over the thresholds."""
    t0, t1, t2 = sp.symbols("t_k t_k+1 t_k+2", nonnegative=True)
    above, below = sp.Symbol("A_k", nonnegative=True), sp.Symbol("B_k", nonnegative=True)
    draft = Draft(
        "mean distance between two sums over a grid of tails",
        A_k="sum over i <= k of (t_i+1 - t_i), what the upper sum is for t_k < rho <= t_k+1, with t_0 = 0",
        B_k="sum over i < k of (t_i+1 - t_i), what the lower sum is for t_k <= rho < t_k+1",
        U="sum (t_i+1 - t_i) P(rho > t_i)",
        L="sum (t_i+1 - t_i) P(rho >= t_i+1)",
        e="E rho",
    )
    draft.identity("start above", t1 - 0, t1, "k = 0: the one term t_1 - t_0")
    draft.assume("hypothesis above", above, "=", t1, "induction: the sum up to k is t_k+1")
    draft.combine("step above", above + (t2 - t1), t2, {"hypothesis above": 1}, sense="=", rule="induction step")
    draft.assume("hypothesis below", below, "=", t0, "induction: the sum below k is t_k")
    draft.combine("step below", below + (t1 - t0), t1, {"hypothesis below": 1}, sense="=", rule="induction step")
    draft.cases("below the next threshold", _RHO, t1, {"t_k < rho <= t_k+1": {t1: _RHO + _U}})
    draft.cases("above the last threshold", t0, _RHO, {"t_k <= rho < t_k+1": {_RHO: t0 + _U}})
    draft.combine("pointwise above", _RHO, above, {"below the next threshold": 1, "hypothesis above": -1})
    draft.combine("pointwise below", below, _RHO, {"above the last threshold": 1, "hypothesis below": 1})
    u, low = sp.symbols("U L", nonnegative=True)
    draft.mean("expectation above", "pointwise above", _E, u, {_E: _RHO, u: above})
    draft.mean("expectation below", "pointwise below", low, _E, {_E: _RHO, low: below})
    draft.combine("lower sum", lower * low, _E, {"expectation below": 1})
    draft.combine("statement", _E, upper * u, {"expectation above": 1})
    draft.attained("upper best", _E, upper * u, {_E: t1, u: t1}, "rho on the grid")
    draft.attained("lower best", lower * low, _E, {_E: t1, low: t1}, "rho on the grid")
    return draft.done("tail.sandwich_grid", "statement")


def _tail_upper(factor: Expr = 1) -> Proof:
    t = sp.Symbol("t", positive=True)
    draft = Draft("Markov's inequality for the distance, t > 0", **_LETTERS)
    cases = {"rho < t": {_CLOSED: 0}, "rho >= t": {_RHO: t + _U, _CLOSED: 1}}
    draft.cases("pointwise", t * _CLOSED, _RHO, cases)
    draft.mean("expectation", "pointwise", t * _Q, _E, {_E: _RHO, _Q: _CLOSED})
    draft.combine("statement", _Q, factor * _E / t, {"expectation": 1 / t})
    draft.attained("best", _Q, factor * _E / t, {_E: t, _Q: 1}, "rho = t surely")
    return draft.done("tail.tail_closed_upper", "statement")


def _tail_lower(factor: Expr = 1) -> Proof:
    gap = sp.Symbol("r-t", positive=True)
    draft = Draft("a large mean forces a tail, t < r", **{**_LETTERS, "r-t": "r - t > 0"})
    cases = {"rho <= t": {_T: _RHO + _U, _FAR: 0}, "t < rho <= r": {_RHO: _T + gap - _U, _FAR: 1}}
    draft.cases("pointwise", _RHO, _T + gap * _FAR, cases)
    draft.mean("expectation", "pointwise", _E, _T + gap * _P, {_E: _RHO, _P: _FAR})
    draft.combine("statement", factor * (_E - _T) / gap, _P, {"expectation": 1 / gap})
    draft.attained("best", factor * (_E - _T) / gap, _P, {_E: _T + gap * _P}, "rho in {t, r}")
    return draft.done("tail.tail_lower", "statement")


PROOFS: dict[str, Callable[..., Proof]] = {
    "tail.strict_tail_upper": _strict,
    "tail.closed_tail_lower": _closed,
    "tail.printed_upper": _printed,
    "tail.sandwich_upper": _sandwich_upper,
    "tail.sandwich_lower": _sandwich_lower,
    "tail.sandwich_grid": _grid,
    "tail.tail_closed_upper": _tail_upper,
    "tail.tail_lower": _tail_lower,
}
