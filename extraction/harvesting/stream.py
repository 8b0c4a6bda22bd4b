"""Stream a data set through a model and keep the statistics of its layers, not its hidden states."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from typing import Any, Unpack

from torch import nn

from extraction.data.items import as_sample
from extraction.data.prompts import make_batch
from extraction.harvesting.generated import append_generated
from extraction.harvesting.harvester import Harvester
from extraction.harvesting.options import HarvestChanges, HarvestOptions
from extraction.models.adapters import Adapter, adapt
from extraction.models.adapters.base import text_config
from extraction.models.selfcheck import check_first_batch, pilot_shift
from redundancy.errors import InvalidInputError
from redundancy.statistics.harvest_statistics import HarvestStatistics

__all__ = ["harvest", "make_harvester", "ready_harvester"]

_SPECIAL_NAMES = ("bos_token_id", "eos_token_id", "pad_token_id")


def harvest(
    model: nn.Module,
    data: Iterable[Any],
    options: HarvestOptions | None = None,
    *,
    processor: Any = None,
    on_batch: Callable[[Mapping[str, Any], Any], None] | None = None,
    progress: bool | None = None,
    **changes: Unpack[HarvestChanges],
) -> HarvestStatistics:
    """Statistics of every decoder layer of a vision-language model over a data set.

    Parameters
    ----------
    model : PreTrainedModel
        In eval mode. Its logits are bit for bit what they are without a harvest.
    data : iterable
        Either model inputs: mappings of tensors with "input_ids", and optionally "sample_ids" (unique texts;
        running numbers by default), "special_mask", "vision_mask", "ignored_mask" (rows, tokens) and
        "answer_positions" (rows,).
        Or samples with image, question and answer (`Sample`, mappings, objects), which need `processor`.
    options : HarvestOptions, optional
        What to harvest and how; the defaults if there are none.
    processor : ProcessorMixin, optional
        Makes model inputs of samples.
    on_batch : callable, optional
        Gets each batch and the model's output, to score answers in the same pass.
    progress : bool, optional
        Progress bar; by default on a terminal once the run takes over two seconds.
    **changes
        Fields of `HarvestOptions`, which go before those of `options`: batch_size, prompt, name, revision,
        thresholds, pairing, answer, matrix, attention, shift, special_ids, layers_path, vision_ids, self_check.

    Returns
    -------
    HarvestStatistics
        One row per sample; merge it with those of other shards.

    Raises
    ------
    InvalidInputError
        For empty data, samples without a processor, duplicate ids, a model in training mode, an option out of range.
    UnsupportedModelError
        If layers are not found or the self-check fails; the sentence says why.

    Examples
    --------
    >>> from extraction.tiny import tiny_batch, tiny_llava
    >>> model = tiny_llava(n_layers=2)
    >>> statistics = harvest(model, [tiny_batch(model, 3)])
    >>> statistics.n_samples, statistics.mean_distance("vision").shape
    (3, (2,))
    """
    options = (options or HarvestOptions()).change(**changes)
    adapter = adapt(model, layers_path=options.layers_path, vision_ids=options.vision_ids)
    batches = _batches(data, processor, options, adapter)
    try:
        first = next(batches)
    except StopIteration:
        raise InvalidInputError("need at least one sample to harvest, got none; check the data") from None
    harvester = make_harvester(model, adapter, first, options, processor=processor)
    parts = []
    for batch in _with_progress(itertools.chain([first], batches), data, progress):
        if harvester.spec.answer_position == "generated":
            batch = append_generated(harvester, batch)
        statistics, output = harvester.step(batch, full_logits=on_batch is not None)
        parts.append(statistics)
        if on_batch is not None:
            on_batch(batch, output)
    return HarvestStatistics.merge_all(parts)


def make_harvester(
    model: nn.Module,
    adapter: Adapter,
    first: Mapping[str, Any],
    options: HarvestOptions | None = None,
    *,
    processor: Any = None,
) -> Harvester:
    """Declare a run, check the model on its first batch, and fix the means of the centred distance.

    Parameters
    ----------
    model, options, processor
        As in `harvest`.
    adapter : Adapter
        Where the layers and vision tokens are.
    first : mapping
        First batch of model inputs.

    Returns
    -------
    Harvester
    """
    options = options or HarvestOptions()
    spec = options.spec(model, adapter, answer_position="given" if "answer_positions" in first else None)
    ids = _special_ids(model, processor) if options.special_ids is None else options.special_ids
    return ready_harvester(Harvester(model, adapter, spec, special_ids=ids, shift=options.given_shift), first, options)


def ready_harvester(harvester: Harvester, first: Mapping[str, Any], options: HarvestOptions) -> Harvester:
    """Check a harvester on the first batch, and give it that batch's means if the options ask for them."""
    if options.self_check:
        check_first_batch(harvester, first)
    return harvester.with_shift(pilot_shift(harvester, first)) if isinstance(options.shift, str) else harvester


def _batches(
    data: Iterable[Any], processor: Any, options: HarvestOptions, adapter: Adapter
) -> Iterator[dict[str, Any]]:
    """Model inputs with sample ids, from inputs or from samples."""
    items = iter(data)
    position = 0
    for item in items:
        if isinstance(item, Mapping) and "input_ids" in item:
            batch = dict(item)
            n_rows = len(batch["input_ids"])
            batch.setdefault("sample_ids", [f"{i:08d}" for i in range(position, position + n_rows)])
        else:
            if processor is None:
                raise InvalidInputError("need a processor to make model inputs of samples, got none; pass processor=")
            raw = [item, *itertools.islice(items, options.batch_size - 1)]
            samples = [as_sample(one, position + i) for i, one in enumerate(raw)]
            n_rows = len(samples)
            batch = make_batch(processor, samples, vision_ids=adapter.vision_ids, prompt=options.prompt)
        position += n_rows
        yield batch


def _special_ids(model: nn.Module, processor: Any) -> tuple[int, ...]:
    """All special ids of the tokenizer, else BOS, EOS and padding of the configurations."""
    tokenizer = getattr(processor, "tokenizer", None)
    if tokenizer is not None:
        return tuple(sorted(set(tokenizer.all_special_ids)))
    found: set[int] = set()
    for config in (model.config, text_config(model), getattr(model, "generation_config", None)):
        for name in _SPECIAL_NAMES:
            value = getattr(config, name, None)
            found.update(v for v in (value if isinstance(value, (list, tuple)) else [value]) if isinstance(v, int))
    return tuple(sorted(found))


def _with_progress(
    batches: Iterable[dict[str, Any]], data: Iterable[Any], progress: bool | None
) -> Iterator[dict[str, Any]]:
    """Yield batches under a bar that counts samples."""
    from tqdm.auto import tqdm

    total = len(data) if isinstance(data, Sized) else None
    ready = isinstance(data, Sequence) and data and isinstance(data[0], Mapping) and "input_ids" in data[0]
    if ready:
        total = sum(len(batch["input_ids"]) for batch in data)
    # disable=None means: only on a terminal; delay: only once the run takes long.
    disable = None if progress is None else not progress
    with tqdm(total=total, desc="harvest", unit="sample", disable=disable, delay=2.0) as bar:
        for batch in batches:
            yield batch
            bar.update(len(batch["sample_ids"]))
