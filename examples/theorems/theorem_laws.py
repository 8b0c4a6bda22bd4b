"""Random laws from small integer weights and the extremal families of the theory, all of them exact."""

from __future__ import annotations

from fractions import Fraction
from random import Random
from typing import Any

import numpy as np
from theorem_truth import Vector, marginal, square

Law = dict[Any, Fraction]

# Rational unit vectors: all that the random draws use, so distances and norms are exact.
CIRCLE: tuple[Vector, ...] = tuple(
    (Fraction(a, c), Fraction(b, c))
    for a, b, c in (
        (1, 0, 1), (63, 16, 65), (24, 7, 25), (12, 5, 13), (4, 3, 5), (3, 4, 5), (5, 12, 13), (7, 24, 25), (0, 1, 1),
        (-3, 4, 5), (-4, 3, 5), (-1, 0, 1), (0, -1, 1), (4, -3, 5), (24, -7, 25),
    )
)  # fmt: skip


def normalised(weights: dict[Any, int]) -> Law:
    total = sum(weights.values())
    return {point: Fraction(w, total) for point, w in weights.items() if w}


def random_weights(rng: Random, points: list[Any]) -> dict[Any, int]:
    """Weights 0 to 9 of random sparsity, never all 0."""
    share = rng.choice((0.0, 0.0, 0.3, 0.6))
    weights = {p: 0 if rng.random() < share else rng.randint(0, 9) for p in points}
    return weights if any(weights.values()) else dict.fromkeys(points, 1)


def random_pair(rng: Random, size: int) -> Law:
    """Law of (x, y) on one alphabet, as (x, y, 0); often concentrated on x = y."""
    points = [(x, y, 0) for x in range(size) for y in range(size)]
    weights = random_weights(rng, points)
    boost = rng.choice((0, 0, 10, 100, 1000))
    for x in range(size):
        weights[x, x, 0] += boost * rng.randint(1, 9)
    return normalised(weights)


def random_law(rng: Random, n_x: int, n_y: int, n_z: int) -> Law:
    """Any law of (x, y, z)."""
    return normalised(random_weights(rng, [(x, y, z) for x in range(n_x) for y in range(n_y) for z in range(n_z)]))


def close_law(rng: Random, size: int, n_z: int) -> Law:
    """A law of (x, y, z) with x = y most of the time."""
    pair = random_pair(rng, size)
    law: Law = {}
    for (x, y, _), mass in pair.items():
        kernel = normalised(random_weights(rng, list(range(n_z))))
        law |= {(x, y, z): mass * k for z, k in kernel.items()}
    return law


def random_chain(rng: Random, chain: str, size: int, n_z: int) -> Law:
    """Previous - next - task ("prev-next-task") or next - previous - task, exactly."""
    pair, axis = random_pair(rng, size), 0 if chain == "prev-next-task" else 1
    kernels = [normalised(random_weights(rng, list(range(n_z)))) for _ in range(size)]
    return {(x, y, z): m * k for (x, y, _), m in pair.items() for z, k in kernels[(x, y)[axis]].items()}


def random_values(rng: Random, n: int, kind: str) -> list[Vector]:
    """Task values: "scalar" or "vector" of small integers, "one_hot" labels."""
    if kind == "one_hot":
        return [tuple(Fraction(int(i == j)) for j in range(n)) for i in range(n)]
    dims = 1 if kind == "scalar" else 2
    return [tuple(Fraction(rng.randint(-3, 3)) for _ in range(dims)) for _ in range(n)]


def random_distances(rng: Random, size: int) -> list[list[Fraction]]:
    """Symmetric distances in quarters, at most 2, zero on the diagonal."""
    rho = [[Fraction(0)] * size for _ in range(size)]
    for i in range(size):
        for j in range(i):
            rho[i][j] = rho[j][i] = Fraction(rng.randint(0, 8), 4)
    return rho


def cosine(u: Vector, v: Vector) -> Fraction:
    """Cosine distance of rational vectors with rational norms."""
    product = square(u) * square(v)
    root = Fraction(int(product.numerator**0.5 + 0.5), int(product.denominator**0.5 + 0.5))
    if root * root != product:
        raise ValueError(f"need vectors whose norms have a rational product, got {u} and {v}")
    return 1 - sum((a * b for a, b in zip(u, v, strict=True)), Fraction(0)) / root


def table(law: Law, *, shape: tuple[int, ...] | None = None) -> np.ndarray[Any, Any]:
    """The law as an array (n_next, n_prev, n_z), each mass the nearest float."""
    shape = shape or tuple(1 + max(p[a] for p in law) for a in range(3))
    array = np.zeros(shape)
    for point, mass in law.items():
        array[point] = float(mass)
    return array


def pair_table(law: Law, size: int) -> np.ndarray[Any, Any]:
    """The law of the two states as a square array."""
    array = np.zeros((size, size))
    for (x, y), mass in marginal(law, lambda p: p[:2]).items():
        array[x, y] = float(mass)
    return array


# ------------------------------------------------------- extremal families


def flipped_sign(q: Fraction, h: Any) -> tuple[Law, list[Vector], list[Vector]]:
    """X a fair sign, Y = X flipped with probability q, Z = h(x, y): law, task values, states."""
    signs = (1, -1)
    values = sorted({Fraction(h(x, y)) for x in signs for y in signs})
    law = {
        (i, j, values.index(Fraction(h(x, y)))): (1 - q if x == y else q) / 2
        for i, x in enumerate(signs)
        for j, y in enumerate(signs)
    }
    return law, [(v,) for v in values], [(Fraction(1),), (Fraction(-1),)]


def lost_sign(noise: Fraction = Fraction(0)) -> tuple[Law, list[Vector]]:
    """Y a fair sign, Z = Y, X independent noise: next - previous - task, H(X|Y) = H2(noise), F = 1."""
    law = {(x, y, y): p / 2 for x, p in ((0, 1 - noise), (1, noise)) for y in (0, 1) if p}
    return law, [(Fraction(-1),), (Fraction(1),)]


def made_sign(q: Fraction = Fraction(1, 2)) -> tuple[Law, list[Vector]]:
    """X a sign that is 1 with probability q, Y constant, Z = X: previous - next - task."""
    return {(0, 0, 0): 1 - q, (1, 0, 1): q}, [(Fraction(-1),), (Fraction(1),)]


def nearly_fair(delta: Fraction) -> tuple[Law, list[Vector]]:
    """X a fair bit, Y constant, Z equal to X with probability 1/2 + delta."""
    law = {(x, 0, z): (Fraction(1, 2) + (delta if x == z else -delta)) / 2 for x in (0, 1) for z in (0, 1)}
    return law, [(Fraction(0),), (Fraction(1),)]


def noisy_copies(error: Fraction = Fraction(1, 4)) -> tuple[Law, list[Vector]]:
    """Z a fair sign, X and Y independent copies, each wrong with probability `error`."""
    good = 1 - error
    law = {
        (x, y, z): Fraction(1, 2) * (good if x == z else error) * (good if y == z else error)
        for x in (0, 1)
        for y in (0, 1)
        for z in (0, 1)
    }
    return law, [(Fraction(-1),), (Fraction(1),)]


def even_errors(size: int, miss: Fraction) -> Law:
    """X = Y with probability 1 - miss, else uniform on the others: equality in the classical Fano inequality."""
    law = {(x, x, 0): (1 - miss) / size for x in range(size)}
    if miss:
        law |= {(x, y, 0): miss / size / (size - 1) for x in range(size) for y in range(size) if x != y}
    return law
