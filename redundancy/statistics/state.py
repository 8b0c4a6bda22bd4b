"""The state behind the statistics as plain arrays: put together, checked, hashed, written and read."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from redundancy.errors import StoreError
from redundancy.files.tensors import load_tensors, read_header, save_tensors
from redundancy.statistics.provenance import Provenance
from redundancy.statistics.schema import ARRAYS, StatisticsSpec

__all__ = ["bin_of", "broken_rules", "combined", "is_state", "load_state", "save_state", "state_digest"]

_SCHEMA = "skip-it/statistics/1"
Arrays = Mapping[str, npt.NDArray[Any]]
Units = Sequence[str | None]  # unit of independence of each sample, None where it is only assumed


def combined(states: Sequence[Arrays]) -> dict[str, npt.NDArray[Any]]:
    """Arrays of one or more states as one state, each put together as the schema says; sums in the given order."""
    merged: dict[str, npt.NDArray[Any]] = {}
    for name, entry in ARRAYS.items():
        arrays = [state[name] for state in states]
        if entry.combine == "rows":
            merged[name] = np.concatenate(arrays)
        elif entry.combine == "same":
            merged[name] = arrays[0]
        else:
            combine = np.add if entry.combine == "sum" else np.maximum
            merged[name] = combine.reduce(arrays)
    return merged


def bin_of(spec: StatisticsSpec, edge: float) -> int:
    """Index of the histogram bin that starts at `edge`: after exact zeros and (0, first edge)."""
    return 2 + spec.edges.index(edge)


def broken_rules(spec: StatisticsSpec, a: Arrays) -> list[str]:
    """What does not fit together among counts, tails, histogram and sums, a few words for each."""
    strict, weak, pairs = a["tail_strict"], a["tail_weak"], a["pair_counts"]
    sums = a["distance_sums"]
    rules = {
        "counts are not negative": all((x >= 0).all() for x in a.values() if x.dtype == np.int64),
        "pairs do not exceed tokens": (pairs <= a["token_counts"][..., None]).all(),
        "tails are ordered": (strict <= weak).all() and (weak <= pairs[..., None]).all(),
        "the histogram counts every pair": np.array_equal(a["histogram"].sum(axis=-1), pairs.sum(axis=0)),
        "the histogram gives the tails": all(
            np.array_equal(a["histogram"][..., bin_of(spec, t) :].sum(axis=-1), weak[..., i].sum(axis=0))
            for i, t in enumerate(spec.thresholds)
        ),
        "distance sums are within 0 and twice the pairs": ((sums >= 0) & (sums <= 2 * pairs)).all(),
        "entry sums start at 0": (a["entry_sums"][..., 0] == 0).all(),
        "exit sums end at 0": (a["exit_sums"][..., -1] == 0).all(),
    }
    return [rule for rule, holds in rules.items() if not holds]


def state_digest(
    spec: StatisticsSpec, sample_ids: tuple[str, ...], units: Units, arrays: Arrays, provenance: Provenance
) -> str:
    """SHA-256 of declaration, sample ids, units, arrays and provenance; equal for equal states."""
    total = hashlib.sha256(spec.to_json().encode())
    total.update(repr(sample_ids).encode())
    if any(unit is not None for unit in units):  # without units the digest is that of older versions
        total.update(repr(units).encode())
    for name, array in arrays.items():
        total.update(f"{name}{array.shape}".encode())
        total.update(np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False)).tobytes())
    if provenance:  # without faults and early stop the digest is that of older versions
        total.update(provenance.to_json().encode())
    return total.hexdigest()


def save_state(
    path: str | os.PathLike[str],
    spec: StatisticsSpec,
    sample_ids: Sequence[str],
    units: Units,
    arrays: Arrays,
    provenance: Provenance,
) -> str:
    """Write a safetensors file in one atomic step; return the SHA-256 of its contents."""
    metadata = {"schema": _SCHEMA, "spec": spec.to_json(), "provenance": provenance.to_json()}
    texts = _packed("sample_id", sample_ids)
    if any(unit is not None for unit in units):
        texts |= _packed("unit", units)
    return save_tensors(path, {**arrays, **texts}, metadata)


def is_state(path: Path) -> bool:
    """Whether the header of a file says that it is one of `save_state`; the rest is not read."""
    try:
        return read_header(path).metadata.get("schema") == _SCHEMA
    except StoreError:
        return False


def load_state(
    path: str | os.PathLike[str],
) -> tuple[StatisticsSpec, list[str], Units | None, dict[str, npt.NDArray[Any]], Provenance | None]:
    """Declaration, sample ids, units, arrays and provenance of a file of `save_state`; None for what it lacks.

    Raises
    ------
    StoreError
        If the file is missing, torn, altered, or no statistics file.
    KeyError, ValueError
        If a part of it is missing or does not parse.
    """
    arrays, metadata = load_tensors(path)
    if metadata.get("schema") != _SCHEMA:
        raise StoreError(f"need a file of schema {_SCHEMA}, {path} has {metadata.get('schema')!r}")
    spec = StatisticsSpec.from_json(metadata["spec"])
    ids = [name or "" for name in _unpacked("sample_id", arrays)]
    units = _unpacked("unit", arrays) if "unit_lengths" in arrays else None
    provenance = Provenance.from_json(metadata["provenance"]) if "provenance" in metadata else None
    return spec, ids, units, arrays, provenance


def _packed(name: str, texts: Units) -> dict[str, npt.NDArray[Any]]:
    """Texts as two arrays: their lengths, -1 for None, and their bytes."""
    coded = [None if text is None else text.encode() for text in texts]
    lengths = np.array([-1 if text is None else len(text) for text in coded], dtype=np.int64)
    return {
        f"{name}_lengths": lengths,
        f"{name}_bytes": np.frombuffer(b"".join(text or b"" for text in coded), dtype=np.uint8),
    }


def _unpacked(name: str, arrays: dict[str, npt.NDArray[Any]]) -> list[str | None]:
    """Inverse of `_packed`; takes the two arrays out."""
    lengths, text = arrays.pop(f"{name}_lengths"), arrays.pop(f"{name}_bytes").tobytes()
    ends = [0, *np.maximum(lengths, 0).cumsum()]
    return [None if n < 0 else text[a:b].decode() for n, (a, b) in zip(lengths, pairwise(ends), strict=True)]
