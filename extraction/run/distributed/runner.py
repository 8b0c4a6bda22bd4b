"""Harvest a folder with several workers, on this machine or through Ray."""

from __future__ import annotations

import logging
import os
import pickle
from collections.abc import Callable
from typing import Unpack

from extraction.run.distributed.processes import ProcessPool
from extraction.run.distributed.ray_actors import RayPool
from extraction.run.distributed.work import Loader, WorkerSetup
from extraction.run.job import JobOptions
from extraction.run.loop import HarvestRun, collect
from extraction.run.question import Question
from redundancy.checks import check_count
from redundancy.errors import InvalidInputError

__all__ = ["ENGINES", "harvest_with_workers"]

_LOG = logging.getLogger("skip_it.harvest")
ENGINES = ("processes", "ray")


def harvest_with_workers(
    load: Loader,
    out: str | os.PathLike[str],
    *,
    workers: int,
    threads: int | None = None,
    engine: str = "processes",
    resume: bool = False,
    until: Question | str | None = None,
    confidence_level: float = 0.95,
    announce: Callable[[str], object] = _LOG.info,
    progress: bool | None = None,
    **options: Unpack[JobOptions],
) -> HarvestRun:
    """`harvest_to` by several workers over one list of batches; the folder gets the same files and the same bits.

    Every worker loads the model once and takes the next batch when it is free. A worker that is lost is replaced,
    and its batch done again. The folder can be resumed with any number of workers, also by `harvest_to`.
    More than eight parameters: those of `harvest_to`, and who does the work.

    Parameters
    ----------
    load : callable
        Returns model, processor and samples first, the same in every process. It is sent to the workers, so it must
        be picklable: a function of an importable module, or a `functools.partial` of one.
    out : path-like
    workers : int
    threads : int, optional
        CPU threads per worker, an equal share of the machine's by default. Libraries may add in another order with
        other numbers of threads, so the same bits need the same number.
    engine : {"processes", "ray"}
        "ray" needs the extra of that name, and a cluster that `ray.init` finds or starts.
    resume, until, confidence_level, announce, progress
        As in `harvest_to`.
    **options
        `options`, `shard`, `batch_by_length`, `store` and the fields of `HarvestOptions`, as in `harvest_to`.

    Returns
    -------
    HarvestRun

    Raises
    ------
    InvalidInputError
        As in `harvest_to`.
    SkipItError
        If a batch ends one worker after another, or too many are lost.
    """
    check_count(workers, "workers", lower=1)
    if engine not in ENGINES:
        raise InvalidInputError(f"need an engine out of {ENGINES}, got {engine!r}")
    share = max(1, _n_cores() // workers) if threads is None else threads
    check_count(share, "threads", lower=1)
    setup = WorkerSetup(load=load, options=options, threads=share)
    try:
        pickle.dumps(setup)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise InvalidInputError(
            f"need a loader that other processes can import, a function of a module or a partial of one, got: {error}"
        ) from error
    pool = RayPool(setup, n_workers=workers) if engine == "ray" else ProcessPool(setup, n_workers=workers)
    with pool:
        return collect(
            pool.plan(),
            pool.batches,
            out,
            resume=resume,
            until=until,
            confidence_level=confidence_level,
            announce=announce,
            progress=progress,
        )


def _n_cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on this system
        return os.cpu_count() or 1
