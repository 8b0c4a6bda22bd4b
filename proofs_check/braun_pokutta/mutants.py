"""Theorem 4: false variants, all of which the checks must refute."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from proofs_check.braun_pokutta.statements import STATEMENTS, printed_information
from proofs_check.exact.enclosure import Real
from proofs_check.exact.law import Law
from proofs_check.fano.statements import times_log
from proofs_check.statements.base import Constants, Statement

__all__ = ["MUTANTS", "WRONG"]

F = Fraction
_s = {s.name: s for s in STATEMENTS}.__getitem__


def _by_counts(law: Law, c: Constants) -> Real:
    counts = [F(law.ball(j), len(law.x)) for j in range(len(law.y))]
    return printed_information(law, c, balls=counts)


def _by_least(law: Law, c: Constants) -> Real:
    far = law.tail(law.t)
    balls = [law.ball_prob(i) for i in range(len(law.x))]
    return -times_log(1 - far, min(balls)) - times_log(far, 1 - min(balls)) - _entropy_of_tail(law)


def _entropy_of_tail(law: Law) -> Real:
    """H2(P_t)."""
    far = law.tail(law.t)
    return -times_log(far, far) - times_log(1 - far, 1 - far)


def _mutants() -> Iterator[tuple[str, str, str, Statement]]:
    yield (
        "M18",
        "braun_pokutta.printed_lower",
        "ball counts N/K for probabilities",
        _s("braun_pokutta.printed_lower").but(left=_by_counts),
    )
    yield (
        "M19",
        "braun_pokutta.printed_lower",
        "binary entropy added, not subtracted",
        _s("braun_pokutta.printed_lower").with_constants(d=F(-1)),
    )
    yield "M20", "braun_pokutta.printed_lower", "p_min for p_max", _s("braun_pokutta.printed_lower").but(left=_by_least)


MUTANTS = tuple(_mutants())
# Where 9/10 of the constant (11/10 on the left side) is not yet false, or a plainer wrong value is the likely mistake.
WRONG: dict[tuple[str, str], Real] = {
    ("braun_pokutta.printed_lower", "b"): F(11, 10),
}
