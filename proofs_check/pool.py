"""Seeded random laws with everything a statement may ask for: small integers, exact chains, degenerate shapes.

The Hypothesis strategies of `proofs_check.strategies` serve tests; this pool serves the command line, where one
set of laws is shared by all statements and their quantities are computed once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import product
from random import Random
from typing import Any

from proofs_check.exact.enclosure import Real
from proofs_check.exact.extras import complete, with_table
from proofs_check.exact.law import Law
from proofs_check.exact.points import Point

__all__ = ["random_laws"]

_F = Fraction
_UNIT: tuple[Point, ...] = tuple(
    (_F(a, c), _F(b, c))
    for a, b, c in ((1, 0, 1), (0, 1, 1), (-1, 0, 1), (0, -1, 1), (3, 4, 5), (4, 3, 5), (-3, 4, 5), (5, -12, 13))
)
_SIGNS: tuple[Point, ...] = ((_F(1),), (_F(-1),))
_LINE: tuple[Point, ...] = tuple((_F(k),) for k in range(-2, 4) if k)
_PLANE: tuple[Point, ...] = tuple((_F(a), _F(b)) for a, b in product((-1, 0, 1, 2), repeat=2) if (a, b) != (0, 0))
_STATES = (_UNIT, _UNIT, _SIGNS, _LINE, _PLANE)
_TASKS: tuple[tuple[Point, ...], ...] = (
    _SIGNS,
    _LINE,
    tuple(tuple(_F(int(i == j)) for j in range(3)) for i in range(3)),
    _PLANE,
)
_SHAPES = ("free", "free", "printed", "natural", "printed", "natural", "equal", "independent", "function", "copy")


def random_laws(seed: int, size: int) -> list[Law]:
    """The first `size` laws of a seed: four in five about layers and a task, the others about samples.

    Parameters
    ----------
    seed : int
        Of the generator.
    size : int
        How many.

    Returns
    -------
    list of Law
        A larger `size` starts with the same laws.
    """
    rng = Random(seed)
    return [_sample(rng) if k % 5 == 4 else _layers(rng) for k in range(size)]


def _weights(rng: Random, count: int, largest: int = 9) -> list[Fraction]:
    while True:
        drawn = [rng.choice((0, rng.randint(0, largest))) if rng.random() < 0.4 else rng.randint(1, largest)
                 for _ in range(count)]  # fmt: skip
        if any(drawn):
            return [_F(w, sum(drawn)) for w in drawn]


def _kernel(rng: Random, rows: int, columns: int) -> list[list[Fraction]]:
    return [_weights(rng, columns) for _ in range(rows)]


def _pair(rng: Random, shape: str, k: int, m: int) -> dict[tuple[int, int], Real]:
    if shape == "equal":
        return {(i, i): p for i, p in enumerate(_weights(rng, min(k, m)))}
    if shape == "independent":
        return {(i, j): p * q for i, p in enumerate(_weights(rng, k)) for j, q in enumerate(_weights(rng, m))}
    if shape == "function":
        target = [rng.randrange(k) for _ in range(m)]
        return {(target[j], j): p for j, p in enumerate(_weights(rng, m))}
    cells = list(product(range(k), range(m)))
    return dict(zip(cells, _weights(rng, len(cells)), strict=True))


def _layers(rng: Random) -> Law:
    shape = rng.choice(_SHAPES)
    states = rng.choice(_STATES)
    k = rng.randint(1, min(4, len(states)))
    shared = rng.random() < 0.6
    m = k if shared else rng.randint(1, min(4, len(states)))
    x = tuple(rng.sample(states, k))
    y = x if shared else tuple(rng.sample(states, m))
    pair = _pair(rng, shape, k, m)
    task = rng.choice(_TASKS)
    # Half of the tasks live where the layers do, for the lemmas about three points.
    if rng.random() < 0.5 and len(states[0]) == 2:
        task = _PLANE
    z, masses = _read(rng, shape, pair, task, k, m)
    t = _F(rng.randint(0, 8), 4)
    law = Law(masses, x, y, z, None, t)
    if rng.random() < 0.5:
        law = _measured(rng, law, with_table(law) if rng.random() < 0.3 else None)
    return complete(_decorated(rng, law))


def _read(
    rng: Random, shape: str, pair: dict[tuple[int, int], Real], task: Sequence[Point], k: int, m: int
) -> tuple[tuple[Point, ...], dict[tuple[int, int, int], Real]]:
    """Task values, and masses with the task read from the next layer, the previous one, or both."""
    if shape == "copy":
        z = tuple(rng.sample(task, k)) if len(task) >= k else tuple((_F(i),) for i in range(k))
        return z, {(i, j, i): p for (i, j), p in pair.items() if p}
    n = rng.randint(1, min(3, len(task)))
    z = tuple(rng.sample(task, n))
    if shape == "printed":
        kernel = _kernel(rng, k, n)
        row: Callable[[int, int], list[Fraction]] = lambda i, j: kernel[i]  # noqa: E731
    elif shape == "natural":
        kernel = _kernel(rng, m, n)
        row = lambda i, j: kernel[j]  # noqa: E731
    else:
        cells = {c: _weights(rng, n) for c in pair}
        row = lambda i, j: cells[i, j]  # noqa: E731
    masses = {(i, j, c): p * q for (i, j), p in pair.items() for c, q in enumerate(row(i, j)) if p and q}
    return z, masses


def _measured(rng: Random, law: Law, table: Law | None) -> Law:
    """The law with a symmetric table of distances with ties, sometimes within [0, 1]; or its rational cosines."""
    if table is not None:
        return table
    size = max(len(law.x), len(law.y))
    top = rng.choice((1, 2, 2))
    cells = [[_F(0)] * size for _ in range(size)]
    for i in range(size):
        for j in range(i):
            cells[i][j] = cells[j][i] = _F(top * rng.randint(0, 4), 4)
    rho = tuple(tuple(cells[i][j] for j in range(len(law.y))) for i in range(len(law.x)))
    return Law(law.masses, law.x, law.y, law.z, rho, law.t * top / 2, {"rho_max": top})


def _decorated(rng: Random, law: Law) -> Law:
    """Random probes, guesses, lists, codes, predictors and grids; a fair share is left to the natural ones."""
    k, m, dims = len(law.x), len(law.y), len(law.z[0])
    top = _F(law.largest)
    some: dict[str, Any] = {
        "probe_next": tuple(tuple(_F(rng.randint(-4, 4), 2) for _ in range(dims)) for _ in range(k)),
        "probe_prev": tuple(tuple(_F(rng.randint(-4, 4), 2) for _ in range(dims)) for _ in range(m)),
        "guess_next": tuple(rng.randrange(k) for _ in range(m)),
        "guess_prev": tuple(rng.randrange(m) for _ in range(k)),
        "code_next": tuple(rng.randrange(k) for _ in range(k)),
        "code_prev": tuple(rng.randrange(m) for _ in range(m)),
        "predictor": tuple(dict(enumerate(_F(rng.randint(1, 5), 5 * k) for _ in range(k))) for _ in range(m)),
        "lists": _lists(rng, k, m),
        "cuts": tuple(sorted({top * rng.randint(0, 4) / 4 for _ in range(rng.randint(1, 2))})),
        "grid": (_F(0), *sorted({top * rng.randint(1, 7) / 8 for _ in range(rng.randint(1, 3))}), top),
        "weights": tuple(_F(rng.randint(1, 6), 2) for _ in range(6)),
        "other": _recoupled(rng, law),
        "eps": _F(rng.randint(1, 9), 8),
    }
    if law.x[0]:
        some["direction"] = tuple(_F(rng.randint(-3, 3)) for _ in law.x[0])
    chosen = {name: value for name, value in some.items() if rng.random() < 0.7}
    return Law(law.masses, law.x, law.y, law.z, law.rho, law.t, {**law.extra, **chosen})


def _lists(rng: Random, k: int, m: int) -> tuple[frozenset[int], ...]:
    size = rng.randint(1, k)
    same = rng.random() < 0.5
    return tuple(frozenset(rng.sample(range(k), size if same else rng.randint(0, k))) for _ in range(m))


def _recoupled(rng: Random, law: Law) -> Law:
    """Another law with the same marginals (X,Z) and (Y,Z): mass moved around a rectangle inside one slice of Z."""
    masses = dict(law.masses)
    for _ in range(3):
        (i, j, k), (a, b, c) = rng.choice(list(masses)), rng.choice(list(masses))
        if k == c and i != a and j != b:
            moved = min(masses[i, j, k], masses[a, b, k]) * rng.choice((1, _F(1, 2)))
            for cell, sign in (((i, j, k), -1), ((a, b, k), -1), ((i, b, k), 1), ((a, j, k), 1)):
                masses[cell] = masses.get(cell, _F(0)) + sign * moved
            masses = {cell: p for cell, p in masses.items() if p}
    return Law(masses, law.x, law.y, law.z, law.rho, law.t)


def _sample(rng: Random) -> Law:
    """One observed unit, a small number of draws, and an error level that such few draws can break."""
    delta = rng.choice((_F(1, 3), _F(1, 4), _F(1, 4), _F(1, 10), _F(1, 20)))
    n = rng.randint(1, 5)
    population = rng.randint(n, 10)
    extra = {"n": n, "delta": delta, "tokens": rng.randint(1, 3)}
    kind = rng.random()
    values: tuple[Point, ...]
    if kind < 0.6:
        values = ((_F(0),), (_F(1),))
    elif kind < 0.8:
        values = tuple((_F(v, 4),) for v in rng.sample(range(5), 3))
    else:
        values = tuple(rng.sample([(_F(1), _F(1)), (_F(1), _F(0)), (_F(0), _F(0)), (_F(1, 2), _F(1, 4))], 3))
    weights = _weights(rng, len(values))
    if rng.random() < 0.5 and len(values) == 2:
        ones = rng.randint(0, population)
        weights = [_F(population - ones, population), _F(ones, population)]
        extra["population"] = population
    masses = {(i, 0, 0): p for i, p in enumerate(weights) if p}
    return complete(Law(masses, values, ((),), ((_F(0),),), None, _F(0), extra))
