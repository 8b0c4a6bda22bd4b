"""How many units a guarantee will need, before any is measured: from a guess of the loss, or from a pilot."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import binom

from redundancy.checks import check_count, check_real
from redundancy.errors import InvalidInputError
from redundancy.files.tabular import Tabular
from redundancy.interval import text_down, text_up
from redundancy.risk.p_values import check_losses, p_value

__all__ = ["SampleSize", "sample_size", "sample_size_of_pilot"]

_MOST = 10_000_000
_LEAST_RISK = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleSize(Tabular):
    """Units from which a plan is certified with a wanted probability.

    Parameters
    ----------
    n_units : int
        Independent units that are needed.
    n_losses : int or None
        Losses among them that are still certified; None where losses are fractions.
    power : float
        Probability of certification if the plan's true risk is `expected`.
    risk, expected, level : float
        Tolerated risk, guess of the true one, and the share of the error that the plan's test gets.
    how : str
        "exact", or "bootstrap" for an estimate from a pilot.
    """

    n_units: int
    n_losses: int | None
    power: float
    risk: float
    expected: float
    level: float
    how: str

    @property
    def sentence(self) -> str:
        """What it means in words."""
        known = "Estimated (E) from a pilot" if self.how == "bootstrap" else "Computed for a guess, not certified (E)"
        spare = "" if self.n_losses is None else f"; up to {self.n_losses} of them may be lost"
        return (
            f"{self.n_units:,} independent units certify a plan at risk {text_up(self.risk)} with probability "
            f"{text_down(self.power, 3)}, if its true risk is {self.expected:.4g} and its test has the level "
            f"{self.level:.4g}{spare}. {known}: the guarantee itself comes from the choice alone."
        )

    def to_record(self) -> dict[str, object]:
        """One flat row."""
        names = ("n_units", "n_losses", "power", "risk", "expected", "level", "how")
        return {name: getattr(self, name) for name in names}


def sample_size(
    risk: float, expected: float, *, power: float = 0.8, confidence_level: float = 0.95, n_shares: int = 1
) -> SampleSize:
    """Least number of 0/1 losses, one per unit, that certify a plan with the wanted probability.

    Parameters
    ----------
    risk : float
        Tolerated, in (0, 1).
    expected : float
        Guess of the plan's true risk, in [0, risk).
    power : float, default=0.8
        Wanted probability of certification.
    confidence_level : float, default=0.95
    n_shares : int, default=1
        Among how many chains or plans the error is shared when the plan is tested.

    Returns
    -------
    SampleSize
        Exact for the binomial test.

    Raises
    ------
    InvalidInputError
        If no number of units can do it: a plan whose risk is not below the tolerated one is not to be certified.

    Notes
    -----
    With k losses allowed, the test needs the least n with P[Bin(n, risk) <= k] <= level, and more units at the same k
    only lower the power; so it is enough to go through k = 0, 1, 2, ...

    Examples
    --------
    >>> sample_size(0.05, 0.0).n_units, sample_size(0.02, 0.005).n_units
    (59, 386)
    """
    risk = check_real(risk, "risk", lower=0.0, upper=1.0, open_ends=True)
    expected = check_real(expected, "expected risk", lower=0.0, upper=1.0)
    power = check_real(power, "power", lower=0.0, upper=1.0, open_ends=True)
    level = _level(confidence_level, n_shares)
    if expected >= risk:
        raise InvalidInputError(
            f"need an expected risk below the tolerated {risk:g}, got {expected:g}: such a plan is not to be certified"
        )
    if risk < _LEAST_RISK:  # counts of so many units are no whole numbers in floats
        raise InvalidInputError(f"need a risk of at least {_LEAST_RISK:g} to plan for, got {risk:g}")
    k, n = 0, 1
    while n < _MOST:
        n = _least(k, n, risk, level)
        reached = float(binom.cdf(k, n, expected))
        if reached >= power:
            return SampleSize(
                n_units=n, n_losses=k, power=reached, risk=risk, expected=expected, level=level, how="exact"
            )
        k += max(1, k // 50)  # a finer step would save at most two of a hundred units
    raise InvalidInputError(f"need an expected risk clearly below {risk:g}, {expected:g} asks for over {_MOST:,} units")


def sample_size_of_pilot(
    losses: npt.ArrayLike,
    risk: float,
    *,
    power: float = 0.8,
    confidence_level: float = 0.95,
    n_shares: int = 1,
    kind: str = "betting",
    n_draws: int = 200,
    seed: int = 0,
) -> SampleSize:
    """The same from the losses of a pilot, one mean per unit, by drawing units from it again and again.

    An estimate: a pilot of few units knows the spread of losses poorly, and one without a loss knows nothing of it.

    Parameters
    ----------
    losses : array_like of shape (n_units,)
        Mean loss of each unit of the pilot, in [0, 1].
    risk, power, confidence_level, n_shares
        As in `sample_size`.
    kind : {"betting", "betting_sequence"}
        Test that the choice will make.
    n_draws : int, default=200
    seed : int, default=0

    Returns
    -------
    SampleSize

    Raises
    ------
    InvalidInputError
        If the pilot's mean loss is not below the risk.
    """
    pilot = check_losses(losses, (0.0, 1.0), name="losses of the pilot")
    level, expected = _level(confidence_level, n_shares), float(pilot.mean())
    check_real(power, "power", lower=0.0, upper=1.0, open_ends=True)
    if expected >= risk:
        raise InvalidInputError(f"need a pilot with a mean loss below {risk:g}, got {expected:.4g}; allow more risk")

    def reached(n: int) -> float:
        rng = np.random.default_rng([seed, n])
        hits = (
            p_value(rng.choice(pilot, n), risk, kind=kind, confidence_level=confidence_level) <= level
            for _ in range(check_count(n_draws, "n_draws", lower=1))
        )
        return sum(hits) / n_draws

    low, high = 1, 32
    while reached(high) < power:
        low, high = high, 2 * high
        if high > 200_000:
            raise InvalidInputError(f"need a pilot clearly below risk {risk:g}, its mean loss is {expected:.4g}")
    while high - low > max(1, low // 50):
        n = (low + high) // 2
        low, high = (low, n) if reached(n) >= power else (n, high)
    return SampleSize(
        n_units=high,
        n_losses=None,
        power=reached(high),
        risk=risk,
        expected=expected,
        level=level,
        how="bootstrap",
    )


def _level(confidence_level: float, n_shares: int) -> float:
    level = check_real(confidence_level, "confidence_level", lower=0.0, upper=1.0, open_ends=True)
    return (1.0 - level) / check_count(n_shares, "n_shares", lower=1)


def _least(k: int, start: int, risk: float, level: float) -> int:
    """Least n >= start at which k losses are certified."""
    low, high = max(start, k + 1) - 1, max(start, k + 1)
    while binom.cdf(k, high, risk) > level:
        low, high = high, 2 * high
    while high - low > 1:
        n = (low + high) // 2
        low, high = (low, n) if binom.cdf(k, n, risk) <= level else (n, high)
    return high
