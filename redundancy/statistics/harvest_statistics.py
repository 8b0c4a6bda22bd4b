"""The mergeable statistics of a harvest: distances, tails, norms and attention masses per layer and token group."""
# Over 400 lines: all are short readings of one set of sums.

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from redundancy.checks import check_real
from redundancy.errors import InvalidInputError, StoreError
from redundancy.files.tabular import Tabular
from redundancy.statistics.provenance import Provenance
from redundancy.statistics.schema import ARRAYS, BASE_GROUPS, RATIO_EDGES, UNIONS, StatisticsSpec, default_edges
from redundancy.statistics.state import bin_of, broken_rules, combined, load_state, save_state, state_digest

__all__ = ["BASE_GROUPS", "RATIO_EDGES", "UNIONS", "HarvestStatistics", "StatisticsSpec", "default_edges"]

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]


class HarvestStatistics(Tabular):
    r"""What a harvest knows of n samples: per-sample sums, pooled histograms, no hidden states.

    Depth d = 0..L is the stream after d decoder layers; layer l = 1..L is the pair
    :math:`(h_{l-1}, h_l)` and sits in column l - 1. Distances are cosine distances in [0, 2]:
    :math:`\rho = 1 - \cos(h_{l-1}, h_l)`. Two zero vectors are at distance 0, a zero and a non-zero vector at
    1; both cases are counted by `anomalies`. Pairs with a NaN or infinite vector have no distance: they are
    left out of every mean and counted.

    Groups are the exclusive base groups "vision", "words" (ordinary text), "sink" (first valid token),
    "special" (other special and template tokens), and the unions "text" (all but vision) and "all".

    Parameters
    ----------
    spec : StatisticsSpec
        The declaration of the run.
    sample_ids : sequence of str
        Unique names of the n samples; rows are kept sorted by them.
    arrays : mapping of str to array
        State by the names and shapes of ``redundancy.statistics.schema.ARRAYS``. A missing array means that
        nothing was recorded.
    provenance : Provenance, optional
        Samples that were left out, and what ended the harvest early.
    units : sequence of str or None, optional
        Unit of independence of each sample: digest of its image, or its declared group. A sample without one is taken
        for a unit of its own, which is an assumption and labelled as one (`units_assumed`).

    Raises
    ------
    InvalidInputError
        For duplicate names, unknown arrays, wrong shapes, and samples that are both here and left out.

    See Also
    --------
    redundancy.statistics.from_states.statistics_from_states : the same state from plain numpy arrays.
    """

    drawn_by = "distance_per_layer"

    def __init__(
        self,
        spec: StatisticsSpec,
        *,
        sample_ids: Sequence[str] = (),
        arrays: Mapping[str, npt.ArrayLike] | None = None,
        provenance: Provenance | None = None,
        units: Sequence[str | None] | None = None,
    ) -> None:
        given = {name: np.asarray(array) for name, array in (arrays or {}).items()}
        unknown = sorted(set(given) - set(ARRAYS))
        if unknown:
            raise InvalidInputError(f"need arrays out of {sorted(ARRAYS)}, got {unknown}")
        ids = [str(name) for name in sample_ids]
        if len(set(ids)) != len(ids):
            twice = Counter(ids).most_common(1)[0][0]
            raise InvalidInputError(f"need unique sample ids, {twice!r} occurs more than once; rename the samples")
        n_features = given["shift"].shape[-1] if "shift" in given and given["shift"].ndim == 3 else 0
        order = np.array(sorted(range(len(ids)), key=ids.__getitem__), dtype=np.intp)
        self.provenance = Provenance() if provenance is None else provenance
        both = self.provenance.failed.keys() & set(ids)
        if both:
            raise InvalidInputError(f"need samples that are harvested or left out, {min(both)!r} is both; rename one")
        self.spec = spec
        self.sample_ids: tuple[str, ...] = tuple(ids[i] for i in order)
        if units is not None and len(units) != len(ids):
            raise InvalidInputError(f"need one unit per sample, got {len(units)} for {len(ids)} samples")
        self._units = tuple(None if units is None else units[i] for i in order)
        self._arrays: dict[str, npt.NDArray[Any]] = {}
        for name, entry in ARRAYS.items():
            shape = entry.shape(spec, len(ids), n_features)
            array = given.get(name)
            if array is None:
                array = entry.neutral(shape)
            if array.shape != shape:
                raise InvalidInputError(f"need {name} of shape {shape} ({entry.axes}), got {array.shape}")
            if not np.can_cast(array.dtype, entry.dtype, "same_kind"):
                raise InvalidInputError(f"need {name} as {np.dtype(entry.dtype).name}, got {array.dtype}")
            array = array.astype(entry.dtype)
            self._arrays[name] = array[order] if entry.combine == "rows" else array

    # ------------------------------------------------------------------ what was harvested

    @property
    def n_samples(self) -> int:
        """Number of samples n."""
        return len(self.sample_ids)

    @property
    def units(self) -> tuple[str, ...]:
        """Unit of independence of each sample, in the order of `sample_ids`; its own name where none was given."""
        return tuple(name if unit is None else unit for name, unit in zip(self.sample_ids, self._units, strict=True))

    @property
    def units_assumed(self) -> bool:
        """Whether some samples came without a unit: files of older versions, arrays, inputs of one's own."""
        return None in self._units

    @property
    def n_units(self) -> int:
        """Number of independent units."""
        return len(set(self.units))

    @property
    def group_names(self) -> tuple[str, ...]:
        """Base groups and unions that the other methods accept."""
        return (*self.spec.groups, *UNIONS)

    @property
    def shift(self) -> npt.NDArray[np.float32] | None:
        """Means (groups, L+1, features) behind `centred_distance`; give them to a harvest that shall merge."""
        return self._arrays["shift"] if self.spec.shift_digest else None

    def __repr__(self) -> str:
        return f"HarvestStatistics({self.spec.model!r}, n_samples={self.n_samples}, n_layers={self.spec.n_layers})"

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return copies of the raw arrays of the state, by the names of the schema."""
        return {name: array.copy() for name, array in self._arrays.items()}

    # ------------------------------------------------------------------ per sample

    def token_counts(self, group: str) -> Counts:
        """Valid tokens of each sample, shape (n,)."""
        return self._sum("token_counts", group)

    def pair_counts(self, group: str) -> Counts:
        """Tokens with a distance, shape (n, L): `token_counts` less pairs with a non-finite vector."""
        return self._sum("pair_counts", group)

    def distance_sums(self, group: str) -> Floats:
        """Per-sample sums of the distance of (h_{l-1}, h_l), shape (n, L), layer l in column l - 1."""
        return self._sum("distance_sums", group)

    def sample_distances(self, group: str) -> Floats:
        """Per-sample means of the distance, shape (n, L); NaN for a sample without such tokens."""
        return _ratio(self.distance_sums(group), self.pair_counts(group))

    def tail_counts(self, group: str, t: float = 0.05, *, strict: bool = True) -> Counts:
        """Tokens with rho > t (strict) or rho >= t, shape (n, L), for a threshold of the declaration."""
        if t not in self.spec.thresholds:
            raise InvalidInputError(
                f"need a threshold that was harvested, one of {self.spec.thresholds}, got {t!r}; harvest with "
                f"--threshold {float(t)!r}"
            )
        name = "tail_strict" if strict else "tail_weak"
        return self._sum(name, group)[..., self.spec.thresholds.index(t)]

    def entry_sums(self, group: str) -> Floats:
        """Per-sample sums of d(h_0, h_d), shape (n, L+1): what late entry at d replaces."""
        self._need_matrix()
        return self._sum("entry_sums", group)

    def entry_counts(self, group: str) -> Counts:
        """Pairs behind `entry_sums`, shape (n, L+1)."""
        self._need_matrix()
        return self._sum("entry_counts", group)

    def exit_sums(self, group: str) -> Floats:
        """Per-sample sums of d(h_d, h_L), shape (n, L+1): what an exit at d leaves out."""
        self._need_matrix()
        return self._sum("exit_sums", group)

    def exit_counts(self, group: str) -> Counts:
        """Pairs behind `exit_sums`, shape (n, L+1)."""
        self._need_matrix()
        return self._sum("exit_counts", group)

    def answer_var(self) -> Floats:
        """Attention mass of the answer query on vision tokens, shape (n, L, H); NaN where undefined."""
        return self._attention("answer_var")

    def answer_value_var(self) -> Floats:
        """`answer_var` with each attention weight times the norm of its value, renormalised; (n, L, H)."""
        return self._attention("answer_value_var")

    def text_var_mean(self) -> Floats:
        """Mean over all text queries of their attention mass on vision tokens, shape (n, L, H)."""
        return self._attention("text_var_mean")

    def text_var_max(self) -> Floats:
        """Maximum over all text queries of their attention mass on vision tokens, shape (n, L, H)."""
        return self._attention("text_var_max")

    # ------------------------------------------------------------------ pooled over tokens or images

    def mean_distance(self, group: str) -> Floats:
        """Token-pooled mean distance D_l, shape (L,) (eq. 1 of arXiv 2509.25584); NaN without tokens."""
        return _ratio(self.distance_sums(group).sum(axis=0), self.pair_counts(group).sum(axis=0))

    def image_mean_distance(self, group: str) -> Floats:
        """Mean over samples of their mean distance, shape (L,): samples, not tokens, count alike."""
        return _column_mean(self.sample_distances(group))

    def fraction_below(self, group: str, t: float = 0.05) -> Floats:
        """Share of tokens with rho < t (strictly), shape (L,), for t an edge of the histogram."""
        if t not in self.spec.edges[:-1]:
            near = sorted(self.spec.edges[:-1], key=lambda edge: abs(edge - t))[:2]
            raise InvalidInputError(
                f"need t to be a histogram edge, got {t!r}; nearest are {sorted(near)}, or harvest with "
                f"--threshold {float(t)!r}"
            )
        counts = self.histogram(group)
        return _ratio(counts[:, : bin_of(self.spec, t)].sum(axis=-1), counts.sum(axis=-1))

    def histogram(self, group: str) -> Counts:
        """Token counts, shape (L, bins): exact 0, (0, e_0), [e_0, e_1), ..., and the closed last bin."""
        return self._sum("histogram", group)

    def ratio_histogram(self, group: str) -> Counts:
        """Token counts of the norm ratio by `RATIO_EDGES`, shape (L, bins); outer bins are open-ended."""
        return self._sum("ratio_histogram", group)

    def quantile(self, group: str, q: float) -> Floats:
        """Upper bound of the q-quantile of the distance, shape (L,): the upper edge of its histogram bin.

        Never above the maximum; at most one bin (12 %) above the quantile.
        """
        check_real(q, "q", lower=0.0, upper=1.0)
        counts = self.histogram(group)
        total = counts.sum(axis=-1, keepdims=True)
        reached = counts.cumsum(axis=-1) >= np.maximum(np.ceil(q * total), 1)
        upper = np.array([0.0, *self.spec.edges])[reached.argmax(axis=-1)]
        return np.where(total[:, 0] > 0, np.minimum(upper, self.max_distance(group)), np.nan)

    def max_distance(self, group: str) -> Floats:
        """Largest distance of a token, shape (L,); NaN without tokens."""
        largest = self._arrays["distance_max"][self._members(group)].max(axis=0)
        return np.where(np.isneginf(largest), np.nan, largest)

    def centred_distance(self, group: str) -> Floats:
        """Mean distance after subtracting the pilot mean of the token's base group and depth, shape (L,).

        A large common mean vector makes every layer look redundant; this looks past it. Tokens that equal
        their mean up to rounding (a BOS that is the same in every sample) have no direction: left out,
        counted as "constant" by `anomalies`. NaN if none is left.
        """
        if not self.spec.shift_digest:
            raise InvalidInputError("need a harvest with a pilot shift for the centred distance, harvest with shift")
        return _ratio(self._sum("centred_sums", group), self._sum("centred_counts", group))

    def depth_matrix(self, group: str) -> Floats:
        """Token-pooled mean distance between any two depths, shape (L+1, L+1), symmetric."""
        self._need_matrix()
        return _ratio(self._sum("matrix_sums", group), self._sum("matrix_counts", group))

    def mean_norm(self, group: str) -> Floats:
        """Mean Euclidean norm at each depth, shape (L+1,)."""
        return _ratio(self._sum("norm_sums", group), self._sum("norm_counts", group))

    def norm_ratio(self, group: str) -> Floats:
        """Mean of ``|h_l| / |h_{l-1}|`` over tokens with a non-zero input, shape (L,)."""
        return _ratio(self._sum("ratio_sums", group), self._sum("ratio_counts", group))

    def anomalies(self, group: str = "all") -> dict[str, Counts]:
        """Counts of zero and non-finite vectors and of what they did.

        Keys: "zero_states" and "nonfinite_states" (L+1,); "one_zero_pairs" (distance 1), "both_zero_pairs"
        (distance 0), "excluded_pairs" (no distance) and "constant" (no centred distance), all (L,).
        """
        tokens = self.token_counts(group).sum()
        return {
            "zero_states": self._sum("zero_counts", group),
            "nonfinite_states": self._sum("nonfinite_counts", group),
            "one_zero_pairs": self._sum("one_zero_counts", group),
            "both_zero_pairs": self._sum("both_zero_counts", group),
            "excluded_pairs": tokens - self.pair_counts(group).sum(axis=0),
            "constant": self._sum("constant_counts", group),
        }

    # ------------------------------------------------------------------ merging and storing

    def merge(self, other: HarvestStatistics) -> HarvestStatistics:
        """Statistics of both sets of samples; neither operand changes.

        Counts and per-sample rows equal those of one run exactly, pooled sums to rounding.

        Raises
        ------
        InvalidInputError
            If the declarations differ or a sample is in both.
        """
        return self.merge_all([self, other])

    @classmethod
    def merge_all(cls, parts: Iterable[HarvestStatistics]) -> HarvestStatistics:
        """`merge` of one or more statistics at once: one pass, pooled sums added in the given order."""
        states = list(parts)
        if not states:
            raise InvalidInputError("need at least one statistics object to merge, got none")
        first = states[0]
        seen: set[str] = set()
        for state in states:
            different = first.spec.differences(state.spec)
            if different:
                raise InvalidInputError(
                    f"need statistics of one declaration to merge, they differ in {', '.join(different)}; "
                    "harvest again with equal settings"
                )
            overlap = seen.intersection(state.sample_ids)
            if overlap:
                raise InvalidInputError(
                    f"need disjoint samples to merge, {len(overlap)} are in both, such as {min(overlap)!r}; "
                    "merge each shard once and give samples unique ids"
                )
            seen.update(state.sample_ids)
        merged = combined([state._arrays for state in states])
        ids = [i for state in states for i in state.sample_ids]
        provenance = Provenance.merge_all(state.provenance for state in states)
        units = [unit for state in states for unit in state._units]
        return cls(first.spec, sample_ids=ids, arrays=merged, provenance=provenance, units=units)

    def to_records(self) -> list[dict[str, Any]]:
        """One row per layer l = 1..L and group with tokens: its distances, and the mean norm after it."""
        rows = []
        for group in self.group_names:
            if not self.token_counts(group).sum():
                continue
            columns = {
                "mean_distance": self.mean_distance(group),
                "image_mean_distance": self.image_mean_distance(group),
                "fraction_below_0.05": self.fraction_below(group, 0.05),
                "max_distance": self.max_distance(group),
                "mean_norm": self.mean_norm(group)[1:],
            }
            if self.shift is not None:
                columns["centred_distance"] = self.centred_distance(group)
            rows += [
                {"layer": layer + 1, "group": group, **{name: float(column[layer]) for name, column in columns.items()}}
                for layer in range(self.spec.n_layers)
            ]
        return rows

    def with_provenance(self, provenance: Provenance) -> HarvestStatistics:
        """The same statistics with another `provenance`."""
        return HarvestStatistics(
            self.spec, sample_ids=self.sample_ids, arrays=self._arrays, provenance=provenance, units=self._units
        )

    def digest(self) -> str:
        """SHA-256 of declaration, sample ids, units, arrays and provenance; equal for equal states."""
        return state_digest(self.spec, self.sample_ids, self._units, self._arrays, self.provenance)

    def save(self, path: str | os.PathLike[str]) -> str:
        """Write a safetensors file in one atomic step; return the SHA-256 of its contents."""
        return save_state(path, self.spec, self.sample_ids, self._units, self._arrays, self.provenance)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> HarvestStatistics:
        """Read what `save` wrote.

        Raises
        ------
        StoreError
            If the file is missing, torn, altered, or no statistics file.
        """
        try:
            spec, ids, units, arrays, provenance = load_state(path)
            state = cls(spec, sample_ids=ids, arrays=arrays, provenance=provenance, units=units)
            state.validate()
        except (KeyError, ValueError) as error:
            raise StoreError(f"need a consistent statistics file, {path} is not: {error}") from error
        return state

    def validate(self) -> None:
        """Check that counts, tails, histogram and sums fit together; `InvalidInputError` names what does not."""
        broken = broken_rules(self.spec, self._arrays)
        if broken:
            raise InvalidInputError(f"need consistent statistics, but it fails that {'; '.join(broken)}")

    # ------------------------------------------------------------------ helpers

    def _members(self, group: str) -> list[int]:
        names = UNIONS.get(group, (group,))
        members = [i for i, name in enumerate(self.spec.groups) if name in names]
        if not members and group not in UNIONS:
            raise InvalidInputError(f"need a group out of {self.group_names}, got {group!r}")
        return members

    def _sum(self, name: str, group: str) -> npt.NDArray[Any]:
        axis = ARRAYS[name].axes.index("G")
        total: npt.NDArray[Any] = self._arrays[name].take(self._members(group), axis=axis).sum(axis=axis)
        return total

    def _need_matrix(self) -> None:
        if not self.spec.has_matrix:
            raise InvalidInputError("need a harvest of the depth matrix, this one was made with matrix=False")

    def _attention(self, name: str) -> Floats:
        if not self.spec.has_attention:
            raise InvalidInputError("need a harvest of attention masses, this one was made with attention=False")
        return self._arrays[name].astype(np.float64)


def _ratio(total: npt.NDArray[Any], count: npt.NDArray[Any]) -> Floats:
    """Quotient, NaN where the count is 0."""
    result: Floats = np.full(np.shape(count), np.nan)
    np.divide(total, count, out=result, where=count > 0)
    return result


def _column_mean(rows: Floats) -> Floats:
    """Mean of the entries that are not NaN, per column."""
    present = ~np.isnan(rows)
    return _ratio(np.where(present, rows, 0.0).sum(axis=0), present.sum(axis=0))
