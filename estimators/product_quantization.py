"""Product quantisation: a code per block of features, for compact storage and fine distances, not for Theorem 3."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from estimators.codes.codebook import RowSource, choose_fit_images
from estimators.codes.kmeans import engine_for, kmeans, unit_rows
from redundancy.checks import check_count, to_numpy
from redundancy.errors import InvalidInputError
from redundancy.statistics.streaming import index_images
from redundancy.units import from_nats

__all__ = ["ProductQuantizer", "fit_product_quantizer"]

_BLOCK = 8192
_MOST = 65536


@dataclass(frozen=True, slots=True, eq=False)
class ProductQuantizer:
    """M blocks of features of a unit-norm state, each coded by one of k means.

    Parameters
    ----------
    means : tuple of ndarray of shape (k, d_m), float32
        One table per block.
    fit_images : frozenset of str
        Images that it was fitted on.

    Notes
    -----
    The alphabet has k^M symbols, so that ``log K = M log k`` caps nothing, and counting its balls is out of reach:
    Theorems 3 to 5 need a `Codebook`. Distances between decoded states serve everything that needs distances only.
    """

    means: tuple[npt.NDArray[np.float32], ...]
    fit_images: frozenset[str]

    @property
    def n_features(self) -> int:
        """D."""
        return sum(table.shape[1] for table in self.means)

    def log_support(self, base: float = 2.0) -> float:
        """M log k, in units of `base`."""
        return from_nats(sum(math.log(len(table)) for table in self.means), base)

    def encode(self, states: Any, *, device: str | None = None) -> npt.NDArray[np.uint16]:
        """Codes of shape (n, M)."""
        if states.ndim != 2 or states.shape[1] != self.n_features:
            raise InvalidInputError(f"need states of shape (n, {self.n_features}), got shape {states.shape}")
        engine = engine_for(device)
        codes = np.empty((len(states), len(self.means)), dtype=np.uint16)
        for start in range(0, len(states), _BLOCK):
            rows = unit_rows(states[start : start + _BLOCK], "states", start=start)
            first = 0
            for m, table in enumerate(self.means):
                part = np.ascontiguousarray(rows[:, first : first + table.shape[1]])
                offsets = 0.5 * np.einsum("ij,ij->i", table, table)
                codes[start : start + len(rows), m] = engine.assign(part, table, offsets)[0]
                first += table.shape[1]
        return codes

    def decode(self, codes: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """States of shape (n, d) that stand for codes; close to unit norm, not exactly."""
        table = to_numpy(codes, "codes")
        if table.ndim != 2 or table.shape[1] != len(self.means) or table.dtype.kind not in "iu":
            raise InvalidInputError(
                f"need integer codes of shape (n, {len(self.means)}), got dtype {table.dtype}, shape {table.shape}"
            )
        if any(
            table[:, m].min(initial=0) < 0 or table[:, m].max(initial=0) >= len(t) for m, t in enumerate(self.means)
        ):
            raise InvalidInputError("need codes inside their tables, got others; were they made by another quantiser?")
        return np.concatenate([t[table[:, m]] for m, t in enumerate(self.means)], axis=1)


def fit_product_quantizer(
    layers: Sequence[Any],
    image_ids: npt.ArrayLike,
    *,
    n_blocks: int = 8,
    n_codes: int = 256,
    fit_images: Iterable[str] | None = None,
    share: float = 0.25,
    random_state: int = 0,
    device: str | None = None,
    rows_per_code: int = 256,
) -> ProductQuantizer:
    """Fit k-means in each block of features, on the unit-norm states of all layers and part of the images.

    Parameters
    ----------
    layers, image_ids, fit_images, share, random_state, device, rows_per_code
        As `estimators.codes.codebook.fit_codebook`.
    n_blocks : int, default=8
        M, at most d.
    n_codes : int, default=256
        k of each block, in 2..65536.

    Returns
    -------
    ProductQuantizer
        Codes states of any of the layers.

    Raises
    ------
    InvalidInputError
        If the layers differ in shape, or blocks and codes do not fit them.

    References
    ----------
    .. [1] Jegou, Douze and Schmid (2011), Product quantization for nearest neighbor search.

    Examples
    --------
    >>> x = np.random.default_rng(0).standard_normal((300, 8))
    >>> quantizer = fit_product_quantizer([x], np.arange(300), n_blocks=4, n_codes=8)
    >>> quantizer.encode(x).shape, quantizer.log_support()
    ((300, 4), 12.0)
    """
    size = check_count(n_codes, "n_codes", lower=2, upper=_MOST)
    shapes = [tuple(x.shape) for x in layers]
    if not shapes or len(shapes[0]) != 2 or any(shape != shapes[0] for shape in shapes):
        raise InvalidInputError(f"need layers of one shape (n_rows, d), row by row the same token, got {shapes}")
    blocks = check_count(n_blocks, "n_blocks", lower=1, upper=shapes[0][1])
    index = index_images(image_ids, shapes[0][0])
    if fit_images is None:
        fit_images = choose_fit_images(image_ids, share=share, random_state=random_state)
    names = frozenset(str(name) for name in fit_images)
    is_fit = np.array([name in names for name in index.names], dtype=np.bool_)
    source = RowSource(layers, np.flatnonzero(is_fit[index.rows]))
    if len(source) < size:
        raise InvalidInputError(
            f"need at least {size} rows of images to fit {size} codes on, got {len(source)}; raise share or take fewer"
        )
    rng = np.random.default_rng(random_state)
    n_sample = min(len(source), max(size * rows_per_code, _BLOCK))
    sample = source.take(np.sort(rng.permutation(len(source))[:n_sample]))
    tables, engine = [], engine_for(device)
    for columns in np.array_split(np.arange(shapes[0][1]), blocks):
        part = np.ascontiguousarray(sample[:, columns])
        tables.append(
            kmeans(
                lambda rows, part=part: part[rows],  # type: ignore[misc]
                len(part),
                size,
                rng=rng,
                engine=engine,
                spherical=False,
                rows_per_code=rows_per_code,
            )[0]
        )
    return ProductQuantizer(tuple(tables), names)
