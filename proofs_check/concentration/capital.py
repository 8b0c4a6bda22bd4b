"""Capital of a bet against a mean, in fixed-point integers of 256 bits with directed rounding.

The bets follow the formula of the theory, cut to 256 bits: any predictable bet is valid, so only the products need
to be rigorous. Against "the mean is at least m" the j-th factor is ``1 - lambda_j (u_j - m w_j)``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from proofs_check.exact.enclosure import enclose, log

__all__ = ["Bet", "last_unrefuted"]

_BITS = 256
_ONE = 1 << _BITS
_STAKE = Fraction(19, 20)
_GRID = 1 << 40  # bounds are multiples of 2^-40
_ULPS = 8  # each factor is computed from a few cut numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class Bet:
    """Values u and weights w in [0, 1], exact; which side is bounded, and how the bets are tuned."""

    u: Sequence[Fraction]
    w: Sequence[Fraction] | None
    delta: Fraction
    side: str
    mode: str
    population: int | None = None

    def refutes(self, m: Fraction, stakes: Sequence[int]) -> tuple[bool, bool]:
        """Whether the capital against m surely reaches 1/delta, and whether it possibly does."""
        if self._excluded(m):
            return True, True
        goal = _cut(1 / self.delta)
        low = high = _ONE
        sure = possible = False
        seen = Fraction(0)
        cut = _cut(m)
        ceiling = _cut(_STAKE / m) if m > 0 else None
        for j, (value, stake) in enumerate(zip(self.u, stakes, strict=True)):
            share, centre = stake, cut
            if self.population is not None:
                left = self.population - j
                exact = (self.population * m - seen) / left
                exact = min(max(exact, Fraction(0)), Fraction(1))
                centre, seen = _cut(exact), seen + value
                ceiling = _cut(_STAKE / exact) if exact > 0 else None
            elif self.w is not None:
                centre = _cut(m * self.w[j])
            if self.side == "upper":
                share = min(share, _cut(_STAKE))
            elif ceiling is not None:
                share = min(share, ceiling)
            move = (share * (_cut(value) - centre)) >> _BITS
            factor = _ONE - move if self.side == "upper" else _ONE + move
            low = (low * max(factor - _ULPS * (1 + (share >> _BITS)), 0)) >> _BITS
            high = ((high * (factor + _ULPS * (1 + (share >> _BITS)))) >> _BITS) + 1
            sure |= low >= goal
            possible |= high >= goal
        return sure, possible

    def _excluded(self, m: Fraction) -> bool:
        """Whether the rest of a finite population cannot bring its mean to m, before or after any draw."""
        if self.population is None:
            return False
        rest, left = self.population * m, self.population
        for value in (*self.u, None):
            if rest > left if self.side == "upper" else rest < 0:
                return True
            rest, left = rest - (value or 0), left - 1
        return False

    def stakes(self) -> list[int]:
        """``sqrt(2 ln(1/delta) / (s^2 n))``, s^2 from the values before; n becomes ``j ln(1 + j)`` in a sequence.

        The odds count to 12 decimals and ``j ln(1 + j)`` to 9, as the bound defines them.
        """
        odds = Fraction(round(_middle(log(1 / self.delta)), 12))
        n = len(self.u)
        found, before = [], _ONE // 4
        total, weight, squares = _ONE // 2, _ONE, _ONE // 4
        for j, value in enumerate(self.u, 1):
            horizon = Fraction(n) if self.mode == "fixed" else round(_middle(j * enclose(log(Fraction(1 + j)))), 9)
            ratio = _cut(2 * odds / horizon) * _ONE // before
            found.append(math.isqrt(ratio << _BITS))
            u, w = _cut(value), _ONE if self.w is None else _cut(self.w[j - 1])
            total, weight = total + u, weight + w
            mean = (total << _BITS) // weight
            apart = u - ((mean * w) >> _BITS)
            squares += (apart * apart) >> _BITS
            before = squares // (1 + j)
        return found


def last_unrefuted(bet: Bet, stored: Fraction, room: Fraction) -> tuple[Fraction, Fraction]:
    """The extreme mean that the bet does not refute, as (not refuted, refuted); the trivial end if all are.

    If the stored bound passes as the refuted one and a mean `room` further in is not refuted, that is the answer:
    two products instead of a search.
    """
    stakes = bet.stakes()
    end, inward = (Fraction(1), -1) if bet.side == "upper" else (Fraction(0), 1)
    near = min(max(stored + inward * room, Fraction(0)), Fraction(1))
    if 0 <= stored <= 1 and not bet.refutes(near, stakes)[0] and (stored == end or bet.refutes(stored, stakes)[1]):
        return near, stored
    low, high = 0, _GRID  # steps from the end that is refuted last
    while high - low > 1:
        middle = (low + high) // 2
        if bet.refutes(_mean(bet, middle), stakes)[1]:
            high = middle
        else:
            low = middle
    return _mean(bet, low), _mean(bet, high)


def _mean(bet: Bet, step: int) -> Fraction:
    return Fraction(step, _GRID) if bet.side == "upper" else 1 - Fraction(step, _GRID)


def _middle(x: object) -> Fraction:
    number = enclose(x)
    return Fraction((number.lower + number.upper) / 2)


def _cut(x: Fraction) -> int:
    return (x.numerator << _BITS) // x.denominator
