"""Worker processes of one machine: each loads the model once; the work of one that is lost goes to another."""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Generator
from typing import Any

from extraction.run.distributed.batch_queue import BatchQueue, Shift, same_shift
from extraction.run.distributed.work import BatchWorker, WorkerSetup, thread_variables
from extraction.run.folder import HarvestFolder
from extraction.run.job import Plan
from extraction.run.loop import Finished
from redundancy import errors
from redundancy.errors import SkipItError, StoreError
from redundancy.interrupts import interrupts_held, leave_interrupts

__all__ = ["ProcessPool", "serve"]

_log = logging.getLogger("skip_it.workers")
_START = "from extraction.run.distributed.processes import serve; serve()"


class ProcessPool:
    """A number of worker processes; use it as a context.

    Parameters
    ----------
    setup : WorkerSetup
    n_workers : int
    max_restarts : int, default=10
        Workers that may be lost before the run is given up.
    """

    def __init__(self, setup: WorkerSetup, *, n_workers: int, max_restarts: int = 10) -> None:
        self._setup, self._n_workers, self._restarts_left = setup, n_workers, max_restarts
        self._events: queue.Queue[tuple[_Worker, Any]] = queue.Queue()
        self._workers: list[_Worker] = []
        self._plan: Plan | None = None

    def __enter__(self) -> ProcessPool:
        for slot in range(self._n_workers):
            self._workers.append(_Worker(self._setup, slot, self._events))
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.stop()

    @property
    def pids(self) -> list[int]:
        """Process ids of the workers."""
        return [worker.process.pid for worker in self._workers]

    def plan(self) -> Plan:
        """The work list, from the worker that has loaded first."""
        while self._plan is None:
            self._handle(None)
        return self._plan

    def batches(self, start: int, folder: HarvestFolder) -> Generator[Finished, None, None]:
        """Batches from `start` on, in order, as `extraction.run.loop.collect` asks for them."""
        n_batches = len(self.plan().batches)
        queue = BatchQueue(folder, n_batches=n_batches, start=start, n_workers=self._n_workers)
        for worker in self._workers:
            if worker.state == "planned":
                worker.send("prepare", queue.shift, state="preparing")
        for k in range(start, n_batches):
            while (found := queue.collect(k)) is None:
                self._assign(queue)
                self._handle(queue)
            self._assign(queue)  # the workers go on while the caller stores what they made
            yield found
            queue.move_on(k)
        queue.results.clear()

    def _assign(self, queue: BatchQueue) -> None:
        for worker in self._workers:
            if worker.state == "idle" and (k := queue.take()) is not None:
                worker.batch = k
                worker.send("work", (k, queue.shift, str(queue.results.folder)), state="busy")

    def _handle(self, queue: BatchQueue | None) -> None:
        """Wait for one message of a worker and answer it."""
        worker, message = self._events.get()
        if message is None:
            self._replace(worker, queue)
            return
        kind, value = message
        if kind == "failed":
            name, text = value
            raise getattr(errors, name, SkipItError)(text)
        if kind == "planned":
            if self._plan is None:
                self._plan = value
            if value != self._plan:
                raise StoreError("need the same samples in every worker, two of them read different ones; fix the data")
            worker.state = "planned"
            if queue is not None:
                worker.send("prepare", queue.shift, state="preparing")
        elif kind == "ready" and queue is not None:
            if same_shift(queue.fix(value), value.shift):
                worker.state = "idle"
            else:  # another kind of machine rounds otherwise: all use the means of the first
                worker.send("prepare", queue.shift, state="preparing")
        elif kind == "done" and queue is not None:
            queue.finish(value)
            worker.batch, worker.state = None, "idle"

    def _replace(self, lost: _Worker, queue: BatchQueue | None) -> None:
        how = lost.cause()
        self._workers.remove(lost)
        self._restarts_left -= 1
        if self._restarts_left < 0:
            raise SkipItError(f"need workers that stay, the last of too many ended {how}; free memory and resume")
        if lost.batch is not None and queue is not None:
            queue.give_back(lost.batch, how)
        what = "before its first batch" if lost.batch is None else f"in batch {lost.batch}, which another takes over"
        _log.warning("worker %d ended %s, %s", lost.slot, how, what)
        self._workers.append(_Worker(self._setup, lost.slot, self._events))


class _Worker:
    """One process, its state as the parent knows it, and a thread that forwards its messages."""

    def __init__(self, setup: WorkerSetup, slot: int, events: queue.Queue[tuple[_Worker, Any]]) -> None:
        self.slot, self.state = slot, "loading"
        self.batch: int | None = None
        environment = {
            **os.environ,
            **thread_variables(setup.threads),
            "LOCAL_RANK": str(slot),
            "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path),
        }
        with interrupts_held():
            self.process = subprocess.Popen(
                [sys.executable, "-c", _START], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
            )
        self._send(setup)
        threading.Thread(target=self._forward, args=(events,), daemon=True).start()

    def send(self, kind: str, value: Any, *, state: str) -> None:
        """Tell the worker what to do next; if it is gone, the end of its messages says so."""
        self.state = state
        self._send((kind, value))

    def cause(self) -> str:
        """How the process ended, in words."""
        code = self.process.wait()
        if code >= 0:
            return f"with exit code {code}"
        try:
            return f"by {signal.Signals(-code).name}"
        except ValueError:
            return f"by signal {-code}"

    def stop(self) -> None:
        """End the process, also in the middle of a batch: what it writes is whole or not there."""
        self.process.kill()
        self.process.wait()
        with contextlib.suppress(OSError):
            self._stdin.close()

    @property
    def _stdin(self) -> Any:
        return self.process.stdin

    def _send(self, message: Any) -> None:
        with contextlib.suppress(OSError):
            pickle.dump(message, self._stdin)
            self._stdin.flush()

    def _forward(self, events: queue.Queue[tuple[_Worker, Any]]) -> None:
        stdout: Any = self.process.stdout
        with stdout:
            while True:
                try:
                    message = pickle.load(stdout)
                except (EOFError, pickle.UnpicklingError, OSError):
                    break
                events.put((self, message))
        events.put((self, None))


def serve() -> None:
    """Body of a worker process: messages on standard input and output, what libraries print on standard error."""
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    leave_interrupts()

    def reply(kind: str, value: Any) -> None:
        pickle.dump((kind, value), replies)
        replies.flush()

    try:
        worker = BatchWorker(pickle.load(requests))
        reply("planned", worker.plan())
        while True:
            kind, value = pickle.load(requests)
            _answer(worker, kind, value, reply)
    except (EOFError, BrokenPipeError):  # the parent has ended
        return
    except SkipItError as error:
        reply("failed", (type(error).__name__, str(error)))
    except Exception as error:
        # Not a lost worker but a fault that another would meet as well.
        traceback.print_exc()
        reply("failed", ("SkipItError", f"a worker failed: {type(error).__name__}: {error}"))


def _answer(worker: BatchWorker, kind: str, value: Any, reply: Any) -> None:
    if kind == "prepare":
        reply("ready", worker.prepare(value))
        return
    k, shift, folder = value
    _store(worker, k, shift, folder)
    reply("done", k)


def _store(worker: BatchWorker, k: int, shift: Shift | None, folder: str) -> None:
    from pathlib import Path

    from extraction.run.distributed.batch_queue import ResultBuffer

    results = ResultBuffer(Path(folder))
    if results.get(k, shift) is None:
        results.put(k, *worker.work(k, shift))
