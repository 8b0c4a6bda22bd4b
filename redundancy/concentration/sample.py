"""What a mean is taken of: per-image values, or per-image sums with counts, and the two estimands they serve.

"image_average" is E[mean over the tokens of an image], "token_pooled" is E[sum] / E[count]. They are equal
when all images have equally many tokens, and must be declared otherwise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from redundancy.certificates.certificate import Assumption, Bound
from redundancy.checks import as_floats, check_count, check_real
from redundancy.errors import InvalidInputError
from redundancy.interval import Interval, round_down, round_up
from redundancy.sampling import rows_in_order

__all__ = ["ESTIMANDS", "Sample", "error_of", "read_sample"]

Array = npt.NDArray[np.float64]

ESTIMANDS = ("image_average", "token_pooled")
_ROUNDING = 1e-9  # a sum of distances may pass its range by rounding, no further


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Values u in [0, 1] and weights w in [0, 1] (None for ones): the mean is scale * E[u] / E[w]."""

    u: Array
    w: Array | None
    scale: float
    assumptions: tuple[Assumption, ...]
    order: str = "as given"

    @property
    def slack(self) -> float:
        """Absolute rounding error of the average and of a deviation of the values, in units of the scale."""
        return 4.0 * self.scale * len(self.u) * math.ulp(1.0)

    @property
    def mean(self) -> tuple[float, float]:
        """The mean of the sample itself in units of the scale, rounded down and up; (0, scale) without tokens."""
        total = float(len(self.u)) if self.w is None else math.fsum(self.w)
        if total == 0.0:
            return 0.0, self.scale
        mean = self.scale * math.fsum(self.u) / total
        return max(0.0, round_down(mean)), min(self.scale, round_up(mean))

    def bound(
        self,
        quantity: str,
        interval: Interval,
        confidence_level: float,
        *,
        assumptions: tuple[Assumption, ...] | None = None,
    ) -> Bound:
        """Outcome of a bound on the mean, with the assumptions of the sample unless others are given."""
        return Bound(
            quantity=quantity,
            interval=interval,
            trivial=Interval(0.0, self.scale),
            assumptions=self.assumptions if assumptions is None else assumptions,
            evidence="C",
            confidence_level=confidence_level,
        )


def error_of(confidence_level: float) -> float:
    """``1 - confidence_level``, for a level in (0, 1)."""
    error = 1.0 - check_real(confidence_level, "confidence_level", lower=0.0, upper=1.0, open_ends=True)
    if error == 1.0:
        raise InvalidInputError(f"need a confidence_level that differs from 0 in floats, got {confidence_level!r}")
    return error


def read_sample(
    values: npt.ArrayLike,
    *,
    counts: npt.ArrayLike | None = None,
    estimand: str = "image_average",
    count_max: int | None = None,
    scale: float = 1.0,
    order: str = "as given",
) -> Sample:
    """Check the inputs of a mean bound.

    Parameters
    ----------
    values : array_like of shape (n,)
        One value per image in [0, scale]; with `counts`, its sum over the image's tokens.
    counts : array_like of shape (n,), optional
        Tokens of each image.
    estimand : {"image_average", "token_pooled"}
        Which mean; "token_pooled" needs counts and a declared `count_max`.
    count_max : int, optional
        Most tokens that any image of the population has.
    scale : float
        Upper end of the range of a single value: 2 for cosine distance, 1 for indicators.
    order : str
        How the order of the images was fixed; a hash of row numbers is put into practice here.

    Raises
    ------
    InvalidInputError
        For other shapes, NaN, values outside their range, or images without tokens.
    """
    scale = check_real(scale, "scale", lower=0.0, open_ends=True)
    if estimand not in ESTIMANDS:
        raise InvalidInputError(f"need an estimand among {ESTIMANDS}, got {estimand!r}")
    x = _vector(values, "values", "one value per image")
    sampling = (
        Assumption("iid_images", "images (with their prompts) are i.i.d. draws from the population"),
        Assumption("order_fixed", f"the order of the images was fixed without looking at the values ({order})"),
    )
    if counts is None:
        if estimand != "image_average":
            raise InvalidInputError(f"need counts for the estimand {estimand!r}, got none; pass sums and counts")
        return _ordered(_unit(x, np.full(len(x), scale)), None, scale, sampling, order)
    k = _vector(counts, "counts", "the number of tokens per image")
    if k.shape != x.shape:
        raise InvalidInputError(f"need values and counts of one length, got {len(x)} and {len(k)}")
    if (k != np.round(k)).any() or (k < 0).any():
        raise InvalidInputError("need whole numbers >= 0 as counts, got others; pass tokens per image")
    if estimand == "image_average":
        if (k == 0).any():
            raise InvalidInputError(
                f"need tokens in every image, image {int(np.flatnonzero(k == 0)[0])} (counted from 0) has none; "
                "leave it out by a rule fixed beforehand, or use the token-pooled estimand"
            )
        return _ordered(_unit(x, scale * k), None, scale, sampling, order)
    if count_max is None:
        raise InvalidInputError("need count_max, the most tokens that an image can have, to pool tokens; declare it")
    count_max = check_count(count_max, "count_max", lower=1)
    if k.max() > count_max:
        raise InvalidInputError(f"need counts of at most count_max={count_max}, got {int(k.max())}")
    w = k / count_max
    bounded = Assumption("count_max", f"no image of the population has more than {count_max} tokens")
    return _ordered(np.minimum(_unit(x, scale * k) * w, w), w, scale, (*sampling, bounded), order)


def _ordered(u: Array, w: Array | None, scale: float, assumptions: tuple[Assumption, ...], order: str) -> Sample:
    """The sample in the order of the bets; checks before name rows as they were given."""
    rows = rows_in_order(order, len(u))
    if rows is not None:
        u, w = u[rows], None if w is None else w[rows]
    return Sample(u, w, scale, assumptions, order)


def _vector(values: npt.ArrayLike, name: str, what: str) -> Array:
    array = as_floats(values, name)
    if array.ndim != 1 or array.size == 0:
        raise InvalidInputError(f"need {name} of shape (n >= 1,), {what}, got shape {array.shape}")
    bad = np.flatnonzero(~np.isfinite(array))
    if bad.size:
        raise InvalidInputError(f"need finite {name}, got NaN or infinity in {bad.size} images, the first is {bad[0]}")
    return array


def _unit(x: Array, ranges: Array) -> Array:
    """Values divided by their range, in [0, 1]; 0 of an empty image."""
    outside = np.flatnonzero((x < 0.0) | (x > ranges * (1.0 + _ROUNDING)))
    if outside.size:
        i = int(outside[0])
        raise InvalidInputError(
            f"need values in [0, {ranges[i]:.6g}] at image {i} (counted from 0), got {x[i]:.6g}; check scale and counts"
        )
    return np.minimum(np.divide(x, ranges, out=np.zeros_like(x), where=ranges > 0.0), 1.0)
