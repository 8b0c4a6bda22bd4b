"""Exact small laws for the theory tests: rational tables, textbook sums in 50 digits, and Hypothesis strategies.

Nothing here calls the library: it is the independent truth that the bounds are compared with.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import mpmath
import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

mpmath.mp.dps = 50

QUICK = settings(deadline=None, max_examples=60, derandomize=True)


# ----------------------------------------------------------------- strategies


def rational_table(weights, shape):
    total = sum(weights)
    return np.array([Fraction(w, total) for w in weights], dtype=object).reshape(shape)


@st.composite
def tables(draw, n_axes=2, max_size=4, square=False):
    """A joint law with small integer weights; zeros and one-symbol alphabets included."""
    size = st.integers(1, max_size)
    shape = (draw(size),) * n_axes if square else tuple(draw(size) for _ in range(n_axes))
    count = int(np.prod(shape))
    weights = draw(st.lists(st.integers(0, 9), min_size=count, max_size=count).filter(any))
    return rational_table(weights, shape)


@st.composite
def kernels(draw, n_given, n_out):
    return np.array(
        [
            rational_table(draw(st.lists(st.integers(0, 5), min_size=n_out, max_size=n_out).filter(any)), (n_out,))
            for _ in range(n_given)
        ],
        dtype=object,
    )


@st.composite
def chains(draw, kind, max_size=4):
    """Exact chain laws (x, y, z): kind "O" is Y - X - Z, kind "N" is Z - Y - X."""
    pair = draw(tables(2, max_size))
    n_z = draw(st.integers(1, 3))
    given = pair.shape[0] if kind == "O" else pair.shape[1]
    kernel = draw(kernels(given, n_z))
    law = np.empty((*pair.shape, n_z), dtype=object)
    for x, y, z in product(*map(range, law.shape)):
        law[x, y, z] = pair[x, y] * kernel[x if kind == "O" else y][z]
    return law


@st.composite
def task_values(draw, n, max_dims=2):
    dims = draw(st.integers(1, max_dims))
    return np.array([[draw(st.integers(-4, 4)) for _ in range(dims)] for _ in range(n)], dtype=object)


@st.composite
def distances(draw, size):
    """Symmetric distances on one alphabet, in quarters, zero on the diagonal or (rarely) not."""
    rho = np.zeros((size, size))
    for i in range(size):
        for j in range(i):
            rho[i, j] = rho[j, i] = draw(st.integers(0, 8)) / 4
    return rho


# Rational unit vectors (Pythagorean), and a pool of plain points.
UNIT = [
    (Fraction(a, c), Fraction(b, c))
    for a, b, c in [
        (1, 0, 1),
        (0, 1, 1),
        (-1, 0, 1),
        (0, -1, 1),
        (3, 4, 5),
        (4, 3, 5),
        (-3, 4, 5),
        (5, 12, 13),
        (12, 5, 13),
        (24, 7, 25),
    ]
]


# ------------------------------------------------------------ textbook truths


def floats(table):
    return np.array(table.tolist(), dtype=np.float64)


def log(x):
    return mpmath.log(mpmath.mpf(x.numerator) / x.denominator) if isinstance(x, Fraction) else mpmath.log(x)


def mp(x):
    return mpmath.mpf(x.numerator) / x.denominator if isinstance(x, Fraction) else mpmath.mpf(x)


def entropy(masses):
    return -mpmath.fsum(mp(p) * log(p) for p in masses if p > 0)


def conditional_entropy(table):
    """H(row | column) = H(pair) - H(column), in nats."""
    return entropy(table.ravel()) - entropy(table.sum(axis=0))


def mutual_information(table):
    return entropy(table.sum(axis=0)) + entropy(table.sum(axis=1)) - entropy(table.ravel())


def information_given(law, a, b, c):
    """I(A; B | C) of axes a, b, c of a 3-axis law, by the four entropies."""
    t = law.transpose(a, b, c)
    return (
        entropy(t.sum(axis=1).ravel())
        + entropy(t.sum(axis=0).ravel())
        - entropy(t.ravel())
        - entropy(t.sum(axis=(0, 1)).ravel())
    )


def dot(u, v):
    return sum((a * b for a, b in zip(u, v, strict=True)), Fraction(0))


def square(u):
    return dot(u, u)


def minus(u, v):
    return [a - b for a, b in zip(u, v, strict=True)]


def mean(law, values):
    """E[Z | event] for the masses `law` over z; None if the event has probability 0."""
    total = sum(law, Fraction(0))
    if total == 0:
        return None
    return [sum((p * v for p, v in zip(law, column, strict=True)), Fraction(0)) / total for column in values.T]


def functional_gap(law, values):
    gap = Fraction(0)
    for x, y in product(range(law.shape[0]), range(law.shape[1])):
        weight = sum(law[x, y], Fraction(0))
        if weight:
            gap += weight * square(minus(mean(law[x].sum(axis=0), values), mean(law[:, y].sum(axis=0), values)))
    return gap


def variance(law, values):
    z = law.sum(axis=(0, 1))
    centre = mean(z, values)
    return sum((p * square(minus(v, centre)) for p, v in zip(z, values, strict=True)), Fraction(0))


def mmse(law, values, axis):
    """Least squared error of predicting z from axis 0 (x) or 1 (y)."""
    total = Fraction(0)
    for row in law.sum(axis=1 - axis):
        centre = mean(row, values)
        if centre is not None:
            total += sum((p * square(minus(v, centre)) for p, v in zip(row, values, strict=True)), Fraction(0))
    return total


def lipschitz_squares(law, values, xs, ys):
    """Smallest alpha^2, beta^2 for which h is Lipschitz on the support, for states xs, ys (None: impossible)."""
    h = {(x, y): mean(law[x, y], values) for x, y in product(range(len(xs)), range(len(ys))) if sum(law[x, y]) > 0}
    result = []
    for axis, points in ((0, xs), (1, ys)):
        worst = Fraction(0)
        for p, q in product(h, h):
            if p[1 - axis] == q[1 - axis] and p != q:
                distance = square(minus(points[p[axis]], points[q[axis]]))
                gap = square(minus(h[p], h[q]))
                if distance == 0 and gap > 0:
                    return None
                if gap > 0:
                    worst = max(worst, gap / distance)
        result.append(worst)
    return result


def squared_distance(pair, xs, ys):
    return sum((pair[x, y] * square(minus(xs[x], ys[y])) for x, y in product(*map(range, pair.shape))), Fraction(0))


def residual(pair, points):
    """E|P - E[P | column]|^2 for the row variable with values `points`."""
    total, values = Fraction(0), np.array(points, dtype=object)
    for column in pair.T:
        centre = mean(column, values)
        if centre is not None:
            total += sum((p * square(minus(v, centre)) for p, v in zip(column, points, strict=True)), Fraction(0))
    return total


def root_up(x):
    """A float at least sqrt(x), by a hair."""
    return float(mpmath.sqrt(mp(x)) * (1 + mpmath.mpf(10) ** -15)) if x else 0.0


def at_least(upper, truth):
    """Whether a float upper bound is at least an exact number (Fraction, or mpf up to 1e-40)."""
    if isinstance(truth, Fraction):
        return upper == float("inf") or Fraction(upper) >= truth
    return mpmath.mpf(upper) >= truth - mpmath.mpf(10) ** -40


def at_most(lower, truth):
    return (
        Fraction(lower) <= truth if isinstance(truth, Fraction) else mpmath.mpf(lower) <= truth + mpmath.mpf(10) ** -40
    )


# ------------------------------------------------------- near-extremal families


def table(rows):
    return np.array([[Fraction(v) for v in row] for row in rows], dtype=object)


def flipped_sign(q, h):
    """X a fair sign, Y = X flipped with probability q, Z = h(x, y): law, task values, states."""
    signs = (1, -1)
    values = sorted({Fraction(h(x, y)) for x in signs for y in signs})
    law = np.full((2, 2, len(values)), Fraction(0), dtype=object)
    for i, x in enumerate(signs):
        for j, y in enumerate(signs):
            law[i, j, values.index(Fraction(h(x, y)))] = (1 - q if x == y else q) * Fraction(1, 2)
    return law, np.array([[v] for v in values], dtype=object), [(Fraction(1),), (Fraction(-1),)]


def lost_sign():
    """Y a fair sign, X constant, Z = Y: chain N, H(X|Y) = 0, F = 1."""
    return np.array([[[Fraction(1, 2), 0], [0, Fraction(1, 2)]]], dtype=object), np.array([[-1], [1]], dtype=object)


def made_sign():
    """X a fair sign, Y constant, Z = X: chain O, H(X|Y) = ln 2, F = 1."""
    law, values = lost_sign()
    return law.transpose(1, 0, 2), values


def nearly_fair(delta):
    """X a fair bit, Y constant, Z a bit equal to X with probability 1/2 + delta."""
    d = Fraction(delta)
    law = np.empty((2, 1, 2), dtype=object)
    for x, z in product((0, 1), (0, 1)):
        law[x, 0, z] = (Fraction(1, 2) + (d if x == z else -d)) / 2
    return law, np.array([[0], [1]], dtype=object)


def two_noisy_copies():
    """Z a fair bit, X and Y independent BSC(1/4) copies: Uni = 0, F = 3/8."""
    law = np.empty((2, 2, 2), dtype=object)
    for x, y, z in product((0, 1), repeat=3):
        law[x, y, z] = Fraction(1, 2) * Fraction(3 if x == z else 1, 4) * Fraction(3 if y == z else 1, 4)
    return law, np.array([[-1], [1]], dtype=object)
