"""Theorem 3, proved, every step by exact algebra."""

from __future__ import annotations

from collections.abc import Callable

import sympy as sp

from proofs_check.symbolic.decide import Expr
from proofs_check.symbolic.draft import Draft, Proof

__all__ = ["PROOFS", "binary_entropy", "gibbs"]


_P = sp.Symbol("P", positive=True)


_LETTERS = {"P": "probability of a miss", "H": "H(X|Y)", "K": "size of the alphabet"}


def binary_entropy(p: Expr) -> Expr:
    """H2(p) in nats."""
    return -p * sp.log(p) - (1 - p) * sp.log(1 - p)


def gibbs(draft: Draft) -> str:
    """``p log(q/p) <= q - p`` for positive p, q: step "Gibbs"."""
    u, p, q = sp.symbols("u p q", positive=True)
    draft.minimum("tangent", u - 1 - sp.log(u), u, sp.Integer(1), 1 / u**2)
    draft.substitute("ratio", "tangent", {u: q / p}, "u = q/p")
    return draft.combine("Gibbs", p * sp.log(q / p), q - p, {"ratio": p})


def _predictor(factor: Expr = 1) -> Proof:
    p, q = sp.symbols("p q", positive=True)
    h, loss, mass, whole = sp.symbols("H L Q N", real=True)
    draft = Draft(
        "cross entropy bounds entropy", H="H(X|Y) = E sum p log(1/p)", L="E[-log q(X|Y)]", p="p(x|y)", q="q(x|y)"
    )
    gibbs(draft)
    draft.identity("split", p * sp.log(q / p), p * sp.log(1 / p) - p * sp.log(1 / q), "logarithm of a quotient")
    draft.combine("both entropies", p * sp.log(1 / p) - p * sp.log(1 / q), q - p, {"Gibbs": 1, "split": -1})
    meaning = {h: p * sp.log(1 / p), loss: p * sp.log(1 / q), mass: q, whole: p}
    draft.mean("summed", "both entropies", h - loss, mass - whole, meaning)
    draft.assume("q is a law", mass, "<=", 1, "the sum of q(x|y) over x with p > 0, averaged over y")
    draft.assume("p is a law", whole, "=", 1, "the sum of p(x|y)")
    draft.combine("statement", h, factor * loss, {"summed": 1, "q is a law": 1, "p is a law": -1})
    draft.attained("best", h, factor * loss, {h: sp.log(2), loss: sp.log(2)}, "q = p, a fair bit")
    return draft.done("fano.predictor_upper", "statement")


def _two_level(inside: Expr, outside: Expr, miss: Expr) -> Expr:
    """E[-log q] of q uniform on a list of `inside` symbols with mass 1 - miss, uniform on the other `outside`."""
    return (1 - miss) * sp.log(inside / (1 - miss)) + miss * sp.log(outside / miss)


def _list(entropy: Expr = 1, hit: Expr = 1, miss: Expr = 1) -> Proof:
    k, m = sp.symbols("k m", positive=True)
    h = sp.Symbol("H", real=True)
    draft = Draft("a list of k symbols", k="length of the list", m="K - k", **_LETTERS)
    draft.earlier("Gibbs", h, "<=", _two_level(k, m, _P), "fano.predictor_upper")
    draft.identity("q is a law", k * (1 - _P) / k + m * _P / m, 1, "sum over the list and over the rest")
    right = entropy * binary_entropy(_P) + hit * (1 - _P) * sp.log(k) + miss * _P * sp.log(m)
    draft.identity("code lengths", _two_level(k, m, _P), right, "logarithms of quotients")
    draft.combine("statement", h, right, {"Gibbs": 1, "code lengths": 1})
    _peak(draft, k, m)
    return draft.done("fano.list_upper", "statement")


def _peak(draft: Draft, k: Expr, m: Expr) -> None:
    """Concave in P with its top log(k + m) at m/(k + m): what an interval for P is filled with."""
    p = sp.Symbol("P", positive=True)
    value = binary_entropy(p) + (1 - p) * sp.log(k) + p * sp.log(m)
    draft.stationary("peak", value, p, m / (k + m))
    draft.identity("second derivative", sp.diff(value, p, 2), -1 / (p * (1 - p)), "concave for 0 < P < 1")
    draft.interval("denominator", 0, p * (1 - p), p, 0, 1)
    draft.identity("value at the peak", value.subs(p, m / (k + m)), sp.log(k + m), "so never above log K if k + m = K")


def _printed(entropy: Expr = 1, far: Expr = 1, near: Expr = 1) -> Proof:
    n, low, high, m = sp.symbols("N u v M", positive=True)
    h, log_n, log_m = sp.symbols("H logN logM", real=True)
    near_one, far_one = (sp.Symbol(name, nonnegative=True) for name in ("1[close]", "1[far]"))
    c, d = sp.symbols("C D", real=True)
    draft = Draft(
        "Theorem 3 as printed: closed balls, strict tail",
        N="number of symbols in the ball of y",
        **{"N+u": "N_max", "M+v": "K - N_min, where M = K - N", "Q": "probability of a hit"},
        **_LETTERS,
    )
    split = sp.Symbol("S", real=True)
    draft.earlier("balls as lists", h, "<=", split + c + d, "fano.sized_lists_upper")
    draft.cite(
        "Jensen", split, "<=", binary_entropy(_P), "S = E h2(miss|size), h2 is concave and P the mean of miss|size"
    )
    draft.logarithm("largest ball", n, n + low)
    draft.logarithm("largest rest", m, m + high)
    draft.assume("log N", log_n, "=", sp.log(n), "name")
    draft.assume("log M", log_m, "=", sp.log(m), "name")
    top, rest = (sp.Symbol(name, real=True) for name in ("log(N_max)", "log(K-N_min)"))
    draft.assume("log N_max", top, "=", sp.log(n + low), "name")
    draft.assume("log(K - N_min)", rest, "=", sp.log(m + high), "name")
    using = {"largest ball": near_one, "log N": near_one, "log N_max": -near_one}
    draft.combine("close", near_one * log_n, near_one * top, using)
    using = {"largest rest": far_one, "log M": far_one, "log(K - N_min)": -far_one}
    draft.combine("far", far_one * log_m, far_one * rest, using)
    hit = sp.Symbol("Q", nonnegative=True)
    draft.mean("close, averaged", "close", c, hit * top, {c: near_one * log_n, hit: near_one}, fixed=[top])
    draft.mean("far, averaged", "far", d, _P * rest, {d: far_one * log_m, _P: far_one}, fixed=[rest])
    draft.assume("complement", hit, "=", 1 - _P, "close is the complement of far: closed balls, strict tail")
    right = entropy * binary_entropy(_P) + far * _P * (rest - top) + near * top
    using = {"balls as lists": 1, "Jensen": 1, "close, averaged": 1, "far, averaged": 1, "complement": top}
    draft.combine("statement", h, right, using)
    _peak(draft, *sp.symbols("N_max M_max", positive=True))
    draft.refuted(
        "closed balls needed", sp.log(2), 0, "two points at distance t, independent: open balls hold one symbol"
    )
    draft.refuted("H2 needed", sp.log(2), 0, "two points, N = 1, P = 1/2, Y constant")
    draft.refuted("N_max, not N_min", sp.log(3), sp.log(2), "path of three points, Y in the middle, t = 1")
    return draft.done("fano.printed_upper", "statement")


def _sized(entropy: Expr = 1, hit: Expr = 1, miss: Expr = 1) -> Proof:
    a, b, k, m = sp.symbols("h s k m", positive=True)
    h, split, inside, outside = sp.symbols("H S A B", real=True)
    draft = Draft(
        "lists of several sizes",
        h="P(hit, |L| = k)",
        s="P(miss, |L| = k)",
        k="length",
        m="K - k",
        S="E h2(miss|size) = sum of (h+s) h2",
        A="E[hit log k]",
        B="E[miss log(K-k)]",
        H="H(X|Y)",
    )
    share = b / (a + b)
    length = (a + b) * _two_level(k, m, share)
    parts = (a + b) * binary_entropy(share) + a * sp.log(k) + b * sp.log(m)
    draft.identity("one size", length, parts, "code length of the two-level law given the size")
    draft.identity("q is a law", k * (1 - share) / k + m * share / m, 1, "given the list")
    name = sp.Symbol("ell", real=True)
    draft.assume("length of one size", name, "=", length, "E[-log q; |L| = k]")
    draft.combine("length in parts", name, parts, {"length of one size": 1, "one size": 1}, sense="=")
    loss = sp.Symbol("E[-log q]", real=True)
    meaning = {loss: name, split: (a + b) * binary_entropy(share), inside: a * sp.log(k), outside: b * sp.log(m)}
    draft.mean("all sizes", "length in parts", loss, split + inside + outside, meaning)
    draft.earlier("Gibbs", h, "<=", loss, "fano.predictor_upper")
    right = entropy * split + hit * inside + miss * outside
    draft.combine("statement", h, right, {"Gibbs": 1, "all sizes": 1})
    draft.cite(
        "below the printed", split, "<=", binary_entropy(_P), "Jensen: h2 is concave and P the mean of miss|size"
    )
    values = {h: sp.log(4), split: sp.log(2), inside: sp.log(2) / 2, outside: sp.log(2) / 2}
    draft.attained("best", h, right, values, "K = 4, k = 2, a miss every other time, uniform: H = log 4")
    draft.attained(
        "best inside", h, right, {h: sp.log(2), split: 0, inside: sp.log(2), outside: 0}, "k = 2, never a miss"
    )
    draft.attained(
        "best outside", h, right, {h: sp.log(2), split: 0, inside: 0, outside: sp.log(2)}, "m = 2, always a miss"
    )
    return draft.done("fano.sized_lists_upper", "statement")


def _ball(factor: Expr = 1) -> Proof:
    h, value = sp.symbols("H V", nonnegative=True)
    draft = Draft(
        "the closed t-ball of each y as its list", V="the bound of fano.sized_lists_upper for these lists", H="H(X|Y)"
    )
    draft.earlier("lists", h, "<=", value, "fano.sized_lists_upper")
    draft.combine("statement", h, factor * value, {"lists": 1}, rule="a ball is a list that depends on y alone")
    draft.attained("best", h, factor * value, {h: sp.log(2), value: sp.log(2)}, "X uniform on a ball of two, P = 0")
    return draft.done("fano.ball_upper", "statement")


def _least(theorem: str, source: str, what: str) -> Callable[..., Proof]:
    def build(factor: Expr = 1) -> Proof:
        h, first, slack = sp.symbols("H b u", nonnegative=True)
        draft = Draft(
            f"the least of several valid bounds, over {what}", H="H(X|Y)", b="the least", u="excess of another"
        )
        draft.earlier("first", h, "<=", first, source)
        draft.earlier("second", h, "<=", first + slack, source)
        draft.cases("the least is one of them", sp.Min(first, first + slack), first, {"u >= 0": {}})
        draft.combine("statement", h, factor * first, {"first": 1}, rule=f"it is the bound of one of the {what}")
        draft.attained("best", h, factor * first, {h: 1, first: 1}, f"already for a single one of the {what}")
        return draft.done(theorem, "statement")

    return build


def _shells(entropy: Expr = 1, count: Expr = 1) -> Proof:
    p, n = sp.symbols("p_s n", positive=True)
    h, inside = sp.symbols("H L", real=True)
    shell = sp.Symbol("H(S)", real=True)
    draft = Draft(
        "shells of the distance",
        p_s="P(S = s)",
        n="#{x : S(x, Y) = s}",
        L="E log #{x : S(x, Y) = S}",
        H="H(X|Y)",
        **{"H(S)": "entropy of the shell"},
    )
    draft.identity(
        "q is a law", n * (p / n), p, "q(x|y) = P(S = s)/n on the n symbols of shell s: each shell has mass P(S = s)"
    )
    draft.identity("code length", sp.log(1 / (p / n)), sp.log(1 / p) + sp.log(n), "logarithm of a quotient")
    loss = sp.Symbol("E[-log q]", real=True)
    meaning = {loss: sp.log(1 / (p / n)), shell: sp.log(1 / p), inside: sp.log(n)}
    draft.mean("averaged", "code length", loss, shell + inside, meaning)
    draft.earlier("Gibbs", h, "<=", loss, "fano.predictor_upper")
    right = entropy * shell + count * inside
    draft.combine("statement", h, right, {"Gibbs": 1, "averaged": 1})
    draft.attained(
        "best shells", h, right, {h: sp.log(2), shell: sp.log(2), inside: 0}, "one symbol in each of two shells"
    )
    draft.attained("best counts", h, right, {h: sp.log(2), shell: 0, inside: sp.log(2)}, "one shell of two symbols")
    return draft.done("fano.shells_upper", "statement")


PROOFS: dict[str, Callable[..., Proof]] = {
    "fano.predictor_upper": _predictor,
    "fano.list_upper": _list,
    "fano.sized_lists_upper": _sized,
    "fano.printed_upper": _printed,
    "fano.ball_upper": _ball,
    "fano.best_radius_upper": _least("fano.best_radius_upper", "fano.ball_upper", "radii"),
    "fano.shells_upper": _shells,
    "fano.best_shells_upper": _least("fano.best_shells_upper", "fano.shells_upper", "partitions"),
}
