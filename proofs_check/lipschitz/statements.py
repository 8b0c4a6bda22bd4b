"""Theorem 1 and the trivial caps, as checkable statements."""

from __future__ import annotations

from fractions import Fraction

from proofs_check.exact.enclosure import Real, greatest, least, sqrt
from proofs_check.exact.law import Law
from proofs_check.exact.points import minus, square
from proofs_check.statements.base import Constants, Statement

__all__ = ["STATEMENTS", "lipschitz_sum", "truncated"]


_ONE = Fraction(1)


_FLIPS = ("flip", "flip of one layer", "sign", "constant next", "centred")


_CHAINS = ("noisy reading of next", "noisy reading of previous", "chain of signs, task reads next")


_CHAINS_BACK = ("chain of signs, task reads previous",)


def _alpha(law: Law) -> Real:
    return sqrt(law.alpha_squared)


def _beta(law: Law) -> Real:
    return sqrt(law.beta_squared)


def lipschitz_sum(law: Law) -> Real:
    """(alpha + beta)^2."""
    return (_alpha(law) + _beta(law)) ** 2


def truncated(law: Law, lipschitz_squared: Real, c: Constants) -> Real:
    """E min(lipschitz^2 |X-Y|^2, d Delta^2)."""
    cap = c["d"] * law.diameter_squared
    return law.mean(lambda i, j: least(lipschitz_squared * square(minus(law.x[i], law.y[j])), cap))


def _proximal(law: Law, lipschitz_squared: Real, c: Constants) -> Real:
    far = law.tail(law.t)
    near = least(c["a"] * lipschitz_squared * law.t, law.diameter_squared)
    return near * (1 - far) + least(c["b"] * lipschitz_squared, law.diameter_squared) * far


def _mean_roots(law: Law) -> Real:
    return sqrt(law.error("x", law.extra["probe_next"])) + sqrt(law.error("y", law.extra["probe_prev"]))


def _scaled(e: Real) -> Real:
    """1 - (1 - e)^2 up to its peak, 1 beyond."""
    return 1 - greatest(1 - e, 0 * e) ** 2


STATEMENTS: tuple[Statement, ...] = (
    Statement(
        theorem="lipschitz.printed_upper",
        claim="F <= a (alpha^2 + beta^2) E rho",
        left=lambda law, c: law.gap,
        right=lambda law, c: c["a"] * (law.alpha_squared + law.beta_squared) * law.mean_distance,
        needs=("unit norm", "one space"),
        constants={"a": Fraction(4)},
        families=_FLIPS,
    ),
    Statement(
        theorem="lipschitz.printed_upper",
        part="printed, strict",
        claim="E rho < eps/2: F < 2 (alpha^2 + beta^2) eps",
        left=lambda law, c: law.gap,
        # Every eps above 2 E rho is allowed; with alpha = beta = 0 the sides agree for all of them.
        right=lambda law, c: (law.alpha_squared + law.beta_squared) * 2 * (2 * law.mean_distance + 1),
        needs=("unit norm", "one space"),
        relation="<",
        true=False,
        families=("constant task", "sign"),
    ),
    Statement(
        theorem="lipschitz.minkowski_upper",
        claim="F <= a (alpha + beta)^2 E|X-Y|^2",
        left=lambda law, c: law.gap,
        right=lambda law, c: c["a"] * lipschitz_sum(law) * law.squared_distance,
        needs=("one space",),
        constants={"a": _ONE},
        families=_FLIPS,
    ),
    Statement(
        theorem="lipschitz.unit_norm_upper",
        claim="F <= a (alpha + beta)^2 e (2 - e), factor 1 for e > 1",
        left=lambda law, c: law.gap,
        right=lambda law, c: c["a"] * lipschitz_sum(law) * _scaled(law.mean_distance),
        needs=("unit norm", "one space"),
        constants={"a": _ONE},
        families=_FLIPS,
    ),
    Statement(
        theorem="lipschitz.residual_upper",
        claim="F <= a (beta sqrt V(prev|next) + alpha sqrt V(next|prev))^2",
        left=lambda law, c: law.gap,
        right=lambda law, c: (
            c["a"] * (_beta(law) * sqrt(law.residual_prev) + _alpha(law) * sqrt(law.residual_next)) ** 2
        ),
        needs=("one space",),
        constants={"a": _ONE},
        families=_FLIPS,
    ),
    Statement(
        theorem="lipschitz.chain_upper",
        part="previous - next - task",
        claim="F <= a alpha^2 V(next|prev)",
        left=lambda law, c: law.gap,
        right=lambda law, c: c["a"] * law.alpha_squared * law.residual_next,
        needs=("one space", "previous - next - task"),
        constants={"a": _ONE},
        families=_CHAINS,
    ),
    Statement(
        theorem="lipschitz.chain_upper",
        part="next - previous - task",
        claim="F <= a beta^2 V(prev|next)",
        left=lambda law, c: law.gap,
        right=lambda law, c: c["a"] * law.beta_squared * law.residual_prev,
        needs=("one space", "next - previous - task"),
        constants={"a": _ONE},
        families=(*_CHAINS_BACK, "constant next"),
    ),
    Statement(
        theorem="lipschitz.truncated_upper",
        claim="F <= a (sqrt E min(alpha^2|X-Y|^2, d Delta^2) + sqrt E min(beta^2|X-Y|^2, d Delta^2))^2",
        left=lambda law, c: law.gap,
        right=lambda law, c: (
            c["a"] * (sqrt(truncated(law, law.alpha_squared, c)) + sqrt(truncated(law, law.beta_squared, c))) ** 2
        ),
        needs=("one space",),
        constants={"a": _ONE, "d": _ONE},
        families=(*_FLIPS, "rare jump"),
    ),
    Statement(
        theorem="lipschitz.proximal_upper",
        part="alpha",
        claim="E min(alpha^2|X-Y|^2, Delta^2) <= min(a alpha^2 t, Delta^2)(1-P) + min(b alpha^2, Delta^2) P",
        left=lambda law, c: truncated(law, law.alpha_squared, {"d": _ONE}),
        right=lambda law, c: _proximal(law, law.alpha_squared, c),
        needs=("unit norm", "one space", "range"),
        constants={"a": Fraction(2), "b": Fraction(4)},
        families=("orthogonal states", "flip"),
    ),
    Statement(
        theorem="lipschitz.proximal_upper",
        part="beta",
        claim="E min(beta^2|X-Y|^2, Delta^2) <= min(a beta^2 t, Delta^2)(1-P) + min(b beta^2, Delta^2) P",
        left=lambda law, c: truncated(law, law.beta_squared, {"d": _ONE}),
        right=lambda law, c: _proximal(law, law.beta_squared, c),
        needs=("unit norm", "one space", "range"),
        constants={"a": Fraction(2), "b": Fraction(4)},
        families=("orthogonal states", "flip"),
    ),
    Statement(
        theorem="lipschitz.variance_cap",
        part="variance",
        claim="F <= a Var Z",
        left=lambda law, c: law.gap,
        right=lambda law, c: c["a"] * law.variance,
        constants={"a": _ONE},
        families=("fresh bit", "one-hot labels"),
    ),
    Statement(
        theorem="lipschitz.variance_cap",
        part="radius",
        claim="Var Z <= a R^2",
        left=lambda law, c: law.variance,
        right=lambda law, c: c["a"] * law.radius_squared,
        constants={"a": _ONE},
        families=("fresh bit", "one-hot labels"),
    ),
    Statement(
        theorem="lipschitz.probe_errors_cap",
        claim="F <= a (sqrt mse_next + sqrt mse_prev)^2",
        left=lambda law, c: law.gap,
        right=lambda law, c: c["a"] * _mean_roots(law) ** 2,
        needs=("probes",),
        constants={"a": _ONE},
        families=("flip", "probes off"),
    ),
)
