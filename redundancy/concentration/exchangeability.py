"""Whether a file looks shuffled: a conformal test martingale along its own order, which grows where it is sorted."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right, insort

import numpy as np
import numpy.typing as npt

from redundancy.checks import as_floats
from redundancy.errors import InvalidInputError

__all__ = ["ALARM", "alarm", "alarming", "exchangeability_e_value", "order_warning", "places_in_file"]

ALARM = 20.0  # an e-value above it occurs in at most one of twenty shuffled files
_SLOPES = np.array([-1.9, -1.0, 0.0, 1.0, 1.9])  # of the bets 1 + slope (p - 1/2), all positive
_JUMPS = np.array([0.001, 0.01, 0.1, 1.0])  # how fast capital moves between slopes, averaged over
_SEED = 20  # of the coins that break ties; any fixed seed is valid, as it was fixed before the data


def exchangeability_e_value(values: npt.ArrayLike) -> float:
    r"""Final capital of a bet that the values are *not* in random order.

    The i-th value has the conformal p-value :math:`p_i = (\#\{j \le i: x_j > x_i\} + \tau_i \#\{j \le i: x_j = x_i\})
    / i`; if every order is equally likely, these are independent and uniform. A mixture of bets
    :math:`1 + \epsilon (p_i - 1/2)` whose slope jumps now and then wins when values are sorted or drift.

    Parameters
    ----------
    values : array_like of shape (n,)
        One value per unit, in the order of the file.

    Returns
    -------
    float
        An e-value: its mean is at most 1 over shuffled files, so it exceeds 20 in at most one of twenty.

    Raises
    ------
    InvalidInputError
        For another shape, or values that are not finite.

    References
    ----------
    .. [1] Vovk, Gammerman and Shafer (2022), Algorithmic Learning in a Random World, 2nd edition, chapter 8.

    Examples
    --------
    >>> exchangeability_e_value([0.0] * 50 + [1.0] * 50) > 1e6
    True
    >>> exchangeability_e_value([0.0, 1.0] * 50) < 20
    True
    """
    x = as_floats(values, "values")
    if x.ndim != 1 or not np.isfinite(x).all():
        raise InvalidInputError(f"need finite values of shape (n,), one per unit, got shape {x.shape}")
    coins = np.random.default_rng(_SEED).random(len(x))
    seen: list[float] = []
    shares = np.full((len(_JUMPS), len(_SLOPES)), 1.0 / len(_SLOPES))
    growth = np.zeros(len(_JUMPS))  # logarithms of the capitals
    for i, (value, coin) in enumerate(zip(x.tolist(), coins.tolist(), strict=True), start=1):
        first, last = bisect_left(seen, value), bisect_right(seen, value)
        p = (len(seen) - last + coin * (last - first + 1)) / i
        insort(seen, value)
        shares = (1.0 - _JUMPS[:, None]) * shares + _JUMPS[:, None] / len(_SLOPES)
        shares = shares * (1.0 + _SLOPES * (p - 0.5))
        factors = shares.sum(axis=1)
        growth += np.log(factors)
        shares /= factors[:, None]
    top = float(growth.max(initial=0.0))
    capital = float(np.exp(growth - top).mean())
    return math.exp(min(700.0, top + math.log(capital)))


def places_in_file(unit_of_row: npt.NDArray[np.intp], n_units: int) -> npt.NDArray[np.intp]:
    """Order of the units along a file, each at the place of one of its rows that is drawn without looking at values.

    The first row of a unit would not do: in a shuffled file, units of many rows begin earlier than others.

    Parameters
    ----------
    unit_of_row : ndarray of int, shape (n_rows,)
        Number of the unit of each row, every one of them at least once.
    n_units : int

    Returns
    -------
    ndarray of int, shape (n_units,)
        The units from the top of the file to its end; as they come where every unit's rows stand together.
    """
    draw = np.random.default_rng(_SEED).permutation(len(unit_of_row))
    least = np.full(n_units, len(unit_of_row), dtype=np.intp)
    np.minimum.at(least, unit_of_row, draw)
    return np.argsort(np.argsort(draw)[least], kind="stable")


def alarm(values: npt.ArrayLike) -> float | None:
    """The e-value of these values to three digits, rounded down, if it is above 20; None otherwise.

    Parameters
    ----------
    values : array_like of shape (n,)
        As in `exchangeability_e_value`.

    Returns
    -------
    float or None
    """
    return alarming(exchangeability_e_value(values))


def alarming(e_value: float) -> float | None:
    """An e-value to three digits, rounded down, if it is above 20; None otherwise.

    Parameters
    ----------
    e_value : float
        Such as the mean of several.

    Returns
    -------
    float or None
    """
    if e_value <= ALARM:
        return None
    exponent = math.floor(math.log10(e_value)) - 2
    return float(f"{math.floor(e_value / 10.0**exponent)}e{exponent}")


def order_warning(e_value: float | None) -> str:
    """What a reader must know of the file's order; "" where nothing speaks against a shuffled one.

    Parameters
    ----------
    e_value : float or None
        Of `alarm`.

    Returns
    -------
    str
    """
    if e_value is None:
        return ""
    return (
        f" The file is sorted or drifts (e-value {e_value:.3g} against a random order): the guarantee is about "
        "shuffled draws from it."
    )
