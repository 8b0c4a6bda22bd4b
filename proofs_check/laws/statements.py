"""The certified values of a known law as checkable statements: `redundancy` computes an interval, we the truth.

The only statements whose one side calls `redundancy`: what is claimed is that its interval holds the truth and is
narrow. Tables are handed over in floats, so a law must have masses that floats hold exactly or nearly so.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from proofs_check.exact.enclosure import Real, log
from proofs_check.exact.law import Law
from proofs_check.statements.base import Statement
from redundancy.bounds import laws
from redundancy.bounds.implications import given
from redundancy.certificates.certificate import BoundCertificate

__all__ = ["STATEMENTS"]

_BIT = log(Fraction(2))


def _pair(law: Law) -> Any:
    table = np.zeros((len(law.x), len(law.y)))
    for (i, j), p in law.pair.items():
        table[i, j] = float(p)
    return table


def _whole(law: Law) -> Any:
    table = np.zeros((len(law.x), len(law.y), len(law.z)))
    for atom, p in law.masses.items():
        table[atom] = float(p)
    return table


def _rho(law: Law) -> Any:
    return np.array([[float(r) for r in row] for row in law.rho or ()])


def _values(law: Law) -> Any:
    return np.array([[float(v) for v in point] for point in law.z])


_CASES: dict[str, tuple[str, Callable[[Law], Real], Callable[[Law], BoundCertificate], tuple[str, ...], bool]] = {
    "implications.given": (
        "the declared value",
        lambda law: Fraction(float(law.mean_distance)),
        lambda law: given(quantity="mean_distance", value=float(law.mean_distance)),
        ("distances", "range"),
        False,
    ),
    "laws.law_distance": (
        "E rho",
        lambda law: law.mean_distance,
        lambda law: laws.law_distance(joint=_pair(law), distances=_rho(law)),
        ("square distance table",),
        False,
    ),
    "laws.law_tail": (
        "P[rho > t]",
        lambda law: law.tail(law.t),
        lambda law: laws.law_tail(joint=_pair(law), distances=_rho(law), t=float(law.t)),
        ("square distance table",),
        False,
    ),
    "laws.law_tail_closed": (
        "P[rho >= t]",
        lambda law: law.closed_tail(law.t),
        lambda law: laws.law_tail_closed(joint=_pair(law), distances=_rho(law), t=float(law.t)),
        ("square distance table",),
        False,
    ),
    "laws.law_mismatch": (
        "P[X != Y]",
        lambda law: law.mismatch,
        lambda law: laws.law_mismatch(joint=_pair(law)),
        ("one alphabet",),
        False,
    ),
    "laws.forward_entropy_of_law": (
        "H(X|Y)",
        lambda law: law.forward_entropy,
        lambda law: laws.forward_entropy_of_law(joint=_pair(law)),
        (),
        True,
    ),
    "laws.backward_entropy_of_law": (
        "H(Y|X)",
        lambda law: law.backward_entropy,
        lambda law: laws.backward_entropy_of_law(joint=_pair(law)),
        (),
        True,
    ),
    "laws.information_of_law": (
        "I(Z;X|Y)",
        lambda law: law.information_next,
        lambda law: laws.information_of_law(joint=_whole(law)),
        (),
        True,
    ),
    "laws.gap_of_law": (
        "F",
        lambda law: law.gap,
        lambda law: laws.gap_of_law(joint=_whole(law), task_values=_values(law)),
        (),
        False,
    ),
}


def _statements() -> tuple[Statement, ...]:
    found = []
    for theorem, (name, truth, interval, needs, bits) in _CASES.items():
        found += [_side(theorem, name, truth, interval, needs, bits, upper) for upper in (False, True)]
    return tuple(found)


def _side(
    theorem: str,
    name: str,
    truth: Callable[[Law], Real],
    interval: Callable[[Law], BoundCertificate],
    needs: tuple[str, ...],
    bits: bool,
    upper: bool,
) -> Statement:
    def end(law: Law) -> Real:
        value = interval(law).interval
        return Fraction(value.upper if upper else value.lower) * (_BIT if bits else 1)

    families = ("flip", "fresh bit", "biased reading of both", "uniform errors", "exact predictor", "star, leaf known")
    if upper:
        return Statement(
            theorem=theorem,
            part="upper end",
            claim=f"a {name} <= upper end of the certified interval",
            left=lambda law, c: c["a"] * truth(law),
            right=lambda law, c: end(law),
            needs=needs,
            constants={"a": Fraction(1)},
            families=families,
        )
    return Statement(
        theorem=theorem,
        part="lower end",
        claim=f"lower end of the certified interval <= a {name}",
        left=lambda law, c: end(law),
        right=lambda law, c: c["a"] * truth(law),
        needs=needs,
        constants={"a": Fraction(1)},
        families=families,
    )


STATEMENTS: tuple[Statement, ...] = _statements()
