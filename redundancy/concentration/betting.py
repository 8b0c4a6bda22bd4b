"""Betting bounds on a mean over images: valid at every n, narrow when the variance is small.

`betting_upper` and `betting_lower` tune their bets to the sample at hand, `betting_sequence_upper` and
`_lower` hold at all sample sizes at once, so that one may look after every image and stop at will.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import numpy.typing as npt

from redundancy.certificates.certificate import ArrayInput, Bound, BoundCertificate, bound
from redundancy.checks import as_floats
from redundancy.concentration.capital import Problem, solve, solved_together
from redundancy.concentration.sample import Sample, error_of, read_sample
from redundancy.errors import SkipItError
from redundancy.interval import Interval, round_down, round_up
from redundancy.sampling import ARRIVAL, HASHED_ROWS

__all__ = [
    "betting_lower",
    "betting_sequence_lower",
    "betting_sequence_upper",
    "betting_upper",
    "betting_upper_columns",
    "problem_of",
    "rechecking",
    "together",
]

_KINDS = {
    "concentration.betting_upper": ("upper", "fixed"),
    "concentration.betting_lower": ("lower", "fixed"),
    "concentration.betting_sequence_upper": ("upper", "sequence"),
    "concentration.betting_sequence_lower": ("lower", "sequence"),
}
_SAMPLE_INPUTS = ("values", "counts", "estimand", "count_max", "scale", "order")


@bound(
    title="Betting upper confidence bound of a mean",
    statement="P[mean > bound] <= delta for independent bounded units in a fixed order (Ville's inequality).",
    deviation="The paper reports averages over tokens without an interval.",
    evidence="C",
)
def betting_upper(
    *,
    values: npt.ArrayLike,
    counts: npt.ArrayLike | None = None,
    estimand: str = "image_average",
    count_max: int | None = None,
    quantity: str = "mean",
    scale: float = 1.0,
    confidence_level: float = 0.95,
    order: str = HASHED_ROWS,
) -> Bound:
    r"""Certified upper bound on a mean over images of values in [0, scale].

    .. math:: \sup\{m : \max_i \textstyle\prod_{j \le i} (1 - \lambda_j (x_j - m)) < 1/\delta\}

    Parameters
    ----------
    values : array_like of shape (n,)
        One value per image, in an order fixed beforehand; with `counts`, the sum over the image's tokens.
    counts : array_like of shape (n,), optional
        Tokens of each image.
    estimand : {"image_average", "token_pooled"}, default="image_average"
        E[mean over an image's tokens], or E[sum] / E[count].
    count_max : int, optional
        Declared largest number of tokens of an image, for "token_pooled".
    quantity : str
        What the mean is.
    scale : float, default=1
        Upper end of the range of one value (2 for cosine distance).
    confidence_level : float, default=0.95
        One-sided, in (0, 1).
    order : str
        How the order was fixed. `redundancy.sampling.HASHED_ROWS` orders the values by a hash of their row numbers,
        whatever the file's order is; any other text says how they were ordered by whoever passes them.

    Returns
    -------
    BoundCertificate
        ``[0, upper]``, label C.

    Raises
    ------
    InvalidInputError
        For values outside their range, NaN, or images without tokens.

    Notes
    -----
    Rounded outward to a multiple of 2^-40 of the scale, and never below the mean of the sample itself. No
    distribution-free bound is below
    ``scale (1 - delta^(1/n))``, see `redundancy.concentration.floor`.

    References
    ----------
    .. [1] Waudby-Smith and Ramdas (2024), Estimating means of bounded random variables by betting, JRSS-B 86(1).

    Examples
    --------
    >>> round(betting_upper(values=[0.0] * 100).interval.upper, 3)
    0.032
    """
    sample = read_sample(values, counts=counts, estimand=estimand, count_max=count_max, scale=scale, order=order)
    return _upper(sample, quantity, confidence_level, "fixed")


@bound(
    title="Betting lower confidence bound of a mean",
    statement="P[mean < bound] <= delta for independent bounded units in a fixed order (Ville's inequality).",
    deviation="The same bet against a small mean, with shares up to 0.95/m.",
    evidence="C",
)
def betting_lower(
    *,
    values: npt.ArrayLike,
    counts: npt.ArrayLike | None = None,
    estimand: str = "image_average",
    count_max: int | None = None,
    quantity: str = "mean",
    scale: float = 1.0,
    confidence_level: float = 0.95,
    order: str = HASHED_ROWS,
) -> Bound:
    """Certified lower bound on a mean over images of values in [0, scale].

    Bets against "the mean is at most m" with shares up to 0.95/m instead of 0.95, so that small means, which
    are the rule here, get a lower bound above 0. Parameters, errors and source as `betting_upper`.

    Parameters
    ----------
    values : array_like of shape (n_images,)
        One value per image, in [0, scale].
    counts : array_like of shape (n_images,), optional
        Tokens of each image; recorded, and needed for the token-pooled mean.
    estimand : {"image_average", "token_pooled"}, default="image_average"
        Mean over images of image means, or expected sum over expected count.
    count_max : int, optional
        Most tokens that any image can have; needed for the token-pooled mean.
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
        By ``concentration.betting_lower``, evidence C.

    References
    ----------
    Betting lower confidence bound of a mean: docs/theorems/concentration.md.

    Examples
    --------
    >>> round(betting_lower(values=[0.01, 0.02] * 100).interval.lower, 3)
    0.009
    """
    sample = read_sample(values, counts=counts, estimand=estimand, count_max=count_max, scale=scale, order=order)
    return _lower(sample, quantity, confidence_level, "fixed")


@bound(
    title="Betting upper bound at every sample size",
    statement="P[some n: mean > bound_n] <= delta for independent bounded units in a fixed order.",
    deviation="One may look after every image and stop at will.",
    counterexample="Peeking from 20 to 1000 images, a 95% t bound was wrong at some time in 59% of runs.",
    evidence="C",
)
def betting_sequence_upper(
    *,
    values: npt.ArrayLike,
    counts: npt.ArrayLike | None = None,
    estimand: str = "image_average",
    count_max: int | None = None,
    quantity: str = "mean",
    scale: float = 1.0,
    confidence_level: float = 0.95,
    order: str = ARRIVAL,
) -> Bound:
    """Upper bound that holds at every sample size at once: look after each image, stop whenever it suffices.

    The values are those seen up to now, in the order of arrival. Parameters, errors and source as
    `betting_upper`; the price against it is a few per cent of width.

    Parameters
    ----------
    values : array_like of shape (n_images,)
        One value per image, in [0, scale].
    counts : array_like of shape (n_images,), optional
        Tokens of each image; recorded, and needed for the token-pooled mean.
    estimand : {"image_average", "token_pooled"}, default="image_average"
        Mean over images of image means, or expected sum over expected count.
    count_max : int, optional
        Most tokens that any image can have; needed for the token-pooled mean.
    quantity : str, default="mean"
        Name of what is bounded, for the record.
    scale : float, default=1.0
        Largest possible value: 2 for cosine distance, 1 for probabilities.
    confidence_level : float, default=0.95
        Of this single statement, in (0, 1).
    order : str, default=ARRIVAL
        How the order of the images was fixed without looking at the values.

    Returns
    -------
    BoundCertificate
        By ``concentration.betting_sequence_upper``, evidence C.

    References
    ----------
    Betting upper bound at every sample size: docs/theorems/concentration.md.
    """
    sample = read_sample(values, counts=counts, estimand=estimand, count_max=count_max, scale=scale, order=order)
    return _upper(sample, quantity, confidence_level, "sequence")


@bound(
    title="Betting lower bound at every sample size",
    statement="P[some n: mean < bound_n] <= delta for independent bounded units in a fixed order.",
    deviation="One may look after every image and stop at will.",
    evidence="C",
)
def betting_sequence_lower(
    *,
    values: npt.ArrayLike,
    counts: npt.ArrayLike | None = None,
    estimand: str = "image_average",
    count_max: int | None = None,
    quantity: str = "mean",
    scale: float = 1.0,
    confidence_level: float = 0.95,
    order: str = ARRIVAL,
) -> Bound:
    """Lower bound that holds at every sample size at once; see `betting_sequence_upper`.

    Parameters
    ----------
    values : array_like of shape (n_images,)
        One value per image, in [0, scale].
    counts : array_like of shape (n_images,), optional
        Tokens of each image; recorded, and needed for the token-pooled mean.
    estimand : {"image_average", "token_pooled"}, default="image_average"
        Mean over images of image means, or expected sum over expected count.
    count_max : int, optional
        Most tokens that any image can have; needed for the token-pooled mean.
    quantity : str, default="mean"
        Name of what is bounded, for the record.
    scale : float, default=1.0
        Largest possible value: 2 for cosine distance, 1 for probabilities.
    confidence_level : float, default=0.95
        Of this single statement, in (0, 1).
    order : str, default=ARRIVAL
        How the order of the images was fixed without looking at the values.

    Returns
    -------
    BoundCertificate
        By ``concentration.betting_sequence_lower``, evidence C.

    References
    ----------
    Betting lower bound at every sample size: docs/theorems/concentration.md.
    """
    sample = read_sample(values, counts=counts, estimand=estimand, count_max=count_max, scale=scale, order=order)
    return _lower(sample, quantity, confidence_level, "sequence")


def betting_upper_columns(values: npt.ArrayLike, *, confidence_level: float) -> npt.NDArray[np.float64]:
    """Upper bound on the mean of each column of values in [0, 1], each at `confidence_level` on its own.

    Parameters
    ----------
    values : array_like of shape (n, columns)
        Rows are i.i.d. images; bets are placed in the order of `HASHED_ROWS`.
    confidence_level : float
        In (0, 1).

    Returns
    -------
    ndarray of shape (columns,)
        In [0, 1]; 1 where nothing was refuted.
    """
    columns = [read_sample(column, order=HASHED_ROWS) for column in as_floats(values, "values").T]
    problems = [Problem(s.u, s.w, error_of(confidence_level)) for s in columns]
    with solved_together(problems):
        return np.array([solve(p) for p in problems])


def problem_of(theorem: str, inputs: Mapping[str, Any]) -> Problem | None:
    """The problem that a betting bound with these inputs solves; None for any other theorem."""
    if theorem not in _KINDS:
        return None
    side, mode = _KINDS[theorem]
    plain: dict[str, Any] = {k: v.values if isinstance(v, ArrayInput) else v for k, v in inputs.items()}
    sample = read_sample(**{k: plain[k] for k in _SAMPLE_INPUTS if k in plain})
    return Problem(sample.u, sample.w, error_of(plain.get("confidence_level", 0.95)), side, mode)


def together(
    calls: Sequence[tuple[Callable[..., BoundCertificate], str, Mapping[str, Any]]],
) -> list[BoundCertificate]:
    """Certificates of many betting bounds, (function, theorem, inputs) each, solved in one pass."""
    problems = [p for _, theorem, inputs in calls if (p := problem_of(theorem, inputs)) is not None]
    with solved_together(problems):
        return [function(**inputs) for function, _, inputs in calls]


@contextmanager
def rechecking(statements: Iterable[BoundCertificate]) -> Iterator[None]:
    """Inside the block, rechecking these statements solves all their betting bounds anew in one pass."""
    sampled: dict[tuple[tuple[str, float], ...], BoundCertificate] = {}
    stack = list(statements)
    while stack:
        statement = stack.pop()
        if statement.theorem in _KINDS:
            sampled[statement.failures] = statement
        for value in statement.inputs.values():
            parents = value if isinstance(value, tuple) else (value,)
            stack += [v for v in parents if isinstance(v, BoundCertificate)]
    problems = []
    for statement in sampled.values():
        # A sampling bound with impossible inputs is left to its own recheck, which says what is wrong.
        with suppress(SkipItError, TypeError):
            problem = problem_of(statement.theorem, statement.inputs)
            problems += [] if problem is None else [problem]
    with solved_together(problems):
        yield


def _upper(sample: Sample, quantity: str, confidence_level: float, mode: str) -> Bound:
    level = solve(Problem(sample.u, sample.w, error_of(confidence_level), "upper", mode))
    upper = min(sample.scale, round_up(sample.scale * level)) if level < 1.0 else sample.scale
    if mode == "fixed":  # an early run of luck may refute means that the whole sample exceeds; a wider bound is valid
        upper = max(upper, sample.mean[1])
    return sample.bound(quantity, Interval(0.0, upper), confidence_level)


def _lower(sample: Sample, quantity: str, confidence_level: float, mode: str) -> Bound:
    level = solve(Problem(sample.u, sample.w, error_of(confidence_level), "lower", mode))
    lower = max(0.0, round_down(sample.scale * level))
    if mode == "fixed":
        lower = min(lower, sample.mean[0])
    return sample.bound(quantity, Interval(lower, sample.scale), confidence_level)
