"""One lock per folder of results: a second process is told, and whatever ends the first gives the folder back."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from redundancy.errors import InvalidInputError, StoreError

if TYPE_CHECKING:
    from filelock import BaseFileLock

__all__ = ["LOCK_NAME", "lock_folder", "sweep_strays"]

LOCK_NAME = ".lock"


def lock_folder(path: str | os.PathLike[str]) -> BaseFileLock | None:
    """Lock a folder for this process until the lock is released or the process ends, however that happens.

    Parameters
    ----------
    path : path-like
        The folder, which must exist.

    Returns
    -------
    filelock.BaseFileLock or None
        To be released; None on a file system that cannot lock, where two runs in one folder are the user's to avoid.

    Raises
    ------
    InvalidInputError
        If another process, or another run in this one, is at work in the folder.
    StoreError
        If the folder cannot be written.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(Path(path) / LOCK_NAME, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise InvalidInputError(
            f"need {path} for one process, another is at work in it; wait for it, or choose another folder"
        ) from None
    except NotImplementedError:
        return None
    except OSError as error:
        raise StoreError(f"need a folder that can be written, {path} gives: {error.strerror}") from error
    return lock


def sweep_strays(path: Path) -> list[Path]:
    """Delete what a killed writer left in a locked folder; return the other files there, the lock aside."""
    others = []
    for file in sorted(path.iterdir()):
        if file.name.startswith(".") and file.name.endswith(".tmp"):
            file.unlink(missing_ok=True)
        elif file.name != LOCK_NAME:
            others.append(file)
    return others
