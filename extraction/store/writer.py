"""Write an activation store: one atomic shard at a time, one manifest line per finished shard, and append to it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from estimators.store import MANIFESTS, SCHEMA, SPEC_FILE, read_manifest, spec_digest
from redundancy.checks import check_count
from redundancy.errors import InvalidInputError, StoreError
from redundancy.files.tensors import save_tensors
from redundancy.statistics.harvest_statistics import BASE_GROUPS

__all__ = ["ActivationWriter", "check_disk", "disk_need", "make_spec"]

DTYPES = ("float16", "float32")


def make_spec(
    *,
    model: str,
    model_type: str,
    n_layers: int,
    n_features: int,
    depths: tuple[int, ...],
    groups: tuple[str, ...],
    tokens_per_group: int,
    seed: int = 0,
    dtype: str = "float32",
    revision: str = "",
    answers: tuple[str, ...] = (),
) -> dict[str, Any]:
    """Declaration of a store; two runs may write into one store only if theirs are equal.

    More than eight parameters, one for each entry of the declaration.

    Parameters
    ----------
    model, model_type : str
        Recorded.
    n_layers, n_features : int
        L, and the width of the states.
    depths : tuple of int
        Increasing, in 0..L: which depths are stored.
    groups : tuple of str
        Token groups that are stored.
    tokens_per_group : int
        Most tokens of a group and sample.
    seed : int, default=0
        Of the choice of tokens.
    dtype : {"float32", "float16"}
        In which states are stored.
    revision : str, default=""
        Of the model.
    answers : tuple of str
        Names of the answers whose distribution is stored per sample.

    Returns
    -------
    dict
        JSON values.

    Raises
    ------
    InvalidInputError
        For depths outside 0..n_layers, unknown groups or dtypes.
    """
    layers = check_count(n_layers, "n_layers", lower=1)
    if not depths or sorted(set(depths)) != list(depths) or depths[0] < 0 or depths[-1] > layers:
        raise InvalidInputError(f"need increasing depths in 0..{layers}, got {depths}")
    if not groups or any(group not in BASE_GROUPS for group in groups) or len(set(groups)) != len(groups):
        raise InvalidInputError(f"need distinct groups out of {BASE_GROUPS}, got {groups}")
    if dtype not in DTYPES:
        raise InvalidInputError(f"need a dtype among {DTYPES}, got {dtype!r}")
    return {
        "schema": SCHEMA,
        "model": model,
        "model_type": model_type,
        "revision": revision,
        "n_layers": layers,
        "n_features": check_count(n_features, "n_features", lower=1),
        "depths": list(depths),
        "groups": list(groups),
        "tokens_per_group": check_count(tokens_per_group, "tokens_per_group", lower=1),
        "seed": check_count(seed, "seed"),
        "dtype": dtype,
        "answers": list(answers),
    }


def disk_need(spec: Mapping[str, Any], n_samples: int) -> int:
    """Bytes that n samples take at most (samples with fewer tokens take less).

    Parameters
    ----------
    spec : mapping
        As `make_spec` gives it.
    n_samples : int
        How many.

    Returns
    -------
    int
        Bytes.
    """
    tokens = spec["tokens_per_group"] * len(spec["groups"])
    per_token = len(spec["depths"]) * spec["n_features"] * np.dtype(spec["dtype"]).itemsize + 5
    return int(n_samples * (tokens * per_token + 8 + 4 * len(spec["answers"])))


def check_disk(path: Path, need: int) -> str:
    """Say what is needed and what is free.

    Raises
    ------
    StoreError
        If less is free than needed.
    """
    place = path
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    text = f"the store needs {_size(need)} at most, {_size(free)} are free at {place}"
    if need > free:
        raise StoreError(f"need room on the disk, {text}; store fewer tokens, fewer depths or float16")
    return text


class ActivationWriter:
    """Append samples to a store; use it as a context, whose end writes what is left.

    Parameters
    ----------
    path : path-like
        Folder; made if it does not exist, appended to if it is a store of the same `spec`.
    spec : mapping
        Of `make_spec`.
    part : (int, int), default=(0, 1)
        Writer i of n that write side by side, each with a manifest of its own.
    shard_bytes : int, default=2**27
        Size from which a shard is written.

    Raises
    ------
    StoreError
        If the folder holds something else, or a store of another spec.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        spec: Mapping[str, Any],
        *,
        part: tuple[int, int] = (0, 1),
        shard_bytes: int = 1 << 27,
    ) -> None:
        self.path, self.spec, self.shard_bytes = Path(path), dict(spec), shard_bytes
        index, n_parts = part
        n_parts = check_count(n_parts, "number of parts", lower=1)
        self._stem = f"{check_count(index, 'part', upper=n_parts - 1):05d}-of-{n_parts:05d}"
        self._digest = spec_digest(self.spec)
        self._open_folder()
        self.done: set[str] = set()
        for manifest in sorted(self.path.glob(MANIFESTS)):
            for entry in read_manifest(manifest)[0]:
                self.done.update(entry["ids"], entry["faults"])
        self._manifest = self.path / f"manifest-{self._stem}.jsonl"
        self._n_shards = 0
        if self._manifest.exists():
            entries, whole = read_manifest(self._manifest)
            self._n_shards = sum(entry["file"] is not None for entry in entries)
            if whole < self._manifest.stat().st_size:
                with self._manifest.open("r+b") as file:  # a line that a kill cut; its shard is written anew
                    file.truncate(whole)
        self._clear()

    def add(
        self,
        sample_id: str,
        states: npt.NDArray[Any],
        *,
        token_index: npt.NDArray[np.integer[Any]],
        groups: npt.NDArray[np.integer[Any]],
        record: Mapping[str, str] | None = None,
        answers: npt.NDArray[Any] | None = None,
    ) -> None:
        """Add one sample.

        Parameters
        ----------
        sample_id : str
            Not in the store yet.
        states : array of shape (n_depths, n_tokens, n_features)
            The same tokens at each depth.
        token_index, groups : array of int, shape (n_tokens,)
            Position of each token, and its place in `BASE_GROUPS`.
        record : mapping of str to str, optional
            Texts to keep beside, as the answer.
        answers : array of shape (n_answers,), optional
            The model's answer distribution; needed if the spec names answers.
        """
        shape = (len(self.spec["depths"]), len(token_index), self.spec["n_features"])
        if states.shape != shape or len(groups) != len(token_index):
            raise InvalidInputError(f"need states of shape {shape} for {sample_id!r}, got {states.shape}")
        if (answers is None) != (not self.spec["answers"]) or (
            answers is not None and np.shape(answers) != (len(self.spec["answers"]),)
        ):
            raise InvalidInputError(f"need {len(self.spec['answers'])} answer probabilities for {sample_id!r}")
        self._claim(sample_id)
        with np.errstate(over="ignore"):  # looked for below
            stored = states.astype(self.spec["dtype"])
        if not np.isfinite(stored).all():
            what = "overflow float16; store float32" if np.isfinite(states).all() else "are not finite"
            self._faults[sample_id] = f"states {what}"
            return
        self._states.append(stored)
        self._tokens.append(np.asarray(token_index, dtype=np.int32))
        self._groups.append(np.asarray(groups, dtype=np.uint8))
        self._ids.append(sample_id)
        self._records[sample_id] = dict(record or {})
        if answers is not None:
            self._answers.append(np.asarray(answers, dtype=np.float32))
        self._held += stored.nbytes
        if self._held >= self.shard_bytes:
            self.flush()

    def fault(self, sample_id: str, reason: str) -> None:
        """Record that a sample could not be stored, and why; it is not tried again on resume."""
        self._claim(sample_id)
        self._faults[sample_id] = reason

    @property
    def held_bytes(self) -> int:
        """Bytes of states that are not on disk yet."""
        return self._held

    def flush(self) -> None:
        """Write what is held as a shard, then its manifest line; a kill in between loses this shard only."""
        if not self._ids and not self._faults:
            return
        entry: dict[str, Any] = {
            "file": None,
            "ids": self._ids,
            "records": self._records,
            "faults": self._faults,
            "sha256": None,
            "bytes": 0,
            "spec": self._digest,
        }
        if self._ids:
            name = f"shard-{self._stem}-{self._n_shards:06d}.safetensors"
            lengths = [len(tokens) for tokens in self._tokens]
            arrays: dict[str, npt.NDArray[Any]] = {
                f"layer.{depth}": np.concatenate([states[i] for states in self._states])
                for i, depth in enumerate(self.spec["depths"])
            }
            arrays["offsets"] = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
            arrays["token_index"] = np.concatenate(self._tokens)
            arrays["group"] = np.concatenate(self._groups)
            if self._answers:
                arrays["answers"] = np.stack(self._answers)
            entry["sha256"] = save_tensors(self.path / name, arrays, {"schema": SCHEMA, "spec": self._digest})
            entry["file"], entry["bytes"] = name, (self.path / name).stat().st_size
            self._n_shards += 1
        line = json.dumps(entry, separators=(",", ":"), allow_nan=False).encode() + b"\n"
        try:
            with self._manifest.open("ab") as file:
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise StoreError(f"need to write {self._manifest}, got: {error.strerror}; check free space") from error
        self._clear()

    def __enter__(self) -> ActivationWriter:
        return self

    def __exit__(self, *exception: object) -> None:
        # Samples that are whole are kept, also when a later one failed.
        self.flush()

    def _claim(self, sample_id: str) -> None:
        if sample_id in self.done:
            raise InvalidInputError(f"need every sample once, {sample_id!r} is in the store already; see `done`")
        self.done.add(sample_id)

    def _clear(self) -> None:
        self._states: list[npt.NDArray[Any]] = []
        self._tokens: list[npt.NDArray[np.int32]] = []
        self._groups: list[npt.NDArray[np.uint8]] = []
        self._answers: list[npt.NDArray[np.float32]] = []
        self._ids: list[str] = []
        self._records: dict[str, dict[str, str]] = {}
        self._faults: dict[str, str] = {}
        self._held = 0

    def _open_folder(self) -> None:
        target = self.path / SPEC_FILE
        text = json.dumps(self.spec, indent=1, sort_keys=True)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            if not target.exists():
                if any(self.path.iterdir()):
                    raise StoreError(f"need an empty or new folder, or a store, {self.path} holds other files")
                fresh = self.path / f".{SPEC_FILE}.{os.getpid()}.tmp"
                fresh.write_text(text, encoding="utf-8")
                # A link fails if another writer was first, whose spec is then compared like any other.
                try:
                    os.link(fresh, target)
                except FileExistsError:
                    pass
                except OSError:  # a file system without links
                    os.replace(fresh, target)
                fresh.unlink(missing_ok=True)
            found = json.loads(target.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            if isinstance(error, StoreError):
                raise
            raise StoreError(f"need a folder for the store, {self.path} gives: {error}") from error
        differ = sorted(name for name in {*self.spec, *found} if self.spec.get(name) != found.get(name))
        if differ:
            name = differ[0]
            raise StoreError(
                f"need the same declaration to append to a store, {self.path} has {name}={found.get(name)!r} and this "
                f"run {self.spec.get(name)!r}; write into another folder"
            )


def _size(n: int) -> str:
    value, units = float(n), ["B", "kB", "MB", "GB", "TB"]
    while value >= 1000.0 and len(units) > 1:
        value, units = value / 1000.0, units[1:]
    return f"{value:.3g} {units[0]}"
