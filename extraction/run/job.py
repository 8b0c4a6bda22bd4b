"""A harvest cut into batches: what decides its result, and the work of one batch, which any process may do."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from extraction.adapters import Adapter, adapt
from extraction.adapters.base import text_config
from extraction.data import Sample, make_batch
from extraction.device import dtype_name
from extraction.harvester import Harvester, Shift
from extraction.harvesting import make_harvester
from extraction.run.folder import Fault
from extraction.store.choice import in_part
from redundancy._validate import check_count
from redundancy.errors import InvalidInputError
from redundancy.statistics import HarvestStatistics

__all__ = ["HarvestJob", "Plan"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The work list of a harvest; plain data, equal in every process that takes part.

    Attributes
    ----------
    run : dict
        What decides the result, for ``run.json``.
    batches : tuple of tuple of str
        Sample ids of every batch.
    n_layers : int
    """

    run: dict[str, Any]
    batches: tuple[tuple[str, ...], ...]
    n_layers: int

    @property
    def n_samples(self) -> int:
        """Samples of all batches."""
        return sum(len(batch) for batch in self.batches)


class HarvestJob:
    """A model and its samples as numbered batches: ``work(k)`` depends on nothing but the plan and k.

    Parameters
    ----------
    model, processor, prompt, name, revision, thresholds, pairing, matrix, attention
        As in `extraction.harvest`.
    samples, batch_size, shard
        As in `harvest_to`.

    Raises
    ------
    InvalidInputError
        For a shard out of range or without samples.
    """

    def __init__(
        self,
        model: nn.Module,
        samples: Sequence[Sample],
        *,
        processor: Any,
        batch_size: int = 8,
        shard: tuple[int, int] = (0, 1),
        prompt: str | None = None,
        name: str | None = None,
        revision: str = "",
        thresholds: tuple[float, ...] = (0.05,),
        pairing: str = "io",
        matrix: bool = True,
        attention: bool = True,
    ) -> None:
        part, n_parts = shard
        check_count(n_parts, "the number of shards", lower=1)
        check_count(part, "the shard", upper=n_parts - 1)
        check_count(batch_size, "batch_size", lower=1)
        self._model, self._processor, self._samples = model, processor, samples
        self._adapter = adapt(model)
        mine = [s for s in samples if in_part(s.sample_id, shard)]
        if not mine:
            raise InvalidInputError(
                f"need samples in shard {part} of {n_parts}, it has none of {len(samples)}; use fewer"
            )
        self._chunks = [mine[i : i + batch_size] for i in range(0, len(mine), batch_size)]
        self._batch_size, self._revision = batch_size, revision
        self._maker = _Maker(processor, self._adapter, prompt, _context(model))
        self._harvester: Harvester | None = None
        self.plan = Plan(
            run={
                "model": name or str(getattr(model.config, "name_or_path", "")) or type(model).__name__,
                "revision": revision,
                "dtype": dtype_name(model),
                "shard": [part, n_parts],
                "batch_size": batch_size,
                "thresholds": list(thresholds),
                "pairing": pairing,
                "matrix": matrix,
                "attention": attention,
                "prompt": prompt,
                "samples": _digest(samples),
            },
            batches=tuple(tuple(s.sample_id for s in chunk) for chunk in self._chunks),
            n_layers=self._adapter.n_layers,
        )

    def prepare(self, shift: Shift | None = None) -> HarvestStatistics:
        """Check the model on the first batch of the whole data set, and fix the means of the centred distance.

        Parameters
        ----------
        shift : array, optional
            Means that another process or an earlier run has fixed; of the first batch by default.

        Returns
        -------
        HarvestStatistics
            Of no sample; they hold the means, for the other processes.
        """
        first = None
        for i in range(0, len(self._samples), self._batch_size):
            first, _ = self._maker.batch(self._samples[i : i + self._batch_size], 0)
            if first is not None:
                break
        if first is None:
            _, faults = self._maker.batch(self._samples[:1], 0)
            raise InvalidInputError(f"need samples that can be harvested, all failed, the first so: {faults[0].reason}")
        run = self.plan.run
        self._harvester = make_harvester(
            self._model,
            self._adapter,
            first,
            processor=self._processor,
            name=run["model"],
            revision=self._revision,
            thresholds=tuple(run["thresholds"]),
            pairing=run["pairing"],
            matrix=run["matrix"],
            attention=run["attention"],
            shift="pilot" if shift is None else shift,
        )
        return self._harvester.empty()

    def empty(self) -> HarvestStatistics:
        """Statistics of no sample, with the means that were fixed."""
        if self._harvester is None:
            raise RuntimeError("need prepare() before empty()")
        return self._harvester.empty()

    def work(self, k: int) -> tuple[HarvestStatistics, list[Fault]]:
        """Statistics of batch k, and the samples of it that failed; the same whenever and wherever it is done."""
        if self._harvester is None:
            raise RuntimeError("need prepare() before work()")
        batch, faults = self._maker.batch(self._chunks[k], k)
        if batch is None:
            return self._harvester.empty(), faults
        statistics, _ = self._harvester.step(batch, full_logits=False)
        return statistics, faults


class _Maker:
    """Batches of the samples that can be read; the reasons of the others."""

    def __init__(self, processor: Any, adapter: Adapter, prompt: str | None, context: int | None) -> None:
        self._processor, self._adapter, self._prompt, self._context = processor, adapter, prompt, context

    def batch(self, samples: Sequence[Sample], number: int) -> tuple[dict[str, Any] | None, list[Fault]]:
        """Model inputs of the good samples (None if there are none), and the faults."""
        try:
            batch = self._make(samples)
            if self._fits(batch):
                return batch, []
        except InvalidInputError:
            pass  # one of them is at fault: below, each is tried alone and its own reason is kept
        good, faults = [], []
        for sample in samples:
            try:
                alone = self._make([sample])
            except InvalidInputError as error:
                faults.append(Fault(number, sample.sample_id, str(error)))
                continue
            if self._fits(alone):
                good.append(sample)
            else:
                length = alone["input_ids"].shape[1]
                reason = f"need a prompt of at most {self._context} tokens, the model's context, got {length}"
                faults.append(Fault(number, sample.sample_id, reason))
        return (self._make(good) if good else None), faults

    def _make(self, samples: Sequence[Sample]) -> dict[str, Any]:
        return make_batch(self._processor, samples, vision_ids=self._adapter.vision_ids, prompt=self._prompt)

    def _fits(self, batch: dict[str, Any]) -> bool:
        return self._context is None or batch["input_ids"].shape[1] <= self._context


def _context(model: nn.Module) -> int | None:
    """Longest prompt that the decoder's positions allow, if its configuration says."""
    limit = getattr(text_config(model), "max_position_embeddings", None)
    return limit if isinstance(limit, int) and limit > 0 else None


def _digest(samples: Sequence[Sample]) -> str:
    total = hashlib.sha256()
    for sample in samples:
        total.update(json.dumps([sample.sample_id, sample.question, sample.answer]).encode())
    return total.hexdigest()
