r"""Gaussian PID: the BROJA minimisation among Gaussian couplings, an *estimate* (evidence E) for continuous states.

After whitening, T ~ N(0, I), X = H_x T + n, Y = H_y T + n' and the cross covariance S of the noises is free with
spectral norm at most 1. The union information F(S) = (1/2) logdet(I + H' C^-1 H), C = [[I, S], [S', I]], is convex,
so one singular value decomposition of G = dF/dS certifies a solution: F* >= F(S) - <G, S> - ||G||_nuclear.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from redundancy.checks import as_floats, check_count, check_real
from redundancy.errors import InvalidInputError, NotConvergedError
from redundancy.files.tabular import Tabular
from redundancy.units import check_base, unit_name

__all__ = ["GaussianPidEstimate", "gaussian_pid"]

Array = npt.NDArray[np.float64]
_MARGIN = 1e-9  # singular values stay below 1 by this much, so that C can be inverted


@dataclass(frozen=True, slots=True, kw_only=True)
class GaussianPidEstimate(Tabular):
    """Atoms of a Gaussian law, in units of `base`. Evidence E: a covariance from a sample is itself an estimate.

    `gap` certifies the optimisation only: every atom of *this covariance among Gaussian couplings* is within `gap`
    of the number given, up to rounding. It says nothing of the sampling error or of non-Gaussian states.

    Parameters
    ----------
    unique_x : float
        What x alone tells.
    unique_y : float
        What y alone tells.
    redundant : float
        What both tell.
    synergistic : float
        What only the pair tells.
    gap : float
        Certified gap of the minimisation.
    base : float
        Unit.
    iterations : int
        Steps taken.
    method : str
        How it was solved.
    evidence : str
        Always "E".
    """

    drawn_by = "pid_bars"
    unique_x: float
    unique_y: float
    redundant: float
    synergistic: float
    gap: float
    base: float
    iterations: int
    method: str
    evidence: str = "E"

    def to_record(self) -> dict[str, Any]:
        """One flat row for a table."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    def sentence(self) -> str:
        """The numbers in words, with their strength."""
        unit = unit_name(self.base)
        return (
            f"Estimate [E] for a Gaussian law: unique {self.unique_x:.4g} and {self.unique_y:.4g}, redundant "
            f"{self.redundant:.4g}, synergistic {self.synergistic:.4g} {unit}; plug-in covariances bias it."
        )


def gaussian_pid(
    covariance: npt.ArrayLike,
    *,
    n_target: int,
    n_x: int,
    base: float = 2.0,
    tolerance: float = 1e-6,
    max_iterations: int = 2000,
    throw: bool = True,
) -> GaussianPidEstimate:
    """Gaussian PID of a joint covariance with blocks in the order (t, x, y).

    Parameters
    ----------
    covariance : array_like of shape (d, d)
        Positive definite. Reduce states to 100-200 dimensions first (PCA, whitening).
    n_target, n_x : int
        Sizes of the first two blocks; y has the rest.
    tolerance : float, default=1e-6
        Wanted gap of the optimisation, units of `base`.
    base : float, default=2.0
        Unit of information: 2 for bits, ``math.e`` for nats.
    max_iterations : int, default=2000
        Limit of steps.
    throw : bool, default=True
        Raise if the gap stays above the tolerance, or return what was reached.

    Returns
    -------
    GaussianPidEstimate
        Atoms in units of `base`, and the gap of the minimisation.

    Raises
    ------
    InvalidInputError
        If the covariance is not symmetric positive definite or the blocks do not fit.
    NotConvergedError
        If the gap stays above `tolerance` and `throw` is true; ``.result`` holds the estimate.

    Notes
    -----
    A scalar target is minimum mutual information exactly: ``Red = min(I(T;X), I(T;Y))``.
    Plug-in covariances inflate every information; report it with the number of samples.

    References
    ----------
    Venkatesh, Bennett, Gale, Ramirez, Heller, Durand, Olsen and Mihalas (2023), arXiv:2307.10515.

    Examples
    --------
    >>> c = [[1.0, 0.5, 0.25], [0.5, 1.0, 0.125], [0.25, 0.125, 1.0]]
    >>> gaussian_pid(c, n_target=1, n_x=1).unique_y
    0.0
    """
    base = check_base(base)
    check_real(tolerance, "tolerance", lower=0.0, open_ends=True)
    check_count(max_iterations, "max_iterations", lower=0)
    c, t, x = _check_covariance(covariance, n_target, n_x)
    unit = math.log(base)
    h_x, h_y = _channel(c, t, slice(t, t + x)), _channel(c, t, slice(t + x, None))
    i_x, i_y = _information(h_x), _information(h_y)
    whole = _information(_channel(c, t, slice(t, None)))
    if t == 1:
        union, gap, iterations, method = max(i_x, i_y), 0.0, 0, "minimum mutual information"
    else:
        union, lower, iterations = _minimise(h_x, h_y, tolerance * unit, max_iterations)
        gap, method = max(0.0, union - max(lower, i_x, i_y)) / unit, "projected gradient"
    result = GaussianPidEstimate(
        unique_x=(union - i_y) / unit,
        unique_y=(union - i_x) / unit,
        redundant=(i_x + i_y - union) / unit,
        synergistic=(whole - union) / unit,
        gap=gap,
        base=base,
        iterations=iterations,
        method=method,
    )
    if throw and gap > tolerance:
        raise NotConvergedError(
            f"need a gap of {tolerance:.3g}, got {gap:.3g} after {iterations} iterations; raise max_iterations, or "
            "reduce the dimension",
            result,
        )
    return result


def _check_covariance(covariance: npt.ArrayLike, n_target: int, n_x: int) -> tuple[Array, int, int]:
    c = as_floats(covariance, "covariance")
    if c.ndim != 2 or c.shape[0] != c.shape[1] or not np.isfinite(c).all():
        raise InvalidInputError(f"need a finite square covariance, got shape {c.shape} or NaN")
    t = check_count(n_target, "n_target", lower=1)
    x = check_count(n_x, "n_x", lower=1)
    if t + x >= len(c):
        raise InvalidInputError(f"need n_target + n_x below {len(c)}, got {t} + {x}; y has the remaining block")
    scale = np.sqrt(np.abs(np.diag(c)))
    if (np.abs(c - c.T) > 1e-9 * np.outer(scale, scale)).any():
        raise InvalidInputError("need a symmetric covariance, got one that differs from its transpose by over 1e-9")
    try:
        np.linalg.cholesky(c)
    except np.linalg.LinAlgError:
        raise InvalidInputError(
            "need a positive definite covariance, got a singular one (its information is infinite); reduce the "
            "dimension or add the noise that is really there"
        ) from None
    return 0.5 * (c + c.T), t, x


def _inverse_root(c: Array) -> Array:
    """W with W C W' = I."""
    return np.asarray(np.linalg.inv(np.linalg.cholesky(c)))


def _channel(c: Array, t: int, block: slice) -> Array:
    """H of the whitened channel T -> block with unit noise."""
    root = np.linalg.cholesky(c[:t, :t])
    gain = np.linalg.solve(c[:t, :t], c[:t, block]).T
    noise = c[block, block] - gain @ c[:t, block]
    return np.asarray(_inverse_root(0.5 * (noise + noise.T)) @ gain @ root)


def _information(h: Array) -> float:
    return 0.5 * float(np.linalg.slogdet(np.eye(h.shape[1]) + h.T @ h)[1])


def _value_and_gradient(h_x: Array, h_y: Array, s: Array) -> tuple[float, Array]:
    x, y = s.shape
    h = np.vstack([h_x, h_y])
    c = np.block([[np.eye(x), s], [s.T, np.eye(y)]])
    solved = np.linalg.solve(c, h)
    m = np.eye(h.shape[1]) + h.T @ solved
    value = 0.5 * float(np.linalg.slogdet(m)[1])
    return value, -(solved[:x] @ np.linalg.solve(m, solved[x:].T))


def _project(s: Array) -> Array:
    u, d, v = np.linalg.svd(s, full_matrices=False)
    return s if d[0] <= 1.0 - _MARGIN else np.asarray((u * np.minimum(d, 1.0 - _MARGIN)) @ v)


def _minimise(h_x: Array, h_y: Array, tolerance: float, limit: int) -> tuple[float, float, int]:
    """Projected Barzilai-Borwein with a non-monotone line search: (F, certified lower bound, iterations)."""
    s = np.zeros((len(h_x), len(h_y)))
    value, gradient = _value_and_gradient(h_x, h_y, s)
    best, lower, step, recent = value, -math.inf, 1.0, [value]
    for iteration in range(limit + 1):
        nuclear = float(np.linalg.svd(gradient, compute_uv=False).sum())
        lower = max(lower, value - float((gradient * s).sum()) - nuclear)
        best = min(best, value)
        if best - lower <= tolerance or iteration == limit:
            return best, lower, iteration
        direction = _project(s - step * gradient) - s
        slope = float((gradient * direction).sum())
        length = 1.0
        for _ in range(30):
            candidate = s + length * direction
            new_value, new_gradient = _value_and_gradient(h_x, h_y, candidate)
            if new_value <= max(recent) + 1e-4 * length * slope:
                break
            length *= 0.5
        moved, turned = candidate - s, new_gradient - gradient
        curvature = float((moved * turned).sum())
        step = min(max(float((moved * moved).sum()) / curvature, 1e-8), 1e8) if curvature > 0.0 else 1e3
        s, value, gradient = candidate, new_value, new_gradient
        recent = [*recent[-9:], value]
    raise AssertionError("unreachable")
