"""The margin theorem, recomputed from a stored record, without the code that wrote it."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from proofs_check.exact.enclosure import Real
from proofs_check.recheck.record import Claim, Inputs, Refused, exact

__all__ = ["RULES"]

_GREEDY = ("greedy_answer", "the answer is one with the largest probability", "declared")


def _claim(upper: Real, slack: Real = Fraction(0)) -> Claim:
    return Claim(
        quantity="answer_change",
        lower=Fraction(0),
        upper=upper,
        trivial=(Fraction(0), Fraction(1)),
        assumptions=(_GREEDY,),
        slack=slack,
    )


def _pointwise(given: Inputs) -> Claim:
    reach, margin = 2 * given.probability("total_variation")[1], given.probability("margin")[0]
    return _claim(Fraction(int(reach >= margin)))


def _change(given: Inputs) -> Claim:
    return _claim(given.probability("reach_prob")[1])


def _telescoped(given: Inputs) -> Claim:
    match given.raw("costs"):
        case {"tuple": [_, *_] as costs}:
            ends = [given.among(f"costs[{k}]", cost, 0, 1)[1] for k, cost in enumerate(costs)]
        case other:
            raise Refused("inputs.costs", f"need the cost of one step at least, got {other!r}")
    return _claim(min(sum(ends, exact(0)), Fraction(1)))


RULES: dict[str, Callable[[Inputs], Claim]] = {
    "margin.pointwise_upper": _pointwise,
    "margin.change_upper": _change,
    "margin.telescoped_upper": _telescoped,
}
