"""Read an activation store without torch: the same tokens at every depth, memory-mapped, checked by digests.

A store is a folder: ``store.json`` says what it holds, ``manifest-*.jsonl`` has a line per finished shard, and a
shard is one safetensors file with ``layer.{d}`` of shape (tokens, features) for each stored depth d, ``offsets``
of its samples, and the index and group of each token. What no manifest line names does not exist.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from redundancy.errors import InvalidInputError, StoreError
from redundancy.files.reading import regular_file
from redundancy.files.tensors import TensorHeader, load_tensors, read_header
from redundancy.statistics.harvest_statistics import BASE_GROUPS

__all__ = ["MANIFESTS", "SCHEMA", "SPEC_FILE", "ActivationStore", "LayerView", "read_manifest", "spec_digest"]

SCHEMA = "skip-it/activation-store/1"
SPEC_FILE = "store.json"
MANIFESTS = "manifest-*.jsonl"


@dataclass(frozen=True, slots=True, eq=False)
class _Shard:
    """One file: its header and its samples."""

    header: TensorHeader
    ids: tuple[str, ...]

    def tensor(self, name: str) -> npt.NDArray[Any]:
        """Memory-mapped, read-only."""
        array: npt.NDArray[Any] = self.header.mapped(name)
        return array


class LayerView:
    """The states at one depth as an array that stays on disk: shape, slices and integer or boolean rows.

    Rows are ordered by sample id, then token index, however the samples came and whatever the shards.

    Parameters
    ----------
    tensors : list of ndarray
        One per shard.
    shard : ndarray of int32
        Shard of each row.
    row : ndarray of int64
        Row inside the shard.
    n_features : int
        Width of a state.
    dtype : dtype
        Of the stored numbers.
    """

    def __init__(
        self,
        tensors: list[npt.NDArray[Any]],
        shard: npt.NDArray[np.int32],
        row: npt.NDArray[np.int64],
        n_features: int,
        dtype: np.dtype[Any],
    ) -> None:
        self._tensors, self._shard, self._row = tensors, shard, row
        self.shape, self.dtype, self.ndim = (len(row), n_features), dtype, 2

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> npt.NDArray[Any]:
        if isinstance(key, tuple):
            rows, columns = key
            return np.asarray(self[rows][..., columns])
        if isinstance(key, (int, np.integer)):
            return np.asarray(self[np.array([key])][0])
        shard, row = self._shard[key], self._row[key]
        out = np.empty((len(row), self.shape[1]), dtype=self.dtype)
        for number in np.unique(shard):
            mine = np.flatnonzero(shard == number)
            out[mine] = self._tensors[number][row[mine]]
        return out

    def of_rows(self, rows: npt.NDArray[Any]) -> LayerView:
        """Some rows, by number or mask, still on disk."""
        return LayerView(self._tensors, self._shard[rows], self._row[rows], self.shape[1], self.dtype)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        whole = self[:]
        return whole if dtype is None else whole.astype(dtype)


class ActivationStore:
    """Open a store.

    Parameters
    ----------
    path : path-like
        Folder.
    group : str, optional
        Rows of this token group only: "vision", "words", "sink", "special" or "text" (all but vision).
    verify : bool, default=True
        Recompute every SHA-256, reading all data once; False checks names and sizes only.

    Raises
    ------
    StoreError
        If the folder is no store, a file is missing, cut or altered, or a sample is stored twice.

    Notes
    -----
    A last manifest line that was cut by a kill is ignored: its shard will be written again on resume.
    """

    def __init__(self, path: str | os.PathLike[str], *, group: str | None = None, verify: bool = True) -> None:
        self.path = Path(path)
        self.group = group
        self.spec = _read_spec(self.path)
        self.records: dict[str, dict[str, Any]] = {}
        self.faults: dict[str, str] = {}
        self._shards: list[_Shard] = []
        digest = spec_digest(self.spec)
        owners: dict[str, str] = {}
        for manifest in sorted(self.path.glob(MANIFESTS)):
            for entry in read_manifest(manifest)[0]:
                if entry["spec"] != digest:
                    raise StoreError(
                        f"need shards of one run in a store, {entry['file']} in {self.path} was written by another; "
                        "keep stores in folders of their own"
                    )
                self.faults.update(entry["faults"])
                if entry["file"] is None:
                    continue
                self._shards.append(_open_shard(self.path / entry["file"], entry, verify=verify))
                for name in entry["ids"]:
                    if name in owners:
                        raise StoreError(
                            f"need every sample once, {name!r} is in {owners[name]} and {entry['file']}; were two runs "
                            "given the same samples without shard=(i, n)?"
                        )
                    owners[name] = entry["file"]
                self.records.update(entry["records"])
        if not self._shards:
            raise StoreError(f"need at least one finished shard, {self.path} has none yet; harvest into it first")

    @cached_property
    def _rows(self) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64], npt.NDArray[Any], npt.NDArray[np.int32]]:
        """Shard, row inside it, sample id and position of each row, in canonical order."""
        shard, row, sample, token, group = [], [], [], [], []
        for number, part in enumerate(self._shards):
            counts = np.diff(part.tensor("offsets"))
            n = int(counts.sum())
            shard.append(np.full(n, number, dtype=np.int32))
            row.append(np.arange(n))
            sample.append(np.repeat(np.array(part.ids), counts))
            token.append(np.asarray(part.tensor("token_index")))
            group.append(np.asarray(part.tensor("group")))
        names, places = np.concatenate(sample), np.concatenate(token)
        keep = _group_mask(np.concatenate(group), self.group)
        order = np.lexsort((places, names))
        order = order[keep[order]]
        if not order.size:
            raise StoreError(f"need tokens of group {self.group!r}, {self.path} holds {self.spec['groups']}")
        return np.concatenate(shard)[order], np.concatenate(row)[order], names[order], places[order]

    @property
    def depths(self) -> tuple[int, ...]:
        """Stored depths d; h_d is the stream after d layers."""
        return tuple(self.spec["depths"])

    @property
    def n_layers(self) -> int:
        """Decoder layers of the model."""
        return int(self.spec["n_layers"])

    @property
    def n_features(self) -> int:
        """Width of a state."""
        return int(self.spec["n_features"])

    @property
    def n_tokens(self) -> int:
        """Rows."""
        return len(self._rows[0])

    @property
    def image_ids(self) -> npt.NDArray[Any]:
        """Sample id of each row: the independent units."""
        return self._rows[2]

    @property
    def token_index(self) -> npt.NDArray[np.int32]:
        """Position of each row's token in its sequence, padding not counted."""
        return self._rows[3]

    @property
    def sample_ids(self) -> tuple[str, ...]:
        """Samples with rows, sorted."""
        return tuple(str(name) for name in np.unique(self._rows[2]))

    def layer(self, depth: int) -> LayerView:
        """States at a depth, on disk."""
        if depth not in self.depths:
            raise InvalidInputError(f"need a stored depth among {self.depths}, got {depth!r}")
        shard, row, _, _ = self._rows
        tensors = [part.tensor(f"layer.{depth}") for part in self._shards]
        return LayerView(tensors, shard, row, self.n_features, tensors[0].dtype)

    def labels(self, field: str) -> tuple[npt.NDArray[np.int64], tuple[str, ...]]:
        """Task labels from a field of the samples' records, as "answer": number of each row's, and their names.

        Raises
        ------
        InvalidInputError
            If a sample has no such field.
        """
        values = {}
        for name in self.sample_ids:
            record = self.records.get(name, {})
            if not str(record.get(field, "")):
                known = sorted({key for r in self.records.values() for key in r})
                raise InvalidInputError(f"need the field {field!r} for every sample, {name!r} has none; known: {known}")
            values[name] = str(record[field])
        names = tuple(sorted(set(values.values())))
        number = {text: i for i, text in enumerate(names)}
        samples, inverse = np.unique(self.image_ids, return_inverse=True)
        return np.array([number[values[str(s)]] for s in samples], dtype=np.int64)[inverse], names

    def answers(self) -> npt.NDArray[np.float64]:
        """The model's own answer distribution of each row's sample, shape (n_tokens, n_answers).

        Raises
        ------
        InvalidInputError
            If the store was harvested without answer tokens.
        """
        if not self.spec.get("answers"):
            raise InvalidInputError("need a store with answers, this one has none; harvest with answer_tokens=")
        per_sample: dict[str, npt.NDArray[np.float64]] = {}
        for part in self._shards:
            per_sample.update(zip(part.ids, np.asarray(part.tensor("answers"), dtype=np.float64), strict=True))
        return np.stack([per_sample[str(name)] for name in self.image_ids])


def read_manifest(path: Path) -> tuple[list[dict[str, Any]], int]:
    """Entries of a manifest, and how many bytes of it are whole lines; a last line that was cut is left out.

    Parameters
    ----------
    path : Path
        The manifest.

    Returns
    -------
    tuple of list of dict, and int
        Entries, and bytes of whole lines.

    Raises
    ------
    StoreError
        If a line before the last is no entry.
    """
    raw = regular_file(path, "a readable manifest").read_bytes()
    whole = raw.rfind(b"\n") + 1
    entries = []
    for number, line in enumerate(raw[:whole].splitlines(), start=1):
        try:
            entry = json.loads(line)
            if not {"file", "ids", "records", "faults", "sha256", "bytes", "spec"} <= set(entry):
                raise ValueError("an entry lacks fields")
        except (ValueError, TypeError) as error:
            raise StoreError(f"need manifest lines that parse, line {number} of {path} does not: {error}") from None
        entries.append(entry)
    return entries, whole


def spec_digest(spec: Mapping[str, Any]) -> str:
    """SHA-256 of a specification.

    Parameters
    ----------
    spec : mapping
        JSON values.

    Returns
    -------
    str
        Hexadecimal.
    """
    return hashlib.sha256(json.dumps(spec, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _read_spec(path: Path) -> dict[str, Any]:
    if (path / SPEC_FILE).exists():
        regular_file(path / SPEC_FILE, f"a readable {SPEC_FILE}")  # a pipe need not end
    try:
        spec = json.loads((path / SPEC_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        why = error.strerror if isinstance(error, OSError) else f"it does not parse, {error}"
        raise StoreError(
            f"need the folder of an activation store, {path} has no readable {SPEC_FILE} ({why}); "
            "make one with: skip-it harvest --store"
        ) from None
    if not isinstance(spec, dict) or spec.get("schema") != SCHEMA:
        raise StoreError(f"need a store of schema {SCHEMA}, {path} has another")
    return spec


def _open_shard(path: Path, entry: Mapping[str, Any], *, verify: bool) -> _Shard:
    """Read the header; with `verify` the whole file."""
    try:
        size = path.stat().st_size
    except OSError:
        raise StoreError(f"need the shard {path.name} that the manifest names, it is missing; harvest again") from None
    if size != entry["bytes"]:
        raise StoreError(f"need {entry['bytes']} bytes in {path}, got {size}: it is cut; delete the store or mend it")
    if verify:
        digest = load_tensors(path)[1]["skip_it.sha256"]
        if digest != entry["sha256"]:
            raise StoreError(f"need the shard that the manifest names, {path} is another: its SHA-256 differs")
    return _Shard(read_header(path), tuple(entry["ids"]))


def _group_mask(codes: npt.NDArray[Any], group: str | None) -> npt.NDArray[np.bool_]:
    if group is None:
        return np.ones(len(codes), dtype=np.bool_)
    if group == "text":
        return np.asarray(codes != BASE_GROUPS.index("vision"))
    if group not in BASE_GROUPS:
        raise InvalidInputError(f"need a group among {(*BASE_GROUPS, 'text')}, got {group!r}")
    return np.asarray(codes == BASE_GROUPS.index(group))
