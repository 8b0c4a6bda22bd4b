"""Stream a data set through a model and keep the statistics of its layers, not its hidden states."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from typing import Any

from torch import nn

from extraction.data.items import as_sample
from extraction.data.prompts import make_batch
from extraction.harvesting.generated import append_generated
from extraction.harvesting.harvester import Harvester, Shift
from extraction.models.adapters import Adapter, adapt
from extraction.models.adapters.base import text_config
from extraction.models.device import dtype_name
from extraction.models.selfcheck import check_first_batch, pilot_shift
from redundancy.errors import InvalidInputError
from redundancy.statistics.harvest_statistics import HarvestStatistics, StatisticsSpec, default_edges

__all__ = ["harvest", "make_harvester"]

_SPECIAL_NAMES = ("bos_token_id", "eos_token_id", "pad_token_id")


def harvest(
    model: nn.Module,
    data: Iterable[Any],
    *,
    processor: Any = None,
    batch_size: int = 8,
    prompt: str | None = None,
    name: str | None = None,
    revision: str = "",
    thresholds: tuple[float, ...] = (0.05,),
    pairing: str = "io",
    answer: str = "last_prompt",
    matrix: bool = True,
    attention: bool = True,
    shift: str | Shift | None = "pilot",
    special_ids: tuple[int, ...] | None = None,
    layers_path: str | None = None,
    vision_ids: tuple[int, ...] | None = None,
    self_check: bool = True,
    on_batch: Callable[[Mapping[str, Any], Any], None] | None = None,
    progress: bool | None = None,
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
    processor : ProcessorMixin, optional
        Makes model inputs of samples.
    batch_size : int, default=8
        Samples per batch; batches that come ready keep their size.
    prompt : str, optional
        Prompt template for samples, as in `extraction.data.render_prompt`.
    name, revision : str, optional
        Recorded in the statistics; the model's own path by default.
    thresholds : tuple of float
        Values t of the per-sample tails; each becomes a histogram edge.
    pairing : {"io", "hf"}
        "io": a layer's own input and output. "hf": adjacent ``hidden_states``, the last after the final norm.
    answer : {"last_prompt", "generated"}
        The query of the answer's attention mass: the last prompt position, or the token that the model answers
        with (one more forward pass; the token itself is in no group). "answer_positions" of a batch go before.
    matrix, attention : bool
        Whether to harvest the depth matrix (keeps the states of the batch at hand) and the attention masses.
    shift : "pilot", array or None
        Means for the centred distance: of the first batch, or given as ``statistics.shift`` of an earlier
        harvest (statistics merge only if their shifts are equal), or no centred distance.
    special_ids : tuple of int, optional
        Ids of special tokens; those of the tokenizer or configuration by default.
    layers_path : str, optional
        Path of the decoder layers where the recipe misses them.
    vision_ids : tuple of int, optional
        Placeholder ids of vision tokens, likewise.
    self_check : bool, default=True
        Compare what is seen in the first batch with the model's own ``output_hidden_states``.
    on_batch : callable, optional
        Gets each batch and the model's output, to score answers in the same pass.
    progress : bool, optional
        Progress bar; by default on a terminal once the run takes over two seconds.

    Returns
    -------
    HarvestStatistics
        One row per sample; merge it with those of other shards.

    Raises
    ------
    InvalidInputError
        For empty data, samples without a processor, duplicate ids, a model in training mode.
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
    adapter = adapt(model, layers_path=layers_path, vision_ids=vision_ids)
    batches = _batches(data, processor, batch_size, prompt, adapter)
    try:
        first = next(batches)
    except StopIteration:
        raise InvalidInputError("need at least one sample to harvest, got none; check the data") from None
    harvester = make_harvester(
        model,
        adapter,
        first,
        processor=processor,
        name=name,
        revision=revision,
        thresholds=thresholds,
        pairing=pairing,
        answer=answer,
        matrix=matrix,
        attention=attention,
        shift=shift,
        special_ids=special_ids,
        self_check=self_check,
    )
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
    *,
    processor: Any = None,
    name: str | None = None,
    revision: str = "",
    thresholds: tuple[float, ...] = (0.05,),
    pairing: str = "io",
    answer: str = "last_prompt",
    matrix: bool = True,
    attention: bool = True,
    shift: str | Shift | None = "pilot",
    special_ids: tuple[int, ...] | None = None,
    self_check: bool = True,
) -> Harvester:
    """Declare a run, check the model on its first batch, and fix the means of the centred distance.

    Parameters
    ----------
    model, processor, name, revision, thresholds, pairing, answer, matrix, attention, shift, special_ids, self_check
        As in `harvest`.
    adapter : Adapter
        Where the layers and vision tokens are.
    first : mapping
        First batch of model inputs.

    Returns
    -------
    Harvester

    Raises
    ------
    InvalidInputError
        For a `shift` of another kind.
    """
    spec = StatisticsSpec(
        model=name or str(getattr(model.config, "name_or_path", "") or type(model).__name__),
        model_type=adapter.model_type,
        n_layers=adapter.n_layers,
        n_heads=adapter.n_heads,
        edges=default_edges(thresholds),
        thresholds=thresholds,
        pairing=pairing,
        answer_position="given" if "answer_positions" in first else answer,
        dtype=dtype_name(model),
        revision=revision,
        has_matrix=matrix,
        has_attention=attention,
    )
    ids = _special_ids(model, processor) if special_ids is None else special_ids
    if isinstance(shift, str) and shift != "pilot":
        raise InvalidInputError(f'need shift as "pilot", an array of means or None, got {shift!r}')
    harvester = Harvester(model, adapter, spec, special_ids=ids, shift=None if isinstance(shift, str) else shift)
    if self_check:
        check_first_batch(harvester, first)
    if isinstance(shift, str):
        harvester = Harvester(model, adapter, spec, special_ids=ids, shift=pilot_shift(harvester, first))
    return harvester


def _batches(
    data: Iterable[Any], processor: Any, batch_size: int, prompt: str | None, adapter: Adapter
) -> Iterator[dict[str, Any]]:
    """Model inputs with sample ids, from inputs or from samples."""
    if batch_size < 1:
        raise InvalidInputError(f"need batch_size >= 1, got {batch_size}")
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
            raw = [item, *itertools.islice(items, batch_size - 1)]
            samples = [as_sample(one, position + i) for i, one in enumerate(raw)]
            n_rows = len(samples)
            batch = make_batch(processor, samples, vision_ids=adapter.vision_ids, prompt=prompt)
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
