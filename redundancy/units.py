"""Units of information: nats inside, any base at the border."""

from __future__ import annotations

import math

from redundancy.errors import InvalidInputError

__all__ = ["check_base", "from_nats", "to_nats", "unit_name"]

_NAMES = {2.0: "bits", math.e: "nats", 10.0: "bans"}


def check_base(base: float) -> float:
    """Return `base` as a float if it is finite and above 1, else raise `InvalidInputError`.

    Parameters
    ----------
    base : float
        The candidate.

    Returns
    -------
    float
        The base.

    Raises
    ------
    InvalidInputError
        Unless it is finite and above 1.
    """
    if not isinstance(base, (int, float)) or isinstance(base, bool) or not 1.0 < base < math.inf:
        raise InvalidInputError(f"need a finite base > 1 (2 for bits, math.e for nats), got {base!r}")
    return float(base)


def from_nats(nats: float, base: float) -> float:
    """Convert nats to units of `base`; exact for ``base=math.e``.

    Parameters
    ----------
    nats : float
        In nats.
    base : float
        Above 1.

    Returns
    -------
    float
        In units of `base`.
    """
    base = check_base(base)
    return nats if base == math.e else nats / math.log(base)


def to_nats(value: float, base: float) -> float:
    """Convert units of `base` to nats; exact for ``base=math.e``.

    Parameters
    ----------
    value : float
        In units of `base`.
    base : float
        Above 1.

    Returns
    -------
    float
        In nats.
    """
    base = check_base(base)
    return value if base == math.e else value * math.log(base)


def unit_name(base: float | None) -> str:
    """``"bits"``, ``"nats"``, ``"bans"``, ``"base-b units"``, or ``""`` for a quantity without a base.

    Parameters
    ----------
    base : float or None
        Base of the logarithm.

    Returns
    -------
    str
        To print behind a number.
    """
    return "" if base is None else _NAMES.get(base, f"base-{base:g} units")
