"""Samples of images or a video, question and answers, and what an answer is."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from extraction.data.pictures import load_picture
from extraction.data.video import load_frames
from redundancy.errors import InvalidInputError

__all__ = ["Sample", "as_answers", "as_sample"]


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One question about one image, or about several or a video where the model takes them.

    Attributes
    ----------
    sample_id : str
        Unique name within a run and all runs that shall merge with it.
    image : path, bytes of an image file, PIL image or array, or a list of these
        What `extraction.data.pictures.load_picture` decodes; several are in the order of the prompt. None beside a
        video.
    question : str
        Text of the question.
    answer : str or None
        The expected answer, the most frequent of `answers` if there are several; None if unknown. An empty text is
        an answer.
    family : str
        Kind of question, for accuracy by kind.
    video : path, array or list of images, optional
        What `extraction.data.video.load_frames` reads: a folder of frames, an animated GIF or WebP, an array.
    answers : tuple of str
        All gold answers, as often as they were given; empty if unknown.
    group : str
        Declared name of what the sample shares with others, such as a patient or a scene; "" if none.
    unit, pixels : str
        What counts as one independent draw, and the digest of the decoded images and frames; "" until
        `extraction.data.units.settle_units` has seen the whole run.
    fault : str
        Why the row cannot be used, one sentence; "" if it can. Whoever loads its pictures is told.
    """

    sample_id: str
    image: Any
    question: str
    answer: str | None = None
    family: str = ""
    video: Any = None
    answers: tuple[str, ...] = ()
    group: str = ""
    unit: str = ""
    pixels: str = ""
    fault: str = ""

    def __post_init__(self) -> None:
        if self.answers and self.answer is None:
            object.__setattr__(self, "answer", Counter(self.answers).most_common(1)[0][0])
        elif self.answer is not None and not self.answers:
            object.__setattr__(self, "answers", (self.answer,))

    @property
    def n_images(self) -> int:
        """Number of images, those of a video aside."""
        if self.image is None and self.video is not None:
            return 0
        return len(self.image) if isinstance(self.image, (list, tuple)) else 1

    def load_image(self) -> Any:
        """Return the image as RGB `PIL.Image.Image`.

        Raises
        ------
        InvalidInputError
            If the file is missing or no readable image, or there are several; the sentence names the sample.
        """
        images = self.load_images()
        if len(images) != 1:
            raise InvalidInputError(f"need one image, sample {self.sample_id!r} has {len(images)}; drop it here")
        return images[0]

    def load_images(self) -> list[Any]:
        """Return all images as RGB `PIL.Image.Image`.

        Raises
        ------
        InvalidInputError
            If there is none, or one is missing or not readable; the sentence names the sample.
        """
        if self.fault:
            raise InvalidInputError(self.fault)
        if not self.n_images and self.video is not None:
            return []
        images = self.image if isinstance(self.image, (list, tuple)) else [self.image]
        if not images:
            raise InvalidInputError(f"need an image for sample {self.sample_id!r}, its list is empty; mend or drop it")
        return [load_picture(image, where=f"sample {self.sample_id!r}") for image in images]

    def load_video(self) -> Any:
        """Return the frames of the video, uint8 of shape (frames, height, width, 3); None without a video.

        Raises
        ------
        InvalidInputError
            If it is missing or not readable; the sentence names the sample.
        """
        return None if self.video is None else load_frames(self.video, where=f"sample {self.sample_id!r}")


def as_sample(item: Any, position: int) -> Sample:
    """Return `item`, a mapping or an object with image or video, question and answer, as a `Sample`.

    Without "sample_id" or "id" its name is its position with eight digits.

    Parameters
    ----------
    item : Any
        Mapping or object.
    position : int
        Place in the source.

    Returns
    -------
    Sample
        With an id made of `position` if it has none.

    Raises
    ------
    InvalidInputError
        If it has no image, video or question.
    """
    if isinstance(item, Sample):
        return item
    get = item.get if isinstance(item, Mapping) else lambda name, default=None: getattr(item, name, default)
    image, question, video = get("image"), get("question"), get("video")
    if (image is None and video is None) or not isinstance(question, str):
        raise InvalidInputError(
            f"need a sample with image or video and question, item {position} is a {type(item).__name__} without; "
            "give {image, question, answer}"
        )
    name = next((v for v in (get("sample_id"), get("id")) if v is not None), f"{position:08d}")
    answer = get("answers")
    answers = as_answers(get("answer") if answer is None else answer)
    return Sample(
        str(name),
        image,
        question,
        family=str(get("family") or ""),
        video=video,
        answers=answers,
        group="" if get("group") is None else str(get("group")),
    )


def as_answers(value: Any) -> tuple[str, ...]:
    """Gold answers of a field: a text, number or truth value, or a list of these; nothing for what is absent.

    0, False and "" are answers; None and NaN are absent.

    Examples
    --------
    >>> as_answers(0), as_answers([True, "yes"]), as_answers(None), as_answers("")
    (('0',), ('True', 'yes'), (), ('',))
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ()
    if isinstance(value, (list, tuple)):
        return tuple(text for one in value for text in as_answers(one))
    if isinstance(value, Mapping):  # VQA: {"answer": "red", "answer_confidence": "yes", ...}
        return as_answers(value.get("answer"))
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # what a table makes of whole numbers once one of them is absent
    return (str(value),)
