"""A model made ready to be harvested batch by batch."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from extraction.harvesting.accumulate import BatchAccumulator
from extraction.harvesting.attention import tap_attention
from extraction.harvesting.options import Shift
from extraction.harvesting.tokens import TokenGroups, token_groups
from extraction.harvesting.watch import watch_layers
from extraction.models.adapters import Adapter
from extraction.models.device import check_float64, input_device, model_dtype, to_device
from extraction.skip.engine.calls import own_alone
from redundancy.errors import InvalidInputError
from redundancy.statistics.harvest_statistics import HarvestStatistics, StatisticsSpec

__all__ = ["Harvester"]

# Keys of a batch that the harvest reads; the model never gets them.
_OWN_KEYS = ("sample_ids", "units", "special_mask", "vision_mask", "ignored_mask", "answer_positions")


class Harvester:
    """A model made ready to be harvested batch by batch; `harvest` is the loop around it.

    Parameters
    ----------
    model : PreTrainedModel
        In eval mode, on any device or devices.
    adapter : Adapter
        Where its layers and vision tokens are.
    spec : StatisticsSpec
        Declaration of the run.
    special_ids : tuple of int
        Ids of special tokens.
    shift : array of shape (groups, L+1, d), optional
        Means for the centred distance.
    """

    def __init__(
        self,
        model: nn.Module,
        adapter: Adapter,
        spec: StatisticsSpec,
        *,
        special_ids: tuple[int, ...] = (),
        shift: Shift | None = None,
    ) -> None:
        if model.training:
            raise InvalidInputError(
                "need a model in eval mode, dropout would be part of every distance; call model.eval()"
            )
        self.model, self.adapter, self.special_ids = model, adapter, special_ids
        self.device = input_device(model)
        check_float64(self.device)
        digest = ""
        if shift is not None:
            shift = np.ascontiguousarray(shift, dtype=np.float32)
            expected = (len(spec.groups), spec.n_layers + 1)
            if shift.ndim != 3 or shift.shape[:2] != expected:
                raise InvalidInputError(f"need a shift of shape {(*expected, 'features')}, got {shift.shape}")
            digest = hashlib.sha256(shift.astype("<f4").tobytes()).hexdigest()
        self.spec = replace(spec, shift_digest=digest)
        self._shift = None if shift is None else torch.from_numpy(shift).to(self.device)

    def with_shift(self, shift: Shift | None) -> Harvester:
        """The same with other means for the centred distance, shape (groups, L+1, d)."""
        return type(self)(self.model, self.adapter, self.spec, special_ids=self.special_ids, shift=shift)

    def groups(self, batch: Mapping[str, Any]) -> TokenGroups:
        """Token groups of a batch, on the model's device."""
        batch = to_device(batch, self.device)
        return token_groups(
            batch["input_ids"],
            batch.get("attention_mask"),
            vision_ids=self.adapter.vision_ids,
            special_ids=self.special_ids,
            special_mask=batch.get("special_mask"),
            vision_mask=batch.get("vision_mask"),
            ignored_mask=batch.get("ignored_mask"),
            answer=batch.get("answer_positions"),
        )

    @contextmanager
    def observe(self, batch: Mapping[str, Any]) -> Iterator[BatchAccumulator]:
        """Watch the one forward pass over `batch` that happens inside; then `finish` the accumulator.

        Hooks and attention functions are restored on leaving, also after an exception.
        """
        tokens = self.groups(batch)
        accumulator = BatchAccumulator(self.spec, tokens, self._shift)
        with ExitStack() as stack:
            stack.enter_context(watch_layers(self.adapter, accumulator.pair, pairing=self.spec.pairing))
            if self.spec.has_attention:
                stack.enter_context(tap_attention(self.adapter.attentions, tokens, accumulator.attention))
            yield accumulator

    def step(self, batch: Mapping[str, Any], *, full_logits: bool = True) -> tuple[HarvestStatistics, Any]:
        """Run the model on one batch; return its statistics and the model's own output."""
        ids = list(batch["sample_ids"])
        if len(ids) != len(batch["input_ids"]):
            raise InvalidInputError(f"need a sample id per row, got {len(ids)} for {len(batch['input_ids'])} rows")
        if ("answer_positions" in batch) != (self.spec.answer_position != "last_prompt"):
            raise InvalidInputError(
                f'need "answer_positions" in all batches or in none, this run is for {self.spec.answer_position!r} '
                "answers; harvest the others apart"
            )
        with torch.inference_mode(), self.observe(batch) as accumulator:
            output = self.call(self.model_inputs(batch, full_logits=full_logits))
        with torch.inference_mode():
            return accumulator.finish(ids, batch.get("units")), output

    def call(self, inputs: Mapping[str, Any]) -> Any:
        """Run the model; a plan that another thread has opened on it is not this harvest's."""
        with own_alone():
            return self.model(**inputs)

    def empty(self) -> HarvestStatistics:
        """Statistics of no sample: what a batch gives in which no sample could be read."""
        shift = {} if self._shift is None else {"shift": self._shift.cpu().numpy()}
        return HarvestStatistics(self.spec, arrays=shift)

    def model_inputs(self, batch: Mapping[str, Any], *, full_logits: bool = True) -> dict[str, Any]:
        """Arguments of the forward pass: the batch without our own keys, on the device, no cache."""
        inputs = {name: value for name, value in batch.items() if name not in _OWN_KEYS}
        inputs = to_device(inputs, self.device, model_dtype(self.model))
        parameters = inspect.signature(self.model.forward).parameters
        # Models such as LLaVA hand it on by **kwargs; without it every layer would fill a cache that nobody reads.
        if "use_cache" in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
            inputs["use_cache"] = False
        if not full_logits and "logits_to_keep" in parameters:
            # An index and no number: with a number, layers that share keys (Gemma 4) compute the last token alone.
            inputs.setdefault("logits_to_keep", torch.tensor([-1], device=self.device))
        return inputs
