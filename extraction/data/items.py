"""Samples of image, question and answer, and how they are read from a JSONL file."""

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
    """One question about one image.

    Attributes
    ----------
    sample_id : str
        Unique name within a run and all runs that shall merge with it.
    image : path, PIL image or array
        What `load_image` turns into an RGB image.
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

    def load_image(self) -> Any:
        """Return the image as RGB `PIL.Image.Image`.

        Raises
        ------
        InvalidInputError
            If the file is missing or no readable image; the sentence names the sample.
        """
        from PIL import Image, UnidentifiedImageError

        if isinstance(self.image, Image.Image):
            return self.image.convert("RGB")
        try:
            if isinstance(self.image, (str, os.PathLike)):
                with Image.open(self.image) as image:
                    return image.convert("RGB")
            pixels = np.asarray(self.image)
            if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3):
                raise ValueError(
                    f"an array of {pixels.dtype} with {pixels.ndim} axes where uint8 with 2 or 3 is needed"
                )
            return Image.fromarray(pixels).convert("RGB")
        except (OSError, UnidentifiedImageError, AttributeError, TypeError, ValueError) as error:
            got = self.image if isinstance(self.image, (str, os.PathLike)) else f"a {type(self.image).__name__}"
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

    "image" is a path relative to the file. "id" (default: file stem and line number) and "family" are optional.
    Blank lines are skipped. That every image exists is checked before anything runs.

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
        if not isinstance(value, str) or (name != "answer" and not value.strip()):
            raise InvalidInputError(f"need a text for {name!r}, {where} has {value!r}")
    image = path.parent / record["image"]
    if not image.is_file():
        raise InvalidInputError(f"need the image of every sample, {where} names {record['image']!r}, which is missing")
    name = record.get("id", f"{path.stem}:{number:06d}")
    return Sample(str(name), image, record["question"], record["answer"], str(record.get("family", "")))
