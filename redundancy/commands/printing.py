"""What commands print: text from outside without control characters, and outputs that never replace a file."""

from __future__ import annotations

import re
from pathlib import Path

import typer

from redundancy.errors import InvalidInputError

__all__ = ["echo", "printable", "refuse_existing"]

# Escape sequences of terminals (ECMA-48), then control characters but tab and line feed, then marks that turn the
# direction of the text that follows them.
_SEQUENCE = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[PX^_][^\x1b]*(?:\x1b\\)?|[ -/]*[0-~])"
)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    r"""Text as a terminal can show it and act on none of it; names that are no Unicode are shown with escapes.

    Parameters
    ----------
    text : str
        From a file, a path or a model.

    Returns
    -------
    str

    Examples
    --------
    >>> printable("plain \x1b[31mred\x1b[0m \x07bell")
    'plain red bell'
    """
    whole = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return _CONTROL.sub("", _SEQUENCE.sub("", whole))


def echo(text: object = "", *, err: bool = False, nl: bool = True) -> None:
    """Print a line of a command's result, or with `err` of its commentary, as `printable`.

    Parameters
    ----------
    text : object
        The line or lines.
    err : bool, default=False
        To the error stream.
    nl : bool, default=True
        End the line.
    """
    typer.echo(printable(str(text)), err=err, nl=nl)


def refuse_existing(path: Path | None, what: str = "output", option: str = "--out", *, is_folder: bool = False) -> None:
    """Refuse an output that is there already, or whose folder is not.

    Parameters
    ----------
    path : Path or None
        The output, if one was asked for.
    what : str
        What it is, for the sentence.
    option : str
        The flag that names it.
    is_folder : bool, default=False
        Whether it is a folder, which is made with those above it.

    Raises
    ------
    InvalidInputError
        Before anything is computed.
    """
    if path is None:
        return
    if path.exists() or path.is_symlink():
        raise InvalidInputError(f"need {what} that does not exist yet, {path} does; choose another {option}")
    if not is_folder and not path.parent.is_dir():
        raise InvalidInputError(f"need a folder to write {path} into, {path.parent} does not exist; make it first")
