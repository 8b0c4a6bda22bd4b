"""Strategies for points, distances and samples: rational unit vectors, codebooks, tokens clustered in images."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from redundancy.errors import InvalidInputError

__all__ = ["clustered_samples", "codebooks", "symmetric_distances", "unit_vectors"]

Table = npt.NDArray[Any]


def unit_vectors(dims: int = 2, *, count: int | None = None, exact: bool = False) -> st.SearchStrategy[Table]:
    """Points of the unit sphere with *rational* coordinates, from Pythagorean tuples.

    An integer vector u and an integer c > 0 give ``(2cu, |u|^2 - c^2) / (|u|^2 + c^2)``, whose norm is exactly 1.

    Parameters
    ----------
    dims : int, default=2
        At least 1 (then +1 and -1).
    count : int, optional
        Shape (count, dims), rows distinct; one vector of shape (dims,) if omitted.
    exact : bool, default=False
        Object array of Fractions: squared norms are exactly 1.

    Returns
    -------
    SearchStrategy of ndarray
        Shape (dims,), or (count, dims).

    Raises
    ------
    InvalidInputError
        If dims < 1, or count is not in 1..12 (1..2 on a line).
    """
    if dims < 1 or (count is not None and not 1 <= count <= (2 if dims == 1 else 12)):
        raise InvalidInputError(f"need dims >= 1 and 1 <= count <= 12 (2 on a line), got {dims} and {count}")
    if count is None:
        return _unit(dims).map(lambda v: _array(v, exact))
    return st.lists(_unit(dims), min_size=count, max_size=count, unique=True).map(lambda rows: _array(rows, exact))


def _unit(dims: int) -> st.SearchStrategy[tuple[Fraction, ...]]:
    if dims == 1:
        return st.sampled_from([(Fraction(1),), (Fraction(-1),)])
    integers = st.lists(st.integers(-4, 4), min_size=dims - 1, max_size=dims - 1)
    return st.tuples(integers, st.integers(1, 4)).map(lambda pair: _project(*pair))


def _project(u: Sequence[int], c: int) -> tuple[Fraction, ...]:
    square = sum(k * k for k in u)
    scale = square + c * c
    return (*(Fraction(2 * c * k, scale) for k in u), Fraction(square - c * c, scale))


def symmetric_distances(
    size: int, *, steps: int = 8, largest: int | Fraction = 2, exact: bool = False
) -> st.SearchStrategy[Table]:
    """Symmetric (size, size) distances with zero diagonal on the grid ``largest * k / steps``; ties are common.

    Parameters
    ----------
    size : int
        At least 1.
    steps : int, default=8
        Steps of the grid.
    largest : int or Fraction, default=2
        Largest distance, > 0; 2 is that of cosines.
    exact : bool, default=False
        Object array of Fractions instead of float64.

    Returns
    -------
    SearchStrategy of ndarray
        Shape (size, size). The triangle inequality need not hold.

    Raises
    ------
    InvalidInputError
        For a size or number of steps below 1, or no positive range.
    """
    if size < 1 or steps < 1 or largest <= 0:
        raise InvalidInputError(f"need size, steps >= 1 and largest > 0, got {size}, {steps} and {largest}")
    count = size * (size - 1) // 2
    cells = st.lists(st.integers(0, steps), min_size=count, max_size=count)

    def fill(values: list[int]) -> Table:
        table = np.full((size, size), Fraction(0), dtype=object)
        for (i, j), k in zip(zip(*np.tril_indices(size, -1), strict=True), values, strict=True):
            table[i, j] = table[j, i] = Fraction(largest) * k / steps
        return _array(table, exact)

    return cells.map(fill)


def codebooks(n_codes: int, dims: int = 2, *, extent: int = 3, exact: bool = False) -> st.SearchStrategy[Table]:
    """Distinct points with integer coordinates in -extent..extent, shape (n_codes, dims).

    Parameters
    ----------
    n_codes : int
        At least 1.
    dims : int, default=2
        At least 1.
    extent : int, default=3
        Largest coordinate.
    exact : bool, default=False
        Object array of Fractions instead of float64.

    Returns
    -------
    SearchStrategy of ndarray
        Rows are distinct.

    Raises
    ------
    InvalidInputError
        If the grid has no room for so many points.
    """
    if n_codes < 1 or dims < 1 or n_codes > (2 * extent + 1) ** dims // 2 + 1:
        raise InvalidInputError(
            f"need room for n_codes distinct points, got {n_codes} in a grid of {(2 * extent + 1) ** dims}"
        )
    point = st.tuples(*[st.integers(-extent, extent)] * dims)
    return st.lists(point, min_size=n_codes, max_size=n_codes, unique=True).map(
        lambda rows: _array([[Fraction(k) for k in row] for row in rows], exact)
    )


def clustered_samples(
    *, n_images: tuple[int, int] = (1, 12), n_tokens: tuple[int, int] = (1, 6), steps: int = 8
) -> st.SearchStrategy[list[Table]]:
    """Samples of values in [0, 1], one float array per image, whose tokens may all repeat the image's own value.

    Images are the independent units; tokens of one image are anything from equal to unrelated, which is
    what makes intervals over tokens invalid.

    Parameters
    ----------
    n_images, n_tokens : (least, most)
    steps : int, default=8
        Values are multiples of 1/steps.

    Returns
    -------
    SearchStrategy of list of ndarray
        Each of shape (n_tokens of the image,).

    Raises
    ------
    InvalidInputError
        If no image or no token is allowed.
    """
    if n_images[0] < 1 or n_tokens[0] < 1:
        raise InvalidInputError(f"need at least one image and one token, got {n_images} and {n_tokens}")
    return _samples(n_images, n_tokens, steps)


@st.composite
def _samples(draw: st.DrawFn, n_images: tuple[int, int], n_tokens: tuple[int, int], steps: int) -> list[Table]:
    images = []
    value = st.integers(0, steps)
    for _ in range(draw(st.integers(*n_images))):
        size = draw(st.integers(*n_tokens))
        tokens = [draw(value)] * size if draw(st.booleans()) else draw(st.lists(value, min_size=size, max_size=size))
        images.append(np.array(tokens, dtype=np.float64) / steps)
    return images


def _array(rows: Any, exact: bool) -> Table:
    table = np.array(rows, dtype=object)
    return table if exact else np.array(table.tolist(), dtype=np.float64)
