"""Points with exact or float coordinates: scalar products and smallest enclosing balls."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import combinations
from typing import TypeAlias

from proofs_check.exact.enclosure import Real, total

__all__ = ["Point", "inner", "minus", "smallest_ball", "square"]

Point: TypeAlias = tuple[Real, ...]


def inner(a: Point, b: Point) -> Real:
    """Scalar product."""
    return total(u * v for u, v in zip(a, b, strict=True))


def square(a: Point) -> Real:
    """Squared norm."""
    return inner(a, a)


def minus(a: Point, b: Point) -> Point:
    """Difference."""
    return tuple(u - v for u, v in zip(a, b, strict=True))


def smallest_ball(values: Sequence[Point]) -> Real:
    """Squared radius of the smallest ball that holds all values: the best of the balls spanned by few of them.

    Parameters
    ----------
    values : sequence of points
        At least one; all of one dimension.

    Returns
    -------
    Fraction, Enclosure or float
        The squared radius, 0 for a single point.
    """
    if len(values) == 1:
        return Fraction(0)
    best: Real = None
    for size in range(2, min(len(values), len(values[0]) + 1) + 1):
        for few in combinations(values, size):
            centre = _circumcentre(few)
            if centre is None:
                continue
            radius = square(minus(few[0], centre))
            inside = all(square(minus(v, centre)) <= _loose(radius) for v in values)
            if inside and (best is None or radius < best):
                best = radius
    return best


def _circumcentre(points: Sequence[Point]) -> Point | None:
    """Centre of the smallest sphere through all points, in their affine hull; None if they are dependent."""
    origin = points[0]
    edges = [minus(p, origin) for p in points[1:]]
    rows = [[2 * inner(a, b) for b in edges] + [square(a)] for a in edges]
    for k in range(len(rows)):
        pivot = next((r for r in range(k, len(rows)) if abs(rows[r][k]) > _tiny(rows[r][k])), None)
        if pivot is None:
            return None
        rows[k], rows[pivot] = rows[pivot], rows[k]
        rows[k] = [v / rows[k][k] for v in rows[k]]
        for r in range(len(rows)):
            if r != k:
                factor = rows[r][k]
                rows[r] = [u - factor * v for u, v in zip(rows[r], rows[k], strict=True)]
    weights = [row[-1] for row in rows]
    return tuple(o + total(w * e[d] for w, e in zip(weights, edges, strict=True)) for d, o in enumerate(origin))


def _tiny(x: Real) -> Real:
    return 1e-12 if isinstance(x, float) else 0


def _loose(x: Real) -> Real:
    return x * (1 + 1e-9) + 1e-15 if isinstance(x, float) else x
