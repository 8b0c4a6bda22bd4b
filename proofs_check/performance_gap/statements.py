"""The performance gap, as checkable statements."""

from __future__ import annotations

from fractions import Fraction

from proofs_check.exact.enclosure import Real
from proofs_check.exact.law import Law
from proofs_check.shannon.claims import ShannonClaim
from proofs_check.statements.base import Statement

__all__ = ["ENTROPIC", "STATEMENTS"]


_ONE, _HALF = Fraction(1), Fraction(1, 2)


_ANY = ("biased reading of both", "flip", "rare fresh bit", "fresh bit", "biased reading of next")


def _feasible_information(law: Law) -> Real:
    other: Law = law.extra["other"]
    return other.information_next


STATEMENTS: tuple[Statement, ...] = (
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
        theorem="claim.unique_information_gap",
        claim="F <= Delta^2 I_Q(Z;X|Y) / 2 for every Q with the marginals (X,Z), (Y,Z)",
        left=lambda law, c: law.gap,
        right=lambda law, c: _HALF * law.diameter_squared * _feasible_information(law),
        needs=("same pairwise margins",),
        true=False,
        families=("noisy copies",),
    ),
)

# What is linear in entropies, for the prover.
_BEHIND = "Z -> Y -> X"
_ATOMS = ("UniX", "UniY", "Red", "Syn")
_TASK_ATOMS = ("UniX + UniY + Red + Syn = I(Z;X,Y)", "UniX + Red = I(Z;X)", "UniY + Red = I(Z;Y)")
ENTROPIC: dict[str, tuple[ShannonClaim, ...]] = {
    "performance_gap.performance_gap_upper": (
        ShannonClaim("UniX <= I(Z;X|Y)", _TASK_ATOMS, _ATOMS),
        ShannonClaim("UniX = 0", (*_TASK_ATOMS, _BEHIND), _ATOMS),
    ),
}
