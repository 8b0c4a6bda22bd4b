r"""The capital of a bet against a mean, and the last mean that it does not refute, for many columns at once.

Against "the mean is at least m" stake a predictable share :math:`\lambda_j \in [0, 0.95]` on every value; against
"the mean is at most m" a share in [0, 0.95/m]:

.. math:: K_i(m) = \prod_{j \le i} \bigl(1 \mp \lambda_j (u_j - m w_j)\bigr)

With w = 1 this bets on E[u], with counts as w on E[u] / E[w]. Under the hypothesis K is a non-negative
supermartingale, so it reaches 1/delta with probability at most delta (Ville), and it is monotone in m.

Everything is made of correctly rounded operations (no array logarithms), and the answer is a point of a fixed
grid: the same on every machine, and whether columns are solved alone or together.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from redundancy.errors import InvalidInputError

__all__ = ["MAX_BET", "MODES", "Problem", "bets", "capitals", "solve", "solved_together"]

Array = npt.NDArray[np.float64]

MAX_BET = 0.95
_GRID_BITS = 40  # bounds are multiples of 2^-40, about 1e-12, always rounded to the safe side
_SLACK = 1e-9  # relative error of a capital: a few ulps for each of up to 10^6 factors
_BLOCK = 200  # factors are at least 0.05: products of 200 stay above 1e-261, far from where floats lose digits
_CACHE = 32_768  # numbers per pass: three such arrays stay in a 1 MB cache
MODES = ("fixed", "sequence")
_SMALLEST, _LARGEST = float(np.finfo(np.float64).tiny), float(np.finfo(np.float64).max)


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """Find the extreme m that is not refuted, for values u in [0, 1] and weights w in [0, 1] or None, shape (n,).

    `side` "upper" bounds the mean from above, "lower" from below. `mode` "fixed" tunes the bets to n,
    "sequence" is narrow at every sample size at once; either is valid at any stopping time. `population` is
    the size of the finite population that was sampled without replacement, or None.
    """

    u: Array
    w: Array | None
    delta: float
    side: str = "upper"
    mode: str = "fixed"
    population: int | None = None

    @property
    def key(self) -> tuple[object, ...]:
        """Equal for equal problems."""
        weights = None if self.w is None else self.w.tobytes()
        return (self.u.tobytes(), weights, self.delta, self.side, self.mode, self.population)


_KNOWN: ContextVar[dict[tuple[object, ...], float] | None] = ContextVar("_KNOWN", default=None)


def solve(problem: Problem) -> float:
    """Bound on the mean, except with probability delta: a refuted grid point, or the trivial 1 (0) of the side."""
    known = _KNOWN.get()
    if known is not None and (found := known.get(problem.key)) is not None:
        return found
    return _solve_all([problem])[0]


@contextmanager
def solved_together(problems: Sequence[Problem]) -> Iterator[None]:
    """Inside the block `solve` of any of these problems costs a look-up: they are solved in one pass."""
    token = _KNOWN.set(dict(zip([p.key for p in problems], _solve_all(problems), strict=True)))
    try:
        yield
    finally:
        _KNOWN.reset(token)


def bets(u: Array, w: Array | None, delta: float, mode: str) -> Array:
    """Predictable bets along the last axis, uncapped: the j-th depends on values before j only, never on m.

    ``sqrt(2 ln(1/delta) / (s^2_{j-1} n))``, with ``j ln(1 + j)`` for n in a sequence; s^2 is the
    running variance around the running mean, shrunk to 1/4 and 1/2 as if one such value had been seen.
    """
    if mode not in MODES:
        raise InvalidInputError(f"need a mode among {MODES}, got {mode!r}")
    n = u.shape[-1]
    index = np.arange(1.0, n + 1)
    total = index if w is None else np.cumsum(w, axis=-1)
    mean = (0.5 + np.cumsum(u, axis=-1)) / (1.0 + total)
    deviation = u - (mean if w is None else mean * w)
    variance = (0.25 + np.cumsum(deviation * deviation, axis=-1)) / (1.0 + index)
    previous = np.concatenate([np.full((*u.shape[:-1], 1), 0.25), variance[..., :-1]], axis=-1)
    # Logarithms may differ by an ulp between machines; rounded, the bets do not (any bet is valid).
    odds = round(math.log(1.0 / delta), 12)
    horizon = float(n) if mode == "fixed" else np.round(index * np.log1p(index), 9)
    return np.asarray(np.sqrt(2.0 * odds / (previous * horizon)))


def capitals(problem: Problem, m: float) -> Array:
    """Capital after each value, shape (n,), in the bet against a mean of at least (side "lower": at most) m.

    For looking at and for p-values. The bet is stopped before the capital leaves the range of floats, which it
    may after thousands of values: at the largest float, or with nothing (`solve` carries exponents along instead).
    """
    u, w = problem.u[None], None if problem.w is None else problem.w[None]
    factors = _Growth(problem, u, w).at(np.array([m]))
    with np.errstate(over="ignore", under="ignore"):
        capital = np.minimum(np.cumprod(factors, axis=-1)[0], _LARGEST)
    # What is left below the smallest float of full precision is given away; there is nothing left to grow back.
    capital[np.minimum.accumulate(capital) < _SMALLEST] = 0.0
    return np.asarray(capital)


class _Growth:
    """Factors of the capital, for all columns, as functions of m."""

    def __init__(self, kind: Problem, u: Array, w: Array | None) -> None:
        self._u, self._w = u, w
        self._lower = kind.side == "lower"
        stakes = bets(u, w, kind.delta, kind.mode)
        self._stakes = stakes if self._lower else np.minimum(MAX_BET, stakes)
        self._population = kind.population
        self._centres, self._factors = np.empty_like(u), np.empty_like(u)
        if kind.population is not None:
            # Without replacement the mean of the j-th draw, given the past, is (N m - seen) / (N - j + 1).
            self._left = kind.population - np.arange(0.0, u.shape[-1] + 1)
            self._seen = np.concatenate([np.zeros((len(u), 1)), np.cumsum(u, axis=-1)], axis=-1)

    def at(self, m: Array) -> Array:
        """Factors at one m per column, shape (columns, n), in a buffer that the next call reuses."""
        centres, out = self._centres, self._factors
        if self._population is not None:
            # Under the hypothesis the true conditional mean lies in [0, 1] and on the safe side of this one.
            np.divide(self._population * m[:, None] - self._seen[:, :-1], self._left[:-1], out=centres)
            np.clip(centres, 0.0, 1.0, out=centres)
        elif self._w is None:
            centres[...] = m[:, None]
        else:
            np.multiply(self._w, m[:, None], out=centres)
        np.subtract(self._u, centres, out=out)
        if self._lower:
            # The largest loss, u = 0, then leaves 5 per cent of the capital. It shrinks with m: monotone.
            largest = centres if self._population is not None else m[:, None]
            with np.errstate(divide="ignore"):
                stakes = np.minimum(self._stakes, MAX_BET / largest)
            np.multiply(out, stakes, out=out)
            return np.add(1.0, out, out=out)
        np.multiply(out, self._stakes, out=out)
        return np.subtract(1.0, out, out=out)

    def impossible(self, m: Array) -> npt.NDArray[np.bool_]:
        """Whether what is left of a finite population, before or after any draw, cannot fit the hypothesis."""
        if self._population is None:
            return np.zeros(len(m), dtype=np.bool_)
        rest = self._population * m[:, None] - self._seen
        slack = _SLACK * self._population
        outside = rest < -slack if self._lower else rest > self._left + slack
        return np.asarray(outside.any(axis=-1))


def _solve_all(problems: Sequence[Problem]) -> list[float]:
    results = [math.nan] * len(problems)
    groups: dict[tuple[object, ...], list[int]] = {}
    for i, p in enumerate(problems):
        groups.setdefault((len(p.u), p.w is None, p.delta, p.side, p.mode, p.population), []).append(i)
    for members in groups.values():
        first = problems[members[0]]
        step = max(1, _CACHE // len(first.u))
        for start in range(0, len(members), step):
            part = members[start : start + step]
            u = np.array([problems[i].u for i in part])
            w = None if first.w is None else np.array([problems[i].w for i in part])
            levels = _bounds(_Growth(first, u, w), len(part), first)
            for i, level in zip(part, levels, strict=True):
                results[i] = float(level)
    return results


def _bounds(growth: _Growth, columns: int, kind: Problem) -> Array:
    """The refuted grid point next to those that are not, per column; the trivial end where none is refuted."""
    threshold = (1.0 + _SLACK) / kind.delta
    scale = 2.0**-_GRID_BITS

    def mean(step: Array) -> Array:
        # Steps count from the end that is refuted last; both forms are exact.
        return 1.0 - step * scale if kind.side == "lower" else step * scale

    low, high = np.zeros(columns), np.full(columns, 2.0**_GRID_BITS)
    while (high - low > 1.0).any():
        middle = np.floor(0.5 * (low + high))
        down = _refuted(growth, mean(middle), threshold)
        high, low = np.where(down, middle, high), np.where(down, low, middle)
    return mean(high)


def _refuted(growth: _Growth, m: Array, threshold: float) -> npt.NDArray[np.bool_]:
    """Whether the capital against m ever reaches the threshold; exponents are carried apart from mantissas."""
    factors = growth.at(m)
    refuted = growth.impossible(m)
    mantissa, exponent = np.ones(len(m)), np.zeros(len(m), dtype=np.int64)
    # A product that overflows has reached every threshold on its way; one that underflows only loses.
    with np.errstate(over="ignore", under="ignore"):
        for start in range(0, factors.shape[1], _BLOCK):
            block = np.multiply.accumulate(factors[:, start : start + _BLOCK], axis=1)
            # ldexp of the threshold to a large exponent is infinite, which only an infinite capital reaches.
            reach = np.ldexp(threshold, np.clip(-exponent, -2000, 2000))
            refuted |= mantissa * block.max(axis=1) >= reach
            mantissa, moved = np.frexp(mantissa * block[:, -1])
            exponent += moved
    return refuted
