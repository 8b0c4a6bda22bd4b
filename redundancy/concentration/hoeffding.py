"""Hoeffding's bound on a mean: looks at the range of the values only, so it is simple and wide."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from redundancy.certificates.certificate import Bound, bound
from redundancy.concentration.sample import Sample, error_of, read_sample
from redundancy.interval import Interval, round_down, round_up

__all__ = ["hoeffding_lower", "hoeffding_upper"]


@bound(
    title="Hoeffding's upper bound",
    statement="P[mean > average + r sqrt(ln(1/delta)/(2n))] <= delta, values in [0, r].",
    deviation="For comparison: looks at the range only.",
    evidence="C",
)
def hoeffding_upper(
    *,
    values: npt.ArrayLike,
    counts: npt.ArrayLike | None = None,
    quantity: str = "mean",
    scale: float = 1.0,
    confidence_level: float = 0.95,
    order: str = "as given",
) -> Bound:
    r"""Mean over images <= average + scale sqrt(ln(1/delta) / (2n)).

    Parameters
    ----------
    values, counts, quantity, scale, confidence_level, order
        As `betting_upper`; the estimand is the image average.

    Returns
    -------
    BoundCertificate
        By ``concentration.hoeffding_upper``, evidence C.

    References
    ----------
    .. [1] Hoeffding (1963), Probability inequalities for sums of bounded random variables,
       doi:10.1080/01621459.1963.10500830, Theorem 2.

    Examples
    --------
    >>> round(hoeffding_upper(values=[0.0] * 200).interval.upper, 4)
    0.0865
    """
    sample = read_sample(values, counts=counts, scale=scale, order=order)
    centre, width = _parts(sample, confidence_level)
    upper = min(sample.scale, round_up(sample.scale * (centre + width), slack=sample.slack))
    return sample.bound(quantity, Interval(0.0, upper), confidence_level)


@bound(
    title="Hoeffding's lower bound",
    statement="P[mean < average - r sqrt(ln(1/delta)/(2n))] <= delta, values in [0, r].",
    deviation="For comparison: looks at the range only.",
    evidence="C",
)
def hoeffding_lower(
    *,
    values: npt.ArrayLike,
    counts: npt.ArrayLike | None = None,
    quantity: str = "mean",
    scale: float = 1.0,
    confidence_level: float = 0.95,
    order: str = "as given",
) -> Bound:
    """Mean over images >= average - scale sqrt(ln(1/delta) / (2n)); see `hoeffding_upper`.

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
        By ``concentration.hoeffding_lower``, evidence C.

    References
    ----------
    Hoeffding's lower bound: docs/theorems/concentration.md.
    """
    sample = read_sample(values, counts=counts, scale=scale, order=order)
    centre, width = _parts(sample, confidence_level)
    lower = max(0.0, round_down(sample.scale * (centre - width), slack=sample.slack))
    return sample.bound(quantity, Interval(lower, sample.scale), confidence_level)


def _parts(sample: Sample, confidence_level: float) -> tuple[float, float]:
    odds = -math.log(error_of(confidence_level))
    return float(np.mean(sample.u)), math.sqrt(odds / (2.0 * len(sample.u)))
