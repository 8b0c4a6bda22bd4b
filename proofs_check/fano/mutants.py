"""Theorem 3: false variants, all of which the checks must refute."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from proofs_check.exact.enclosure import Real
from proofs_check.exact.law import Law
from proofs_check.fano.statements import STATEMENTS, printed_fano
from proofs_check.statements.base import Constants, Statement

__all__ = ["MUTANTS"]

F = Fraction
_s = {s.name: s for s in STATEMENTS}.__getitem__


def _fano_least_ball(law: Law, c: Constants) -> Real:
    balls = [law.ball(j) for j in range(len(law.y))]
    return printed_fano(law, c, most=min(balls))


def _fano_short(law: Law, c: Constants) -> Real:
    balls = [law.ball(j) for j in range(len(law.y))]
    return printed_fano(law, c, rest=len(law.x) - max(balls))


def _mutants() -> Iterator[tuple[str, str, str, Statement]]:
    fano = _s("fano.printed_upper")
    yield "M14", "fano.printed_upper", "without the binary entropy", fano.with_constants(a=F(0))
    yield "M15", "fano.printed_upper", "log N_min for log N_max", fano.but(right=_fano_least_ball)
    yield (
        "M16",
        "fano.printed_upper",
        "open balls with a strict tail",
        fano.but(right=lambda law, c: printed_fano(law, c, open_balls=True), families=("two points, open balls",)),
    )
    yield (
        "M17",
        "fano.printed_upper",
        "K - N_max for K - N_min",
        fano.but(right=_fano_short, families=("star, leaf known", *fano.families)),
    )


MUTANTS = tuple(_mutants())
