"""The margin theorem: false variants, all of which the checks must refute."""

from __future__ import annotations

from fractions import Fraction

from proofs_check.exact.enclosure import Real
from proofs_check.exact.law import Law
from proofs_check.margin.statements import STATEMENTS, margin, variation
from proofs_check.statements.base import Constants

__all__ = ["MUTANTS"]

_change = {s.name: s for s in STATEMENTS}["margin.change_upper"]


def _strictly(law: Law, c: Constants) -> Real:
    reached = {y for y in law.prev_law if 2 * variation(law, y) > margin(law, y)}
    return sum((p for y, p in law.prev_law.items() if y in reached), Fraction(0))


def _mean_variation(law: Law, c: Constants) -> Real:
    return sum((p * variation(law, y) for y, p in law.prev_law.items()), Fraction(0))


MUTANTS = (
    (
        "M38",
        "margin.change_upper",
        "P[answer changes] <= P[TV >= margin], the factor 2 forgotten",
        _change.with_constants(a=Fraction(1)),
    ),
    (
        "M39",
        "margin.change_upper",
        "P[answer changes] <= P[2 TV > margin]",
        _change.but(
            right=lambda law, c: sum(p for y, p in law.prev_law.items() if 2 * variation(law, y) > margin(law, y))
        ),
    ),
    (
        "M40",
        "margin.change_upper",
        "P[answer changes] <= E TV",
        _change.but(right=_mean_variation),
    ),
)
