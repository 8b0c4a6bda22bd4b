"""Code mismatch, recomputed from a stored record, without the code that wrote it."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from proofs_check.lipschitz.recheck import CHAINS, gap
from proofs_check.mismatch.task_values import mismatch_constant, squared_radius
from proofs_check.pinsker.recheck import ceiling
from proofs_check.recheck.record import Claim, Inputs

__all__ = ["RULES"]


_COMMON = (
    "common_alphabet",
    "both layers are coded in one finite alphabet, the gap is that of the codes",
    "declared",
)


_VALUES = ("task_values", "the task takes no other values than those listed", "declared")


_KINDS = {"scalar": Fraction(1), "one_hot": Fraction(1), "vector": Fraction(7, 4)}


def _coupling(given: Inputs) -> Claim:
    chain, diameter = given.choice("chain", list(CHAINS)), given.number("diameter", 0)
    upper = diameter**2 * given.probability("miss_prob")[1]
    text = ("task_diameter", f"no two task values are further apart than {float(diameter):g}", "declared")
    return gap(None, upper, CHAINS[chain], text, cap=ceiling(diameter, None))


def _mismatch(given: Inputs) -> Claim:
    values = given.rows("task_values")
    p = given.probability("mismatch_prob")[1]
    extent = 2 * max(abs(v) for row in values for v in row)
    # The radius is found by steps that may stop early, above the smallest one: sharpness lost, not validity.
    slack = extent**2 * Fraction(1, 10**6)
    upper = mismatch_constant(values) * p
    return gap(None, upper, _COMMON, _VALUES, evidence="P", cap=squared_radius(values), slack=slack)


def _mismatch_diameter(given: Inputs) -> Claim:
    kind, diameter = given.choice("kind", list(_KINDS)), given.number("diameter", 0)
    upper = _KINDS[kind] * diameter**2 * given.probability("mismatch_prob")[1]
    text = f"a {kind} task no two values of which are further apart than {float(diameter):g}"
    return gap(None, upper, _COMMON, ("task_kind", text, "declared"), evidence="P", cap=ceiling(diameter, None))


RULES: dict[str, Callable[[Inputs], Claim]] = {
    "mismatch.coupling_upper": _coupling,
    "mismatch.mismatch_upper": _mismatch,
    "mismatch.mismatch_upper_of_diameter": _mismatch_diameter,
}
