"""Samples from wherever they are: JSONL, Parquet, CSV, a folder of images with questions, a named data set."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from extraction.data.items import Sample, as_sample, read_jsonl
from redundancy.errors import InvalidInputError, MissingExtraError

__all__ = ["batches_by_length", "read_dataset", "read_folder", "read_parquet", "read_samples"]

_QUESTION_FILES = ("questions.jsonl", "questions.csv", "questions.txt")
_IMAGE_ENDINGS = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
_HUB = "hf:"


def read_samples(source: str | os.PathLike[str], *, allow_download: bool = False, strict: bool = True) -> list[Sample]:
    """Read samples from a file, a folder or a data set on a hub.

    Parameters
    ----------
    source : path or str
        A ``.jsonl`` or ``.parquet`` file; a folder as in `read_folder`; or "hf:NAME:SPLIT" as in `read_dataset`.
    allow_download : bool, default=False
        Whether a data set may be fetched by its name.
    strict : bool, default=True
        Refuse data in which an image is missing or a question empty. False leaves such samples in, for a run that
        records their faults and goes on.

    Returns
    -------
    list of Sample
        In the order of the source.

    Raises
    ------
    InvalidInputError
        For what cannot be read, in one sentence.
    """
    if isinstance(source, str) and source.startswith(_HUB):
        name, _, split = source.removeprefix(_HUB).partition(":")
        return read_dataset(name, split=split or "test", allow_download=allow_download, strict=strict)
    path = Path(source)
    if path.is_dir():
        return read_folder(path, strict=strict)
    readers = {".jsonl": read_jsonl, ".parquet": read_parquet}
    if path.suffix not in readers:
        raise InvalidInputError(f"need a .jsonl or .parquet file, a folder or hf:NAME:SPLIT, got {path}")
    return readers[path.suffix](path, strict=strict)


def read_parquet(path: str | os.PathLike[str], *, strict: bool = True) -> list[Sample]:
    """Read samples from a Parquet file with columns image, question, answer and optionally id and family.

    An image is a path relative to the file, the bytes of an image file, or a mapping with "bytes" or "path", as
    Hugging Face data sets store them; or a list of these for several images. `strict` as in `read_samples`.

    Parameters
    ----------
    path : str or path-like
        What to read.
    strict : bool, default=True
        Raise at the first sample that is not usable, instead of leaving it out and saying so.

    Returns
    -------
    list of Sample
        In the order of the source.

    Raises
    ------
    MissingExtraError
        If pyarrow is not installed.
    InvalidInputError
        For an unreadable or empty file, a missing column or image, an id that occurs twice.
    """
    try:
        pyarrow: Any = import_module("pyarrow")
        parquet: Any = import_module("pyarrow.parquet")
    except ImportError as error:
        raise MissingExtraError('reading Parquet needs pyarrow: pip install "skip-it[data]"') from error
    path = Path(path)
    try:
        file = parquet.ParquetFile(path)
    except (OSError, pyarrow.ArrowException) as error:
        raise InvalidInputError(f"need a readable Parquet file, {path} gives: {_first_line(error)}") from error
    columns = file.schema_arrow.names
    missing = [name for name in ("image", "question") if name not in columns]
    if missing:
        raise InvalidInputError(f"need columns image and question, {path} has {', '.join(columns)}")
    wanted = [name for name in ("id", "image", "question", "answer", "answers", "family", "group") if name in columns]
    try:
        records = file.read(columns=wanted).to_pylist()
    except (OSError, pyarrow.ArrowException) as error:
        raise InvalidInputError(f"need a readable Parquet file, {path} gives: {_first_line(error)}") from error
    return _checked((_sample(r, i, path.parent, f"row {i} of {path}", strict) for i, r in enumerate(records)), path)


def read_folder(path: str | os.PathLike[str], *, strict: bool = True) -> list[Sample]:
    """Read samples from a folder of images and one file of questions.

    Parameters
    ----------
    path : path
        Folder with images and exactly one of ``questions.jsonl`` (objects), ``questions.csv`` (a header with image,
        question and optionally answer, id, family), or ``questions.txt`` (a question per line, asked about every
        image, in the order of file names).
    strict : bool, default=True
        As in `read_samples`.

    Returns
    -------
    list of Sample
        In the order of the source.

    Raises
    ------
    InvalidInputError
        For no or several question files, a missing image, an empty question, an id that occurs twice.
    """
    path = Path(path)
    found = [path / name for name in _QUESTION_FILES if (path / name).is_file()]
    if len(found) != 1:
        raise InvalidInputError(
            f"need exactly one of {', '.join(_QUESTION_FILES)} in {path}, got {[f.name for f in found] or 'none'}"
        )
    file = found[0]
    if file.suffix == ".jsonl":
        return read_jsonl(file, strict=strict)
    text = _text(file)
    if file.suffix == ".csv":
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        try:
            records = list(reader)
        except csv.Error as error:
            raise InvalidInputError(f"need a CSV file, line {reader.line_num} of {file} is none: {error}") from error
        if not {"image", "question"} <= set(reader.fieldnames or ()):
            raise InvalidInputError(f"need a header with image and question, {file} has {reader.fieldnames}")
        return _checked((_sample(r, i, path, f"record {i + 1} of {file}", strict) for i, r in enumerate(records)), file)
    questions = [line.strip() for line in text.splitlines() if line.strip()]
    images = sorted(p for p in path.iterdir() if p.suffix.lower() in _IMAGE_ENDINGS)
    if not images:
        raise InvalidInputError(f"need images beside {file}, got none that ends in {', '.join(_IMAGE_ENDINGS)}")
    samples = (
        Sample(f"{image.name}:{i:04d}", image, question) for image in images for i, question in enumerate(questions)
    )
    return _checked(samples, file)


def read_dataset(name: str, *, split: str = "test", allow_download: bool = False, strict: bool = True) -> list[Sample]:
    """Read a data set with columns image and question by its name on a hub.

    Parameters
    ----------
    name : str
        Name of the data set.
    split : str, default="test"
        Its split.
    allow_download : bool, default=False
        Nothing is fetched unless this is given.
    strict : bool, default=True
        As in `read_samples`.

    Returns
    -------
    list of Sample
        In the order of the source.

    Raises
    ------
    InvalidInputError
        Without `allow_download`, or if it cannot be fetched or has other columns.
    MissingExtraError
        If datasets is not installed.
    """
    if not allow_download:
        raise InvalidInputError(f"need leave to fetch the data set {name!r}; give --allow-download, or a local file")
    try:
        datasets: Any = import_module("datasets")
    except ImportError as error:
        raise MissingExtraError('a data set by name needs datasets: pip install "skip-it[data]"') from error
    try:
        rows = datasets.load_dataset(name, split=split)
    except Exception as error:  # the library raises dozens of kinds; the user needs the reason only
        raise InvalidInputError(f"need a data set {name!r} with split {split!r}: {_first_line(error)}") from error
    return _checked((_sample(r, i, Path(), f"row {i} of {name}", strict) for i, r in enumerate(rows)), name)


def batches_by_length(samples: Iterable[Sample], batch_size: int, *, window: int = 64) -> Iterator[list[Sample]]:
    """Batches of samples of like length, so that little is spent on padding.

    Within each run of `window` batches samples are sorted by their number of images, then by the length of their
    question; every sample occurs once, and no more than a window is held in memory.

    Parameters
    ----------
    samples : iterable of Sample
    batch_size : int
        Samples per batch, >= 1.
    window : int, default=64
        Batches to sort at once, >= 1.

    Returns
    -------
    iterator of list of Sample
        Each of at most `batch_size`.

    Raises
    ------
    InvalidInputError
        If the batch size or the window is below 1.

    Notes
    -----
    Statistics do not depend on the order of samples, so this changes only the time a harvest takes.
    """
    if batch_size < 1 or window < 1:
        raise InvalidInputError(f"need batch_size and window >= 1, got {batch_size} and {window}")
    held: list[Sample] = []

    def cut() -> Iterator[list[Sample]]:
        held.sort(key=lambda s: (s.n_images, len(s.question)))
        for start in range(0, len(held), batch_size):
            yield held[start : start + batch_size]

    for sample in samples:
        held.append(sample)
        if len(held) == batch_size * window:
            yield from cut()
            held.clear()
    yield from cut()


def _sample(record: Mapping[str, Any], position: int, folder: Path, where: str, strict: bool) -> Sample:
    """Sample of a record whose image may be a path, bytes or a mapping."""
    image, question = record.get("image"), record.get("question")
    several = isinstance(image, list)
    found = [_image(one, folder, where, strict) for one in (image if isinstance(image, list) else [image])]
    if not isinstance(question, str) or not question.strip():
        if strict or not (question is None or isinstance(question, str)):
            raise InvalidInputError(f"need a text for 'question', {where} has {question!r}")
        question = ""
    kept = found if several else found[0]
    return as_sample({**record, "image": [] if kept is None else kept, "question": question}, position)


def _image(image: Any, folder: Path, where: str, strict: bool) -> Any:
    """Path or picture of one image; not strict, the missing and the torn are kept for whoever loads them."""
    if isinstance(image, Mapping):
        image = image.get("bytes") or image.get("path")
    if isinstance(image, bytes):
        return _decoded(image, where) if strict else image
    if image is None:
        if strict:
            raise InvalidInputError(f"need an image for every sample, {where} has none; mend or drop it")
        return None
    if not isinstance(image, str):
        return image  # a picture that a data set has decoded already
    if strict and (not image.strip() or not (folder / image).is_file()):
        raise InvalidInputError(f"need the image of every sample, {where} names {image!r}, which is missing")
    return folder / image


def _decoded(content: bytes, where: str) -> Any:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(content)) as image:
            return image.convert("RGB")
    except (OSError, UnidentifiedImageError, ValueError) as error:
        raise InvalidInputError(f"need a readable image, the bytes of {where} are none; mend or drop it") from error


def _checked(samples: Iterable[Sample], source: object) -> list[Sample]:
    """At least one sample, every id once."""
    found: dict[str, Sample] = {}
    for sample in samples:
        if sample.sample_id in found:
            raise InvalidInputError(f"need unique ids, {source} has {sample.sample_id!r} twice")
        found[sample.sample_id] = sample
    if not found:
        raise InvalidInputError(f"need at least one sample, {source} is empty")
    return list(found.values())


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise InvalidInputError(f"need a readable file, {file} gives: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"need a file in UTF-8, {file} is not: {error.reason}") from error


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
