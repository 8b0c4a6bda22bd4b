"""Many statements at once: split the error (Bonferroni), or test a family by its capitals (Holm)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from redundancy.checks import as_floats, check_count, check_real
from redundancy.concentration.capital import MODES, Problem, capitals
from redundancy.concentration.sample import error_of, read_sample
from redundancy.errors import InvalidInputError
from redundancy.files.tabular import Tabular

__all__ = ["HolmVerdict", "bonferroni", "holm", "mean_capital", "mean_p_value"]

_SLACK = 1e-9  # relative error of a capital


def bonferroni(confidence_level: float, n_statements: int, *, weights: Sequence[float] | None = None) -> list[float]:
    """Levels of single statements that hold jointly at `confidence_level`, whatever their dependence.

    Parameters
    ----------
    confidence_level : float
    n_statements : int
        Declared before the data are seen; statements that are dropped later still count.
    weights : sequence of float, optional
        Shares of the error, positive; equal by default.

    Returns
    -------
    list of float
        Rounded up, so that the errors ``1 - level`` never add up to more than ``1 - confidence_level``.

    Raises
    ------
    InvalidInputError
        For weights that are not positive, or so uneven that a level would round to 1.

    Examples
    --------
    >>> [round(level, 4) for level in bonferroni(0.95, 2, weights=[4, 1])]
    [0.96, 0.99]
    """
    error = error_of(confidence_level)
    n = check_count(n_statements, "n_statements", lower=1)
    shares = np.ones(n) if weights is None else as_floats(weights, "weights")
    if shares.shape != (n,) or not (shares > 0.0).all() or not np.isfinite(shares.sum()):
        raise InvalidInputError(f"need {n} positive weights, got {weights!r}")
    if n == 1:
        return [float(confidence_level)]
    # A share is off by three roundings at most, its level by one more.
    parts = error * (1.0 - 4.0 * math.ulp(1.0)) * (shares / shares.sum())
    levels = [math.nextafter(1.0 - float(part), 1.0) for part in parts]
    if max(levels) == 1.0:
        raise InvalidInputError(f"need shares of the error above 1e-16, got {error * shares.min() / shares.sum():g}")
    return levels


def mean_capital(
    values: npt.ArrayLike,
    threshold: float,
    *,
    scale: float = 1.0,
    side: str = "upper",
    confidence_level: float = 0.95,
    mode: str = "fixed",
) -> npt.NDArray[np.float64]:
    """Capital of the bet against "the mean is at least `threshold`" (side "lower": at most), after each image.

    Parameters
    ----------
    values : array_like of shape (n,)
        One value in [0, scale] per image, in an order fixed beforehand.
    threshold : float
        In [0, scale].
    side : {"upper", "lower"}
        The hypothesis that "upper" refutes is a *large* mean.
    confidence_level : float
        Tunes the bets; the capital is valid for any.
    mode : {"fixed", "sequence"}
    scale : float, default=1.0
        Largest possible value: 2 for cosine distance, 1 for probabilities.

    Returns
    -------
    ndarray of shape (n,)
        Each entry has mean at most 1 under the hypothesis, at any stopping time. The *last* entries of
        several random orders may be averaged, their maxima may not.

    Raises
    ------
    InvalidInputError
        For values or a threshold outside [0, scale], another side or mode.

    Examples
    --------
    >>> round(float(mean_capital([0.0] * 100, 0.03)[-1]), 1)
    16.0
    """
    sample = read_sample(values, scale=scale)
    if side not in ("upper", "lower"):
        raise InvalidInputError(f"need side 'upper' or 'lower', got {side!r}")
    threshold = check_real(threshold, "threshold", lower=0.0, upper=sample.scale)
    if mode not in MODES:
        raise InvalidInputError(f"need a mode among {MODES}, got {mode!r}")
    return capitals(Problem(sample.u, None, error_of(confidence_level), side, mode), threshold / sample.scale)


def mean_p_value(
    values: npt.ArrayLike,
    threshold: float,
    *,
    scale: float = 1.0,
    side: str = "upper",
    confidence_level: float = 0.95,
    mode: str = "fixed",
) -> float:
    """``min(1, 1 / max capital)``: a p-value of "the mean is at least `threshold`" by Ville's inequality.

    Parameters and errors as `mean_capital`. With mode "sequence" it is valid at any stopping time: the sample
    may be extended until the p-value is small.

    Parameters
    ----------
    values : array_like of shape (n_images,)
        One value per image, in [0, scale].
    threshold : float
        Mean of the hypothesis.
    scale : float, default=1.0
        Largest possible value: 2 for cosine distance, 1 for probabilities.
    side : {"upper", "lower"}, default="upper"
        "upper" tests that the mean is at least `threshold`, "lower" that it is at most that.
    confidence_level : float, default=0.95
        Of this single statement, in (0, 1).
    mode : {"fixed", "sequence"}, default="fixed"
        Bets tuned to the sample size, or to every size at once.

    Returns
    -------
    float
        In (0, 1].

    Examples
    --------
    >>> mean_p_value([0.0] * 200, 0.1) < 1e-6
    True
    """
    top = float(
        mean_capital(values, threshold, scale=scale, side=side, confidence_level=confidence_level, mode=mode).max()
    )
    return min(1.0, (1.0 + _SLACK) / top) if top > 0.0 else 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HolmVerdict(Tabular):
    """Which hypotheses are refuted, at a family-wise error of at most 1 - confidence_level.

    `adjusted` are p-values to compare with 1 - confidence_level directly.

    Parameters
    ----------
    refuted : tuple of bool
        For each hypothesis, in the order given.
    adjusted : tuple of float
        Adjusted p-values.
    confidence_level : float
        Joint level.
    """

    refuted: tuple[bool, ...]
    adjusted: tuple[float, ...]
    confidence_level: float

    def to_records(self) -> list[dict[str, Any]]:
        """One row per hypothesis, in the order given."""
        pairs = zip(self.refuted, self.adjusted, strict=True)
        return [{"hypothesis": k, "refuted": refuted, "adjusted": p} for k, (refuted, p) in enumerate(pairs)]


def holm(p_values: Sequence[float], *, confidence_level: float = 0.95) -> HolmVerdict:
    """Holm's step-down test, valid under any dependence: more power than Bonferroni at the same error.

    A verdict on a *set*: which layers are below a threshold. For how far below, use simultaneous bounds.

    Parameters
    ----------
    p_values : sequence of float
        One per hypothesis, in [0, 1]; for means see `mean_p_value`.
    confidence_level : float
        1 minus the family-wise error.

    Returns
    -------
    HolmVerdict

    Raises
    ------
    InvalidInputError
        For no p-values, NaN, or values outside [0, 1].

    References
    ----------
    .. [1] Holm (1979), A simple sequentially rejective multiple test procedure, Scandinavian Journal of
       Statistics 6, 65-70.

    Examples
    --------
    >>> holm([0.001, 0.2, 0.02]).refuted
    (True, False, True)
    """
    error = error_of(confidence_level)
    p = as_floats(p_values, "p_values")
    if p.ndim != 1 or p.size == 0 or not ((p >= 0.0) & (p <= 1.0)).all():
        raise InvalidInputError(f"need one p-value in [0, 1] per hypothesis, got {p_values!r}")
    order = np.argsort(p, kind="stable")
    stepped = np.minimum(1.0, np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1)))
    adjusted = np.empty_like(p)
    adjusted[order] = stepped
    return HolmVerdict(
        refuted=tuple(bool(a <= error) for a in adjusted),
        adjusted=tuple(float(a) for a in adjusted),
        confidence_level=float(confidence_level),
    )
