"""Plain logic, and readings of the paper that are false: false variants, all of which the checks must refute."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from proofs_check.implications.statements import STATEMENTS
from proofs_check.statements.base import Statement

__all__ = ["MUTANTS"]

F = Fraction
_s = {s.name: s for s in STATEMENTS}.__getitem__


def _mutants() -> Iterator[tuple[str, str, str, Statement]]:
    yield (
        "M26",
        "claim.proximal_informational",
        "proximal implies informational",
        _s("claim.proximal_informational"),
    )
    yield (
        "M27",
        "claim.information_redundancy",
        "much information leaves little entropy",
        _s("claim.information_redundancy"),
    )
    yield (
        "M30a",
        "claim.codes_bound_entropy",
        "H(X|Y) <= H(code X | code Y)",
        _s("claim.codes_bound_entropy [raw states]"),
    )
    yield "M30b", "claim.information_chain", "I(Z;X|Y) <= I(Z;X)", _s("claim.information_chain")
    yield (
        "M34",
        "claim.informational_generalises_functional",
        "informational redundancy implies functional redundancy",
        _s("claim.informational_generalises_functional"),
    )


MUTANTS = tuple(_mutants())
