"""Lemmas 1 to 5 of the paper: squared triangle inequalities, cosine to Euclid, and two information identities."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from redundancy.bounds._inputs import NONNEGATIVE, nonnegative, product, rounding_slack, upper_of
from redundancy.certificates.certificate import Assumption, Bound, Evidence, as_interval, bound
from redundancy.checks import check_joint, check_real
from redundancy.errors import AssumptionError
from redundancy.info.divergence import kl_divergence
from redundancy.info.entropy import conditional_entropy, entropy
from redundancy.info.markov import is_markov
from redundancy.interval import Interval, outward, round_down, round_up

__all__ = [
    "divergence_information",
    "self_unique_information",
    "squared_distance_of_cosine",
    "squared_distance_of_norms",
    "squared_sum_upper",
    "squared_triangle_minkowski",
    "squared_triangle_upper",
    "sum_minkowski",
]

UNIT_NORM = Assumption("unit_norm", "the states of both layers have norm 1")
_METRIC = (Assumption("metric", "the distance obeys the triangle inequality"),)


@bound(
    title="Lemma 1",
    status="true",
    printed="d(x,y)^2 <= 2 d(x,z)^2 + 2 d(z,y)^2",
    statement="d(x,y)^2 <= 2 d(x,z)^2 + 2 d(z,y)^2",
    counterexample="Constant 1.9 instead: points 0, 1, 2 on the line, 4 > 3.8.",
)
def squared_triangle_upper(*, first: Evidence, second: Evidence) -> Bound:
    """Lemma 1: d(x,y)^2 <= 2 d(x,z)^2 + 2 d(z,y)^2; the constant 2 is best (equal legs on a line).

    Parameters
    ----------
    first : float, Interval or certificate
        Distance d(x, z).
    second : float, Interval or certificate
        Distance d(z, y).
    """
    upper = 2.0 * upper_of(first, "first") ** 2 + 2.0 * upper_of(second, "second") ** 2
    return Bound(
        quantity="squared_distance", interval=Interval(0.0, round_up(upper)), trivial=NONNEGATIVE, assumptions=_METRIC
    )


@bound(
    title="Lemma 1, sharp",
    status="sharpened",
    statement="d(x,y)^2 <= (d(x,z) + d(z,y))^2",
    deviation="2a^2 + 2b^2 - (a+b)^2 = (a-b)^2.",
)
def squared_triangle_minkowski(*, first: Evidence, second: Evidence) -> Bound:
    """The sharp form of Lemma 1: d(x,y)^2 <= (d(x,z) + d(z,y))^2, smaller by (d(x,z) - d(z,y))^2.

    Parameters
    ----------
    first : float, Interval or certificate
        Distance d(x, z).
    second : float, Interval or certificate
        Distance d(z, y).
    """
    upper = (upper_of(first, "first") + upper_of(second, "second")) ** 2
    return Bound(
        quantity="squared_distance", interval=Interval(0.0, round_up(upper)), trivial=NONNEGATIVE, assumptions=_METRIC
    )


@bound(
    title="Lemma 2",
    status="true",
    printed="Unit norm: E rho < eps/2 implies E|X-Y|^2 < eps.",
    statement="Unit norm: E|X-Y|^2 = 2 E rho.",
    deviation="An identity, so also the converse.",
    counterexample="Without unit norm: e1 and 3 e1 have rho = 0 and squared distance 4.",
)
def squared_distance_of_cosine(*, mean_distance: Evidence) -> Bound:
    """Lemma 2: E|X - Y|^2 = 2 E[rho] for unit-norm states and cosine distance rho; an identity.

    False without unit norm: e1 and 3 e1 are at cosine distance 0 and squared distance 4.

    Parameters
    ----------
    mean_distance : float, Interval or certificate
        E[rho], the mean distance.

    Examples
    --------
    >>> round(squared_distance_of_cosine(mean_distance=0.25).interval.upper, 12)
    0.5
    """
    mean = as_interval(mean_distance, name="mean_distance", within=Interval(0.0, 2.0))
    return Bound(
        quantity="mean_squared_distance",
        interval=Interval(2.0 * mean.lower, 2.0 * mean.upper),  # doubling is exact
        trivial=Interval(0.0, 4.0),
        assumptions=(UNIT_NORM,),
    )


@bound(
    title="Lemma 2 for any norms",
    status="sharpened",
    statement="E|X-Y|^2 = E(|X|-|Y|)^2 + 2 E[|X||Y| rho]",
    deviation="Hidden states do not have unit norm.",
)
def squared_distance_of_norms(
    *, mean_distance: Evidence, norm_gap_squared: Evidence, norm_lower: float, norm_upper: float
) -> Bound:
    """Lemma 2 for any norms: E|X - Y|^2 = E(|X| - |Y|)^2 + 2 E[|X| |Y| rho].

    Parameters
    ----------
    mean_distance : Evidence
        E[rho], cosine distance.
    norm_gap_squared : Evidence
        E(|X| - |Y|)^2.
    norm_lower, norm_upper : float
        Range that holds the norms of both layers' states.
    """
    small = check_real(norm_lower, "norm_lower", lower=0.0)
    large = check_real(norm_upper, "norm_upper", lower=small)
    mean = as_interval(mean_distance, name="mean_distance", within=Interval(0.0, 2.0))
    gap = nonnegative(norm_gap_squared, "norm_gap_squared")
    interval = Interval(
        round_down(gap.lower + product(2.0, small, small, mean.lower)),
        round_up(gap.upper + product(2.0, large, large, mean.upper)),
    )
    assumption = Assumption("norm_range", f"the norms of both layers lie in [{small:g}, {large:g}]")
    return Bound(quantity="mean_squared_distance", interval=interval, trivial=NONNEGATIVE, assumptions=(assumption,))


@bound(
    title="Lemma 3",
    status="true",
    printed="|a+b+c|^2 <= 3(|a|^2 + |b|^2 + |c|^2)",
    statement="|a+b+c|^2 <= 3(|a|^2 + |b|^2 + |c|^2)",
    deviation="Equality at a = b = c only.",
    counterexample="Constant 2 instead: a = b = c of norm 1, 9 > 6.",
)
def squared_sum_upper(*, first: Evidence, second: Evidence, third: Evidence) -> Bound:
    """Lemma 3: |a+b+c|^2 <= 3 (|a|^2 + |b|^2 + |c|^2), given the three squared norms; 3 is best (a = b = c).

    Parameters
    ----------
    first : float, Interval or certificate
        Squared length of the first term.
    second : float, Interval or certificate
        Squared length of the second term.
    third : float, Interval or certificate
        Squared length of the third term.
    """
    upper = 3.0 * (upper_of(first, "first") + upper_of(second, "second") + upper_of(third, "third"))
    return Bound(quantity="squared_norm_of_sum", interval=Interval(0.0, round_up(upper)), trivial=NONNEGATIVE)


@bound(
    title="Lemma 3, sharp",
    status="sharpened",
    statement="|a+b+c|^2 <= (|a| + |b| + |c|)^2",
    deviation="3(a^2 + b^2 + c^2) - (a+b+c)^2 = (a-b)^2 + (b-c)^2 + (a-c)^2.",
)
def sum_minkowski(*, first: Evidence, second: Evidence, third: Evidence) -> Bound:
    """The sharp form of Lemma 3: |a+b+c|^2 <= (|a| + |b| + |c|)^2, given the three squared norms.

    Parameters
    ----------
    first : float, Interval or certificate
        Squared length of the first term.
    second : float, Interval or certificate
        Squared length of the second term.
    third : float, Interval or certificate
        Squared length of the third term.
    """
    norms = [np.sqrt(upper_of(value, name)) for value, name in ((first, "first"), (second, "second"), (third, "third"))]
    return Bound(
        quantity="squared_norm_of_sum",
        interval=Interval(0.0, round_up(float(sum(norms)) ** 2)),
        trivial=NONNEGATIVE,
    )


@bound(
    title="Lemma 4",
    status="true",
    printed="Y - X - Z Markov: E D(p(Z|X) || p(Z|Y)) = I(Z;X|Y).",
    statement="Y - X - Z Markov: E D(p(Z|X) || p(Z|Y)) = I(Z;X|Y).",
    deviation="Densities are not needed; regular conditional laws suffice. The chain is checked on the table. "
    "The paper numbers two equations (11).",
    counterexample="Without the chain: X, Y independent bits, Z = Y flipped w.p. 1/4: 0.1438 against 0.",
)
def divergence_information(*, joint: npt.ArrayLike, base: float = 2.0) -> Bound:
    """Lemma 4: under previous - next - task, E[D(P(z|next) || P(z|prev))] = I(z; next | prev).

    Parameters
    ----------
    joint : array_like of shape (n_next, n_prev, n_z)
        Law of (x_next, x_prev, z); it must be a Markov chain previous - next - task.
    base : float, default=2
        Base of the logarithm.

    Returns
    -------
    BoundCertificate
        The left side, computed from its definition, as the value of ``information_next``.

    Raises
    ------
    AssumptionError
        If the table is not such a chain; the identity then fails (X, Y independent bits, z a noisy copy of Y).
    """
    table = check_joint(joint, ndim=3)
    if not is_markov(table.transpose(1, 0, 2)):
        raise AssumptionError("need a Markov chain previous - next - task in joint, got one that violates it")
    pair = table.sum(axis=2)
    i, j = np.nonzero(pair)
    next_law = table.sum(axis=1)[i]
    prev_law = table.sum(axis=0)[j]
    terms = kl_divergence(
        next_law / next_law.sum(axis=1, keepdims=True), prev_law / prev_law.sum(axis=1, keepdims=True), base=base
    )
    value = float(pair[i, j] @ terms)
    slack = rounding_slack(table.size)
    total = float(entropy(table.sum(axis=(0, 1)), base=base))
    interval = outward(value, value, slack=slack)
    return Bound(
        quantity="information_next",
        interval=Interval(max(0.0, interval.lower), max(0.0, interval.upper)),
        trivial=Interval(0.0, round_up(total, slack=slack)),
        base=base,
        assumptions=(Assumption("chain_prev_next_task", "previous - next - task is a Markov chain", "checked"),),
    )


@bound(
    title="Lemma 5",
    status="true",
    printed="Uni(X : X \\ Y) = H(X|Y)",
    statement="Uni(X : X \\ Y) = H(X|Y) for every non-negative decomposition that satisfies Definition 5.",
    deviation="A restatement of conditional entropy; it is not H(X).",
    counterexample="H(X) in place of H(X|Y): X = Y a bit, 0.693 against 0.",
)
def self_unique_information(*, joint: npt.ArrayLike, base: float = 2.0) -> Bound:
    r"""Lemma 5: Uni(X : X \ Y) = H(X | Y), for X the next and Y the previous layer's code.

    True for every non-negative decomposition that satisfies the paper's Definition 5, and for the
    BROJA measure; a statement about the conditional entropy in other words.

    Parameters
    ----------
    joint : array_like of shape (n_next, n_prev)
    base : float, default=2
    """
    table = check_joint(joint, ndim=2)
    value = float(conditional_entropy(table, base=base))
    slack = rounding_slack(table.size)
    interval = outward(value, value, slack=slack)
    return Bound(
        quantity="self_unique_information",
        interval=Interval(max(0.0, interval.lower), interval.upper),
        trivial=Interval(0.0, round_up(float(entropy(table.sum(axis=1), base=base)), slack=slack)),
        base=base,
        assumptions=(Assumption("decomposition", "a non-negative decomposition that satisfies Definition 5"),),
    )
