"""How a layer-pair certificate is made: from a harvest, from arrays, from codes, or from a known law."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt

from redundancy._validate import check_count, check_joint
from redundancy.bounds import braun_pokutta, fano, laws, lipschitz, mismatch, pinsker, tail
from redundancy.bounds.task_range import task_range
from redundancy.certificate import BoundCertificate
from redundancy.certifying import LEAVES_PER_PAIR, RHO_MAX, Declaration, leaf_calls, statements_of_leaves
from redundancy.concentration.betting import betting_upper, together
from redundancy.distances import ball_masses, ball_sizes, check_distances
from redundancy.errors import AssumptionError, InvalidInputError
from redundancy.info.joint import check_values
from redundancy.probes import probe_leaves, probe_statements
from redundancy.statistics import HarvestStatistics
from redundancy.strangers import stranger_fractions
from redundancy.streaming import index_images, pair_sums

__all__ = [
    "PairFields",
    "anomaly_notes",
    "leaves_of_statistics",
    "pair_of_arrays",
    "pair_of_codes",
    "pair_of_law",
    "pair_of_statistics",
    "population_of",
]

_MOST_KAPPA = 256  # task values up to which the mismatch constant is enumerated


class PairFields(TypedDict):
    """Fields of a `LayerPairCertificate`; the makers hand these over, so that they need not know the class."""

    layer: int
    group: str
    n_images: int
    n_tokens: int
    statements: tuple[BoundCertificate, ...]
    population: str
    notes: tuple[str, ...]


def leaves_of_statistics(
    statistics: HarvestStatistics, group: str, declaration: Declaration, *, level: float
) -> list[list[Any]]:
    """The sampling statements of every layer of a group, to be computed together.

    Raises
    ------
    InvalidInputError
        With fewer than two images, or images without tokens of the group where the estimand needs them.
    AssumptionError
        If looking at the images decided how many there are.
    """
    if statistics.provenance.stopped_by:
        raise AssumptionError(
            f"need a number of images that was fixed before any was looked at, this harvest of {statistics.n_samples} "
            f"stopped when {' and '.join(statistics.provenance.stopped_by)} was decided; resume it without --until, or "
            "use the interval of its own question, or bounds that hold at any stop (redundancy.concentration.anytime)"
        )
    if statistics.n_samples < 2:
        raise InvalidInputError(
            f"need at least 2 images, the i.i.d. units of a certificate, got {statistics.n_samples}; harvest more"
        )
    counts = statistics.pair_counts(group)
    if declaration.estimand == "image_average" and (counts == 0).any():
        row, column = np.argwhere(counts == 0)[0]
        raise InvalidInputError(
            f"need tokens of group {group!r} in every image, {statistics.sample_ids[row]!r} has none with a "
            f"distance at layer {column + 1}; certify other groups, drop the sample or pool tokens"
        )
    columns = {
        "distance_sums": statistics.distance_sums(group),
        "tail_counts": statistics.tail_counts(group, declaration.t),
        "closed_tail_counts": statistics.tail_counts(group, declaration.t, strict=False),
        "counts": counts,
    }
    return [
        leaf_calls(declaration, level=level, **{name: table[:, layer] for name, table in columns.items()})
        for layer in range(statistics.spec.n_layers)
    ]


def population_of(statistics: HarvestStatistics, declared: str) -> str:
    """The declared population; if samples failed, with the share that it lacks."""
    missing = statistics.provenance.sentence(statistics.n_samples)
    return f"{declared}, restricted to what can be harvested: {missing}" if missing else declared


def anomaly_notes(statistics: HarvestStatistics, group: str) -> list[tuple[str, ...]]:
    """What a reader must know of odd vectors in each layer of a harvest, one tuple of sentences per layer."""
    counts = statistics.anomalies(group)
    notes: list[tuple[str, ...]] = []
    for one_zero, both_zero, excluded in zip(
        counts["one_zero_pairs"], counts["both_zero_pairs"], counts["excluded_pairs"], strict=True
    ):
        own = []
        if one_zero or both_zero:
            own.append(
                f"{one_zero + both_zero} tokens with a zero vector count as distance 0 ({both_zero}, both zero) "
                f"or 1 ({one_zero}, one zero)"
            )
        if excluded:
            own.append(f"{excluded} tokens with NaN or infinite states are left out; means are over the others")
        notes.append(tuple(own))
    return notes


def pair_of_statistics(statistics: HarvestStatistics, *, layer: int, group: str, **declared: Any) -> PairFields:
    """Certify layer `layer` of a harvest for one group; see `LayerPairCertificate.from_statistics`."""
    declaration = Declaration(**{"order": "sorted by sample id", **declared})
    declaration = replace(declaration, population=population_of(statistics, declaration.population))
    layer = check_count(layer, "layer", lower=1, upper=statistics.spec.n_layers)
    level = declaration.level(LEAVES_PER_PAIR)
    leaves = together(leaves_of_statistics(statistics, group, declaration, level=level)[layer - 1])
    return PairFields(
        layer=layer,
        group=group,
        n_images=statistics.n_samples,
        n_tokens=int(statistics.pair_counts(group)[:, layer - 1].sum()),
        statements=statements_of_leaves(declaration, *leaves),
        population=declaration.population,
        notes=anomaly_notes(statistics, group)[layer - 1],
    )


def pair_of_arrays(
    x_prev: npt.NDArray[Any],
    x_next: npt.NDArray[Any],
    ids: npt.ArrayLike,
    *,
    target: npt.ArrayLike | None = None,
    target_range: tuple[float, float] | None = None,
    layer: int = 0,
    group: str = "all",
    seed: int = 0,
    base: float = 2.0,
    progress: Callable[[int], None] | None = None,
    **declared: Any,
) -> PairFields:
    """Certify two arrays of states; see `LayerPairCertificate.from_arrays`.

    Parameters
    ----------
    x_prev, x_next : array of shape (n_tokens, n_features)
    ids : array_like of shape (n_tokens,)
        Image of each row; the order of first appearance is the order of the bets.
    target : array_like, optional
        Labels (n_tokens,), or vectors (n_tokens, n_dims) inside `target_range`.
    target_range : (float, float), optional
        Declared range of every coordinate of a real-valued target.
    layer, group : int, str
        For the record.
    seed : int
        Of the split for the probes and of the pairs of images behind Theorem 4; on record.
    base : float, default=2
        Unit of information.
    progress : callable, optional
        Called with the number of rows of the main pass just done.
    **declared
        Fields of `Declaration`.
    """
    declaration = Declaration(**{"order": "first appearance", **declared})
    sums = pair_sums(x_prev, x_next, ids, thresholds=(declaration.t,), progress=progress)
    n_images = len(sums.index.names)
    if n_images < 2:
        raise InvalidInputError(f"need at least 2 images, the i.i.d. units of a certificate, got {n_images}; check ids")
    strangers = stranger_fractions(x_prev, x_next, sums.index, t=declaration.t, seed=seed)
    probes = None if target is None else probe_leaves(x_prev, x_next, sums.index, target, target_range, seed=seed)
    level = declaration.level(LEAVES_PER_PAIR + 1 + (0 if probes is None else len(probes.calls)))
    calls = leaf_calls(
        declaration,
        counts=sums.index.counts,
        distance_sums=sums.distance_sums,
        tail_counts=sums.tail_counts[:, 0],
        closed_tail_counts=sums.closed_tail_counts[:, 0],
        level=level,
    )
    close = {
        "values": strangers,
        "quantity": "ball_prob",
        "confidence_level": level,
        "order": f"random pairs of different images, seed {seed}",
    }
    calls.append((betting_upper, "mean.betting_upper", close))
    if probes is not None:
        calls += [(f, theorem, {**inputs, "confidence_level": level}) for f, theorem, inputs in probes.calls]
    leaves = together(calls)
    statements = list(statements_of_leaves(declaration, *leaves[:LEAVES_PER_PAIR]))
    ball = leaves[LEAVES_PER_PAIR]
    # With token pooling the tail is of another law than the pairs of images, which weigh images alike.
    if declaration.estimand == "image_average":
        statements += [ball, braun_pokutta.binary_lower(tail_prob=leaves[1], ball_prob=ball, base=base)]
    notes = []
    if probes is not None:
        statements += probe_statements(probes, leaves[LEAVES_PER_PAIR + 1 :])
        notes.append(probes.note)
    return PairFields(
        layer=layer,
        group=group,
        n_images=n_images,
        n_tokens=len(sums.index.rows),
        statements=tuple(statements),
        population=declaration.population,
        notes=tuple(notes),
    )


def pair_of_codes(
    prev_codes: npt.ArrayLike,
    next_codes: npt.ArrayLike,
    ids: npt.ArrayLike,
    *,
    n_codes: int,
    task_values: npt.ArrayLike | None = None,
    base: float = 2.0,
    layer: int = 0,
    group: str = "all",
    **declared: Any,
) -> PairFields:
    """Certify finite codes of both layers in one alphabet of `n_codes` symbols, fixed on other data.

    Parameters
    ----------
    prev_codes, next_codes : array_like of int, shape (n_tokens,)
    ids : array_like of shape (n_tokens,)
    n_codes : int
        K >= 2, declared.
    task_values : array_like of shape (n_values,) or (n_values, n_dims), optional
        All values the task can take; adds bounds on the functional gap of the codes.
    base, layer, group, **declared
        As `pair_of_arrays`.
    """
    declaration = Declaration(**{"order": "first appearance", **declared})
    size = check_count(n_codes, "n_codes", lower=2)
    first, second = np.asarray(next_codes), np.asarray(prev_codes)
    if first.ndim != 1 or first.shape != second.shape or first.size == 0:
        raise InvalidInputError(f"need two code vectors of one length, got shapes {second.shape} and {first.shape}")
    for name, codes in (("prev_codes", second), ("next_codes", first)):
        if codes.dtype.kind not in "iu" or codes.min() < 0 or codes.max() >= size:
            raise InvalidInputError(
                f"need integer codes in 0..{size - 1} in {name}, got dtype {codes.dtype} and a range of "
                f"{codes.min()} to {codes.max()}"
            )
    index = index_images(ids, first.size)
    n_images = len(index.names)
    if n_images < 2:
        raise InvalidInputError(f"need at least 2 images, the i.i.d. units of a certificate, got {n_images}; check ids")
    differ = betting_upper(
        values=np.bincount(index.rows, weights=first != second, minlength=n_images),
        counts=index.counts,
        estimand=declaration.estimand,
        count_max=declaration.count_max,
        quantity="mismatch_prob",
        confidence_level=declaration.level(1),
        order=declaration.order,
    )
    # The bound on H(next | previous) is one on H(previous | next) as well: both miss when the codes differ.
    entropy = fano.list_upper(miss_prob=differ, list_size=1, support_size=size, base=base)
    statements = [differ, entropy]
    if task_values is not None:
        statements += _task_statements(differ, entropy, entropy, check_values(task_values), base)
    return PairFields(
        layer=layer,
        group=group,
        n_images=n_images,
        n_tokens=first.size,
        statements=tuple(statements),
        population=declaration.population,
        notes=(f"states are codes in an alphabet of {size}, fixed on other data",),
    )


def pair_of_law(
    joint: npt.ArrayLike,
    *,
    distances: npt.ArrayLike | None = None,
    t: float = 0.05,
    task_values: npt.ArrayLike | None = None,
    base: float = 2.0,
    alpha: float = 1.0,
    beta: float = 1.0,
    layer: int = 0,
    group: str = "law",
) -> PairFields:
    """Everything the theorems say of a known finite joint with axes (x_next, x_prev) or (x_next, x_prev, z).

    Parameters
    ----------
    joint : array_like of shape (K, K) or (K, K, n_z)
    distances : array_like of shape (K, K), optional
        Symmetric cosine distances between symbols, in [0, 2]; without them only codes are compared.
    t : float
        Radius for the printed forms; the sharpened ones optimise it.
    task_values : array_like of shape (n_z,) or (n_z, n_dims), optional
        Values of z; needs a joint with three axes.
    base, alpha, beta, layer, group
    """
    table = np.asarray(joint, dtype=np.float64)
    table = check_joint(table, ndim=3 if table.ndim == 3 else 2)
    pair = table.sum(axis=2) if table.ndim == 3 else table
    if pair.shape[0] != pair.shape[1]:
        raise InvalidInputError(f"need one alphabet for both layers, got shape {pair.shape}")
    forward = laws.forward_entropy_of_law(joint=pair, base=base)
    backward = laws.backward_entropy_of_law(joint=pair, base=base)
    differ = laws.law_mismatch(joint=pair)
    statements = [forward, backward, differ]
    if distances is not None:
        statements += _law_distance_statements(pair, check_distances(distances), t, base, alpha, beta)
    if task_values is not None:
        if table.ndim != 3:
            raise InvalidInputError(f"need a joint with axes (x_next, x_prev, z) for task_values, got {table.shape}")
        values = check_values(task_values, table.shape[2])
        statements.append(laws.gap_of_law(joint=table, task_values=values))
        statements += _task_statements(differ, forward, backward, values, base)
        information = laws.information_of_law(joint=table, base=base)
        diameter = task_range(values).diameter
        statements += [
            information,
            pinsker.performance_gap_upper(unique_information=information, diameter=diameter, base=base),
        ]
    return PairFields(
        layer=layer,
        group=group,
        n_images=0,
        n_tokens=0,
        statements=tuple(statements),
        population="none: the law is given",
        notes=(),
    )


def _law_distance_statements(
    pair: npt.NDArray[np.float64], rho: npt.NDArray[np.float64], t: float, base: float, alpha: float, beta: float
) -> list[BoundCertificate]:
    if rho.max() > RHO_MAX:
        raise InvalidInputError(f"need cosine distances in [0, {RHO_MAX:g}], got a maximum of {rho.max():.6g}")
    mean = laws.law_distance(joint=pair, distances=rho)
    strict = laws.law_tail(joint=pair, distances=rho, t=t)
    closed = laws.law_tail_closed(joint=pair, distances=rho, t=t)
    sizes = ball_sizes(rho, t)
    masses = ball_masses(rho, pair.sum(axis=0), t)
    statements = [
        mean,
        strict,
        closed,
        tail.sandwich_upper(tail_prob=strict, t=t, rho_max=RHO_MAX),
        tail.sandwich_lower(tail_prob_closed=closed, t=t, rho_max=RHO_MAX),
        lipschitz.printed_upper(mean_distance=mean, alpha=alpha, beta=beta),
        lipschitz.unit_norm_upper(mean_distance=mean, alpha=alpha, beta=beta),
        fano.best_radius_upper(joint=pair, distances=rho, base=base),
        fano.best_shells_upper(joint=pair, distances=rho, base=base),
        braun_pokutta.best_radius_lower(joint=pair, distances=rho, base=base),
    ]
    size, smallest, largest = len(pair), int(sizes.min()), int(sizes.max())
    if largest > 0 and (smallest < size or strict.interval.upper == 0.0):
        statements.append(
            fano.printed_upper(tail_prob=strict, support_size=size, ball_min=smallest, ball_max=largest, base=base)
        )
    if masses.max() > 0.0 and (masses.min() < 1.0 or strict.interval.upper == 0.0):
        statements.append(
            braun_pokutta.printed_lower(
                tail_prob=strict,
                ball_prob_min=float(masses.min()),
                ball_prob_max=min(1.0, float(masses.max())),
                support_size=size,
                base=base,
            )
        )
    return statements


def _task_statements(
    differ: BoundCertificate,
    forward: BoundCertificate,
    backward: BoundCertificate,
    values: npt.NDArray[np.float64],
    base: float,
) -> list[BoundCertificate]:
    """Bounds on the functional gap of codes: without a chain first, then under either one (label A)."""
    if len(values) > _MOST_KAPPA:
        raise InvalidInputError(f"need at most {_MOST_KAPPA} task values, got {len(values)}; group them")
    limits = task_range(values)
    return [
        mismatch.mismatch_upper(mismatch_prob=differ, task_values=values),
        pinsker.free_entropy_upper(
            forward_entropy=forward,
            backward_entropy=backward,
            radius=limits.radius,
            diameter=limits.diameter,
            base=base,
        ),
        pinsker.printed_upper(conditional_entropy=forward, norm_bound=limits.norm_bound, base=base),
        pinsker.chain_entropy_upper(chain="prev-next-task", entropy=forward, radius=limits.radius, base=base),
        pinsker.chain_entropy_upper(chain="next-prev-task", entropy=backward, radius=limits.radius, base=base),
        pinsker.performance_gap_upper(unique_information=forward, diameter=limits.diameter, base=base),
    ]
