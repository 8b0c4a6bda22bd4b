"""Harvest statistics of hidden states that are plain arrays: for researchers who bring their own activations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from redundancy.checks import as_floats
from redundancy.distances import cosine_distances
from redundancy.errors import InvalidInputError
from redundancy.statistics.harvest_statistics import RATIO_EDGES, HarvestStatistics, StatisticsSpec, default_edges

__all__ = ["cosine_distances", "statistics_from_states"]


def statistics_from_states(
    states: Sequence[npt.ArrayLike],
    groups: Sequence[Sequence[str]],
    *,
    sample_ids: Sequence[str] | None = None,
    units: Sequence[str] | None = None,
    model: str = "arrays",
    thresholds: tuple[float, ...] = (0.05,),
    answer_var: npt.ArrayLike | None = None,
) -> HarvestStatistics:
    """Statistics of hidden states held in memory, in float64.

    Parameters
    ----------
    states : sequence of n arrays of shape (L+1, tokens, features)
        The stream of each sample at depths 0..L; token counts may differ.
    groups : sequence of n sequences of str
        Base group of each token: "vision", "words", "sink" or "special".
    sample_ids : sequence of str, optional
        Unique names; running numbers by default.
    units : sequence of str, optional
        Unit of independence of each sample, such as its image; by default every sample is assumed to be one.
    model : str
        Name for the declaration.
    thresholds : tuple of float
        Values t of the per-sample tails.
    answer_var : array of shape (n, L, H), optional
        Attention masses of the answer query on vision tokens.

    Returns
    -------
    HarvestStatistics
        Without the centred distance.

    Raises
    ------
    InvalidInputError
        For arrays of other shapes and unknown groups.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> states = [rng.normal(size=(3, 4, 8)) for _ in range(2)]
    >>> statistics = statistics_from_states(states, [["sink", "vision", "vision", "words"]] * 2)
    >>> statistics.mean_distance("vision").shape
    (2,)
    """
    arrays = [as_floats(s, "states") for s in states]
    if not arrays or any(a.ndim != 3 for a in arrays) or len({(a.shape[0], a.shape[2]) for a in arrays}) != 1:
        raise InvalidInputError("need arrays (L+1, tokens, features) with equal L and features, got other shapes")
    if len(groups) != len(arrays) or any(len(g) != a.shape[1] for g, a in zip(groups, arrays, strict=False)):
        raise InvalidInputError("need one group per token of every sample, got other lengths")
    n_layers = arrays[0].shape[0] - 1
    masses = None if answer_var is None else as_floats(answer_var, "answer_var")
    spec = StatisticsSpec(
        model=model,
        model_type="arrays",
        n_layers=n_layers,
        n_heads=1 if masses is None else masses.shape[-1],
        edges=default_edges(thresholds),
        thresholds=thresholds,
        dtype="float64",
        has_attention=masses is not None,
    )
    unknown = sorted({g for names in groups for g in names} - set(spec.groups))
    if unknown:
        raise InvalidInputError(f"need token groups out of {spec.groups}, got {unknown}")
    ids = [f"{i:08d}" for i in range(len(arrays))] if sample_ids is None else list(sample_ids)
    parts = [_one(spec, name, a, np.array(g)) for name, a, g in zip(ids, arrays, groups, strict=True)]
    unit_of = dict.fromkeys(ids) if units is None else dict(zip(ids, map(str, units), strict=True))
    merged = HarvestStatistics.merge_all(parts)
    own = [unit_of[name] for name in merged.sample_ids]
    if masses is None:
        return HarvestStatistics(spec, sample_ids=merged.sample_ids, arrays=merged.arrays(), units=own)
    # Rows are sorted by id, the masses are in the caller's order.
    rows = masses[np.array(sorted(range(len(ids)), key=ids.__getitem__), dtype=np.intp)]
    arrays_of_all = {**merged.arrays(), "answer_var": rows}
    return HarvestStatistics(spec, sample_ids=merged.sample_ids, arrays=arrays_of_all, units=own)


def _one(
    spec: StatisticsSpec, name: str, states: npt.NDArray[np.float64], groups: npt.NDArray[np.str_]
) -> HarvestStatistics:
    """Statistics of one sample."""
    member = np.stack([groups == g for g in spec.groups]).astype(np.int64)  # (G, tokens)
    norms = np.linalg.norm(states, axis=-1)  # (D, tokens)
    rho = cosine_distances(states[:-1], states[1:])  # (L, tokens)
    every = cosine_distances(states[:, None], states[None])  # (D, D, tokens)

    def total(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Sum per group over the last axis, the groups first."""
        return np.moveaxis(values @ member.T, -1, 0)

    def table(bins: npt.NDArray[np.intp], counted: npt.NDArray[np.bool_], n_bins: int) -> npt.NDArray[np.int64]:
        """Counts per group, layer and bin."""
        one_hot = (bins[..., None] == np.arange(n_bins)) & counted[..., None]  # (L, tokens, bins)
        counts: npt.NDArray[np.int64] = np.einsum("gt,ltb->glb", member, one_hot.astype(np.int64))
        return counts

    known, known_all, finite = ~np.isnan(rho), ~np.isnan(every), np.isfinite(norms)
    safe, safe_all = np.where(known, rho, 0.0), np.where(known_all, every, 0.0)
    divides = known & (norms[:-1] > 0)
    ratio = np.divide(norms[1:], norms[:-1], out=np.zeros_like(rho), where=divides)
    n_zero = (norms[:-1] == 0).astype(int) + (norms[1:] == 0)
    bins = np.searchsorted(np.array(spec.edges[:-1]), safe, side="right") + (safe > 0)
    highest = np.where(member[:, None].astype(bool) & known, rho, -np.inf).max(axis=-1, initial=-np.inf)
    rows = {
        "token_counts": member.sum(axis=-1),
        "pair_counts": total(known.astype(np.int64)),
        "distance_sums": total(safe),
        "tail_strict": np.stack([total((known & (safe > t)).astype(np.int64)) for t in spec.thresholds], axis=-1),
        "tail_weak": np.stack([total((known & (safe >= t)).astype(np.int64)) for t in spec.thresholds], axis=-1),
        "entry_sums": total(safe_all[0]),
        "entry_counts": total(known_all[0].astype(np.int64)),
        "exit_sums": total(safe_all[-1]),
        "exit_counts": total(known_all[-1].astype(np.int64)),
    }
    pooled = {
        "histogram": table(bins, known, len(spec.edges) + 1),
        "ratio_histogram": table(
            np.searchsorted(np.array(RATIO_EDGES), ratio, side="right"), divides, len(RATIO_EDGES) + 1
        ),
        "ratio_sums": total(ratio),
        "ratio_counts": total(divides.astype(np.int64)),
        "one_zero_counts": total((known & (n_zero == 1)).astype(np.int64)),
        "both_zero_counts": total((known & (n_zero == 2)).astype(np.int64)),
        "norm_sums": total(np.where(finite, norms, 0.0)),
        "norm_counts": total(finite.astype(np.int64)),
        "zero_counts": total((norms == 0).astype(np.int64)),
        "nonfinite_counts": total((~finite).astype(np.int64)),
        "matrix_sums": total(safe_all),
        "matrix_counts": total(known_all.astype(np.int64)),
        "distance_max": highest,
    }
    return HarvestStatistics(spec, sample_ids=[name], arrays={**{k: v[None] for k, v in rows.items()}, **pooled})
