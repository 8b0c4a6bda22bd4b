"""Code mismatch: false variants, all of which the checks must refute."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from proofs_check.exact.enclosure import Real
from proofs_check.mismatch.statements import STATEMENTS
from proofs_check.statements.base import Statement

__all__ = ["MUTANTS", "NECESSARY", "WRONG"]

F = Fraction
_FORWARD, _BACKWARD = "previous - next - task", "next - previous - task"
_s = {s.name: s for s in STATEMENTS}.__getitem__


def _mutants() -> Iterator[tuple[str, str, str, Statement]]:
    yield (
        "M29",
        "mismatch.mismatch_upper_of_diameter",
        "kappa = Delta^2 for vector tasks",
        _s("mismatch.mismatch_upper_of_diameter [scalar or one-hot]").without("scalar or one-hot"),
    )


MUTANTS = tuple(_mutants())
# Where 9/10 of the constant (11/10 on the left side) is not yet false, or a plainer wrong value is the likely mistake.
WRONG: dict[tuple[str, str], Real] = {
    ("mismatch.mismatch_upper_of_diameter [any task]", "a"): F(1),
    ("mismatch.mismatch_upper_of_diameter [kappa]", "a"): F(1),
}
# Theorem, part, an assumption that it needs, and families that break it without.
NECESSARY = (
    ("mismatch.coupling_upper", _FORWARD, _FORWARD, ("lost bit",)),
    ("mismatch.coupling_upper", _BACKWARD, _BACKWARD, ("fresh bit",)),
)
