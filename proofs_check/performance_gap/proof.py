"""The performance gap, proved, every step by exact algebra."""

from __future__ import annotations

from collections.abc import Callable

import sympy as sp

from proofs_check.pinsker.proof import nearly_fair
from proofs_check.symbolic.decide import Expr
from proofs_check.symbolic.draft import Draft, Proof

__all__ = ["PROOFS"]


_F, _I, _H, _DELTA, _R = sp.symbols("F I H Delta R", nonnegative=True)


_HALF = sp.Rational(1, 2)


_LETTERS = {"F": "E|f_X - f_Y|^2", "Delta": "diameter of the task values"}


def _performance_gap(factor: Expr = _HALF) -> Proof:
    loss, uni = sp.symbols("L U", real=True)
    gain = sp.Symbol("W", nonnegative=True)
    draft = Draft(
        "what an ideal reader of the previous layer loses, no chain",
        L="mmse(Y) - mmse(X)",
        U="Uni(Z : X \\ Y)",
        W="E_Q|h - f_Y|^2 under the BROJA minimiser Q",
        **_LETTERS,
    )
    draft.cite(
        "same marginals",
        loss,
        "<=",
        gain,
        "both mmse depend on pairwise marginals, so hold under Q; mmse(Y) - mmse(X) <= mmse_Q(Y) - mmse_Q(X,Y) = W",
    )
    draft.earlier(
        "information under Q", gain, "<=", _DELTA**2 / 2 * uni, "pinsker.chain_information_upper", "h under Q"
    )
    draft.combine("statement", loss, factor * _DELTA**2 * uni, {"same marginals": 1, "information under Q": 1})
    fair, kl, s = nearly_fair()
    draft.limit("best", fair / (factor * kl), s, 0, 1, "Y constant: U = I(Z;X), a nearly fair coin, mmse loss s^2")
    return draft.done("performance_gap.performance_gap_upper", "statement")


PROOFS: dict[str, Callable[..., Proof]] = {
    "performance_gap.performance_gap_upper": _performance_gap,
}
