"""What one worker does, whatever started it: load once, check the model once, then batch after batch."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from extraction.run.distributed.batch_queue import Shift
    from extraction.run.job import HarvestJob, JobOptions, Plan
    from extraction.run.loop import Finished
    from redundancy.statistics.harvest_statistics import HarvestStatistics

__all__ = ["BatchWorker", "Loader", "WorkerSetup", "thread_variables"]

Loader = Callable[[], tuple[Any, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSetup:
    """What a worker is started with; it travels to other processes and machines.

    Attributes
    ----------
    load : callable
        Returns model, processor and samples first; it must be importable where the worker runs.
    options : dict
        Keyword arguments of `HarvestJob` besides model, samples and processor.
    threads : int
        CPU threads of the worker.
    """

    load: Loader
    options: JobOptions
    threads: int = 1


def thread_variables(threads: int) -> dict[str, str]:
    """Environment that holds the numerical libraries to a number of threads."""
    return dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))


class BatchWorker:
    """A loaded model that does batches by their number.

    Parameters
    ----------
    setup : WorkerSetup
    """

    def __init__(self, setup: WorkerSetup) -> None:
        os.environ.update(thread_variables(setup.threads))
        import torch

        torch.set_num_threads(setup.threads)
        model, processor, samples, *_ = setup.load()
        from extraction.run.job import HarvestJob

        self._job: HarvestJob = HarvestJob(model, samples, processor=processor, **setup.options)
        self._is_ready = False

    def plan(self) -> Plan:
        """The work list as this worker sees it."""
        return self._job.plan

    def prepare(self, shift: Shift | None) -> HarvestStatistics:
        """Check the model and fix the means, to those given if any; the statistics of no sample hold them."""
        self._job.prepare(shift)
        self._is_ready = True
        return self._job.empty()

    def work(self, k: int, shift: Shift | None) -> Finished:
        """Batch k; a worker that was started anew prepares itself first."""
        from extraction.run.distributed.batch_queue import same_shift

        if not self._is_ready or not same_shift(self._job.empty().shift, shift):
            self.prepare(shift)
        return self._job.work(k)
