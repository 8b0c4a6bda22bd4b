"""Theorem 5, as checkable statements."""

from __future__ import annotations

from fractions import Fraction

from proofs_check.exact.enclosure import Real, least, log, sqrt
from proofs_check.exact.law import Law
from proofs_check.shannon.claims import ShannonClaim
from proofs_check.statements.base import Constants, Side, Statement

__all__ = ["ENTROPIC", "STATEMENTS", "either", "guessing"]


_ONE, _HALF = Fraction(1), Fraction(1, 2)


_PRINTED, _NATURAL = "previous - next - task", "next - previous - task"


_READS_NEXT = ("fresh bit", "biased reading of next", "rare fresh bit", "fresh trit")


_READS_PREV = ("lost bit", "biased reading of previous", "rare lost bit", "lost trit")


_ANY = ("biased reading of both", "flip", "rare fresh bit", "fresh bit", "biased reading of next")


def _nats(constant: Real) -> Real:
    return constant / log(Fraction(2))


def guessing(law: Law, axis: str, c: Constants) -> Real:
    """E g(p1), p1 the largest probability of the symbol on `axis` given the other; g(p) = a p (1-p) from 1/2 on."""
    place = "xy".index(axis)
    given = law.prev_law if axis == "x" else law.next_law
    result: Real = Fraction(0)
    for value, mass in given.items():
        best = max(p for k, p in law.pair.items() if k[1 - place] == value) / mass
        weight = c["a"] * best * (1 - best) if 2 * best >= 1 else c["b"]
        result = result + mass * weight
    return result


def _both(first: Real, second: Real) -> Real:
    return (sqrt(first) + sqrt(second)) ** 2


def _free_entropy(law: Law, c: Constants) -> Real:
    scale = least(_nats(law.radius_squared), _HALF * law.diameter_squared)
    return c["a"] * scale * _both(law.forward_entropy, law.backward_entropy)


def either(
    theorem: str, claim: str, right_next: Side, right_prev: Side, constants: dict[str, Real], *needs: str
) -> tuple[Statement, Statement]:
    """Two statements about F: one per chain."""
    parts = (
        (_PRINTED, "next given prev", right_next, _READS_NEXT),
        (_NATURAL, "prev given next", right_prev, _READS_PREV),
    )
    first, second = (
        Statement(
            theorem=theorem,
            part=chain,
            claim=f"F <= {claim}, of {of}",
            left=lambda law, c: law.gap,
            right=right,
            needs=(chain, *needs),
            constants=constants,
            families=families,
        )
        for chain, of, right, families in parts
    )
    return first, second


STATEMENTS: tuple[Statement, ...] = (
    Statement(
        theorem="pinsker.printed_upper",
        claim="F <= a B^2 H(X|Y) in nats",
        left=lambda law, c: law.gap,
        right=lambda law, c: c["a"] * law.norm_squared * law.forward_entropy,
        needs=(_PRINTED,),
        constants={"a": Fraction(2)},
        families=_READS_NEXT,
    ),
    Statement(
        theorem="pinsker.printed_upper",
        part="printed, natural chain",
        claim="X - Y - Z: F <= 2 B^2 H(X|Y)",
        left=lambda law, c: law.gap,
        right=lambda law, c: 2 * law.norm_squared * law.forward_entropy,
        needs=(_NATURAL,),
        true=False,
        families=_READS_PREV,
    ),
    *either(
        "pinsker.chain_information_upper",
        "a Delta^2 I",
        lambda law, c: c["a"] * law.diameter_squared * law.information_next,
        lambda law, c: c["a"] * law.diameter_squared * law.information_prev,
        {"a": _HALF},
    ),
    *either(
        "pinsker.chain_entropy_upper",
        "a R^2 H / ln 2",
        lambda law, c: _nats(c["a"]) * law.radius_squared * law.forward_entropy,
        lambda law, c: _nats(c["a"]) * law.radius_squared * law.backward_entropy,
        {"a": _ONE},
    ),
    *either(
        "pinsker.guessing_upper",
        "R^2 E g(p1), g(p) = a p(1-p) from 1/2 on, else b",
        lambda law, c: law.radius_squared * guessing(law, "x", c),
        lambda law, c: law.radius_squared * guessing(law, "y", c),
        {"a": Fraction(4), "b": _ONE},
    ),
    Statement(
        theorem="pinsker.free_information_upper",
        claim="F <= a Delta^2 (sqrt I(Z;X|Y) + sqrt I(Z;Y|X))^2",
        left=lambda law, c: law.gap,
        right=lambda law, c: c["a"] * law.diameter_squared * _both(law.information_next, law.information_prev),
        constants={"a": _HALF},
        families=_ANY,
    ),
    Statement(
        theorem="pinsker.free_entropy_upper",
        claim="F <= a min(R^2/ln 2, Delta^2/2) (sqrt H(X|Y) + sqrt H(Y|X))^2",
        left=lambda law, c: law.gap,
        right=_free_entropy,
        constants={"a": _ONE},
        families=_ANY,
    ),
)

# What is linear in entropies, for the prover.
_BEHIND = "Z -> Y -> X"
_AHEAD = "Y -> X -> Z"
_INFORMATION = ShannonClaim("I(Z;X|Y) <= H(X|Y)")
_BACKWARD = ShannonClaim("I(Z;Y|X) <= H(Y|X)")
_LOST = (ShannonClaim("I(Z;X|Y) = 0", (_BEHIND,)), ShannonClaim("I(Z;Y|X) = 0", (_AHEAD,)))
ENTROPIC: dict[str, tuple[ShannonClaim, ...]] = {
    "pinsker.printed_upper": (_INFORMATION, _LOST[1]),
    "pinsker.chain_information_upper": _LOST,
    "pinsker.chain_entropy_upper": (_INFORMATION, _BACKWARD),
    "pinsker.free_information_upper": (ShannonClaim("I(Z;X|Y) + I(Z;Y|X) <= 2 I(Z;X,Y)"),),
    "pinsker.free_entropy_upper": (_INFORMATION, _BACKWARD),
}
