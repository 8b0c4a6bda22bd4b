"""Samples as the batches of a sweep: their units and order, prompts, right answers, and the tokens of a prompt."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from extraction.data import Sample, as_sample
from extraction.data.prompts import prompt_text
from extraction.data.scoring import Scorer, answer_token_ids, continuation_ids
from extraction.data.units import settle_units
from extraction.models.adapters import adapt
from extraction.models.identity import sample_digest
from extraction.skip import Plan, plan_batch
from redundancy.errors import InvalidInputError
from redundancy.risk import SALT
from redundancy.sampling import hash_order

__all__ = [
    "data_digest",
    "default_length",
    "in_hash_order",
    "labelled_batch",
    "prompt_counts",
    "reference_counts",
    "settled",
    "with_labels",
]

_PLAIN = Plan()
_LONGEST = 32  # tokens of an answer that count where nothing says how long answers are
_LABELS = ("special_mask", "units")  # keys of a batch that the harvest reads and a plain forward must not get


def labelled_batch(
    model: Any, processor: Any, samples: Sequence[Sample], plan: Plan = _PLAIN, *, need_answers: bool = True
) -> dict[str, Any]:
    """Model inputs with sample ids and the single token of each right answer.

    Without `need_answers`, samples may lack answers, and then none are given.

    Raises
    ------
    InvalidInputError
        If an answer is missing, or is no single token of the model.
    """
    samples = _as_samples(samples)
    unanswered = [s.sample_id for s in samples if s.answer is None]
    if unanswered and need_answers:
        raise InvalidInputError(
            f"need an answer for every sample to measure accuracy, {unanswered[0]!r} has none; add it, or ask for "
            "agreement only"
        )
    batch = plan_batch(processor, samples, plan, vision_ids=adapt(model).vision_ids)
    if need_answers:
        prompts = [prompt_text(processor, s) for s in samples]
        batch["answers"] = answer_token_ids(processor.tokenizer, [s.answer or "" for s in samples], prompts=prompts)
    return {key: value for key, value in batch.items() if key not in _LABELS}


def default_length(processor: Any, samples: Sequence[Sample]) -> int:
    """Tokens of an answer that count unless declared: those of the longest gold answer, or 32 without any."""
    golds = [answer for s in samples for answer in s.answers if answer.strip()]
    if not golds:
        return _LONGEST
    prompt = prompt_text(processor, samples[0])
    return max(1, *(len(continuation_ids(processor.tokenizer, prompt, gold)) for gold in set(golds)))


def reference_counts(model: Any, processor: Any) -> tuple[int, int]:
    """Vision and text tokens of a prompt that no data decide: a grey picture of 336 x 336 and eleven words."""
    picture = np.full((336, 336, 3), 128, dtype=np.uint8)
    question = "What is the main thing that can be seen in the picture ?"
    return prompt_counts(model, processor, [Sample("reference", picture, question)])


def settled(samples: Sequence[Any]) -> list[Sample]:
    """Samples with their units: of whatever `extraction.harvest` takes for one.

    Raises
    ------
    InvalidInputError
        If a picture cannot be read; the sentence names the sample.
    """
    known = _as_samples(samples)
    if all(s.unit for s in known):
        return known
    found, faults = settle_units(known)
    if faults:
        raise InvalidInputError(next(iter(faults.values())))
    return found


def data_digest(samples: Sequence[Sample]) -> str:
    """SHA-256 of settled samples whatever their order: what the ledger of looks knows data by."""
    return hashlib.sha256("".join(sorted(map(sample_digest, samples))).encode()).hexdigest()


def in_hash_order(samples: Sequence[Sample]) -> list[Sample]:
    """Samples in the order of the salted hashes of their units, which cannot look at what they are."""
    by_id = sorted(samples, key=lambda s: s.sample_id)
    return [by_id[k] for k in hash_order([s.unit for s in by_id], SALT)]


def with_labels(batch: dict[str, Any], processor: Any, samples: list[Sample], answered: bool) -> dict[str, Any]:
    """What the outcomes say of each sample beside the model's answer."""
    batch |= {"units": [s.unit or s.sample_id for s in samples], "families": [s.family for s in samples]}
    if answered:
        prompts = tuple(prompt_text(processor, s) for s in samples)
        batch["score"] = Scorer(processor.tokenizer, prompts, tuple(s.answers for s in samples))
    return batch


def prompt_counts(model: Any, processor: Any, samples: Sequence[Sample]) -> tuple[int, int]:
    """Mean vision and text tokens per prompt, rounded: what costs are predicted from."""
    ids = torch.tensor(adapt(model).vision_ids)
    n_vision = n_valid = 0
    for i in range(0, len(samples), 32):
        batch = labelled_batch(model, processor, samples[i : i + 32], need_answers=False)
        valid = batch["attention_mask"].bool()
        n_vision += int((torch.isin(batch["input_ids"], ids) & valid).sum())
        n_valid += int(valid.sum())
    return round(n_vision / len(samples)), round((n_valid - n_vision) / len(samples))


def _as_samples(samples: Sequence[Any]) -> list[Sample]:
    """Samples of whatever `extraction.harvest` takes for one: also mappings and the embedded model's questions."""
    return [as_sample(sample, position) for position, sample in enumerate(samples)]
