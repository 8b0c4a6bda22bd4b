"""Theorem 1: states that are close, and a task that depends smoothly on them, give a small functional gap.

``h(x, y) = E[Z | x_next = x, x_prev = y]`` is alpha-Lipschitz in x and beta-Lipschitz in y. Neither constant
can be read off data, so every bound here carries the label "A". All bounds are non-strict: with constant h
both sides are 0 and the printed "<" is false.
"""

from __future__ import annotations

import math

import numpy as np

from redundancy.bounds._inputs import gap_bound, probability, product, upper_of
from redundancy.bounds.lemmas import UNIT_NORM
from redundancy.certificates.certificate import Assumption, Bound, Evidence, as_interval, bound
from redundancy.checks import check_real
from redundancy.errors import InvalidInputError
from redundancy.interval import Interval

__all__ = [
    "CHAINS",
    "chain_upper",
    "minkowski_upper",
    "printed_upper",
    "probe_errors_cap",
    "proximal_upper",
    "residual_upper",
    "truncated_upper",
    "unit_norm_upper",
    "variance_cap",
]

CHAINS = {
    "prev-next-task": Assumption(
        "chain_prev_next_task", "previous - next - task is a Markov chain (the task reads the next layer only)"
    ),
    "next-prev-task": Assumption(
        "chain_next_prev_task",
        "next - previous - task is a Markov chain (the next layer is computed from the previous)",
    ),
}
_SQUARE_INTEGRABLE = Assumption("square_integrable", "the task variable has a finite second moment")
_DISTANCE_RANGE = Interval(0.0, 2.0)


@bound(
    title="Theorem 1 as printed",
    status="repaired",
    printed="Unit norm, h (alpha, beta)-Lipschitz, E rho < eps/2: F < 2(alpha^2 + beta^2) eps.",
    statement="F <= 4 (alpha^2 + beta^2) E rho",
    deviation="<= for <; h is evaluated off its domain in the printed proof (symmetrisation repairs it); vector"
    " tasks take the trace.",
    counterexample="Strict: h constant gives 0 < 0. Unit norm dropped: X = 1, Y in {1,2}, Z = Y: 1/4 > 0.",
    evidence="A",
    uses=("lemmas.squared_triangle_upper", "lemmas.squared_distance_of_cosine"),
)
def printed_upper(
    *, mean_distance: Evidence, alpha: Evidence, beta: Evidence, task_cap: Evidence | None = None
) -> Bound:
    """Theorem 1 as printed, with <=: F <= 4 (alpha^2 + beta^2) E[rho].

    The paper writes ``E rho < eps/2`` and ``F < 2 (alpha^2 + beta^2) eps``; the smallest eps is 2 E[rho].

    Parameters
    ----------
    mean_distance : Evidence
        E[rho], cosine distance, inside [0, 2].
    alpha, beta : Evidence
        Lipschitz constants of h in the next and in the previous state, Euclidean norms; for a vector task
        the constant of the whole map (per-coordinate constants add in squares).
    task_cap : Evidence, optional
        Var Z or R^2, above which no gap can be; the bound is capped there.

    Returns
    -------
    BoundCertificate
        On ``functional_gap``.

    References
    ----------
    Theorem 1 of arXiv:2509.25584.
    """
    a, b = upper_of(alpha, "alpha"), upper_of(beta, "beta")
    mean = as_interval(mean_distance, name="mean_distance", within=_DISTANCE_RANGE).upper
    upper = 4.0 * (product(a, a, mean) + product(b, b, mean))
    return gap_bound(upper, cap=task_cap, assumptions=(*_lipschitz(a, b), UNIT_NORM), evidence="A")


@bound(
    title="Theorem 1, Minkowski form",
    status="sharpened",
    statement="F <= (alpha + beta)^2 E|X-Y|^2, any norms.",
    deviation="Smaller by (alpha-beta)^2 E|X-Y|^2. The minimax constant is approached, so no smaller function "
    "of the same inputs will do.",
    counterexample="alpha^2 + beta^2 instead: sign flipped w.p. 1/100, h = x + y: 0.1568 > 0.08.",
    evidence="A",
    uses=("lipschitz.residual_upper",),
)
def minkowski_upper(
    *, squared_distance: Evidence, alpha: Evidence, beta: Evidence, task_cap: Evidence | None = None
) -> Bound:
    """F <= (alpha + beta)^2 E|X - Y|^2: smaller than the printed bound by (alpha - beta)^2 E|X - Y|^2, any norms.

    (alpha + beta)^2 is the best constant: a sign flipped with probability q, h = alpha x + beta y, comes
    arbitrarily close as q falls.

    Parameters
    ----------
    squared_distance : Evidence
        E|X - Y|^2, for instance from `squared_distance_of_cosine` (unit norms) or `squared_distance_of_norms`.
    alpha, beta, task_cap : as in `printed_upper`

    Examples
    --------
    >>> round(minkowski_upper(squared_distance=0.04, alpha=1, beta=1).interval.upper, 9)
    0.16
    """
    a, b = upper_of(alpha, "alpha"), upper_of(beta, "beta")
    upper = product(a + b, a + b, upper_of(squared_distance, "squared_distance"))
    return gap_bound(upper, cap=task_cap, assumptions=_lipschitz(a, b), evidence="A")


@bound(
    title="Theorem 1, unit norm",
    status="sharpened",
    statement="F <= (alpha + beta)^2 e(2-e) for e = E rho <= 1, factor 1 beyond.",
    deviation="The residual of the best scaled predictor is at most 1 - (1-e)^2.",
    counterexample="(alpha+beta)^2 e instead: the same flip, 0.1568 > 0.08.",
    evidence="A",
    uses=("lipschitz.residual_upper",),
)
def unit_norm_upper(
    *, mean_distance: Evidence, alpha: Evidence, beta: Evidence, task_cap: Evidence | None = None
) -> Bound:
    """F <= (alpha + beta)^2 e (2 - e) for unit norms and e = E[rho] <= 1; factor 1 beyond (monotone envelope).

    With unit norms the residual of the best scaled predictor of one state from the other is at most
    ``1 - (1 - e)^2``.

    Parameters
    ----------
    mean_distance : float, Interval or certificate
        E[rho], the mean distance.
    alpha : float, Interval or certificate
        Lipschitz constant of the task function in the next state; declared, never measured.
    beta : float, Interval or certificate
        The same in the previous state.
    task_cap : float, Interval or certificate, optional
        Anything known to bound the gap whatever the layers do, as Var Z.

    Examples
    --------
    A sign flipped with probability 1/100 and h = x + y has F = 0.156816:

    >>> round(unit_norm_upper(mean_distance=0.02, alpha=1, beta=1).interval.upper, 9)
    0.1584
    """
    a, b = upper_of(alpha, "alpha"), upper_of(beta, "beta")
    mean = min(as_interval(mean_distance, name="mean_distance", within=_DISTANCE_RANGE).upper, 1.0)
    upper = product(a + b, a + b, mean * (2.0 - mean))
    return gap_bound(upper, cap=task_cap, assumptions=(*_lipschitz(a, b), UNIT_NORM), evidence="A")


@bound(
    title="Theorem 1, residual form",
    status="sharpened",
    statement="F <= (beta sqrt V(prev|next) + alpha sqrt V(next|prev))^2; any predictor's residual will do.",
    deviation="No unit norm, no value of h off its support, any Hilbert distance.",
    counterexample="Residuals swapped: X constant, Z = Y a sign: 1 > 0.",
    evidence="A",
)
def residual_upper(
    *,
    residual_next: Evidence,
    residual_prev: Evidence,
    alpha: Evidence,
    beta: Evidence,
    task_cap: Evidence | None = None,
) -> Bound:
    r"""F <= (alpha sqrt(V(next|prev)) + beta sqrt(V(prev|next)))^2, the strongest form; any norms, any dimension.

    Parameters
    ----------
    residual_next : Evidence
        ``E|X - g(Y)|^2`` for any fixed predictor g of the next state X from the previous state Y; the best
        is ``E|X - E[X|Y]|^2``. A linear map fitted on other data will do, so a layer that merely rotates or
        rescales costs nothing.
    residual_prev : Evidence
        ``E|Y - g(X)|^2``, the other direction.
    alpha, beta, task_cap : as in `printed_upper`
        alpha goes with `residual_next`, beta with `residual_prev`: mind the order. They may be *average*
        constants: ``beta^2 = E|h(X,Y) - h(X,Y')|^2 / E|Y - Y'|^2`` with Y' an independent copy of Y given X.
    """
    a, b = upper_of(alpha, "alpha"), upper_of(beta, "beta")
    root = product(a, math.sqrt(upper_of(residual_next, "residual_next")))
    root += product(b, math.sqrt(upper_of(residual_prev, "residual_prev")))
    return gap_bound(root**2, cap=task_cap, assumptions=_lipschitz(a, b), evidence="A")


@bound(
    title="Theorem 1 under one chain",
    status="sharpened",
    statement="previous - next - task: F <= alpha^2 V(next|prev); next - previous - task: F <= beta^2 V(prev|next).",
    deviation="Along a chain h depends on one state only.",
    evidence="A",
    uses=("lipschitz.residual_upper",),
)
def chain_upper(*, chain: str, residual: Evidence, lipschitz: Evidence, task_cap: Evidence | None = None) -> Bound:
    """One chain suffices: F <= lipschitz^2 * residual.

    Parameters
    ----------
    chain : {"prev-next-task", "next-prev-task"}
        Under previous - next - task, h does not depend on the previous state: `lipschitz` is alpha and
        `residual` is ``E|X_next - g(X_prev)|^2``. Under next - previous - task it is beta and
        ``E|X_prev - g(X_next)|^2``.
    residual, lipschitz : Evidence
    task_cap : Evidence, optional
    """
    assumption = _chain(chain)
    constant = upper_of(lipschitz, "lipschitz")
    a, b = (constant, 0.0) if chain == "prev-next-task" else (0.0, constant)
    upper = product(constant, constant, upper_of(residual, "residual"))
    return gap_bound(upper, cap=task_cap, assumptions=(assumption, *_lipschitz(a, b)), evidence="A")


@bound(
    title="Theorem 1, truncated",
    status="sharpened",
    statement="F <= (sqrt E min(alpha^2|X-Y|^2, Delta^2) + sqrt E min(beta^2|X-Y|^2, Delta^2))^2",
    deviation="Extends h to y = x and projects on the hull of the task values.",
    evidence="A",
)
def truncated_upper(
    *, truncated_next: Evidence, truncated_prev: Evidence, diameter: float, task_cap: Evidence | None = None
) -> Bound:
    """F <= (sqrt(E min(alpha^2 |X-Y|^2, Delta^2)) + sqrt(E min(beta^2 |X-Y|^2, Delta^2)))^2.

    Rare large distances then cost at most the squared diameter Delta of the task.

    Parameters
    ----------
    truncated_next, truncated_prev : Evidence
        The two truncated means, with alpha and with beta; 0 for the one that a chain removes.
    diameter : float
        Delta, the largest distance between two task values, by which the means were truncated.
    task_cap : Evidence, optional
    """
    diameter = check_real(diameter, "diameter", lower=0.0)
    first, second = upper_of(truncated_next, "truncated_next"), upper_of(truncated_prev, "truncated_prev")
    upper = (math.sqrt(min(first, diameter**2)) + math.sqrt(min(second, diameter**2))) ** 2
    assumptions = (*_lipschitz(math.nan, math.nan), _bounded(diameter))
    return gap_bound(upper, cap=task_cap, assumptions=assumptions, evidence="A")


@bound(
    title="Proximal implies functional",
    status="sharpened",
    statement="Per term: E min(c^2|X-Y|^2, Delta^2) <= min(2c^2 t, Delta^2)(1-P) + min(4c^2, Delta^2) P, unit norm.",
    deviation="Figure 2 goes through geometric redundancy, which costs a factor.",
    evidence="A",
    uses=("lipschitz.truncated_upper", "lemmas.squared_distance_of_cosine"),
)
def proximal_upper(
    *,
    tail_prob: Evidence,
    t: float,
    alpha: Evidence,
    beta: Evidence,
    diameter: float,
    task_cap: Evidence | None = None,
) -> Bound:
    """Proximal implies functional directly, for unit norms, by the truncated form.

    Each term is ``E min(c^2 |X-Y|^2, Delta^2) <= min(2 c^2 t, Delta^2)(1 - P) + min(4 c^2, Delta^2) P`` with
    P = P(rho > t). Set alpha or beta to 0 for a chain, which leaves a single term.

    Parameters
    ----------
    tail_prob : Evidence
        P(rho > t), strict.
    t : float
        In [0, 2].
    alpha, beta : Evidence
    diameter : float
        Delta, the largest distance between two task values.
    task_cap : Evidence, optional
    """
    t = check_real(t, "t", lower=0.0, upper=2.0)
    diameter = check_real(diameter, "diameter", lower=0.0)
    tail = probability(tail_prob, "tail_prob").upper
    constants = upper_of(alpha, "alpha"), upper_of(beta, "beta")
    root = 0.0
    for c in constants:
        near = min(product(2.0, c, c, t), diameter**2)
        far = min(4.0 * c * c, diameter**2)
        root += math.sqrt(near * (1.0 - tail) + far * tail)
    assumptions = (*_lipschitz(*constants), _bounded(diameter), UNIT_NORM)
    return gap_bound(root**2, cap=task_cap, assumptions=assumptions, evidence="A")


@bound(
    title="Trivial cap",
    statement="F <= Var Z <= R^2",
    deviation="The paper never compares its bounds with it.",
)
def variance_cap(*, task_variance: Evidence | None = None, radius: float | None = None) -> Bound:
    """F <= Var Z <= R^2: both ideal predictors are projections of Z, whatever the layers do.

    Parameters
    ----------
    task_variance : Evidence, optional
        ``E|Z - EZ|^2``.
    radius : float, optional
        R, radius of the smallest ball that holds all task values. At least one of the two is needed.

    Raises
    ------
    InvalidInputError
        If an input is outside its range; the message names it.
    """
    if task_variance is None and radius is None:
        raise InvalidInputError("need task_variance or radius, got neither")
    upper = math.inf if task_variance is None else upper_of(task_variance, "task_variance")
    assumptions: tuple[Assumption, ...] = (_SQUARE_INTEGRABLE,)
    if radius is not None:
        upper = min(upper, check_real(radius, "radius", lower=0.0) ** 2)
        assumptions = (Assumption("enclosing_ball", f"all task values lie in one ball of radius {radius:g}"),)
    return gap_bound(upper, cap=None, assumptions=assumptions, evidence="P")


@bound(
    title="Probe cap",
    statement="F <= (sqrt mse_next + sqrt mse_prev)^2 for any two probes.",
    deviation="Minkowski through Z itself; nothing is assumed of the probes.",
)
def probe_errors_cap(*, error_next: Evidence, error_prev: Evidence, task_cap: Evidence | None = None) -> Bound:
    """F <= (sqrt(mse_next) + sqrt(mse_prev))^2 for the mean squared errors of *any* two probes of Z.

    Free of assumptions beyond those behind the two errors; small only if both probes predict Z well.

    Parameters
    ----------
    error_next : float, Interval or certificate
        Mean squared error of the probe on the next layer.
    error_prev : float, Interval or certificate
        Mean squared error of the probe on the previous layer.
    task_cap : float, Interval or certificate, optional
        Anything known to bound the gap whatever the layers do, as Var Z.
    """
    first, second = upper_of(error_next, "error_next"), upper_of(error_prev, "error_prev")
    upper = float(np.square(math.sqrt(first) + math.sqrt(second)))
    return gap_bound(upper, cap=task_cap, assumptions=(_SQUARE_INTEGRABLE,), evidence="P")


def _lipschitz(alpha: float, beta: float) -> tuple[Assumption, ...]:
    names = (("alpha", "next", alpha), ("beta", "previous", beta))
    return tuple(
        Assumption(
            f"lipschitz_{layer}",
            f"E[Z | both layers] is Lipschitz in the {layer} state"
            + ("" if math.isnan(value) else f" with constant {value:g}")
            + f" ({name})",
        )
        for name, layer, value in names
    )


def _bounded(diameter: float) -> Assumption:
    return Assumption("task_diameter", f"no two task values are further apart than {diameter:g}")


def _chain(chain: str) -> Assumption:
    if chain not in CHAINS:
        raise InvalidInputError(f"need a chain among {sorted(CHAINS)}, got {chain!r}")
    return CHAINS[chain]
