"""Theorem 1 and the trivial caps, proved, every step by exact algebra."""

from __future__ import annotations

from collections.abc import Callable

import sympy as sp

from proofs_check.symbolic.decide import Expr
from proofs_check.symbolic.draft import Draft, Proof

__all__ = ["PROOFS", "flip_family"]


_HALF = sp.Rational(1, 2)


_A, _B = sp.symbols("alpha beta", nonnegative=True)


_F_ROOT, _D, _E = sp.symbols("sqrtF D e", nonnegative=True)


_VN, _VP = sp.symbols("v_next v_prev", nonnegative=True)


_LETTERS = {
    "sqrtF": "root of F = E|f_X - f_Y|^2",
    "alpha, beta": "Lipschitz constants of h in the next and in the previous state",
    "v_next, v_prev": "roots of V(next|prev) = E|X - E[X|Y]|^2 and of V(prev|next)",
    "D": "E|X - Y|^2",
    "e": "E rho",
}


def flip_family() -> tuple[Expr, Expr, Expr]:
    """F, the residual and D of the flipped sign: X = +-1 fair, Y = X but for probability q, h = alpha x + beta y.

    Computed from the four atoms, as functions of q.
    """
    q = sp.Symbol("q", positive=True)
    mass = {(x, y): (1 - q if x == y else q) / 2 for x in (1, -1) for y in (1, -1)}

    def h(x: int, y: int) -> Expr:
        return _A * x + _B * y

    f_next = {x: sum(2 * p * h(x, y) for (u, y), p in mass.items() if u == x) for x in (1, -1)}
    f_prev = {y: sum(2 * p * h(x, y) for (x, v), p in mass.items() if v == y) for y in (1, -1)}
    guess = {y: sum(2 * p * x for (x, v), p in mass.items() if v == y) for y in (1, -1)}
    gap = sum(p * (f_next[x] - f_prev[y]) ** 2 for (x, y), p in mass.items())
    residual = sum(p * (x - guess[y]) ** 2 for (x, y), p in mass.items())
    distance = sum(p * (x - y) ** 2 for (x, y), p in mass.items())
    return sp.expand(gap), sp.expand(residual), sp.expand(distance)


def _copy_identity(draft: Draft) -> str:
    """(1/2) E|v - v'|^2 = E|v - E v|^2 for a copy v' of v, independent given the other state."""
    v, copy = sp.symbols("v v'", real=True)
    centre, mean = sp.symbols("m Ev", real=True)
    names = ("E|v-v'|^2", "E|v-m|^2", "E|v|^2", "E|v'|^2", "E<v,v'>")
    jump, residual, second, second_copy, cross = (sp.Symbol(name, real=True) for name in names)
    draft.identity("two copies", _HALF * (v - copy) ** 2, v**2 / 2 + copy**2 / 2 - v * copy)
    meaning = {jump: (v - copy) ** 2, second: v**2, second_copy: copy**2, cross: v * copy}
    draft.mean("copies", "two copies", jump / 2, second / 2 + second_copy / 2 - cross, meaning)
    draft.identity("around the mean", (v - centre) ** 2, v**2 - 2 * centre * v + centre**2)
    right = second - 2 * centre * mean + centre**2
    draft.mean(
        "residual",
        "around the mean",
        residual,
        right,
        {residual: (v - centre) ** 2, second: v**2, mean: v},
        fixed=[centre],
    )
    draft.cite("same law", second_copy, "=", second, "a conditional copy has the conditional law")
    draft.cite("independent", cross, "=", mean**2, "the copy is independent given the other state: E<v,v'> = |Ev|^2")
    draft.assume("centre", centre, "=", mean, "m is the conditional mean")
    using = {
        "copies": 1,
        "residual": -1,
        "same law": _HALF,
        "independent": -1,
        "centre": mean - centre,
    }
    return draft.combine(
        "copy identity", jump / 2, residual, using, sense="=", rule="combination, then averaged over the other state"
    )


def _reach(draft: Draft, name: str, root: Expr, constant: Expr, spread: Expr, state: str) -> str:
    """``root <= constant * spread``: root = |h - E[h|other]|_2, spread = |state - E[state|other]|_2."""
    jump, residual = (sp.Symbol(name, real=True) for name in ("E|v-v'|^2", "E|v-m|^2"))
    of_h = sp.Symbol(f"E|h-h'|^2[{state}]", nonnegative=True)
    of_state = sp.Symbol(f"E|{state}-{state}'|^2", nonnegative=True)
    draft.substitute(f"{name}, h", "copy identity", {jump: of_h, residual: root**2}, f"v = h, given all but {state}")
    draft.substitute(f"{name}, state", "copy identity", {jump: of_state, residual: spread**2}, f"v = {state}")
    draft.assume(
        f"{name}, Lipschitz", of_h, "<=", constant**2 * of_state, f"h moves by at most {constant}|{state}-{state}'|"
    )
    using = {f"{name}, h": -1, f"{name}, Lipschitz": _HALF, f"{name}, state": constant**2}
    draft.combine(f"{name}, squares", root**2, (constant * spread) ** 2, using)
    return draft.root(name, f"{name}, squares", root, constant * spread)


def _root_steps(draft: Draft, alpha: Expr = _A, beta: Expr = _B) -> str:
    """Steps to ``sqrtF <= alpha v_next + beta v_prev``."""
    u, w = (sp.Symbol(f"|h-{f}|", nonnegative=True) for f in ("f_X", "f_Y"))
    _copy_identity(draft)
    draft.cite("triangle", _F_ROOT, "<=", u + w, "Minkowski's inequality in L2 for f_X - f_Y = (h - f_Y) - (h - f_X)")
    _reach(draft, "given X", u, beta, _VP, "Y")
    _reach(draft, "given Y", w, alpha, _VN, "X")
    return draft.combine("root", _F_ROOT, alpha * _VN + beta * _VP, {"triangle": 1, "given X": 1, "given Y": 1})


def _predictor_steps(draft: Draft, state: str, root: Expr, name: str) -> Expr:
    """The residual around the conditional mean is at most that of any predictor: V = W - |bias|^2."""
    v, guess, centre = sp.symbols(f"{state} g_{state} m_{state}", real=True)
    r, k = (sp.Symbol(letter, real=True) for letter in (f"E|{v}-{centre}|^2", f"E<{v}-{centre},{centre}-{guess}>"))
    w, b = (sp.Symbol(letter, nonnegative=True) for letter in (f"W({state})", f"E|{centre}-{guess}|^2"))
    split = (v - centre) ** 2 + 2 * (v - centre) * (centre - guess) + (centre - guess) ** 2
    draft.identity(f"{name}, split", (v - guess) ** 2, split)
    meaning = {w: (v - guess) ** 2, r: (v - centre) ** 2, k: (v - centre) * (centre - guess), b: (centre - guess) ** 2}
    draft.mean(f"{name}, averaged", f"{name}, split", w, r + 2 * k + b, meaning)
    draft.cite(f"{name}, orthogonal", k, "=", 0, "v - E[v|other] is orthogonal to every function of the other state")
    draft.assume(f"{name}, residual", r, "=", root**2, "definition of V")
    using = {f"{name}, averaged": -1, f"{name}, orthogonal": -2, f"{name}, residual": -1}
    draft.combine(f"{name}, any predictor", root**2, w, using, rule="combination, |E[v|other] - g|^2 >= 0")
    return w


def _residual(factor: Expr = 1, alpha: Expr = 1, beta: Expr = 1) -> Proof:
    draft = Draft("the functional gap from the residuals of both states, any norms", **_LETTERS)
    _root_steps(draft)
    draft.square("squared", "root")
    right = factor * (alpha * _A * _VN + beta * _B * _VP) ** 2
    draft.combine("statement", _F_ROOT**2, right, {"squared": 1})
    _predictor_steps(draft, "Y", _VP, "predictor of Y")
    gap, residual, _ = flip_family()
    q = sp.Symbol("q", positive=True)
    value = right.subs({_VN: sp.Symbol("v"), _VP: sp.Symbol("v")})
    value = sp.expand(value).subs(sp.Symbol("v") ** 2, residual)
    draft.identity("flipped sign", gap, sp.expand(residual * (_A**2 + _B**2 + 2 * _A * _B * (1 - 2 * q))), "four atoms")
    # alpha and beta separately, so that each constant is seen.
    for name, a, b in (("both", 1, 1), ("next only", 1, 0), ("previous only", 0, 1)):
        ratio = sp.cancel((gap / value).subs({_A: a, _B: b}))
        draft.limit(f"best, {name}", ratio, q, 0, 1, f"flipped sign as q -> 0, alpha = {a}, beta = {b}: F / bound")
    draft.refuted("residuals not swapped", 1, 0, "X constant, h = Y a fair sign: F = 1, beta^2 V(next|prev) = 0")
    return draft.done("lipschitz.residual_upper", "statement")


def _distance_steps(draft: Draft) -> None:
    """v_next, v_prev <= sqrt D: each state is a predictor of the other."""
    for state, root, name in (("X", _VN, "next"), ("Y", _VP, "previous")):
        w = _predictor_steps(draft, state, root, name)
        draft.assume(f"{name}, other state", w, "=", sp.Symbol("sqrtD", nonnegative=True) ** 2, "g is the other state")
        draft.combine(
            f"{name}, by D",
            root**2,
            sp.Symbol("sqrtD", nonnegative=True) ** 2,
            {f"{name}, any predictor": 1, f"{name}, other state": 1},
        )
        draft.root(f"{name}, root", f"{name}, by D", root, sp.Symbol("sqrtD", nonnegative=True))


def _minkowski(factor: Expr = 1) -> Proof:
    root_d = sp.Symbol("sqrtD", nonnegative=True)
    draft = Draft("the functional gap from the mean squared distance, any norms", sqrtD="root of D", **_LETTERS)
    _root_steps(draft)
    _distance_steps(draft)
    using = {"root": 1, "next, root": _A, "previous, root": _B}
    draft.combine("by D", _F_ROOT, (_A + _B) * root_d, using)
    draft.square("squared", "by D")
    right = factor * (_A + _B) ** 2 * root_d**2
    draft.combine("statement", _F_ROOT**2, right, {"squared": 1})
    draft.identity("gain over the printed", 2 * (_A**2 + _B**2) - (_A + _B) ** 2, (_A - _B) ** 2)
    _sharp(draft, lambda e, d: factor * (_A + _B) ** 2 * d)
    return draft.done("lipschitz.minkowski_upper", "statement")


def _sharp(draft: Draft, bound: Callable[[Expr, Expr], Expr]) -> None:
    """The flipped sign comes arbitrarily close, e = 2q and D = 4q, at alpha = beta = 1."""
    gap, _, distance = flip_family()
    q = sp.Symbol("q", positive=True)
    ratio = sp.cancel((gap / bound(distance / 2, distance)).subs({_A: 1, _B: 1}))
    draft.limit("best", ratio, q, 0, 1, "flipped sign as q -> 0, alpha = beta = 1: F / bound")


def _printed(factor: Expr = 4) -> Proof:
    root_d = sp.Symbol("sqrtD", nonnegative=True)
    draft = Draft("Theorem 1 as printed, with <=, unit norm", sqrtD="root of D", **_LETTERS)
    _root_steps(draft)
    _distance_steps(draft)
    draft.combine("by D", _F_ROOT, (_A + _B) * root_d, {"root": 1, "next, root": _A, "previous, root": _B})
    draft.square("squared", "by D")
    draft.squares("halves", (_A + _B) ** 2, 2 * (_A**2 + _B**2), [_A, _B])
    draft.earlier("unit norm", root_d**2, "=", 2 * _E, "lemmas.squared_distance_of_cosine")
    right = factor * (_A**2 + _B**2) * _E
    using = {"squared": 1, "halves": root_d**2, "unit norm": 2 * (_A**2 + _B**2)}
    draft.combine("statement", _F_ROOT**2, right, using)
    _sharp(draft, lambda e, d: factor * (_A**2 + _B**2) * e)
    draft.attained("not strict", 0, right.subs({_A: 0, _B: 0}), {}, "h constant: 0 = 0, so < is false")
    draft.refuted("unit norm needed", sp.Rational(1, 4), 0, "X = 1, Y in {1, 2} fair, Z = Y: rho = 0 and F = 1/4")
    return draft.done("lipschitz.printed_upper", "statement")


def _unit_norm(factor: Expr = 1, twice: Expr = 2) -> Proof:
    c = sp.Symbol("c", real=True)
    draft = Draft(
        "the functional gap from the mean cosine distance, unit norm, e <= 1", c="scale of a predictor", **_LETTERS
    )
    _root_steps(draft)
    x, y = sp.symbols("X Y", real=True)
    one_x, one_y, dot, error = (sp.Symbol(name, real=True) for name in ("E|X|^2", "E|Y|^2", "E<X,Y>", "W(c)"))
    draft.identity("scaled predictor", (y - c * x) ** 2, y**2 - 2 * c * x * y + c**2 * x**2)
    meaning = {error: (y - c * x) ** 2, one_y: y**2, dot: x * y, one_x: x**2}
    right = one_y - 2 * c * dot + c**2 * one_x
    draft.mean("its error", "scaled predictor", error, right, meaning, fixed=[c])
    draft.assume("norm X", one_x, "=", 1, "unit norm")
    draft.assume("norm Y", one_y, "=", 1, "unit norm")
    draft.assume("distance", dot, "=", 1 - _E, "rho = 1 - <X,Y> on the sphere")
    value = 1 - 2 * c * (1 - _E) + c**2
    using = {"its error": 1, "norm Y": 1, "norm X": c**2, "distance": -2 * c}
    draft.combine("error on the sphere", error, value, using, sense="=")
    draft.stationary("best scale", value, c, 1 - _E)
    draft.curvature("a minimum", value, c, 2, convex=True)
    draft.identity("least error", value.subs(c, 1 - _E), _E * (2 - _E), "at c = 1 - e")
    for state, root in (("next", _VN), ("prev", _VP)):
        w = _predictor_steps(draft, "Y" if state == "prev" else "X", root, state)
        draft.assume(f"{state} guess", w, "=", error, "g is the other state, scaled by c = 1 - e")
        using = {f"{state}, any predictor": 1, f"{state} guess": 1, "error on the sphere": 1}
        draft.combine(f"{state} at any scale", root**2, value, using)
        draft.substitute(f"{state} residual", f"{state} at any scale", {c: 1 - _E}, "best scale")
    spread = sp.Symbol("w", nonnegative=True)
    draft.assume("name", value.subs(c, 1 - _E), "=", spread**2, "w is the root of the least error")
    for state, root in (("next", _VN), ("prev", _VP)):
        draft.combine(f"{state} squared", root**2, spread**2, {f"{state} residual": 1, "name": 1})
        draft.root(f"{state} root", f"{state} squared", root, spread)
    draft.combine("by w", _F_ROOT, (_A + _B) * spread, {"root": 1, "next root": _A, "prev root": _B})
    draft.square("squared", "by w")
    right = factor * (_A + _B) ** 2 * _E * (twice - _E)
    using = {"squared": 1, "name": -((_A + _B) ** 2), "least error": (_A + _B) ** 2}
    draft.combine("statement", _F_ROOT**2, right, using)
    draft.interval("monotone up to 1", 0, sp.diff(_E * (2 - _E), _E), _E, 0, 1)
    draft.attained(
        "then constant", value.subs(c, 0), _E * (2 - _E), {_E: 1}, "e >= 1: c = 0 has error 1, the value at e = 1"
    )
    gap, residual, distance = flip_family()
    q = sp.Symbol("q", positive=True)
    ratio = sp.cancel((gap / right.subs(_E, distance / 2)).subs({_A: 1, _B: 1}))
    draft.limit("best", ratio, q, 0, 1, "flipped sign as q -> 0, alpha = beta = 1: F / bound")
    draft.identity("its residual", residual, (distance / 2) * (2 - distance / 2), "the flipped sign attains e(2 - e)")
    draft.identity("the envelope", right.subs({_E: 1, _A: 1, _B: 0}), 1, "e = 1, alpha = 1: F <= Var of h")
    return draft.done("lipschitz.unit_norm_upper", "statement")


def _chain(factor: Expr = 1) -> Proof:
    draft = Draft("one chain: previous - next - task, so beta = 0 (the other chain: alpha = 0, same proof)", **_LETTERS)
    _root_steps(draft, beta=sp.Integer(0))
    draft.square("squared", "root")
    right = factor * _A**2 * _VN**2
    draft.combine("statement", _F_ROOT**2, right, {"squared": 1})
    gap, residual, _ = flip_family()
    draft.attained("best", gap.subs(_B, 0), right.subs(_VN, 1) * residual, {}, "flipped sign, h = alpha x: equality")
    return draft.done("lipschitz.chain_upper", "statement")


def _truncated(factor: Expr = 1) -> Proof:
    m_next, m_prev = sp.symbols("T_next T_prev", nonnegative=True)
    u, w = (sp.Symbol(f"|h-{f}|", nonnegative=True) for f in ("f_X", "f_Y"))
    draft = Draft(
        "the functional gap from truncated distances",
        T_next="root of E min(alpha^2|X-Y|^2, Delta^2)",
        T_prev="root of E min(beta^2|X-Y|^2, Delta^2)",
        **_LETTERS,
    )
    draft.cite("triangle", _F_ROOT, "<=", u + w, "Minkowski's inequality in L2 for f_X - f_Y = (h - f_Y) - (h - f_X)")
    for name, root, moved, state in (("given X", u, m_prev, "y = X"), ("given Y", w, m_next, "x = Y")):
        extended = sp.Symbol(f"E|h-g|^2[{state}]", nonnegative=True)
        draft.cite(
            f"{name}, extension",
            extended,
            "<=",
            moved**2,
            f"Kirszbraun: h extends to {state} with its constant; projected on the hull of the task values it moves by "
            "at most min(constant |X-Y|, Delta)",
        )
        draft.cite(f"{name}, best", root**2, "<=", extended, "the conditional mean is the best predictor in L2")
        draft.combine(f"{name}, squares", root**2, moved**2, {f"{name}, extension": 1, f"{name}, best": 1})
        draft.root(name, f"{name}, squares", root, moved)
    draft.combine("root", _F_ROOT, m_next + m_prev, {"triangle": 1, "given X": 1, "given Y": 1})
    draft.square("squared", "root")
    right = factor * (m_next + m_prev) ** 2
    draft.combine("statement", _F_ROOT**2, right, {"squared": 1})
    gap, _, distance = flip_family()
    q = sp.Symbol("q", positive=True)
    # alpha = beta = 1: h in {-2, 0, 2}, Delta = 4, |X-Y| <= 2: nothing is cut, and T = sqrt D.
    ratio = sp.cancel(gap.subs({_A: 1, _B: 1}) / (right.subs({m_next: 1, m_prev: 1}) * distance))
    draft.limit("best", ratio, q, 0, 1, "flipped sign as q -> 0, alpha = beta = 1, nothing cut: F / bound")
    return draft.done("lipschitz.truncated_upper", "statement")


def _proximal(near: Expr = 2, far: Expr = 4) -> Proof:
    c, t, p, u = sp.symbols("c t P u", nonnegative=True)
    rho, tail = sp.Symbol("rho", nonnegative=True), sp.Symbol("1[rho>t]", nonnegative=True)
    mean = sp.Symbol("M", nonnegative=True)
    draft = Draft(
        "proximal implies functional, unit norm: one truncated mean",
        M="E min(c^2|X-Y|^2, Delta^2), c = alpha or beta",
        P="P(rho > t)",
        u="a slack >= 0",
    )
    scaled = c**2 * 2 * rho  # |X-Y|^2 = 2 rho on the sphere
    draft.earlier("on the sphere", sp.Symbol("|X-Y|^2"), "=", 2 * rho, "lemmas.squared_distance_of_cosine")
    draft.cases("near", scaled, near * c**2 * t, {"rho <= t": {t: rho + u}})
    draft.cases("far", c**2 * (4 - 2 * u), far * c**2, {"rho = 2 - u <= 2": {}})
    draft.attained("near best", scaled, near * c**2 * t, {rho: t}, "rho = t")
    draft.attained("far best", scaled, far * c**2, {rho: 2}, "rho = 2")
    n, f, cut = sp.symbols("n f cut", nonnegative=True)
    draft.cite(
        "cut",
        cut,
        "<=",
        n * (1 - tail) + f * tail,
        "near and far; min(., Delta^2) is monotone: cut = min(c^2|X-Y|^2, Delta^2), n = min(2c^2 t, Delta^2), "
        "f = min(4c^2, Delta^2)",
    )
    draft.mean("statement", "cut", mean, n * (1 - p) + f * p, {mean: cut, p: tail})
    return draft.done("lipschitz.proximal_upper", "statement")


def _variance(factor: Expr = 1) -> Proof:
    """F = |PZ - QZ|^2 for two projections P, Q of the centred Z: reflections 2P-1 keep the norm."""
    z, p, q = sp.symbols("Z f_X f_Y", real=True)
    names = ("Var", "F", "|f_X|^2", "|f_Y|^2", "<f_X,Z>", "<f_Y,Z>")
    var, f, pp, qq, pz, qz = (sp.Symbol(name, real=True) for name in names)
    draft = Draft(
        "no functional gap exceeds the variance of the task", F="E|f_X - f_Y|^2", Var="E|Z - EZ|^2, EZ = 0 here"
    )
    a, b = 2 * p - z, 2 * q - z
    draft.identity("reflections", (p - q) ** 2, (a - b) ** 2 / 4, "f_X = (Z + a)/2, f_Y = (Z + b)/2")
    draft.squares("parallelogram", (p - q) ** 2, a**2 / 2 + b**2 / 2, [p, q, z])
    meaning = {f: (p - q) ** 2, var: z**2, pp: p**2, qq: q**2, pz: p * z, qz: q * z}
    right = 2 * pp - 2 * pz + 2 * qq - 2 * qz + var
    draft.mean("expectation", "parallelogram", f, right, meaning)
    draft.cite("f_X projects", pz, "=", pp, "f_X = E[Z|X] is the orthogonal projection of Z: E<f_X, Z> = E|f_X|^2")
    draft.cite("f_Y projects", qz, "=", qq, "f_Y = E[Z|Y] likewise")
    draft.combine("statement", f, factor * var, {"expectation": 1, "f_X projects": -2, "f_Y projects": -2})
    draft.attained("best", f, factor * var, {f: 1, var: 1}, "X constant, Z = Y: F = Var Z")
    c, spread, mean_z = sp.symbols("c S EZ", real=True)
    radius = sp.Symbol("R", nonnegative=True)
    draft.identity("any centre", (z - c) ** 2, z**2 - 2 * z * c + c**2)
    meaning = {spread: (z - c) ** 2, var: z**2, mean_z: z}
    draft.mean("spread", "any centre", spread, var - 2 * mean_z * c + c**2, meaning, fixed=[c])
    draft.assume("centred", mean_z, "=", 0, "EZ = 0 here")
    draft.assume("enclosing ball", spread, "<=", radius**2, "all task values lie within R of c")
    draft.combine("radius", var, radius**2, {"spread": -1, "centred": 2 * c, "enclosing ball": 1})
    return draft.done("lipschitz.variance_cap", "statement")


def _probe_errors(factor: Expr = 1) -> Proof:
    x, y, rx, ry = sp.symbols("r_next r_prev s_next s_prev", nonnegative=True)
    draft = Draft(
        "the functional gap from the errors of any two probes",
        **{"r_next, r_prev": "roots of E|Z - f_X|^2, E|Z - f_Y|^2", "s_next, s_prev": "roots of the probes' errors"},
    )
    draft.cite("triangle", _F_ROOT, "<=", x + y, "Minkowski's inequality in L2 for f_X - f_Y = (Z - f_Y) - (Z - f_X)")
    for name, ideal, probe in (("next", x, rx), ("previous", y, ry)):
        draft.cite(f"{name} probe", ideal**2, "<=", probe**2, "the conditional mean has the least squared error")
        draft.root(f"{name} root", f"{name} probe", ideal, probe)
    draft.combine("root", _F_ROOT, rx + ry, {"triangle": 1, "next root": 1, "previous root": 1})
    draft.square("squared", "root")
    right = factor * (rx + ry) ** 2
    draft.combine("statement", _F_ROOT**2, right, {"squared": 1})
    draft.attained("best", 1, right.subs({rx: 1, ry: 0}), {}, "X constant, Z = Y a fair sign: errors 1 and 0, F = 1")
    return draft.done("lipschitz.probe_errors_cap", "statement")


PROOFS: dict[str, Callable[..., Proof]] = {
    "lipschitz.printed_upper": _printed,
    "lipschitz.minkowski_upper": _minkowski,
    "lipschitz.unit_norm_upper": _unit_norm,
    "lipschitz.residual_upper": _residual,
    "lipschitz.chain_upper": _chain,
    "lipschitz.truncated_upper": _truncated,
    "lipschitz.proximal_upper": _proximal,
    "lipschitz.variance_cap": _variance,
    "lipschitz.probe_errors_cap": _probe_errors,
}
