"""Per-sample logs of evaluation suites as one table: lm-eval, lmms-eval, VLMEvalKit, and plain CSV or JSON lines."""

from __future__ import annotations

import csv
import hashlib
import importlib
import json
import math
import os
import re
import sys
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redundancy.errors import InvalidInputError, MissingExtraError, StoreError
from redundancy.files.reading import regular_file, unique_keys

__all__ = ["RunLog", "read_log"]

SUFFIXES = (".jsonl", ".json", ".csv", ".tsv", ".xlsx")
_KEYS = ("doc_id", "sample_id", "question_id", "index", "id")
_UNITS = ("group", "unit", "image_id", "image_path", "input_media", "image", "images")
_SCORES = ("exact_match", "acc", "hit", "score", "correct", "accuracy")
_TASKS = ("task", "dataset")
_INPUTS = ("input", "prompt_hash", "question", "prompt")
_TARGETS = ("target", "target_hash", "answer", "gold")
_WORDS = {"true": 1.0, "false": 0.0, "yes": 1.0, "no": 0.0}
_LONG = 200  # characters above which a unit is kept as its digest


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLog:
    """One run: a score per document, with what says that two runs saw the same thing.

    Parameters
    ----------
    source : str
        Name of the file or folder it was read from.
    metric : str
        Name of the score.
    tasks, keys : tuple of str
        Together they name a document.
    scores : tuple of float
        Finite; 1 is right and 0 is wrong where the metric is exact.
    units : tuple of str, or None
        The independent unit of each document, its image for example. None if the log names none.
    inputs, targets : tuple of str
        The prompt, or its digest, and the expected answer; "" where the log has none.
    """

    source: str
    metric: str
    tasks: tuple[str, ...]
    keys: tuple[str, ...]
    scores: tuple[float, ...]
    units: tuple[str, ...] | None
    inputs: tuple[str, ...]
    targets: tuple[str, ...]

    def __repr__(self) -> str:
        return f"RunLog({self.source!r}, metric={self.metric!r}, n_samples={len(self.keys)})"


def read_log(
    path: str | os.PathLike[str], *, metric: str | None = None, unit: str | None = None, filter_name: str | None = None
) -> RunLog:
    """Read the per-sample log of one run.

    Parameters
    ----------
    path : path
        A file ending in .jsonl, .json, .csv, .tsv or .xlsx, or a folder in which lm-eval or lmms-eval left files named
        ``samples_*.jsonl``, one per task.
    metric : str, optional
        Field that holds the score. By default the one field among exact_match, acc, hit, score, correct and accuracy,
        or the only field with numbers that the log declares as a metric.
    unit : str, optional
        Field that names the independent unit. By default group, unit, image_id, image_path, input_media, image or
        images, whichever comes first.
    filter_name : str, optional
        Which of lm-eval's answer filters, where a log holds several rows for one document.

    Returns
    -------
    RunLog

    Raises
    ------
    StoreError
        If the file cannot be read or does not parse.
    InvalidInputError
        If there is no score, or more than one and none is named; if a document comes twice, or a score is no finite
        number.

    Notes
    -----
    lm-eval writes doc_id, target, prompt_hash and its metrics by name; lmms-eval writes doc_id, target, input,
    input_media and its metrics; VLMEvalKit writes index, question, answer, prediction and hit.
    """
    path = Path(path)
    tables = [(_task_of(file), file, list(_rows(file))) for file in _files(path)]
    rows = [(task, file, row) for task, file, group in tables for row in group]
    if filter_name is not None:
        rows = [entry for entry in rows if str(entry[2].get("filter", "")) == filter_name]
    if not rows:
        what = "no rows" if filter_name is None else f"no row with the filter {filter_name!r}"
        raise InvalidInputError(f"need a log with a row for every document, {path.name} has {what}")
    fields = list(dict.fromkeys(name for _, _, row in rows for name in row))
    metric = _metric(fields, [row for _, _, row in rows], metric, path.name)
    key_field = _first(fields, _KEYS)
    unit_field = _named(fields, unit, path.name) if unit is not None else _first(fields, _UNITS)
    task_field, input_field, target_field = (_first(fields, names) for names in (_TASKS, _INPUTS, _TARGETS))
    seen: dict[tuple[str, str], int] = {}
    columns: list[tuple[str, str, float, str, str, str]] = []
    for number, (file_task, file, row) in enumerate(rows, start=1):
        where = f"row {number} of {file.name}"
        task = file_task if task_field is None else _text(row.get(task_field))
        key = str(number - 1) if key_field is None else _text(row.get(key_field))
        if (task, key) in seen:
            raise InvalidInputError(_twice(rows, task, key, seen[task, key], number, path.name))
        seen[task, key] = number
        unit_name = "" if unit_field is None else _short(row.get(unit_field))
        if unit_field is not None and not unit_name:
            raise InvalidInputError(f"need a unit for each document, {where} has no {unit_field}; complete it")
        given = ["" if name is None else _text(row.get(name)) for name in (input_field, target_field)]
        columns.append((task, key, _score(row.get(metric), metric, where), unit_name, given[0], given[1]))
    tasks, keys, scores, units, inputs, targets = (tuple(column) for column in zip(*columns, strict=True))
    return RunLog(
        source=path.name,
        metric=metric,
        tasks=tasks,
        keys=keys,
        scores=scores,
        units=None if unit_field is None else units,
        inputs=inputs,
        targets=targets,
    )


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        found = sorted(path.glob("**/samples_*.jsonl")) or sorted(path.glob("**/*_samples_*.jsonl"))
        if not found:
            raise StoreError(f"need per-sample logs named samples_*.jsonl, the folder {path.name} holds none")
        return found
    if path.suffix.lower() not in SUFFIXES:
        raise StoreError(f"need a log ending in {', '.join(SUFFIXES)} or a folder of them, got {path.name}")
    return [path]


def _task_of(file: Path) -> str:
    """The task in lm-eval's and lmms-eval's file names, else ""."""
    match = re.search(r"(?:^|_)samples_(.+?)(?:_\d{4}-\d\d-\d\dT[\w.-]*)?\.jsonl$", file.name)
    return match.group(1) if match else ""


def _rows(file: Path) -> Iterator[Mapping[str, Any]]:
    regular_file(file, "a readable log")
    try:
        if file.suffix.lower() == ".xlsx":
            yield from _sheet(file)
            return
        with file.open(encoding="utf-8-sig", newline="") as stream:
            if file.suffix.lower() in (".csv", ".tsv"):
                csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # VLMEvalKit keeps pictures in cells
                table = csv.reader(stream, delimiter="\t" if file.suffix.lower() == ".tsv" else ",")
                yield from _records(list(table), file.name)
                return
            lines = stream.read()
    except OSError as error:
        raise StoreError(f"need a readable log, {file.name} gives: {error.strerror or error}") from error
    except UnicodeError as error:
        raise StoreError(f"need a log in UTF-8, {file.name} is none: {error}") from None
    except csv.Error as error:
        raise StoreError(f"need a table, {file.name} does not parse: {error}") from None
    yield from _json_rows(lines, file)


def _json_rows(text: str, file: Path) -> Iterator[Mapping[str, Any]]:
    where = file.name
    try:
        if file.suffix.lower() == ".json":
            tree = json.loads(text, object_pairs_hook=unique_keys)
            items = tree.get("samples", tree.get("logs")) if isinstance(tree, dict) else tree
            if isinstance(items, dict):  # lm-eval: samples by task
                items = [{"task": task, **row} for task, rows in items.items() for row in rows]
            numbered: Iterable[tuple[int, Any]] = enumerate(items or [], start=1)
        else:
            lines = enumerate(text.split("\n"), start=1)  # a text inside may hold other ends of lines
            numbered = ((n, json.loads(line, object_pairs_hook=unique_keys)) for n, line in lines if line.strip())
        for number, item in numbered:
            where = f"row {number} of {file.name}"
            if not isinstance(item, dict):
                raise InvalidInputError(f"need an object per document, {where} holds a {type(item).__name__}")
            yield item
    except (ValueError, RecursionError, TypeError) as error:
        if isinstance(error, InvalidInputError):
            raise
        raise StoreError(f"need JSON, {where} or the row after it does not parse: {error}") from None


def _records(table: list[list[Any]], name: str) -> Iterator[Mapping[str, Any]]:
    if not table:
        return
    head = [_text(field) for field in table[0]]
    if len(set(head)) != len(head):
        raise InvalidInputError(f"need a header that names each column once, the first line of {name} does not")
    for number, fields in enumerate(table[1:], start=2):
        if not any(_text(field) for field in fields):
            continue
        if len(fields) != len(head):
            raise InvalidInputError(f"need {len(head)} fields in each line, line {number} of {name} has {len(fields)}")
        yield dict(zip(head, fields, strict=True))


def _sheet(file: Path) -> Iterator[Mapping[str, Any]]:
    try:
        openpyxl = importlib.import_module("openpyxl")
    except ImportError as error:
        raise MissingExtraError(
            "reading .xlsx needs openpyxl: pip install openpyxl, or save the sheet as CSV"
        ) from error
    try:
        book = openpyxl.load_workbook(file, read_only=True, data_only=True)
        rows = [["" if cell is None else cell for cell in row] for row in book.active.iter_rows(values_only=True)]
        book.close()
    except (zipfile.BadZipFile, LookupError, SyntaxError, ValueError) as error:  # SyntaxError: its XML parser's
        raise StoreError(f"need a readable workbook, {file.name} gives: {type(error).__name__}: {error}") from error
    yield from _records(rows, file.name)


def _first(fields: Sequence[str], names: Sequence[str]) -> str | None:
    return next((name for name in names if name in fields), None)


def _named(fields: Sequence[str], name: str, source: str) -> str:
    if name not in fields:
        raise InvalidInputError(f"need a field {name!r}, {source} has {', '.join(fields[:20])}")
    return name


def _metric(fields: Sequence[str], rows: Sequence[Mapping[str, Any]], name: str | None, source: str) -> str:
    if name is not None:
        return _named(fields, name, source)
    declared = {metric for row in rows for metric in row.get("metrics") or () if isinstance(metric, str)}
    found = [field for field in fields if field in declared] or [field for field in _SCORES if field in fields]
    if len(found) == 1:
        return found[0]
    if not found:
        raise InvalidInputError(
            f"need a field with the score, {source} has {', '.join(fields[:20])}; name it with --metric"
        )
    raise InvalidInputError(f"need one score, {source} has {', '.join(found)}; choose with --metric")


def _score(value: Any, metric: str, where: str) -> float:
    if isinstance(value, Mapping) and "score" in value:  # lmms-eval keeps a record where it aggregates later
        value = value["score"]
    if isinstance(value, str) and value.strip().lower() in _WORDS:
        return _WORDS[value.strip().lower()]
    try:
        if isinstance(value, str) and "_" in value:
            raise ValueError(value)  # which Python alone takes for a number
        score = float(value)
    except (TypeError, ValueError, OverflowError):
        raise InvalidInputError(f"need a number as {metric}, {where} has {value!r:.80}") from None
    if not math.isfinite(score):
        raise InvalidInputError(f"need a finite {metric}, {where} has {score}; score that document again")
    return score


def _twice(rows: Sequence[Any], task: str, key: str, first: int, second: int, source: str) -> str:
    filters = sorted({str(row["filter"]) for _, _, row in rows if "filter" in row})
    if len(filters) > 1:
        return f"need one row per document, {source} has one per filter ({', '.join(filters)}); choose with --filter"
    name = f"{task}/{key}" if task else key
    return f"need every document once, rows {first} and {second} of {source} are both {name}"


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))  # spreadsheets keep whole numbers as floats
    return str(value) if isinstance(value, int) else json.dumps(value, sort_keys=True, default=str)


def _short(value: Any) -> str:
    """A name of the unit; pictures that stand in the table itself become their digest."""
    if isinstance(value, (list, tuple)) and len(value) == 1:
        value = value[0]
    text = _text(value) if value not in ([], ()) else ""
    return text if len(text) <= _LONG else hashlib.sha256(text.encode()).hexdigest()
