"""Strategies for probability tables: joints, channels, couplings and Markov chains, exact or in float64."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from redundancy.errors import InvalidInputError

__all__ = ["CHAINS", "channels", "couplings", "joint_pmfs", "markov_chains"]

Table = npt.NDArray[Any]

CHAINS = ("prev-next-task", "next-prev-task")
_SHAPES = ("free", "equal", "independent", "permutation", "one symbol")


def joint_pmfs(
    *,
    n_variables: int = 2,
    sizes: Sequence[int] | None = None,
    max_size: int = 4,
    max_weight: int = 9,
    square: bool = False,
    exact: bool = False,
    degenerate: bool = True,
) -> st.SearchStrategy[Table]:
    """Joint laws: integer weights 0..max_weight, normalised.

    Parameters
    ----------
    n_variables : int, default=2
        Number of axes; ignored if `sizes` is given.
    sizes : sequence of int, optional
        Alphabet sizes, one per axis; drawn from 1..max_size if omitted.
    max_size, max_weight : int
    square : bool, default=False
        One drawn size for all axes.
    exact : bool, default=False
        Object array of Fractions instead of float64.
    degenerate : bool, default=True
        Also draw the shapes that random weights miss: all variables equal, independent, a permutation of
        one another, all mass on one symbol.

    Returns
    -------
    SearchStrategy of ndarray

    Raises
    ------
    InvalidInputError
        If there is no axis, or an alphabet without symbols.
    """
    if sizes is not None and (not sizes or min(sizes) < 1):
        raise InvalidInputError(f"need alphabet sizes of at least 1, got {list(sizes)}")
    if sizes is None and (n_variables < 1 or max_size < 1):
        raise InvalidInputError(f"need n_variables and max_size of at least 1, got {n_variables} and {max_size}")
    if max_weight < 1:
        raise InvalidInputError(f"need max_weight of at least 1, got {max_weight}")
    return _joints(
        None if sizes is None else tuple(sizes), n_variables, max_size, max_weight, square, exact, degenerate
    )


@st.composite
def _joints(
    draw: st.DrawFn,
    sizes: tuple[int, ...] | None,
    n_variables: int,
    max_size: int,
    max_weight: int,
    square: bool,
    exact: bool,
    degenerate: bool,
) -> Table:
    if sizes is None:
        size = st.integers(1, max_size)
        sizes = (draw(size),) * n_variables if square else tuple(draw(size) for _ in range(n_variables))
    kind = draw(st.sampled_from(_SHAPES)) if degenerate else "free"
    if kind == "free":
        weights = draw(_weights(int(np.prod(sizes)), max_weight))
        table = _filled(sizes, dict(zip(np.ndindex(*sizes), weights, strict=True)))
    elif kind == "independent":
        margins = [draw(_weights(k, max_weight)) for k in sizes]
        table = _filled(sizes, {i: _product(m[k] for m, k in zip(margins, i, strict=True)) for i in np.ndindex(*sizes)})
    elif kind == "one symbol":
        table = _filled(sizes, {tuple(draw(st.integers(0, k - 1)) for k in sizes): 1})
    else:
        smallest = min(sizes)
        weights = draw(_weights(smallest, max_weight))
        orders = [list(range(smallest)) if kind == "equal" else draw(st.permutations(range(smallest))) for _ in sizes]
        table = _filled(sizes, {tuple(o[i] for o in orders): w for i, w in enumerate(weights)})
    return table if exact else _floats(table)


def channels(
    n_in: int, n_out: int, *, max_weight: int = 9, deterministic: bool = False, exact: bool = False
) -> st.SearchStrategy[Table]:
    """Conditional laws: an (n_in, n_out) table whose rows sum to 1; `deterministic` ones are functions.

    Parameters
    ----------
    n_in, n_out : int
        Sizes of the alphabets, at least 1.
    max_weight : int, default=9
        Rows are integer weights 0..max_weight, normalised.
    deterministic : bool, default=False
        One 1 per row.
    exact : bool, default=False
        Object array of Fractions instead of float64.

    Returns
    -------
    SearchStrategy of ndarray
        Shape (n_in, n_out).

    Raises
    ------
    InvalidInputError
        If an alphabet is empty.
    """
    if n_in < 1 or n_out < 1:
        raise InvalidInputError(f"need at least one input and one output symbol, got {n_in} and {n_out}")
    return _channels(n_in, n_out, max_weight, deterministic, exact)


@st.composite
def _channels(draw: st.DrawFn, n_in: int, n_out: int, max_weight: int, deterministic: bool, exact: bool) -> Table:
    rows = np.empty((n_in, n_out), dtype=object)
    for i in range(n_in):
        if deterministic:
            chosen = draw(st.integers(0, n_out - 1))
            weights = [int(k == chosen) for k in range(n_out)]
        else:
            weights = draw(_weights(n_out, max_weight))
        rows[i] = [Fraction(w, sum(weights)) for w in weights]
    return rows if exact else _floats(rows)


def markov_chains(
    chain: str = "prev-next-task", *, sizes: Sequence[int] | None = None, max_size: int = 3, exact: bool = False
) -> st.SearchStrategy[Table]:
    """Laws of (x_next, x_prev, z) that are Markov chains *exactly*: a joint composed with a rational kernel.

    Parameters
    ----------
    chain : {"prev-next-task", "next-prev-task"}
        Under the first the task reads the next layer only, under the second the previous layer only.
    sizes : sequence of three ints, optional
    max_size : int
    exact : bool, default=False
        Object array of Fractions instead of float64; only then is the chain exact in arithmetic, too.

    Returns
    -------
    SearchStrategy of ndarray
        Shape (n_next, n_prev, n_z).

    Raises
    ------
    InvalidInputError
        For another chain, or not three sizes.
    """
    if chain not in CHAINS:
        raise InvalidInputError(f"need a chain among {list(CHAINS)}, got {chain!r}")
    if sizes is not None and len(sizes) != 3:
        raise InvalidInputError(f"need three sizes (next, prev, task), got {list(sizes)}")
    return _chains(chain, None if sizes is None else tuple(sizes), max_size, exact)


@st.composite
def _chains(draw: st.DrawFn, chain: str, sizes: tuple[int, ...] | None, max_size: int, exact: bool) -> Table:
    sizes = sizes or tuple(draw(st.integers(1, max_size)) for _ in range(3))
    pair = draw(joint_pmfs(sizes=sizes[:2], exact=True))
    reads_next = chain == "prev-next-task"
    kernel = draw(channels(sizes[0] if reads_next else sizes[1], sizes[2], exact=True))
    table = np.empty(sizes, dtype=object)
    for x, y, z in product(*map(range, sizes)):
        table[x, y, z] = pair[x, y] * kernel[x if reads_next else y, z]
    return table if exact else _floats(table)


def couplings(
    first: Sequence[Fraction | int], second: Sequence[Fraction | int], *, exact: bool = False
) -> st.SearchStrategy[Table]:
    """Joint laws with exactly the two given marginals: mixtures of up to three vertices of the coupling polytope.

    Parameters
    ----------
    first, second : sequence of Fraction
        Laws of the two variables, each with sum 1.
    exact : bool, default=False

    Returns
    -------
    SearchStrategy of ndarray
        Shape (len(first), len(second)).

    Raises
    ------
    InvalidInputError
        If a marginal is negative somewhere or does not sum to 1 exactly.
    """
    margins = [Fraction(p) for p in first], [Fraction(q) for q in second]
    for margin in margins:
        if sum(margin) != 1 or min(margin) < 0:
            raise InvalidInputError(f"need marginals >= 0 that sum to 1 exactly, got {[str(p) for p in margin]}")
    return _couplings(*margins, exact)


@st.composite
def _couplings(draw: st.DrawFn, first: list[Fraction], second: list[Fraction], exact: bool) -> Table:
    shape = (len(first), len(second))
    weights = draw(_weights(draw(st.integers(1, 3)), 4))
    table = _filled(shape, {})
    for weight in weights:
        rows, columns = draw(st.permutations(range(shape[0]))), draw(st.permutations(range(shape[1])))
        vertex = _north_west(first, second, rows, columns)
        for cell, mass in vertex.items():
            table[cell] += Fraction(weight, sum(weights)) * mass
    return table if exact else _floats(table)


def _north_west(
    first: list[Fraction], second: list[Fraction], rows: Sequence[int], columns: Sequence[int]
) -> dict[tuple[int, int], Fraction]:
    """Fill a transport table greedily in the given orders: a vertex of the polytope."""
    supply, demand, cells = list(first), list(second), {}
    i = j = 0
    while i < len(rows) and j < len(columns):
        moved = min(supply[rows[i]], demand[columns[j]])
        cells[rows[i], columns[j]] = moved
        supply[rows[i]] -= moved
        demand[columns[j]] -= moved
        i, j = (i + 1, j) if supply[rows[i]] == 0 else (i, j + 1)
    return cells


def _weights(count: int, largest: int) -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(0, largest), min_size=count, max_size=count).filter(any)


def _filled(sizes: tuple[int, ...], weights: dict[tuple[int, ...], int]) -> Table:
    table = np.full(sizes, Fraction(0), dtype=object)
    total = sum(weights.values())
    for cell, weight in weights.items():
        table[cell] = Fraction(weight, total)
    return table


def _floats(table: Table) -> Table:
    return np.array(table.tolist(), dtype=np.float64)


def _product(factors: Any) -> int:
    result = 1
    for factor in factors:
        result *= factor
    return result
