"""Files that are whole or not there."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from redundancy.errors import InvalidInputError, StoreError

__all__ = ["append_text", "write_new", "write_text", "write_whole"]

_STALE = 3600.0  # seconds; no write of one file takes as long
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # full disk, quota, limit on the size of files


def write_text(path: Path, text: str) -> None:
    """`write_whole` for UTF-8 text.

    Parameters
    ----------
    path : Path
        The file.
    text : str
        All of its content.
    """
    write_whole(path, [text.encode()])


def write_new(path: Path, text: str) -> None:
    """`write_text` for a file that must be new, also if another process makes it a moment before.

    Parameters
    ----------
    path : Path
        The file.
    text : str
        All of its content.

    Raises
    ------
    InvalidInputError
        If it exists.
    """
    write_whole(path, [text.encode()], new=True)


def append_text(path: Path, text: str) -> None:
    """Add UTF-8 text to a file; it is on disk when this returns. A kill on the way leaves at most a line cut short.

    Parameters
    ----------
    path : Path
        Made if it does not exist.
    text : str
        Whole lines.

    Raises
    ------
    StoreError
        If the file cannot be written.
    """
    try:
        with path.open("ab") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise StoreError(f"need to write {path}, got: {error.strerror}; check the folder and free space") from error


def write_whole(path: Path, parts: Iterable[Any], *, new: bool = False) -> None:
    """Write bytes whole or not at all, also when the process is killed.

    Temporary file in the same folder, fsync, rename, fsync of the folder. Temporary files that a killed process left
    for the same target are swept when they are an hour old.

    Parameters
    ----------
    path : Path
        Replaced if it exists.
    parts : iterable of bytes-like
        Contents, one after another.
    new : bool, default=False
        Refuse to replace a file.

    Raises
    ------
    InvalidInputError
        If it exists and must not.
    StoreError
        If the file cannot be written.
    """
    temporary = None
    try:
        _sweep(path)
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)  # mkstemp makes files that only the owner reads
        if new:
            os.link(temporary, path)  # fails if the file exists
        else:
            os.replace(temporary, path)
            temporary = None
        with contextlib.suppress(OSError):  # some file systems cannot sync a folder; the rename stands
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
    except FileExistsError:
        raise InvalidInputError(f"need a file that does not exist yet, {path} does; choose another name") from None
    except OSError as error:
        if error.errno in _FULL:
            raise StoreError(
                f"need room to write {path}, got: {error.strerror}; earlier files are whole: make room and go on"
            ) from error
        raise StoreError(f"need to write {path}, got: {error.strerror}; check the folder and free space") from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


def _sweep(path: Path) -> None:
    """Remove temporary files of this target that no process is writing any more."""
    oldest = time.time() - _STALE
    with os.scandir(path.parent) as entries:
        for entry in entries:
            if entry.name.startswith(f".{path.name}.") and entry.name.endswith(".tmp"):
                with contextlib.suppress(OSError):  # another process was quicker
                    if entry.stat(follow_symlinks=False).st_mtime < oldest:
                        os.unlink(entry.path)
