"""Codes of two layers in one alphabet, row by row the same token, with the image of each row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from estimators.folds import image_folds
from redundancy.checks import as_floats, check_count, to_numpy
from redundancy.distances import check_distances
from redundancy.errors import InvalidInputError
from redundancy.statistics.streaming import ImageIndex, index_images

__all__ = ["CodedPair"]

Whole = npt.NDArray[np.int64]
Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class CodedPair:
    """Codes of a layer pair; made by `CodedPair.of` from codes of one's own, or by `Codebook.encode_pair`.

    Attributes
    ----------
    prev, next : ndarray of shape (n_tokens,), int64
        In 0..n_codes-1.
    index : ImageIndex
        Image of each row; images are the independent units.
    n_codes : int
        K, the size of the alphabet of both layers, fixed on other data.
    distances : ndarray of shape (K, K), or None
        Distance between codes, symmetric; what balls and distance laws need.
    source : str
        Where the alphabet comes from, as "codebook 3fa1...".
    """

    prev: Whole
    next: Whole
    index: ImageIndex
    n_codes: int
    distances: Array | None
    source: str

    @classmethod
    def of(
        cls,
        prev: npt.ArrayLike,
        next: npt.ArrayLike,
        ids: npt.ArrayLike,
        *,
        n_codes: int,
        distances: npt.ArrayLike | None = None,
        source: str = "given by the user",
    ) -> CodedPair:
        """Check codes of one's own.

        Parameters
        ----------
        prev, next : array_like of int, shape (n_tokens,)
        ids : array_like of shape (n_tokens,)
        n_codes : int
            K >= 2, declared: the largest code seen proves nothing about the alphabet.
        distances : array_like of shape (K, K), optional
        source : str

        Raises
        ------
        InvalidInputError
            For codes that are no integers of 0..K-1, layers of different length, or distances of another shape.

        Examples
        --------
        >>> pair = CodedPair.of([0, 1, 1], [0, 1, 0], ["a", "a", "b"], n_codes=2)
        >>> pair.table().tolist()
        [[1, 1], [0, 1]]
        """
        size = check_count(n_codes, "n_codes", lower=2)
        columns = []
        for name, given in (("prev", prev), ("next", next)):
            codes = to_numpy(given, name)
            if codes.ndim != 1 or codes.size == 0 or codes.dtype.kind not in "iu":
                raise InvalidInputError(
                    f"need integer codes of shape (n_tokens >= 1,) in {name}, got dtype {codes.dtype} and shape "
                    f"{codes.shape}"
                )
            if int(codes.min()) < 0 or int(codes.max()) >= size:
                raise InvalidInputError(
                    f"need codes in 0..{size - 1} in {name}, got a range of {codes.min()} to {codes.max()}"
                )
            columns.append(codes.astype(np.int64))
        if columns[0].shape != columns[1].shape:
            raise InvalidInputError(
                f"need codes of the same tokens at both layers, got {len(columns[0])} and {len(columns[1])}"
            )
        table = None
        if distances is not None:
            table = check_distances(distances)
            if len(table) != size:
                raise InvalidInputError(f"need distances of shape ({size}, {size}), got {table.shape}")
        return cls(columns[0], columns[1], index_images(ids, len(columns[0])), size, table, source)

    @property
    def n_tokens(self) -> int:
        """Rows."""
        return len(self.prev)

    @property
    def n_images(self) -> int:
        """Independent units."""
        return len(self.index.names)

    def cells(self) -> tuple[Whole, Whole, Whole]:
        """Occupied cells of the joint table: next codes, previous codes, and how often they occur together."""
        cell, counts = np.unique(self.next * self.n_codes + self.prev, return_counts=True)
        return cell // self.n_codes, cell % self.n_codes, counts.astype(np.int64)

    def images_per_cell(self) -> Whole:
        """In how many images each occupied cell of the joint table occurs."""
        cell = (self.next * self.n_codes + self.prev) * self.n_images + self.index.rows
        return np.unique(np.unique(cell) // self.n_images, return_counts=True)[1].astype(np.int64)

    def table(self) -> Whole:
        """Joint counts with axes (next, prev), shape (K, K)."""
        flat = np.bincount(self.next * self.n_codes + self.prev, minlength=self.n_codes**2)
        return np.asarray(flat.reshape(self.n_codes, self.n_codes), dtype=np.int64)

    def image_sums(self, values: npt.ArrayLike) -> Array:
        """Sum of a value per token over the tokens of each image, shape (n_images,)."""
        weights = as_floats(values, "values")
        return np.bincount(self.index.rows, weights=weights, minlength=self.n_images).astype(np.float64)

    def of_images(self, keep: npt.NDArray[np.bool_]) -> CodedPair:
        """The rows of some images, in the same order."""
        rows = np.flatnonzero(keep[self.index.rows])
        if not rows.size:
            raise InvalidInputError("need at least one image to keep, got none")
        number = np.cumsum(keep) - 1
        names = tuple(name for name, kept in zip(self.index.names, keep, strict=True) if kept)
        index = ImageIndex(names, number[self.index.rows[rows]])
        return CodedPair(self.prev[rows], self.next[rows], index, self.n_codes, self.distances, self.source)

    def split(self, shares: tuple[int, ...], *, random_state: int) -> tuple[CodedPair, ...]:
        """Parts by image, in proportion to whole `shares`, by a hash of the names: order of rows does not matter."""
        folds = image_folds(
            np.array(self.index.names)[self.index.rows],
            self.n_tokens,
            folds=sum(shares),
            random_state=random_state,
            per_fold=1,
        )
        ends = np.cumsum(shares)
        part = np.searchsorted(ends, folds.fold, side="right")
        return tuple(self.of_images(part == i) for i in range(len(shares)))

    def groups(self, n: int) -> Iterator[tuple[int, CodedPair]]:
        """The pair without each of n groups of images in turn, for the jackknife."""
        group = np.arange(self.n_images) % n
        for i in range(n):
            yield i, self.of_images(group != i)
