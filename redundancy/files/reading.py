"""Read stored files: whatever a path or its content does wrong becomes one sentence."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from redundancy.errors import InvalidInputError, SkipItError, StoreError

__all__ = [
    "UNFIT",
    "causes",
    "parse_json",
    "read_bytes",
    "read_json",
    "read_text",
    "reading",
    "regular_file",
    "unique_keys",
]

# What Python and numpy raise when content has not the form that its reader takes for granted.
UNFIT = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError, MemoryError)
_DEEPEST = 200  # levels of nesting; what this library writes has fewer than 20


@contextmanager
def reading(schema: str) -> Iterator[None]:
    """Turn whatever misshapen content raises into one sentence.

    A digest shows only that the content is what was stored, and anybody can compute one.

    Parameters
    ----------
    schema : str
        What is read.

    Yields
    ------
    None

    Raises
    ------
    StoreError
        In place of the error that the content gave rise to.
    """
    try:
        yield
    except InvalidInputError as error:  # stored content is to blame, and no argument of the reader
        raise StoreError(f"need a record of schema {schema}, got one that does not fit it: {error}") from None
    except SkipItError:
        raise
    except KeyError as error:
        raise StoreError(f"need a record of schema {schema}, got one that lacks {error}") from None
    except UNFIT as error:
        raise StoreError(f"need a record of schema {schema}, got one that does not fit it: {causes(error)}") from None


def causes(error: BaseException) -> str:
    """The messages of an error and of all errors that it came from, on one line, each once.

    Parameters
    ----------
    error : BaseException
        From any library.

    Returns
    -------
    str
        Names of the kinds stand in for empty messages.
    """
    texts: list[str] = []
    seen: BaseException | None = error
    while seen is not None and len(texts) < 10:
        text = " ".join(str(seen).split()) or type(seen).__name__
        if not any(text in known for known in texts):
            texts.append(text)
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)
    return "; because: ".join(texts)


def regular_file(path: str | os.PathLike[str], what: str) -> Path:
    """The path, if it names a file; pipes and devices, whose reading need not end, are refused.

    Parameters
    ----------
    path : path-like
        The candidate.
    what : str
        What it should be, for the sentence, as "a certificate".

    Returns
    -------
    Path

    Raises
    ------
    StoreError
        If there is no such file.
    """
    place = Path(path)
    try:
        if place.is_file():
            return place
        if place.is_dir():
            why = "a folder"
        else:
            place.stat()
            why = "neither a file nor a folder"
    except (OSError, ValueError) as error:
        raise StoreError(f"need {what}, {place} gives: {getattr(error, 'strerror', None) or error}") from None
    raise StoreError(f"need {what}, {place} is {why}; name a file")


def read_bytes(path: str | os.PathLike[str], what: str) -> bytes:
    """Content of a file.

    Parameters
    ----------
    path : path-like
        The file.
    what : str
        What it should be, for the sentence.

    Returns
    -------
    bytes

    Raises
    ------
    StoreError
        If it is no file or cannot be read.
    """
    place = regular_file(path, what)
    try:
        return place.read_bytes()
    except (OSError, MemoryError) as error:
        raise StoreError(f"need {what}, {place} gives: {getattr(error, 'strerror', None) or causes(error)}") from error


def read_text(path: str | os.PathLike[str], what: str) -> str:
    """Content of a text file in UTF-8, without the byte order mark that some editors put in front.

    Parameters
    ----------
    path : path-like
        The file.
    what : str
        What it should be, for the sentence.

    Returns
    -------
    str

    Raises
    ------
    StoreError
        If it is no file, cannot be read, or is not UTF-8.
    """
    try:
        return read_bytes(path, what).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise StoreError(f"need {what} in UTF-8, {path} is none: {error}; save it as UTF-8") from None


def parse_json(text: str, place: object, what: str) -> Any:
    """The value of a JSON text; NaN, Infinity and a key twice, which Python's parser takes, are refused.

    Parameters
    ----------
    text : str
        The text.
    place : object
        Where it comes from, for the sentence.
    what : str
        What it should be, for the sentence.

    Returns
    -------
    object

    Raises
    ------
    StoreError
        If the text does not parse, or is nested deeper than any result.
    """
    try:
        tree = json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=unique_keys)
        if _is_deep(tree):
            raise RecursionError(f"more than {_DEEPEST} levels of nesting")
    except (ValueError, RecursionError, MemoryError) as error:
        raise StoreError(f"need {what} as JSON, {place} does not parse: {causes(error)}") from None
    return tree


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON whose keys differ, for `json.loads`; its own choice is the last of equal ones.

    Parameters
    ----------
    pairs : list of (str, object)
        In the order of the text.

    Returns
    -------
    dict

    Raises
    ------
    ValueError
        If a key comes twice.
    """
    tree = dict(pairs)
    if len(tree) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(n for n in names if names.count(n) > 1)!r:.60} comes twice in one object")
    return tree


def read_json(path: str | os.PathLike[str], what: str) -> Any:
    """The value of a JSON file.

    Parameters
    ----------
    path : path-like
        The file.
    what : str
        What it should be, for the sentence.

    Returns
    -------
    object

    Raises
    ------
    StoreError
        If it is no file, cannot be read, or is not JSON.
    """
    return parse_json(read_text(path, what), path, what)


def _is_deep(tree: Any) -> bool:
    """Whether what reads a tree level by level could run out of stack."""
    level = [tree]
    for _ in range(_DEEPEST):
        nodes = [node.values() if isinstance(node, dict) else node for node in level if isinstance(node, (dict, list))]
        level = [part for node in nodes for part in node]
        if not level:
            return False
    return True


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON, undefined values are written as null")
