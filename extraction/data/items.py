"""Samples of images or a video, question and answers, and how they are read from a JSONL file."""

from __future__ import annotations

import json
import math
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from extraction.data.pictures import load_picture
from extraction.data.video import load_frames
from redundancy.errors import InvalidInputError

__all__ = ["Sample", "as_answers", "as_sample", "read_jsonl"]


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


def read_jsonl(path: str | os.PathLike[str], *, strict: bool = True) -> list[Sample]:
    """Read samples from a JSONL file of objects with "image" or "video", "question" and optionally "answer".

    "image" is a path relative to the file, or a list of such for several images; "video" a path or a list of frames.
    "id" (default: file stem and line number) and "family" are optional, too. Blank lines are skipped.

    Parameters
    ----------
    path : path-like
    strict : bool, default=True
        Check before anything runs that every image exists and every question has words. False leaves that to whoever
        loads the sample, for a run that records such faults and goes on.

    Returns
    -------
    list of Sample
        In the order of the source.

    Raises
    ------
    InvalidInputError
        For a missing, empty or undecodable file, an unreadable line, a missing field or image, or an id
        that occurs twice; the sentence names file and line.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InvalidInputError(f"need a readable JSONL file, {path} gives: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"need a JSONL file in UTF-8, {path} is not: {error.reason}") from error
    samples: list[Sample] = []
    lines: dict[str, int] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        sample = _parse(line, path, number, strict)
        if sample.sample_id in lines:
            raise InvalidInputError(
                f"need unique ids, {path} has {sample.sample_id!r} in lines {lines[sample.sample_id]} and {number}"
            )
        lines[sample.sample_id] = number
        samples.append(sample)
    if not samples:
        raise InvalidInputError(
            f"need at least one sample, {path} is empty; write lines of {{image, question, answer}}"
        )
    return samples


def _parse(line: str, path: Path, number: int, strict: bool) -> Sample:
    where = f"line {number} of {path}"
    try:
        record = json.loads(line)
    except ValueError as error:
        raise InvalidInputError(f"need JSON in every line, {where} is unreadable: {error}") from error
    if not isinstance(record, dict):
        raise InvalidInputError(f"need an object of {{image, question, answer}}, {where} is a {type(record).__name__}")
    media = [name for name in ("image", "video") if record.get(name) is not None] or ["image"]
    for name in (*media, "question"):
        value = record.get(name)
        texts = value if name in media and isinstance(value, list) and (value or not strict) else [value]
        if not all(isinstance(text, str) and (not strict or text.strip()) for text in texts):
            if not strict and (value is None or isinstance(value, list)):
                continue  # a fault of this sample, which whoever loads it finds
            raise InvalidInputError(f"need a text for {name!r}, {where} has {value!r}")
    found = {name: _paths(record.get(name), path, where, strict) for name in media}
    name = str(record.get("id", f"{path.stem}:{number:06d}"))
    item = {**record, "id": name, "question": str(record.get("question") or ""), **found}
    return as_sample(item | ({} if found.get("image") is not None or found.get("video") else {"image": []}), number)


def _paths(named: Any, path: Path, where: str, strict: bool) -> Any:
    """Paths of one or several files, relative to the data file; None and what is no text stay as they are."""
    files = [path.parent / one if isinstance(one, str) and one.strip() else one for one in _listed(named)]
    for one, file in zip(_listed(named), files, strict=True):
        if strict and not (file.is_file() or file.is_dir()):
            raise InvalidInputError(f"need the image of every sample, {where} names {one!r}, which is missing")
    return files if isinstance(named, list) else files[0]


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
