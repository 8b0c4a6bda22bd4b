"""Theorem 4, as checkable statements."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from proofs_check.exact.enclosure import Real, greatest, log, total
from proofs_check.exact.law import Law
from proofs_check.fano.statements import all_distances, binary_entropy, times_log
from proofs_check.statements.base import Constants, Side, Statement

__all__ = ["STATEMENTS", "binary_divergence", "printed_information", "xlogx_ratio"]


_ONE = Fraction(1)


_ALIKE = ("equal layers", "all far", "diagonal", "constant layer", "independent bits, distant")


def xlogx_ratio(p: Real, q: Real) -> Real:
    """Product p log(p/q) with 0 log 0 = 0."""
    return p * log(p / q) if p else Fraction(0)


def binary_divergence(p: Real, q: Real) -> Real:
    """Divergence d(p || q) of two bits."""
    return xlogx_ratio(p, q) + xlogx_ratio(1 - p, 1 - q)


def printed_information(law: Law, c: Constants, *, balls: Sequence[Real] = ()) -> Real:
    """Sum a (1-P) log(1/p_max) - b P log(1 - p_min) - d H2(P)."""
    far = law.tail(law.t)
    balls = balls or [law.ball_prob(i) for i in range(len(law.x))]
    # With P = 0 (P = 1) no ball is surely missed (hit), and 0 log 0 = 0.
    near_term = -times_log(1 - far, max(balls))
    far_term = -times_log(far, 1 - min(balls))
    return c["a"] * near_term + c["b"] * far_term - c["d"] * binary_entropy(far)


def _binary(law: Law, c: Constants) -> Real:
    return c["a"] * binary_divergence(1 - law.tail(law.t), law.independent_ball_prob)


def _best_binary(law: Law, c: Constants) -> Real:
    values = []
    for t in all_distances(law):
        q = total(m for r, _, m in law.distance_laws if r <= t)
        values.append(binary_divergence(1 - law.tail(t), q))
    return c["a"] * greatest(Fraction(0), *values)


def _law_of_distance(law: Law, c: Constants) -> Real:
    return c["a"] * total(xlogx_ratio(p, q) for _, p, q in law.distance_laws)


def _variational(law: Law, c: Constants) -> Real:
    """Difference b E phi(rho) - a ln E' exp phi(rho), phi = log of the weight of the distance."""
    weights = law.extra["weights"]
    known = [(weights[min(k, len(weights) - 1)], p, q) for k, (_, p, q) in enumerate(law.distance_laws)]
    mean = total(times_log(p, w) for w, p, _ in known)
    return c["b"] * mean - c["a"] * log(total(q * w for w, _, q in known))


_TABLE = ("distance table", "range")


def _lower(
    theorem: str, claim: str, left: Side, needs: tuple[str, ...], names: str, families: tuple[str, ...]
) -> Statement:
    """A statement with I(next;prev) on the right and constants 1."""
    return Statement(
        theorem=theorem,
        claim=f"{claim} <= I(X;Y)",
        left=left,
        right=lambda law, c: law.mutual_information,
        needs=needs,
        constants=dict.fromkeys(names, _ONE),
        families=families,
    )


STATEMENTS: tuple[Statement, ...] = (
    _lower(
        "braun_pokutta.printed_lower",
        "a (1-P) log(1/p_max) - b P log(1-p_min) - d H2(P)",
        printed_information,
        _TABLE,
        "abd",
        (*_ALIKE, "uniform errors"),
    ),
    _lower("braun_pokutta.binary_lower", "a d(1-P || q_t)", _binary, _TABLE, "a", _ALIKE),
    _lower("braun_pokutta.law_lower", "a KL(rho joint || rho product)", _law_of_distance, _TABLE, "a", _ALIKE),
    _lower(
        "braun_pokutta.variational_lower",
        "b E phi(rho) - a ln E' exp phi(rho)",
        _variational,
        (*_TABLE, "test function"),
        "ab",
        ("best test function", *_ALIKE),
    ),
    _lower("braun_pokutta.best_radius_lower", "a max over t of d(1-P || q_t)", _best_binary, _TABLE, "a", _ALIKE),
)
