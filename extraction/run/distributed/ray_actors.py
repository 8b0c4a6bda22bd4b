"""Workers as Ray Core actors that keep the model loaded: the same batches on the machines of a cluster."""

from __future__ import annotations

from collections.abc import Generator
from importlib.util import find_spec
from typing import Any

from extraction.run.distributed.batch_queue import BatchQueue
from extraction.run.distributed.work import BatchWorker, WorkerSetup
from extraction.run.folder import HarvestFolder
from extraction.run.job import Plan
from extraction.run.loop import Finished
from redundancy.errors import MissingExtraError, SkipItError, StoreError

__all__ = ["RayPool"]

_MAX_RESTARTS = 10
_MAX_RETRIES = 3


class RayPool:
    """A number of Ray actors; use it as a context.

    Statistics come back through Ray's object store, so the machines need no common disk; the model and the data
    must be found at the same paths, or names, on each. Ray starts a lost actor anew and repeats its batch.

    Parameters
    ----------
    setup : WorkerSetup
    n_workers : int
    """

    def __init__(self, setup: WorkerSetup, *, n_workers: int) -> None:
        if find_spec("ray") is None:
            raise MissingExtraError('running on Ray needs ray: pip install "skip-it[ray]"')
        self._setup, self._n_workers = setup, n_workers
        self._actors: list[Any] = []
        self._plans: list[Any] = []
        self._is_mine = False

    def __enter__(self) -> RayPool:
        import ray

        if not ray.is_initialized():
            ray.init(log_to_driver=False, include_dashboard=False)
            self._is_mine = True
        n_gpus = ray.cluster_resources().get("GPU", 0.0) / self._n_workers
        actor = ray.remote(
            num_cpus=self._setup.threads,
            num_gpus=min(1.0, n_gpus),
            max_restarts=_MAX_RESTARTS,
            max_task_retries=_MAX_RETRIES,
        )(BatchWorker)
        self._actors = [actor.remote(self._setup) for _ in range(self._n_workers)]
        self._plans = [a.plan.remote() for a in self._actors]
        return self

    def __exit__(self, *_: object) -> None:
        import ray

        for actor in self._actors:
            ray.kill(actor)
        if self._is_mine:
            ray.shutdown()

    def plan(self) -> Plan:
        """The work list, on which all actors must agree."""
        first, *others = self._get(self._plans)
        if any(other != first for other in others):
            raise StoreError("need the same samples in every worker, two of them read different ones; fix the data")
        plan: Plan = first
        return plan

    def batches(self, start: int, folder: HarvestFolder) -> Generator[Finished, None, None]:
        """Batches from `start` on, in order, as `extraction.run.loop.collect` asks for them."""
        import ray

        n_batches = len(self.plan().batches)
        queue = BatchQueue(folder, n_batches=n_batches, start=start, n_workers=self._n_workers)
        states = [a.prepare.remote(queue.shift) for a in self._actors]
        shift = ray.put(queue.fix(self._get(states)[0]))
        idle, running = list(self._actors), {}
        for k in range(start, n_batches):
            while True:
                while idle and (j := queue.take()) is not None:
                    actor = idle.pop()
                    running[actor.work.remote(j, shift)] = (j, actor)
                if (found := queue.collect(k)) is not None:
                    break
                (ready, *_), _ = ray.wait(list(running), num_returns=1)
                j, actor = running.pop(ready)
                queue.results.put(j, *self._get(ready))
                queue.finish(j)
                idle.append(actor)
            yield found
            queue.move_on(k)
        queue.results.clear()

    def _get(self, reference: Any) -> Any:
        """The result, or the error of the task as ours."""
        import ray

        try:
            return ray.get(reference)
        except ray.exceptions.RayTaskError as error:
            cause = error.cause
            if isinstance(cause, SkipItError):
                raise cause from None
            raise SkipItError(f"a worker failed: {type(cause).__name__}: {cause}") from error
        except ray.exceptions.RayActorError as error:
            raise SkipItError(f"need actors that stay, one is lost for good: {error}; resume the run") from error
