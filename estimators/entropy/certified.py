"""Certified bounds on codes: H(next | previous) from above by prediction, I(next; previous) from below by distance."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from estimators.codes.pairs import CodedPair
from estimators.entropy.predictor import fit_predictor
from redundancy.bounds.braun_pokutta import binary_lower
from redundancy.bounds.fano import list_upper, predictor_upper
from redundancy.bounds.implications import intersection
from redundancy.certificates.certificate import BoundCertificate
from redundancy.certificates.certifying import SamplingCall
from redundancy.checks import check_count, check_real, generator
from redundancy.concentration.betting import betting_upper, together
from redundancy.errors import InvalidInputError
from redundancy.sampling import DEFAULT_SALT, HASHED_ROWS, hash_order, order_text
from redundancy.statistics.streaming import ImageIndex
from redundancy.units import check_base, from_nats

__all__ = ["conditional_entropy_upper", "mutual_information_lower"]

Array = npt.NDArray[np.float64]

_DRAWS = 16  # token pairs per pair of images; any number is unbiased
_MOST_RADII = 64  # candidates for t, taken from quantiles of the tuning half


def conditional_entropy_upper(
    pair: CodedPair,
    *,
    confidence_level: float = 0.95,
    base: float = 2.0,
    floor: float = 0.01,
    random_state: int = 0,
) -> BoundCertificate:
    """Certified upper bound on H(next code | previous code), for a token of a random image.

    The smallest of three: the log-loss of a predictor on images that it was not fitted on, Fano's bound on how
    often the code changes, and log K. The first two spend half of the error each.

    Parameters
    ----------
    pair : CodedPair
        Images other than those that the codebook was fitted on. Half of them fit the predictor (three parts count,
        one chooses its parameters), half judge it.
    confidence_level : float, default=0.95
    base : float, default=2
    floor : float, default=0.01
        Probability that the predictor spreads over all codes, to bound its loss.
    random_state : int, default=0
        Of the split.

    Returns
    -------
    BoundCertificate
        On ``conditional_entropy``, label C; it rechecks from stored per-image losses.

    Raises
    ------
    InvalidInputError
        For fewer than 8 images.

    References
    ----------
    Theorem 3 of arXiv:2509.25584 in its predictor form; see `redundancy.bounds.fano.predictor_upper`.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> codes = rng.integers(16, size=8000)
    >>> moved = np.where(rng.random(8000) < 0.02, rng.integers(16, size=8000), codes)
    >>> pair = CodedPair.of(codes, moved, np.arange(8000) // 20, n_codes=16)
    >>> bound = conditional_entropy_upper(pair)
    >>> 0.2 < bound.interval.upper < 0.6
    True
    """
    base = check_base(base)
    level = check_real(confidence_level, "confidence_level", lower=0.0, upper=1.0, open_ends=True)
    check_count(pair.n_images, "number of images", lower=8)
    train, tune, judge = pair.split((3, 1, 4), random_state=random_state)
    predictor = fit_predictor(train, tune, floor=floor)
    half = 1.0 - 0.5 * (1.0 - level)
    scale = from_nats(predictor.loss_max, base)
    losses = judge.image_sums(predictor.losses(judge)) / (1.0 if base == math.e else math.log(base))
    log_loss, changes = together(
        [
            _mean(losses, judge.index, "log_loss", half, scale=scale),
            _mean(pair.image_sums(pair.next != pair.prev), pair.index, "mismatch_prob", half),
        ]
    )
    bound = intersection(
        statements=(
            predictor_upper(log_loss=log_loss, support_size=pair.n_codes, base=base),
            list_upper(miss_prob=changes, list_size=1, support_size=pair.n_codes, base=base),
        )
    )
    return bound.with_provenance(
        source=pair.source,
        n_images=pair.n_images,
        n_tokens=pair.n_tokens,
        predictor=f"strength {predictor.strength:g}, stay {predictor.stay:g}, slope {predictor.slope:g}",
    )


def mutual_information_lower(
    pair: CodedPair,
    *,
    confidence_level: float = 0.95,
    base: float = 2.0,
    random_state: int = 0,
) -> BoundCertificate:
    """Certified lower bound on I(next code; previous code): tokens are closer to themselves than to those of others.

    By data processing ``I >= d(1 - P_t || q_t)``, with ``P_t`` how often a token moves by more than t, and ``q_t``
    how often the codes of *different* images are within t. The radius is chosen on a quarter of the images; on
    the rest each probability gets an upper confidence bound at half of the error, q from disjoint pairs of images.

    Parameters
    ----------
    pair : CodedPair
        With distances; without, codes are equal or not (t = 0).
    confidence_level : float, default=0.95
    base : float, default=2
    random_state : int, default=0
        Of the split and of the pairs.

    Returns
    -------
    BoundCertificate
        On ``mutual_information``, label C.

    Raises
    ------
    InvalidInputError
        For fewer than 8 images.

    Notes
    -----
    No certified lower bound from n images can exceed about ln n nats. A large I does not make the next layer
    redundant: it may carry much more besides.

    References
    ----------
    Theorem 4 of arXiv:2509.25584 in its distance-law form; see `redundancy.bounds.braun_pokutta.binary_lower`.
    """
    base = check_base(base)
    level = check_real(confidence_level, "confidence_level", lower=0.0, upper=1.0, open_ends=True)
    check_count(pair.n_images, "number of images", lower=8)
    tune, judge = pair.split((1, 3), random_state=random_state)
    rng = generator(random_state, "random_state")
    t = _best_radius(_moves(tune), _independent(tune, rng))
    half = 1.0 - 0.5 * (1.0 - level)
    far = judge.image_sums(_moves(judge) > t)
    near = (_independent(judge, rng) <= t).mean(axis=1)
    tail, ball = together(
        [
            _mean(far, judge.index, "tail_prob", half),
            _mean(near, None, "ball_prob", half),
        ]
    )
    bound = binary_lower(tail_prob=tail, ball_prob=ball, support_size=pair.n_codes, base=base)
    return bound.with_provenance(source=pair.source, n_images=pair.n_images, n_tokens=pair.n_tokens, radius=t)


def _mean(sums: Array, index: ImageIndex | None, quantity: str, level: float, *, scale: float = 1.0) -> SamplingCall:
    """The bound to be computed: images in the order of the bets, pairs of images in that of their numbers."""
    counts, order = None, HASHED_ROWS
    if index is not None:
        rows, order = hash_order(index.names, DEFAULT_SALT), order_text(DEFAULT_SALT)
        sums, counts = sums[rows], index.counts[rows].astype(np.float64)
    inputs: dict[str, Any] = {
        "values": sums,
        "counts": counts,
        "quantity": quantity,
        "scale": scale,
        "confidence_level": level,
        "order": order,
    }
    return betting_upper, "concentration.betting_upper", inputs


def _moves(pair: CodedPair) -> Array:
    """Distance between the two codes of each token."""
    if pair.distances is None:
        return np.asarray(pair.next != pair.prev, dtype=np.float64)
    return np.asarray(pair.distances[pair.next, pair.prev])


def _independent(pair: CodedPair, rng: np.random.Generator) -> Array:
    """Distances of next codes of one image to previous codes of another, shape (n_images // 2, draws)."""
    counts = pair.index.counts
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    members = np.argsort(pair.index.rows, kind="stable")
    images = rng.permutation(len(counts))
    half = len(counts) // 2
    picks = []
    for chosen in (images[:half], images[half : 2 * half]):
        draws = (rng.random((half, _DRAWS)) * counts[chosen, None]).astype(np.intp)
        picks.append(members[starts[chosen, None] + draws])
    after, before = pair.next[picks[0]], pair.prev[picks[1]]
    return np.asarray(after != before, dtype=np.float64) if pair.distances is None else pair.distances[after, before]


def _best_radius(moves: Array, independent: Array) -> float:
    """The t with the largest divergence on the tuning part; one draw is added to each count, against 0 and 1."""
    radii = np.unique(np.quantile(moves, np.linspace(0.0, 1.0, _MOST_RADII), method="higher"))
    close = (1.0 + np.array([(moves <= t).sum() for t in radii])) / (2.0 + moves.size)
    near = (1.0 + np.array([(independent <= t).sum() for t in radii])) / (2.0 + independent.size)
    gain = close * np.log(close / near) + (1.0 - close) * np.log((1.0 - close) / (1.0 - near))
    gain[close <= near] = 0.0
    if radii.size == 0:
        raise InvalidInputError("need at least one distance to choose a radius from, got none")
    return float(radii[int(np.argmax(gain))])
