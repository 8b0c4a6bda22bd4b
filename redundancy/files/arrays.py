"""Open arrays of .npy, .npz, .safetensors and text files, memory-mapped where the format allows it."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from redundancy.errors import InvalidInputError, StoreError
from redundancy.files.reading import causes, read_text, regular_file
from redundancy.files.tensors import read_header

__all__ = ["open_array"]

_KIND = "an intact array file without pickled objects"
_TABLES = {".csv": ",", ".tsv": "\t"}
_NAMED = (".npz", ".safetensors", *_TABLES)


def open_array(place: str | os.PathLike[str], *, column: str | None = None) -> Any:
    """Open one array; ``file.npz:name``, ``file.safetensors:name`` or ``file.csv:name`` picks one of several.

    Parameters
    ----------
    place : path-like
        .npy and .safetensors are memory-mapped, .npz is read. A .txt file gives a string per line, a .csv or .tsv
        file of one column a string per row; of several columns one is named, or numbered from 1 if no row is a
        heading.
    column : str, optional
        The same as a name after the colon.

    Returns
    -------
    ndarray, or `redundancy.files.tensors.BFloat16Array` for bfloat16 tensors

    Raises
    ------
    StoreError
        If the file is missing, torn, or of another kind.
    InvalidInputError
        If the file holds several arrays or columns and none is named, or not the one that is.
    """
    path, name = Path(place), column
    head, colon, tail = os.fspath(place).rpartition(":")
    if colon and not path.exists() and Path(head).suffix.lower() in _NAMED:
        path, name = Path(head), tail
    suffix = path.suffix.lower()
    if suffix not in (".npy", ".txt", *_NAMED):
        raise StoreError(f"need an array in .npy, .npz, .safetensors or (for ids) .txt, .csv or .tsv, got {path}")
    if name is not None and suffix not in _NAMED:
        raise InvalidInputError(f"need a file of several arrays or columns to choose {name!r} from, got {path}")
    regular_file(path, "a readable array file")
    if suffix == ".txt":
        return _lines(path)
    if suffix in _TABLES:
        return _column(path, _TABLES[suffix], name)
    if suffix == ".safetensors":
        header = read_header(path)
        return header.mapped(_choose(list(header.places), name, path))
    try:
        if suffix == ".npy":
            return np.load(path, mmap_mode="r", allow_pickle=False)
        with np.load(path, allow_pickle=False) as archive:
            return archive[_choose(list(archive.files), name, path)]
    except OSError as error:
        raise StoreError(f"need a readable array file, {path} gives: {error.strerror or error}") from error
    except InvalidInputError:
        raise
    except Exception as error:  # of numpy, zipfile, zlib, and of Python's tokenizer, which reads headers of .npy
        raise StoreError(f"need {_KIND}, {path} gives: {causes(error)}") from error


def _choose(names: list[str], wanted: str | None, path: Path) -> str:
    if wanted is None and len(names) == 1:
        return names[0]
    if wanted not in names:
        what = "no name was given" if wanted is None else f"{wanted!r} was asked for"
        raise InvalidInputError(f"need the name of one array, as {path.name}:NAME, out of {sorted(names)}; {what}")
    return str(wanted)


def _lines(path: Path) -> npt.NDArray[np.str_]:
    text = read_text(path, "one value a line").replace("\r\n", "\n").replace("\r", "\n")
    lines = text.removesuffix("\n").split("\n") if text else []
    if lines and all("\t" in line.rstrip() for line in lines):
        raise InvalidInputError(
            f"need one value a line, every line of {path.name} has a tab: name it .tsv, and choose a column"
        )
    return np.array(lines, dtype=np.str_)


def _column(path: Path, separator: str, name: str | None) -> npt.NDArray[np.str_]:
    """One column of a table; a heading is a heading only where a column is named by it."""
    rows = [(number, row) for number, row in table_rows(path, separator) if row]
    if not rows:
        raise InvalidInputError(f"need rows, {path.name} has none")
    first = [cell.strip() for cell in rows[0][1]]
    odd = next((number for number, row in rows if len(row) != len(first)), None)
    if odd is not None:
        raise InvalidInputError(f"need rows of one length, line {odd} of {path.name} has not {len(first)} cells")
    if name is None:
        if len(first) > 1:
            raise InvalidInputError(
                f"need one column, {path.name} has {len(first)}, its first row is {first[:8]}; choose one as "
                f"{path.name}:NAME of the heading, or {path.name}:NUMBER from 1 without one"
            )
        place, start = 0, 0
    elif first.count(name) == 1:
        place, start = first.index(name), 1
    elif name.isdecimal() and 1 <= int(name) <= len(first):
        place, start = int(name) - 1, 0
    else:
        raise InvalidInputError(f"need the name of one column out of {first[:20]} of {path.name}, got {name!r}")
    return np.array([row[place] for _, row in rows[start:]], dtype=np.str_)


def table_rows(path: Path, separator: str) -> list[tuple[int, list[str]]]:
    """Line number and cells of every row of a text table (RFC 4180, any line ends).

    Parameters
    ----------
    path : Path
        The file, in UTF-8.
    separator : str
        Between cells.

    Returns
    -------
    list of (int, list of str)

    Raises
    ------
    StoreError
        If it cannot be read or does not parse.
    """
    reader = csv.reader(io.StringIO(read_text(path, "a table"), newline=""), delimiter=separator, strict=True)
    try:
        return [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise StoreError(f"need a table, line {reader.line_num} of {path.name} does not parse: {error}") from None
