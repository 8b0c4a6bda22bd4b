"""Estimates of H(next | previous) and of mutual information on codes, with an interval and their bias regime."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import t as student

from estimators.codes.pairs import CodedPair
from estimators.entropy.point import METHODS
from redundancy.checks import check_count, check_real
from redundancy.errors import InvalidInputError
from redundancy.files.tabular import Tabular
from redundancy.interval import Interval
from redundancy.units import check_base, from_nats, unit_name

__all__ = ["EntropyEstimate", "conditional_entropy_estimate", "mutual_information_estimate"]

_SPARSE = 0.05  # N / K^2 below which Grassberger loses more than a tenth of a nat on laws like those of layers
_SINGLES = 0.1  # share of cells seen once above which every estimator extrapolates
_GROUPS = 20  # groups of images of the jackknife


@dataclass(frozen=True, slots=True, kw_only=True)
class EntropyEstimate(Tabular):
    """A point estimate (label E): never a bound, whatever its interval.

    Attributes
    ----------
    quantity : {"conditional_entropy", "mutual_information"}
    value : float
        In units of `base`; never above log K, and of NSB, whose two terms have different priors, never below 0.
    interval : Interval
        From a jackknife over groups of images: covers the sampling error, *not* the bias.
    method : str
        Of `estimators.entropy.METHODS`.
    n_tokens, n_images, n_codes : int
    occupied_cells : int
        Cells of the K x K table with a count.
    single_share : float
        Share of them seen in one image only.
    regime : {"dense", "sparse", "starved"}
        n >= K^2, n >= 0.05 K^2, or less, for n images: tokens of an image may all be alike.
    confidence_level : float
        Of the interval.
    base : float
        Unit.
    """

    quantity: str
    value: float
    interval: Interval
    confidence_level: float
    base: float
    method: str
    n_tokens: int
    n_images: int
    n_codes: int
    occupied_cells: int
    single_share: float
    regime: str

    @property
    def is_flagged(self) -> bool:
        """Whether over a tenth of the occupied cells occur in one image only: an extrapolation, and so its interval."""
        return self.single_share > _SINGLES

    @property
    def bias_note(self) -> str:
        """What is to be expected of the bias, in words."""
        ratio = self.n_images / self.n_codes**2
        sign = "up" if self.quantity == "mutual_information" else "down"
        known = {
            "dense": "more images than cells: the bias is small beside the interval for all but the plug-in",
            "sparse": f"fewer images than cells: plug-in, Miller-Madow, jackknife are biased {sign}, James-Stein may "
            "be far off; prefer Grassberger",
            "starved": f"far fewer images than cells: Grassberger is biased {sign}, by tenths of a nat where the law "
            "is uneven, NSB either way, the others by more; use fewer codes",
        }[self.regime]
        singles = ""
        if self.is_flagged:
            singles = f"; {self.single_share:.0%} of the occupied cells occur in one image only: "
            singles += "the interval may miss the truth"
        return f"images / K^2 = {ratio:.3g}: {known}{singles}. No point estimate is a bound."

    def to_record(self) -> dict[str, Any]:
        """One flat row for a table."""
        row = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "interval"}
        return row | {"lower": self.interval.lower, "upper": self.interval.upper, "evidence": "E"}

    def __str__(self) -> str:
        return (
            f"{self.quantity} = {self.value:.4g} {unit_name(self.base)} [E], {self.confidence_level:.0%} interval "
            f"{self.interval} ({self.method}; {self.bias_note})"
        )


def conditional_entropy_estimate(
    pair: CodedPair, *, method: str = "auto", confidence_level: float = 0.95, base: float = 2.0
) -> EntropyEstimate:
    """Estimate H(next code | previous code) as H(both) - H(previous).

    Parameters
    ----------
    pair : CodedPair
    method : str
        One of `estimators.entropy.METHODS`, or "auto": Grassberger for N >= 0.05 K^2 tokens, else NSB.
    confidence_level : float, default=0.95
    base : float, default=2

    Returns
    -------
    EntropyEstimate
        Label E, in units of `base`.

    Raises
    ------
    InvalidInputError
        For fewer than 3 images: they are the units of the interval.

    Notes
    -----
    The entropy of the law of pooled tokens. At or above the truth in only 12 % (Miller-Madow) to 41 % (NSB) of
    simulated runs: for a bound see `conditional_entropy_upper`.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> codes = rng.integers(4, size=4000)
    >>> noisy = np.where(rng.random(4000) < 0.5, codes, rng.integers(4, size=4000))
    >>> pair = CodedPair.of(codes, noisy, np.arange(4000) // 10, n_codes=4)
    >>> abs(conditional_entropy_estimate(pair).value - 1.549) < 0.05
    True
    """
    return _estimate(pair, "conditional_entropy", _conditional, method, confidence_level, base)


def mutual_information_estimate(
    pair: CodedPair, *, method: str = "auto", confidence_level: float = 0.95, base: float = 2.0
) -> EntropyEstimate:
    """Estimate I(next code; previous code) as H(next) + H(previous) - H(both); see `conditional_entropy_estimate`.

    Parameters
    ----------
    pair : CodedPair
        Codes of both layers, token by token, with the image of each token.
    method : str, default="auto"
        One of `estimators.entropy.METHODS`, or "auto".
    confidence_level : float, default=0.95
        Of the interval.
    base : float, default=2.0
        Unit of information: 2 for bits, ``math.e`` for nats.

    Returns
    -------
    EntropyEstimate
        Label E, in units of `base`.
    """
    return _estimate(pair, "mutual_information", _information, method, confidence_level, base)


def _estimate(
    pair: CodedPair,
    quantity: str,
    function: Callable[[CodedPair, str], float],
    method: str,
    confidence_level: float,
    base: float,
) -> EntropyEstimate:
    base = check_base(base)
    level = check_real(confidence_level, "confidence_level", lower=0.0, upper=1.0, open_ends=True)
    check_count(pair.n_images, "number of images", lower=3)
    ratio = pair.n_images / pair.n_codes**2
    if method == "auto":
        method = "grassberger" if pair.n_tokens >= _SPARSE * pair.n_codes**2 else "nsb"
    if method not in METHODS:
        raise InvalidInputError(f"need a method among {('auto', *METHODS)}, got {method!r}")
    images = pair.images_per_cell()
    value = function(pair, method)
    groups = min(_GROUPS, pair.n_images)
    without = np.array([function(part, method) for _, part in pair.groups(groups)])
    error = math.sqrt((groups - 1) / groups * float(((without - without.mean()) ** 2).sum()))
    width = float(student.ppf(0.5 * (1.0 + level), groups - 1)) * error
    most, least = math.log(pair.n_codes), 0.0 if method == "nsb" else -math.inf
    return EntropyEstimate(
        quantity=quantity,
        value=from_nats(min(max(value, least), most), base),
        interval=Interval(*(from_nats(min(max(value + w, least), most), base) for w in (-width, width))),
        confidence_level=level,
        base=base,
        method=method,
        n_tokens=pair.n_tokens,
        n_images=pair.n_images,
        n_codes=pair.n_codes,
        occupied_cells=len(images),
        single_share=float((images == 1).mean()),
        regime="dense" if ratio >= 1.0 else ("sparse" if ratio >= _SPARSE else "starved"),
    )


def _conditional(pair: CodedPair, method: str) -> float:
    entropy, size = METHODS[method], pair.n_codes
    return entropy(pair.cells()[2], size**2) - entropy(_counts(pair.prev), size)


def _counts(codes: npt.NDArray[Any]) -> npt.NDArray[np.intp]:
    """Of the codes that occur: a table of the whole alphabet could fill the memory."""
    return np.unique(codes, return_counts=True)[1]


def _information(pair: CodedPair, method: str) -> float:
    return METHODS[method](_counts(pair.next), pair.n_codes) - _conditional(pair, method)
