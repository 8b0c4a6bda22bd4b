"""A question about one mean that a harvest can stop at: ``D_vision[3] < 0.05``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from redundancy.concentration.anytime import AnytimeMeans
from redundancy.errors import InvalidInputError
from redundancy.statistics.harvest_statistics import HarvestStatistics

__all__ = ["Question", "Watch"]

_FORM = re.compile(r"\s*(D|P)_(\w+)\[(\d+)\](?:\(([^()]+)\))?\s*([<>])\s*(\S+)\s*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Whether a mean over images is below or above a limit.

    Parameters
    ----------
    quantity : {"D", "P"}
        Mean distance of a layer, or share of tokens with a distance above `radius`.
    group : str
        Token group of the statistics.
    layer : int
        From 1.
    radius : float or None
        For "P".
    is_below : bool
        Whether the question is "below the limit?".
    limit : float

    Examples
    --------
    >>> str(Question.parse("D_vision[3]<0.05"))
    'D_vision[3] < 0.05'
    """

    quantity: str
    group: str
    layer: int
    radius: float | None
    is_below: bool
    limit: float

    @classmethod
    def parse(cls, text: str) -> Question:
        """Read ``D_group[layer] < limit`` or ``P_group[layer](t) < limit``, with < or >.

        Raises
        ------
        InvalidInputError
            If the text has another form, or a number is out of its range.
        """
        match = _FORM.fullmatch(text)
        try:
            if match is None:
                raise ValueError
            quantity, group, layer, radius, sign, limit = match.groups()
            question = cls(
                quantity=quantity,
                group=group,
                layer=int(layer),
                radius=None if radius is None else float(radius),
                is_below=sign == "<",
                limit=float(limit),
            )
        except ValueError:
            raise InvalidInputError(
                f'need a question like "D_vision[3] < 0.05" or "P_vision[3](0.05) < 0.1", got {text!r}'
            ) from None
        if (question.quantity == "P") != (question.radius is not None):
            raise InvalidInputError(f'need a radius for P and none for D, as "P_vision[3](0.05) < 0.1", got {text!r}')
        if not 0.0 < question.limit < question.scale:
            raise InvalidInputError(f"need a limit inside (0, {question.scale:g}), got {question.limit:g} in {text!r}")
        return question

    @property
    def scale(self) -> float:
        """Upper end of the quantity's range."""
        return 2.0 if self.quantity == "D" else 1.0

    def check(self, *, n_layers: int, groups: Sequence[str], thresholds: Sequence[float]) -> None:
        """Refuse a question that the harvest will not answer."""
        if not 1 <= self.layer <= n_layers:
            raise InvalidInputError(f"need a layer in 1..{n_layers}, got {self.layer} in {str(self)!r}")
        if self.group not in groups:
            raise InvalidInputError(f"need a group among {tuple(groups)}, got {self.group!r} in {str(self)!r}")
        if self.radius is not None and self.radius not in thresholds:
            raise InvalidInputError(
                f"need a radius among the harvested {tuple(thresholds)}, got {self.radius:g} in {str(self)!r}; harvest "
                f"with --threshold {self.radius!r}"
            )

    def values(
        self, statistics: HarvestStatistics, order: Sequence[str], units: Sequence[str]
    ) -> tuple[npt.NDArray[np.float64], list[str]]:
        """Per-sample values and units in the given order of sample ids; samples without such tokens are left out."""
        column = self.layer - 1
        if self.radius is None:
            table = statistics.sample_distances(self.group)[:, column]
        else:
            tails = statistics.tail_counts(self.group, self.radius)[:, column]
            counts = statistics.pair_counts(self.group)[:, column]
            table = np.divide(tails, counts, out=np.full(len(tails), np.nan), where=counts > 0)
        row = {name: i for i, name in enumerate(statistics.sample_ids)}
        kept = [(row[name], unit) for name, unit in zip(order, units, strict=True) if name in row]
        kept = [(i, unit) for i, unit in kept if not np.isnan(table[i])]
        return np.array([table[i] for i, _ in kept], dtype=np.float64), [unit for _, unit in kept]

    def __str__(self) -> str:
        radius = "" if self.radius is None else f"({self.radius:g})"
        return f"{self.quantity}_{self.group}[{self.layer}]{radius} {'<' if self.is_below else '>'} {self.limit:g}"


class Watch:
    """A question under a betting confidence sequence: it may be looked at after every batch.

    Parameters
    ----------
    question : Question
    confidence_level : float
        Over all looks together.
    """

    def __init__(self, question: Question, *, confidence_level: float) -> None:
        self.question = question
        self._means = AnytimeMeans((str(question),), confidence_level=confidence_level, scale=question.scale)
        self._next = 0
        self._verdict = "open"
        self._unit, self._held = "", list[float]()
        self._seen: set[str] = set()

    @property
    def n_units(self) -> int:
        """Units that count."""
        return self._means.n_images

    def add(self, values: npt.NDArray[np.float64], units: Sequence[str], *, is_last: bool = False) -> bool:
        """Take the next samples in the order of the bets; whether the question is decided.

        One bet is placed on each unit, on the mean of its samples, once the next unit shows that it is whole, or
        `is_last` says so. Looks are a fiftieth of the units apart, so that their cost stays linear; any schedule is
        valid.

        Raises
        ------
        InvalidInputError
            If samples of a unit come after those of another unit.
        """
        means = []
        for value, unit in zip(values.tolist(), units, strict=True):
            if unit != self._unit:
                means += self._whole_unit()
                if unit in self._seen:
                    raise InvalidInputError(
                        f"need the samples of one unit together for {str(self.question)!r}, those of {unit!r} are not: "
                        "images and videos cannot share a unit here"
                    )
                self._unit = unit
            self._held.append(value)
        if is_last:
            means += self._whole_unit()
        self._means.update(np.array(means, dtype=np.float64))
        if self._verdict == "open" and self.n_units >= self._next and self.n_units:
            self._verdict = self._means.decide(self.question.limit)[str(self.question)]
            self._next = self.n_units + max(1, self.n_units // 50)
        return self._verdict != "open"

    def _whole_unit(self) -> list[float]:
        if not self._held:
            return []
        self._seen.add(self._unit)
        mean = sum(self._held) / len(self._held)
        self._held = []
        return [mean]

    def to_dict(self) -> dict[str, Any]:
        """The answer with its interval, as plain data."""
        interval = self._means.interval()
        below = {"below": True, "above": False}.get(self._verdict)
        return {
            "question": str(self.question),
            "answer": None if below is None else below == self.question.is_below,
            "lower": interval.lower,
            "upper": interval.upper,
            "n_units": self.n_units,
        }
