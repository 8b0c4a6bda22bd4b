r"""Closed form for a two-valued target: the union information is that of the Blackwell join of the sources.

Sort the symbols of a source by posterior and accumulate (P(t=0), P(t=1)): the Lorenz (ROC) curve. The join
J has the concave hull of both curves, and U = I(T; J). O(n log n), no iteration, any number of symbols.

Error analysis. :math:`-H(T|J) = \int_0^1 \frac{E(\rho - c)^+}{c(1-c)}\,dc` with rho the posterior of t = 1, and
E(rho - c)^+ = max over hull vertices of (1-c) beta - c alpha. Vertices that are off by at most delta change this by
min(delta, c, 1-c), so the integral changes by at most 2 delta (1 + log(1/delta)), however many symbols there are.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from redundancy.pid.problem import EXTENDED_EPS, UNIT_ROUNDOFF, PairMarginals

__all__ = ["binary_bounds", "lorenz_curve"]

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]
_PASSES = 6  # vectorised passes before the plain loop


def lorenz_curve(law: Array) -> Array:
    """Vertices (n + 1, 2) of the concave curve of a (2, n) law: cumulative P(t=0), P(t=1), best symbols first."""
    mass = law.sum(0)
    law, mass = law[:, mass > 0.0], mass[mass > 0.0]
    order = np.argsort(-(law[1] / mass), kind="stable")
    vertices = np.zeros((law.shape[1] + 1, 2))
    vertices[1:] = np.cumsum(law[:, order].T, axis=0, dtype=np.longdouble)
    return vertices


def binary_bounds(problem: PairMarginals) -> tuple[float, float]:
    """[lower, upper] on min f = -H(T | J) in nats, for a problem with at most two targets of positive mass."""
    rows = np.flatnonzero(problem.p_t)
    if len(rows) == 1:
        return 0.0, 0.0
    first, second = lorenz_curve(problem.a[rows]), lorenz_curve(problem.b[rows])
    points = np.concatenate([first, second])
    points = points[np.argsort(points.sum(1), kind="stable")]
    vertices = _upper_hull(points)
    hull = points[vertices]
    steps = np.maximum(np.diff(hull, axis=0), 0.0)
    mass = steps.sum(1)
    steps, mass = steps[mass > 0.0], mass[mass > 0.0]
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(steps > 0.0, steps * np.log(steps / mass[:, None]), 0.0)
    value = float(np.add.reduce(terms, axis=None, dtype=np.longdouble))

    # What the points themselves are off by: rounding of the masses, the sums, and swaps among equal posteriors.
    n = len(points)
    delta = 2.0 * problem.relative_error + 12.0 * UNIT_ROUNDOFF + 4.0 * n * EXTENDED_EPS
    delta += 2.0 * (_height_above(hull, points, vertices) + _disorder(steps, mass))
    slack = 2.0 * delta * (1.0 + math.log(1.0 / delta)) + 4.0 * UNIT_ROUNDOFF * (abs(value) + 1.0)
    return value - slack, min(value + slack, 0.0)


def _turns(points: Array) -> Array:
    d = np.diff(points, axis=0)
    return np.asarray(d[:-1, 0] * d[1:, 1] - d[:-1, 1] * d[1:, 0])


def _upper_hull(points: Array) -> Index:
    """Vertices of the concave chain over points sorted along the diagonal.

    A point on or below a chord of two others is no vertex, so all such points can go at once.
    """
    index = np.arange(len(points), dtype=np.intp)
    for _ in range(_PASSES):
        if len(index) < 3:
            return index
        current = points[index]
        keep = np.ones(len(index), dtype=bool)
        keep[1:-1] = _turns(current) < 0.0
        # Twins lie on each other's chords: of equal points the last stays.
        keep[1:] |= ~keep[:-1] & (current[1:] == current[:-1]).all(1)
        if keep.all():
            return index
        index = index[keep]
    repaired = _repair(points[index])
    return index[_monotone_chain(points[index]) if repaired is None else repaired]


def _repair(points: Array) -> Index | None:
    """Finish a chain that is concave but for a few places; None if they turn out to be many."""
    n = len(points)
    before, after = np.arange(-1, n - 1), np.arange(1, n + 1)
    alive = np.ones(n, dtype=bool)
    todo = (np.flatnonzero(_turns(points) >= 0.0) + 1).tolist()
    for _ in range(1000 + n // 50):
        if not todo:
            return np.flatnonzero(alive)
        i = todo.pop()
        left, right = int(before[i]), int(after[i])
        if not alive[i] or left < 0 or right >= n:
            continue
        d, e = points[i] - points[left], points[right] - points[i]
        if d[0] * e[1] - d[1] * e[0] >= 0.0:
            alive[i] = False
            after[left], before[right] = right, left
            todo += [left, right]
    return None


def _monotone_chain(points: Array) -> Index:
    xs, ys = points[:, 0].tolist(), points[:, 1].tolist()
    chain: list[int] = []
    for i, (x, y) in enumerate(zip(xs, ys, strict=True)):
        while len(chain) >= 2:
            ax, ay, middle = xs[chain[-2]], ys[chain[-2]], chain[-1]
            if (xs[middle] - ax) * (y - ay) - (ys[middle] - ay) * (x - ax) < 0.0:
                break
            chain.pop()
        chain.append(i)
    return np.array(chain, dtype=np.intp)


def _height_above(hull: Array, points: Array, vertices: Index) -> float:
    """How far any point lies above the chain, in the measure of the error analysis, rounding included."""
    dropped = np.ones(len(points), dtype=bool)
    dropped[vertices] = False
    if not dropped.any():
        return 8.0 * UNIT_ROUNDOFF
    segment = np.clip(np.cumsum(~dropped)[dropped] - 1, 0, len(hull) - 2)
    start = hull[segment]
    d, e = hull[segment + 1] - start, points[dropped] - start
    length = d.sum(1)
    cross = d[:, 0] * e[:, 1] - d[:, 1] * e[:, 0]
    height = np.divide(cross, length, out=np.abs(e).sum(1), where=length > 0.0)
    return max(float(height.max()), 0.0) + 8.0 * UNIT_ROUNDOFF


def _disorder(steps: Array, mass: Array) -> float:
    """How far sorting the chain's steps by posterior would lift it: zero for an exactly concave chain."""
    order = np.argsort(-(steps[:, 1] / mass), kind="stable")
    if (np.diff(order) == 1).all():
        return 0.0
    # Compared as curves over the diagonal: steps of equal posterior change places without moving the curve.
    lifted = np.cumsum(np.concatenate([np.zeros((1, 2)), steps[order]]), axis=0, dtype=np.longdouble)
    chain = np.cumsum(np.concatenate([np.zeros((1, 2)), steps]), axis=0, dtype=np.longdouble)
    along, under = lifted.sum(1).astype(np.float64), chain.sum(1).astype(np.float64)
    both = np.concatenate([along, under])
    first = np.interp(both, along, lifted[:, 1].astype(np.float64))
    second = np.interp(both, under, chain[:, 1].astype(np.float64))
    return float(np.abs(first - second).max()) + 8.0 * UNIT_ROUNDOFF
