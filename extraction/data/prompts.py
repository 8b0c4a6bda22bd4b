"""From samples to model inputs: the prompt, the processor's call, and which tokens are the template's."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import torch

from extraction.data.items import Sample
from extraction.data.pictures import pixels_digest, reason
from redundancy.errors import InvalidInputError

__all__ = ["DEFAULT_PROMPT", "make_batch", "prompt_text", "render_prompt"]

_REFUSALS = (ArithmeticError, AttributeError, LookupError, OSError, RuntimeError, TypeError, ValueError)
DEFAULT_PROMPT = "USER: {image}\n{question} ASSISTANT:"


def render_prompt(
    processor: Any, question: str, prompt: str | None = None, *, n_images: int = 1, n_videos: int = 0
) -> str:
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
    n_videos : int, default=0
        Placeholders of videos, after those of images.

    Returns
    -------
    str
        With the image placeholders of the processor.

    Raises
    ------
    InvalidInputError
        For a template without its parts, or a video where the processor knows no placeholder of one.
    """
    if prompt is None and getattr(processor, "chat_template", None):
        media = [*[{"type": "image"}] * n_images, *[{"type": "video"}] * n_videos]
        content = [*media, {"type": "text", "text": question}]
        turns = [{"role": "user", "content": content}]
        try:
            text: str = processor.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
        except Exception as error:  # a template is a foreign program: syntax, types and its own exceptions
            raise InvalidInputError(
                f"need a chat template that writes one question, the processor's gives: {reason(error)}; mend it or "
                "give a prompt (--prompt)"
            ) from error
        if question not in text:
            raise InvalidInputError(
                f"need a chat template that writes the question, the processor's gives {text!r:.200}; mend it or "
                "give a prompt (--prompt)"
            )
        return text
    template = DEFAULT_PROMPT if prompt is None else prompt
    for part in ("{image}", "{question}"):
        if template.count(part) != 1:
            raise InvalidInputError(f"need a prompt with {part} exactly once, got {template!r}")
    # Plain replacement: a question or template may hold braces of its own.
    image = getattr(processor, "image_token", None) or "<image>"
    video = getattr(processor, "video_token", None)
    if n_videos and video is None:
        raise InvalidInputError("need a processor with a placeholder for videos, this one has none; give images")
    media_text = str(image) * n_images + str(video) * n_videos
    return template.replace("{image}", media_text).replace("{question}", question)


def prompt_text(processor: Any, sample: Sample, prompt: str | None = None) -> str:
    """`render_prompt` of a sample, with a placeholder for each of its images and its video."""
    return render_prompt(processor, sample.question, prompt, n_images=sample.n_images, n_videos=_n_videos(sample))


def make_batch(
    processor: Any, samples: Sequence[Sample], *, vision_ids: Collection[int] = (), prompt: str | None = None
) -> dict[str, Any]:
    """Model inputs of `samples`, with "sample_ids", "units" and the "special_mask" of template tokens.

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
        Tensors for the model's forward, "sample_ids" and "units" (lists of str; a unit that is not settled yet
        is the group, or else the digest of the pixels), "special_mask" (rows, tokens) bool.

    Raises
    ------
    InvalidInputError
        For an empty question, an unreadable image, or what the processor refuses; the sentence names the sample.
    """
    for sample in samples:
        if sample.fault:
            raise InvalidInputError(sample.fault)
    empty = [s.sample_id for s in samples if not s.question.strip()]
    if empty:
        raise InvalidInputError(f"need a question for every sample, that of {empty[0]!r} is empty; mend or drop it")
    texts = [prompt_text(processor, s, prompt) for s in samples]
    bos = getattr(processor.tokenizer, "bos_token", None)
    # A chat template may have written the BOS already.
    add = not (bos and texts[0].startswith(bos))
    images, videos = [s.load_images() for s in samples], [s.load_video() for s in samples]
    media = _media(processor, samples, images, [video for video in videos if video is not None])
    try:
        inputs = processor(**media, text=texts, padding=True, return_tensors="pt", add_special_tokens=add)
    except _REFUSALS as error:  # of a picture too flat for its patches, for one; its libraries raise all of these
        first = str(error).strip().splitlines()[:1] or [type(error).__name__]
        raise InvalidInputError(
            f"need samples that the model's processor takes, {samples[0].sample_id!r} or one beside it is refused: "
            f"{first[0]}; mend or drop it, or mend the prompt (--prompt)"
        ) from error
    batch: dict[str, Any] = dict(inputs)
    if vision_ids:
        seen = torch.isin(batch["input_ids"], torch.tensor(sorted(vision_ids))).any(dim=1).tolist()
        for sample, text, has_vision in zip(samples, texts, seen, strict=True):
            if not has_vision and (sample.n_images or sample.video is not None):
                raise InvalidInputError(
                    f"need a place for the image in the prompt of sample {sample.sample_id!r}, got {text!r:.200}; mend "
                    "the chat template or give a prompt (--prompt)"
                )
    kinds = {(s.n_images, _n_videos(s)) for s in samples}
    around = {kind: _template_ids(processor, prompt, *kind, add) for kind in kinds}
    mask = batch.get("attention_mask", torch.ones_like(batch["input_ids"]))
    batch["special_mask"] = torch.stack(
        [
            _template_positions(ids, valid.bool(), *around[sample.n_images, _n_videos(sample)], vision_ids)
            for ids, valid, sample in zip(batch["input_ids"], mask, samples, strict=True)
        ]
    )
    batch["sample_ids"] = [s.sample_id for s in samples]
    batch["units"] = [
        s.unit or s.group or pixels_digest([*pictures, *(() if video is None else video)])
        for s, pictures, video in zip(samples, images, videos, strict=True)
    ]
    return batch


def _n_videos(sample: Sample) -> int:
    return int(sample.video is not None)


def _media(processor: Any, samples: Sequence[Sample], loaded: list[list[Any]], videos: list[Any]) -> dict[str, Any]:
    """Images and videos as arguments of a processor's call."""
    media: dict[str, Any] = {}
    if any(loaded):
        is_single = all(len(images) == 1 for images in loaded)
        media["images"] = [images[0] for images in loaded] if is_single else loaded
    if videos:
        if getattr(processor, "video_processor", None) is None:
            raise InvalidInputError(
                f"need a processor that takes videos for {samples[0].sample_id!r}, this one has no video processor; "
                "give its frames as a list of images"
            )
        media["videos"] = videos
        media["do_sample_frames"] = False  # all frames that were given, also where no rate is known
    return media


def _template_ids(
    processor: Any, prompt: str | None, n_images: int, n_videos: int, add: bool
) -> tuple[list[int], list[int]]:
    """Token ids of the template before and after the question."""
    parts = render_prompt(processor, "\x00", prompt, n_images=n_images, n_videos=n_videos).partition("\x00")
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
