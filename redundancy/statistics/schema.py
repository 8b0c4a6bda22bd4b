"""What a harvest records: the declaration of a run, the histogram edges, and the arrays with their shapes."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from redundancy.checks import check_count
from redundancy.errors import InvalidInputError

__all__ = ["ARRAYS", "BASE_GROUPS", "RATIO_EDGES", "UNIONS", "ArraySpec", "StatisticsSpec", "default_edges"]

BASE_GROUPS = ("vision", "words", "sink", "special")
UNIONS = {"text": ("words", "sink", "special"), "all": BASE_GROUPS}
_PAIRINGS = ("io", "hf")
_POSITIONS = ("last_prompt", "generated", "given")
# Twenty decimal steps per decade, each about 12 %: thresholds that people write down are edges exactly.
_STEPS = (1, 1.1, 1.25, 1.4, 1.6, 1.8, 2, 2.25, 2.5, 2.8, 3.2, 3.6, 4, 4.5, 5, 5.6, 6.3, 7.1, 8, 9)
RATIO_EDGES = tuple(2.0 ** (k / 8) for k in range(-64, 65))  # norm ratios: eighths of an octave, 1/256 to 256


def default_edges(thresholds: Iterable[float] = ()) -> tuple[float, ...]:
    """Histogram edges: 20 per decade from 1e-6 to 1, then 2, and the given thresholds.

    Bin 0 holds exact zeros, bin 1 is (0, 1e-6), then [edge, next edge), and the last bin [1, 2] is closed.
    0.05 is an edge.

    Parameters
    ----------
    thresholds : iterable of float
        In [0, 2]; each becomes an edge.

    Returns
    -------
    tuple of float
        Increasing.

    Examples
    --------
    >>> edges = default_edges([0.0123])
    >>> 0.05 in edges, 0.0123 in edges, edges[0], edges[-1]
    (True, True, 1e-06, 2.0)
    """
    fixed = [float(f"{step}e{decade}") for decade in range(-6, 0) for step in _STEPS]
    return tuple(sorted({*fixed, 1.0, 2.0, *(float(t) for t in thresholds)}))


@dataclass(frozen=True, slots=True, kw_only=True)
class StatisticsSpec:
    """The declaration of a harvest; statistics merge only if theirs are equal.

    Attributes
    ----------
    model, model_type, revision : str
        Name or path of the model, its ``config.model_type``, its revision or weight digest.
    n_layers, n_heads : int
        Decoder layers L and query heads H.
    groups : tuple of str
        Exclusive base groups, a subset of ``("vision", "words", "sink", "special")``.
    edges : tuple of float
        Increasing histogram edges in (0, 2], the last is 2.
    thresholds : tuple of float
        Values t at which P(rho > t) and P(rho >= t) are kept per sample; each is an edge.
    pairing : {"io", "hf"}
        "io": a layer's own input and output, which is what skipping changes. "hf": adjacent
        ``hidden_states`` of transformers, as the paper reads them, the last after the final norm.
    answer_position : {"last_prompt", "generated", "given"}
        The query whose attention is `answer_var`.
    dtype : str
        Data type of the states.
    has_matrix, has_attention : bool
        Whether the depth matrix with its entry and exit rows, and the attention masses, were harvested.
    shift_digest : str
        SHA-256 of the means used for the centred distance, "" if it was not harvested.
    """

    model: str
    model_type: str
    n_layers: int
    n_heads: int
    groups: tuple[str, ...] = BASE_GROUPS
    edges: tuple[float, ...] = default_edges()
    thresholds: tuple[float, ...] = (0.05,)
    pairing: str = "io"
    answer_position: str = "last_prompt"
    dtype: str = "float32"
    revision: str = ""
    has_matrix: bool = True
    has_attention: bool = True
    shift_digest: str = ""

    def __post_init__(self) -> None:
        check_count(self.n_layers, "n_layers", lower=1)
        check_count(self.n_heads, "n_heads", lower=1)
        for name in ("groups", "edges", "thresholds"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        unknown = [g for g in self.groups if g not in BASE_GROUPS]
        if unknown or not self.groups or len(set(self.groups)) != len(self.groups):
            raise InvalidInputError(f"need distinct groups out of {BASE_GROUPS}, got {self.groups}")
        rising = all(a < b for a, b in zip(self.edges, self.edges[1:], strict=False))
        if not self.edges or self.edges[0] <= 0 or self.edges[-1] != 2.0 or not rising:
            raise InvalidInputError("need increasing edges in (0, 2] that end at 2, use default_edges()")
        missing = [t for t in self.thresholds if t not in self.edges or t >= 2.0]
        if missing:
            raise InvalidInputError(
                f"need every threshold as an edge below 2, {missing[0]!r} is none; pass default_edges(thresholds)"
            )
        if self.pairing not in _PAIRINGS:
            raise InvalidInputError(f"need a pairing out of {_PAIRINGS}, got {self.pairing!r}")
        if self.answer_position not in _POSITIONS:
            raise InvalidInputError(f"need an answer position out of {_POSITIONS}, got {self.answer_position!r}")

    def to_json(self) -> str:
        """Canonical JSON text."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))

    @classmethod
    @lru_cache(maxsize=64)  # the shards of a run declare the same
    def from_json(cls, text: str) -> StatisticsSpec:
        """Inverse of `to_json`; `InvalidInputError` for unknown, missing or wrong fields."""
        try:
            record: dict[str, Any] = json.loads(text)
            values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in record.items()}
            return cls(**values)
        except (TypeError, ValueError, AttributeError, RecursionError) as error:
            names = ", ".join(f.name for f in fields(cls))
            raise InvalidInputError(f"need the JSON of a statistics declaration ({names}), got: {error}") from error

    def differences(self, other: StatisticsSpec) -> list[str]:
        """Fields in which `other` differs, as short texts."""
        found = []
        for field in fields(self):
            mine, theirs = getattr(self, field.name), getattr(other, field.name)
            if mine != theirs:
                long = field.name == "edges"
                found.append("edges" if long else f"{field.name} ({mine!r} and {theirs!r})")
        return found


@dataclass(frozen=True, slots=True)
class ArraySpec:
    """One array of the state: axes as letters, how two states combine, and its type.

    Axes: n samples, G groups, L layers, D depths (L + 1), T thresholds, B bins, R ratio bins, H heads,
    F features of the shift.
    """

    axes: str
    combine: str
    dtype: Any

    def shape(self, spec: StatisticsSpec, n_samples: int, n_features: int) -> tuple[int, ...]:
        """Sizes of the axes."""
        size = {
            "n": n_samples,
            "G": len(spec.groups),
            "L": spec.n_layers,
            "D": spec.n_layers + 1,
            "T": len(spec.thresholds),
            "B": len(spec.edges) + 1,
            "R": len(RATIO_EDGES) + 1,
            "H": spec.n_heads,
            "F": n_features,
        }
        return tuple(size[axis] for axis in self.axes)

    def neutral(self, shape: tuple[int, ...]) -> npt.NDArray[Any]:
        """Value of an array that nothing was recorded into."""
        value = {"max": -math.inf}.get(self.combine, math.nan if self.axes == "nLH" else 0)
        return np.full(shape, value, dtype=self.dtype)


# "rows" belong to samples and are concatenated, "sum" and "max" are pooled, "same" must agree.
# Attention masses come from fp32 softmax rows, so fp32 holds them without loss.
ARRAYS: dict[str, ArraySpec] = {
    "token_counts": ArraySpec("nG", "rows", np.int64),
    "pair_counts": ArraySpec("nGL", "rows", np.int64),
    "distance_sums": ArraySpec("nGL", "rows", np.float64),
    "tail_strict": ArraySpec("nGLT", "rows", np.int64),
    "tail_weak": ArraySpec("nGLT", "rows", np.int64),
    "entry_sums": ArraySpec("nGD", "rows", np.float64),
    "entry_counts": ArraySpec("nGD", "rows", np.int64),
    "exit_sums": ArraySpec("nGD", "rows", np.float64),
    "exit_counts": ArraySpec("nGD", "rows", np.int64),
    "answer_var": ArraySpec("nLH", "rows", np.float32),
    "answer_value_var": ArraySpec("nLH", "rows", np.float32),
    "text_var_mean": ArraySpec("nLH", "rows", np.float32),
    "text_var_max": ArraySpec("nLH", "rows", np.float32),
    "histogram": ArraySpec("GLB", "sum", np.int64),
    "ratio_histogram": ArraySpec("GLR", "sum", np.int64),
    "ratio_sums": ArraySpec("GL", "sum", np.float64),
    "ratio_counts": ArraySpec("GL", "sum", np.int64),
    "centred_sums": ArraySpec("GL", "sum", np.float64),
    "centred_counts": ArraySpec("GL", "sum", np.int64),
    "constant_counts": ArraySpec("GL", "sum", np.int64),
    "one_zero_counts": ArraySpec("GL", "sum", np.int64),
    "both_zero_counts": ArraySpec("GL", "sum", np.int64),
    "norm_sums": ArraySpec("GD", "sum", np.float64),
    "norm_counts": ArraySpec("GD", "sum", np.int64),
    "zero_counts": ArraySpec("GD", "sum", np.int64),
    "nonfinite_counts": ArraySpec("GD", "sum", np.int64),
    "matrix_sums": ArraySpec("GDD", "sum", np.float64),
    "matrix_counts": ArraySpec("GDD", "sum", np.int64),
    "distance_max": ArraySpec("GL", "max", np.float64),
    "shift": ArraySpec("GDF", "same", np.float32),
}
