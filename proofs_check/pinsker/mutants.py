"""Theorem 5: false variants, all of which the checks must refute."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from proofs_check.exact.enclosure import Real, log
from proofs_check.pinsker.statements import STATEMENTS
from proofs_check.statements.base import Statement

__all__ = ["MUTANTS", "NECESSARY", "WRONG"]

F = Fraction
_FORWARD, _BACKWARD = "previous - next - task", "next - previous - task"
_PRINTED = "previous - next - task"
_s = {s.name: s for s in STATEMENTS}.__getitem__


def _mutants() -> Iterator[tuple[str, str, str, Statement]]:
    for letter, name, value in (("a", "1", F(1)), ("b", "1.44", F(36, 25))):
        yield (
            f"M21{letter}",
            "pinsker.printed_upper",
            f"constant {name} for 2",
            _s("pinsker.printed_upper").with_constants(a=value),
        )
    yield (
        "M21c",
        "pinsker.printed_upper",
        "entropy to base 10",
        _s("pinsker.printed_upper").but(right=lambda law, c: 2 * law.norm_squared * law.forward_entropy / log(F(10))),
    )
    yield (
        "M22",
        "pinsker.printed_upper",
        "under the natural chain",
        _s("pinsker.printed_upper [printed, natural chain]"),
    )
    yield (
        "M23",
        "pinsker.chain_information_upper",
        "Delta^2/4 for Delta^2/2",
        _s(f"pinsker.chain_information_upper [{_PRINTED}]").with_constants(a=F(1, 4)),
    )
    yield (
        "M36",
        "pinsker.free_information_upper",
        "the cross term 2 sqrt(I I') dropped",
        _s("pinsker.free_information_upper").but(
            right=lambda law, c: c["a"] * law.diameter_squared * (law.information_next + law.information_prev)
        ),
    )


MUTANTS = tuple(_mutants())
# Where 9/10 of the constant (11/10 on the left side) is not yet false, or a plainer wrong value is the likely mistake.
WRONG: dict[tuple[str, str], Real] = {
    ("pinsker.printed_upper", "a"): F(36, 25),
}
# Theorem, part, an assumption that it needs, and families that break it without.
NECESSARY = (
    ("pinsker.printed_upper", "", _FORWARD, ("lost bit",)),
    ("pinsker.chain_information_upper", _FORWARD, _FORWARD, ("lost bit",)),
    ("pinsker.chain_entropy_upper", _FORWARD, _FORWARD, ("lost bit",)),
    ("pinsker.guessing_upper", _FORWARD, _FORWARD, ("lost bit",)),
    ("pinsker.chain_information_upper", _BACKWARD, _BACKWARD, ("fresh bit",)),
    ("pinsker.chain_entropy_upper", _BACKWARD, _BACKWARD, ("fresh bit",)),
    ("pinsker.guessing_upper", _BACKWARD, _BACKWARD, ("fresh bit",)),
)
