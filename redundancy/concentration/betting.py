"""Betting bounds on the mean of bounded i.i.d. values: valid at every n, narrow when the variance is small.

To refute "the mean is at least m", bet against it: the capital ``K_i(m) = prod_j (1 - lambda_j (x_j - m))`` is a
non-negative supermartingale under that hypothesis for any predictable bets in [0, 0.95], so by Ville's
inequality it ever reaches 1/delta with probability at most delta. The bets do not depend on m, hence the
capital increases in m and the refuted hypotheses are a half-line, found by bisection.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from redundancy._validate import check_real
from redundancy.certificate import Assumption, Bound, bound
from redundancy.errors import InvalidInputError
from redundancy.interval import Interval, round_down, round_up

__all__ = ["betting_lower", "betting_upper", "betting_upper_columns"]

_MAX_BET = 0.95
_BISECTIONS = 60
# A log-capital sums n terms, each in error by a few ulps of at most |log 0.05|: 1e-9 is far above it up to n = 10^6.
_LOG_SLACK = 1e-9

_SAMPLING = (
    Assumption("iid_images", "images (with their prompts) are i.i.d. draws from the population", "declared"),
    Assumption("order_fixed", "the order of the images was fixed without looking at the values", "declared"),
)


def _bets(values: npt.NDArray[np.float64], delta: float) -> npt.NDArray[np.float64]:
    """Predictable bets, shape (n, columns): lambda_j uses values before j only (theory.md section 3)."""
    n = len(values)
    counts = np.arange(1, n + 1)[:, None]
    means = (0.5 + np.cumsum(values, axis=0)) / (counts + 1)
    variances = (0.25 + np.cumsum((values - means) ** 2, axis=0)) / (counts + 1)
    previous = np.vstack([np.full((1, values.shape[1]), 0.25), variances[:-1]])
    return np.minimum(_MAX_BET, np.sqrt(2.0 * math.log(1.0 / delta) / (previous * n)))


def betting_upper_columns(values: npt.ArrayLike, *, confidence_level: float) -> npt.NDArray[np.float64]:
    """Upper bound on the mean of each column, each at `confidence_level` on its own.

    Parameters
    ----------
    values : array-like of shape (n, columns)
        Values in [0, 1], rows i.i.d. in an order fixed beforehand.
    confidence_level : float
        In (0, 1).

    Returns
    -------
    ndarray of shape (columns,)
        In [0, 1]; 1 where nothing was refuted.
    """
    x = np.array(values, dtype=np.float64)
    if x.ndim != 2 or len(x) == 0:
        raise InvalidInputError(f"need values of shape (n >= 1, columns), got {x.shape}")
    if not ((x >= 0.0) & (x <= 1.0)).all():
        raise InvalidInputError(
            f"need values in [0, 1], got a range of [{np.min(x):.6g}, {np.max(x):.6g}]; divide by their upper bound"
        )
    delta = 1.0 - check_real(confidence_level, "confidence_level", lower=0.0, upper=1.0, open_ends=True)
    bets = _bets(x, delta)
    threshold = math.log(1.0 / delta) + _LOG_SLACK

    def refuted(m: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        capital = np.cumsum(np.log1p(-bets * (x - m)), axis=0)
        return np.asarray(capital.max(axis=0) >= threshold)

    low, high = np.zeros(x.shape[1]), np.ones(x.shape[1])
    possible = refuted(high)
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        down = refuted(middle)
        high = np.where(down, middle, high)
        low = np.where(down, low, middle)
    # `high` itself was refuted, so every larger mean is; where not even 1 was, nothing is known.
    return np.where(possible, high, 1.0)


def _column(values: npt.ArrayLike, scale: float) -> npt.NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or array.size == 0:
        raise InvalidInputError(f"need one value per image, shape (n,), got shape {array.shape}")
    if not np.isfinite(array).all() or array.min() < 0.0 or array.max() > scale:
        raise InvalidInputError(
            f"need finite values in [0, {scale:g}], got a range of [{array.min():.6g}, {array.max():.6g}]"
        )
    return array


@bound("mean.betting_upper")
def betting_upper(
    *, values: npt.ArrayLike, quantity: str = "mean", scale: float = 1.0, confidence_level: float = 0.95
) -> Bound:
    """Certified upper bound on the mean of i.i.d. values in [0, scale].

    Parameters
    ----------
    values : array-like of shape (n,)
        One value per image, in an order fixed beforehand.
    quantity : str
        What the mean is.
    scale : float, default=1
        Upper end of the range of the values (2 for a cosine distance).
    confidence_level : float, default=0.95
        One-sided.

    References
    ----------
    .. [1] Waudby-Smith and Ramdas (2024), Estimating means of bounded random variables by betting, JRSS-B 86(1).
    """
    scale = check_real(scale, "scale", lower=0.0, open_ends=True)
    array = _column(values, scale)
    level = float(betting_upper_columns((array / scale)[:, None], confidence_level=confidence_level)[0])
    upper = min(scale, round_up(scale * level)) if level < 1.0 else scale
    return Bound(
        quantity=quantity,
        interval=Interval(0.0, upper),
        trivial=Interval(0.0, scale),
        assumptions=_SAMPLING,
        evidence="C",
        confidence_level=confidence_level,
    )


@bound("mean.betting_lower")
def betting_lower(
    *, values: npt.ArrayLike, quantity: str = "mean", scale: float = 1.0, confidence_level: float = 0.95
) -> Bound:
    """Certified lower bound on the mean of i.i.d. values in [0, scale]: the upper bound of scale - values."""
    scale = check_real(scale, "scale", lower=0.0, open_ends=True)
    array = _column(values, scale)
    level = float(betting_upper_columns((1.0 - array / scale)[:, None], confidence_level=confidence_level)[0])
    lower = max(0.0, round_down(scale * (1.0 - level), slack=1e-15)) if level < 1.0 else 0.0
    return Bound(
        quantity=quantity,
        interval=Interval(lower, scale),
        trivial=Interval(0.0, scale),
        assumptions=_SAMPLING,
        evidence="C",
        confidence_level=confidence_level,
    )
