"""A predictor of the next code from the previous one that never gives a code probability 0."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from estimators.codes.pairs import CodedPair, Whole
from redundancy.checks import check_real

__all__ = ["CodePredictor", "fit_predictor"]

Array = npt.NDArray[np.float64]

_STRENGTHS = (1.0, 4.0, 16.0, 64.0, 256.0)  # tokens that the geometry counts for
_STAYS = (0.0, 0.5, 0.9, 0.99)
_SLOPES = (0.0, 2.0, 8.0, 32.0)  # per mean distance between codes


@dataclass(frozen=True, slots=True, eq=False)
class CodePredictor:
    r"""Smoothed counts, backed off to "the code stays, or moves to one nearby".

    .. math:: q(a | b) = (1 - \epsilon) \frac{n_{ab} + c\, q_0(a|b)}{n_b + c} + \frac\epsilon K, \qquad
        q_0(a | b) = r 1[a = b] + (1 - r) \frac{\pi_a e^{-s\,\rho(a, b)}}{\sum_{a'} \pi_{a'} e^{-s\,\rho(a', b)}}

    A conditional law for every b, whatever its parameters, so its log-loss bounds H(next | previous).

    Attributes
    ----------
    strength, stay, slope, floor : float
        c, r, s and epsilon.
    """

    counts: dict[tuple[int, int], int]
    prev_counts: Whole
    law: Array
    distances: Array | None
    strength: float
    stay: float
    slope: float
    floor: float

    @property
    def n_codes(self) -> int:
        """K."""
        return len(self.law)

    @property
    def loss_max(self) -> float:
        """No log-loss is above ``ln(K / epsilon)`` nats."""
        return math.log(self.n_codes / self.floor)

    def losses(self, pair: CodedPair) -> Array:
        """``-ln q(next | prev)`` of every token in nats, shape (n_tokens,)."""
        cell, inverse = np.unique(pair.next * pair.n_codes + pair.prev, return_inverse=True)
        after, before = cell // pair.n_codes, cell % pair.n_codes
        move = self._move(after, before)
        return np.asarray(self._losses(after, before, self._seen(after, before), move)[inverse])

    def _seen(self, after: Whole, before: Whole) -> Array:
        """Counts of these cells."""
        cells = zip(after.tolist(), before.tolist(), strict=True)
        return np.array([self.counts.get(cell, 0) for cell in cells], dtype=np.float64)

    def _losses(self, after: Whole, before: Whole, seen: Array, move: Array) -> Array:
        backed = self.stay * (after == before) + (1.0 - self.stay) * move
        smooth = (seen + self.strength * backed) / (self.prev_counts[before] + self.strength)
        return np.asarray(-np.log((1.0 - self.floor) * smooth + self.floor / self.n_codes))

    def _move(self, after: Whole, before: Whole) -> Array:
        """The part of q_0 that moves to codes nearby."""
        if self.distances is None or self.slope == 0.0:
            return np.asarray(self.law[after])
        norms = np.empty(self.n_codes)
        for start in range(0, self.n_codes, 512):  # no K x K temporary beside the distances
            part = self.distances[start : start + 512]
            norms[start : start + 512] = np.exp(-self.slope * part) @ self.law
        return np.asarray(self.law[after] * np.exp(-self.slope * self.distances[after, before]) / norms[before])


def fit_predictor(train: CodedPair, tune: CodedPair, *, floor: float = 0.01) -> CodePredictor:
    """Count on some images, choose strength, stay and slope on others, then count on both.

    Parameters
    ----------
    train, tune : CodedPair
        Different images; neither may be among those that the predictor is judged on.
    floor : float, default=0.01
        epsilon in (0, 1): the price of a bounded loss is at most ``-ln(1 - epsilon)`` nats.
    """
    check_real(floor, "floor", lower=0.0, upper=1.0, open_ends=True)
    candidate = _count(train, floor)
    cell, times = np.unique(tune.next * tune.n_codes + tune.prev, return_counts=True)
    after, before = cell // tune.n_codes, cell % tune.n_codes
    seen = candidate._seen(after, before)
    slopes: tuple[float, ...] = (0.0,)
    if train.distances is not None and (spread := float(train.distances.mean())) > 0.0:
        slopes = tuple(slope / spread for slope in _SLOPES)
    best, chosen = math.inf, (1.0, 0.0, 0.0)
    for slope in slopes:
        move = _with(candidate, slope=slope)._move(after, before)
        for strength, stay in product(_STRENGTHS, _STAYS):
            trial = _with(candidate, strength=strength, stay=stay, slope=slope)
            loss = float((times * trial._losses(after, before, seen, move)).sum())
            if loss < best:
                best, chosen = loss, (strength, stay, slope)
    final = _count(_joined(train, tune), floor)
    return _with(final, strength=chosen[0], stay=chosen[1], slope=chosen[2])


def _count(pair: CodedPair, floor: float) -> CodePredictor:
    after, before, times = pair.cells()
    law = np.bincount(pair.next, minlength=pair.n_codes) + 1.0 / pair.n_codes
    return CodePredictor(
        counts=dict(zip(zip(after.tolist(), before.tolist(), strict=True), times.tolist(), strict=True)),
        prev_counts=np.bincount(pair.prev, minlength=pair.n_codes).astype(np.int64),
        law=law / law.sum(),
        distances=pair.distances,
        strength=1.0,
        stay=0.0,
        slope=0.0,
        floor=floor,
    )


def _with(predictor: CodePredictor, **changes: float) -> CodePredictor:
    fields = {name: getattr(predictor, name) for name in CodePredictor.__dataclass_fields__}
    return CodePredictor(**{**fields, **changes})


def _joined(first: CodedPair, second: CodedPair) -> CodedPair:
    """Rows of two disjoint sets of images."""
    names = (*first.index.names, *second.index.names)
    rows = np.concatenate([first.index.rows, second.index.rows + len(first.index.names)])
    index = type(first.index)(names, rows)
    return CodedPair(
        np.concatenate([first.prev, second.prev]),
        np.concatenate([first.next, second.next]),
        index,
        first.n_codes,
        first.distances,
        first.source,
    )
