"""Maurer and Pontil's empirical Bernstein bound: a closed form that profits from a small variance."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from redundancy.certificates.certificate import Bound, bound
from redundancy.concentration.sample import Sample, error_of, read_sample
from redundancy.errors import InvalidInputError
from redundancy.interval import Interval, round_down, round_up

__all__ = ["empirical_bernstein_lower", "empirical_bernstein_upper"]


@bound(
    title="Empirical Bernstein upper bound",
    statement="P[mean > average + sqrt(2 V ln(2/delta)/n) + 7 r ln(2/delta)/(3(n-1))] <= delta, V the sample variance.",
    deviation="Maurer and Pontil; a closed form that profits from a small variance.",
    evidence="C",
)
def empirical_bernstein_upper(
    *,
    values: npt.ArrayLike,
    counts: npt.ArrayLike | None = None,
    quantity: str = "mean",
    scale: float = 1.0,
    confidence_level: float = 0.95,
    order: str = "as given",
) -> Bound:
    r"""Mean over images <= average + sqrt(2 V ln(2/delta) / n) + 7 ln(2/delta) / (3 (n - 1)), for scale 1.

    V is the sample variance (divisor n - 1). Parameters as `betting_upper`; the estimand is the image average.

    Parameters
    ----------
    values : array_like of shape (n_images,)
        One value per image, in [0, scale].
    counts : array_like of shape (n_images,), optional
        Tokens of each image; recorded, and needed for the token-pooled mean.
    quantity : str, default="mean"
        Name of what is bounded, for the record.
    scale : float, default=1.0
        Largest possible value: 2 for cosine distance, 1 for probabilities.
    confidence_level : float, default=0.95
        Of this single statement, in (0, 1).
    order : str, default="as given"
        How the order of the images was fixed without looking at the values.

    Returns
    -------
    BoundCertificate
        By ``concentration.empirical_bernstein_upper``, evidence C.

    Raises
    ------
    InvalidInputError
        For fewer than two images.

    References
    ----------
    .. [1] Maurer and Pontil (2009), Empirical Bernstein bounds and sample variance penalization,
       arXiv:0907.3740, Theorem 4.

    Examples
    --------
    >>> round(empirical_bernstein_upper(values=[0.0] * 200).interval.upper, 4)
    0.0433
    """
    sample = read_sample(values, counts=counts, scale=scale, order=order)
    centre, width = _parts(sample, confidence_level)
    upper = min(sample.scale, round_up(sample.scale * (centre + width), slack=sample.slack))
    return sample.bound(quantity, Interval(0.0, upper), confidence_level)


@bound(
    title="Empirical Bernstein lower bound",
    statement="P[mean < average - sqrt(2 V ln(2/delta)/n) - 7 r ln(2/delta)/(3(n-1))] <= delta, V the sample variance.",
    deviation="Maurer and Pontil; a closed form that profits from a small variance.",
    evidence="C",
)
def empirical_bernstein_lower(
    *,
    values: npt.ArrayLike,
    counts: npt.ArrayLike | None = None,
    quantity: str = "mean",
    scale: float = 1.0,
    confidence_level: float = 0.95,
    order: str = "as given",
) -> Bound:
    """Mean over images >= average - the width in `empirical_bernstein_upper`, which has the same parameters.

    Parameters
    ----------
    values : array_like of shape (n_images,)
        One value per image, in [0, scale].
    counts : array_like of shape (n_images,), optional
        Tokens of each image; recorded, and needed for the token-pooled mean.
    quantity : str, default="mean"
        Name of what is bounded, for the record.
    scale : float, default=1.0
        Largest possible value: 2 for cosine distance, 1 for probabilities.
    confidence_level : float, default=0.95
        Of this single statement, in (0, 1).
    order : str, default="as given"
        How the order of the images was fixed without looking at the values.

    Returns
    -------
    BoundCertificate
        By ``concentration.empirical_bernstein_lower``, evidence C.

    References
    ----------
    Empirical Bernstein lower bound: docs/theorems/concentration.md.
    """
    sample = read_sample(values, counts=counts, scale=scale, order=order)
    centre, width = _parts(sample, confidence_level)
    lower = max(0.0, round_down(sample.scale * (centre - width), slack=sample.slack))
    return sample.bound(quantity, Interval(lower, sample.scale), confidence_level)


def _parts(sample: Sample, confidence_level: float) -> tuple[float, float]:
    n = len(sample.u)
    if n < 2:
        raise InvalidInputError(f"need at least 2 images for a sample variance, got {n}; use the betting bound")
    odds = math.log(2.0 / error_of(confidence_level))
    # A relative error of the variance moves its root by half of that; the slack of the caller covers both.
    variance = float(np.var(sample.u, ddof=1)) * (1.0 + n * math.ulp(1.0))
    return float(np.mean(sample.u)), math.sqrt(2.0 * variance * odds / n) + 7.0 * odds / (3.0 * (n - 1))
