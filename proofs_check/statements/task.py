"""Theorem 5 and what replaces it: bounds on the functional gap and the performance gap by information."""

from __future__ import annotations

from fractions import Fraction

from proofs_check.enclosure import Real, least, log, sqrt
from proofs_check.law import Law
from proofs_check.statements.base import Constants, Side, Statement

__all__ = ["TASK", "guess_error", "guessing"]

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


def guess_error(law: Law, axis: str) -> Real:
    """P[X != g(Y)] for axis "x", P[Y != g(X)] for "y"."""
    if axis == "x":
        guess = law.extra["guess_next"]
        return law.mean(lambda i, j: int(guess[j] != i))
    guess = law.extra["guess_prev"]
    return law.mean(lambda i, j: int(guess[i] != j))


def _both(first: Real, second: Real) -> Real:
    return (sqrt(first) + sqrt(second)) ** 2


def _free_entropy(law: Law, c: Constants) -> Real:
    scale = least(_nats(law.radius_squared), _HALF * law.diameter_squared)
    return c["a"] * scale * _both(law.forward_entropy, law.backward_entropy)


def _feasible_information(law: Law) -> Real:
    other: Law = law.extra["other"]
    return other.information_next


def _either(
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


TASK: tuple[Statement, ...] = (
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
    *_either(
        "pinsker.chain_information_upper",
        "a Delta^2 I",
        lambda law, c: c["a"] * law.diameter_squared * law.information_next,
        lambda law, c: c["a"] * law.diameter_squared * law.information_prev,
        {"a": _HALF},
    ),
    *_either(
        "pinsker.chain_entropy_upper",
        "a R^2 H / ln 2",
        lambda law, c: _nats(c["a"]) * law.radius_squared * law.forward_entropy,
        lambda law, c: _nats(c["a"]) * law.radius_squared * law.backward_entropy,
        {"a": _ONE},
    ),
    *_either(
        "pinsker.guessing_upper",
        "R^2 E g(p1), g(p) = a p(1-p) from 1/2 on, else b",
        lambda law, c: law.radius_squared * guessing(law, "x", c),
        lambda law, c: law.radius_squared * guessing(law, "y", c),
        {"a": Fraction(4), "b": _ONE},
    ),
    *_either(
        "mismatch.coupling_upper",
        "a Delta^2 P[state != guess]",
        lambda law, c: c["a"] * law.diameter_squared * guess_error(law, "x"),
        lambda law, c: c["a"] * law.diameter_squared * guess_error(law, "y"),
        {"a": _ONE},
        "guesses",
    ),
    Statement(
        theorem="mismatch.mismatch_upper",
        claim="F <= a kappa P[X != Y]",
        left=lambda law, c: law.gap,
        right=lambda law, c: c["a"] * law.kappa * law.mismatch,
        needs=("one alphabet",),
        constants={"a": _ONE},
        families=("rare fresh bit", "four values in the plane"),
    ),
    Statement(
        theorem="mismatch.mismatch_upper_of_diameter",
        part="scalar or one-hot",
        claim="F <= a Delta^2 P[X != Y]",
        left=lambda law, c: law.gap,
        right=lambda law, c: c["a"] * law.diameter_squared * law.mismatch,
        needs=("one alphabet", "scalar or one-hot"),
        constants={"a": _ONE},
        families=("rare fresh bit", "four values in the plane"),
    ),
    Statement(
        theorem="mismatch.mismatch_upper_of_diameter",
        part="any task",
        claim="F <= a Delta^2 P[X != Y]",
        left=lambda law, c: law.gap,
        right=lambda law, c: c["a"] * law.diameter_squared * law.mismatch,
        needs=("one alphabet",),
        constants={"a": Fraction(7, 4)},
        families=("four values in the plane", "rare fresh bit"),
    ),
    Statement(
        theorem="mismatch.mismatch_upper_of_diameter",
        part="kappa",
        claim="kappa <= a Delta^2",
        left=lambda law, c: law.kappa,
        right=lambda law, c: c["a"] * law.diameter_squared,
        constants={"a": Fraction(7, 4)},
        families=("four values in the plane",),
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
    Statement(
        theorem="performance_gap.performance_gap_upper",
        part="information",
        claim="mmse_prev - mmse_next <= a Delta^2 I(Z;X|Y)",
        left=lambda law, c: law.mmse_prev - law.mmse_next,
        right=lambda law, c: c["a"] * law.diameter_squared * law.information_next,
        constants={"a": _HALF},
        families=_ANY,
    ),
    Statement(
        theorem="performance_gap.performance_gap_upper",
        part="unique information",
        claim="mmse_prev - mmse_next <= a Delta^2 I_Q(Z;X|Y) for every Q with the marginals (X,Z), (Y,Z)",
        left=lambda law, c: law.mmse_prev - law.mmse_next,
        right=lambda law, c: c["a"] * law.diameter_squared * _feasible_information(law),
        needs=("same pairwise margins",),
        constants={"a": _HALF},
        families=("noisy copies", "biased reading of next, own coupling"),
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
        theorem="claim.unique_information_gap",
        claim="F <= Delta^2 I_Q(Z;X|Y) / 2 for every Q with the marginals (X,Z), (Y,Z)",
        left=lambda law, c: law.gap,
        right=lambda law, c: _HALF * law.diameter_squared * _feasible_information(law),
        needs=("same pairwise margins",),
        true=False,
        families=("noisy copies",),
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
