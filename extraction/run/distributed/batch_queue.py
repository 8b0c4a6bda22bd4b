"""The work list of a run with workers, and the batches that are done before their turn."""

from __future__ import annotations

import contextlib
import json
from collections import Counter, deque
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from extraction.run.folder import Fault, HarvestFolder
from extraction.run.loop import Finished
from redundancy.errors import SkipItError, StoreError
from redundancy.files.writing import write_text
from redundancy.statistics.harvest_statistics import HarvestStatistics

__all__ = ["BatchQueue", "ResultBuffer", "Shift", "same_shift"]

Shift = npt.NDArray[np.float32]
_MAX_LOSSES = 3
_AHEAD_PER_WORKER = 8


class ResultBuffer:
    """Batches that wait on disk for those before them: ``work(k)`` ends in one atomic file, however often it is done.

    Parameters
    ----------
    folder : path-like
        Below the folder of the run.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, k: int, statistics: HarvestStatistics, faults: Sequence[Fault]) -> None:
        """Store batch k: its faults first, so that a stored batch never lacks them."""
        self.folder.mkdir(exist_ok=True)
        write_text(self._file(k).with_suffix(".json"), json.dumps([[f.sample_id, f.reason, f.cause] for f in faults]))
        statistics.save(self._file(k))

    def get(self, k: int, shift: Shift | None) -> Finished | None:
        """Batch k, if it is there, whole, and centred at these means."""
        try:
            statistics = HarvestStatistics.load(self._file(k))
            faults = json.loads(self._file(k).with_suffix(".json").read_text(encoding="utf-8"))
        except (StoreError, OSError, ValueError):
            return None
        if not same_shift(statistics.shift, shift):
            return None
        return statistics, [Fault(k, *fault) for fault in faults]

    def drop(self, k: int) -> None:
        """Forget batch k."""
        for file in (self._file(k), self._file(k).with_suffix(".json")):
            file.unlink(missing_ok=True)

    def done(self, shift: Shift | None, start: int, stop: int) -> set[int]:
        """Batches from an interrupted run that still hold; the others are dropped."""
        found = set()
        for file in self.folder.glob("batch-*.safetensors"):
            k = int(file.stem.removeprefix("batch-"))
            if start <= k < stop and self.get(k, shift) is not None:
                found.add(k)
            else:
                self.drop(k)
        return found

    def clear(self) -> None:
        """Remove the folder with everything in it."""
        with contextlib.suppress(FileNotFoundError):
            for file in self.folder.iterdir():
                file.unlink(missing_ok=True)
            self.folder.rmdir()

    def pilot(self) -> Shift | None:
        """Means of the centred distance that the interrupted run had fixed."""
        try:
            return HarvestStatistics.load(self.folder / "pilot.safetensors").shift
        except StoreError:
            return None

    def put_pilot(self, empty: HarvestStatistics) -> None:
        """Store those means, as the statistics of no sample."""
        self.folder.mkdir(exist_ok=True)
        empty.save(self.folder / "pilot.safetensors")

    def _file(self, k: int) -> Path:
        return self.folder / f"batch-{k:08d}.safetensors"


class BatchQueue:
    """What is to do, what is done before its turn, and how often a batch has cost a worker.

    Parameters
    ----------
    folder : HarvestFolder
        Holds the batches before `start`.
    n_batches : int
        Of the whole plan.
    start : int
        First batch that is asked for.
    n_workers : int
        Bounds how far the work runs ahead of the first batch that is missing.
    """

    def __init__(self, folder: HarvestFolder, *, n_batches: int, start: int, n_workers: int) -> None:
        self.results = ResultBuffer(folder.path / "ahead")
        self.shift = folder.shift() if start else self.results.pilot()
        self._done = self.results.done(self.shift, start, n_batches)
        self._todo = deque(k for k in range(start, n_batches) if k not in self._done)
        self._losses: Counter[int] = Counter()
        self._next, self._reach = start, _AHEAD_PER_WORKER * n_workers

    def take(self) -> int | None:
        """A batch for an idle worker, if there is one near enough."""
        if self._todo and self._todo[0] < self._next + self._reach:
            return self._todo.popleft()
        return None

    def finish(self, k: int) -> None:
        """Batch k is on disk."""
        self._done.add(k)

    def give_back(self, k: int, how: str) -> None:
        """A worker was lost at batch k: another does it, unless it is the batch that ends workers."""
        self._losses[k] += 1
        if self._losses[k] >= _MAX_LOSSES:
            raise SkipItError(
                f"need workers that last a batch, batch {k} has ended {self._losses[k]} of them ({how}); look at its "
                "samples and at the memory, then resume with fewer workers"
            )
        self._todo.appendleft(k)

    def fix(self, empty: HarvestStatistics) -> Shift | None:
        """The means that all workers use: those of the first that is ready."""
        if self.shift is None and empty.shift is not None:
            self.results.put_pilot(empty)
            self.shift = empty.shift
        return self.shift

    def collect(self, k: int) -> Finished | None:
        """Batch k in its turn, if it is done."""
        if k not in self._done:
            return None
        found = self.results.get(k, self.shift)
        if found is None:
            raise StoreError(
                f"need batch {k} as its worker wrote it, {self.results.folder} has it torn; resume the run"
            )
        return found

    def move_on(self, k: int) -> None:
        """Batch k is in the folder of the run."""
        self.results.drop(k)
        self._done.discard(k)
        self._next = k + 1


def same_shift(a: Shift | None, b: Shift | None) -> bool:
    """Whether two means are equal, or both absent."""
    return (a is None) == (b is None) and (a is None or b is None or np.array_equal(a, b))
