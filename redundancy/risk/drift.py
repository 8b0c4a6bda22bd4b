"""An alarm on a served plan: audited losses are bet against its certified risk, and a false alarm ever is unlikely."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from redundancy.checks import as_floats, check_real
from redundancy.errors import InvalidInputError
from redundancy.files.digested import reading, seal, unseal
from redundancy.interval import text_down, text_up

__all__ = ["DriftAlarm"]

SCHEMA = "skip-it/drift-alarm/1"
BLOCK = 25  # audited inputs between the starts of two bets
_RATIOS = (1.5, 2.0, 3.0, 5.0)  # how much worse than certified a bet expects the plan to be


@dataclass(slots=True)
class DriftAlarm:
    """Watch whether the certified risk of a plan is still credible, for as long as it is served.

    Parameters
    ----------
    risk : float
        Certified risk of the plan, in (0, 1).
    alpha : float, default=0.05
        Largest probability of an alarm, ever, while the risk is at most the certified one.

    Attributes
    ----------
    n_audited : int
        Losses seen so far.
    total_loss : float
        Their sum.
    evidence : float
        Average capital of all bets now.
    peak : float
        Largest evidence so far.
    alarm_at : int or None
        Number of audited inputs at which the evidence first reached ``1 / alpha``.

    Notes
    -----
    Each bet starts at a multiple of 25 audited inputs, stakes a fixed share on every later loss and multiplies its
    capital by ``1 + s (loss - risk)``. The evidence is the average of all bets, the j-th start with weight
    ``1 / (j (j + 1))``; a bet that has not begun counts with capital 1. While each audited loss has a conditional
    mean of at most `risk`, the evidence does not grow on average, so it ever passes ``1 / alpha`` with probability at
    most `alpha` (Ville). Later starts keep it able to find a change after a long time without one, at a price in
    delay that grows with the logarithm of that time.

    References
    ----------
    .. [1] Ville (1939), Etude critique de la notion de collectif.
    .. [2] Shin, Ramdas and Rinaldo (2023), E-detectors, New England Journal of Statistics in Data Science 2(2).

    Examples
    --------
    >>> alarm = DriftAlarm(0.05)
    >>> alarm.update([0.0] * 100)
    False
    >>> alarm.update([1.0] * 12)
    True
    """

    risk: float
    alpha: float = 0.05
    n_audited: int = 0
    total_loss: float = 0.0
    evidence: float = 1.0
    peak: float = 1.0
    alarm_at: int | None = None
    _logs: npt.NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        self.risk = check_real(self.risk, "risk", lower=0.0, upper=1.0, open_ends=True)
        self.alpha = check_real(self.alpha, "alpha", lower=0.0, upper=1.0, open_ends=True)
        if self._logs is None:
            self._logs = np.zeros((0, len(_RATIOS)))

    @property
    def is_raised(self) -> bool:
        """Whether the evidence has ever passed ``1 / alpha``."""
        return self.alarm_at is not None

    @property
    def sentence(self) -> str:
        """What the audits say, with what it rests on."""
        inputs = f"{self.n_audited} audited input{'' if self.n_audited == 1 else 's'}"
        if self.alarm_at is None:
            return (
                f"No alarm: {inputs}, mean loss {self.mean_loss:.4f}; the evidence against a risk of at most "
                f"{self.risk:g} is {self.evidence:.3g}, and an alarm needs {1.0 / self.alpha:.4g}."
            )
        return (
            f"Alarm after {self.alarm_at} audited inputs: the plan's risk is no longer credibly at most "
            f"{text_down(self.risk)} ({inputs}, mean loss {self.mean_loss:.4f}; an alarm while it is has probability "
            f"at most {text_up(self.alpha)}, ever). Serve the unmodified model and select again on inputs of today."
        )

    @property
    def mean_loss(self) -> float:
        """Mean loss of all audited inputs; 0 before the first."""
        return self.total_loss / self.n_audited if self.n_audited else 0.0

    def update(self, losses: npt.ArrayLike) -> bool:
        """Add audited losses in the order of arrival.

        Parameters
        ----------
        losses : array_like of shape (n,)
            Each in [0, 1]: 1 where the plan lost what the unmodified model has.

        Returns
        -------
        bool
            Whether the alarm is raised, now or before.

        Raises
        ------
        InvalidInputError
            If a loss is outside [0, 1] or no number; nothing is added then.
        """
        values = np.atleast_1d(as_floats(losses, "losses"))
        if values.ndim != 1 or not ((values >= 0.0) & (values <= 1.0)).all():
            raise InvalidInputError(f"need losses of shape (n,) in [0, 1], got {losses!r:.80}")
        for value in values:
            self._add(float(value))
        return self.is_raised

    def _add(self, loss: float) -> None:
        assert self._logs is not None
        if self.n_audited % BLOCK == 0:
            self._logs = np.vstack([self._logs, np.zeros((1, len(_RATIOS)))])
        self._logs += np.log1p(_stakes(self.risk) * (loss - self.risk))
        self.n_audited += 1
        self.total_loss += loss
        n = len(self._logs)
        starts = np.arange(1, n + 1)
        capitals = np.exp(np.minimum(self._logs, 700.0)).mean(axis=1)
        # Bets that have not begun have weights that add up to 1 / (n + 1), and capital 1.
        self.evidence = float((capitals / (starts * (starts + 1.0))).sum() + 1.0 / (n + 1.0))
        self.peak = max(self.peak, self.evidence)
        if self.alarm_at is None and self.evidence * (1.0 - 1e-9) >= 1.0 / self.alpha:
            self.alarm_at = self.n_audited

    def to_json(self) -> str:
        """Exact JSON form with a digest, from which a restarted server goes on."""
        assert self._logs is not None
        return seal(
            {
                "schema": SCHEMA,
                "risk": self.risk,
                "alpha": self.alpha,
                "n_audited": self.n_audited,
                "total_loss": self.total_loss,
                "evidence": self.evidence,
                "peak": self.peak,
                "alarm_at": self.alarm_at,
                "logs": self._logs.tolist(),
            }
        )

    @classmethod
    def from_json(cls, text: str) -> DriftAlarm:
        """Inverse of `to_json`.

        Raises
        ------
        StoreError
            If the text is of another schema, or was altered.
        """
        body: dict[str, Any] = unseal(text, SCHEMA)
        with reading(SCHEMA):
            logs = np.array(body["logs"], dtype=np.float64).reshape(-1, len(_RATIOS))
            if len(logs) != math.ceil(body["n_audited"] / BLOCK):
                raise ValueError(f"{len(logs)} bets where {body['n_audited']} audited inputs make another number")
            return cls(
                risk=body["risk"],
                alpha=body["alpha"],
                n_audited=body["n_audited"],
                total_loss=body["total_loss"],
                evidence=body["evidence"],
                peak=body["peak"],
                alarm_at=body["alarm_at"],
                _logs=logs,
            )


def _stakes(risk: float) -> npt.NDArray[np.float64]:
    """For each ratio the share that grows fastest if the risk is that much higher, below what could ruin the bet."""
    worse = np.minimum(np.array(_RATIOS) * risk, 0.5 + 0.5 * risk)
    stakes: npt.NDArray[np.float64] = (worse - risk) / (risk * (1.0 - risk))
    return np.minimum(stakes, 0.95 / risk)
