"""Betting bounds on the mean of a finite benchmark that was sampled without replacement."""

from __future__ import annotations

import numpy.typing as npt

from redundancy.certificates.certificate import Assumption, Bound, bound
from redundancy.checks import check_count
from redundancy.concentration.capital import Problem, solve
from redundancy.concentration.sample import Sample, error_of, read_sample
from redundancy.errors import InvalidInputError
from redundancy.interval import Interval, round_down, round_up
from redundancy.sampling import HASHED_ROWS

__all__ = ["finite_population_lower", "finite_population_upper"]


@bound(
    title="Upper bound on the mean of a benchmark",
    statement="Images drawn without replacement: P[mean of all N > bound] <= delta, by betting against (N m - "
    "seen)/(N - j + 1).",
    deviation="About this benchmark only; exact when all images are seen.",
    evidence="C",
)
def finite_population_upper(
    *,
    values: npt.ArrayLike,
    population_size: int,
    quantity: str = "mean",
    scale: float = 1.0,
    confidence_level: float = 0.95,
    order: str = HASHED_ROWS,
) -> Bound:
    """Upper bound on the mean over all images of a benchmark, from a random part of it; tight when all are seen.

    Parameters
    ----------
    values : array_like of shape (n,)
        One value in [0, scale] per sampled image, in the random order of the draws.
    population_size : int
        Images of the benchmark, at least n.
    quantity, scale, confidence_level, order
        As `betting_upper`.

    Returns
    -------
    BoundCertificate
        About this benchmark only, not about what it was itself drawn from.

    Notes
    -----
    The bet on the j-th image is against its conditional mean ``(N m - sum of seen) / (N - j + 1)``.

    References
    ----------
    .. [1] Waudby-Smith and Ramdas (2024), Estimating means of bounded random variables by betting,
       JRSS-B 86(1), section 5.

    Examples
    --------
    Half of the 200 images, none with an error; i.i.d. sampling would give 0.0324.

    >>> round(finite_population_upper(values=[0] * 100, population_size=200).interval.upper, 3)
    0.023
    """
    sample, size = _read(values, population_size, scale, order)
    level = solve(Problem(sample.u, None, error_of(confidence_level), "upper", "fixed", size))
    upper = max(min(sample.scale, round_up(sample.scale * level)), sample.mean[1])
    interval = Interval(0.0, upper)
    return _bound(sample, quantity, interval, confidence_level)


@bound(
    title="Lower bound on the mean of a benchmark",
    statement="Images drawn without replacement: P[mean of all N < bound] <= delta, by betting against (N m - "
    "seen)/(N - j + 1).",
    deviation="About this benchmark only; exact when all images are seen.",
    evidence="C",
)
def finite_population_lower(
    *,
    values: npt.ArrayLike,
    population_size: int,
    quantity: str = "mean",
    scale: float = 1.0,
    confidence_level: float = 0.95,
    order: str = HASHED_ROWS,
) -> Bound:
    """Lower bound on the mean over all images of a benchmark; see `finite_population_upper`.

    Parameters
    ----------
    values : array_like of shape (n_images,)
        One value per image, in [0, scale].
    population_size : int
        Images of the whole benchmark.
    quantity : str, default="mean"
        Name of what is bounded, for the record.
    scale : float, default=1.0
        Largest possible value: 2 for cosine distance, 1 for probabilities.
    confidence_level : float, default=0.95
        Of this single statement, in (0, 1).
    order : str, default=HASHED_ROWS
        How the order of the images was fixed without looking at the values.

    Returns
    -------
    BoundCertificate
        By ``concentration.finite_population_lower``, evidence C.

    References
    ----------
    Lower bound on the mean of a benchmark: docs/theorems/concentration.md.
    """
    sample, size = _read(values, population_size, scale, order)
    level = solve(Problem(sample.u, None, error_of(confidence_level), "lower", "fixed", size))
    lower = min(max(0.0, round_down(sample.scale * level)), sample.mean[0])
    interval = Interval(lower, sample.scale)
    return _bound(sample, quantity, interval, confidence_level)


def _read(values: npt.ArrayLike, population_size: int, scale: float, order: str) -> tuple[Sample, int]:
    sample = read_sample(values, scale=scale, order=order)
    size = check_count(population_size, "population_size", lower=1)
    if size < len(sample.u):
        raise InvalidInputError(f"need population_size >= the {len(sample.u)} images sampled, got {size}")
    return sample, size


def _bound(sample: Sample, quantity: str, interval: Interval, confidence_level: float) -> Bound:
    drawn = Assumption(
        "without_replacement",
        f"the images are a uniformly random part of a fixed benchmark, in random order ({sample.order})",
    )
    return sample.bound(quantity, interval, confidence_level, assumptions=(drawn,))
