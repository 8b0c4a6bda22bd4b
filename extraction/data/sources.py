"""The one reader of samples: rows of JSONL, JSON, CSV, Parquet, image folders and named data sets become samples."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from extraction.data.items import Sample, as_answers
from extraction.data.pictures import load_picture, open_regular, reason
from extraction.data.rows import IDS, LINE_END, Row, csv_rows, json_rows, parquet_rows, text_of
from redundancy.errors import InvalidInputError, MissingExtraError

__all__ = ["batches_by_length", "read_dataset", "read_folder", "read_jsonl", "read_parquet", "read_samples"]

_QUESTION_FILES = tuple(f"questions.{ending}" for ending in ("jsonl", "json", "csv", "txt"))
_IMAGE_ENDINGS = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
_HUB = "hf:"


def read_samples(source: str | os.PathLike[str], *, allow_download: bool = False, strict: bool = True) -> list[Sample]:
    """Read samples from a file, a folder or a data set on a hub.

    A row has "image" (or "images") or "video", "question", and optionally "answer" or "answers", "id", "family" and
    "group". An image is a path relative to the file, an absolute one, a "file:" or "data:" URI, bytes of an image file,
    a mapping with "bytes" (in JSON as base64) or "path", or a list of these for several images.

    Parameters
    ----------
    source : path or str
        A ``.jsonl``, ``.json``, ``.csv`` or ``.parquet`` file, whatever the case of its ending; a folder as in
        `read_folder`; or "hf:NAME:SPLIT" as in `read_dataset`.
    allow_download : bool, default=False
        Whether a data set may be fetched by its name.
    strict : bool, default=True
        Refuse data with a row that cannot be used. False leaves such rows in as samples with a `fault`, for a run that
        records them and goes on.

    Returns
    -------
    list of Sample
        In the order of the source.

    Raises
    ------
    InvalidInputError
        For what cannot be read, in one sentence that names the file and the row.
    """
    if isinstance(source, str) and source.startswith(_HUB):
        name, _, split = source.removeprefix(_HUB).partition(":")
        return read_dataset(name, split=split or "test", allow_download=allow_download, strict=strict)
    path = Path(source)
    if path.is_dir():
        return read_folder(path, strict=strict)
    readers = {".jsonl": read_jsonl, ".ndjson": read_jsonl, ".json": read_jsonl, ".parquet": read_parquet}
    ending = path.suffix.lower()
    if ending == ".csv":
        return _samples(csv_rows(path), path, path.parent, strict)
    if ending not in readers:
        raise InvalidInputError(
            f"need a .jsonl, .json, .csv or .parquet file, a folder or hf:NAME:SPLIT, got {path}; convert or unpack it"
        )
    return readers[ending](path, strict=strict)


def read_jsonl(path: str | os.PathLike[str], *, strict: bool = True) -> list[Sample]:
    """Read samples from a file of JSON objects, one in a line, or all in one list. Blank lines are skipped.

    The name of a row without an id is the stem of the file and the number of its line, or its place in the list.

    Parameters
    ----------
    path : path-like
        In UTF-8, with or without a byte order mark; a file of UTF-16 has one.
    strict : bool, default=True
        As in `read_samples`.

    Returns
    -------
    list of Sample
        In the order of the source.

    Raises
    ------
    InvalidInputError
        As in `read_samples`.
    """
    path = Path(path)
    return _samples(json_rows(path), path, path.parent, strict)


def read_parquet(path: str | os.PathLike[str], *, strict: bool = True) -> list[Sample]:
    """Read samples from a Parquet file, images by path or with their bytes, as Hugging Face data sets store them.

    Parameters
    ----------
    path : path-like
    strict : bool, default=True
        As in `read_samples`.

    Returns
    -------
    list of Sample
        In the order of the source.

    Raises
    ------
    MissingExtraError
        If pyarrow is not installed.
    InvalidInputError
        As in `read_samples`.
    """
    path = Path(path)
    return _samples(parquet_rows([path]), path, path.parent, strict)


def read_folder(path: str | os.PathLike[str], *, strict: bool = True) -> list[Sample]:
    """Read samples from a folder of images and one file of questions, or from a folder of Parquet files.

    Parameters
    ----------
    path : path
        Folder with images and exactly one of ``questions.jsonl``, ``questions.json``, ``questions.csv`` (a header with
        image and question), or ``questions.txt`` (a question per line, asked about every image, in the order of file
        names); or with Parquet files only, which are read in the order of their names.
    strict : bool, default=True
        As in `read_samples`.

    Returns
    -------
    list of Sample
        In the order of the source.

    Raises
    ------
    InvalidInputError
        For no or several question files, and as in `read_samples`.
    """
    path = Path(path)
    try:
        inside = sorted(path.iterdir())
    except OSError as error:
        raise InvalidInputError(f"need a readable folder, {path} gives: {error.strerror}") from error
    found = [file for file in inside if file.name.lower() in _QUESTION_FILES]
    tables = [file for file in inside if file.suffix.lower() == ".parquet"]
    if not found and tables:
        return _samples(parquet_rows(tables), path, path, strict)
    if len(found) != 1:
        raise InvalidInputError(
            f"need exactly one of {', '.join(_QUESTION_FILES)} in {path}, got {[f.name for f in found] or 'none'}"
        )
    (file,) = found
    if file.suffix.lower() != ".txt":
        return read_samples(file, strict=strict)
    questions = [line.strip() for line in LINE_END.split(text_of(file)) if line.strip()]
    images = [file for file in inside if file.suffix.lower() in _IMAGE_ENDINGS]
    if not images:
        raise InvalidInputError(f"need images beside {file}, got none that ends in {', '.join(_IMAGE_ENDINGS)}")
    rows: Iterable[Row] = (
        (f"{image.name} and line {i + 1} of {file}", f"{image.name}:{i:04d}", {"image": image.name, "question": text})
        for image in images
        for i, text in enumerate(questions)
    )
    return _samples(rows, file, path, strict)


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
        found = datasets.load_dataset(name, split=split)
    except Exception as error:  # the library raises dozens of kinds; the user needs the reason only
        raise InvalidInputError(f"need a data set {name!r} with split {split!r}: {reason(error)}") from error
    rows: Iterable[Row] = ((f"row {i} of {name}", f"{i:08d}", dict(row)) for i, row in enumerate(found))
    return _samples(rows, name, Path(), strict)


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


def _samples(rows: Iterable[Row], source: object, folder: Path, strict: bool) -> list[Sample]:
    """Samples of rows: at least one, every id once; not strict, a row that cannot be used is a sample with a fault."""
    found: dict[str, Sample] = {}
    places: dict[str, str] = {}
    for where, default_name, row in rows:
        try:
            sample = _sample(row, default_name, folder, where)
            if strict:
                _check_media(sample, where)
        except InvalidInputError as error:
            if strict:
                raise
            name = _name(row, default_name) if isinstance(row, Mapping) else default_name
            sample = Sample(name, [], "", fault=str(error))
        short = where.removesuffix(f" of {source}")
        if sample.sample_id in found:
            raise InvalidInputError(
                f"need unique ids, {source} has {sample.sample_id!r} twice, in {places[sample.sample_id]} and {short}"
            )
        found[sample.sample_id], places[sample.sample_id] = sample, short
    if not found:
        raise InvalidInputError(f"need at least one sample, {source} is empty; write rows of image, question, answer")
    return list(found.values())


def _name(row: Mapping[str, Any], default: str) -> str:
    given = next((row[key] for key in IDS if row.get(key) is not None and str(row[key]).strip()), default)
    return str(given)


def _sample(row: Any, default_name: str, folder: Path, where: str) -> Sample:
    if isinstance(row, InvalidInputError):
        raise row
    if not isinstance(row, Mapping):
        raise InvalidInputError(f"need an object of {{image, question, answer}}, {where} is a {type(row).__name__}")
    images = row.get("image") if row.get("image") is not None else row.get("images")
    image = None if images is None else _medium(images, folder, where)
    video = None if row.get("video") is None else _medium(row["video"], folder, where)
    if image is None and video is None:
        has = ", ".join(str(key) for key in row) or "nothing"
        raise InvalidInputError(
            f"need an image or a video for every sample, {where} has none among {has}; mend or drop it"
        )
    question = row.get("question")
    if not isinstance(question, str) or not question.strip():
        raise InvalidInputError(f"need a text for 'question', {where} has {question!r:.80}; mend or drop it")
    given = row.get("answers")
    return Sample(
        _name(row, default_name),
        image,
        question,
        family=str(row.get("family") or ""),
        video=video,
        answers=as_answers(row.get("answer") if given is None else given),
        group="" if row.get("group") is None else str(row["group"]),
    )


def _medium(value: Any, folder: Path, where: str) -> Any:
    """Where an image or a video is, or what it is: paths are made absolute, the bytes of mappings are taken out."""
    if isinstance(value, list):
        return [_medium(one, folder, where) for one in value]
    if isinstance(value, Mapping):
        content = value.get("bytes")
        if isinstance(content, str):
            try:
                return base64.b64decode(content, validate=True)
            except (binascii.Error, ValueError) as error:
                raise InvalidInputError(f"need base64 as bytes of an image, {where} gives: {error}") from error
        return _medium(content or value.get("path"), folder, where)
    if isinstance(value, str):
        if not value.strip():
            raise InvalidInputError(f"need the image of every sample, {where} names {value!r}, which is missing")
        is_uri = value[:5].lower() in ("data:", "file:") or "://" in value[:12]
        return value if is_uri else folder / value
    if value is None or isinstance(value, (bool, int, float)):
        raise InvalidInputError(f"need an image for every sample, {where} has {value!r} as 'image'; mend or drop it")
    return value  # bytes, or a picture that a data set has decoded already


def _check_media(sample: Sample, where: str) -> None:
    """Refuse what is cheap to see: a file that is missing, bytes that are no picture."""
    media = sample.image if isinstance(sample.image, list) else [sample.image]
    if not media:
        raise InvalidInputError(
            f"need an image for every sample, {where} has an empty list as 'image'; mend or drop it"
        )
    for one in media:
        if isinstance(one, bytes):
            load_picture(one, where=f"the bytes of {where}")
        elif isinstance(one, (str, os.PathLike)) and str(one)[:5].lower() != "data:":
            try:
                open_regular(one).close()
            except (OSError, ValueError) as error:
                is_missing = isinstance(error, FileNotFoundError)
                what = "which is missing" if is_missing else f"which is not readable: {reason(error)}"
                name = Path(one).name if isinstance(one, os.PathLike) else one
                raise InvalidInputError(
                    f"need the image of every sample, {where} names {name!r:.100}, {what}"
                ) from error
