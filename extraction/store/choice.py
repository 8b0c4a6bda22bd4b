"""Which tokens of a sample are stored: the bottom k of a hash, so that batches, order and shards do not matter."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

from redundancy.checks import to_numpy

__all__ = ["choose_tokens", "in_part"]


def choose_tokens(sample_id: str, positions: npt.ArrayLike, k: int, *, seed: int = 0) -> npt.NDArray[np.int64]:
    """Return at most k of the positions, sorted: those with the smallest hash of seed, sample id and position.

    Parameters
    ----------
    sample_id : str
    positions : array_like of int
        Candidates, counted from the first valid token, so that padding does not matter.
    k : int
    seed : int, default=0

    Returns
    -------
    ndarray of int64
        At most k positions, sorted.

    Notes
    -----
    A token is chosen whatever else the sample is batched with, and a larger k only adds tokens.

    Examples
    --------
    >>> set(choose_tokens("a", range(100), 4)) < set(choose_tokens("a", range(100), 8))
    True
    """
    candidates = to_numpy(positions, "positions").astype(np.int64).ravel()
    key = int.from_bytes(hashlib.blake2b(sample_id.encode(), digest_size=8, key=_key(seed)).digest(), "little")
    with np.errstate(over="ignore"):
        hashed = _mix(candidates.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(key))
    order = np.lexsort((candidates, hashed))
    return np.sort(candidates[order[:k]])


def in_part(sample_id: str, part: tuple[int, int]) -> bool:
    """Whether a sample belongs to part i of n, by a hash of its id: parts do not depend on the order of the data.

    Parameters
    ----------
    sample_id : str
        The sample.
    part : tuple of two ints
        (i, n), i from 0.

    Returns
    -------
    bool
        Whether it does.
    """
    digest = hashlib.blake2b(sample_id.encode(), digest_size=8, key=b"skip-it/parts").digest()
    return int.from_bytes(digest, "little") % part[1] == part[0]


def _key(seed: int) -> bytes:
    return b"skip-it/tokens/%d" % seed


def _mix(x: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The finaliser of SplitMix64 (Steele, Lea and Flood 2014)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
