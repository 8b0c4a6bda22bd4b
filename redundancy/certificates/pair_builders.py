"""How a layer-pair certificate is made of states: from the statistics of a harvest, or from arrays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypedDict, Unpack

import numpy as np
import numpy.typing as npt

from redundancy.bounds import braun_pokutta
from redundancy.certificates.certificate import BoundCertificate
from redundancy.certificates.certifying import (
    SAMPLED_PER_PAIR,
    Declaration,
    Declared,
    check_consistent,
    check_units,
    sampling_calls,
    statements_of_sampled,
)
from redundancy.certificates.probes import probe_calls, probe_statements
from redundancy.checks import as_states, check_count
from redundancy.concentration.betting import betting_upper, together
from redundancy.concentration.exchangeability import alarm, alarming, exchangeability_e_value, places_in_file
from redundancy.errors import AssumptionError, InvalidInputError
from redundancy.sampling import hash_order, order_text, unit_means, unit_sums
from redundancy.statistics.harvest_statistics import HarvestStatistics
from redundancy.statistics.independent_pairs import independent_fractions
from redundancy.statistics.streaming import pair_sums

__all__ = [
    "PairFields",
    "anomaly_notes",
    "calls_of_statistics",
    "order_e_value",
    "pair_of_arrays",
    "pair_of_statistics",
    "population_of",
]


class PairFields(TypedDict):
    """Fields of a `LayerPairCertificate`; the builders hand these over, so that they need not know the class."""

    layer: int
    group: str
    n_images: int
    n_tokens: int
    statements: tuple[BoundCertificate, ...]
    population: str
    notes: tuple[str, ...]
    n_samples: int | None
    units_assumed: bool
    order_e_value: float | None


def calls_of_statistics(
    statistics: HarvestStatistics, group: str, declaration: Declaration, *, level: float
) -> list[list[Any]]:
    """The sampling statements of every layer of a group, to be computed together.

    Parameters
    ----------
    statistics : HarvestStatistics
        The harvest.
    group : str
        A token group or union.
    declaration : Declaration
        What was fixed beforehand.
    level : float
        Confidence level of each statement.

    Returns
    -------
    list of L lists
        Of layer l in entry l - 1: bound function, quantity and arguments of each statement.

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
    check_units(statistics.n_units, f" of {statistics.n_samples} samples; harvest more")
    counts = statistics.pair_counts(group)
    if declaration.estimand == "image_average" and (counts == 0).any():
        row, column = np.argwhere(counts == 0)[0]
        raise InvalidInputError(
            f"need tokens of group {group!r} in every image, {statistics.sample_ids[row]!r} has none with a "
            f"distance at layer {column + 1}; certify other groups, drop the sample or pool tokens"
        )
    tables = {
        "distance_sums": statistics.distance_sums(group),
        "tail_counts": statistics.tail_counts(group, declaration.t),
        "closed_tail_counts": statistics.tail_counts(group, declaration.t, strict=False),
    }
    pooled = declaration.estimand == "token_pooled"
    columns: dict[str, npt.NDArray[Any]] = {}
    for name, table in tables.items():
        columns[name], columns["counts"], _ = unit_sums(
            table, counts, statistics.units, salt=declaration.salt, pooled=pooled
        )
    return [
        sampling_calls(declaration, level=level, **{name: table[:, layer] for name, table in columns.items()})
        for layer in range(statistics.spec.n_layers)
    ]


def order_e_value(statistics: HarvestStatistics, group: str, layer: int | None = None) -> float:
    """E-value against a random order of the units, as their sample ids sort; units without tokens are left out.

    Parameters
    ----------
    statistics : HarvestStatistics
        The harvest.
    group : str
        A token group or union.
    layer : int, optional
        Whose distance is looked at; the mean over all layers without it.

    Returns
    -------
    float
    """
    means, units = unit_means(statistics.sample_distances(group), statistics.units)
    place = {unit: i for i, unit in enumerate(units)}
    rows = np.array([place[unit] for unit in statistics.units], dtype=np.intp)
    values = (means.mean(axis=1) if layer is None else means[:, layer - 1])[places_in_file(rows, len(units))]
    return exchangeability_e_value(values[np.isfinite(values)])


def population_of(statistics: HarvestStatistics, declared: str) -> str:
    """The declared population; if samples failed, with the share that it lacks.

    Parameters
    ----------
    statistics : HarvestStatistics
        The harvest.
    declared : str
        What its images are a sample of.

    Returns
    -------
    str
    """
    missing = statistics.provenance.sentence(statistics.n_samples)
    return f"{declared}, restricted to what can be harvested: {missing}" if missing else declared


def anomaly_notes(statistics: HarvestStatistics, group: str) -> list[tuple[str, ...]]:
    """Warnings about unusual vectors in each layer of a harvest, one tuple of sentences per layer.

    Parameters
    ----------
    statistics : HarvestStatistics
        The harvest.
    group : str
        A token group or union.

    Returns
    -------
    list of L tuples of str
        Entry l - 1 is of layer l; empty where nothing is odd.
    """
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


def pair_of_statistics(
    statistics: HarvestStatistics, *, layer: int, group: str, **declared: Unpack[Declared]
) -> PairFields:
    """Certify layer `layer` of a harvest for one group; see `LayerPairCertificate.from_statistics`.

    Parameters
    ----------
    statistics : HarvestStatistics
        The harvest.
    layer : int
        In 1..L.
    group : str
        A token group or union.
    **declared
        Fields of a `Declaration`.

    Returns
    -------
    PairFields
    """
    declaration = Declaration(**declared)
    declaration = replace(declaration, population=population_of(statistics, declaration.population))
    layer = check_count(layer, "layer", lower=1, upper=statistics.spec.n_layers)
    level = declaration.level(SAMPLED_PER_PAIR)
    sampled = together(calls_of_statistics(statistics, group, declaration, level=level)[layer - 1])
    return PairFields(
        layer=layer,
        group=group,
        n_images=statistics.n_units,
        n_tokens=int(statistics.pair_counts(group)[:, layer - 1].sum()),
        statements=statements_of_sampled(declaration, *sampled),
        population=declaration.population,
        notes=anomaly_notes(statistics, group)[layer - 1],
        n_samples=statistics.n_samples,
        units_assumed=statistics.units_assumed,
        order_e_value=alarming(order_e_value(statistics, group, layer)),
    )


def pair_of_arrays(
    x_prev: npt.NDArray[Any],
    x_next: npt.NDArray[Any],
    ids: npt.ArrayLike,
    *,
    target: npt.ArrayLike | None = None,
    target_range: tuple[float, float] | None = None,
    n_classes: int | None = None,
    layer: int = 0,
    group: str = "all",
    seed: int = 0,
    base: float = 2.0,
    progress: Callable[[int], None] | None = None,
    **declared: Unpack[Declared],
) -> PairFields:
    """Certify two arrays of states; see `LayerPairCertificate.from_arrays`.

    More than eight parameters: the data, the task, and what the record says of the pair.

    Parameters
    ----------
    x_prev, x_next : array of shape (n_tokens, n_features)
    ids : array_like of shape (n_tokens,)
        Image of each row, or whatever else is the unit of independence; every bound takes one value per id.
    target : array_like, optional
        Labels (n_tokens,), or vectors (n_tokens, n_dims) inside `target_range`.
    target_range : (float, float), optional
        Declared range of every coordinate of a real-valued target.
    n_classes : int, optional
        Declared number of classes, of which the sample may lack some; it lowers the cap from 1 to 1 - 1/K.
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

    Returns
    -------
    PairFields

    Raises
    ------
    InvalidInputError
        For arrays, ids or a target that do not fit, or fewer than two images.
    """
    if target is None and target_range is not None:
        raise InvalidInputError("need a target with target_range, got the range alone; drop it or give the target")
    declaration = Declaration(**declared)
    x_prev, x_next = as_states(x_prev, "x_prev"), as_states(x_next, "x_next")
    sums = pair_sums(x_prev, x_next, ids, thresholds=(declaration.t,), progress=progress)
    n_images = len(sums.index.names)
    check_units(n_images)
    order = hash_order(sums.index.names, declaration.salt)
    close_pairs = independent_fractions(x_prev, x_next, sums.index, t=declaration.t, salt=declaration.salt, seed=seed)
    probes = None
    if target is not None:
        probes = probe_calls(
            x_prev,
            x_next,
            sums.index,
            target,
            target_range,
            n_classes=n_classes,
            salt=declaration.salt,
            seed=seed,
        )
    level = declaration.level(SAMPLED_PER_PAIR + 1 + (0 if probes is None else len(probes.calls)))
    calls = sampling_calls(
        declaration,
        counts=sums.index.counts[order],
        distance_sums=sums.distance_sums[order],
        tail_counts=sums.tail_counts[order, 0],
        closed_tail_counts=sums.closed_tail_counts[order, 0],
        level=level,
    )
    close = {
        "values": close_pairs,
        "quantity": "ball_prob",
        "confidence_level": level,
        "order": f"disjoint pairs of different images, neighbours by {order_text(f'{declaration.salt} {seed}')}",
    }
    calls.append((betting_upper, "concentration.betting_upper", close))
    if probes is not None:
        calls += [(f, theorem, {**inputs, "confidence_level": level}) for f, theorem, inputs in probes.calls]
    sampled = together(calls)
    statements = list(statements_of_sampled(declaration, *sampled[:SAMPLED_PER_PAIR]))
    ball = sampled[SAMPLED_PER_PAIR]
    # With token pooling the tail is of another law than the pairs of images, which weigh images alike.
    if declaration.estimand == "image_average":
        statements += [ball, braun_pokutta.binary_lower(tail_prob=sampled[1], ball_prob=ball, base=base)]
    notes = []
    if probes is not None:
        statements += probe_statements(probes, sampled[SAMPLED_PER_PAIR + 1 :])
        notes.append(probes.note)
    check_consistent(statements)
    return PairFields(
        layer=layer,
        group=group,
        n_images=n_images,
        n_tokens=len(sums.index.rows),
        statements=tuple(statements),
        population=declaration.population,
        notes=tuple(notes),
        n_samples=None,
        units_assumed=False,
        order_e_value=alarm((sums.distance_sums / sums.index.counts)[places_in_file(sums.index.rows, n_images)]),
    )
