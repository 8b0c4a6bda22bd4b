"""Give pages of memory-mapped arrays back once they are read, so that a pass over a large file stays small."""

from __future__ import annotations

import mmap
from typing import Any

import numpy as np

__all__ = ["Pages"]

_ADVICE = getattr(mmap, "MADV_DONTNEED", None)  # Linux; elsewhere the system alone decides


class Pages:
    """The pages behind a read-only memory-mapped array, by row; does nothing for any other array.

    Parameters
    ----------
    array : object
        If it is a C-ordered `numpy.memmap` of mode "r", or holds one as `bits`, `release` works.

    Notes
    -----
    The file's contents stay in the page cache of the system; reading a released row again costs a page fault
    and no more. Maps of mode "c" are left alone, as releasing one would forget what was written to it.
    """

    def __init__(self, array: Any) -> None:
        self._map: mmap.mmap | None = None
        states = getattr(array, "bits", array)
        if _ADVICE is None or not isinstance(states, np.memmap) or states.mode != "r" or states.ndim == 0:
            return
        owner: Any = states
        while isinstance(owner, np.ndarray):
            owner = owner.base
        if isinstance(owner, mmap.mmap) and states.flags.c_contiguous:
            self._map = owner
            self._start = states.ctypes.data - np.frombuffer(owner, dtype=np.uint8).ctypes.data
            self._row = states.nbytes // max(1, len(states))
            self._rows = len(states)

    def release(self, start: int = 0, stop: int | None = None) -> None:
        """Give back the pages that lie wholly inside rows [start, stop)."""
        if self._map is None or _ADVICE is None:
            return
        first = self._start + start * self._row
        last = self._start + (self._rows if stop is None else stop) * self._row
        first, last = -(-first // mmap.PAGESIZE) * mmap.PAGESIZE, last // mmap.PAGESIZE * mmap.PAGESIZE
        if last > first:
            self._map.madvise(_ADVICE, first, last - first)
