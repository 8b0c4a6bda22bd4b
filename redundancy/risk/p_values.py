"""P-values and bounds of the risk of one plan: exact for 0/1 losses, by betting for all others."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import binom

from redundancy.checks import as_floats, check_real, to_numpy
from redundancy.concentration.betting import betting_lower, betting_sequence_lower
from redundancy.concentration.clopper_pearson import clopper_pearson_lower, clopper_pearson_upper
from redundancy.concentration.multiplicity import mean_capital
from redundancy.errors import InvalidInputError
from redundancy.interval import round_down, round_up

__all__ = [
    "KINDS",
    "betting_p_value",
    "check_losses",
    "fewest_units",
    "mean_interval",
    "mean_upper",
    "p_value",
    "resolve_kind",
]

KINDS = ("auto", "binomial", "betting", "betting_sequence")
_ORDER = "as the caller fixed it"
_TINY = float(np.finfo(np.float64).tiny)


def p_value(
    losses: npt.ArrayLike,
    risk: float,
    *,
    loss_range: tuple[float, float] = (0.0, 1.0),
    kind: str = "auto",
    confidence_level: float = 0.95,
) -> float:
    """P-value of the hypothesis that the mean loss is at least `risk`.

    Parameters
    ----------
    losses : array_like of shape (n,)
        One loss in `loss_range` per i.i.d. sample, in an order fixed beforehand. A *paired* loss, the loss of a
        plan minus that of the unmodified model on the same sample, has the range (-1, 1).
    risk : float
        Inside `loss_range`.
    loss_range : (float, float)
        Declared, not read off the sample.
    kind : {"auto", "binomial", "betting", "betting_sequence"}
        "binomial" is exact and needs losses of 0 or 1; "betting" takes any; "betting_sequence" stays valid when
        one looks after every sample and stops at will. "auto" goes by the declared type, not by the values:
        "binomial" for booleans and integers in the range (0, 1), else "betting".
    confidence_level : float
        Tunes the bets; the p-value is valid whatever it is.

    Returns
    -------
    float
        In (0, 1].

    Notes
    -----
    The bet is placed on ``hi - loss`` being large, with shares up to ``0.95 / (hi - risk)``: where the range is
    wide against the risk, as for paired losses, this is up to twice the share that a bet on the loss may take.

    A sample whose own mean loss reaches the risk has the p-value 1, whatever the bets won on the way: a plan is
    never certified against its own sample.

    References
    ----------
    .. [1] Angelopoulos, Bates, Candes, Jordan and Lei (2021), Learn then Test, arXiv:2110.01052.
    .. [2] Waudby-Smith and Ramdas (2024), Estimating means of bounded random variables by betting, JRSS-B 86(1).

    Examples
    --------
    >>> round(p_value([0] * 100, 0.03), 4)
    0.0476
    >>> p_value([0.0, -0.5, 0.25, 0.0] * 200, 0.1, loss_range=(-1.0, 1.0)) < 1e-4
    True
    """
    values = check_losses(losses, loss_range)
    low, high = loss_range
    risk = check_real(risk, "risk", lower=low, upper=high, open_ends=True)
    kind = resolve_kind(losses, loss_range, kind)
    if kind == "binomial":
        return float(binom.cdf(int(values.sum()), len(values), risk))
    if float(values.mean()) >= risk:
        return 1.0
    return betting_p_value(values, risk, loss_range=loss_range, kind=kind, confidence_level=confidence_level)


def betting_p_value(
    values: npt.NDArray[np.float64], risk: float, *, loss_range: tuple[float, float], kind: str, confidence_level: float
) -> float:
    """`p_value` of checked losses by betting, also where the sample mean passes the risk, as release 0.1.0 had it."""
    low, high = loss_range
    capital = mean_capital(
        high - values,
        high - risk,
        scale=high - low,
        side="lower",
        confidence_level=confidence_level,
        mode="fixed" if kind == "betting" else "sequence",
    )
    top = float(capital.max(initial=0.0))
    # A capital beyond the range of floats has certainly passed 1/tiny.
    return max(_TINY, min(1.0, (1.0 + 1e-9) / top)) if top > 0.0 else 1.0


def mean_upper(
    losses: npt.ArrayLike, confidence_level: float, *, loss_range: tuple[float, float] = (0.0, 1.0), kind: str = "auto"
) -> float:
    """Upper confidence bound of the mean loss, by the test that `p_value` makes.

    Parameters
    ----------
    losses : array_like of shape (n,)
        One loss per unit, in an order fixed beforehand.
    confidence_level : float
        One-sided.
    loss_range : (float, float)
        Declared.
    kind : {"auto", "binomial", "betting", "betting_sequence"}
        As in `p_value`.

    Returns
    -------
    float
        In `loss_range`.

    Examples
    --------
    >>> round(mean_upper([0] * 59, 0.95), 4)
    0.0495
    """
    values = check_losses(losses, loss_range)
    low, high = loss_range
    kind = resolve_kind(losses, loss_range, kind)
    if kind == "binomial":
        return clopper_pearson_upper(values=values, confidence_level=confidence_level).interval.upper
    # The very bet of the p-value, against a small `high - loss`, in the order that the losses have.
    bound = betting_lower if kind == "betting" else betting_sequence_lower
    found = bound(values=high - values, scale=high - low, confidence_level=confidence_level, order=_ORDER)
    lower = found.interval.lower
    return high if lower <= 0.0 else max(low, round_up(high - lower))


def mean_interval(
    losses: npt.ArrayLike, confidence_level: float, *, loss_range: tuple[float, float] = (0.0, 1.0), kind: str = "auto"
) -> tuple[float, float]:
    """Two-sided confidence interval of the mean loss, half of the error at either end.

    Parameters
    ----------
    losses : array_like of shape (n,)
        One loss per unit, in an order fixed beforehand.
    confidence_level : float
        Of both ends together.
    loss_range : (float, float)
        Declared.
    kind : {"auto", "binomial", "betting", "betting_sequence"}
        As in `p_value`.

    Returns
    -------
    tuple of two floats
        Lower and upper end, inside `loss_range`.

    Examples
    --------
    >>> [round(end, 4) for end in mean_interval([1] * 8 + [0] * 2, 0.95)]
    [0.4439, 0.9748]
    """
    values = check_losses(losses, loss_range)
    low, high = loss_range
    level = 1.0 - (1.0 - check_real(confidence_level, "confidence_level", lower=0.0, upper=1.0, open_ends=True)) / 2.0
    kind = resolve_kind(losses, loss_range, kind)
    upper = mean_upper(values, level, loss_range=loss_range, kind=kind)
    if kind == "binomial":
        return clopper_pearson_lower(values=values, confidence_level=level).interval.lower, upper
    bound = betting_lower if kind == "betting" else betting_sequence_lower
    found = bound(values=values - low, scale=high - low, confidence_level=level, order=_ORDER)
    return max(low, round_down(low + found.interval.lower)), upper


def fewest_units(risk: float, level: float, *, kind: str = "binomial", confidence_level: float = 0.95) -> int:
    """Units from which a plan without a single loss is certified at significance `level`.

    Parameters
    ----------
    risk : float
        Tolerated, in (0, 1).
    level : float
        Share of the error that the test has, in (0, 1).
    kind : {"binomial", "betting", "betting_sequence"}
        The difference between the last two and the first is the price of fractional losses and of looking.
    confidence_level : float
        Tunes the bets.

    Returns
    -------
    int

    Examples
    --------
    >>> fewest_units(0.05, 0.05), fewest_units(0.05, 0.05, kind="betting_sequence")
    (59, 62)
    """
    risk = check_real(risk, "risk", lower=0.0, upper=1.0, open_ends=True)
    level = check_real(level, "level", lower=0.0, upper=1.0, open_ends=True)
    exact = int(np.ceil(np.log(level) / np.log1p(-risk)))
    if kind == "binomial":
        return exact
    low, high = exact - 1, 2 * exact
    while p_value(np.zeros(high), risk, kind=kind, confidence_level=confidence_level) > level:
        low, high = high, 2 * high
    while high - low > 1:
        n = (low + high) // 2
        passes = p_value(np.zeros(n), risk, kind=kind, confidence_level=confidence_level) <= level
        low, high = (low, n) if passes else (n, high)
    return high


def check_losses(losses: Any, loss_range: tuple[float, float], *, name: str = "losses") -> npt.NDArray[np.float64]:
    """Finite losses of one plan, shape (n >= 1,), inside the declared range."""
    low = check_real(loss_range[0], "lower end of loss_range")
    high = check_real(loss_range[1], "upper end of loss_range")
    if not low < high:
        raise InvalidInputError(f"need loss_range with lower < upper, got {loss_range}")
    values = as_floats(losses, name)
    if values.ndim != 1 or values.size == 0:
        raise InvalidInputError(f"need {name} of shape (n >= 1,), one per sample, got shape {values.shape}")
    outside = np.flatnonzero(~((values >= low) & (values <= high)))
    if outside.size:
        raise InvalidInputError(
            f"need {name} in [{low:g}, {high:g}], sample {outside[0]} (counted from 0) has {values[outside[0]]:g}; "
            "declare another loss_range, or mend the loss"
        )
    return values


def resolve_kind(losses: Any, loss_range: tuple[float, float], kind: str) -> str:
    """Which p-value a kind stands for; one kind must serve all plans, so pass the losses of all of them.

    "auto" must not depend on the values: fractional losses that happen to be 0 or 1 in one sample are not binary.
    """
    if kind not in KINDS:
        raise InvalidInputError(f"need a kind of p-value among {KINDS}, got {kind!r}")
    array = to_numpy(losses, "losses")
    unit = tuple(loss_range) == (0.0, 1.0)
    if kind == "binomial" and not (unit and np.isin(array, (0, 1)).all()):
        raise InvalidInputError("need losses of 0 or 1 for the binomial p-value, got others; use kind='betting'")
    if kind == "auto":
        return "binomial" if unit and array.dtype.kind in "biu" else "betting"
    return kind
