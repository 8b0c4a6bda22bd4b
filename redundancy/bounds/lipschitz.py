"""Theorem 1: from the mean distance of two layers to the functional gap, under Lipschitz conditions.

The functional gap is F = E|E[Z|X] - E[Z|Y]|^2 for the current layer X, the previous layer Y and the task
variable Z. All forms need Lipschitz constants of h(x, y) = E[Z|X=x, Y=y], which no data can confirm:
whatever certifies the distance, the conclusion carries the label A.
"""

from __future__ import annotations

import math

from redundancy._validate import check_real
from redundancy.certificate import Assumption, Bound, Evidence, as_interval, bound
from redundancy.interval import Interval, round_up

__all__ = ["minkowski_upper", "printed_upper", "residual_upper", "unit_norm_upper"]

_UNIT_NORM = Assumption("unit_norm", "both layers are taken at unit norm", "declared")
_HULL = Assumption(
    "lipschitz_on_hull",
    "h(x, y) extends to conditional means, which lie off the sphere, with the same Lipschitz constants",
    "declared",
)


def _lipschitz(alpha: float, beta: float) -> Assumption:
    return Assumption(
        "lipschitz", f"h(x, y) is {alpha:g}-Lipschitz in the current and {beta:g}-Lipschitz in the previous layer"
    )


def _constants(alpha: float, beta: float) -> tuple[float, float]:
    return check_real(alpha, "alpha", lower=0.0), check_real(beta, "beta", lower=0.0)


def _gap(upper: float, cap: float, *assumptions: Assumption) -> Bound:
    """A bound on F that never exceeds the trivial cap, the variance of Z."""
    cap = check_real(cap, "cap", lower=0.0)
    return Bound(
        quantity="functional_gap",
        interval=Interval(0.0, min(cap, round_up(upper))),
        trivial=Interval(0.0, cap),
        assumptions=(*assumptions, Assumption("task_range", f"the task variable has variance at most {cap:g}")),
        evidence="A",
    )


@bound("thm1.printed")
def printed_upper(*, mean_distance: Evidence, alpha: float, beta: float, cap: float = 1.0) -> Bound:
    r"""Theorem 1 as printed, with "at most": :math:`F \le 2(\alpha^2+\beta^2)\epsilon`, :math:`\epsilon = 2 E\rho`.

    Parameters
    ----------
    mean_distance : float, Interval or BoundCertificate
        Mean cosine distance e = E rho in [0, 2].
    alpha, beta : float
        Lipschitz constants of h in the current and in the previous layer, >= 0.
    cap : float, default=1
        An upper bound on Var Z, which F never exceeds; 1 for one-hot labels.

    Notes
    -----
    The strict inequality of the paper is false for alpha = beta = 0.

    References
    ----------
    .. [1] Theorem 1 of arXiv:2509.25584.
    """
    alpha, beta = _constants(alpha, beta)
    e = as_interval(mean_distance, name="mean_distance", within=Interval(0.0, 2.0)).upper
    return _gap(4.0 * (alpha**2 + beta**2) * e, cap, _UNIT_NORM, _HULL, _lipschitz(alpha, beta))


@bound("thm1.minkowski")
def minkowski_upper(*, squared_distance: Evidence, alpha: float, beta: float, cap: float = 1.0) -> Bound:
    r""":math:`F \le (\alpha+\beta)^2 D` with :math:`D = E|X - Y|^2`, for any norms and any dimension."""
    alpha, beta = _constants(alpha, beta)
    d = as_interval(squared_distance, name="squared_distance", within=Interval(0.0, math.inf)).upper
    return _gap((alpha + beta) ** 2 * d, cap, _lipschitz(alpha, beta))


@bound("thm1.unit_norm")
def unit_norm_upper(*, mean_distance: Evidence, alpha: float, beta: float, cap: float = 1.0) -> Bound:
    r"""Theorem 1 sharpened for unit norms: :math:`F \le (\alpha+\beta)^2 e(2-e)`, and factor 1 above e = 1.

    The residuals V_{X|Y} and V_{Y|X} are at most ``1 - (1 - e)^2``, by the best scaled copy as a predictor;
    Lipschitz continuity is needed on the support only, so no extension off the sphere is assumed.
    """
    alpha, beta = _constants(alpha, beta)
    e = min(1.0, as_interval(mean_distance, name="mean_distance", within=Interval(0.0, 2.0)).upper)
    return _gap((alpha + beta) ** 2 * e * (2.0 - e), cap, _UNIT_NORM, _lipschitz(alpha, beta))


@bound("thm1.residual")
def residual_upper(
    *, residual_current: Evidence, residual_previous: Evidence, alpha: float, beta: float, cap: float = 1.0
) -> Bound:
    r""":math:`F \le (\beta\sqrt{V_{Y|X}} + \alpha\sqrt{V_{X|Y}})^2`: the sharpest form of Theorem 1.

    Parameters
    ----------
    residual_current, residual_previous : float, Interval or BoundCertificate
        V_{X|Y} and V_{Y|X}, or held-out squared residuals of any fixed predictors, which are no smaller.
    """
    alpha, beta = _constants(alpha, beta)
    within = Interval(0.0, math.inf)
    v_x = as_interval(residual_current, name="residual_current", within=within).upper
    v_y = as_interval(residual_previous, name="residual_previous", within=within).upper
    return _gap((beta * math.sqrt(v_y) + alpha * math.sqrt(v_x)) ** 2, cap, _lipschitz(alpha, beta))
