"""Samples of images, question and answer, and how they are read from a JSONL file."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from redundancy.errors import InvalidInputError

__all__ = ["Sample", "as_sample", "read_jsonl"]

_FIELDS = ("image", "question", "answer")


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One question about one image, or about several where the model takes them.

    Attributes
    ----------
    sample_id : str
        Unique name within a run and all runs that shall merge with it.
    image : path, PIL image or array, or a list of these
        What `load_image` turns into an RGB image; several are in the order of the prompt, such as frames of a video.
    question, answer : str
        Text of the question; the expected answer, "" if unknown.
    family : str
        Kind of question, for accuracy by kind.
    """

    sample_id: str
    image: Any
    question: str
    answer: str = ""
    family: str = ""

    @property
    def n_images(self) -> int:
        """Number of images."""
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
        images = self.image if isinstance(self.image, (list, tuple)) else [self.image]
        if not images:
            raise InvalidInputError(f"need an image for sample {self.sample_id!r}, its list is empty; mend or drop it")
        return [self._load(image) for image in images]

    def _load(self, source: Any) -> Any:
        from PIL import Image, UnidentifiedImageError

        if isinstance(source, Image.Image):
            return source.convert("RGB")
        try:
            if isinstance(source, (str, os.PathLike)):
                with Image.open(source) as image:
                    return image.convert("RGB")
            pixels = np.asarray(source)
            if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3):
                raise ValueError(
                    f"an array of {pixels.dtype} with {pixels.ndim} axes where uint8 with 2 or 3 is needed"
                )
            return Image.fromarray(pixels).convert("RGB")
        except (OSError, UnidentifiedImageError, AttributeError, TypeError, ValueError) as error:
            got = source if isinstance(source, (str, os.PathLike)) else f"a {type(source).__name__}"
            raise InvalidInputError(
                f"need a readable image for sample {self.sample_id!r}, got {got}: {error}; mend or drop it"
            ) from error


def as_sample(item: Any, position: int) -> Sample:
    """Return `item`, a mapping or an object with image, question and answer, as a `Sample`.

    Without "sample_id" or "id" its name is its position with eight digits.
    """
    if isinstance(item, Sample):
        return item
    get = item.get if isinstance(item, Mapping) else lambda name, default=None: getattr(item, name, default)
    image, question = get("image"), get("question")
    if image is None or not isinstance(question, str):
        raise InvalidInputError(
            f"need a sample with image and question, item {position} is a {type(item).__name__} without; "
            "give {image, question, answer}"
        )
    name = next((v for v in (get("sample_id"), get("id")) if v is not None), f"{position:08d}")
    return Sample(str(name), image, question, str(get("answer") or ""), str(get("family") or ""))


def read_jsonl(path: str | os.PathLike[str]) -> list[Sample]:
    """Read samples from a JSONL file of objects with "image", "question" and "answer".

    "image" is a path relative to the file, or a list of such for several images. "id" (default: file stem and line
    number) and "family" are optional. Blank lines are skipped. That every image exists is checked before anything runs.

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
        sample = _parse(line, path, number)
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


def _parse(line: str, path: Path, number: int) -> Sample:
    where = f"line {number} of {path}"
    try:
        record = json.loads(line)
    except ValueError as error:
        raise InvalidInputError(f"need JSON in every line, {where} is unreadable: {error}") from error
    if not isinstance(record, dict):
        raise InvalidInputError(f"need an object of {{image, question, answer}}, {where} is a {type(record).__name__}")
    for name in _FIELDS:
        value = record.get(name)
        texts = value if name == "image" and isinstance(value, list) and value else [value]
        if not all(isinstance(text, str) and (name == "answer" or text.strip()) for text in texts):
            raise InvalidInputError(f"need a text for {name!r}, {where} has {value!r}")
    named = record["image"] if isinstance(record["image"], list) else [record["image"]]
    images = [path.parent / one for one in named]
    for one, image in zip(named, images, strict=True):
        if not image.is_file():
            raise InvalidInputError(f"need the image of every sample, {where} names {one!r}, which is missing")
    image = images if isinstance(record["image"], list) else images[0]
    name = record.get("id", f"{path.stem}:{number:06d}")
    return Sample(str(name), image, record["question"], record["answer"], str(record.get("family", "")))
