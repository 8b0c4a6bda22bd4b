"""The performance gap, recomputed from a stored record, without the code that wrote it."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from proofs_check.exact.enclosure import enclose
from proofs_check.lipschitz.recheck import gap
from proofs_check.pinsker.recheck import ceiling, range_text
from proofs_check.recheck.record import Claim, Inputs

__all__ = ["RULES"]


_HALF = Fraction(1, 2)


def _performance_gap(given: Inputs) -> Claim:
    diameter = given.number("diameter", 0)
    upper = _HALF * diameter**2 * enclose(given.nats("unique_information")[1])
    claim = gap(given, upper, range_text(diameter), evidence="P", cap=ceiling(diameter, None), quantity="mmse_increase")
    cap = claim.trivial[1]
    return Claim(
        quantity="mmse_increase",
        lower=-enclose(cap),
        upper=claim.upper,
        trivial=(-enclose(cap), cap),
        assumptions=claim.assumptions,
    )


RULES: dict[str, Callable[[Inputs], Claim]] = {
    "performance_gap.performance_gap_upper": _performance_gap,
}
