"""Which theorems have a symbolic proof, by id of the ledger, and with which constants in their statements."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from fractions import Fraction
from functools import cache
from typing import Any

import sympy as sp

from proofs_check.rooms import gather
from proofs_check.symbolic.draft import Proof
from redundancy.errors import InvalidInputError

__all__ = ["available", "constants", "prove"]


def _proofs() -> dict[str, Callable[..., Proof]]:
    """The proofs of all rooms, by theorem id."""
    return {theorem: make for room in gather("PROOFS") for theorem, make in room.items()}


def available() -> tuple[str, ...]:
    """Ids of all theorems with a symbolic proof, in the order of the paper.

    Returns
    -------
    tuple of str
    """
    return tuple(_proofs())


def constants(theorem: str) -> dict[str, Any]:
    """The constants of a theorem's statement, each of which `prove` takes as a keyword.

    Parameters
    ----------
    theorem : str
        One of `available`.

    Returns
    -------
    dict
        Default of each.

    Examples
    --------
    >>> constants("lemmas.squared_sum_upper")
    {'factor': 3}
    """
    parameters = inspect.signature(_proofs()[theorem]).parameters
    return {name: parameter.default for name, parameter in parameters.items()}


def prove(theorem: str, **changed: int | str | Fraction) -> Proof | None:
    """The symbolic proof of a theorem, or None if it has none here.

    Parameters
    ----------
    theorem : str
        Id of the ledger.
    **changed
        Constants of the statement to alter, as ``factor="39/10"``; the proof of a false statement fails, and so
        does the proof that a constant is best once it is not.

    Returns
    -------
    Proof or None
        `ok` says whether every step was decided in its favour.

    Raises
    ------
    InvalidInputError
        For a constant that the statement does not have.
    """
    if theorem not in _proofs():
        return None
    known = constants(theorem)
    unknown = sorted(set(changed) - set(known))
    if unknown:
        raise InvalidInputError(f"need constants of {theorem} among {sorted(known)}, got {unknown}")
    return _prove(theorem, tuple(sorted((name, sp.Rational(str(value))) for name, value in changed.items())))


@cache
def _prove(theorem: str, changed: tuple[tuple[str, Any], ...]) -> Proof:
    values = {name: sp.Rational(str(value)) for name, value in constants(theorem).items()} | dict(changed)
    return _proofs()[theorem](**values)
