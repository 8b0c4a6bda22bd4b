"""Exact values of known laws, recomputed from a stored record, without the code that wrote it."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from proofs_check.exact.enclosure import Real, enclose, log, total
from proofs_check.lemmas.recheck import conditional_entropy, marginal
from proofs_check.recheck.record import Claim, Inputs, Refused, log_base

__all__ = ["RULES"]


_KNOWN = ("known_law", "the joint law is the one given", "declared")


_UNIT = (Fraction(0), Fraction(1))


_PROBABILITIES = ("tail_prob", "tail_prob_closed", "mismatch_prob")  # exactly 0 if no cell has mass


def _value(
    quantity: str, value: Real, trivial: tuple[Real, Real], cells: int, scale: Real = 1, base: float | None = None
) -> Claim:
    """An exact value, with room for sums of that many floats of that size."""
    room = Fraction(0) if value == 0 and quantity in _PROBABILITIES else scale * Fraction(cells + 10, 10**14)
    return Claim(
        quantity=quantity, lower=value, upper=value, trivial=trivial, base=base, assumptions=(_KNOWN,), slack=room
    )


def _pair(given: Inputs) -> tuple[int, dict[tuple[int, ...], Fraction]]:
    shape, masses = given.law("joint", 2)
    if shape[0] != shape[1]:
        raise Refused("inputs.joint", f"need one alphabet for both layers, got shape {shape}")
    return shape[0], masses


def _distance(given: Inputs) -> Claim:
    size, masses = _pair(given)
    rho = given.distances("distances", size)
    most = max(Fraction(2), *(v for row in rho for v in row))
    value = sum((p * rho[i][j] for (i, j), p in masses.items()), Fraction(0))
    return _value("mean_distance", value, (Fraction(0), most), size * size, most)


def _tail(given: Inputs) -> Claim:
    size, masses = _pair(given)
    rho, t = given.distances("distances", size), given.number("t", 0)
    value = sum((p for (i, j), p in masses.items() if rho[i][j] > t), Fraction(0))
    return _value("tail_prob", value, _UNIT, size * size)


def _tail_closed(given: Inputs) -> Claim:
    size, masses = _pair(given)
    rho, t = given.distances("distances", size), given.number("t", 0)
    value = sum((p for (i, j), p in masses.items() if rho[i][j] >= t), Fraction(0))
    return _value("tail_prob_closed", value, _UNIT, size * size)


def _mismatch(given: Inputs) -> Claim:
    size, masses = _pair(given)
    return _value("mismatch_prob", sum((p for (i, j), p in masses.items() if i != j), Fraction(0)), _UNIT, size * size)


def _forward(given: Inputs) -> Claim:
    return _entropy(given, "conditional_entropy", 0)


def _backward(given: Inputs) -> Claim:
    return _entropy(given, "backward_entropy", 1)


def _entropy(given: Inputs, quantity: str, axis: int) -> Claim:
    shape, masses = given.law("joint", 2)
    base = given.base()
    unit = log_base(base)
    value = enclose(conditional_entropy(masses, axis)) / unit
    cells = shape[0] * shape[1]
    cap = enclose(log(Fraction(shape[axis]))) / unit
    return _value(quantity, value, (Fraction(0), cap), cells, 1 + cells.bit_length(), base)


def _information(given: Inputs) -> Claim:
    shape, masses = given.law("joint", 3)
    base = given.base()
    unit = log_base(base)
    xy, yz, y = marginal(masses, (0, 1)), marginal(masses, (1, 2)), marginal(masses, (1,))
    value = enclose(total(p * log(p * y[j,] / (xy[i, j] * yz[j, k])) for (i, j, k), p in masses.items())) / unit
    value = type(value)(max(value.lower, Fraction(0)), max(value.upper, Fraction(0)))
    cap = enclose(log(Fraction(min(shape[0], shape[2])))) / unit
    cells = shape[0] * shape[1] * shape[2]
    return _value("information_next", value, (Fraction(0), cap), cells, 1 + cells.bit_length(), base)


def _functional_gap(given: Inputs) -> Claim:
    shape, masses = given.law("joint", 3)
    values = given.rows("task_values")
    if len(values) != shape[2]:
        raise Refused("inputs.task_values", f"need {shape[2]} values, got {len(values)}")
    means = {}
    for axis in (0, 1):
        for (i,), mass in marginal(masses, (axis,)).items():
            rows = [(p, values[a[2]]) for a, p in masses.items() if a[axis] == i]
            means[axis, i] = [sum(p * z[d] for p, z in rows) / mass for d in range(len(values[0]))]
    gap = total(
        p * sum((u - v) ** 2 for u, v in zip(means[0, i], means[1, j], strict=True))
        for (i, j), p in marginal(masses, (0, 1)).items()
    )
    law = marginal(masses, (2,))
    centre = [sum(p * values[k][d] for (k,), p in law.items()) for d in range(len(values[0]))]
    variance = total(
        p * sum((u - v) ** 2 for u, v in zip(values[k], centre, strict=True)) for (k,), p in law.items()
    )  # fmt: skip
    cells = shape[0] * shape[1] * shape[2]
    # Large values cancel in the means: the room grows with their squares.
    scale = 1 + max(v * v for row in values for v in row) * len(values[0])
    return _value("functional_gap", gap, (Fraction(0), variance), cells, scale)


RULES: dict[str, Callable[[Inputs], Claim]] = {
    "laws.law_distance": _distance,
    "laws.law_tail": _tail,
    "laws.law_tail_closed": _tail_closed,
    "laws.law_mismatch": _mismatch,
    "laws.forward_entropy_of_law": _forward,
    "laws.backward_entropy_of_law": _backward,
    "laws.information_of_law": _information,
    "laws.gap_of_law": _functional_gap,
}
