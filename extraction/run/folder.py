"""The folder of a harvest: one atomic file per batch, merged in a fixed tree, so that an interruption costs a batch."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from extraction.models.identity import RunIdentity
from redundancy.errors import InvalidInputError, StoreError
from redundancy.files.locking import lock_folder, sweep_strays
from redundancy.files.writing import append_text, write_text
from redundancy.statistics.harvest_statistics import HarvestStatistics
from redundancy.statistics.provenance import Provenance

__all__ = ["Fault", "HarvestFolder"]

SCHEMA = "skip-it/harvest-folder/1"
_FANOUT = 8
_LOG = logging.getLogger("skip_it.harvest")
_PART = re.compile(r"part-(\d{8})-(\d{8})\.safetensors")


@dataclass(frozen=True, slots=True)
class Fault:
    """A sample that could not be harvested.

    Parameters
    ----------
    batch : int
        Batch it was in.
    sample_id : str
    reason : str
        One sentence.
    cause : str, default="other"
        Kind of fault, to count by: "row", "image", "video", "question", "length", "processor", "model".
    """

    batch: int
    sample_id: str
    reason: str
    cause: str = "other"


class HarvestFolder:
    """Parts of a harvest on disk; the file ``part-A-B`` holds the merged statistics of batches A to B - 1.

    Eight neighbours of one size become one part of the next, always of the same batches: the sums of an
    interrupted and resumed run are those of an uninterrupted one, to the last bit.

    Parameters
    ----------
    path : path-like
        Made if it does not exist.
    run : dict
        What decides the result, JSON numbers and strings; kept in ``run.json``.
    resume : bool
        Go on in a folder that holds a run, which must be this very one.

    Raises
    ------
    InvalidInputError
        If the folder holds a run and `resume` is off, or another process is at work in it.
    StoreError
        If it holds another run, or parts are missing.
    """

    def __init__(self, path: str | os.PathLike[str], run: dict[str, Any], *, resume: bool = False) -> None:
        self.path = Path(path)
        header = self.path / "run.json"
        wanted = json.loads(json.dumps({"schema": SCHEMA, **run}, allow_nan=False))
        if _is_there(header) and not resume:
            raise InvalidInputError(f"need a folder without a harvest, {path} has one; resume it or choose another")
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"need a folder that can be written, {path} gives: {error.strerror}") from error
        self._lock = lock_folder(self.path)
        try:
            self._open(header, wanted)
            self._faults = self._read_faults()
            self._settle()
        except BaseException:
            self.close()
            raise

    def _open(self, header: Path, wanted: dict[str, Any]) -> None:
        """Check that the folder is of this run, or begin it."""
        others = sweep_strays(self.path)
        if header not in others:  # begun and killed before its first file, or new
            if others:
                raise InvalidInputError(f"need a new or empty folder, {self.path} holds other files; choose another")
            write_text(header, json.dumps(wanted, indent=1))
            return
        try:
            found = json.loads(header.read_text(encoding="utf-8"))
            if not isinstance(found, dict):
                raise ValueError(f"a {type(found).__name__}")
        except (OSError, ValueError, RecursionError) as error:
            raise StoreError(f"need a readable {header}, it gives: {error}; run the harvest anew") from None
        differ = sorted(k for k in {*found, *wanted} - {"identity"} if found.get(k) != wanted.get(k))
        if {"identity"} & {*found, *wanted}:
            now = RunIdentity.from_dict(wanted.get("identity"), where="this run")
            before = RunIdentity.from_dict(found.get("identity"), where=str(header))
            # The name and the prompt are compared above, under names of their own.
            differ += [words] if (words := before.difference(now, but=("model", "dtype", "prompt"))) else []
            if not differ and (versions := before.changed_versions(now)):
                _LOG.warning(
                    "%s was begun with other versions of %s: numbers may differ in their last digits", header, versions
                )
        if differ:
            raise StoreError(
                f"need the folder of this very run to resume it, {self.path} differs in {', '.join(differ)}; "
                "choose another folder"
            )

    # ------------------------------------------------------------------ reading

    @property
    def n_batches(self) -> int:
        """Batches that are done."""
        ranges = self._ranges()
        return ranges[-1][1] if ranges else 0

    def parts(self) -> Iterator[HarvestStatistics]:
        """Merged parts in the order of their batches."""
        for a, b in self._ranges():
            yield HarvestStatistics.load(self._file(a, b))

    def statistics(self) -> HarvestStatistics | None:
        """All batches so far as one state; None before the first."""
        parts = list(self.parts())
        return HarvestStatistics.merge_all(parts) if parts else None

    def shift(self) -> npt.NDArray[np.float32] | None:
        """Means of the centred distance that the first batch has fixed, if there is one."""
        first = next(self.parts(), None)
        return None if first is None else first.shift

    def faults(self) -> list[Fault]:
        """Samples that were left out of the batches so far."""
        return list(self._faults)

    # ------------------------------------------------------------------ writing

    def add(self, statistics: HarvestStatistics, faults: Sequence[Fault] = ()) -> None:
        """Store the next batch; it is on disk when this returns."""
        n = self.n_batches
        if faults:  # first, so that a stored batch never lacks its faults; those of a lost batch are dropped
            append_text(self.path / "faults.jsonl", _lines(faults))
            self._faults += faults
        statistics.save(self._file(n, n + 1))
        self._settle()

    def finish(self, *, stopped_by: Sequence[str] = ()) -> HarvestStatistics:
        """Write ``statistics.safetensors`` of all batches and return it.

        Parameters
        ----------
        stopped_by : sequence of str
            Questions whose answer ended the run before its last batch.
        """
        merged = self.statistics()
        if merged is None:
            raise InvalidInputError("need at least one batch to finish a harvest, got none; check the data")
        failed = {fault.sample_id: fault.cause for fault in self.faults()}
        merged = merged.with_provenance(Provenance(failed=failed, stopped_by=tuple(stopped_by)))
        merged.save(self.path / "statistics.safetensors")
        return merged

    def close(self) -> None:
        """Let other processes in."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def __enter__(self) -> HarvestFolder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ------------------------------------------------------------------ helpers

    def _read_faults(self) -> list[Fault]:
        """Faults on disk, a line that a kill cut short left out; `StoreError` for one that was damaged."""
        file = self.path / "faults.jsonl"
        try:
            raw = file.read_bytes()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StoreError(f"need a readable {file}, it gives: {error.strerror}") from error
        whole = raw[: raw.rfind(b"\n") + 1]
        faults = []
        for number, line in enumerate(whole.splitlines(), start=1):
            try:
                fault = Fault(**json.loads(line))
                if type(fault.batch) is not int or not all(type(v) is str for v in list(asdict(fault).values())[1:]):
                    raise TypeError("fields of another type")
            except (TypeError, ValueError, RecursionError) as error:
                raise StoreError(
                    f"need a fault in line {number} of {file}, it gives: {error}; the harvest has to be run anew"
                ) from None
            faults.append(fault)
        if len(whole) < len(raw):
            write_text(file, _lines(faults))
        return faults

    def _file(self, a: int, b: int) -> Path:
        return self.path / f"part-{a:08d}-{b:08d}.safetensors"

    def _ranges(self) -> list[tuple[int, int]]:
        """Ranges of the parts, those inside a larger one left out; they must follow each other from 0."""
        found = []
        for name in sorted(os.listdir(self.path)):
            match = _PART.fullmatch(name)
            if match:
                found.append((int(match[1]), int(match[2])))
        outer = [r for r in found if not any(s != r and s[0] <= r[0] and r[1] <= s[1] for s in found)]
        stop = 0
        for a, b in outer:
            if a != stop:
                raise StoreError(f"need the parts of all batches, {self.path} lacks those from {stop} to {a}; run anew")
            stop = b
        return outer

    def _settle(self) -> None:
        """Merge complete eights, drop what they hold, and the faults of a batch that was lost."""
        merged = True
        while merged:
            merged = False
            ranges = self._ranges()
            for i in range(len(ranges) - _FANOUT + 1):
                run = ranges[i : i + _FANOUT]
                size = run[0][1] - run[0][0]
                if all(b - a == size for a, b in run) and run[0][0] % (size * _FANOUT) == 0:
                    states = [HarvestStatistics.load(self._file(a, b)) for a, b in run]
                    HarvestStatistics.merge_all(states).save(self._file(run[0][0], run[-1][1]))
                    merged = True
                    break
            outer = set(self._ranges())
            for file in self.path.glob("part-*.safetensors"):
                match = _PART.fullmatch(file.name)
                if match and (int(match[1]), int(match[2])) not in outer:
                    with contextlib.suppress(FileNotFoundError):
                        file.unlink()
        n = self.n_batches
        if any(fault.batch >= n for fault in self._faults):
            self._faults = [fault for fault in self._faults if fault.batch < n]
            write_text(self.path / "faults.jsonl", _lines(self._faults))


def _lines(faults: Sequence[Fault]) -> str:
    return "".join(f"{json.dumps(asdict(fault))}\n" for fault in faults)


def _is_there(file: Path) -> bool:
    """Whether a file exists; `StoreError` where that cannot be told."""
    try:
        return file.exists()
    except OSError as error:
        raise StoreError(f"need a folder that can be read, {file.parent} gives: {error.strerror}") from error
