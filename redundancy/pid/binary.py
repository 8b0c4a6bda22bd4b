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
_PASSES = 40


def lorenz_curve(law: Array) -> Array:
    """Vertices (n + 1, 2) of the concave curve of a (2, n) law: cumulative P(t=0), P(t=1), best symbols first."""
    mass = law.sum(0)
    law, mass = law[:, mass > 0.0], mass[mass > 0.0]
    order = np.argsort(-(law[1] / mass), kind="stable")
    vertices = np.zeros((law.shape[1] + 1, 2))
    vertices[1:] = np.cumsum(law[:, order].T, axis=0, dtype=np.longdouble)
    return vertices


def binary_bounds(problem: PairMarginals) -> tuple[float, float]:
    """[lower, upper] on min f = -H(T | J) in nats, for a problem with two targets."""
    first, second = lorenz_curve(problem.a), lorenz_curve(problem.b)
    points = np.concatenate([first, second])
    points = points[np.argsort(points.sum(1), kind="stable")]
    hull = _upper_hull(points)
    steps = np.maximum(np.diff(hull, axis=0), 0.0)
    mass = steps.sum(1)
    steps, mass = steps[mass > 0.0], mass[mass > 0.0]
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(steps > 0.0, steps * np.log(steps / mass[:, None]), 0.0)
    value = float(np.add.reduce(terms, axis=None, dtype=np.longdouble))

    # What the points themselves are off by: rounding of the masses, the sums, and swaps among equal posteriors.
    n = len(points)
    delta = 2.0 * problem.relative_error + 12.0 * UNIT_ROUNDOFF + 4.0 * n * EXTENDED_EPS
    delta += 2.0 * (_height_above(hull, points) + _disorder(steps, mass))
    slack = 2.0 * delta * (1.0 + math.log(1.0 / delta)) + 4.0 * UNIT_ROUNDOFF * (abs(value) + 1.0)
    return value - slack, min(value + slack, 0.0)


def _turns(points: Array) -> Array:
    d = np.diff(points, axis=0)
    return np.asarray(d[:-1, 0] * d[1:, 1] - d[:-1, 1] * d[1:, 0])


def _upper_hull(points: Array) -> Array:
    """Concave chain over points sorted along the diagonal; a point on or below a chord of two others is no vertex."""
    for _ in range(_PASSES):
        if len(points) < 3:
            return points
        keep = np.ones(len(points), dtype=bool)
        keep[1:-1] = _turns(points) < 0.0
        # Neighbours removed together could be twins of one vertex: let only every second of a pair go.
        twins = ~keep[1:] & ~keep[:-1] & (np.abs(np.diff(points, axis=0)).sum(1) == 0.0)
        keep[1:][twins] = True
        if keep.all():
            return points
        removed = len(keep) - int(keep.sum())
        points = points[keep]
        if removed < 0.01 * len(keep):
            break
    return _monotone_chain(points)


def _monotone_chain(points: Array) -> Array:
    xs, ys = points[:, 0].tolist(), points[:, 1].tolist()
    hx: list[float] = []
    hy: list[float] = []
    for x, y in zip(xs, ys, strict=True):
        while len(hx) >= 2:
            ax, ay = hx[-2], hy[-2]
            if (hx[-1] - ax) * (y - ay) - (hy[-1] - ay) * (x - ax) < 0.0:
                break
            hx.pop()
            hy.pop()
        hx.append(x)
        hy.append(y)
    return np.column_stack([hx, hy])


def _height_above(hull: Array, points: Array) -> float:
    """How far any point lies above the chain, in the measure of the error analysis, rounding included."""
    position, stations = points.sum(1), hull.sum(1)
    segment = np.clip(np.searchsorted(stations, position, side="right") - 1, 0, len(hull) - 2)
    start, end = hull[segment], hull[segment + 1]
    d, e = end - start, points - start
    length = d.sum(1)
    cross = d[:, 0] * e[:, 1] - d[:, 1] * e[:, 0]
    height = np.divide(cross, length, out=np.abs(e).sum(1), where=length > 0.0)
    return max(float(height.max()), 0.0) + 8.0 * UNIT_ROUNDOFF


def _disorder(steps: Array, mass: Array) -> float:
    """How far sorting the chain's steps by posterior would lift it: zero for an exactly concave chain."""
    order = np.argsort(-(steps[:, 1] / mass), kind="stable")
    if (np.diff(order) == 1).all():
        return 0.0
    lifted = np.cumsum(steps[order], axis=0, dtype=np.longdouble)
    chain = np.cumsum(steps, axis=0, dtype=np.longdouble)
    return float(np.abs(lifted - chain).max())
