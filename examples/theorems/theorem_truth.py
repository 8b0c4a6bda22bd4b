"""Exact truth of finite laws in rationals and 50 digits, from the textbook formulas and not from the library.

A law is a dict from (x, y, z) to a Fraction: next state, previous state, task symbol. Amounts of information are in
nats.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from decimal import Context, Decimal, localcontext
from fractions import Fraction
from functools import cache
from typing import Any

Law = Mapping[Any, Fraction]
Vector = tuple[Fraction, ...]

_CONTEXT = Context(prec=50)


@cache
def decimal(value: Fraction) -> Decimal:
    return _CONTEXT.divide(Decimal(value.numerator), Decimal(value.denominator))


@cache
def log(value: Fraction) -> Decimal:
    return decimal(value).ln(_CONTEXT)


def xlogx(values: Iterable[Fraction]) -> Decimal:
    with localcontext(_CONTEXT):
        return sum((decimal(p) * log(p) for p in values if p), Decimal(0))


def marginal(law: Law, key: Callable[[Any], Hashable]) -> dict[Any, Fraction]:
    result: dict[Any, Fraction] = {}
    for point, mass in law.items():
        if mass:
            name = key(point)
            result[name] = result.get(name, Fraction(0)) + mass
    return result


def entropy(law: Law, *axes: int) -> Decimal:
    """Joint entropy of the named axes."""
    return -xlogx(marginal(law, lambda point: tuple(point[a] for a in axes)).values())


def conditional_entropy(law: Law, a: int, given: int) -> Decimal:
    with localcontext(_CONTEXT):
        return entropy(law, a, given) - entropy(law, given)


def information(law: Law, a: int, b: int) -> Decimal:
    with localcontext(_CONTEXT):
        return entropy(law, a) + entropy(law, b) - entropy(law, a, b)


def information_given(law: Law, a: int, b: int, given: int) -> Decimal:
    with localcontext(_CONTEXT):
        return entropy(law, a, given) + entropy(law, b, given) - entropy(law, a, b, given) - entropy(law, given)


def divergence(p: Mapping[Any, Fraction], q: Mapping[Any, Fraction]) -> Decimal:
    with localcontext(_CONTEXT):
        return sum((decimal(m) * (log(m) - log(q[k])) for k, m in p.items() if m), Decimal(0))


# ------------------------------------------------------------------ vectors


def minus(u: Vector, v: Vector) -> Vector:
    return tuple(a - b for a, b in zip(u, v, strict=True))


def square(u: Vector) -> Fraction:
    return sum((a * a for a in u), Fraction(0))


def dot(u: Vector, v: Vector) -> Fraction:
    return sum((a * b for a, b in zip(u, v, strict=True)), Fraction(0))


def average(masses: Mapping[Any, Fraction], values: Callable[[Any], Vector] | Sequence[Vector]) -> Vector:
    total = sum(masses.values(), Fraction(0))
    look = values if callable(values) else values.__getitem__
    pairs = [(m, look(k)) for k, m in masses.items()]
    return tuple(sum((m * v[i] for m, v in pairs), Fraction(0)) / total for i in range(len(pairs[0][1])))


# -------------------------------------------------------------- task and gap


def predictor(law: Law, values: Sequence[Vector], key: Callable[[Any], Hashable]) -> dict[Any, Vector]:
    """E[Z | key]."""
    groups: dict[Any, dict[Any, Fraction]] = {}
    for point, mass in law.items():
        if mass:
            group = groups.setdefault(key(point), {})
            group[point[2]] = group.get(point[2], Fraction(0)) + mass
    return {name: average(group, values) for name, group in groups.items()}


def functional_gap(law: Law, values: Sequence[Vector]) -> Fraction:
    f_next, f_prev = predictor(law, values, lambda p: p[0]), predictor(law, values, lambda p: p[1])
    pair = marginal(law, lambda p: p[:2])
    return sum((m * square(minus(f_next[x], f_prev[y])) for (x, y), m in pair.items()), Fraction(0))


def mmse(law: Law, values: Sequence[Vector], axis: int) -> Fraction:
    f = predictor(law, values, lambda p: p[axis])
    return sum((m * square(minus(values[p[2]], f[p[axis]])) for p, m in law.items()), Fraction(0))


def variance(law: Law, values: Sequence[Vector]) -> Fraction:
    centre = average(marginal(law, lambda p: p[2]), values)
    return sum((m * square(minus(values[p[2]], centre)) for p, m in law.items()), Fraction(0))


def diameter_squared(values: Sequence[Vector]) -> Fraction:
    return max((square(minus(u, v)) for u in values for v in values), default=Fraction(0))


# ------------------------------------------------------------------- states


def squared_distance(law: Law, xs: Sequence[Vector], ys: Sequence[Vector]) -> Fraction:
    return sum((m * square(minus(xs[p[0]], ys[p[1]])) for p, m in law.items()), Fraction(0))


def residual(law: Law, points: Sequence[Vector], axis: int) -> Fraction:
    """E|state - E[state | the other state]|^2 of the state on `axis`."""
    other = 1 - axis
    groups: dict[Any, dict[Any, Fraction]] = {}
    for (x, y), mass in marginal(law, lambda p: p[:2]).items():
        groups.setdefault((x, y)[other], {})[(x, y)[axis]] = mass
    centres = {name: average(group, points) for name, group in groups.items()}
    return sum(
        (m * square(minus(points[k], centres[name])) for name, group in groups.items() for k, m in group.items()),
        Fraction(0),
    )


def lipschitz_squares(
    law: Law, values: Sequence[Vector], xs: Sequence[Vector], ys: Sequence[Vector]
) -> tuple[Fraction, Fraction] | None:
    """Smallest alpha^2 and beta^2 for which h is Lipschitz on the support; None if there are none."""
    h = predictor(law, values, lambda p: p[:2])
    worst = [Fraction(0), Fraction(0)]
    for p, u in h.items():
        for q, v in h.items():
            for axis, points in ((0, xs), (1, ys)):
                if p[1 - axis] == q[1 - axis] and p != q and u != v:
                    distance = square(minus(points[p[axis]], points[q[axis]]))
                    if distance == 0:
                        return None
                    worst[axis] = max(worst[axis], square(minus(u, v)) / distance)
    return worst[0], worst[1]


def mean_distance(law: Law, rho: Sequence[Sequence[Fraction]]) -> Fraction:
    return sum((m * rho[p[0]][p[1]] for p, m in law.items()), Fraction(0))


def tail(law: Law, rho: Sequence[Sequence[Fraction]], t: Fraction, *, strict: bool = True) -> Fraction:
    return sum((m for p, m in law.items() if rho[p[0]][p[1]] > t or (not strict and rho[p[0]][p[1]] == t)), Fraction(0))


def independent(law: Law) -> dict[Any, Fraction]:
    """Law of independent copies of the two states."""
    first, second = marginal(law, lambda p: p[0]), marginal(law, lambda p: p[1])
    return {(x, y, 0): p * q for x, p in first.items() for y, q in second.items()}


def root_up(value: Fraction) -> float:
    """A float that is at least the square root."""
    root = float(decimal(value).sqrt(_CONTEXT)) if value else 0.0
    while Fraction(root) ** 2 < value:
        root *= 1.0 + 2.0**-52
    return root


def number(value: Fraction | Decimal | float) -> Fraction:
    """As a rational, for comparison with a float bound."""
    return Fraction(value)
