"""K-means in rounds over growing samples: matrix products only, in numpy or on a torch device.

A round assigns a sample and moves every code to the direction of its members' sum; the sample grows from round
to round, so that early rounds, when codes are far from their place, are cheap (Newling and Fleuret 2016).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from redundancy.errors import InvalidInputError, MissingExtraError

__all__ = ["Engine", "engine_for", "greedy_seeds", "kmeans", "unit_rows"]

Array = npt.NDArray[np.float32]
Codes = npt.NDArray[np.int32]

_CHUNK = 4096  # rows per product: the similarities of 4096 rows to 1024 codes are 16 MB
_SEED_ROWS = 4096  # rows among which the first codes are sought, 2 per code at least; their Gram matrix has 64 MB


def unit_rows(rows: npt.NDArray[Any], name: str, *, start: int = 0) -> Array:
    """Rows of length 1 as float32.

    Parameters
    ----------
    rows : ndarray of shape (n, d)
    name : str
        Of the array, for errors.
    start : int
        Number of the first row, for errors.

    Returns
    -------
    ndarray of float32
        Of the shape of `rows`.

    Raises
    ------
    InvalidInputError
        If a row is zero (it has no direction) or not finite; the first is named.
    """
    x = np.array(rows, dtype=np.float32, order="C")
    # Scaled first: squares of large half-precision states overflow even in float32.
    largest = np.maximum(x.max(axis=1), -x.min(axis=1))
    bad = np.flatnonzero(~(np.isfinite(largest) & (largest > 0.0)))
    if bad.size:
        what = "a zero row has no direction" if largest[bad[0]] == 0.0 else "NaN or infinity cannot be coded"
        raise InvalidInputError(
            f"need finite non-zero rows in {name}, got {bad.size} others, the first is row {start + bad[0]}; {what}, "
            "drop these tokens and say so"
        )
    x /= largest[:, None]
    x /= np.sqrt(np.einsum("ij,ij->i", x, x))[:, None]
    return x


class Engine(Protocol):
    """Where the products are done."""

    def assign(self, rows: Array, codes: Array, offsets: Array | None = None) -> tuple[Codes, Array]:
        """Code with the largest inner product (less its offset) with each row, and that number."""

    def assign_and_sum(self, rows: Array, codes: Array, offsets: Array | None = None) -> tuple[Codes, Array, Array]:
        """`assign`, and the sum of the rows of each code, shape (k, d)."""


class _Numpy:
    def assign(self, rows: Array, codes: Array, offsets: Array | None = None) -> tuple[Codes, Array]:
        labels, best = np.empty(len(rows), dtype=np.int32), np.empty(len(rows), dtype=np.float32)
        products = np.empty((min(_CHUNK, len(rows)), len(codes)), dtype=np.float32)
        for start in range(0, len(rows), _CHUNK):
            part = rows[start : start + _CHUNK]
            block = np.matmul(part, codes.T, out=products[: len(part)])
            if offsets is not None:
                block -= offsets
            found = block.argmax(axis=1)
            labels[start : start + _CHUNK] = found
            best[start : start + _CHUNK] = block[np.arange(len(part)), found]
        return labels, best

    def assign_and_sum(self, rows: Array, codes: Array, offsets: Array | None = None) -> tuple[Codes, Array, Array]:
        from scipy.sparse import csr_array

        labels, best = self.assign(rows, codes, offsets)
        order = np.argsort(labels, kind="stable")
        ends = np.concatenate([[0], np.cumsum(np.bincount(labels, minlength=len(codes)))])
        members = csr_array((np.ones(len(rows), dtype=np.float32), order, ends), shape=(len(codes), len(rows)))
        return labels, best, np.asarray(members @ rows, dtype=np.float32)


class _Torch:
    def __init__(self, device: str) -> None:
        try:
            import torch
        except ImportError as error:
            raise MissingExtraError(
                f'codes on the device {device!r} need torch: pip install "skip-it[extract]", or leave device=None'
            ) from error
        self._torch = torch
        try:
            self._device = torch.device(device)
            torch.zeros(1, device=self._device)
        except (RuntimeError, AssertionError) as error:
            raise InvalidInputError(
                f"need a usable torch device, {device!r} gives: {str(error).splitlines()[0]}"
            ) from None
        self._chunk = _CHUNK if self._device.type == "cpu" else 16 * _CHUNK

    def assign(self, rows: Array, codes: Array, offsets: Array | None = None) -> tuple[Codes, Array]:
        labels, best, _ = self._run(rows, codes, offsets, with_sums=False)
        return labels, best

    def assign_and_sum(self, rows: Array, codes: Array, offsets: Array | None = None) -> tuple[Codes, Array, Array]:
        return self._run(rows, codes, offsets, with_sums=True)

    def _run(self, rows: Array, codes: Array, offsets: Array | None, *, with_sums: bool) -> tuple[Codes, Array, Array]:
        torch = self._torch
        table = torch.tensor(codes, device=self._device)
        less = None if offsets is None else torch.tensor(offsets, device=self._device)
        sums = torch.zeros_like(table)
        labels, best = np.empty(len(rows), dtype=np.int32), np.empty(len(rows), dtype=np.float32)
        with torch.inference_mode():
            for start in range(0, len(rows), self._chunk):
                part = torch.from_numpy(rows[start : start + self._chunk]).to(self._device)
                scores = part @ table.T
                value, found = (scores if less is None else scores - less).max(dim=1)
                if with_sums:
                    sums.index_add_(0, found, part)
                labels[start : start + self._chunk] = found.to(torch.int32).cpu().numpy()
                best[start : start + self._chunk] = value.cpu().numpy()
        return labels, best, sums.cpu().numpy()


def engine_for(device: str | None) -> Engine:
    """BLAS for None, else torch on that device ("cpu", "cuda", "cuda:1", "mps").

    Parameters
    ----------
    device : str or None
        Torch device.

    Returns
    -------
    Engine
        Where the products are computed.
    """
    return _Numpy() if device is None else _Torch(device)


def greedy_seeds(rows: Array, k: int, rng: np.random.Generator) -> npt.NDArray[np.intp]:
    """Rows of a sample to start from: k-means++ with 2 + ln k candidates a step, on one Gram matrix.

    Parameters
    ----------
    rows : ndarray of shape (n, n_features)
        The sample.
    k : int
        How many.
    rng : Generator
        Source of chance.

    Returns
    -------
    ndarray of int, shape (k,)
        Row numbers.

    References
    ----------
    .. [1] Arthur and Vassilvitskii (2007), k-means++: the advantages of careful seeding.
    """
    gram = rows @ rows.T
    squares = gram.diagonal().copy()
    trials = 2 + int(np.log(k))
    chosen = np.empty(k, dtype=np.intp)
    chosen[0] = rng.integers(len(rows))
    distance = np.maximum(squares + squares[chosen[0]] - 2.0 * gram[chosen[0]], 0.0)
    for step in range(1, k):
        cumulative = np.cumsum(distance, dtype=np.float64)
        if cumulative[-1] <= 0.0:  # fewer distinct rows than codes: any row will do
            chosen[step:] = rng.integers(len(rows), size=k - step)
            break
        candidates = np.searchsorted(cumulative, rng.random(trials) * cumulative[-1], side="right")
        candidates = np.minimum(candidates, len(rows) - 1)
        apart = np.maximum(squares + squares[candidates, None] - 2.0 * gram[candidates], 0.0)
        closer = np.minimum(distance, apart)
        best = int(closer.sum(axis=1).argmin())
        chosen[step], distance = candidates[best], closer[best]
    return chosen


def kmeans(
    take: Callable[[npt.NDArray[np.intp]], Array],
    n_rows: int,
    k: int,
    *,
    rng: np.random.Generator,
    engine: Engine,
    spherical: bool = True,
    rows_per_code: int = 256,
    rounds: int = 16,
    progress: Callable[[int], object] | None = None,
) -> tuple[Array, int]:
    """Codes that are close to the rows.

    More than eight parameters: data, size, engine and schedule are set apart from each other.

    Parameters
    ----------
    take : callable
        Gives float32 rows by their sorted numbers; unit rows if `spherical`.
    n_rows, k : int
        Rows that there are, and codes.
    rng : numpy.random.Generator
    engine : Engine
    spherical : bool, default=True
        Unit codes by cosine, else means by Euclidean distance.
    rows_per_code : int
        Largest sample, in rows per code; more rows lower the distortion by about 1 part in rows per code.
    rounds : int
        Rounds over growing samples.
    progress : callable, optional
        Called with 1 after each round.

    Returns
    -------
    codes : ndarray of shape (k, d)
    n_used : int
        Rows of the largest sample.
    """
    largest = min(n_rows, max(k * rows_per_code, 2 * _SEED_ROWS))
    smallest = min(largest, max(16 * k, _SEED_ROWS))
    permutation = rng.permutation(n_rows)
    sizes = np.geomspace(smallest, largest, rounds).round().astype(int) if rounds > 1 else np.array([largest])
    sample = np.sort(permutation[: min(n_rows, max(_SEED_ROWS, 2 * k))])
    seeds = take(sample)
    codes = np.ascontiguousarray(seeds[greedy_seeds(seeds, k, rng)])
    rows, held = np.empty((largest, seeds.shape[1]), dtype=np.float32), 0
    for size in sizes:
        if size > held:
            rows[held:size] = take(np.sort(permutation[held:size]))
            held = int(size)
        offsets = None if spherical else 0.5 * np.einsum("ij,ij->i", codes, codes)
        labels, best, sums = engine.assign_and_sum(rows[:held], codes, offsets)
        codes = _moved(codes, rows[:held], labels, best, sums, spherical=spherical)
        if progress is not None:
            progress(1)
    return codes, held


def _moved(codes: Array, rows: Array, labels: Codes, best: Array, sums: Array, *, spherical: bool) -> Array:
    """Codes at the direction (or mean) of their rows; those without go to the rows that are worst served."""
    members = np.bincount(labels, minlength=len(codes))
    scale = np.sqrt(np.einsum("ij,ij->i", sums, sums)) if spherical else members.astype(np.float32)
    new = np.where(scale[:, None] > 0.0, sums / np.maximum(scale, np.finfo(np.float32).tiny)[:, None], codes)
    empty = np.flatnonzero(members == 0)
    if empty.size:
        poor = best if spherical else best - 0.5 * np.einsum("ij,ij->i", rows, rows)
        worst = np.argpartition(poor, min(empty.size, len(poor) - 1))[: empty.size]
        new[empty[: len(worst)]] = rows[worst]
    return np.ascontiguousarray(new, dtype=np.float32)
