"""What no distribution-free bound can beat, and so how many images a certificate needs: ask before harvesting."""

from __future__ import annotations

import math

from redundancy.checks import check_count, check_real
from redundancy.concentration.sample import error_of
from redundancy.errors import InvalidInputError
from redundancy.interval import round_down

__all__ = ["distribution_free_floor", "minimum_n"]


def distribution_free_floor(*, n_images: int, confidence_level: float = 0.95, scale: float = 1.0) -> float:
    r"""Least upper bound on a mean in [0, scale] that a valid method can report from n values that are all 0.

    .. math:: r (1 - \delta^{1/n})

    Images of value r with any probability p below ``1 - delta^(1/n)`` are absent from the sample with probability
    above delta, so that p r must not be excluded when none was seen. Larger values can only raise a sensible
    bound. Valid for every method that does not toss coins of its own.

    Parameters
    ----------
    n_images : int
        At least 1.
    confidence_level : float
        Of the single statement: after splitting the error over all statements.
    scale : float
        2 for cosine distance, 1 for probabilities.

    Returns
    -------
    float
        In [0, scale], rounded down.

    Examples
    --------
    >>> round(distribution_free_floor(n_images=500, scale=2.0), 3)
    0.012
    """
    n = check_count(n_images, "n_images", lower=1)
    error = error_of(confidence_level)
    scale = check_real(scale, "scale", lower=0.0, open_ends=True)
    return round_down(-scale * math.expm1(math.log(error) / n))


def minimum_n(*, target: float, confidence_level: float = 0.95, scale: float = 1.0) -> int:
    """Fewest images from which a valid method can certify a mean below `target`, even if all values are 0.

    A necessary number. The betting bound needs about a tenth more if all values are 0, and many more if they
    are not.

    Parameters
    ----------
    target : float
        What the mean shall be certified to be below.
    confidence_level : float, default=0.95
        Of this single statement, in (0, 1).
    scale : float, default=1.0
        Largest possible value: 2 for cosine distance, 1 for probabilities.

    Returns
    -------
    int
        At least 1.

    Raises
    ------
    InvalidInputError
        Unless 0 < target < scale.

    Examples
    --------
    The mean distance of 32 layers below 0.05, each at delta = 0.05 / 32:

    >>> minimum_n(target=0.05, confidence_level=1 - 0.05 / 32, scale=2.0)
    256
    """
    scale = check_real(scale, "scale", lower=0.0, open_ends=True)
    target = check_real(target, "target", lower=0.0)
    if not 0.0 < target < scale:
        raise InvalidInputError(f"need target inside (0, scale={scale:g}), got {target:g}")
    n = max(1, math.floor(math.log(error_of(confidence_level)) / math.log1p(-target / scale)) - 1)
    while distribution_free_floor(n_images=n, confidence_level=confidence_level, scale=scale) >= target:
        n += 1
    return n
