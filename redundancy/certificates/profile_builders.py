"""How a profile certificate is made: all layer pairs of a harvest, of arrays of states, or of known laws."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, TypedDict, Unpack

import numpy as np
import numpy.typing as npt

from redundancy.certificates.certifying import (
    SAMPLED_PER_PAIR,
    Declaration,
    Declared,
    SamplingCall,
    check_units,
    sampling_calls,
    statements_of_sampled,
)
from redundancy.certificates.finite_builders import LawOptions, pair_of_law
from redundancy.certificates.pair import LayerPairCertificate
from redundancy.certificates.pair_builders import (
    anomaly_notes,
    calls_of_statistics,
    order_e_value,
    population_of,
)
from redundancy.certificates.parts import SampleFields
from redundancy.checks import as_labels, as_states
from redundancy.concentration.betting import together
from redundancy.concentration.exchangeability import alarm, alarming
from redundancy.errors import InvalidInputError
from redundancy.sampling import hash_order
from redundancy.statistics.harvest_statistics import HarvestStatistics
from redundancy.statistics.streaming import ImageIndex, index_images, pair_sums

__all__ = ["GIVEN_LAW", "ProfileFields", "profile_of_arrays", "profile_of_laws", "profile_of_statistics"]

GIVEN_LAW = "given_law"  # the estimand where nothing was sampled


class ProfileFields(TypedDict):
    """Fields of a `ProfileCertificate`."""

    confidence_level: float | None
    n_images: int
    pairs: tuple[LayerPairCertificate, ...]
    population: str
    estimand: str
    statistics_digest: str
    n_samples: int | None
    units_assumed: bool
    order_e_value: float | None


def profile_of_statistics(
    statistics: HarvestStatistics, *, groups: Sequence[str] = ("vision", "text"), **declared: Unpack[Declared]
) -> ProfileFields:
    """Certify every adjacent pair of a harvest; see `ProfileCertificate.from_statistics`.

    Parameters
    ----------
    statistics : HarvestStatistics
        The harvest.
    groups : sequence of str, default=("vision", "text")
        Those to certify.
    **declared
        Fields of a `Declaration`.

    Returns
    -------
    ProfileFields
    """
    declaration = Declaration(**declared)
    declaration = replace(declaration, population=population_of(statistics, declaration.population))
    _check_groups(groups)
    n_layers = statistics.spec.n_layers
    level = declaration.level(SAMPLED_PER_PAIR * n_layers * len(groups))
    calls = [calls_of_statistics(statistics, group, declaration, level=level) for group in groups]
    tokens = {group: statistics.pair_counts(group).sum(axis=0).tolist() for group in groups}
    notes = {group: anomaly_notes(statistics, group) for group in groups}
    e_value = float(np.mean([order_e_value(statistics, group) for group in groups]))  # their mean is one again
    sample = SampleFields(
        n_samples=statistics.n_samples,
        units_assumed=statistics.units_assumed,
        order_e_value=alarming(e_value),
    )
    return _profile(declaration, groups, calls, tokens, notes, statistics.n_units, statistics.digest(), sample)


def profile_of_arrays(
    states: Sequence[Any],
    ids: npt.ArrayLike,
    *,
    token_groups: npt.ArrayLike | None = None,
    groups: Sequence[str] | None = None,
    progress: Callable[[int], None] | None = None,
    **declared: Unpack[Declared],
) -> ProfileFields:
    """Certify every adjacent pair of L + 1 arrays of states; see `ProfileCertificate.from_arrays`.

    Parameters
    ----------
    states : sequence of L + 1 arrays of shape (n_tokens, n_features)
        h_0, h_1, ... in order.
    ids : array_like of shape (n_tokens,)
        Image of each row.
    token_groups : array_like of str, shape (n_tokens,), optional
        Group of each row; "all" without it.
    groups : sequence of str, optional
        Those to certify; all that occur by default.
    progress : callable, optional
        Called with the number of rows just done.
    **declared
        Fields of a `Declaration`.

    Returns
    -------
    ProfileFields

    Raises
    ------
    InvalidInputError
        For shapes, ids or groups that do not fit, or fewer than two images.
    """
    declaration = Declaration(**declared)
    if len(states) < 2:
        raise InvalidInputError(f"need states of at least two depths, got {len(states)}; give h_0, h_1, ... in order")
    states = [as_states(depth, f"states at depth {i}") for i, depth in enumerate(states)]
    n_rows = len(states[0])
    index = index_images(ids, n_rows)
    check_units(len(index.names))
    members = np.full(n_rows, "all") if token_groups is None else as_labels(token_groups, "token_groups", n_rows)
    if members.dtype.kind != "U":
        raise InvalidInputError(
            f"need one group name per row, got token_groups of shape {members.shape} and dtype {members.dtype} "
            f"for {n_rows} rows"
        )
    found, which = np.unique(members, return_inverse=True)
    names = tuple(found.tolist()) if groups is None else tuple(groups)
    _check_groups(names)
    absent = [name for name in names if name not in found]
    if absent:
        raise InvalidInputError(f"need groups that occur in token_groups, {found.tolist()}, got {absent}")
    # One pass per layer serves all groups: what is summed is every group of every image.
    cells = index.rows * len(found) + which
    shape = (len(index.names), len(found))
    counts = np.bincount(cells, minlength=shape[0] * shape[1]).reshape(shape)
    columns = {name: found.tolist().index(name) for name in names}
    if declaration.estimand == "image_average":
        _check_every_image(index, counts, columns)
    order = hash_order(index.names, declaration.salt)
    moved = np.zeros(len(index.names))  # mean distance of every image, for the look at the order of the file
    n_layers = len(states) - 1
    level = declaration.level(SAMPLED_PER_PAIR * n_layers * len(names))
    calls: list[list[list[SamplingCall]]] = [[] for _ in names]
    for x_prev, x_next in pairwise(states):
        sums = pair_sums(x_prev, x_next, cells, thresholds=(declaration.t,), progress=progress)
        place = np.array([int(cell) for cell in sums.index.names])
        tables = {}
        for key, values in (
            ("distance_sums", sums.distance_sums),
            ("tail_counts", sums.tail_counts[:, 0]),
            ("closed_tail_counts", sums.closed_tail_counts[:, 0]),
        ):
            tables[key] = np.zeros(counts.size, dtype=values.dtype)
            tables[key][place] = values
        moved += tables["distance_sums"].reshape(shape).sum(axis=1) / index.counts
        for own, column in zip(calls, columns.values(), strict=True):
            inputs = {key: table.reshape(shape)[order, column] for key, table in tables.items()}
            own.append(sampling_calls(declaration, counts=counts[order, column], level=level, **inputs))
    tokens = {name: [int(counts[:, column].sum())] * n_layers for name, column in columns.items()}
    notes: dict[str, list[tuple[str, ...]]] = {name: [()] * n_layers for name in names}
    sample = SampleFields(n_samples=None, units_assumed=False, order_e_value=alarm(moved))
    return _profile(declaration, names, calls, tokens, notes, len(index.names), "", sample)


def profile_of_laws(
    laws: Sequence[npt.ArrayLike] | Mapping[str, Sequence[npt.ArrayLike]], **options: Unpack[LawOptions]
) -> ProfileFields:
    """Everything the theorems say of known joints, layer by layer; see `ProfileCertificate.from_laws`.

    Parameters
    ----------
    laws : sequence of array_like, or mapping of group to such a sequence
        Joint of each layer, as for `LayerPairCertificate.from_law`.
    **options
        Passed on to each layer.

    Returns
    -------
    ProfileFields

    Raises
    ------
    InvalidInputError
        If a group has no law.
    """
    by_group = laws if isinstance(laws, Mapping) else {"law": laws}
    if not by_group or not all(len(joints) for joints in by_group.values()):
        raise InvalidInputError("need at least one joint law in every group, got none")
    pairs = tuple(
        LayerPairCertificate(**pair_of_law(joint, layer=layer, group=group, **options))
        for group, joints in by_group.items()
        for layer, joint in enumerate(joints, start=1)
    )
    return ProfileFields(
        confidence_level=None,
        n_images=0,
        pairs=pairs,
        population=pairs[0].population,
        estimand=GIVEN_LAW,
        statistics_digest="",
        n_samples=None,
        units_assumed=False,
        order_e_value=None,
    )


def _profile(
    declaration: Declaration,
    groups: Sequence[str],
    calls: Sequence[Sequence[Sequence[SamplingCall]]],
    tokens: Mapping[str, Sequence[int]],
    notes: Mapping[str, Sequence[tuple[str, ...]]],
    n_images: int,
    digest: str,
    sample: SampleFields,
) -> ProfileFields:
    """Solve the sampling statements of all groups and layers in one pass, and derive the others."""
    sampled = together([call for group in calls for pair in group for call in pair])
    places = [(group, layer) for group, own in zip(groups, calls, strict=True) for layer in range(1, len(own) + 1)]
    pairs = tuple(
        LayerPairCertificate(
            layer=layer,
            group=group,
            n_images=n_images,
            n_tokens=int(tokens[group][layer - 1]),
            statements=statements_of_sampled(declaration, *sampled[SAMPLED_PER_PAIR * i : SAMPLED_PER_PAIR * (i + 1)]),
            population=declaration.population,
            notes=notes[group][layer - 1],
            n_samples=sample["n_samples"],
            units_assumed=sample["units_assumed"],
        )
        for i, (group, layer) in enumerate(places)
    )
    return ProfileFields(
        confidence_level=declaration.confidence_level,
        n_images=n_images,
        pairs=pairs,
        population=declaration.population,
        estimand=declaration.estimand,
        statistics_digest=digest,
        **sample,
    )


def _check_groups(groups: Sequence[str]) -> None:
    if not groups or len(set(groups)) != len(groups):
        raise InvalidInputError(f"need distinct groups, got {list(groups)}")


def _check_every_image(index: ImageIndex, counts: npt.NDArray[np.int64], columns: Mapping[str, int]) -> None:
    for name, column in columns.items():
        empty = np.flatnonzero(counts[:, column] == 0)
        if empty.size:
            raise InvalidInputError(
                f"need tokens of group {name!r} in every image, {index.names[empty[0]]!r} has none; certify other "
                "groups, drop the image by a rule fixed beforehand, or pool tokens"
            )
