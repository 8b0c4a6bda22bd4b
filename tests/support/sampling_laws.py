"""Small sampling models listed in full: every sample with its exact probability, and the bets by the textbook.

Nothing here calls the library: it is the independent truth that the confidence bounds are compared with.
"""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import product

import numpy as np
from hypothesis import settings

QUICK = settings(deadline=None, max_examples=60, derandomize=True)


def iid_samples(values, masses, n):
    """Every ordered sample of n i.i.d. draws of `values`, shape (len(values)^n, n), and its probability."""
    picks = np.array(list(product(range(len(values)), repeat=n)))
    return np.asarray(values)[picks], np.prod(np.asarray(masses, dtype=float)[picks], axis=1)


def draws_without_replacement(population, n):
    """Every ordered sample of n of the population's distinguishable units, with its probability."""
    weights: dict[tuple[float, ...], int] = {}

    def extend(left, sample, ways):
        if len(sample) == n:
            weights[sample] = weights.get(sample, 0) + ways
            return
        for value in sorted(set(left)):
            rest = list(left)
            rest.remove(value)
            extend(rest, (*sample, value), ways * left.count(value))

    extend(list(population), (), 1)
    total = math.perm(len(population), n)
    return np.array(list(weights), dtype=float), np.array([w / total for w in weights.values()])


def binomial_masses(n, p):
    """P(Binomial(n, p) = k) for k = 0..n, by the sum's own terms."""
    return np.array([math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(n + 1)])


def textbook_bets(x, w, delta, mode, cap=0.95):
    """The bets of theory.md section 3, one at a time: sqrt(2 ln(1/delta) / (s^2_{j-1} horizon_j))."""
    bets, mean, spread, total, weight = [], 0.5, 0.25, 0.5, 1.0
    for j, (value, share) in enumerate(zip(x, w, strict=True), start=1):
        horizon = len(x) if mode == "fixed" else j * math.log(1 + j)
        bets.append(math.sqrt(2 * math.log(1 / delta) / (spread / j * horizon)))
        total, weight = total + value, weight + share
        mean = total / weight
        spread += (value - mean * share) ** 2
    return bets if cap is None else [min(cap, bet) for bet in bets]


def exact_capital(x, w, bets, m, *, side="upper", population=None):
    """Largest capital of the bet, in rational arithmetic on the floats given; infinite if m is impossible."""
    m, seen, capital, top = Fraction(m), Fraction(0), Fraction(1), Fraction(0)
    for j, (value, share, bet) in enumerate(zip(x, w, bets, strict=True)):
        centre = m * Fraction(share)
        largest = m
        if population is not None:
            centre = (population * m - seen) / (population - j)
            if not 0 <= centre <= 1:
                return math.inf
            largest = centre
        stake = Fraction(bet)
        if side == "lower":
            stake = min(stake, Fraction(95, 100) / largest) if largest else stake
            capital *= 1 + stake * (Fraction(value) - centre)
        else:
            capital *= 1 - min(stake, Fraction(95, 100)) * (Fraction(value) - centre)
        top, seen = max(top, capital), seen + Fraction(value)
    return top
