"""Model inputs of the samples that can be read, and why the others cannot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from extraction.data import Sample, make_batch
from extraction.models.adapters import Adapter
from extraction.run.folder import Fault
from redundancy.errors import InvalidInputError

__all__ = ["BatchMaker"]

# What a row lacks, by the beginning of the sentence of `extraction.data.sources`; "row" is one that is unreadable.
_OF_ROWS = {"need a text for 'question'": "question", "need an image": "image", "need the image": "image"}


class BatchMaker:
    """Makes batches, and tells which samples are at fault when one cannot be made.

    Parameters
    ----------
    processor : ProcessorMixin
    adapter : Adapter
    prompt : str or None
        As in `extraction.data.render_prompt`.
    context : int or None
        Most tokens of a prompt.
    """

    def __init__(self, processor: Any, adapter: Adapter, prompt: str | None, context: int | None) -> None:
        self._processor, self._adapter, self._prompt, self._context = processor, adapter, prompt, context

    def whole(self, samples: Sequence[Sample]) -> dict[str, Any]:
        """Model inputs of all samples.

        Raises
        ------
        InvalidInputError
            If one cannot be read, or is longer than the model's context.
        """
        batch = make_batch(self._processor, samples, vision_ids=self._adapter.vision_ids, prompt=self._prompt)
        length = batch["input_ids"].shape[1]
        if self._context is not None and length > self._context:
            raise InvalidInputError(
                f"need a prompt of at most {self._context} tokens, the model's context, got {length}"
            )
        return batch

    def good(self, samples: Sequence[Sample], number: int) -> tuple[list[Sample], list[Fault]]:
        """The samples that can be made inputs of, each tried alone, and the faults of the others."""
        good, faults = [], []
        for sample in samples:
            try:
                self.whole([sample])
                good.append(sample)
            except InvalidInputError as error:
                faults.append(Fault(number, sample.sample_id, str(error), self._cause(sample, error)))
        return good, faults

    def _cause(self, sample: Sample, error: InvalidInputError) -> str:
        if sample.fault:
            return next((cause for start, cause in _OF_ROWS.items() if sample.fault.startswith(start)), "row")
        if not sample.question.strip():
            return "question"
        for cause, load in (("image", sample.load_images), ("video", sample.load_video)):
            try:
                load()
            except InvalidInputError:
                return cause
        return "length" if "the model's context" in str(error) else "processor"
