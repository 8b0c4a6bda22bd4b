"""The loop of a long harvest: shards, faults of single samples, resume, and stopping as soon as it is decided."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn
from tqdm.auto import tqdm

from extraction.adapters import Adapter, adapt
from extraction.adapters.base import text_config
from extraction.data import Sample, make_batch
from extraction.device import dtype_name
from extraction.harvester import Harvester
from extraction.harvesting import make_harvester
from extraction.run.folder import Fault, HarvestFolder
from extraction.run.question import Question, Watch
from extraction.store.choice import in_part
from redundancy._validate import check_count, check_real
from redundancy.errors import InvalidInputError
from redundancy.files import write_text
from redundancy.statistics import HarvestStatistics

__all__ = ["HarvestRun", "harvest_to"]

_GROUPS = ("vision", "words", "sink", "special", "text", "all")


@dataclass(frozen=True, slots=True, kw_only=True)
class HarvestRun:
    """What a long harvest came to.

    Attributes
    ----------
    statistics : HarvestStatistics
        Of all samples that could be harvested.
    faults : tuple of Fault
        The others, each with its reason.
    n_left : int
        Samples that were not looked at, because the question was decided before.
    decision : dict or None
        The question's answer with its interval, if one was asked.
    """

    statistics: HarvestStatistics
    faults: tuple[Fault, ...]
    n_left: int
    decision: dict[str, Any] | None


def harvest_to(
    model: nn.Module,
    samples: Sequence[Sample],
    out: str | os.PathLike[str],
    *,
    processor: Any,
    batch_size: int = 8,
    shard: tuple[int, int] = (0, 1),
    resume: bool = False,
    until: Question | str | None = None,
    confidence_level: float = 0.95,
    prompt: str | None = None,
    name: str | None = None,
    revision: str = "",
    thresholds: tuple[float, ...] = (0.05,),
    pairing: str = "io",
    matrix: bool = True,
    attention: bool = True,
    progress: bool | None = None,
) -> HarvestRun:
    """Harvest samples into a folder, batch by batch; run it again with `resume` after an interruption.

    A sample whose image or question cannot be read, or whose prompt is longer than the model's context, is left
    out and recorded; it never stops the run, and the summary counts it. The result is written to
    ``statistics.safetensors``, the summary to ``summary.json``.

    Parameters
    ----------
    model, processor, prompt, name, revision, thresholds, pairing, matrix, attention
        As in `extraction.harvest`.
    samples : sequence of Sample
        The whole data set, also of a shard: the means of the centred distance come from its first batch, so
        that the shards' statistics merge.
    out : path-like
        Folder of the run; new, or with `resume` that of the same run.
    batch_size : int, default=8
    shard : (int, int), default=(0, 1)
        (i, n): only the samples of part i of n, by a hash of their ids.
    resume : bool, default=False
    until : Question or str, optional
        Stop when a confidence sequence has decided it. The images must come in random order: shuffle the data.
    confidence_level : float, default=0.95
        Of that decision, whenever it comes. Bounds for a fixed number of images (`ProfileCertificate`) do not
        hold for a harvest that was stopped by looking: finish it first.

    Raises
    ------
    InvalidInputError
        For an unusable folder, a shard without samples, or if no sample could be harvested.
    """
    part, n_parts = shard
    check_count(n_parts, "the number of shards", lower=1)
    check_count(part, "the shard", upper=n_parts - 1)
    check_count(batch_size, "batch_size", lower=1)
    check_real(confidence_level, "confidence_level", lower=0.0, upper=1.0, open_ends=True)
    adapter = adapt(model)
    question = Question.parse(until) if isinstance(until, str) else until
    if question is not None:
        question.check(n_layers=adapter.n_layers, groups=_GROUPS, thresholds=thresholds)
    mine = [s for s in samples if in_part(s.sample_id, shard)]
    if not mine:
        raise InvalidInputError(f"need samples in shard {part} of {n_parts}, it has none of {len(samples)}; use fewer")
    run = {
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
    }
    maker = _Maker(processor, adapter, prompt, _context(model))
    with HarvestFolder(out, run, resume=resume) as folder:
        watch = None if question is None else Watch(question, confidence_level=confidence_level)
        done = _replay(folder, mine, watch)
        chunks = [mine[i : i + batch_size] for i in range(0, len(mine), batch_size)]
        if folder.n_batches < len(chunks) and not done:
            harvester = _prepare(model, adapter, samples, folder, maker, batch_size, processor, run, revision)
            bar = tqdm(
                total=len(mine),
                initial=min(len(mine), folder.n_batches * batch_size),
                desc="harvest",
                unit="sample",
                disable=None if progress is None else not progress,
            )
            with bar:
                for k in range(folder.n_batches, len(chunks)):
                    statistics, faults = _harvest_chunk(harvester, maker, chunks[k], k)
                    folder.add(statistics, faults)
                    bar.update(len(chunks[k]))
                    order = [s.sample_id for s in chunks[k]]
                    if watch is not None and watch.add(watch.question.values(statistics, order)):
                        break
        merged, failed = folder.finish(), tuple(folder.faults())
        if not merged.n_samples:
            raise InvalidInputError(f"need samples that can be harvested, all failed, the first so: {failed[0].reason}")
        n_seen = merged.n_samples + len(failed)
        result = HarvestRun(
            statistics=merged,
            faults=failed,
            n_left=len(mine) - n_seen,
            decision=None if watch is None else watch.to_dict(),
        )
        summary = {
            "n_samples": merged.n_samples,
            "n_faults": len(failed),
            "n_left": result.n_left,
            "decision": result.decision,
            "confidence_level": None if watch is None else confidence_level,
            "digest": merged.digest(),
        }
        write_text(Path(out) / "summary.json", json.dumps(summary, indent=1))
        return result


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


def _prepare(
    model: nn.Module,
    adapter: Adapter,
    samples: Sequence[Sample],
    folder: HarvestFolder,
    maker: _Maker,
    batch_size: int,
    processor: Any,
    run: dict[str, Any],
    revision: str,
) -> Harvester:
    """The harvester of the whole data set: every shard and every resumed run gets the same one."""
    first = next((b for b, _ in _pilot_batches(maker, samples, batch_size) if b is not None), None)
    if first is None:
        _, faults = maker.batch(samples[:1], 0)
        raise InvalidInputError(f"need samples that can be harvested, all failed, the first so: {faults[0].reason}")
    stored = next(folder.parts(), None)
    return make_harvester(
        model,
        adapter,
        first,
        processor=processor,
        name=run["model"],
        revision=revision,
        thresholds=tuple(run["thresholds"]),
        pairing=run["pairing"],
        matrix=run["matrix"],
        attention=run["attention"],
        shift="pilot" if stored is None or stored.shift is None else stored.shift,
    )


def _pilot_batches(
    maker: _Maker, samples: Sequence[Sample], batch_size: int
) -> Iterator[tuple[dict[str, Any] | None, list[Fault]]]:
    for i in range(0, len(samples), batch_size):
        yield maker.batch(samples[i : i + batch_size], 0)


def _harvest_chunk(
    harvester: Harvester, maker: _Maker, chunk: Sequence[Sample], number: int
) -> tuple[HarvestStatistics, list[Fault]]:
    batch, faults = maker.batch(chunk, number)
    if batch is None:
        return harvester.empty(), faults
    statistics, _ = harvester.step(batch, full_logits=False)
    return statistics, faults


def _replay(folder: HarvestFolder, samples: Sequence[Sample], watch: Watch | None) -> bool:
    """Show a watch what the folder holds, in the order of the data; whether its question is decided."""
    if watch is None:
        return False
    stored = folder.statistics()
    if stored is None:
        return False
    return watch.add(watch.question.values(stored, [s.sample_id for s in samples]))


def _context(model: nn.Module) -> int | None:
    """Longest prompt that the decoder's positions allow, if its configuration says."""
    limit = getattr(text_config(model), "max_position_embeddings", None)
    return limit if isinstance(limit, int) and limit > 0 else None


def _digest(samples: Sequence[Sample]) -> str:
    total = hashlib.sha256()
    for sample in samples:
        total.update(json.dumps([sample.sample_id, sample.question, sample.answer]).encode())
    return total.hexdigest()
