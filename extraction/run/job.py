"""A harvest cut into batches: what decides its result, and the work of one batch, which any process may do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Unpack

from torch import nn

from extraction.data import Sample, as_sample, batches_by_length, settle_units
from extraction.harvesting.generated import append_generated
from extraction.harvesting.harvester import Harvester
from extraction.harvesting.options import HarvestChanges, HarvestOptions, Shift, model_name
from extraction.harvesting.stream import make_harvester
from extraction.models.adapters import adapt
from extraction.models.adapters.base import text_config
from extraction.models.device import dtype_name, fingerprint
from extraction.models.identity import RunIdentity
from extraction.run.batches import BatchMaker
from extraction.run.buffers import BatchBuffer, StoreOptions, StorePlan
from extraction.run.folder import Fault
from extraction.store.choice import in_part
from extraction.store.pick import choose_rows, watch_states
from redundancy.checks import check_count
from redundancy.errors import InvalidInputError
from redundancy.sampling import DEFAULT_SALT, hash_order, order_text
from redundancy.statistics.harvest_statistics import HarvestStatistics

__all__ = ["HarvestJob", "JobOptions", "Plan"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The work list of a harvest; plain data, equal in every process that takes part.

    Attributes
    ----------
    run : dict
        What decides the result, for ``run.json``.
    batches : tuple of tuple of str
        Sample ids of every batch, in the order of the bets.
    units : tuple of tuple of str
        Unit of each of them.
    n_layers : int
    has_vision : bool
        Whether the model has vision tokens in its stream.
    store : StorePlan or None
        Activations that are stored beside.
    """

    run: dict[str, Any]
    batches: tuple[tuple[str, ...], ...]
    units: tuple[tuple[str, ...], ...]
    n_layers: int
    has_vision: bool = True
    store: StorePlan | None = None

    @property
    def n_samples(self) -> int:
        """Samples of all batches."""
        return sum(len(batch) for batch in self.batches)


class JobOptions(HarvestChanges, total=False):
    """What a job takes besides model, samples and processor, as keyword arguments."""

    options: HarvestOptions | None
    shard: tuple[int, int]
    batch_by_length: bool
    store: StoreOptions | None


class HarvestJob:
    """A model and its samples as numbered batches: ``work(k)`` depends on nothing but the plan and k.

    Parameters
    ----------
    model, options, processor, **changes
        As in `extraction.harvest`.
    samples, shard, batch_by_length, store
        As in `harvest_to`.

    Raises
    ------
    InvalidInputError
        For a shard out of range or without samples, or ids that occur twice.
    """

    def __init__(
        self,
        model: nn.Module,
        samples: Sequence[Sample],
        options: HarvestOptions | None = None,
        *,
        processor: Any,
        shard: tuple[int, int] = (0, 1),
        batch_by_length: bool = False,
        store: StoreOptions | None = None,
        **changes: Unpack[HarvestChanges],
    ) -> None:
        options = (options or HarvestOptions()).change(**changes)
        part, n_parts = shard
        check_count(n_parts, "the number of shards", lower=1)
        check_count(part, "the shard", upper=n_parts - 1)
        samples = [as_sample(sample, position) for position, sample in enumerate(samples)]
        self._model, self._processor = model, processor
        self._adapter = adapt(model, layers_path=options.layers_path, vision_ids=options.vision_ids)
        twice = [name for name, n in Counter(s.sample_id for s in samples).items() if n > 1]
        if twice:
            raise InvalidInputError(f"need unique sample ids, {twice[0]!r} occurs more than once; rename the samples")
        samples, _ = settle_units(samples)  # what cannot be read becomes a fault of its batch
        self._samples = samples
        mine = [s for s in samples if in_part(s.sample_id, shard)]
        if not mine:
            raise InvalidInputError(
                f"need samples in shard {part} of {n_parts}, it has none of {len(samples)}; use fewer"
            )
        mine = [mine[i] for i in hash_order([s.unit for s in mine], DEFAULT_SALT)]
        self._chunks = _chunks(mine, options.batch_size, by_length=batch_by_length)
        name, revision = options.name or model_name(model), options.revision or fingerprint(model)
        self._options = options = options.change(name=name, revision=revision)
        self._maker = BatchMaker(processor, self._adapter, options.prompt, _context(model))
        self._harvester: Harvester | None = None
        self._store = None
        if store is not None:
            self._store = StorePlan.of(store, model, self._adapter, name=name, revision=revision, part=(part, n_parts))
        run = {
            "model": name,
            "revision": revision,
            "dtype": dtype_name(model),
            "shard": [part, n_parts],
            "batch_size": options.batch_size,
            "thresholds": list(options.thresholds),
            "pairing": options.pairing,
            "matrix": options.matrix,
            "attention": options.attention,
            "prompt": options.prompt,
            "order": order_text(DEFAULT_SALT),
            "identity": RunIdentity.of(model, processor, samples, name=name, prompt=options.prompt).to_dict(),
        }
        run |= {"answer": options.answer} if options.answer != "last_prompt" else {}
        places = {name: getattr(options, name) for name in ("layers_path", "special_ids", "vision_ids")}
        run |= {name: value for name, value in places.items() if value is not None}
        run |= {"batching": "by length"} if batch_by_length else {}
        run |= {"store": self._store.spec} if self._store is not None else {}
        self.plan = Plan(
            run=run,
            batches=tuple(tuple(s.sample_id for s in chunk) for chunk in self._chunks),
            units=tuple(tuple(s.unit for s in chunk) for chunk in self._chunks),
            n_layers=self._adapter.n_layers,
            has_vision=bool(self._adapter.vision_ids),
            store=self._store,
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
        for i in range(0, len(self._samples), self._options.batch_size):
            # In the order of the data, however they are batched, so that shards and other batchings merge.
            for chunk in _by_kind(self._samples[i : i + self._options.batch_size]):
                good = self._maker.good(chunk, 0)[0] if first is None else []
                first = self._maker.whole(good) if good else first
            if first is not None:
                break
        if first is None:
            _, faults = self._maker.good(self._samples[:1], 0)
            raise InvalidInputError(f"need samples that can be harvested, all failed, the first so: {faults[0].reason}")
        options = self._options if shift is None else self._options.change(shift=shift)
        self._harvester = make_harvester(self._model, self._adapter, first, options, processor=self._processor)
        return self._harvester.empty()

    def empty(self) -> HarvestStatistics:
        """Statistics of no sample, with the means that were fixed."""
        if self._harvester is None:
            raise RuntimeError("need prepare() before empty()")
        return self._harvester.empty()

    def work(self, k: int) -> tuple[HarvestStatistics, list[Fault]]:
        """Statistics of batch k, and the samples of it that failed; the same whenever and wherever it is done.

        With a store, the buffer of this batch is on disk when this returns.
        """
        buffer = None if self._store is None else BatchBuffer(self._store)
        statistics, faults = self._tried(self._chunks[k], k, buffer)
        if buffer is not None:
            buffer.save(k, faults)
        return statistics, faults

    def _tried(
        self, samples: Sequence[Sample], k: int, buffer: BatchBuffer | None
    ) -> tuple[HarvestStatistics, list[Fault]]:
        """All at once; if one is at fault all others at once; if the model refuses these, one by one."""
        # The exceptions are those of a sample that does not fit, not of a device that fails.
        with suppress(ValueError, LookupError):
            return self._step(samples, buffer), []
        good, faults = self._maker.good(samples, k)
        if not good:
            return self.empty(), faults
        with suppress(ValueError, LookupError):
            return self._step(good, buffer), faults
        done = [self.empty()]
        for sample in good:
            try:
                done.append(self._step([sample], buffer))
            except (ValueError, LookupError) as error:
                what = str(error).strip().partition("\n")[0]
                reason = f"need a sample that the model takes, it gives: {what}; mend or drop it"
                faults.append(Fault(k, sample.sample_id, reason, "model"))
        return HarvestStatistics.merge_all(done), faults

    def _step(self, samples: Sequence[Sample], buffer: BatchBuffer | None) -> HarvestStatistics:
        """One forward pass for statistics and store alike."""
        if self._harvester is None:
            raise RuntimeError("need prepare() before work()")
        batch = self._maker.whole(samples)
        if self._harvester.spec.answer_position == "generated":
            batch = append_generated(self._harvester, batch)
        if buffer is None or self._store is None:
            return self._harvester.step(batch, full_logits=False)[0]
        picks = choose_rows(self._harvester, batch, self._store.spec)
        with watch_states(self._adapter, picks):
            statistics, _ = self._harvester.step(batch, full_logits=False)
        records = {s.sample_id: {"answer": s.answer or "", "family": s.family} for s in samples}
        buffer.add(batch["sample_ids"], picks, records)
        return statistics


def _chunks(samples: Sequence[Sample], batch_size: int, *, by_length: bool) -> list[list[Sample]]:
    """Batches in the order of the bets or of like length, each of images or of videos alone."""
    if by_length:
        cut = list(batches_by_length(samples, batch_size))
    else:
        cut = [list(samples[i : i + batch_size]) for i in range(0, len(samples), batch_size)]
    return [part for chunk in cut for part in _by_kind(chunk)]


def _by_kind(samples: Sequence[Sample]) -> list[list[Sample]]:
    """Samples with images, with videos, with both: processors take one kind in a call."""
    kinds: dict[tuple[bool, bool], list[Sample]] = {}
    for sample in samples:
        kinds.setdefault((sample.n_images > 0, sample.video is not None), []).append(sample)
    return list(kinds.values())


def _context(model: nn.Module) -> int | None:
    """Longest prompt that the decoder's positions allow, if its configuration says."""
    limit = getattr(text_config(model), "max_position_embeddings", None)
    return limit if isinstance(limit, int) and limit > 0 else None
