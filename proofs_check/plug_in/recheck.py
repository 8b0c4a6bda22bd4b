"""Theorem 2, recomputed from a stored record, without the code that wrote it."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

from proofs_check.exact.enclosure import enclose, exceeds, sqrt
from proofs_check.lemmas.recheck import UNIT_NORM
from proofs_check.lipschitz.recheck import gap
from proofs_check.recheck.record import Claim, Inputs

__all__ = ["RULES"]


_FRESH = ("fresh_probes", "both probes were fitted on data independent of the evaluation law", "declared")


def _printed(given: Inputs) -> Claim:
    a, b = enclose(given.upper("alpha")), enclose(given.upper("beta"))
    e = given.evidence("mean_distance", 0, 2)[1]
    upper = 3 * enclose(given.upper("error_next")) + 3 * enclose(given.upper("error_prev")) + 12 * (a**2 + b**2) * e
    text = f"E[Z | both layers] is ({float(a.upper):g}, {float(b.upper):g})-Lipschitz in (next, previous)"
    return gap(None, upper, ("lipschitz_task", text, "declared"), UNIT_NORM, _FRESH, quantity="probe_gap")


def _minkowski(given: Inputs) -> Claim:
    return _ring(given, "functional_gap", "probe_gap", None)


def _inverse(given: Inputs) -> Claim:
    return _ring(given, "probe_gap", "functional_gap", given)


def _ring(given: Inputs, centre: str, quantity: str, capped: Inputs | None) -> Claim:
    lower, upper = given.evidence(centre)
    width = enclose(sqrt(given.upper("error_next"))) + sqrt(given.upper("error_prev"))
    if math.isinf(width.upper):
        return gap(capped, math.inf, _FRESH, evidence="P", quantity=quantity)
    root = enclose(sqrt(lower))
    inner = root - width
    least_gap = inner**2 if exceeds(inner, Fraction(0)) else enclose(0)
    # The two roots are subtracted with an allowance for rounding, then squared.
    slack = Fraction(1, 10**13) * (root.upper + width.upper) ** 2 if exceeds(inner, Fraction(0)) else Fraction(0)
    claim = gap(capped, (enclose(sqrt(upper)) + width) ** 2, _FRESH, evidence="P", quantity=quantity, lower=least_gap)
    return Claim(
        quantity=quantity,
        lower=least_gap,
        upper=claim.upper,
        trivial=claim.trivial,
        assumptions=claim.assumptions,
        evidence="P",
        slack=slack,
    )


def _function(given: Inputs) -> Claim:
    inner = enclose(given.upper("error_next")) + given.upper("functional_gap")
    root = enclose(sqrt(given.upper("error_prev"))) + sqrt(inner)
    layer = ("deterministic_layer", "the next state is a function of the previous state", "declared")
    return gap(None, root**2, layer, _FRESH, quantity="probe_gap")


def _probe_lipschitz(given: Inputs) -> Claim:
    constant = enclose(given.upper("lipschitz"))
    text = ("probe_lipschitz", f"the probe is {float(constant.upper):g}-Lipschitz", "declared")
    upper = constant**2 * given.upper("squared_distance")
    return gap(None, upper, text, evidence="P", quantity="probe_shift")


RULES: dict[str, Callable[[Inputs], Claim]] = {
    "plug_in.printed_upper": _printed,
    "plug_in.minkowski_bounds": _minkowski,
    "plug_in.inverse_bounds": _inverse,
    "plug_in.function_upper": _function,
    "plug_in.probe_lipschitz_upper": _probe_lipschitz,
}
