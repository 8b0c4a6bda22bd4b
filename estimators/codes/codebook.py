"""One codebook for all layers of a comparison, fitted on other images than it is used on."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from estimators.codes.kmeans import engine_for, kmeans, unit_rows
from estimators.codes.pairs import CodedPair
from estimators.folds import image_folds
from redundancy.checks import as_labels, as_states, check_count, check_real, generator
from redundancy.distances import ball_sizes
from redundancy.errors import InvalidInputError, StoreError
from redundancy.files.tensors import load_tensors, save_tensors
from redundancy.statistics.streaming import index_images

__all__ = ["Codebook", "RowSource", "choose_fit_images", "fit_codebook"]

Array = npt.NDArray[np.float64]

SCHEMA = "skip-it/codebook/1"
_MOST_CODES = 4096
_BLOCK = 8192
_ROUNDING = 1e-6  # of the entries of a unit row


@dataclass(frozen=True)
class Codebook:
    """K unit vectors; a state's code is the one at the smallest cosine distance.

    Made by `fit_codebook`, or of vectors of one's own.

    Parameters
    ----------
    centres : ndarray of shape (K, d), float32
        Unit rows.
    fit_images : frozenset of str
        Images it was fitted on: it refuses to code them, since codes of fitted images certify nothing.
    note : str
        How it was made.
    """

    centres: npt.NDArray[np.float32]
    fit_images: frozenset[str] = frozenset()
    note: str = "given by the user"
    _engines: dict[str | None, Any] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        centres = np.asarray(self.centres)
        if centres.ndim != 2 or len(centres) < 2:
            raise InvalidInputError(f"need centres of shape (K >= 2, d), got shape {centres.shape}")
        unit = unit_rows(centres, "centres")
        # Rows that are of unit norm already keep their bits, and the book its digest.
        if centres.dtype == np.float32 and np.abs(unit - centres).max() <= _ROUNDING:
            unit = np.array(centres)
        unit.setflags(write=False)
        object.__setattr__(self, "centres", unit)
        object.__setattr__(self, "fit_images", frozenset(str(name) for name in self.fit_images))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Codebook) and self.sha256 == other.sha256

    def __hash__(self) -> int:
        return hash(self.sha256)

    @property
    def n_codes(self) -> int:
        """K."""
        return len(self.centres)

    @cached_property
    def sha256(self) -> str:
        """Digest of the centres and the images they were fitted on; goes into every result."""
        digest = hashlib.sha256(repr(self.centres.shape).encode() + self.centres.astype("<f4").tobytes())
        digest.update("\0".join(sorted(self.fit_images)).encode())
        return digest.hexdigest()

    @cached_property
    def distances(self) -> Array:
        """Cosine distance between codes, shape (K, K): symmetric, zero on the diagonal."""
        wide = self.centres.astype(np.float64)
        wide /= np.linalg.norm(wide, axis=1, keepdims=True)
        gram = wide @ wide.T
        table = np.clip(1.0 - 0.5 * (gram + gram.T), 0.0, 2.0)  # rounding only: 1 - cos lies in [0, 2]
        np.fill_diagonal(table, 0.0)
        return table

    def ball_sizes(self, t: float) -> npt.NDArray[np.int64]:
        """N_t: codes within cosine distance t of each code, itself included, for Theorems 3 and 4."""
        return ball_sizes(self.distances, check_real(t, "t", lower=0.0, upper=2.0))

    def is_held_out(self, ids: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Whether each row is of an image that the codebook was not fitted on."""
        names = as_labels(ids, "ids")
        index = index_images(names, len(names))
        fresh = np.array([name not in self.fit_images for name in index.names], dtype=np.bool_)
        return np.asarray(fresh[index.rows])

    def encode(
        self, states: Any, ids: npt.ArrayLike, *, device: str | None = None
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
        """Code of each row, and its cosine distance to that code.

        Parameters
        ----------
        states : array of shape (n_rows, d)
            May be memory-mapped; read in blocks.
        ids : array_like of shape (n_rows,)
            To refuse images that the codebook was fitted on.
        device : str, optional
            Torch device; BLAS without.

        Raises
        ------
        InvalidInputError
            For images that it was fitted on, another width, or rows that are zero or not finite.
        """
        states = as_states(states, "states")
        if states.shape[1] != self.centres.shape[1]:
            raise InvalidInputError(f"need states of shape (n, {self.centres.shape[1]}), got shape {states.shape}")
        fresh = self.is_held_out(ids)
        if len(fresh) != len(states):
            raise InvalidInputError(f"need one image id per row, got {len(fresh)} for {len(states)} rows")
        if not fresh.all():
            raise InvalidInputError(
                f"need images that the codebook was not fitted on, {int((~fresh).sum())} of {len(fresh)} rows are of "
                "others; take the rows where is_held_out"
            )
        engine = self._engines.setdefault(device, engine_for(device))
        codes, closeness = np.empty(len(states), dtype=np.int32), np.empty(len(states), dtype=np.float32)
        for start in range(0, len(states), _BLOCK):
            rows = unit_rows(states[start : start + _BLOCK], "states", start=start)
            part = slice(start, start + len(rows))
            codes[part], closeness[part] = engine.assign(rows, self.centres)
        return codes, np.maximum(1.0 - closeness, 0.0)

    def encode_pair(self, x_prev: Any, x_next: Any, ids: npt.ArrayLike, *, device: str | None = None) -> CodedPair:
        """Codes of two layers, with the code distances; parameters and errors as `encode`."""
        return CodedPair.of(
            self.encode(x_prev, ids, device=device)[0],
            self.encode(x_next, ids, device=device)[0],
            ids,
            n_codes=self.n_codes,
            distances=self.distances,
            source=f"codebook {self.sha256[:12]} ({self.note})",
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write one safetensors file, in one step."""
        meta = {"schema": SCHEMA, "note": self.note, "fit_images": json.dumps(sorted(self.fit_images))}
        save_tensors(path, {"centres": self.centres}, meta)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Codebook:
        """Inverse of `save`.

        Raises
        ------
        StoreError
            If the file is torn, altered or no codebook.
        """
        arrays, meta = load_tensors(path)
        if meta.get("schema") != SCHEMA or "centres" not in arrays:
            raise StoreError(f"need a file of schema {SCHEMA}, {path} has {meta.get('schema')!r}")
        return cls(arrays["centres"], frozenset(json.loads(meta["fit_images"])), meta["note"])


class RowSource:
    """Rows of several layers, restricted to some images, numbered through.

    Parameters
    ----------
    layers : sequence of array_like
        States, layer by layer.
    rows : ndarray of int
        Rows to use of each layer.
    """

    def __init__(self, layers: Sequence[Any], rows: npt.NDArray[np.intp]) -> None:
        self._layers, self._rows = layers, rows

    def __len__(self) -> int:
        return len(self._layers) * len(self._rows)

    def take(self, numbers: npt.NDArray[np.intp]) -> npt.NDArray[np.float32]:
        """Unit rows by their sorted numbers."""
        layer, place = np.divmod(numbers, len(self._rows))
        out = np.empty((len(numbers), self._layers[0].shape[1]), dtype=np.float32)
        for i, states in enumerate(self._layers):
            mine = np.flatnonzero(layer == i)
            for start in range(0, len(mine), _BLOCK):
                part = mine[start : start + _BLOCK]
                out[part] = unit_rows(states[self._rows[place[part]]], f"sampled rows of layers[{i}]")
        return out


def choose_fit_images(ids: npt.ArrayLike, *, share: float = 0.25, random_state: int = 0) -> frozenset[str]:
    """Names of a share of the images, by a hash: the choice does not depend on the order of rows.

    Parameters
    ----------
    ids : array_like of shape (n_rows,)
        Image of each row.
    share : float, default=0.25
        In (0, 1).
    random_state : int, default=0
        Seed.

    Returns
    -------
    frozenset of str
        The names.

    Examples
    --------
    >>> len(choose_fit_images(["a", "b", "c", "d", "d"], share=0.5))
    2
    """
    share = check_real(share, "share", lower=0.0, upper=1.0, open_ends=True)
    names = as_labels(ids, "ids")
    split = image_folds(names, len(names), folds=2, random_state=random_state, per_fold=1)
    n_fit = min(max(1, round(share * split.n_images)), split.n_images - 1)
    return frozenset(split.index.names[i] for i in np.flatnonzero(split.rank < n_fit))


def fit_codebook(
    layers: Sequence[Any],
    ids: npt.ArrayLike,
    *,
    n_codes: int = 256,
    fit_images: Iterable[str] | None = None,
    share: float = 0.25,
    random_state: int = 0,
    device: str | None = None,
    rows_per_code: int = 256,
    rounds: int = 16,
    progress: Callable[[int], object] | None = None,
) -> Codebook:
    """Fit one spherical k-means on the unit-norm states of all `layers`, on part of the images.

    More than eight parameters, since each is a choice that the codebook records.

    Parameters
    ----------
    layers : sequence of arrays of shape (n_rows, d)
        Both layers of a pair, or all layers of a comparison; row by row the same token. May be memory-mapped.
    ids : array_like of shape (n_rows,)
        Image of each row.
    n_codes : int, default=256
        K in 2..4096.
    fit_images : iterable of str, optional
        Images to fit on; by default a `share` of them chosen by a hash.
    share : float, default=0.25
    random_state : int, default=0
        Of the choice of images, the sample and the seeds.
    device : str, optional
        Torch device; BLAS without.
    rows_per_code, rounds : int
        As `estimators.codes.kmeans.kmeans`; fewer are faster and coarser.
    progress : callable, optional
        Called with 1 after each round.

    Returns
    -------
    Codebook

    Raises
    ------
    InvalidInputError
        For layers of different shape, fewer rows than codes, or rows that are zero or not finite.

    Notes
    -----
    Separate codebooks would make the distance between codes of two layers, and so balls and tails, meaningless.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x = rng.standard_normal((400, 8))
    >>> ids = np.repeat(np.arange(40), 10)
    >>> book = fit_codebook([x, x + 0.1], ids, n_codes=4)
    >>> fresh = book.is_held_out(ids)
    >>> int(fresh.sum()), book.encode_pair(x[fresh], x[fresh] + 0.1, ids[fresh]).n_images
    (300, 30)
    """
    size = check_count(n_codes, "n_codes", lower=2, upper=_MOST_CODES)
    seed = check_count(random_state, "random_state")
    layers = [as_states(x, f"layer {i}") for i, x in enumerate(layers)]
    shapes = [tuple(x.shape) for x in layers]
    if not shapes or any(shape != shapes[0] for shape in shapes):
        raise InvalidInputError(f"need layers of one shape (n_rows, d), row by row the same token, got {shapes}")
    index = index_images(ids, shapes[0][0])
    if fit_images is None:
        fit_images = choose_fit_images(ids, share=share, random_state=seed)
    names = frozenset(str(name) for name in fit_images)
    is_fit = np.array([name in names for name in index.names], dtype=np.bool_)
    source = RowSource(layers, np.flatnonzero(is_fit[index.rows]))
    if len(source) < size:
        raise InvalidInputError(
            f"need at least {size} rows of images to fit {size} codes on, got {len(source)}; raise share or take fewer"
        )
    centres, used = kmeans(
        source.take,
        len(source),
        size,
        rng=generator(seed),
        engine=engine_for(device),
        rows_per_code=check_count(rows_per_code, "rows_per_code", lower=1),
        rounds=check_count(rounds, "rounds", lower=1),
        progress=progress,
    )
    note = f"spherical k-means of {len(layers)} layers, {used} rows of {int(is_fit.sum())} images, seed {seed}"
    return Codebook(centres, names, note)
