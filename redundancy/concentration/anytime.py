"""Means watched while the images come in: look after every batch, stop as soon as the question is decided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from redundancy.certificates.certificate import BoundCertificate
from redundancy.checks import as_floats
from redundancy.concentration.betting import betting_sequence_lower, betting_sequence_upper, together
from redundancy.concentration.multiplicity import bonferroni
from redundancy.concentration.sample import read_sample
from redundancy.errors import AssumptionError, InvalidInputError, StoreError
from redundancy.files.digested import seal, unseal
from redundancy.interval import Interval
from redundancy.sampling import ARRIVAL

__all__ = ["SCHEMA", "SIDES", "AnytimeMeans"]

SCHEMA = "skip-it/anytime-means/1"
SIDES = ("both", "upper", "lower")

Array = npt.NDArray[np.float64]


class AnytimeMeans:
    """Bounds on several means that hold jointly at every number of images, so that one may stop at will.

    Parameters
    ----------
    names : sequence of str, default=("mean",)
        What the means are, one per column of the values: the layers watched, for instance.
    confidence_level : float, default=0.95
        Joint over all names, sides and times.
    scale : float, default=1
        Upper end of the range of one value (2 for cosine distance).
    sides : {"both", "upper", "lower"}
        Bounds from both sides share the error.
    estimand : {"image_average", "token_pooled"}
        As in `betting_sequence_upper`.
    count_max : int, optional
        Declared largest number of tokens of an image, for "token_pooled".

    Raises
    ------
    InvalidInputError
        For options out of range: before the first image is paid for.

    Notes
    -----
    Holds the values seen, 8 bytes each: a bound depends on all of them, and those of one pass and of many
    batches are equal to the last bit. They only ever tighten.

    References
    ----------
    .. [1] Waudby-Smith and Ramdas (2024), Estimating means of bounded random variables by betting, JRSS-B 86(1).

    Examples
    --------
    >>> watch = AnytimeMeans(sides="upper")
    >>> while watch.decide(0.05)["mean"] == "open":
    ...     watch.update([0.0, 0.02])
    >>> watch.n_images, round(watch.interval().upper, 4)
    (82, 0.0492)
    """

    def __init__(
        self,
        names: Sequence[str] = ("mean",),
        *,
        confidence_level: float = 0.95,
        scale: float = 1.0,
        sides: str = "both",
        estimand: str = "image_average",
        count_max: int | None = None,
    ) -> None:
        self._names = (names,) if isinstance(names, str) else tuple(str(name) for name in names)
        if not self._names or len(set(self._names)) != len(self._names):
            raise InvalidInputError(f"need one or more distinct names, got {list(self._names)}")
        if sides not in SIDES:
            raise InvalidInputError(f"need sides among {SIDES}, got {sides!r}")
        self._sides = ("upper", "lower") if sides == "both" else (sides,)
        self._options: dict[str, Any] = {
            "confidence_level": confidence_level,
            "scale": scale,
            "sides": sides,
            "estimand": estimand,
            "count_max": count_max,
        }
        self._sampling: dict[str, Any] = {"scale": scale, "estimand": estimand, "count_max": count_max}
        self._level = bonferroni(confidence_level, len(self._names) * len(self._sides))[0]
        self._values: Array = np.zeros((0, len(self._names)))
        # Values alone, or sums with the tokens of each image: the first batch decides, and pooling needs tokens.
        self._counts: Array | None = np.zeros((0, len(self._names))) if estimand != "image_average" else None
        self._found: dict[str, dict[str, BoundCertificate]] | None = None
        read_sample([0.0], counts=None if self._counts is None else [1.0], **self._sampling)

    @property
    def names(self) -> tuple[str, ...]:
        """What is watched."""
        return self._names

    @property
    def n_images(self) -> int:
        """Images seen."""
        return len(self._values)

    @property
    def level(self) -> float:
        """Confidence level of each single bound."""
        return self._level

    def update(self, values: npt.ArrayLike, *, counts: npt.ArrayLike | None = None) -> None:
        """Add new images, in the order of arrival; a batch that is refused leaves no trace.

        Parameters
        ----------
        values : array_like of shape (n_new, n_names), or (n_new,) for one name
            Per-image values in [0, scale]; with `counts`, the sums over the image's tokens.
        counts : array_like of the same shape, or (n_new,) for all names alike, optional
            Tokens of each image: in every batch or in none.

        Raises
        ------
        InvalidInputError
            For another shape, values outside their range, NaN, or counts that come and go.
        """
        x = self._rows(values, "values")
        k = None if counts is None else self._rows(counts, "counts", shared=True)
        if k is not None and k.shape != x.shape:
            raise InvalidInputError(f"need counts for each of the {len(x)} new images, got {len(k)}")
        if self.n_images and (k is None) != (self._counts is None):
            raise InvalidInputError(
                f"need counts in every batch or in none, got a batch {'without' if k is None else 'with'} them "
                f"after {self.n_images} images {'without' if self._counts is None else 'with'}"
            )
        if not len(x):
            return
        for column in range(len(self._names)):
            read_sample(x[:, column], counts=None if k is None else k[:, column], **self._sampling)
        before = np.zeros((0, len(self._names))) if self._counts is None else self._counts
        self._values, self._counts = (
            np.concatenate([self._values, x]),
            None if k is None else np.concatenate([before, k]),
        )
        self._found = None

    def interval(self, name: str | None = None) -> Interval:
        """Where a mean lies as of now, all other names, sides and earlier looks included in the error.

        Parameters
        ----------
        name : str, optional
            May be left out if only one mean is watched.
        """
        if name is None and len(self._names) == 1:
            name = self._names[0]
        if name not in self._names:
            raise InvalidInputError(f"need a name among {list(self._names)}, got {name!r}")
        return self.intervals()[name]

    def intervals(self) -> dict[str, Interval]:
        """Where the means lie as of now, by name; [0, scale] before the first image.

        Raises
        ------
        AssumptionError
            If nothing is left between the bounds, as after a drift: then the images were not i.i.d. draws, or
            this is one of the rare samples that the confidence level allows for.
        """
        scale = float(self._options["scale"])
        if not self.n_images:
            return {name: Interval(0.0, scale) for name in self._names}
        ends = {}
        for name, found in self._solved().items():
            lower = found["lower"].interval.lower if "lower" in found else 0.0
            upper = found["upper"].interval.upper if "upper" in found else scale
            if lower > upper:
                raise AssumptionError(
                    f"need images in random order from one population, got a {name} above {lower:.6g} and below "
                    f"{upper:.6g} after {self.n_images} images; shuffle the images and start anew"
                )
            ends[name] = Interval(lower, upper)
        return ends

    def decide(self, threshold: float | Mapping[str, float]) -> dict[str, str]:
        """Whether each mean is certainly below or above a threshold: "below", "above" or "open".

        Parameters
        ----------
        threshold : float or mapping from name to float
            In the units of the values. Valid for thresholds chosen while looking, too.

        Returns
        -------
        dict of str
            A mean that was decided stays decided, whatever comes in later.
        """
        at = threshold if isinstance(threshold, Mapping) else dict.fromkeys(self._names, threshold)
        if set(at) != set(self._names):
            raise InvalidInputError(f"need a threshold for each of {list(self._names)}, got {list(at)}")
        verdicts = {}
        for name, interval in self.intervals().items():
            limit = float(at[name])
            if np.isnan(limit):
                raise InvalidInputError(f"need a number as threshold of {name!r}, got NaN")
            below, above = interval.upper < limit, interval.lower > limit
            verdicts[name] = "below" if below else "above" if above else "open"
        return verdicts

    def certificates(self) -> tuple[BoundCertificate, ...]:
        """The bounds as of now, with the values they rest on: each can be stored and checked again.

        Raises
        ------
        InvalidInputError
            Before the first image.
        """
        if not self.n_images:
            raise InvalidInputError("need at least one image before a certificate, got none; call update")
        return tuple(c for found in self._solved().values() for c in found.values())

    def to_json(self) -> str:
        """Everything needed to go on elsewhere, exactly; with a digest."""
        counts = None if self._counts is None else self._counts.tolist()
        body = {"schema": SCHEMA, "names": list(self._names), "options": self._options}
        return seal({**body, "values": self._values.tolist(), "counts": counts})

    @classmethod
    def from_json(cls, text: str) -> AnytimeMeans:
        """Inverse of `to_json`.

        Raises
        ------
        StoreError
            If the text is of another schema, torn, or was altered.
        """
        body = unseal(text, SCHEMA)
        try:
            watch = cls(body["names"], **body["options"])
            if body["values"]:
                watch.update(body["values"], counts=body["counts"])
        except (KeyError, TypeError, ValueError) as error:
            raise StoreError(f"need a state of schema {SCHEMA}, got one that lacks or breaks {error}") from None
        return watch

    def _rows(self, rows: npt.ArrayLike, what: str, *, shared: bool = False) -> Array:
        array = as_floats(rows, what)
        width = len(self._names)
        if array.ndim == 1 and (width == 1 or shared or not array.size):
            array = np.repeat(array[:, None], width, axis=1)
        if array.ndim != 2 or array.shape[1] != width:
            raise InvalidInputError(f"need {what} of shape (n_new, {width}), a column per name, got {array.shape}")
        return array

    def _solved(self) -> dict[str, dict[str, BoundCertificate]]:
        if self._found is None:
            functions = {
                "upper": (betting_sequence_upper, "concentration.betting_sequence_upper"),
                "lower": (betting_sequence_lower, "concentration.betting_sequence_lower"),
            }
            common = {**self._sampling, "confidence_level": self._level, "order": ARRIVAL}
            calls: list[Any] = []
            for i, name in enumerate(self._names):
                counts = None if self._counts is None else self._counts[:, i].copy()
                sample = {**common, "quantity": name, "values": self._values[:, i].copy(), "counts": counts}
                calls += [(*functions[side], sample) for side in self._sides]
            found = iter(together(calls))
            self._found = {name: {side: next(found) for side in self._sides} for name in self._names}
        return self._found
