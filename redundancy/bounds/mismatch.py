"""Functional gap from disagreement alone: how often codes differ, or one layer fails to predict the other."""

from __future__ import annotations

import numpy.typing as npt

from redundancy.bounds._inputs import gap_bound, probability
from redundancy.bounds.lipschitz import CHAINS
from redundancy.bounds.task_range import kappa, task_range
from redundancy.certificates.certificate import Assumption, Bound, Evidence, bound
from redundancy.checks import check_real
from redundancy.errors import InvalidInputError
from redundancy.interval import round_up

__all__ = ["coupling_upper", "mismatch_upper", "mismatch_upper_of_diameter"]

_COMMON = Assumption("common_alphabet", "both layers are coded in one finite alphabet, the gap is that of the codes")
_FACTORS = {"scalar": 1.0, "one_hot": 1.0, "vector": 1.75}


@bound(
    title="Code mismatch",
    status="sharpened",
    statement="Common alphabet, no chain: F <= kappa P[X != Y].",
    deviation="kappa is enumerated from the task values.",
    counterexample="kappa = Delta^2 for vectors: four values in the plane reach 1.058 (1.035 in rationals).",
)
def mismatch_upper(*, mismatch_prob: Evidence, task_values: npt.ArrayLike) -> Bound:
    """F <= kappa P(X != Y), with no Markov assumption, no entropy and no Lipschitz constant.

    Parameters
    ----------
    mismatch_prob : Evidence
        Probability that the codes of the two layers differ.
    task_values : array_like of shape (n_values,) or (n_values, n_dims)
        All values that Z can take (one-hot rows for labels); kappa is enumerated from them.

    Returns
    -------
    BoundCertificate
        On ``functional_gap`` of the coded layers, capped at R^2.

    Examples
    --------
    Labels: twice the mismatch rate.

    >>> round(mismatch_upper(mismatch_prob=0.028, task_values=[[1, 0, 0], [0, 1, 0], [0, 0, 1]]).interval.upper, 9)
    0.056
    """
    upper = kappa(task_values) * probability(mismatch_prob, "mismatch_prob").upper
    values = Assumption("task_values", "the task takes no other values than those listed")
    return gap_bound(upper, cap=task_range(task_values).cap, assumptions=(_COMMON, values), evidence="P")


@bound(
    title="Code mismatch by the diameter",
    status="sharpened",
    statement="F <= Delta^2 P[X != Y] for scalar and one-hot tasks, (7/4) Delta^2 P for any.",
    deviation="Needs only the diameter; the factor 7/4 covers every task.",
    uses=("mismatch.mismatch_upper",),
)
def mismatch_upper_of_diameter(*, mismatch_prob: Evidence, diameter: float, kind: str) -> Bound:
    """F <= c Delta^2 P(X != Y), with c = 1 for scalar or one-hot tasks and c = 7/4 for any vector task.

    The constant 1 is *false* for general vectors: four values in the plane reach 1.058.

    Parameters
    ----------
    mismatch_prob : Evidence
    diameter : float
        Delta, the largest distance between two task values (sqrt 2 for one-hot labels).
    kind : {"scalar", "one_hot", "vector"}

    Raises
    ------
    InvalidInputError
        If an input is outside its range; the message names it.
    """
    if kind not in _FACTORS:
        raise InvalidInputError(f"need a kind among {sorted(_FACTORS)}, got {kind!r}")
    diameter = check_real(diameter, "diameter", lower=0.0)
    upper = _FACTORS[kind] * diameter**2 * probability(mismatch_prob, "mismatch_prob").upper
    task = Assumption("task_kind", f"a {kind} task no two values of which are further apart than {diameter:g}")
    return gap_bound(upper, cap=round_up(0.5 * diameter**2), assumptions=(_COMMON, task), evidence="P")


@bound(
    title="Theorem 5 from a predictor of the code",
    status="sharpened",
    statement="previous - next - task: F <= Delta^2 P[X != g(Y)]; the other chain with Y and g(X).",
    deviation="No entropy at all.",
    evidence="A",
)
def coupling_upper(*, chain: str, miss_prob: Evidence, diameter: float) -> Bound:
    """F <= Delta^2 P(X != g(Y)) for any predictor g of one layer's code from the other's, under a chain.

    Parameters
    ----------
    chain : {"prev-next-task", "next-prev-task"}
        Under previous - next - task, `miss_prob` is P(x_next != g(x_prev)); under next - previous - task
        it is P(x_prev != g(x_next)).
    miss_prob : Evidence
        How often g misses, on data it was not fitted on.
    diameter : float
        Delta, the largest distance between two task values.

    Raises
    ------
    InvalidInputError
        If an input is outside its range; the message names it.
    """
    if chain not in CHAINS:
        raise InvalidInputError(f"need a chain among {sorted(CHAINS)}, got {chain!r}")
    diameter = check_real(diameter, "diameter", lower=0.0)
    upper = diameter**2 * probability(miss_prob, "miss_prob").upper
    task = Assumption("task_diameter", f"no two task values are further apart than {diameter:g}")
    return gap_bound(upper, cap=round_up(0.5 * diameter**2), assumptions=(CHAINS[chain], task), evidence="A")
