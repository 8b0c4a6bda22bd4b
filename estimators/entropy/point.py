r"""Point estimates of entropy from counts, in nats: none is a bound, and all are biased when counts are few.

With N draws over K symbols, :math:`\hat p_i = n_i / N`. The bias of the plug-in is about ``-(K - 1) / (2N)``; the
others remove part of it. Which to use when is in `estimators.entropy.conditional`.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln, polygamma, psi

from redundancy.checks import check_count
from redundancy.errors import InvalidInputError

__all__ = ["METHODS", "chao_shen", "grassberger", "jackknife", "james_stein", "miller_madow", "nsb", "plug_in"]

Whole = npt.NDArray[np.int64]
Array = npt.NDArray[np.float64]

_NSB_FAR = 1e4
_STIRLING = 1e3
_NSB_POINTS = 400  # nodes of the quadrature over log beta
_NSB_ZOOMS = 4  # each time the grid shrinks to where the posterior is not nil: its peak may be very narrow
_NSB_DEPTH = 40.0  # nil: below e^-40 of the peak
_NSB_RANGE = 1e6  # beta from 1/(K range) to range: beyond, prior and posterior mass are nil


def plug_in(counts: npt.ArrayLike, n_symbols: int | None = None) -> float:
    r"""Entropy of the empirical law, :math:`\ln N - \frac1N \sum n_i \ln n_i`; biased down.

    Parameters
    ----------
    counts : array_like of int
        How often each symbol was drawn; zeros may be left out.
    n_symbols : int, optional
        K; not used here.

    Examples
    --------
    >>> round(plug_in([5, 5]), 6)
    0.693147
    """
    n = _read(counts, n_symbols)[0].astype(np.float64)
    total = n.sum()
    return float(math.log(total) - math.fsum(n * np.log(n)) / total)


def miller_madow(counts: npt.ArrayLike, n_symbols: int | None = None) -> float:
    """Plug-in plus (symbols seen - 1) / (2N)  [Miller 1955]."""
    n, _ = _read(counts, n_symbols)
    return plug_in(n) + (len(n) - 1) / (2.0 * float(n.sum()))


def grassberger(counts: npt.ArrayLike, n_symbols: int | None = None) -> float:
    r"""Grassberger's estimate, :math:`\ln N - \frac1N \sum n_i G(n_i)`, :math:`G(n) = \psi(n) + \frac{(-1)^n}{2}
    \left[\psi\left(\frac{n+1}2\right) - \psi\left(\frac n2\right)\right]`.

    References
    ----------
    .. [1] Grassberger (2003), Entropy estimates from insufficient samplings, arXiv:physics/0307138, equation 28.
    """  # noqa: D205
    n = _read(counts, n_symbols)[0].astype(np.float64)
    sign = np.where(n % 2 == 0, 1.0, -1.0)
    g = psi(n) + 0.5 * sign * (psi(0.5 * (n + 1.0)) - psi(0.5 * n))
    total = n.sum()
    return float(math.log(total) - math.fsum(n * g) / total)


def chao_shen(counts: npt.ArrayLike, n_symbols: int | None = None) -> float:
    """Plug-in with coverage-adjusted masses and Horvitz-Thompson weights [Chao and Shen 2003].

    When every symbol was seen once the coverage would be 0; as usual it is then taken for 1/N.
    """
    n = _read(counts, n_symbols)[0].astype(np.float64)
    total = n.sum()
    singles = float((n == 1).sum())
    coverage = 1.0 - (singles if singles < total else total - 1.0) / total
    p = coverage * n / total
    # 1 - (1 - p)^N, without cancellation; one draw in all has p = 1.
    with np.errstate(divide="ignore"):
        seen = -np.expm1(total * np.log1p(-p))
    return float(-math.fsum(p * np.log(p) / seen))


def jackknife(counts: npt.ArrayLike, n_symbols: int | None = None) -> float:
    """Leave-one-draw-out jackknife of the plug-in [Zahl 1977]: N H - (N - 1) mean of H without one draw."""
    n = _read(counts, n_symbols)[0].astype(np.float64)
    total = n.sum()
    if total < 2:
        raise InvalidInputError(f"need at least 2 draws for a jackknife, got {int(total)}")
    sizes, times = np.unique(n, return_counts=True)
    log_sum = math.fsum(times * sizes * np.log(sizes))
    without = math.log(total - 1.0) - (
        log_sum - sizes * np.log(sizes) + (sizes - 1.0) * np.log(np.maximum(sizes - 1.0, 1.0))
    ) / (total - 1.0)
    mean = math.fsum(times * sizes * without) / total
    return float(total * (math.log(total) - log_sum / total) - (total - 1.0) * mean)


def james_stein(counts: npt.ArrayLike, n_symbols: int | None = None) -> float:
    """Plug-in of masses shrunk towards 1/K by the estimated optimal share; needs K.

    References
    ----------
    .. [1] Hausser and Strimmer (2009), Entropy inference and the James-Stein estimator, JMLR 10, equation 5.
    """
    n, size = _read(counts, n_symbols, needs_size=True)
    total = float(n.sum())
    p = n / total
    squares = float((p**2).sum())
    spread = (total - 1.0) * (squares - 1.0 / size)
    share = 1.0 if spread <= 0.0 else min(1.0, (1.0 - squares) / spread)
    shrunk = share / size + (1.0 - share) * p
    unseen = share / size
    missing = 0.0 if unseen == 0.0 else -(size - len(n)) * unseen * math.log(unseen)
    return float(missing - math.fsum(shrunk * np.log(shrunk)))


def nsb(counts: npt.ArrayLike, n_symbols: int | None = None) -> float:
    r"""Posterior mean under a Dirichlet mixture with a nearly flat prior on the entropy itself; needs K.

    Bayes' rule over :math:`\beta` with prior :math:`d\xi/d\beta`, :math:`\xi = \psi(K\beta + 1) - \psi(\beta + 1)`, by
    quadrature on a grid of :math:`\ln \beta`.

    References
    ----------
    .. [1] Nemenman, Shafee and Bialek (2002), Entropy and inference, revisited, arXiv:physics/0108025.
    """
    n, size = _read(counts, n_symbols, needs_size=True)
    values, times = np.unique(n, return_counts=True)
    total = float(n.sum())
    first, last = -math.log(size * _NSB_RANGE), math.log(_NSB_RANGE)
    for _ in range(_NSB_ZOOMS):
        logs = np.linspace(first, last, _NSB_POINTS)
        log_weight = _nsb_log_weight(logs, values, times, total, size)
        heavy = np.flatnonzero(log_weight > log_weight.max() - _NSB_DEPTH)
        first, last = float(logs[max(0, heavy[0] - 1)]), float(logs[min(len(logs) - 1, heavy[-1] + 1)])
    weight, beta = np.exp(log_weight - log_weight.max()), np.exp(logs)
    masses = values + beta[:, None]
    seen = (times * masses * psi(masses + 1.0)).sum(axis=1)
    unseen = (size - len(n)) * beta * psi(beta + 1.0)
    mean = psi(total + size * beta + 1.0) - (seen + unseen) / (total + size * beta)
    return min(float((weight * mean).sum() / weight.sum()), math.log(size))


def _nsb_log_weight(logs: Array, values: Whole, times: Whole, total: float, size: int) -> Array:
    """Log of the posterior density of log beta, up to a constant."""
    beta = np.exp(logs)
    far = beta > _NSB_FAR  # both terms near 1/beta there; their difference by its own series
    near = np.minimum(beta, _NSB_FAR)
    prior = np.where(
        far,
        (1.0 - 1.0 / size) / (2.0 * beta**2) - (1.0 - 1.0 / size**2) / (6.0 * beta**3),
        size * polygamma(1, size * near + 1.0) - polygamma(1, near + 1.0),
    )
    cells = (times * _log_rising(beta[:, None], values.astype(np.float64))).sum(axis=1)
    log_prior = np.log(np.maximum(prior, 1e-300))
    return np.asarray(cells - _log_rising(size * beta, np.array(total)) + log_prior + logs)


def _log_rising(x: Array, n: Array) -> Array:
    """``ln Gamma(x + n) - ln Gamma(x)`` without the cancellation that large x brings: Stirling's series there."""
    x, n = np.broadcast_arrays(x, n)
    large = x > _STIRLING
    wide = np.where(large, x, _STIRLING)
    end = wide + n
    tail = (1.0 / end - 1.0 / wide) / 12.0 - (1.0 / end**3 - 1.0 / wide**3) / 360.0
    series = n * np.log(wide) + (end - 0.5) * np.log1p(n / wide) - n + tail
    return np.where(large, series, gammaln(x + n) - gammaln(x))


METHODS: dict[str, Callable[[npt.ArrayLike, int | None], float]] = {
    "plug_in": plug_in,
    "miller_madow": miller_madow,
    "grassberger": grassberger,
    "chao_shen": chao_shen,
    "jackknife": jackknife,
    "james_stein": james_stein,
    "nsb": nsb,
}


def _read(counts: npt.ArrayLike, n_symbols: int | None, *, needs_size: bool = False) -> tuple[Whole, int]:
    """Positive counts, and K."""
    n = np.asarray(counts)
    if n.ndim != 1 or n.dtype.kind not in "iu" or (n < 0).any() or not n.any():
        raise InvalidInputError(
            f"need a vector of whole counts >= 0 with one draw at least, got dtype {n.dtype} and shape {n.shape}"
        )
    n = n[n > 0].astype(np.int64)
    if n_symbols is None:
        if needs_size:
            raise InvalidInputError("need n_symbols, the size of the alphabet, for this method; or use grassberger")
        return n, len(n)
    size = check_count(n_symbols, "n_symbols", lower=1)
    if len(n) > size:
        raise InvalidInputError(f"need at most n_symbols={size} symbols, got {len(n)} with counts above 0")
    return n, size
