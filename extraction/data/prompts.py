"""From samples to model inputs: the prompt, the processor's call, and which tokens are the template's."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import torch

from extraction.data.items import Sample
from redundancy.errors import InvalidInputError

__all__ = ["DEFAULT_PROMPT", "make_batch", "render_prompt"]

DEFAULT_PROMPT = "USER: {image}\n{question} ASSISTANT:"


def render_prompt(processor: Any, question: str, prompt: str | None = None, *, n_images: int = 1) -> str:
    """Prompt text of a question.

    Parameters
    ----------
    processor : ProcessorMixin
        Its ``chat_template`` is used if there is one and no `prompt` is given.
    question : str
        The question.
    prompt : str, optional
        Template with ``{image}`` (replaced by the image placeholder) and ``{question}``; `DEFAULT_PROMPT`,
        that of LLaVA 1.5, if the processor has no chat template either.
    n_images : int, default=1
        Placeholders of images, one after the other, before the question.
    """
    if prompt is None and getattr(processor, "chat_template", None):
        content = [*[{"type": "image"}] * n_images, {"type": "text", "text": question}]
        turns = [{"role": "user", "content": content}]
        text: str = processor.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
        return text
    template = DEFAULT_PROMPT if prompt is None else prompt
    for part in ("{image}", "{question}"):
        if template.count(part) != 1:
            raise InvalidInputError(f"need a prompt with {part} exactly once, got {template!r}")
    # Plain replacement: a question or template may hold braces of its own.
    image = getattr(processor, "image_token", None) or "<image>"
    return template.replace("{image}", str(image) * n_images).replace("{question}", question)


def make_batch(
    processor: Any, samples: Sequence[Sample], *, vision_ids: Collection[int] = (), prompt: str | None = None
) -> dict[str, Any]:
    """Model inputs of `samples`, with "sample_ids" and the "special_mask" of template tokens.

    Parameters
    ----------
    processor : ProcessorMixin
        Processor of the model; decides padding side and image size.
    samples : sequence of Sample
    vision_ids : collection of int
        Placeholder ids, to tell vision from template tokens.
    prompt : str, optional
        As in `render_prompt`.

    Returns
    -------
    dict
        Tensors for the model's forward, "sample_ids" (list of str), "special_mask" (rows, tokens) bool.

    Raises
    ------
    InvalidInputError
        For an empty question or an unreadable image; the sentence names the sample.
    """
    empty = [s.sample_id for s in samples if not s.question.strip()]
    if empty:
        raise InvalidInputError(f"need a question for every sample, that of {empty[0]!r} is empty; mend or drop it")
    loaded = [s.load_images() for s in samples]
    is_single = all(len(images) == 1 for images in loaded)
    texts = [render_prompt(processor, s.question, prompt, n_images=s.n_images) for s in samples]
    bos = getattr(processor.tokenizer, "bos_token", None)
    # A chat template may have written the BOS already.
    add = not (bos and texts[0].startswith(bos))
    inputs = processor(
        images=[images[0] for images in loaded] if is_single else loaded,
        text=texts,
        padding=True,
        return_tensors="pt",
        add_special_tokens=add,
    )
    batch: dict[str, Any] = dict(inputs)
    around = {n: _template_ids(processor, prompt, n, add) for n in {s.n_images for s in samples}}
    mask = batch.get("attention_mask", torch.ones_like(batch["input_ids"]))
    batch["special_mask"] = torch.stack(
        [
            _template_positions(ids, valid.bool(), *around[sample.n_images], vision_ids)
            for ids, valid, sample in zip(batch["input_ids"], mask, samples, strict=True)
        ]
    )
    batch["sample_ids"] = [s.sample_id for s in samples]
    return batch


def _template_ids(processor: Any, prompt: str | None, n_images: int, add: bool) -> tuple[list[int], list[int]]:
    """Token ids of the template before and after the question."""
    parts = render_prompt(processor, "\x00", prompt, n_images=n_images).partition("\x00")
    before = processor.tokenizer(parts[0], add_special_tokens=add)["input_ids"]
    return before, processor.tokenizer(parts[2], add_special_tokens=False)["input_ids"]


def _template_positions(
    ids: torch.Tensor, valid: torch.Tensor, before: list[int], after: list[int], vision_ids: Collection[int]
) -> torch.Tensor:
    """Positions of a row that agree with the template before and after the question."""
    vision = torch.isin(ids, torch.tensor(sorted(vision_ids), dtype=ids.dtype))
    places = (valid & ~vision).nonzero()[:, 0]
    row = ids[places].tolist()
    head = _agreement(row, [i for i in before if i not in vision_ids])
    tail = _agreement(row[::-1], [i for i in reversed(after) if i not in vision_ids])
    mask = torch.zeros_like(valid)
    mask[places[:head]] = True
    mask[places[len(row) - min(tail, len(row) - head) :]] = True
    return mask


def _agreement(row: list[int], template: list[int]) -> int:
    """Length of the common beginning."""
    n = 0
    while n < min(len(row), len(template)) and row[n] == template[n]:
        n += 1
    return n
