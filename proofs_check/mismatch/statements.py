"""Code mismatch, as checkable statements."""

from __future__ import annotations

from fractions import Fraction

from proofs_check.exact.enclosure import Real
from proofs_check.exact.law import Law
from proofs_check.pinsker.statements import either
from proofs_check.statements.base import Statement

__all__ = ["STATEMENTS", "guess_error"]


_ONE, _HALF = Fraction(1), Fraction(1, 2)


_PRINTED, _NATURAL = "previous - next - task", "next - previous - task"


_READS_NEXT = ("fresh bit", "biased reading of next", "rare fresh bit", "fresh trit")


_READS_PREV = ("lost bit", "biased reading of previous", "rare lost bit", "lost trit")


def guess_error(law: Law, axis: str) -> Real:
    """P[X != g(Y)] for axis "x", P[Y != g(X)] for "y"."""
    if axis == "x":
        guess = law.extra["guess_next"]
        return law.mean(lambda i, j: int(guess[j] != i))
    guess = law.extra["guess_prev"]
    return law.mean(lambda i, j: int(guess[i] != j))


STATEMENTS: tuple[Statement, ...] = (
    *either(
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
)
