"""Rows of files, before they are samples: JSON, JSON lines, CSV, TSV and Parquet."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from extraction.data.pictures import open_regular, reason
from redundancy.errors import InvalidInputError, MissingExtraError

__all__ = ["IDS", "LINE_END", "Row", "csv_rows", "json_rows", "parquet_rows", "text_of"]

IDS = ("id", "sample_id", "question_id")
FIELDS = (*IDS, "image", "images", "video", "question", "answer", "answers", "family", "group")
LINE_END = re.compile(r"\r\n|\r|\n")  # not the other line ends of Unicode, which a JSON text may hold
_POINTER = b"version https://git-lfs"

Row = tuple[str, str, Any]  # where it is, its name by default, and its fields or the error that stands for them


def json_rows(path: Path) -> Iterator[Row]:
    """Objects of a JSON list, or of lines; a line that is no JSON stands as its error."""
    text = text_of(path)
    if text.lstrip()[:1] == "[":
        body = _json(text, str(path))
        for i, row in enumerate(body if isinstance(body, list) else []):
            yield f"item {i + 1} of {path}", f"{path.stem}:{i + 1:06d}", row
        return
    for number, line in enumerate(LINE_END.split(text), start=1):
        if line.strip():
            where = f"line {number} of {path}"
            try:
                row = _json(line, where)
            except InvalidInputError as error:
                row = error
            yield where, f"{path.stem}:{number:06d}", row


def _json(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(
            f"need JSON, one object in a line or a list, {where} is unreadable: {reason(error)}"
        ) from error


def csv_rows(path: Path) -> Iterator[Row]:
    """Records of a CSV or TSV file with a header; one with too few or too many cells stands as its error."""
    text = text_of(path)
    header = LINE_END.split(text, maxsplit=1)[0]
    names = {mark: {name.strip().strip('"').lower() for name in header.split(mark)} for mark in ",;\t"}
    mark = next((m for m, found in names.items() if "question" in found and len(found) > 1), ",")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=mark, strict=True)
    try:
        columns = [name.strip().lower() for name in next(reader, [])]
        if "question" not in columns or not {"image", "images", "video"} & {*columns}:
            raise InvalidInputError(f"need a header with image and question, {path} has {columns}")
        if twice := {name for name in columns if columns.count(name) > 1 and name in FIELDS}:
            raise InvalidInputError(f"need every column once, {path} has {min(twice)!r} more than once")
        n = 0
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            n += 1
            where = f"record {n} of {path}"
            row: Any = dict(zip(columns, cells, strict=False))
            for name in ("answer", "group"):  # an empty cell is how CSV says that there is none
                if not row.get(name):
                    row.pop(name, None)
            if len(cells) != len(columns):
                row = InvalidInputError(f"need {len(columns)} cells, {where} has {len(cells)}; quote cells with commas")
            yield where, f"{n - 1:08d}", row
    except csv.Error as error:
        raise InvalidInputError(f"need a CSV file, line {reader.line_num} of {path} is none: {error}") from error


def parquet_rows(paths: list[Path]) -> Iterator[Row]:
    """Records of Parquet files, of the columns that a sample knows."""
    try:
        pyarrow: Any = import_module("pyarrow")
        parquet: Any = import_module("pyarrow.parquet")
    except ImportError as error:
        raise MissingExtraError('reading Parquet needs pyarrow: pip install "skip-it[data]"') from error
    position = 0
    for path in paths:
        try:
            with open_regular(path) as opened:
                file = parquet.ParquetFile(opened)
                columns = file.schema_arrow.names
                if "question" not in columns or not {"image", "images", "video"} & {*columns}:
                    raise InvalidInputError(f"need columns image and question, {path} has {', '.join(columns)}")
                if twice := {name for name in columns if columns.count(name) > 1 and name in FIELDS}:
                    raise InvalidInputError(f"need every column once, {path} has {min(twice)!r} more than once")
                records = file.read(columns=[name for name in columns if name in FIELDS]).to_pylist()
        except (OSError, ValueError, MemoryError, pyarrow.ArrowException) as error:
            if isinstance(error, InvalidInputError):
                raise
            raise InvalidInputError(f"need a readable Parquet file, {path} gives: {reason(error)}") from error
        for i, record in enumerate(records):
            yield f"row {i} of {path}", f"{position:08d}", record
            position += 1


def text_of(file: Path) -> str:
    """All of a text file in UTF-8, or in UTF-16 with its mark."""
    try:
        with open_regular(file) as opened:
            raw = opened.read()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise InvalidInputError(f"need a readable file, {file} gives: {why}") from error
    if raw.startswith(_POINTER):
        raise InvalidInputError(f"need the data themselves, {file} is a pointer of Git LFS; fetch it with git lfs pull")
    is_wide = raw[:2] in (b"\xff\xfe", b"\xfe\xff")
    try:
        return str(raw.decode("utf-16" if is_wide else "utf-8-sig"))
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"need a file in UTF-8, {file} is not: {error.reason}") from error
