"""The folder of a harvest: one atomic file per batch, merged in a fixed tree, so that an interruption costs a batch."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from redundancy.errors import InvalidInputError, StoreError
from redundancy.files.writing import write_text
from redundancy.statistics.harvest_statistics import HarvestStatistics
from redundancy.statistics.provenance import Provenance

__all__ = ["Fault", "HarvestFolder"]

SCHEMA = "skip-it/harvest-folder/1"
_FANOUT = 8
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
        Kind of fault, to count by: "image", "video", "question", "length", "processor", "model".
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
        self._lock: Any = None
        header = self.path / "run.json"
        wanted = json.loads(json.dumps({"schema": SCHEMA, **run}, allow_nan=False))
        if _is_there(header):
            if not resume:
                raise InvalidInputError(f"need a folder without a harvest, {path} has one; resume it or choose another")
            try:
                found = json.loads(header.read_text(encoding="utf-8"))
            except ValueError as error:
                raise StoreError(f"need a readable {header}, it does not parse: {error}") from None
            if found != wanted:
                differ = sorted(k for k in {*found, *wanted} if found.get(k) != wanted.get(k))
                raise StoreError(
                    f"need the folder of this very run to resume it, {path} differs in {', '.join(differ)}; "
                    "choose another folder"
                )
        else:
            try:
                if self.path.exists() and any(self.path.iterdir()):
                    raise InvalidInputError(f"need a new or empty folder, {path} holds other files; choose another")
                self.path.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise StoreError(f"need a folder that can be written, {path} gives: {error.strerror}") from error
            write_text(header, json.dumps(wanted, indent=1))
        self._acquire()
        for stray in self.path.glob(".*.tmp"):
            stray.unlink()
        self._settle()

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
        try:
            lines = (self.path / "faults.jsonl").read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []
        return [Fault(**json.loads(line)) for line in lines]

    # ------------------------------------------------------------------ writing

    def add(self, statistics: HarvestStatistics, faults: Sequence[Fault] = ()) -> None:
        """Store the next batch; it is on disk when this returns."""
        n = self.n_batches
        if faults:  # first, so that a stored batch never lacks its faults; those of a lost batch are dropped
            everything = [*self.faults(), *faults]
            self._write_faults(everything)
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
            self._lock.close()
            self._lock = None

    def __enter__(self) -> HarvestFolder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ------------------------------------------------------------------ helpers

    def _acquire(self) -> None:
        """A lock that the system drops with the process, however that ends."""
        try:
            import fcntl
        except ImportError:  # not on this system: two runs in one folder are the user's to avoid
            return
        self._lock = (self.path / ".lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.close()
            raise InvalidInputError(
                f"need {self.path} for one process, another is at work in it; wait for it"
            ) from None

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
        n, faults = self.n_batches, self.faults()
        if any(fault.batch >= n for fault in faults):
            self._write_faults([fault for fault in faults if fault.batch < n])

    def _write_faults(self, faults: Sequence[Fault]) -> None:
        lines = [json.dumps(asdict(fault)) for fault in faults]
        write_text(self.path / "faults.jsonl", "".join(f"{line}\n" for line in lines))


def _is_there(file: Path) -> bool:
    """Whether a file exists; `StoreError` where that cannot be told."""
    try:
        return file.exists()
    except OSError as error:
        raise StoreError(f"need a folder that can be read, {file.parent} gives: {error.strerror}") from error
