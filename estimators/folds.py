"""Cross-fitting folds over images: an image never falls into two folds, and rows may come in any order."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from redundancy.checks import check_count
from redundancy.errors import InvalidInputError
from redundancy.statistics.streaming import ImageIndex, index_images

__all__ = ["ImageFolds", "image_folds", "streamed_folds"]

Whole = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class ImageFolds:
    """A split of images into folds, and of every image into one of two halves.

    Attributes
    ----------
    index : ImageIndex
        Names of the images and the image of every row.
    rank : ndarray of shape (n_images,)
        Place of every image in the order of the hashes; folds and halves are read off it.
    n_folds : int
    """

    index: ImageIndex
    rank: Whole
    n_folds: int

    @property
    def n_images(self) -> int:
        """Distinct images."""
        return len(self.index.names)

    @property
    def fold(self) -> Whole:
        """Fold 0..n_folds-1 of every image."""
        return np.asarray(self.rank % self.n_folds)

    @property
    def half(self) -> Whole:
        """Half 0 or 1 of every image; each fold holds both halves."""
        return np.asarray((self.rank // self.n_folds) % 2)

    @property
    def row_fold(self) -> Whole:
        """Fold of every row."""
        return np.asarray(self.fold[self.index.rows])

    @property
    def row_half(self) -> Whole:
        """Half of every row."""
        return np.asarray(self.half[self.index.rows])


def image_folds(
    ids: npt.ArrayLike, n_rows: int, *, folds: int = 5, random_state: int = 0, per_fold: int = 2
) -> ImageFolds:
    """Split images into folds of equal size (to one image), by a keyed hash of their names.

    The split depends on the set of names and on `random_state` alone: not on the order of the rows, nor on the
    machine, nor on the number of tokens of an image.

    Parameters
    ----------
    ids : array_like of shape (n_rows,)
        Integers or strings.
    n_rows : int
    folds : int, default=5
        At least 2.
    random_state : int, default=0
    per_fold : int, default=2
        Fewest images of a fold; the double split needs one per half.

    Returns
    -------
    ImageFolds
        Fold of each row; images are whole.

    Raises
    ------
    InvalidInputError
        For fewer than `per_fold` images in each fold, or ids that are not one per row.

    Examples
    --------
    >>> split = image_folds(["a", "b", "c", "d", "a"], 5, folds=2)
    >>> bool(split.row_fold[0] == split.row_fold[4]), sorted(split.fold.tolist())
    (True, [0, 0, 1, 1])
    """
    n_folds = check_count(folds, "folds", lower=2)
    seed = check_count(random_state, "random_state")
    index = index_images(ids, n_rows)
    n_images = len(index.names)
    if n_images < per_fold * n_folds:
        raise InvalidInputError(
            f"need at least {per_fold} image{'s' * (per_fold != 1)} in each of {n_folds} folds, got {n_images} "
            f"image{'s' * (n_images != 1)} (n_samples={n_rows}); pass the image of every row, or ask for fewer folds"
        )
    rank = np.empty(n_images, dtype=np.intp)
    rank[np.argsort([_digest(name, seed) for name in index.names], kind="stable")] = np.arange(n_images)
    return ImageFolds(index=index, rank=rank, n_folds=n_folds)


def streamed_folds(ids: npt.ArrayLike, n_rows: int, *, folds: int = 5, random_state: int = 0) -> Whole:
    """Fold of every row from the name of its image alone, so that blocks may arrive in any order on any machine.

    Folds are equal in size on average only; `image_folds` balances them but must see all names first.

    Parameters
    ----------
    ids : array_like of shape (n_rows,)
        Image of each row.
    n_rows : int
        Number of rows.
    folds : int, default=5
        Number of folds.
    random_state : int, default=0
        Seed.

    Returns
    -------
    ndarray of int, shape (n_rows,)
        Fold of each row.

    Examples
    --------
    >>> first = streamed_folds(["a", "b"], 2)
    >>> bool(first[0] == streamed_folds(["z", "a"], 2)[1])
    True
    """
    n_folds = check_count(folds, "folds", lower=2)
    index = index_images(ids, n_rows)
    buckets = np.array([int(_digest(name, random_state)[:12], 16) % n_folds for name in index.names], dtype=np.intp)
    return np.asarray(buckets[index.rows])


def _digest(name: str, seed: int) -> str:
    return hashlib.blake2b(name.encode(), key=b"skip-it/folds/%d" % seed, digest_size=16).hexdigest()
