"""Lemmas 1 to 5, recomputed from a stored record, without the code that wrote it."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

from proofs_check.exact.enclosure import Real, enclose, log, sqrt, total
from proofs_check.recheck.record import Claim, Inputs, Refused, entropy_terms, log_base

__all__ = ["RULES", "UNIT_NORM", "conditional_entropy", "marginal"]


_HALF_LINE = (Fraction(0), math.inf)


_METRIC = (("metric", "the distance obeys the triangle inequality", "declared"),)


UNIT_NORM = ("unit_norm", "the states of both layers have norm 1", "declared")


_CHAIN_TOLERANCE = Fraction(1, 10**9)  # a float table obeys a chain only up to rounding


def _lemma1(given: Inputs) -> Claim:
    a, b = enclose(given.upper("first")), enclose(given.upper("second"))
    return Claim(
        quantity="squared_distance", lower=0, upper=2 * a**2 + 2 * b**2, trivial=_HALF_LINE, assumptions=_METRIC
    )


def _lemma1_minkowski(given: Inputs) -> Claim:
    leg = enclose(given.upper("first")) + given.upper("second")
    return Claim(quantity="squared_distance", lower=0, upper=leg**2, trivial=_HALF_LINE, assumptions=_METRIC)


def _lemma2(given: Inputs) -> Claim:
    lower, upper = given.evidence("mean_distance", 0, 2)
    return Claim(
        quantity="mean_squared_distance",
        lower=2 * lower,
        upper=2 * upper,
        trivial=(Fraction(0), Fraction(4)),
        assumptions=(UNIT_NORM,),
    )


def _lemma2_norms(given: Inputs) -> Claim:
    least = given.number("norm_lower", 0)
    most = given.number("norm_upper", least)
    mean, gap = given.evidence("mean_distance", 0, 2), given.evidence("norm_gap_squared")
    return Claim(
        quantity="mean_squared_distance",
        lower=gap[0] + 2 * least**2 * mean[0],
        upper=gap[1] + 2 * most**2 * mean[1],
        trivial=_HALF_LINE,
        assumptions=(
            ("norm_range", f"the norms of both layers lie in [{float(least):g}, {float(most):g}]", "declared"),
        ),
    )


def _lemma3(given: Inputs) -> Claim:
    squares = total(enclose(given.upper(name)) for name in ("first", "second", "third"))
    return Claim(quantity="squared_norm_of_sum", lower=0, upper=3 * squares, trivial=_HALF_LINE)


def _lemma3_minkowski(given: Inputs) -> Claim:
    norm = total(enclose(sqrt(given.upper(name))) for name in ("first", "second", "third"))
    return Claim(quantity="squared_norm_of_sum", lower=0, upper=enclose(norm) ** 2, trivial=_HALF_LINE)


def _lemma4(given: Inputs) -> Claim:
    shape, masses = given.law("joint", 3)
    base = given.base()
    for (i, j, k), p in masses.items():  # Y - X - Z: p(x,y,z) p(x) = p(x,y) p(x,z)
        p_x = sum(v for a, v in masses.items() if a[0] == i)
        p_xy = sum(v for a, v in masses.items() if a[:2] == (i, j))
        p_xz = sum(v for a, v in masses.items() if (a[0], a[2]) == (i, k))
        if abs(p * p_x - p_xy * p_xz) > _CHAIN_TOLERANCE:
            raise Refused("inputs.joint", "previous - next - task is no Markov chain here")
    xz, x = marginal(masses, (0, 2)), marginal(masses, (0,))
    yz, y = marginal(masses, (1, 2)), marginal(masses, (1,))
    unit = log_base(base)
    value = total(p * log(xz[i, k] * y[j,] / (x[i,] * yz[j, k])) for (i, j, k), p in masses.items()) / unit
    whole = entropy_terms(list(marginal(masses, (2,)).values())) / unit
    return Claim(
        quantity="information_next",
        lower=_floor(value),
        upper=_floor(value),
        trivial=(Fraction(0), whole),
        base=base,
        assumptions=(("chain_prev_next_task", "previous - next - task is a Markov chain", "checked"),),
        slack=_room(math.prod(shape)),
    )


def _lemma5(given: Inputs) -> Claim:
    shape, masses = given.law("joint", 2)
    base = given.base()
    unit = log_base(base)
    value = conditional_entropy(masses, 0) / unit
    return Claim(
        quantity="self_unique_information",
        lower=value,
        upper=value,
        trivial=(Fraction(0), entropy_terms(list(marginal(masses, (0,)).values())) / unit),
        base=base,
        assumptions=(("decomposition", "a non-negative decomposition that satisfies Definition 5", "declared"),),
        slack=_room(math.prod(shape)),
    )


def conditional_entropy(masses: dict[tuple[int, ...], Fraction], axis: int) -> Real:
    """H(axis | other axis) of a pair, nats; never below 0."""
    other = marginal(masses, (1 - axis,))
    return enclose(total(p * log(other[index[1 - axis],] / p) for index, p in masses.items()))


def marginal(masses: dict[tuple[int, ...], Fraction], axes: tuple[int, ...]) -> dict[tuple[int, ...], Fraction]:
    """Masses of some axes."""
    found: dict[tuple[int, ...], Fraction] = {}
    for index, p in masses.items():
        key = tuple(index[a] for a in axes)
        found[key] = found.get(key, Fraction(0)) + p
    return found


def _floor(value: Real) -> Real:
    """An information is >= 0, whatever the rounding of its enclosure."""
    number = enclose(value)
    return type(number)(max(number.lower, Fraction(0)), max(number.upper, Fraction(0)))


def _room(cells: int) -> Fraction:
    """What summing that many float terms may add: generous, and still far below any change of a digit."""
    return Fraction(cells + 10, 10**14)


RULES: dict[str, Callable[[Inputs], Claim]] = {
    "lemmas.squared_triangle_upper": _lemma1,
    "lemmas.squared_triangle_minkowski": _lemma1_minkowski,
    "lemmas.squared_distance_of_cosine": _lemma2,
    "lemmas.squared_distance_of_norms": _lemma2_norms,
    "lemmas.squared_sum_upper": _lemma3,
    "lemmas.sum_minkowski": _lemma3_minkowski,
    "lemmas.divergence_information": _lemma4,
    "lemmas.self_unique_information": _lemma5,
}
