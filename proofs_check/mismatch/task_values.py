"""Constants of a set of task values, exactly: the mismatch constant kappa and the smallest enclosing ball."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from proofs_check.exact.enclosure import Enclosure, Real

__all__ = ["mismatch_constant", "squared_radius"]

_MOST_EXACT = 40  # triples of values are enumerated in integers up to here, in floats beyond
_STEPS = 4000


def mismatch_constant(values: Sequence[Sequence[Fraction]]) -> Real:
    """Largest ``<a-b, h-d> + <c-d, a-h>`` over task values.

    By polarisation it is ``(2|a-d|^2 - |a-h|^2 - |d-h|^2 + (|b-h|^2 - |b-d|^2) + (|c-h|^2 - |c-a|^2)) / 2``,
    in which b and c can be chosen apart, so that triples (a, d, h) suffice.
    """
    n = len(values)
    if n > _MOST_EXACT:
        return _mismatch_constant_of_floats(np.array(values, dtype=np.float64))
    unit = math.lcm(*(v.denominator for row in values for v in row))
    whole = [[int(v * unit) for v in row] for row in values]
    square = [[sum((u - v) ** 2 for u, v in zip(p, q, strict=True)) for q in whole] for p in whole]
    gain = [[max(square[b][h] - square[b][d] for b in range(n)) for h in range(n)] for d in range(n)]
    best = max(
        2 * square[a][d] - square[a][h] - square[d][h] + gain[d][h] + gain[a][h]
        for a in range(n)
        for d in range(n)
        for h in range(n)
    )
    return Fraction(best, 2 * unit**2)


def _mismatch_constant_of_floats(points: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> Real:
    """The same in floats, as an enclosure that is wider than any rounding of sums this long."""
    offset = points - points.mean(axis=0)
    norms = (offset**2).sum(axis=1)
    square = norms[:, None] + norms[None, :] - 2 * offset @ offset.T
    gain = np.array([(square - square[:, [d]]).max(axis=0) for d in range(len(points))])
    best = max(
        float((2 * square - square[:, [h]] - square[[h], :] + gain[:, [h]] + gain[None, :, h]).max())
        for h in range(len(points))
    )
    room = Fraction(float(norms.max())) * (points.shape[1] + 16) / 10**14
    return Enclosure(Fraction(best) / 2 - room, Fraction(best) / 2 - room)


def squared_radius(values: Sequence[Sequence[Fraction]]) -> Real:
    """R^2 of the smallest ball that holds all values.

    Floats find the values on its surface; the sphere through them is then solved for in rationals, and is the
    smallest ball if it holds all values and its centre is a mixture of those on it. Otherwise duality gives an
    enclosure: ``sum w|z|^2 - |sum w z|^2 <= R^2 <= max |z - c|^2`` for all weights w and all centres c.
    """
    distinct = list(dict.fromkeys(tuple(row) for row in values))
    if len(distinct) == 1:
        return Fraction(0)
    weights = _weights(np.array(distinct, dtype=np.float64))
    surface = [z for z, w in zip(distinct, weights, strict=True) if w > 1e-7]
    exact = _sphere(surface)
    if exact is not None:
        centre, square, mixture = exact
        if min(mixture) >= 0 and all(_square(z, centre) <= square for z in distinct):
            return square
    shares = [Fraction(float(w)) for w in weights]
    shares = [w / sum(shares) for w in shares]
    centre = _mix(distinct, shares)
    lower = sum(w * _square(z, centre) for w, z in zip(shares, distinct, strict=True))
    return Enclosure(lower, max(_square(z, centre) for z in distinct))


def _weights(
    points: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Nearly optimal weights of the dual, by pairwise moves: from the nearest value in use to the furthest value."""
    n = len(points)
    weights = np.full(n, 1.0 / n)
    for _ in range(_STEPS):
        centre = weights @ points
        far_off = ((points - centre) ** 2).sum(axis=1)
        far = int(far_off.argmax())
        used = np.flatnonzero(weights)
        near = int(used[far_off[used].argmin()])
        if far_off[far] - far_off[near] <= 1e-15 * far_off[far]:
            break
        move = ((points[far] - points[near]) ** 2).sum()
        step = min(weights[near], (far_off[far] - far_off[near]) / (2.0 * move))
        weights[far] += step
        weights[near] -= step
    return weights


def _sphere(
    points: Sequence[tuple[Fraction, ...]],
) -> tuple[tuple[Fraction, ...], Fraction, list[Fraction]] | None:
    """Centre, squared radius and weights of the smallest sphere through all points; None if they are dependent."""
    origin = points[0]
    edges = [tuple(u - v for u, v in zip(p, origin, strict=True)) for p in points[1:]]
    rows = [[2 * sum((u * v for u, v in zip(a, b, strict=True)), Fraction(0)) for b in edges] for a in edges]
    rows = [[*row, sum((u * u for u in a), Fraction(0))] for row, a in zip(rows, edges, strict=True)]
    size = len(rows)
    for k in range(size):
        pivot = next((r for r in range(k, size) if rows[r][k]), None)
        if pivot is None:
            return None
        rows[k], rows[pivot] = rows[pivot], rows[k]
        rows[k] = [v / rows[k][k] for v in rows[k]]
        for r in range(size):
            if r != k and rows[r][k]:
                factor = rows[r][k]
                rows[r] = [u - factor * v for u, v in zip(rows[r], rows[k], strict=True)]
    shares = [row[-1] for row in rows]
    mixture = [1 - sum(shares, Fraction(0)), *shares]
    centre = _mix(points, mixture)
    return centre, _square(origin, centre), mixture


def _mix(points: Sequence[tuple[Fraction, ...]], weights: Sequence[Fraction]) -> tuple[Fraction, ...]:
    return tuple(
        sum((w * p[d] for w, p in zip(weights, points, strict=True)), Fraction(0)) for d in range(len(points[0]))
    )


def _square(p: Sequence[Fraction], q: Sequence[Fraction]) -> Fraction:
    return sum(((u - v) ** 2 for u, v in zip(p, q, strict=True)), Fraction(0))
