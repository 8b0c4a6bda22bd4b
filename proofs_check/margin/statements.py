"""The margin theorem, as checkable statements: y is the input, x the answer without the plan, z the one with it."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from proofs_check.exact.enclosure import Real, greatest, least
from proofs_check.exact.extras import complete
from proofs_check.exact.law import Law
from proofs_check.statements.assumptions import add_assumption
from proofs_check.statements.base import Statement

__all__ = ["FAMILIES", "STATEMENTS", "change", "margin", "variation"]

_ONE, _TWO, _HALF = Fraction(1), Fraction(2), Fraction(1, 2)
_NEED = add_assumption(
    "one answer alphabet", "answers with and without the plan are coded alike", lambda law: len(law.x) == len(law.z)
)


def _answers(law: Law, axis: str, y: int) -> list[Real]:
    """Law of the answer on one input."""
    masses = law.marginal(f"{axis}y")
    return [masses.get((k, y), Fraction(0)) / law.prev_law[y] for k in range(len(law.x))]


def _half_l1(p: list[Real], q: list[Real]) -> Real:
    return sum((greatest(a - b, b - a) for a, b in zip(p, q, strict=True)), Fraction(0)) / 2


def variation(law: Law, y: int) -> Real:
    """TV(p, q) on one input."""
    return _half_l1(_answers(law, "x", y), _answers(law, "z", y))


def margin(law: Law, y: int) -> Real:
    """The largest probability less the second largest; 1 where there is one answer only."""
    first, second = sorted([*_answers(law, "x", y), Fraction(0)], reverse=True)[:2]
    return first - second


def change(law: Law) -> Real:
    """P[answers may differ], ties broken in the worst way."""
    result: Real = Fraction(0)
    for y, mass in law.prev_law.items():
        p, q = _answers(law, "x", y), _answers(law, "z", y)
        best = [{k for k, v in enumerate(r) if v == max(r)} for r in (p, q)]
        result = result + mass * int(len(best[0] | best[1]) > 1)
    return result


def _share(law: Law, reached: Callable[[int], bool]) -> Real:
    return sum((mass for y, mass in law.prev_law.items() if reached(y)), Fraction(0))


def _cost(law: Law, y: int, moved: Real) -> Real:
    gap = margin(law, y)
    return least(_ONE, moved / gap) if gap else _ONE


def _costs(law: Law, scale: Real) -> Real:
    """Two steps: from p to the predictor of the law, and from it to q."""
    result: Real = Fraction(0)
    for y, mass in law.prev_law.items():
        p, q = _answers(law, "x", y), _answers(law, "z", y)
        between = [law.extra["predictor"][y].get(k, Fraction(0)) for k in range(len(law.x))]
        for a, b in ((p, between), (between, q)):
            result = result + mass * _cost(law, y, scale * _half_l1(a, b))
    return result


def _tie(high: Fraction) -> Law:
    """P = (high, 1 - high) on one of two inputs, where q is a tie; nothing changes on the other."""
    p, rest = {0: high, 1: 1 - high}, 1 - high
    masses = {(x, 0, z): p[x] * _HALF * _HALF for x in p for z in (0, 1)}
    masses |= {(0, 1, 0): (1 - rest) * _HALF, (1, 1, 1): rest * _HALF}
    law = Law({k: v for k, v in masses.items() if v}, ((_ONE,), (_TWO,)), ((_ONE,), (_TWO,)), ((_ONE,), (_TWO,)))
    tie = {0: _HALF, 1: _HALF}
    return complete(Law(law.masses, law.x, law.y, law.z, extra={"predictor": (tie, p)}))


FAMILIES = {"a tie reached": lambda: [_tie(Fraction(k, 8)) for k in (5, 6, 7, 8)]}

STATEMENTS: tuple[Statement, ...] = (
    Statement(
        theorem="margin.pointwise_upper",
        claim="summed over inputs: 1[answer changes] <= 1[a TV >= margin]",
        left=lambda law, c: change(law),
        right=lambda law, c: _share(law, lambda y: c["a"] * variation(law, y) >= margin(law, y)),
        needs=(_NEED,),
        constants={"a": _TWO},
        families=("a tie reached",),
    ),
    Statement(
        theorem="margin.change_upper",
        claim="P[answer changes] <= P[a TV >= margin]",
        left=lambda law, c: change(law),
        right=lambda law, c: _share(law, lambda y: c["a"] * variation(law, y) >= margin(law, y)),
        needs=(_NEED,),
        constants={"a": _TWO},
        families=("a tie reached",),
    ),
    Statement(
        theorem="margin.telescoped_upper",
        claim="P[answer changes] <= E min(1, a TV(p, r) / margin) + E min(1, a TV(r, q) / margin)",
        left=lambda law, c: change(law),
        right=lambda law, c: _costs(law, c["a"]),
        needs=(_NEED, "predictor"),
        constants={"a": _TWO},
        families=("a tie reached",),
    ),
)
