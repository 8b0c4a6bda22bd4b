"""Theorem 2, as checkable statements."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from proofs_check.exact.enclosure import Real, sqrt, total
from proofs_check.exact.law import Law
from proofs_check.exact.points import Point, inner, minus, square
from proofs_check.shannon.claims import ShannonClaim
from proofs_check.statements.base import Statement

__all__ = ["ENTROPIC", "STATEMENTS", "probe_error", "probe_gap"]


_ONE = Fraction(1)


def probe_gap(law: Law) -> Real:
    """G = E|probe(X) - probe(Y)|^2."""
    ahead, behind = law.extra["probe_next"], law.extra["probe_prev"]
    return law.mean(lambda i, j: square(minus(ahead[i], behind[j])))


def probe_error(law: Law, axis: str) -> Real:
    """Error eta = E|probe - f|^2 of one layer."""
    probe: Sequence[Point] = law.extra["probe_next" if axis == "x" else "probe_prev"]
    masses, f = (law.next_law, law.f_next) if axis == "x" else (law.prev_law, law.f_prev)
    return total(p * square(minus(probe[k], f[k])) for k, p in masses.items())


def _roots(law: Law) -> Real:
    return sqrt(probe_error(law, "x")) + sqrt(probe_error(law, "y"))


def _direct(law: Law) -> Real:
    """E(<w, X> - <w, Y>)^2."""
    w = law.extra["direction"]
    return law.mean(lambda i, j: inner(w, minus(law.x[i], law.y[j])) ** 2)


STATEMENTS: tuple[Statement, ...] = (
    Statement(
        theorem="plug_in.printed_upper",
        claim="G <= a eta_next + a eta_prev + b (alpha^2 + beta^2) E rho",
        left=lambda law, c: probe_gap(law),
        right=lambda law, c: (
            c["a"] * (probe_error(law, "x") + probe_error(law, "y"))
            + c["b"] * (law.alpha_squared + law.beta_squared) * law.mean_distance
        ),
        needs=("unit norm", "one space", "probes"),
        constants={"a": Fraction(3), "b": Fraction(12)},
        families=("probes off", "probes off at a flip", "probes far off", "flip"),
    ),
    Statement(
        theorem="plug_in.printed_upper",
        part="with F",
        claim="G <= a (eta_next + eta_prev + F)",
        left=lambda law, c: probe_gap(law),
        right=lambda law, c: c["a"] * (probe_error(law, "x") + probe_error(law, "y") + law.gap),
        needs=("probes",),
        constants={"a": Fraction(3)},
        families=("probes off at a flip", "probes far off"),
    ),
    Statement(
        theorem="plug_in.printed_upper",
        part="printed, strict",
        claim="E rho < eps/2: G < 3 eta_next + 3 eta_prev + 6 (alpha^2 + beta^2) eps",
        left=lambda law, c: probe_gap(law),
        right=lambda law, c: (
            3 * (probe_error(law, "x") + probe_error(law, "y"))
            + 6 * (law.alpha_squared + law.beta_squared) * (2 * law.mean_distance + 1)
        ),
        needs=("unit norm", "one space", "probes"),
        relation="<",
        true=False,
        families=("constant task", "sign"),
    ),
    Statement(
        theorem="plug_in.minkowski_bounds",
        part="upper",
        claim="sqrt G <= sqrt F + a (sqrt eta_next + sqrt eta_prev)",
        left=lambda law, c: sqrt(probe_gap(law)),
        right=lambda law, c: sqrt(law.gap) + c["a"] * _roots(law),
        needs=("probes",),
        constants={"a": _ONE},
        families=("probes off", "probes far off"),
    ),
    Statement(
        theorem="plug_in.minkowski_bounds",
        part="lower",
        claim="sqrt F - a (sqrt eta_next + sqrt eta_prev) <= sqrt G",
        left=lambda law, c: sqrt(law.gap) - c["a"] * _roots(law),
        right=lambda law, c: sqrt(probe_gap(law)),
        needs=("probes",),
        constants={"a": _ONE},
        families=("constant next, probe halved", "probes constant", "probes off"),
    ),
    Statement(
        theorem="plug_in.inverse_bounds",
        part="upper",
        claim="sqrt F <= sqrt G + a (sqrt eta_next + sqrt eta_prev)",
        left=lambda law, c: sqrt(law.gap),
        right=lambda law, c: sqrt(probe_gap(law)) + c["a"] * _roots(law),
        needs=("probes",),
        constants={"a": _ONE},
        families=("probes constant", "flip", "sign"),
    ),
    Statement(
        theorem="plug_in.inverse_bounds",
        part="lower",
        claim="sqrt G - a (sqrt eta_next + sqrt eta_prev) <= sqrt F",
        left=lambda law, c: sqrt(probe_gap(law)) - c["a"] * _roots(law),
        right=lambda law, c: sqrt(law.gap),
        needs=("probes",),
        constants={"a": _ONE},
        families=("constant next, probes off", "probes far off"),
    ),
    Statement(
        theorem="plug_in.inverse_bounds",
        part="errors",
        claim="eta_next <= a mse_next",
        left=lambda law, c: probe_error(law, "x"),
        right=lambda law, c: c["a"] * law.error("x", law.extra["probe_next"]),
        needs=("probes",),
        constants={"a": _ONE},
        families=("probes far off", "probes constant"),
    ),
    Statement(
        theorem="plug_in.function_upper",
        claim="X = g(Y): G <= a (sqrt eta_prev + sqrt(eta_next + F))^2",
        left=lambda law, c: probe_gap(law),
        right=lambda law, c: c["a"] * (sqrt(probe_error(law, "y")) + sqrt(probe_error(law, "x") + law.gap)) ** 2,
        needs=("next is a function", "probes"),
        constants={"a": _ONE},
        families=("constant next, probes off", "probes far off"),
    ),
    Statement(
        theorem="plug_in.probe_lipschitz_upper",
        claim="E|f(X)-f(Y)|^2 <= a L^2 E|X-Y|^2 for f(s) = <w, s>, L = |w|",
        left=lambda law, c: _direct(law),
        right=lambda law, c: c["a"] * square(law.extra["direction"]) * law.squared_distance,
        needs=("linear probe",),
        constants={"a": _ONE},
        families=("flip", "two lengths", "sign"),
    ),
)

# What is linear in entropies, for the prover.

ENTROPIC: dict[str, tuple[ShannonClaim, ...]] = {
    "plug_in.function_upper": (ShannonClaim("I(Z;X|Y) = 0", ("X = f(Y)",)),),
}
