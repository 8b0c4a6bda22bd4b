"""The performance gap: false variants, all of which the checks must refute."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from proofs_check.exact.enclosure import Real, greatest
from proofs_check.exact.law import Law
from proofs_check.performance_gap.statements import STATEMENTS
from proofs_check.statements.base import Constants, Statement

__all__ = ["MUTANTS", "NECESSARY"]

F = Fraction
_s = {s.name: s for s in STATEMENTS}.__getitem__


def _gap_of_performance(law: Law, c: Constants) -> Real:
    difference = law.mmse_prev - law.mmse_next
    return greatest(difference, -difference)


def _mutants() -> Iterator[tuple[str, str, str, Statement]]:
    yield "M24", "claim.unique_information_gap", "unique information bounds F", _s("claim.unique_information_gap")
    yield (
        "M28",
        "performance_gap.performance_gap_upper",
        "|mmse_prev - mmse_next| <= (Delta^2/2) I(Z;X|Y)",
        _s("performance_gap.performance_gap_upper [information]").but(
            left=_gap_of_performance, families=("constant next",)
        ),
    )


MUTANTS = tuple(_mutants())
# Theorem, part, an assumption that it needs, and families that break it without.
NECESSARY = (
    ("performance_gap.performance_gap_upper", "unique information", "same pairwise margins", ("unrelated coupling",)),
)
