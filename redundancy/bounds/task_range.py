"""What the set of task values alone gives: diameter, enclosing radius, norm bound and the mismatch constant kappa."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from redundancy.errors import InvalidInputError
from redundancy.info.joint import Array, check_values
from redundancy.interval import round_up

__all__ = ["TaskRange", "enclosing_radius", "kappa", "task_range"]

_MOST_VALUES = 256  # kappa enumerates triples of values


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRange:
    """Constants of a finite set of task values, each rounded up.

    `diameter` is the largest distance of two values, `radius` that of the smallest ball that holds all of
    them (`radius` <= `norm_bound`, `diameter` <= 2 `radius`, `radius`^2 <= `diameter`^2 / 2), `norm_bound`
    the largest norm, `kappa` the constant of the code-mismatch bound.

    Parameters
    ----------
    diameter : float
        Largest distance of two values.
    radius : float
        Radius of the smallest ball that holds all values.
    norm_bound : float
        Largest norm of a value.
    kappa : float
        Constant of the mismatch bound for these values.
    """

    diameter: float
    radius: float
    norm_bound: float
    kappa: float

    @property
    def cap(self) -> float:
        """R^2, which no functional gap exceeds."""
        return round_up(self.radius**2)


def task_range(task_values: npt.ArrayLike) -> TaskRange:
    """Constants of the task values, shape (n_values,) or (n_values, n_dims).

    Examples
    --------
    >>> labels = task_range([[1.0, 0.0], [0.0, 1.0]])
    >>> round(labels.diameter**2, 9), round(labels.radius**2, 9), round(labels.kappa, 9)
    (2.0, 0.5, 2.0)
    """
    values = check_values(task_values)
    gram = _gram(values)
    squares = np.diag(gram)[:, None] + np.diag(gram)[None, :] - 2.0 * gram
    slack = _slack(values)
    return TaskRange(
        diameter=round_up(math.sqrt(max(float(squares.max()) + slack, 0.0))) if len(values) > 1 else 0.0,
        radius=enclosing_radius(values),
        norm_bound=round_up(math.sqrt(float((values**2).sum(axis=1).max())), slack=slack),
        kappa=kappa(values),
    )


def kappa(task_values: npt.ArrayLike) -> float:
    r"""Largest :math:`\langle a-b, h-d\rangle + \langle c-d, a-h\rangle` over task values a, b, c, d, h, rounded up.

    Equals the squared diameter for scalars and one-hot labels; may exceed it otherwise, never by more than
    a factor 7/4.

    Raises
    ------
    InvalidInputError
        For more than 256 values: use the diameter form of the bound.

    Notes
    -----
    Given a, d and h the best b and c are independent of each other, so triples suffice.
    """
    values = check_values(task_values)
    if len(values) > _MOST_VALUES:
        raise InvalidInputError(
            f"need at most {_MOST_VALUES} task values to enumerate kappa, got {len(values)}; "
            "use the diameter form with kind='vector'"
        )
    if len(values) == 1:
        return 0.0
    gram = _gram(values)
    # best[d, h] = max_b <b, d - h>, used for b with (d, h) and for c with (a, h).
    best = np.array([(gram - gram[:, [h]]).max(axis=0) for h in range(len(values))]).T
    largest = -math.inf
    for h in range(len(values)):
        # rows a, columns d
        total = (gram[:, [h]] + best[:, [h]]) + (gram[:, h] + best[:, h])[None, :] - 2.0 * gram
        largest = max(largest, float(total.max()))
    return round_up(max(largest, 0.0), slack=_slack(values))


def enclosing_radius(task_values: npt.ArrayLike, *, max_steps: int = 2000) -> float:
    """Upper bound on the radius of the smallest ball that holds all values.

    Frank-Wolfe steps with exact line search and away steps look for the centre. Whatever centre they reach,
    the largest distance from it is a valid radius, so an early stop costs sharpness, not correctness.
    """
    values = check_values(task_values)
    if len(values) == 1:
        return 0.0
    offset = values - values[0]
    squares = (offset**2).sum(axis=1)
    weights = np.zeros(len(values))
    weights[[0, int(squares.argmax())]] = 0.5
    smallest = math.inf
    for _ in range(max_steps):
        centre = weights @ offset
        distances = ((offset - centre) ** 2).sum(axis=1)
        far = int(distances.argmax())
        smallest = min(smallest, float(distances[far]))
        active = np.flatnonzero(weights)
        near = int(active[distances[active].argmin()])
        mean = float(weights @ distances)
        if distances[far] - mean <= 1e-14 * distances[far]:
            break
        if distances[far] - mean >= mean - distances[near] or weights[near] == 1.0:
            direction, longest = -weights, 1.0
            direction[far] += 1.0
        else:
            direction, longest = weights.copy(), weights[near] / (1.0 - weights[near])
            direction[near] -= 1.0
        move = direction @ offset
        curvature = 2.0 * float(move @ move)
        slope = float(direction @ distances)
        step = longest if curvature <= 0.0 else min(longest, slope / curvature)
        weights = np.maximum(weights + step * direction, 0.0)
        weights /= weights.sum()
    return round_up(math.sqrt(smallest + _slack(values)))


def _gram(values: Array) -> Array:
    offset = values - values[0]  # exact for integers; kappa and distances do not depend on the origin
    return np.asarray(offset @ offset.T)


def _slack(values: Array) -> float:
    extent = 2.0 * float(np.abs(values).max())
    return float(8.0 * sys.float_info.epsilon * (values.shape[1] + 16) * extent**2)
