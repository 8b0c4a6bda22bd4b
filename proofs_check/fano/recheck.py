"""Theorem 3, recomputed from a stored record, without the code that wrote it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np

from proofs_check.exact.enclosure import Real, enclose, greatest, least, log, total
from proofs_check.lemmas.recheck import conditional_entropy
from proofs_check.recheck.record import Claim, Inputs, Refused, entropy_terms, log_base

__all__ = ["RULES"]


_FINITE = ("finite_support", "both layers are coded in one finite alphabet of the size given", "declared")


_SYMMETRIC = ("symmetric_distance", "rho(x, y) = rho(y, x), between codes", "declared")


_FIXED = ("fixed_predictor", "the predictive law was fixed before the evaluation data were seen", "declared")


def _claim(nats: Real, size: int | None, base: float, *assumptions: tuple[str, str, str], terms: int = 4) -> Claim:
    unit = log_base(base)
    cap = math.inf if size is None else enclose(log(Fraction(size))) / unit
    upper = greatest(enclose(nats) / unit, enclose(0))
    return Claim(
        quantity="conditional_entropy",
        lower=0,
        upper=least(upper, cap),
        trivial=(Fraction(0), cap),
        base=base,
        assumptions=assumptions,
        slack=Fraction(terms + 4, 10**14),
    )


def _worst(tail: tuple[Fraction, Fraction], outside: int, inside: int) -> Real:
    """Largest H2(P) + P log outside + (1-P) log inside over the interval; concave, with its top at M/(M+N)."""
    if outside == 0:
        if tail[0] > 0:
            raise Refused("inputs.tail_prob", "must be 0 if every ball or list is the whole alphabet")
        return log(Fraction(inside))
    p = min(max(Fraction(outside, outside + inside), tail[0]), tail[1])
    return total([entropy_terms([p, 1 - p]), p * log(Fraction(outside)), (1 - p) * log(Fraction(inside))])


def _printed(given: Inputs) -> Claim:
    size = given.count("support_size", 1)
    most = given.count("ball_max", 1, size)
    fewest = given.count("ball_min", 0, most)
    worst = _worst(given.probability("tail_prob"), size - fewest, most)
    return _claim(worst, size, given.base(), _FINITE, _SYMMETRIC)


def _list(given: Inputs) -> Claim:
    size = given.count("support_size", 1)
    named = given.count("list_size", 1, size)
    return _claim(_worst(given.probability("miss_prob"), size - named, named), size, given.base(), _FINITE)


def _sized_lists(given: Inputs) -> Claim:
    size = given.count("support_size", 1)
    sizes, hits, misses = (given.vector(name) for name in ("sizes", "hit_probs", "miss_probs"))
    if not len(sizes) == len(hits) == len(misses) or any(k.denominator != 1 or not 0 <= k <= size for k in sizes):
        raise Refused("inputs.sizes", f"need whole sizes in 0..{size}, one hit and one miss probability each")
    mass = sum(hits + misses, Fraction(0))
    if min(hits + misses) < 0 or abs(mass - 1) > Fraction(1, 10**9):
        raise Refused("inputs.hit_probs", "need probabilities that sum to 1")
    rows = [(int(k), h / mass, m / mass) for k, h, m in zip(sizes, hits, misses, strict=True)]
    return _claim(_lists(rows, size), size, given.base(), _FINITE, terms=40 * len(rows) * (1 + size.bit_length()))


def _lists(rows: Sequence[tuple[int, Fraction, Fraction]], size: int) -> Real:
    """``sum over lists of  h log(T k/h) + m log(T (K-k)/m)``, T = h + m: hit or miss, then which one."""
    if any((k == 0 and h) or (k == size and m) for k, h, m in rows):
        raise Refused("inputs.hit_probs", "an empty list misses and a full list hits")
    return total(
        p * log((h + m) * count / p) for k, h, m in rows for p, count in ((h, k), (m, size - k)) if p
    )  # fmt: skip


def _table(given: Inputs) -> tuple[int, dict[tuple[int, ...], Fraction], list[list[Fraction]]]:
    shape, masses = given.law("joint", 2)
    return shape[0], masses, given.distances("distances", shape[0]) if shape[0] == shape[1] else _square(shape)


def _square(shape: tuple[int, ...]) -> Any:
    raise Refused("inputs.joint", f"need one alphabet for both layers, got shape {shape}")


def _ball_value(size: int, masses: dict[tuple[int, ...], Fraction], rho: list[list[Fraction]], t: Fraction) -> Real:
    rows = []
    for j in range(size):
        column = [(rho[i][j] <= t, masses.get((i, j), Fraction(0))) for i in range(size)]
        hit = sum((p for near, p in column if near), Fraction(0))
        miss = sum((p for near, p in column if not near), Fraction(0))
        rows.append((sum(near for near, _ in column), hit, miss))
    return _lists(rows, size)


def _ball(given: Inputs) -> Claim:
    size, masses, rho = _table(given)
    value = _ball_value(size, masses, rho, given.number("t", 0))
    return _claim(value, size, given.base(), _FINITE, _SYMMETRIC, terms=40 * size * (1 + size.bit_length()))


def _best_radius(given: Inputs) -> Claim:
    size, masses, rho = _table(given)
    value = enclose(math.inf)
    for t in sorted({v for row in rho for v in row}):
        value = least(value, _ball_value(size, masses, rho, t))
    return _claim(value, size, given.base(), _FINITE, _SYMMETRIC, terms=40 * size * (1 + size.bit_length()))


def _shell_value(masses: dict[tuple[int, ...], Fraction], rho: list[list[Fraction]], edges: Sequence[Fraction]) -> Real:
    """H(S) + E log #{x : S(x, Y) = S}; shell number = edges below the distance."""
    size = len(rho)
    shell = [[sum(edge < rho[i][j] for edge in edges) for j in range(size)] for i in range(size)]
    mass: dict[int, Fraction] = {}
    inside: dict[tuple[int, int], Fraction] = {}
    for (i, j), p in masses.items():
        s = shell[i][j]
        mass[s] = mass.get(s, Fraction(0)) + p
        inside[s, j] = inside.get((s, j), Fraction(0)) + p
    counts = {(s, j): sum(shell[i][j] == s for i in range(size)) for s, j in inside}
    return total([entropy_terms(list(mass.values())), *(p * log(Fraction(counts[k])) for k, p in inside.items())])


def _shells(given: Inputs) -> Claim:
    size, masses, rho = _table(given)
    edges = given.vector("edges")
    if any(a >= b for a, b in pairwise(edges)):
        raise Refused("inputs.edges", "need increasing edges")
    value = _shell_value(masses, rho, edges)
    return _claim(value, size, given.base(), _FINITE, _SYMMETRIC, terms=20 * size * (1 + size.bit_length()))


def _best_shells(given: Inputs) -> Claim:
    size, masses, rho = _table(given)
    levels = sorted({v for row in rho for v in row})
    value = _shell_value(masses, rho, _best_edges(masses, rho, levels))
    # The partition comes from floats, so another one may be lower by rounding; the bound must stay above the entropy.
    floor = conditional_entropy(masses, 0)
    value = greatest(enclose(value) - Fraction(1, 10**12), floor)
    terms = 20 * size * len(levels) * (1 + size.bit_length()) + 200
    return _claim(value, size, given.base(), _FINITE, _SYMMETRIC, terms=terms)


def _best_edges(
    masses: dict[tuple[int, ...], Fraction], rho: list[list[Fraction]], levels: list[Fraction]
) -> list[Fraction]:
    """Inner edges of the cheapest partition, by shortest path over cuts between levels, in floats."""
    size, place = len(rho), {v: k for k, v in enumerate(levels)}
    mass, count = np.zeros((len(levels) + 1, size)), np.zeros((len(levels) + 1, size))
    for i in range(size):
        for j in range(size):
            mass[place[rho[i][j]] + 1, j] += float(masses.get((i, j), 0))
            count[place[rho[i][j]] + 1, j] += 1
    mass, count = mass.cumsum(axis=0), count.cumsum(axis=0)
    best, before = [0.0], [0]
    for stop in range(1, len(levels) + 1):
        prices = []
        for start in range(stop):
            p, n = mass[stop] - mass[start], count[stop] - count[start]
            whole = float(p.sum())
            price = -whole * math.log(whole) if whole > 0 else 0.0
            prices.append(best[start] + price + float((p[n > 0] * np.log(n[n > 0])).sum()))
        before.append(int(np.argmin(prices)))
        best.append(min(prices))
    cuts, stop = [], len(levels)
    while before[stop]:
        stop = before[stop]
        cuts.append(levels[stop - 1])
    return sorted(cuts)


def _predictor(given: Inputs) -> Claim:
    loss = given.nats("log_loss")[1]
    size = None if given.absent("support_size") else given.count("support_size", 1)
    return _claim(loss, size, given.base(), _FIXED)


RULES: dict[str, Callable[[Inputs], Claim]] = {
    "fano.printed_upper": _printed,
    "fano.list_upper": _list,
    "fano.sized_lists_upper": _sized_lists,
    "fano.ball_upper": _ball,
    "fano.best_radius_upper": _best_radius,
    "fano.shells_upper": _shells,
    "fano.best_shells_upper": _best_shells,
    "fano.predictor_upper": _predictor,
}
