"""Theorem 3: upper bounds on H(x_next | x_prev) from closeness: balls, lists, shells and predictors.

All are cases of one inequality, ``H(X|Y) <= E[-log q(X|Y)]`` for every conditional law q (Gibbs). States
must be finite codes, distances are between codes, balls are closed and the tail is strict.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from redundancy.bounds._inputs import binary_terms, nats, probability, rounding_slack
from redundancy.certificates.certificate import Assumption, Bound, Evidence, bound
from redundancy.checks import as_floats, check_count, check_joint, check_real
from redundancy.distances import check_distances
from redundancy.errors import InvalidInputError
from redundancy.info.joint import Array
from redundancy.interval import Interval, round_up
from redundancy.units import check_base

__all__ = [
    "ball_upper",
    "best_radius_upper",
    "best_shells_upper",
    "list_upper",
    "predictor_upper",
    "printed_upper",
    "shells_upper",
    "sized_lists_upper",
]

_FINITE = Assumption("finite_support", "both layers are coded in one finite alphabet of the size given")
_SYMMETRIC = Assumption("symmetric_distance", "rho(x, y) = rho(y, x), between codes")
_MOST_LEVELS = 1024  # the search over shells is quadratic in the number of distinct distances


@bound(
    title="Theorem 3 as printed",
    status="repaired",
    printed="H(X|Y) <= H2(P_t) + P_t log((|X| - N_min)/N_max) + log N_max",
    statement="H(X|Y) <= min(log K, H2(P_t) + P_t log((K - N_min)/N_max) + log N_max); "
    "closed balls, strict tail, N_max >= 1.",
    deviation="It exceeds log K for many laws; |X| = N_min forces P_t = 0.",
    counterexample="Open balls: two points at distance t, independent: 0 against ln 2.",
    uses=("fano.predictor_upper",),
)
def printed_upper(*, tail_prob: Evidence, support_size: int, ball_min: int, ball_max: int, base: float = 2.0) -> Bound:
    r"""Theorem 3 as printed, and never above log K: H <= H2(P) + P log((K - N_min)/N_max) + log N_max.

    Parameters
    ----------
    tail_prob : Evidence
        P(rho > t) (strict). An interval is filled with its worst point: the bound is concave in P with its
        peak at ``(K - N_min)/(K - N_min + N_max)``, so an upper confidence limit alone would not do.
    support_size : int
        K >= 1, size of the shared alphabet; for quantised states, of the codebook.
    ball_min, ball_max : int
        Fewest and most symbols in a *closed* ball of radius t; 0 <= ball_min <= ball_max, 1 <= ball_max <= K.
    base : float, default=2

    Returns
    -------
    BoundCertificate
        On ``conditional_entropy`` = H(x_next | x_prev), in units of `base`.

    Raises
    ------
    InvalidInputError
        If the counts are impossible, or every ball is the whole alphabet while P must be positive.

    References
    ----------
    Theorem 3 of arXiv:2509.25584; Duchi and Wainwright, arXiv:1311.2669.

    Examples
    --------
    Four symbols, wrong with probability 1/2 and then uniform: nothing better than 1 + (1/2) log2 3 bits.

    >>> round(printed_upper(tail_prob=0.5, support_size=4, ball_min=1, ball_max=1).interval.upper, 6)
    1.792481
    """
    size = check_count(support_size, "support_size", lower=1)
    largest = check_count(ball_max, "ball_max", lower=1, upper=size)
    smallest = check_count(ball_min, "ball_min", upper=largest)
    tail = probability(tail_prob, "tail_prob")
    return _entropy_bound(_fano(tail, size - smallest, largest), size, base, (_FINITE, _SYMMETRIC))


@bound(
    title="Theorem 3, one list size",
    status="sharpened",
    statement="H <= H2(P) + (1-P) log k + P log(K-k)",
    deviation="Any predictor that names k symbols in place of a ball; k = 1 is the classical inequality.",
    uses=("fano.predictor_upper",),
)
def list_upper(*, miss_prob: Evidence, list_size: int, support_size: int, base: float = 2.0) -> Bound:
    """H <= H2(P) + (1 - P) log k + P log(K - k) for any predictor that names k symbols and misses with P.

    With k = 1 this is Fano's inequality; with top-k lists of a classifier P is its held-out top-k error.

    Parameters
    ----------
    miss_prob : Evidence
        P(x_next not in L(x_prev)).
    list_size : int
        k, in 1..K.
    support_size : int
        K.
    base : float, default=2
    """
    size = check_count(support_size, "support_size", lower=1)
    named = check_count(list_size, "list_size", lower=1, upper=size)
    return _entropy_bound(_fano(probability(miss_prob, "miss_prob"), size - named, named), size, base, (_FINITE,))


@bound(
    title="Theorem 3, lists of several sizes",
    status="sharpened",
    statement="H <= E h2(miss|size) + E[hit log|L|] + E[miss log(K-|L|)]",
    deviation="Never above the printed form.",
    uses=("fano.predictor_upper",),
)
def sized_lists_upper(
    *, sizes: npt.ArrayLike, hit_probs: npt.ArrayLike, miss_probs: npt.ArrayLike, support_size: int, base: float = 2.0
) -> Bound:
    """Lists of several sizes: H <= E[h2(miss | size)] + E[hit log k] + E[miss log(K - k)], never above the printed.

    Parameters
    ----------
    sizes : array_like of int, shape (m,)
        Distinct list sizes k_j in 1..K (0 if the list may be empty; then it always misses).
    hit_probs, miss_probs : array_like of shape (m,)
        P(x_next in L and |L| = k_j) and P(x_next not in L and |L| = k_j); together they sum to 1.
    support_size : int
        K.
    base : float, default=2

    Raises
    ------
    InvalidInputError
        If an input is outside its range; the message names it.
    """
    size = check_count(support_size, "support_size", lower=1)
    counts = as_floats(sizes, "sizes")
    if counts.ndim != 1 or not np.array_equal(counts, np.round(counts)) or (counts < 0).any() or (counts > size).any():
        raise InvalidInputError(f"need whole list sizes in 0..{size}, got {sizes!r}")
    law = check_joint([as_floats(hit_probs, "hit_probs"), as_floats(miss_probs, "miss_probs")], "hits and misses")
    if law.shape != (2, len(counts)):
        raise InvalidInputError(f"need one hit and one miss probability per size, got {law.shape[1]} for {len(counts)}")
    return _entropy_bound(_lists(law[0], law[1], counts.astype(np.float64), size), size, base, (_FINITE,))


@bound(
    title="Theorem 3, a ball for each point",
    status="sharpened",
    statement="The list form with the closed t-ball of y as list.",
    deviation="Each point its own ball size instead of N_min and N_max.",
    uses=("fano.sized_lists_upper",),
)
def ball_upper(*, joint: npt.ArrayLike, distances: npt.ArrayLike, t: float, base: float = 2.0) -> Bound:
    """The list form with closed balls of radius t as lists, on a finite joint: each point its own ball size.

    Parameters
    ----------
    joint : array_like of shape (K, K)
        Law of (x_next, x_prev) on one alphabet.
    distances : array_like of shape (K, K)
        Symmetric distances between symbols.
    t : float
    base : float, default=2
    """
    table, rho = _pair(joint, distances)
    t = check_real(t, "t", lower=0.0)
    return _entropy_bound(_ball(table, rho, t), len(rho), base, (_FINITE, _SYMMETRIC))


@bound(
    title="Theorem 3, best radius",
    status="sharpened",
    statement="The minimum of the ball form over t, for a known law.",
    deviation="On a sample the choice of t has to be paid for.",
    uses=("fano.ball_upper",),
)
def best_radius_upper(*, joint: npt.ArrayLike, distances: npt.ArrayLike, base: float = 2.0) -> Bound:
    """The smallest `ball_upper` over all radii. For a *known* law: on a sample the choice of t must be paid for.

    Parameters
    ----------
    joint : array_like of shape (k, k)
        Law of the pair, axes (x_next, x_prev).
    distances : array_like of shape (k, k)
        Symmetric distances between the symbols of the alphabet, at least 0.
    base : float, default=2.0
        Unit of information: 2 for bits, ``math.e`` for nats.
    """
    table, rho = _pair(joint, distances)
    best = min((_ball(table, rho, float(t)) for t in np.unique(rho)), key=lambda terms: terms[0])
    return _entropy_bound(best, len(rho), base, (_FINITE, _SYMMETRIC))


@bound(
    title="Theorem 3, shells",
    status="sharpened",
    statement="H <= H(S) + E log #{x : S(x,Y) = S}, S a shell of the distance.",
    deviation="Uses how far, not only whether far.",
    uses=("fano.predictor_upper",),
)
def shells_upper(*, joint: npt.ArrayLike, distances: npt.ArrayLike, edges: npt.ArrayLike, base: float = 2.0) -> Bound:
    """H <= H(S) + E log #{x : S(x, Y) = S}, with S the shell (e_{i-1}, e_i] of the distance.

    Parameters
    ----------
    joint, distances : array_like of shape (K, K)
    edges : array_like of shape (m,)
        Increasing inner edges; shells are (-inf, e_1], (e_1, e_2], ..., (e_m, inf).
    base : float, default=2

    Raises
    ------
    InvalidInputError
        If an input is outside its range; the message names it.
    """
    table, rho = _pair(joint, distances)
    inner = as_floats(edges, "edges")
    if inner.ndim != 1 or not np.isfinite(inner).all() or not (np.diff(inner) > 0).all():
        raise InvalidInputError(f"need finite, strictly increasing edges, got {inner.tolist()}")
    mass, count = _levels(table, rho, np.searchsorted(inner, rho, side="left"), len(inner) + 1)
    value = math.fsum(_shell_cost(mass[i], count[i]) for i in range(len(mass)))
    return _entropy_bound((value, _scale(table)), len(rho), base, (_FINITE, _SYMMETRIC))


@bound(
    title="Theorem 3, best shells",
    status="sharpened",
    statement="The minimum of the shell form over all partitions, for a known law.",
    deviation="The finest partition is not always best.",
    uses=("fano.shells_upper",),
)
def best_shells_upper(*, joint: npt.ArrayLike, distances: npt.ArrayLike, base: float = 2.0) -> Bound:
    """The smallest `shells_upper` over *all* partitions of the distances into shells, by dynamic programming.

    The finest partition is not always best, since H(S) grows with the number of shells. For a known law.

    Parameters
    ----------
    joint : array_like of shape (k, k)
        Law of the pair, axes (x_next, x_prev).
    distances : array_like of shape (k, k)
        Symmetric distances between the symbols of the alphabet, at least 0.
    base : float, default=2.0
        Unit of information: 2 for bits, ``math.e`` for nats.

    Raises
    ------
    InvalidInputError
        For more than 1024 distinct distances (the search is quadratic): round them first.
    """
    table, rho = _pair(joint, distances)
    levels, index = np.unique(rho, return_inverse=True)
    if len(levels) > _MOST_LEVELS:
        raise InvalidInputError(f"need at most {_MOST_LEVELS} distinct distances, got {len(levels)}; round them first")
    mass, count = _levels(table, rho, index.reshape(rho.shape), len(levels))
    masses = np.concatenate([np.zeros((1, len(rho))), np.cumsum(mass, axis=0)])
    counts = np.concatenate([np.zeros((1, len(rho))), np.cumsum(count, axis=0)])
    best = np.zeros(len(levels) + 1)
    for stop in range(1, len(levels) + 1):
        part_mass = np.maximum(masses[stop] - masses[:stop], 0.0)
        part_count = counts[stop] - counts[:stop]
        total = part_mass.sum(axis=1)
        cost = -_xlogx(total) + (part_mass * np.log(np.maximum(part_count, 1.0))).sum(axis=1)
        best[stop] = (best[:stop] + cost).min()
    return _entropy_bound((float(best[-1]), _scale(table) * len(levels)), len(rho), base, (_FINITE, _SYMMETRIC))


@bound(
    title="Theorem 3, predictor form",
    status="sharpened",
    statement="H(X|Y) <= E[-log q(X|Y)] for every conditional law q.",
    deviation="Gibbs; all forms of Fano's inequality are choices of q.",
)
def predictor_upper(*, log_loss: Evidence, support_size: int | None = None, base: float = 2.0) -> Bound:
    """H(X|Y) <= E[-log q(X|Y)] for every conditional law q: the master bound (Gibbs).

    Parameters
    ----------
    log_loss : Evidence
        Mean log-loss of q, in units of `base` (a certificate brings its own base); q must be fixed before
        the evaluation data are seen. An upper confidence bound of a held-out log-loss makes a certificate.
    support_size : int, optional
        Number of codes K of the next layer; caps the bound at log K.
    base : float, default=2

    Notes
    -----
    Equality exactly for q = P(x_next | x_prev). Needs neither balls nor a distance.
    """
    loss = nats(log_loss, "log_loss", base).upper
    fixed = Assumption("fixed_predictor", "the predictive law was fixed before the evaluation data were seen")
    size = None if support_size is None else check_count(support_size, "support_size", lower=1)
    return _entropy_bound((loss, 0.0), size, base, (fixed,))


def _fano(tail: Interval, outside: int, inside: int) -> tuple[float, float]:
    """Max over P in `tail` of H2(P) + P log outside + (1 - P) log inside, and the sum of absolute terms."""
    if outside == 0 and tail.lower > 0.0:
        raise InvalidInputError(
            f"need tail_prob = 0 possible when every ball or list is the whole alphabet, got {tail}"
        )
    p = 0.0 if outside == 0 else min(max(outside / (outside + inside), tail.lower), tail.upper)
    if p in (tail.lower, tail.upper) or outside == 0:
        terms = [*binary_terms(p), (1.0 - p) * math.log(inside)]
        if p > 0.0:
            terms.append(p * math.log(outside))
        value = math.fsum(terms)
    else:
        value = math.log(outside + inside)  # the value at the peak, exactly
        terms = [value]
    return value, rounding_slack(*terms)


def _lists(hit: Array, miss: Array, counts: Array, size: int) -> tuple[float, float]:
    empty, full = counts == 0, counts == size
    if (hit[empty] > 0.0).any() or (miss[full] > 0.0).any():
        raise InvalidInputError("need an empty list to miss and a full list to hit, got mass on the contrary")
    total = hit + miss
    entropies = _xlogx(total) - _xlogx(hit) - _xlogx(miss)
    value = math.fsum([
        *entropies,
        *(hit * np.log(np.where(empty, 1.0, counts))),
        *(miss * np.log(np.where(full, 1.0, size - counts))),
    ])  # fmt: skip
    return value, rounding_slack(4.0 * (1.0 + math.log(size)) * len(hit))


def _ball(table: Array, rho: Array, t: float) -> tuple[float, float]:
    close = rho <= t
    hit, miss = (table * close).sum(axis=0), (table * ~close).sum(axis=0)
    return _lists(hit, miss, close.sum(axis=0).astype(np.float64), len(rho))


def _levels(table: Array, rho: Array, index: npt.NDArray[np.intp], n_levels: int) -> tuple[Array, Array]:
    """Mass and number of symbols x in each shell, for each y: two arrays (n_levels, K)."""
    mass, count = np.zeros((n_levels, len(rho))), np.zeros((n_levels, len(rho)))
    columns = np.broadcast_to(np.arange(len(rho)), rho.shape)
    np.add.at(mass, (index, columns), table)
    np.add.at(count, (index, columns), 1.0)
    return mass, count


def _shell_cost(mass: Array, count: Array) -> float:
    total = float(mass.sum())
    return float(-_xlogx(np.array(total)) + (mass * np.log(np.maximum(count, 1.0))).sum())


def _xlogx(x: Array) -> Array:
    return np.asarray(x * np.log(np.where(x > 0.0, x, 1.0)))


def _scale(table: Array) -> float:
    return rounding_slack((1.0 + math.log(table.size)) * len(table))


def _pair(joint: npt.ArrayLike, distances: npt.ArrayLike) -> tuple[Array, Array]:
    table, rho = check_joint(joint, ndim=2), check_distances(distances)
    if table.shape != rho.shape:
        raise InvalidInputError(f"need joint and distances of one shape (K, K), got {table.shape} and {rho.shape}")
    return table, rho


def _entropy_bound(
    value: tuple[float, float], size: int | None, base: float, assumptions: tuple[Assumption, ...]
) -> Bound:
    base = check_base(base)
    unit = 1.0 if base == math.e else math.log(base)
    cap = math.inf if size is None else round_up(math.log(size) / unit)
    upper = max(0.0, round_up((value[0] + value[1]) / unit))
    return Bound(
        quantity="conditional_entropy",
        interval=Interval(0.0, min(upper, cap)),
        trivial=Interval(0.0, cap),
        base=base,
        assumptions=assumptions,
    )
