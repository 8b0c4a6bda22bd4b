"""Clopper-Pearson on images: exact for one 0/1 outcome per image, and for nothing else."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import betainc, betaincinv

from redundancy.certificates.certificate import Bound, bound
from redundancy.concentration.sample import Sample, error_of, read_sample
from redundancy.errors import InvalidInputError
from redundancy.interval import Interval

__all__ = ["clopper_pearson_lower", "clopper_pearson_upper"]

_ERROR = 1e-9  # relative, above that of the incomplete beta function; the answer is moved outward until it holds


@bound(
    title="Clopper-Pearson upper bound on images",
    statement="The p at which P[Binomial(n, p) <= successes] = delta; one outcome 0 or 1 per image.",
    deviation="Exact for one outcome per image, and for nothing else.",
    counterexample="On tokens at ICC 0.3: coverage 0.53 instead of 0.95.",
    evidence="C",
)
def clopper_pearson_upper(
    *, values: npt.ArrayLike, quantity: str = "mean", confidence_level: float = 0.95, order: str = "as given"
) -> Bound:
    r"""Largest success probability at which as few successes still have probability delta.

    .. math:: \sup\{p : P(\mathrm{Bin}(n, p) \le k) \ge \delta\}

    Parameters
    ----------
    values : array_like of shape (n,)
        One outcome per image, each exactly 0 or 1. A share of an image's tokens is not such an outcome.
    quantity, confidence_level, order
        As `betting_upper`; one-sided.

    Returns
    -------
    BoundCertificate
        By ``concentration.clopper_pearson_upper``, evidence C.

    Raises
    ------
    InvalidInputError
        If a value is neither 0 nor 1.

    References
    ----------
    .. [1] Clopper and Pearson (1934), doi:10.1093/biomet/26.4.404.

    Examples
    --------
    >>> round(clopper_pearson_upper(values=[0] * 59).interval.upper, 5)
    0.04951
    """
    sample, successes, delta = _read(values, confidence_level, order)
    upper = _upper(successes, len(sample.u), delta)
    return sample.bound(quantity, Interval(0.0, upper), confidence_level)


@bound(
    title="Clopper-Pearson lower bound on images",
    statement="The p at which P[Binomial(n, p) >= successes] = delta; one outcome 0 or 1 per image.",
    deviation="Exact for one outcome per image, and for nothing else.",
    evidence="C",
)
def clopper_pearson_lower(
    *, values: npt.ArrayLike, quantity: str = "mean", confidence_level: float = 0.95, order: str = "as given"
) -> Bound:
    """Smallest success probability at which as many successes still have probability delta.

    Parameters, errors and source as `clopper_pearson_upper`.

    Parameters
    ----------
    values : array_like of shape (n_images,)
        0 or 1 per image.
    quantity : str, default="mean"
        Name of what is bounded, for the record.
    confidence_level : float, default=0.95
        Of this single statement, in (0, 1).
    order : str, default="as given"
        How the order of the images was fixed without looking at the values.

    Returns
    -------
    BoundCertificate
        By ``concentration.clopper_pearson_lower``, evidence C.

    References
    ----------
    Clopper-Pearson lower bound on images: docs/theorems/concentration.md.

    Examples
    --------
    >>> round(clopper_pearson_lower(values=[1] * 59).interval.lower, 5)
    0.95049
    """
    sample, successes, delta = _read(values, confidence_level, order)
    lower = _lower(successes, len(sample.u), delta)
    return sample.bound(quantity, Interval(lower, 1.0), confidence_level)


def _read(values: npt.ArrayLike, confidence_level: float, order: str) -> tuple[Sample, int, float]:
    sample = read_sample(values, order=order)
    odd = np.flatnonzero((sample.u != 0.0) & (sample.u != 1.0))
    if odd.size:
        raise InvalidInputError(
            f"need one 0 or 1 per image for Clopper-Pearson, got {sample.u[odd[0]]:.6g} at image {odd[0]} (counted "
            "from 0); shares of tokens need the betting bound"
        )
    return sample, int(sample.u.sum()), error_of(confidence_level)


def _upper(successes: int, n: int, delta: float) -> float:
    """P(Binomial(n, p) <= successes) <= delta at the answer, allowing for the error of the special functions."""
    if successes == n:
        return 1.0
    p, step = float(betaincinv(successes + 1, n - successes, 1.0 - delta)), _ERROR
    p *= 1.0 + step
    # The tail by the complementary function: no cancellation where delta is small.
    while p < 1.0 and float(betainc(n - successes, successes + 1, 1.0 - p)) * (1.0 + _ERROR) > delta:
        step *= 2.0
        p *= 1.0 + step
    return min(p, 1.0)


def _lower(successes: int, n: int, delta: float) -> float:
    """P(Binomial(n, p) >= successes) <= delta at the answer."""
    if successes == 0:
        return 0.0
    p, step = float(betaincinv(successes, n - successes + 1, delta)), _ERROR
    p /= 1.0 + step
    while p > 0.0 and float(betainc(successes, n - successes + 1, p)) * (1.0 + _ERROR) > delta:
        step *= 2.0
        p /= 1.0 + step
    return p
