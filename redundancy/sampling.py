"""The unit of independence and the one order of the bets: a value per unit, in ascending order of a salted hash.

Questions about one image are not independent, so every bound takes one value per image or declared group. A betting
bound holds in any order that was fixed without looking at the values, and names can betray values ("chart_12",
"photo_3"). A hash with a salt that was declared before the data cannot be arranged by either.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from redundancy.checks import as_floats
from redundancy.errors import InvalidInputError

__all__ = [
    "ARRIVAL",
    "DEFAULT_SALT",
    "HASHED_ROWS",
    "hash_order",
    "hashed_rows",
    "order_text",
    "rows_in_order",
    "salt_of",
    "unit_means",
    "unit_sums",
]

DEFAULT_SALT = "skip-it"  # stands in the source, so it was declared before any data
ARRIVAL = "arrival; a stream cannot be shuffled, so this holds for exchangeable streams only"
_HASHED_UNITS = re.compile(r'ascending SHA-256 of salt (".*") and unit id', re.DOTALL)
_HASHED_ROWS = re.compile(r'ascending SHA-256 of salt (".*") and row number', re.DOTALL)


def hash_order(unit_ids: Sequence[Any], salt: str) -> npt.NDArray[np.intp]:
    """Positions of the units in the order in which they are bet on.

    Parameters
    ----------
    unit_ids : sequence of str or int, length n
        Name of each unit. Equal names keep their order among themselves.
    salt : str
        Declared before the data are seen, and stored with the result.

    Returns
    -------
    ndarray of int, shape (n,)
        Positions in ascending order of the SHA-256 of salt and name, so that any order of the file gives one order of
        the units.

    Examples
    --------
    >>> names = ["b", "a", "c"]
    >>> [names[i] for i in hash_order(names, "2026")] == [sorted(names)[i] for i in hash_order(sorted(names), "2026")]
    True
    """
    digests = [
        hashlib.sha256(f"{len(salt)}:{salt}{name}".encode("utf-8", "surrogatepass")).digest() for name in unit_ids
    ]
    return np.array(sorted(range(len(digests)), key=digests.__getitem__), dtype=np.intp)


def order_text(salt: str) -> str:
    """How `hash_order` fixed an order, in the words that results store.

    Parameters
    ----------
    salt : str
        The salt that was declared.

    Returns
    -------
    str
    """
    return f"ascending SHA-256 of salt {json.dumps(salt)} and unit id"


def salt_of(order: str) -> str | None:
    """The salt in the words of `order_text`; None if the order was fixed in another way."""
    stated = _HASHED_UNITS.fullmatch(order)
    return None if stated is None else str(json.loads(stated[1]))


def hashed_rows(salt: str) -> str:
    """The order of values without names, by a hash of their row numbers: words that `rows_in_order` understands."""
    return f"ascending SHA-256 of salt {json.dumps(salt)} and row number"


HASHED_ROWS = hashed_rows(DEFAULT_SALT)


def rows_in_order(order: str, n_rows: int) -> npt.NDArray[np.intp] | None:
    """Positions of values without names in the order that a bound states; None if they stand in it already.

    Parameters
    ----------
    order : str
        Words of a bound: `HASHED_ROWS`, or the same with another salt, is put into practice here; any other text
        says how the caller has ordered the values.
    n_rows : int
        How many values there are.

    Returns
    -------
    ndarray of int, shape (n_rows,), or None
    """
    stated = _HASHED_ROWS.fullmatch(order)
    return None if stated is None else hash_order(range(n_rows), json.loads(stated[1]))


def unit_means(values: npt.ArrayLike, unit_ids: Iterable[Any]) -> tuple[npt.NDArray[np.float64], tuple[str, ...]]:
    """Mean of the values of each unit.

    Parameters
    ----------
    values : array_like of shape (n,) or (n, k)
        Finite; a row per sample.
    unit_ids : iterable of str or int, length n
        Unit of each sample.

    Returns
    -------
    means : ndarray of shape (units,) or (units, k)
        Never outside the range of the unit's own values; equal to the last bit for every order of the rows.
    units : tuple of str
        In the order of their first sample.

    Raises
    ------
    InvalidInputError
        If there is not one unit for each row.

    Examples
    --------
    >>> unit_means([1.0, 0.0, 1.0], ["cat.png", "dog.png", "cat.png"])
    (array([1., 0.]), ('cat.png', 'dog.png'))
    """
    rows = as_floats(values, "values")
    names = [str(name) for name in unit_ids]
    if rows.ndim not in (1, 2) or len(names) != len(rows):
        raise InvalidInputError(f"need one unit for each row of values, got {len(names)} for shape {rows.shape}")
    units = tuple(dict.fromkeys(names))
    if len(units) == len(names):
        return rows.copy(), units
    place = {name: i for i, name in enumerate(units)}
    index = np.array([place[name] for name in names], dtype=np.intp)
    counts = np.bincount(index)
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    table = rows.reshape(len(rows), -1)
    means = np.empty((len(units), table.shape[1]))
    for k, column in enumerate(table.T):
        # Sorted within its unit, so that the order of the file does not even change the last bit.
        ranked = column[np.lexsort((column, index))]
        # A mean lies between its values, and rounding must not carry it out of a declared range.
        means[:, k] = np.clip(np.add.reduceat(ranked, starts) / counts, ranked[starts], ranked[starts + counts - 1])
    return means.reshape(len(units), *rows.shape[1:]), units


def unit_sums(
    sums: npt.ArrayLike, counts: npt.NDArray[np.int64], unit_ids: Sequence[Any], *, salt: str, pooled: bool
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64], tuple[str, ...]]:
    """Sums over tokens per sample become one sum and one count per unit, in the order of the bets.

    Parameters
    ----------
    sums : array_like of shape (n,) or (n, k)
        Sum over the tokens of each sample.
    counts : ndarray of int, the same shape
        Tokens behind each sum.
    unit_ids : sequence of str or int, length n
        Unit of each sample.
    salt : str
        Of the order.
    pooled : bool
        Whether tokens weigh alike. If not, the mean of a unit is the mean over its samples of the mean over a sample's
        tokens, and a sample without tokens must not occur.

    Returns
    -------
    sums, counts : ndarray of shape (units,) or (units, k)
        Their quotient is the unit's mean.
    units : tuple of str
        In the order of `hash_order`.
    """
    values, names = as_floats(sums, "sums"), [str(name) for name in unit_ids]
    units = tuple(dict.fromkeys(names))
    if len(units) < len(names):
        place = {name: i for i, name in enumerate(units)}
        index = np.array([place[name] for name in names], dtype=np.intp)
        totals = np.zeros((len(units), *counts.shape[1:]), dtype=np.int64)
        np.add.at(totals, index, counts)
        if pooled:
            values, counts = (
                unit_means(values, names)[0] * np.bincount(index).reshape(-1, *[1] * (values.ndim - 1)),
                totals,
            )
        else:
            values, counts = unit_means(values / counts, names)[0] * totals, totals
    order = hash_order(units, salt)
    return values[order], counts[order], tuple(units[i] for i in order)
