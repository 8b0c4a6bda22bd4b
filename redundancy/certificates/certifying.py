"""From sufficient statistics of one layer pair to its statements: sampling bounds, then what the theorems derive."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypedDict

import numpy.typing as npt

from redundancy.bounds import lipschitz, tail
from redundancy.certificates.certificate import BoundCertificate
from redundancy.checks import check_real
from redundancy.concentration.betting import betting_lower, betting_upper, problem_of
from redundancy.concentration.capital import capitals
from redundancy.concentration.multiplicity import bonferroni
from redundancy.concentration.sample import ESTIMANDS
from redundancy.errors import InvalidInputError, InvariantError
from redundancy.sampling import DEFAULT_SALT, hash_order, order_text

__all__ = [
    "SAMPLED_PER_PAIR",
    "Declaration",
    "Declared",
    "SamplingCall",
    "check_consistent",
    "refutation_p_value",
    "sampling_calls",
    "statements_of_sampled",
]

SamplingCall: TypeAlias = tuple[Callable[..., BoundCertificate], str, Mapping[str, Any]]

RHO_MAX = 2.0  # cosine distance
_CAPITAL_SLACK = 1e-9  # relative error of a capital
SAMPLED_PER_PAIR = 4  # mean distance and tail probability, each from both sides


class Declared(TypedDict, total=False):
    """The fields of a `Declaration` as keyword arguments."""

    t: float
    alpha: float
    beta: float
    task_cap: float
    diameter: float
    confidence_level: float
    estimand: str
    count_max: int | None
    population: str
    salt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """What is fixed before the data are looked at.

    Parameters
    ----------
    t : float, default=0.05
        Threshold of the tail probability.
    alpha, beta : float, default=1
        Assumed Lipschitz constants for Theorem 1; what rests on them carries the label A.
    task_cap : float, default=1
        Upper bound on the variance of the task variable, which no functional gap exceeds; 1 for one-hot labels.
    diameter : float, default=sqrt(2)
        Largest distance between two task values; sqrt(2) for one-hot labels.
    confidence_level : float, default=0.95
        Joint level of all sampling statements.
    estimand : {"image_average", "token_pooled"}
        Mean over images of the mean over their tokens, or E[sum] / E[count].
    count_max : int, optional
        Most tokens of a group that any image of the population has, for "token_pooled".
    population : str
        What the images are a sample of.
    salt : str
        Of the order in which images are bet on: ascending SHA-256 of salt and image, whatever the order of the file.
    """

    t: float = 0.05
    alpha: float = 1.0
    beta: float = 1.0
    task_cap: float = 1.0
    diameter: float = math.sqrt(2.0)
    confidence_level: float = 0.95
    estimand: str = "image_average"
    count_max: int | None = None
    population: str = "the population that the samples were drawn from"
    salt: str = DEFAULT_SALT

    def __post_init__(self) -> None:
        check_real(self.t, "t", lower=0.0, upper=RHO_MAX)
        for name in ("alpha", "beta", "task_cap", "diameter"):
            check_real(getattr(self, name), name, lower=0.0)
        check_real(self.confidence_level, "confidence_level", lower=0.0, upper=1.0, open_ends=True)
        if self.estimand not in ESTIMANDS:
            raise InvalidInputError(f"need an estimand among {ESTIMANDS}, got {self.estimand!r}")
        hash_order((), self.salt)  # refuses what is no salt
        if self.estimand == "token_pooled" and self.count_max is None:
            raise InvalidInputError("need count_max, the most tokens of an image, to pool tokens; declare it")

    @property
    def order(self) -> str:
        """How the order of the bets is fixed, in words."""
        return order_text(self.salt)

    def level(self, n_statements: int) -> float:
        """Level of each of `n_statements` sampling statements that share the error (Bonferroni)."""
        return bonferroni(self.confidence_level, n_statements)[0]


def sampling_calls(
    declaration: Declaration,
    *,
    counts: npt.NDArray[Any],
    distance_sums: npt.NDArray[Any],
    tail_counts: npt.NDArray[Any],
    closed_tail_counts: npt.NDArray[Any],
    level: float,
) -> list[SamplingCall]:
    """The four sampling statements of a layer pair: mean distance and tail, from above and from below.

    Parameters
    ----------
    declaration : Declaration
    counts, distance_sums, tail_counts, closed_tail_counts : ndarray of shape (n,)
        Per image: tokens, sum of distances, tokens with rho > t and with rho >= t.
    level : float
        Confidence level of each statement.

    Returns
    -------
    list of (callable, str, mapping)
        Bound function, quantity and arguments of each statement; nothing is computed yet.
    """
    common = {
        "counts": counts,
        "estimand": declaration.estimand,
        "count_max": declaration.count_max,
        "confidence_level": level,
        "order": declaration.order,
    }
    distance = {**common, "values": distance_sums, "quantity": "mean_distance", "scale": RHO_MAX}
    strict = {**common, "values": tail_counts, "quantity": "tail_prob"}
    closed = {**common, "values": closed_tail_counts, "quantity": "tail_prob_closed"}
    return [
        (betting_upper, "concentration.betting_upper", distance),
        (betting_upper, "concentration.betting_upper", strict),
        (betting_lower, "concentration.betting_lower", distance),
        (betting_lower, "concentration.betting_lower", closed),
    ]


def statements_of_sampled(
    declaration: Declaration,
    distance_upper: BoundCertificate,
    tail_upper: BoundCertificate,
    distance_lower: BoundCertificate,
    closed_tail_lower: BoundCertificate,
) -> tuple[BoundCertificate, ...]:
    """The sampling bounds, the sandwich of Proposition 1 in both directions, and Theorem 1 for the declared constants.

    Parameters
    ----------
    declaration : Declaration
        Threshold and constants.
    distance_upper, tail_upper, distance_lower, closed_tail_lower : BoundCertificate
        On the mean distance in [0, 2], P(rho > t) and P(rho >= t).

    Returns
    -------
    tuple of BoundCertificate
        The four sampling bounds first.
    """
    t = declaration.t
    constants = {"alpha": declaration.alpha, "beta": declaration.beta, "task_cap": declaration.task_cap}
    derived = [
        tail.sandwich_upper(tail_prob=tail_upper, t=t, rho_max=RHO_MAX),
        tail.sandwich_lower(tail_prob_closed=closed_tail_lower, t=t, rho_max=RHO_MAX),
    ]
    if t > 0.0:
        derived.append(tail.tail_closed_upper(mean_distance=distance_upper, t=t))
    if t < RHO_MAX:
        derived.append(tail.tail_lower(mean_distance=distance_lower, t=t, rho_max=RHO_MAX))
    derived += [
        lipschitz.printed_upper(mean_distance=distance_upper, **constants),
        lipschitz.unit_norm_upper(mean_distance=distance_upper, **constants),
        lipschitz.proximal_upper(tail_prob=tail_upper, t=t, diameter=declaration.diameter, **constants),
    ]
    statements = (distance_upper, tail_upper, distance_lower, closed_tail_lower, *derived)
    check_consistent(statements)
    return statements


def check_units(n_units: int, whence: str = "; check ids") -> None:
    """A mean of one unit has no confidence interval.

    Parameters
    ----------
    n_units : int
        Images, or whatever else is independent.
    whence : str
        The end of the sentence.

    Raises
    ------
    InvalidInputError
        If there are fewer than two.
    """
    if n_units < 2:
        raise InvalidInputError(f"need at least 2 images, the i.i.d. units of a certificate, got {n_units}{whence}")


def check_consistent(statements: Sequence[BoundCertificate]) -> None:
    """No lower bound may lie above an upper bound on the same quantity, among those that nothing is assumed for.

    Parameters
    ----------
    statements : sequence of BoundCertificate
        Of one layer pair.

    Raises
    ------
    InvariantError
        If two contradict each other; then neither is printed.
    """
    firm = [s for s in statements if s.evidence in ("P", "C")]
    for quantity in dict.fromkeys(s.quantity for s in firm):
        own = [s for s in firm if s.quantity == quantity]
        low, high = max(own, key=lambda s: s.interval.lower), min(own, key=lambda s: s.interval.upper)
        if low.interval.lower > high.interval.upper:
            raise InvariantError(
                f"{quantity} is at least {low.interval.lower:.6g} by {low.theorem} and at most "
                f"{high.interval.upper:.6g} by {high.theorem}: a fault of this library, report it with the data"
            )


def refutation_p_value(bound: BoundCertificate, threshold: float) -> float:
    """P-value of "the mean of this sampling statement is at least `threshold`": 1 / largest capital (Ville).

    Parameters
    ----------
    bound : BoundCertificate
        An upper betting bound.
    threshold : float
        In the unit of the quantity, within its declared range.

    Returns
    -------
    float
        In [0, 1], rounded up.

    Raises
    ------
    InvalidInputError
        If the statement is no betting bound, or the threshold lies outside its range.
    """
    problem = problem_of(bound.theorem, bound.inputs)
    if problem is None or problem.side != "upper":
        raise InvalidInputError(f"need an upper betting bound to test a threshold, got {bound.theorem}")
    scale = float(bound.inputs["scale"])
    top = float(capitals(problem, check_real(threshold, "threshold", lower=0.0, upper=scale) / scale).max())
    return min(1.0, (1.0 + _CAPITAL_SLACK) / top) if top > 0.0 else 1.0
