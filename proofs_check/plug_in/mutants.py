"""Theorem 2: false variants, all of which the checks must refute."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from proofs_check.exact.enclosure import Real, sqrt
from proofs_check.plug_in.statements import STATEMENTS
from proofs_check.statements.base import Statement

__all__ = ["MUTANTS", "NECESSARY", "WRONG"]

F = Fraction
_s = {s.name: s for s in STATEMENTS}.__getitem__


def _mutants() -> Iterator[tuple[str, str, str, Statement]]:
    yield "M11b", "plug_in.printed_upper", "Theorem 2 with < for <=", _s("plug_in.printed_upper [printed, strict]")
    yield "M13a", "plug_in.printed_upper", "constant 1 for 3", _s("plug_in.printed_upper").with_constants(a=F(1))
    yield (
        "M13b",
        "plug_in.printed_upper",
        "constant 2.9 for 3",
        _s("plug_in.printed_upper [with F]").with_constants(a=F(29, 10)),
    )
    yield (
        "M37",
        "plug_in.minkowski_bounds",
        "G <= F, the errors of the probes forgotten",
        _s("plug_in.minkowski_bounds [upper]").but(right=lambda law, c: sqrt(law.gap)),
    )


MUTANTS = tuple(_mutants())
# Where 9/10 of the constant (11/10 on the left side) is not yet false, or a plainer wrong value is the likely mistake.
WRONG: dict[tuple[str, str], Real] = {
    ("plug_in.printed_upper", "a"): F(1),
    ("plug_in.printed_upper", "b"): F(3),
    ("plug_in.printed_upper [with F]", "a"): F(29, 10),
}
# Theorem, part, an assumption that it needs, and families that break it without.
NECESSARY = (("plug_in.function_upper", "", "next is a function", ("probes off at a flip",)),)
