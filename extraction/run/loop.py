"""The loop of a long harvest: shards, faults of single samples, resume, and stopping as soon as it is decided."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Unpack

from torch import nn
from tqdm.auto import tqdm

from extraction.data import Sample
from extraction.harvesting.options import HarvestChanges, HarvestOptions
from extraction.run.buffers import BufferedStore, StoreOptions
from extraction.run.folder import Fault, HarvestFolder
from extraction.run.job import HarvestJob, Plan
from extraction.run.question import Question, Watch
from redundancy.checks import check_real
from redundancy.errors import InvalidInputError
from redundancy.files.writing import write_text
from redundancy.statistics.harvest_statistics import HarvestStatistics

__all__ = ["Finished", "HarvestRun", "Source", "collect", "harvest_to"]

Finished = tuple[HarvestStatistics, Sequence[Fault]]
Source = Callable[[int, HarvestFolder], Generator[Finished, None, None]]
_LOG = logging.getLogger("skip_it.harvest")
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

    def non_finite(self) -> dict[str, Any] | None:
        """What states with NaN or infinity cost: samples, tokens and the first layer with such; None if none."""
        tokens = self.statistics.token_counts("all")[:, None] - self.statistics.pair_counts("all")
        if not tokens.any():
            return None
        return {
            "samples": int(tokens.any(axis=1).sum()),
            "tokens": int(tokens.sum(axis=0).max()),
            "first_layer": int(tokens.any(axis=0).argmax()) + 1,
        }


def harvest_to(
    model: nn.Module,
    samples: Sequence[Sample],
    out: str | os.PathLike[str],
    options: HarvestOptions | None = None,
    *,
    processor: Any,
    shard: tuple[int, int] = (0, 1),
    resume: bool = False,
    until: Question | str | None = None,
    confidence_level: float = 0.95,
    batch_by_length: bool = False,
    store: StoreOptions | None = None,
    announce: Callable[[str], object] = _LOG.info,
    progress: bool | None = None,
    **changes: Unpack[HarvestChanges],
) -> HarvestRun:
    """Harvest samples into a folder, batch by batch; run it again with `resume` after an interruption.

    A sample whose image or question cannot be read, or whose prompt is longer than the model's context, is left
    out and recorded; it never stops the run, and the summary counts it. The result is written to
    ``statistics.safetensors``, the summary to ``summary.json``.

    What decides the statistics is in `options`. More than eight parameters: the others say which part of the data this
    run does, when it ends and what it shows, which differs between runs whose statistics are to be merged.

    Parameters
    ----------
    model, options, processor, **changes
        As in `extraction.harvest`.
    samples : sequence of Sample
        The whole data set, also of a shard: the means of the centred distance come from its first batch, so
        that the shards' statistics merge.
    out : path-like
        Folder of the run; new, or with `resume` that of the same run.
    shard : (int, int), default=(0, 1)
        (i, n): only the samples of part i of n, by a hash of their ids.
    resume : bool, default=False
    until : Question or str, optional
        Stop when a confidence sequence has decided it. Samples are harvested in ascending order of a salted hash of
        their unit, whatever the order of the data, and one bet is placed on the mean of each unit.
    confidence_level : float, default=0.95
        Of that decision, whenever it comes. Bounds for a fixed number of images (`ProfileCertificate`) do not
        hold for a harvest that was stopped by looking: finish it first.
    batch_by_length : bool, default=False
        Batches of questions of like length, for less padding; not with `until`, which has an order of its own.
    store : StoreOptions, optional
        Also store a sub-sample of the activations, in the same forward passes.
    announce : callable
        Gets the disk need of the store before anything is made; a logger by default.
    progress : bool, optional
        Show a bar; only on a terminal by default.

    Returns
    -------
    HarvestRun

    Raises
    ------
    InvalidInputError
        For an unusable folder, a shard without samples, or if no sample could be harvested.
    """
    job = HarvestJob(
        model,
        samples,
        options,
        processor=processor,
        shard=shard,
        batch_by_length=batch_by_length,
        store=store,
        **changes,
    )

    def batches(start: int, folder: HarvestFolder) -> Generator[Finished, None, None]:
        job.prepare(folder.shift())
        for k in range(start, len(job.plan.batches)):
            yield job.work(k)

    return collect(
        job.plan,
        batches,
        out,
        resume=resume,
        until=until,
        confidence_level=confidence_level,
        announce=announce,
        progress=progress,
    )


def collect(
    plan: Plan,
    batches: Source,
    out: str | os.PathLike[str],
    *,
    resume: bool = False,
    until: Question | str | None = None,
    confidence_level: float = 0.95,
    announce: Callable[[str], object] = _LOG.info,
    progress: bool | None = None,
) -> HarvestRun:
    """Take the batches of a plan into its folder in order, whoever made them, and finish it.

    Parameters
    ----------
    plan : Plan
    batches : callable
        ``batches(start, folder)`` gives statistics and faults of batch `start` and those after it, in order; it is
        closed when the question is decided.
    out, resume, until, confidence_level, announce, progress
        As in `harvest_to`.

    Raises
    ------
    InvalidInputError
        For an unusable folder or question, or if no sample could be harvested.
    """
    check_real(confidence_level, "confidence_level", lower=0.0, upper=1.0, open_ends=True)
    question = Question.parse(until) if isinstance(until, str) else until
    if question is not None:
        question.check(n_layers=plan.n_layers, groups=_GROUPS, thresholds=tuple(plan.run["thresholds"]))
        if question.group == "vision" and not plan.has_vision:
            raise InvalidInputError(
                f"need a model with vision tokens in its stream for {str(question)!r}, this has none; ask about text"
            )
        if "batching" in plan.run:
            raise InvalidInputError(
                "need the order of the bets for a question (until), batches by length have another; drop one of the two"
            )
    if plan.store is not None:
        announce(plan.store.announce(plan.n_samples))
    with HarvestFolder(out, plan.run, resume=resume) as folder:
        watch = None if question is None else Watch(question, confidence_level=confidence_level)
        start = folder.n_batches
        done = _replay(folder, plan, watch)
        buffered = None if plan.store is None else BufferedStore(plan.store, plan.batches[:start])
        if start < len(plan.batches) and not done:
            bar = tqdm(
                total=plan.n_samples,
                initial=sum(len(batch) for batch in plan.batches[:start]),
                desc="harvest",
                unit="sample",
                disable=None if progress is None else not progress,
            )
            with bar, closing(batches(start, folder)) as source:
                for k, (statistics, faults) in enumerate(source, start=start):
                    ids = plan.batches[k]
                    folder.add(statistics, faults)
                    if buffered is not None:
                        buffered.take(k)
                    bar.update(len(ids))
                    if watch is not None:
                        values = watch.question.values(statistics, ids, plan.units[k])
                        if watch.add(*values, is_last=k + 1 == len(plan.batches)):
                            break
        if buffered is not None:
            buffered.finish()
        failed = tuple(folder.faults())
        is_early = watch is not None and folder.n_batches < len(plan.batches)
        merged = folder.finish(stopped_by=(str(question),) if is_early else ())
        if not merged.n_samples:
            raise InvalidInputError(f"need samples that can be harvested, all failed, the first so: {failed[0].reason}")
        result = HarvestRun(
            statistics=merged,
            faults=failed,
            n_left=plan.n_samples - merged.n_samples - len(failed),
            decision=None if watch is None else watch.to_dict(),
        )
        summary = {
            "n_samples": merged.n_samples,
            "n_faults": len(failed),
            "faults_by_cause": merged.provenance.causes(),
            "n_left": result.n_left,
            "non_finite": result.non_finite(),
            "store": None if plan.store is None else plan.store.path,
            "decision": result.decision,
            "confidence_level": None if watch is None else confidence_level,
            "digest": merged.digest(),
        }
        write_text(Path(out) / "summary.json", json.dumps(summary, indent=1))
        return result


def _replay(folder: HarvestFolder, plan: Plan, watch: Watch | None) -> bool:
    """Show a watch what the folder holds, in the order of the bets; whether its question is decided."""
    stored = None if watch is None else folder.statistics()
    if watch is None or stored is None:
        return False
    ids, units = ([name for batch in names for name in batch] for names in (plan.batches, plan.units))
    return watch.add(*watch.question.values(stored, ids, units), is_last=folder.n_batches == len(plan.batches))
