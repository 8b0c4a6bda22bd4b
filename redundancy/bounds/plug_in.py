"""Theorem 2: from ideal predictors to fitted ones, and back.

The paper bounds G, the gap of two fitted predictors, which anyone can measure, by quantities nobody can.
The inverse is the useful direction: a measured G and the errors of the probes bracket the ideal gap F.
"""

from __future__ import annotations

import math

from redundancy.bounds._inputs import gap_bound, nonnegative, product, rounding_slack, upper_of
from redundancy.bounds.lemmas import UNIT_NORM
from redundancy.certificates.certificate import Assumption, Bound, Evidence, as_interval, bound
from redundancy.interval import Interval, round_down

__all__ = ["function_upper", "inverse_bounds", "minkowski_bounds", "printed_upper", "probe_lipschitz_upper"]

_FRESH = Assumption("fresh_probes", "both probes were fitted on data independent of the evaluation law")


@bound(
    title="Theorem 2 as printed",
    status="repaired",
    printed="G < 3 eta_next + 3 eta_prev + 6(alpha^2 + beta^2) eps, E rho < eps/2.",
    statement="G <= 3 eta_next + 3 eta_prev + 12(alpha^2 + beta^2) E rho",
    deviation="<= for <; probes must be fitted on other data. It bounds what can be measured by what cannot.",
    counterexample="Strict: alpha = beta = eta = 0. Constant 2.9: flip 1/100 with probes off by 1/50.",
    evidence="A",
    uses=("lemmas.squared_sum_upper", "lipschitz.printed_upper"),
)
def printed_upper(
    *, error_next: Evidence, error_prev: Evidence, mean_distance: Evidence, alpha: Evidence, beta: Evidence
) -> Bound:
    """Theorem 2 as printed, with <=: G <= 3 eta_next + 3 eta_prev + 12 (alpha^2 + beta^2) E[rho].

    Parameters
    ----------
    error_next, error_prev : Evidence
        eta, mean squared distance of each probe to the ideal predictor; unknown, at most the probe's MSE.
    mean_distance : Evidence
        E[rho], cosine distance; the paper's eps is 2 E[rho].
    alpha, beta : Evidence
        Lipschitz constants of h.

    Returns
    -------
    BoundCertificate
        On ``probe_gap``.

    References
    ----------
    Theorem 2 of arXiv:2509.25584.
    """
    a, b = upper_of(alpha, "alpha"), upper_of(beta, "beta")
    mean = as_interval(mean_distance, name="mean_distance", within=Interval(0.0, 2.0)).upper
    upper = 3.0 * upper_of(error_next, "error_next") + 3.0 * upper_of(error_prev, "error_prev")
    upper += 12.0 * (product(a, a, mean) + product(b, b, mean))
    lipschitz = Assumption("lipschitz_task", f"E[Z | both layers] is ({a:g}, {b:g})-Lipschitz in (next, previous)")
    return gap_bound(upper, cap=None, assumptions=(lipschitz, UNIT_NORM, _FRESH), evidence="A", quantity="probe_gap")


@bound(
    title="Theorem 2, Minkowski form",
    status="sharpened",
    statement="|sqrt G - sqrt F| <= sqrt eta_next + sqrt eta_prev, on G.",
    deviation="The infimum of all weighted forms, so never above the printed one.",
)
def minkowski_bounds(*, functional_gap: Evidence, error_next: Evidence, error_prev: Evidence) -> Bound:
    """|sqrt(G) - sqrt(F)| <= sqrt(eta_next) + sqrt(eta_prev): bounds the probes' gap G from F, on both sides.

    Its upper end is the best of all weighted forms of Theorem 2, so never above
    ``3 (F + eta_next + eta_prev)``; the constant 3 is reached when the three are equal.

    Parameters
    ----------
    functional_gap : float, Interval or certificate
        F, the mean squared difference of the ideal predictors.
    error_next : float, Interval or certificate
        Mean squared error of the probe on the next layer.
    error_prev : float, Interval or certificate
        Mean squared error of the probe on the previous layer.

    Examples
    --------
    >>> round(minkowski_bounds(functional_gap=1.0, error_next=1.0, error_prev=1.0).interval.upper, 9)
    9.0
    """
    return _annulus(nonnegative(functional_gap, "functional_gap"), error_next, error_prev, None, "probe_gap")


@bound(
    title="Theorem 2, inverse",
    status="sharpened",
    statement="|sqrt F - sqrt G| <= sqrt eta_next + sqrt eta_prev, on F, with eta <= MSE of the probe.",
    deviation="The useful direction: everything on the right can be measured.",
    uses=("plug_in.minkowski_bounds",),
)
def inverse_bounds(
    *, probe_gap: Evidence, error_next: Evidence, error_prev: Evidence, task_cap: Evidence | None = None
) -> Bound:
    """|sqrt(F) - sqrt(G)| <= sqrt(eta_next) + sqrt(eta_prev): bounds the ideal gap F from measurements.

    Parameters
    ----------
    probe_gap : Evidence
        G, mean squared difference of the two probes' outputs.
    error_next, error_prev : Evidence
        The probes' mean squared errors against Z: eta is at most that.
    task_cap : Evidence, optional
        Var Z or R^2.

    Returns
    -------
    BoundCertificate
        On ``functional_gap``; needs no Lipschitz constant, no chain and no unit norm.
    """
    return _annulus(nonnegative(probe_gap, "probe_gap"), error_next, error_prev, task_cap, "functional_gap")


@bound(
    title="Theorem 2 for a deterministic layer",
    status="sharpened",
    statement="X a function of Y: G <= (sqrt eta_prev + sqrt(eta_next + F))^2",
    deviation="f_next - f_prev is then orthogonal to every function of the next state.",
    evidence="A",
)
def function_upper(*, functional_gap: Evidence, error_next: Evidence, error_prev: Evidence) -> Bound:
    """G <= (sqrt(eta_prev) + sqrt(eta_next + F))^2 if the next state is a function of the previous one.

    The gap ``f_next - f_prev`` is then orthogonal to everything that the next state determines.

    Parameters
    ----------
    functional_gap : float, Interval or certificate
        F, the mean squared difference of the ideal predictors.
    error_next : float, Interval or certificate
        Mean squared error of the probe on the next layer.
    error_prev : float, Interval or certificate
        Mean squared error of the probe on the previous layer.
    """
    gap = nonnegative(functional_gap, "functional_gap").upper
    upper = (math.sqrt(upper_of(error_prev, "error_prev")) + math.sqrt(upper_of(error_next, "error_next") + gap)) ** 2
    deterministic = Assumption("deterministic_layer", "the next state is a function of the previous state")
    return gap_bound(upper, cap=None, assumptions=(deterministic, _FRESH), evidence="A", quantity="probe_gap")


@bound(
    title="One Lipschitz probe on both layers",
    statement="E|f(X)-f(Y)|^2 <= L^2 E|X-Y|^2 for an L-Lipschitz probe f.",
    deviation="A fact about the probe, whose constant is known, not about the ideal predictor.",
)
def probe_lipschitz_upper(*, squared_distance: Evidence, lipschitz: Evidence) -> Bound:
    """One probe f on both layers: E|f(X) - f(Y)|^2 <= L^2 E|X - Y|^2, with L of the *probe*, known exactly.

    For a linear probe L is its spectral norm. This speaks of the probe, not of the ideal predictor.

    Parameters
    ----------
    squared_distance : float, Interval or certificate
        E|X - Y|^2.
    lipschitz : float, Interval or certificate
        Lipschitz constant of the probe.
    """
    constant = upper_of(lipschitz, "lipschitz")
    upper = product(constant, constant, upper_of(squared_distance, "squared_distance"))
    assumption = Assumption("probe_lipschitz", f"the probe is {constant:g}-Lipschitz")
    return gap_bound(upper, cap=None, assumptions=(assumption,), evidence="P", quantity="probe_shift")


def _annulus(
    centre: Interval, error_next: Evidence, error_prev: Evidence, cap: Evidence | None, quantity: str
) -> Bound:
    radius = math.sqrt(upper_of(error_next, "error_next")) + math.sqrt(upper_of(error_prev, "error_prev"))
    near = math.sqrt(centre.lower) if math.isfinite(radius) else 0.0
    inner = near - radius - rounding_slack(near, radius) if math.isfinite(radius) else 0.0
    lower = round_down(inner**2) if inner > 0.0 else 0.0
    upper = (math.sqrt(centre.upper) + radius) ** 2
    return gap_bound(upper, cap=cap, assumptions=(_FRESH,), evidence="P", quantity=quantity, lower=lower)
