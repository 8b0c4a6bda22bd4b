"""Merge the statistics files of many shards: read side by side, every check kept, the same result in any order."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from redundancy.errors import InvalidInputError
from redundancy.statistics.harvest_statistics import HarvestStatistics

__all__ = ["merge_files"]

_LARGE = 1 << 20  # bytes of a file from which reading and hashing outweigh the interpreter's own work


def merge_files(paths: Sequence[str | os.PathLike[str]]) -> HarvestStatistics:
    """Load and merge statistics files; each is checked by its digest and for consistency as `load` does.

    Pooled sums are added in the order of the files' first sample ids, so the result does not depend, to the last
    bit, on the order in which the files are named.

    Parameters
    ----------
    paths : sequence of path-like
        At least one.

    Returns
    -------
    HarvestStatistics

    Raises
    ------
    StoreError
        If a file is missing, torn, altered, or no statistics file.
    InvalidInputError
        If declarations differ, or a sample is in two files.

    Notes
    -----
    Memory: the rows of all samples and the pooled arrays of every file; the means of the centred distance, which
    are the largest array of a wide model, are held once.
    """
    if not paths:
        raise InvalidInputError("need at least one statistics file to merge, got none")
    is_large = os.path.exists(paths[0]) and os.path.getsize(paths[0]) >= _LARGE
    first = HarvestStatistics.load(paths[0])

    def load(path: str | os.PathLike[str]) -> HarvestStatistics:
        state = HarvestStatistics.load(path)
        means, shared = state._arrays["shift"], first._arrays["shift"]
        if state.spec == first.spec and np.array_equal(means, shared):
            state._arrays["shift"] = shared
        return state

    if is_large:  # reading and hashing leave the interpreter to other threads
        with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
            others = list(pool.map(load, paths[1:]))
    else:
        others = [load(path) for path in paths[1:]]
    states = [first, *others]
    order = np.argsort([state.sample_ids[0] if state.sample_ids else "" for state in states], kind="stable")
    return HarvestStatistics.merge_all([states[i] for i in order])
