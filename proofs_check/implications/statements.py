"""Plain logic, and readings of the paper that are false, as checkable statements."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from proofs_check.exact.enclosure import Real
from proofs_check.exact.law import Law
from proofs_check.shannon.claims import ShannonClaim
from proofs_check.statements.base import Statement

__all__ = ["ENTROPIC", "STATEMENTS"]


_ONE, _TWO, _THREE = Fraction(1), Fraction(2), Fraction(3)


def _events(law: Law, function: Callable[[bool, bool], bool]) -> Real:
    return law.mean(lambda i, j: int(function(i == 1, j == 1)))


_ONE, _HALF = Fraction(1), Fraction(1, 2)


_PRINTED, _NATURAL = "previous - next - task", "next - previous - task"


STATEMENTS: tuple[Statement, ...] = (
    Statement(
        theorem="implications.intersection",
        claim="P[A or B] <= a (P[A] + P[B])",
        left=lambda law, c: _events(law, lambda a, b: a or b),
        right=lambda law, c: c["a"] * (_events(law, lambda a, b: a) + _events(law, lambda a, b: b)),
        constants={"a": _ONE},
        families=("flip", "disjoint events", "independent bits"),
    ),
    Statement(
        theorem="claim.proximal_informational",
        claim="P[rho > t] = 0: H(X|Y) = 0",
        left=lambda law, c: law.forward_entropy,
        right=lambda law, c: Fraction(0),
        needs=("no mass in the tail",),
        true=False,
        families=("uniform on a ball", "many points in one ball"),
    ),
    Statement(
        theorem="claim.information_redundancy",
        claim="I(X;Y) >= ln 2: H(X|Y) <= I(X;Y)/2",
        left=lambda law, c: law.forward_entropy,
        right=lambda law, c: law.mutual_information / 2,
        needs=("a bit in common",),
        true=False,
        families=("two independent bits, one kept",),
    ),
    Statement(
        theorem="claim.informational_generalises_functional",
        claim="X - Y - Z: H(X|Y) = 0 implies F = 0",
        left=lambda law, c: law.gap,
        right=lambda law, c: Fraction(0),
        needs=(_NATURAL, "next is a function"),
        true=False,
        families=("lost bit",),
    ),
    Statement(
        theorem="claim.codes_bound_entropy",
        part="raw states",
        claim="H(X|Y) <= H(code X | code Y)",
        left=lambda law, c: law.forward_entropy,
        right=lambda law, c: law.coded_by().forward_entropy,
        needs=("codes",),
        true=False,
        families=("fresh bit",),
    ),
    Statement(
        theorem="claim.codes_bound_entropy",
        part="information",
        claim="I(code X; code Y) <= a I(X;Y)",
        left=lambda law, c: law.coded_by().mutual_information,
        right=lambda law, c: c["a"] * law.mutual_information,
        needs=("codes",),
        constants={"a": _ONE},
        families=("coded", "equal layers"),
    ),
    Statement(
        theorem="claim.codes_bound_entropy",
        part="code given state",
        claim="H(code X | Y) <= a H(code X | code Y)",
        left=lambda law, c: law.coded_by(next_only=True).forward_entropy,
        right=lambda law, c: c["a"] * law.coded_by().forward_entropy,
        needs=("codes",),
        constants={"a": _ONE},
        families=("coded", "fresh bit", "flip"),
    ),
    Statement(
        theorem="claim.information_chain",
        claim="I(Z;X|Y) <= I(Z;X)",
        left=lambda law, c: law.information_next,
        right=lambda law, c: law.entropy("z") - law.entropy("z", "x"),
        true=False,
        families=("exclusive or",),
    ),
)

# What is linear in entropies, for the prover.
_BEHIND = "Z -> Y -> X"
_AHEAD = "Y -> X -> Z"
_CODES = ("A = f(X)", "B = g(Y)")
_PROCESSING = ShannonClaim("I(A;B) <= I(X;Y)", _CODES)
ENTROPIC: dict[str, tuple[ShannonClaim, ...]] = {
    "claim.information_redundancy": (
        # Much information does not keep the rest small.
        ShannonClaim("2 H(X|Y) <= I(X;Y)", ("I(X;Y) >= H(X|Y)",), true=False),
    ),
    "claim.informational_generalises_functional": (ShannonClaim("I(Z;Y|X) <= H(X|Y)", (_BEHIND,), true=False),),
    "claim.codes_bound_entropy": (
        _PROCESSING,
        ShannonClaim("H(A|Y) <= H(A|B)", _CODES),
        ShannonClaim("H(X|Y) <= H(A|B)", _CODES, true=False),
    ),
    "claim.information_chain": (
        ShannonClaim("I(Z;X|Y) <= I(Z;X)", (_AHEAD,)),
        ShannonClaim("I(Z;X|Y) <= I(Z;X)", true=False),
    ),
}
