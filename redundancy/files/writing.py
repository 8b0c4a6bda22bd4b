"""Files that are whole or not there."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from redundancy.errors import StoreError

__all__ = ["append_text", "write_text", "write_whole"]

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


def write_whole(path: Path, parts: Iterable[Any]) -> None:
    """Write bytes whole or not at all, also when the process is killed.

    Temporary file in the same folder, fsync, rename, fsync of the folder.

    Parameters
    ----------
    path : Path
        Replaced if it exists.
    parts : iterable of bytes-like
        Contents, one after another.

    Raises
    ------
    StoreError
        If the file cannot be written.
    """
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)  # mkstemp makes files that only the owner reads
        os.replace(temporary, path)
        temporary = None
        with contextlib.suppress(OSError):  # some file systems cannot sync a folder; the rename stands
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
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
