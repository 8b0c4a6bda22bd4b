"""How a layer-pair certificate is made: from a harvest, from arrays, from codes, or from a known law."""

from __future__ import annotations

from typing import Any

import numpy as np

from redundancy._validate import check_count
from redundancy.certifying import LEAVES_PER_PAIR, Declaration, leaf_calls, statements_of_leaves
from redundancy.concentration.betting import together
from redundancy.errors import InvalidInputError
from redundancy.layer_pair import LayerPairCertificate
from redundancy.statistics import HarvestStatistics

__all__ = ["leaves_of_statistics", "pair_of_statistics"]


def leaves_of_statistics(
    statistics: HarvestStatistics, group: str, declaration: Declaration, *, level: float
) -> list[list[Any]]:
    """The sampling statements of every layer of a group, to be computed together.

    Raises
    ------
    InvalidInputError
        With fewer than two images, or images without tokens of the group where the estimand needs them.
    """
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


def pair_of_statistics(
    statistics: HarvestStatistics, *, layer: int, group: str, **declared: Any
) -> LayerPairCertificate:
    """Certify layer `layer` of a harvest for one group; see `LayerPairCertificate.from_statistics`."""
    declaration = Declaration(**{"order": "sorted by sample id", **declared})
    layer = check_count(layer, "layer", lower=1, upper=statistics.spec.n_layers)
    level = declaration.level(LEAVES_PER_PAIR)
    leaves = together(leaves_of_statistics(statistics, group, declaration, level=level)[layer - 1])
    return LayerPairCertificate(
        layer=layer,
        group=group,
        n_images=statistics.n_samples,
        n_tokens=int(statistics.pair_counts(group)[:, layer - 1].sum()),
        statements=statements_of_leaves(declaration, *leaves),
        population=declaration.population,
    )
