"""Harvest activations into a store: the chosen tokens of every sample, at every depth, in one forward pass each."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from estimators.store import MANIFESTS, ActivationStore, read_manifest
from extraction.data.items import as_sample
from extraction.data.prompts import make_batch, render_prompt
from extraction.data.scoring import answer_token_ids
from extraction.harvesting.harvester import Harvester
from extraction.models.adapters import adapt
from extraction.models.adapters.base import text_config
from extraction.models.device import dtype_name
from extraction.store.choice import in_part
from extraction.store.pick import choose_rows, watch_states
from extraction.store.writer import ActivationWriter, check_disk, disk_need, make_spec
from redundancy.checks import check_count
from redundancy.errors import InvalidInputError, StoreError
from redundancy.statistics.harvest_statistics import StatisticsSpec, default_edges

__all__ = ["harvest_activations"]

_LOG = logging.getLogger("skip_it.store")


def harvest_activations(
    model: nn.Module,
    data: Iterable[Any],
    out: str | os.PathLike[str],
    *,
    processor: Any = None,
    groups: tuple[str, ...] = ("vision",),
    tokens_per_group: int = 16,
    depths: Sequence[int] | None = None,
    dtype: str = "float32",
    seed: int = 0,
    answer_tokens: Sequence[str] | None = None,
    special_ids: tuple[int, ...] | None = None,
    batch_size: int = 8,
    prompt: str | None = None,
    part: tuple[int, int] = (0, 1),
    name: str | None = None,
    revision: str = "",
    shard_bytes: int = 1 << 27,
    announce: Callable[[str], object] = _LOG.info,
    progress: bool | None = None,
) -> ActivationStore:
    """Store a sub-sample of activations; run it again to resume, or with more data to append.

    More than eight parameters: each decides what the store holds, and its declaration records it.

    Parameters
    ----------
    model : PreTrainedModel
        In eval mode.
    data : iterable
        Samples with image, question and answer, which need `processor`; or model inputs with "input_ids" and
        "sample_ids" (see `extraction.harvesting.stream.harvest`).
    out : path-like
        Folder of the store.
    processor : ProcessorMixin, optional
    groups : tuple of str
        Token groups to store, out of "vision", "words", "sink", "special".
    tokens_per_group : int, default=16
        Tokens of each group of a sample, chosen by a hash of seed, sample id and position: the same at every
        depth, in every run, for any batch size, order or part.
    depths : sequence of int, optional
        Depths d in 0..L; all by default. h_0 is the input of the first layer, h_d the output of layer d.
    dtype : {"float32", "float16"}
        bfloat16 states fit float32 exactly. float16 loses the distance of close layers (2 % at 0.003).
    seed : int, default=0
    answer_tokens : sequence of str, optional
        Single-token answers; stores the model's distribution over them at the answer position, renormalised.
    special_ids : tuple of int, optional
        Ids of special tokens; those of the processor's tokenizer by default.
    batch_size : int, default=8
    prompt : str, optional
    part : (int, int), default=(0, 1)
        Part i of n of the samples, by a hash of their ids, for runs side by side into one store.
    name, revision : str, optional
        Recorded; the model's own path by default.
    shard_bytes : int
        Size of a shard; a kill loses at most one.
    announce : callable
        Gets the disk need before anything is written; a logger by default.
    progress : bool, optional
        Progress bar; by default on a terminal once the run takes over two seconds.

    Returns
    -------
    ActivationStore

    Raises
    ------
    StoreError
        If the disk is too small, or the folder holds another store.
    InvalidInputError
        If no sample could be stored; a sample that cannot be read, has no token of the groups or gives states that
        are not finite is recorded under `faults` and does not stop the run.

    Examples
    --------
    >>> import tempfile
    >>> from extraction.tiny import tiny_batch, tiny_llava
    >>> model = tiny_llava(n_layers=2)
    >>> batch = tiny_batch(model, 3) | {"sample_ids": ["a", "b", "c"]}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store = harvest_activations(model, [batch], folder, tokens_per_group=2)
    ...     store.layer(2)[:].shape[0]
    6
    """
    adapter = adapt(model)
    width = check_count(getattr(text_config(model), "hidden_size", None), "hidden_size of the configuration", lower=1)
    chosen_depths = tuple(range(adapter.n_layers + 1)) if depths is None else tuple(int(d) for d in depths)
    if answer_tokens is not None and processor is None:
        raise InvalidInputError("need a processor to find answer tokens, got none; pass processor=")
    answer_ids = None
    if answer_tokens is not None:
        prompts = [render_prompt(processor, "?", prompt)] * len(answer_tokens)  # all prompts end alike
        answer_ids = answer_token_ids(processor.tokenizer, list(answer_tokens), prompts=prompts)
    spec = make_spec(
        model=name or str(getattr(model.config, "name_or_path", "") or type(model).__name__),
        model_type=adapter.model_type,
        n_layers=adapter.n_layers,
        n_features=width,
        depths=chosen_depths,
        groups=groups,
        tokens_per_group=tokens_per_group,
        seed=seed,
        dtype=dtype,
        revision=revision,
        answers=tuple(answer_tokens or ()),
    )
    if special_ids is None:
        special_ids = () if processor is None else tuple(sorted(set(processor.tokenizer.all_special_ids)))
    harvester = Harvester(model, adapter, _statistics_spec(model, adapter), special_ids=special_ids)
    if isinstance(data, Sized):
        share = 1.0 / check_count(part[1], "number of parts", lower=1)
        announce(check_disk(Path(out), disk_need(spec, int(np.ceil(share * _n_samples(data))))))
    else:
        announce(f"the store needs {disk_need(spec, 1000)} bytes at most for each 1000 samples")
    with ActivationWriter(out, spec, part=part, shard_bytes=shard_bytes) as writer:
        for batch, records in _progressing(
            _batches(data, processor, batch_size, prompt, adapter.vision_ids, part, writer), data, progress
        ):
            _step(harvester, batch, records, writer, answer_ids)
    try:
        return ActivationStore(out, verify=False)
    except StoreError as error:
        faults = "; ".join(f"{key}: {why}" for key, why in list(_faults(Path(out)).items())[:3])
        raise InvalidInputError(f"need at least one sample that can be stored, got none; {faults or error}") from None


def _step(
    harvester: Harvester,
    batch: Mapping[str, Any],
    records: Sequence[Mapping[str, str]],
    writer: ActivationWriter,
    answer_ids: Any,
) -> None:
    """One forward pass; what it leaves for each row goes to the writer."""
    spec = writer.spec
    picks = choose_rows(harvester, batch, spec)
    with torch.inference_mode(), watch_states(harvester.adapter, picks):
        output = harvester.call(harvester.model_inputs(batch, full_logits=True))
    states = picks.states()
    answers = None if answer_ids is None else _answers(output, harvester.groups(batch).answer, answer_ids)
    for i, (sample_id, rows) in enumerate(zip(batch["sample_ids"], picks.rows, strict=True)):
        if not len(rows):
            writer.fault(sample_id, f"no tokens of the groups {', '.join(spec['groups'])}")
            continue
        writer.add(
            sample_id,
            states[:, i, : len(rows)],
            token_index=rows,
            groups=picks.groups[i],
            record=records[i],
            answers=None if answers is None else answers[i],
        )


def _answers(output: Any, position: torch.Tensor, answer_ids: Any) -> npt.NDArray[np.float64]:
    """Distribution over the answer tokens at the answer position of each row."""
    logits = output.logits
    rows = torch.arange(len(logits), device=logits.device)
    ids = torch.as_tensor(answer_ids, device=logits.device)
    scores = logits[rows, position.to(logits.device)][:, ids].double()
    return np.asarray(scores.softmax(dim=-1).cpu().numpy())


def _batches(
    data: Iterable[Any],
    processor: Any,
    batch_size: int,
    prompt: str | None,
    vision_ids: Any,
    part: tuple[int, int],
    writer: ActivationWriter,
) -> Iterator[tuple[dict[str, Any], list[dict[str, str]]]]:
    """Model inputs of samples that are not in the store yet, with what is to be kept beside their states."""
    seen: set[str] = set()

    def wanted(sample_id: str) -> bool:
        if sample_id in seen:
            raise InvalidInputError(f"need unique sample ids, the data have {sample_id!r} twice; rename one")
        seen.add(sample_id)
        return sample_id not in writer.done and in_part(sample_id, part)

    pending: list[Any] = []
    for position, item in enumerate(data):
        if isinstance(item, Mapping) and "input_ids" in item:
            yield from _ready_batch(item, wanted)
            continue
        if processor is None:
            raise InvalidInputError("need a processor to make model inputs of samples, got none; pass processor=")
        sample = as_sample(item, position)
        if wanted(sample.sample_id):
            pending.append(sample)
        if len(pending) == batch_size:
            yield from _made(processor, pending, vision_ids, prompt, writer)
            pending = []
    if pending:
        yield from _made(processor, pending, vision_ids, prompt, writer)


def _ready_batch(
    item: Mapping[str, Any], wanted: Callable[[str], bool]
) -> Iterator[tuple[dict[str, Any], list[dict[str, str]]]]:
    if "sample_ids" not in item:
        raise InvalidInputError("need sample_ids in every batch, the choice of tokens and resuming rest on them")
    ids = [str(name) for name in item["sample_ids"]]
    keep = [i for i, name in enumerate(ids) if wanted(name)]
    if not keep:
        return
    batch = {
        key: value[keep] if isinstance(value, torch.Tensor) and len(value) == len(ids) else value
        for key, value in item.items()
        if key not in ("sample_ids", "records")
    }
    records = list(item.get("records", [{}] * len(ids)))
    yield batch | {"sample_ids": [ids[i] for i in keep]}, [records[i] for i in keep]


def _made(
    processor: Any, samples: Sequence[Any], vision_ids: Any, prompt: str | None, writer: ActivationWriter
) -> Iterator[tuple[dict[str, Any], list[dict[str, str]]]]:
    """A batch; if one sample is at fault, the others one by one."""
    try:
        batch = make_batch(processor, samples, vision_ids=vision_ids, prompt=prompt)
    except InvalidInputError as error:
        if len(samples) == 1:
            writer.fault(samples[0].sample_id, str(error))
            return
        for sample in samples:
            yield from _made(processor, [sample], vision_ids, prompt, writer)
        return
    yield batch, [{"answer": s.answer or "", "family": s.family} for s in samples]


def _n_samples(data: Sized) -> int:
    if isinstance(data, Sequence) and data and isinstance(data[0], Mapping) and "input_ids" in data[0]:
        return sum(len(batch["input_ids"]) for batch in data)
    return len(data)


def _progressing(batches: Iterable[Any], data: Iterable[Any], progress: bool | None) -> Iterator[Any]:
    from tqdm.auto import tqdm

    total = _n_samples(data) if isinstance(data, Sized) else None
    disable = None if progress is None else not progress
    with tqdm(total=total, desc="store", unit="sample", disable=disable, delay=2.0) as bar:
        for item in batches:
            yield item
            bar.update(len(item[1]))


def _statistics_spec(model: nn.Module, adapter: Any) -> StatisticsSpec:
    """What the harvester needs to tell tokens apart; no statistics are taken."""
    return StatisticsSpec(
        model="",
        model_type=adapter.model_type,
        n_layers=adapter.n_layers,
        n_heads=adapter.n_heads,
        edges=default_edges((0.05,)),
        dtype=dtype_name(model),
        has_matrix=False,
        has_attention=False,
    )


def _faults(path: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for manifest in sorted(path.glob(MANIFESTS)):
        for entry in read_manifest(manifest)[0]:
            found.update(entry["faults"])
    return found
