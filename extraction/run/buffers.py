"""The activation store beside a harvest: whoever does a batch leaves a buffer of it, the collector files them."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from extraction.models.adapters import Adapter
from extraction.models.adapters.base import text_config
from extraction.run.folder import Fault
from extraction.store.pick import Picks
from extraction.store.writer import ActivationWriter, check_disk, disk_need, make_spec
from redundancy.checks import check_count
from redundancy.errors import StoreError
from redundancy.files.tensors import load_tensors, save_tensors

__all__ = ["BatchBuffer", "BufferedStore", "StoreOptions", "StorePlan"]

_SHARD_BYTES = 1 << 27


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreOptions:
    """Which activations a harvest stores, and where.

    Parameters
    ----------
    path : str
        Folder of the store; shards of one run may share it.
    groups : tuple of str, default=("vision",)
        Token groups, out of "vision", "words", "sink", "special".
    tokens_per_group : int, default=16
        Tokens of each group of a sample, the same at every depth.
    depths : tuple of int, optional
        Depths in 0..L; all by default.
    dtype : {"float32", "float16"}
    seed : int, default=0
        Of the choice of tokens.
    """

    path: str
    groups: tuple[str, ...] = ("vision",)
    tokens_per_group: int = 16
    depths: tuple[int, ...] | None = None
    dtype: str = "float32"
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StorePlan:
    """A store as all processes of a run know it.

    Attributes
    ----------
    path : str
    spec : dict
        Declaration of the store, of `make_spec`.
    part : (int, int)
        Shard i of n, each with files of its own.
    """

    path: str
    spec: dict[str, Any]
    part: tuple[int, int]

    @classmethod
    def of(
        cls,
        options: StoreOptions,
        model: nn.Module,
        adapter: Adapter,
        *,
        name: str,
        revision: str,
        part: tuple[int, int],
    ) -> StorePlan:
        """Declare the store of a run of this model."""
        wanted = asdict(options)
        path, depths = wanted.pop("path"), wanted.pop("depths")
        width = check_count(
            getattr(text_config(model), "hidden_size", None), "hidden_size of the configuration", lower=1
        )
        spec = make_spec(
            model=name,
            model_type=adapter.model_type,
            n_layers=adapter.n_layers,
            n_features=width,
            depths=tuple(range(adapter.n_layers + 1)) if depths is None else depths,
            revision=revision,
            **wanted,
        )
        return cls(path=path, spec=spec, part=part)

    def buffer(self, k: int) -> Path:
        """File of batch k until it is filed."""
        return Path(self.path) / f"pieces-{self.part[0]:05d}-of-{self.part[1]:05d}" / f"piece-{k:08d}.safetensors"

    def announce(self, n_samples: int) -> str:
        """Say how much disk this part of the store needs at most, what it has stored already taken off.

        Raises
        ------
        StoreError
            If the disk has less.
        """
        path = Path(self.path)
        mine = f"shard-{self.part[0]:05d}-of-{self.part[1]:05d}-*.safetensors"  # other parts hold other samples
        stored = sum(file.stat().st_size for file in path.glob(mine))
        return check_disk(path.absolute(), max(0, disk_need(self.spec, n_samples) - stored))


class BatchBuffer:
    """What one batch leaves to the store, collected sample by sample, then written in one atomic step.

    Parameters
    ----------
    plan : StorePlan
    """

    def __init__(self, plan: StorePlan) -> None:
        self._plan = plan
        self._faults: dict[str, str] = {}
        self._records: dict[str, dict[str, str]] = {}
        self._states: list[npt.NDArray[np.float32]] = []
        self._tokens: list[npt.NDArray[np.int64]] = []
        self._groups: list[npt.NDArray[np.int64]] = []

    def add(self, ids: Sequence[str], picks: Picks, records: Mapping[str, dict[str, str]]) -> None:
        """Take the chosen states of a forward pass."""
        states = picks.states()
        for i, (name, rows) in enumerate(zip(ids, picks.rows, strict=True)):
            if not len(rows):
                self._faults[name] = f"no tokens of the groups {', '.join(self._plan.spec['groups'])}"
                continue
            self._records[name] = records[name]
            self._states.append(states[:, i, : len(rows)])
            self._tokens.append(rows)
            self._groups.append(picks.groups[i])

    def save(self, k: int, faults: Sequence[Fault]) -> None:
        """Write it as the buffer of batch k; the same bytes however often the batch is done."""
        spec = self._plan.spec
        lengths = [len(rows) for rows in self._tokens]
        nothing = np.zeros((len(spec["depths"]), 0, spec["n_features"]), dtype=np.float32)
        arrays = {
            "states": np.concatenate([nothing, *self._states], axis=1),
            "token_index": np.concatenate([np.zeros(0, dtype=np.int64), *self._tokens]).astype(np.int64),
            "group": np.concatenate([np.zeros(0, dtype=np.int64), *self._groups]).astype(np.int64),
            "offsets": np.cumsum([0, *lengths]).astype(np.int64),
        }
        failed = {**self._faults, **{fault.sample_id: fault.reason for fault in faults}}
        text = json.dumps({"records": self._records, "faults": failed})
        file = self._plan.buffer(k)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"need a folder for the store, {file.parent} gives: {error.strerror}") from error
        save_tensors(file, arrays, {"piece": text})


class BufferedStore:
    """Files the buffers of a run, in the order of its batches, as shards of a store.

    A batch is filed after its statistics are on disk, and its buffer is deleted after its shard is: whenever the
    process ends, the buffers and shards hold every sample of the statistics.

    Parameters
    ----------
    plan : StorePlan
    batches : sequence of sequence of str
        Sample ids of the batches whose statistics are on disk.
    shard_bytes : int

    Raises
    ------
    StoreError
        If the folder is no store of this run, or lacks a batch whose statistics are there.
    """

    def __init__(self, plan: StorePlan, batches: Sequence[Sequence[str]], *, shard_bytes: int = _SHARD_BYTES) -> None:
        self._plan = plan
        # The writer flushes only when told to: a shard holds whole buffers, which can then be deleted.
        self._writer = ActivationWriter(plan.path, plan.spec, part=plan.part, shard_bytes=sys.maxsize)
        self._shard_bytes = shard_bytes
        self._held: list[Path] = []
        for k, ids in enumerate(batches):
            if all(name in self._writer.done for name in ids):
                plan.buffer(k).unlink(missing_ok=True)
            elif plan.buffer(k).exists():
                self.take(k)
            else:
                missing = next(name for name in ids if name not in self._writer.done)
                raise StoreError(
                    f"need the store that this run began, {plan.path} lacks {missing!r}, which is in its statistics; "
                    "give the same store, or start both anew"
                )

    @property
    def n_samples(self) -> int:
        """Samples that are in the store or recorded as faults there."""
        return len(self._writer.done)

    def take(self, k: int) -> None:
        """File batch k."""
        file = self._plan.buffer(k)
        arrays, metadata = load_tensors(file)
        buffer = json.loads(metadata["piece"])
        ends = arrays["offsets"].tolist()
        for (name, record), start, stop in zip(buffer["records"].items(), ends[:-1], ends[1:], strict=True):
            if name not in self._writer.done:
                self._writer.add(
                    name,
                    arrays["states"][:, start:stop],
                    token_index=arrays["token_index"][start:stop],
                    groups=arrays["group"][start:stop],
                    record=record,
                )
        for name, reason in buffer["faults"].items():
            if name not in self._writer.done:
                self._writer.fault(name, reason)
        self._held.append(file)
        if self._writer.held_bytes >= self._shard_bytes:
            self._writer.flush()
            self._drop()

    def finish(self) -> None:
        """Write what is held."""
        self._writer.flush()
        self._drop()
        with contextlib.suppress(OSError):  # not empty: workers were ahead of where the run stopped
            self._plan.buffer(0).parent.rmdir()

    def _drop(self) -> None:
        for file in self._held:
            file.unlink(missing_ok=True)
        self._held.clear()
