"""Risk control while the samples come in: look after every one, stop as soon as the question is decided."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from redundancy.checks import as_floats, check_real
from redundancy.errors import InvalidInputError
from redundancy.risk.control import RiskControl, control_risk
from redundancy.risk.graph import ErrorGraph

__all__ = ["AnytimeControl"]


class AnytimeControl:
    """Certify plans on a stream of samples, with a guarantee that holds however often one looks.

    The p-value of a plan is the reciprocal of the largest capital so far of a bet against it, so it only falls,
    and by Ville's inequality it ever passes a level with at most that probability. What is certified once
    stays certified.

    Parameters
    ----------
    names, costs, risk, confidence_level, loss, loss_range, procedure, chains
        As in `control_risk`, all fixed before the first sample.

    Examples
    --------
    >>> watch = AnytimeControl(names=["late_entry(2)"], costs=[1.0], risk=0.05)
    >>> seen = 0
    >>> while not watch.certified:
    ...     watch.update([[0.0]])
    ...     seen += 1
    >>> seen < 200
    True
    """

    def __init__(
        self,
        *,
        names: Sequence[str],
        costs: Sequence[float],
        risk: float,
        confidence_level: float = 0.95,
        loss: str = "loss",
        loss_range: tuple[float, float] = (0.0, 1.0),
        procedure: str | ErrorGraph = "fixed_sequence",
        chains: Sequence[str] | None = None,
    ) -> None:
        self._names = tuple(str(name) for name in names)
        self._costs = tuple(costs)
        self._options = {
            "risk": risk,
            "confidence_level": confidence_level,
            "loss": loss,
            "loss_range": loss_range,
            "procedure": procedure,
            "chains": chains,
            "kind": "betting_sequence",
        }
        self._losses = np.zeros((len(self._names), 0))
        self._result: RiskControl | None = None
        if not self._names:
            raise InvalidInputError("need at least one plan to watch, got none")
        # A dry run with the mildest loss, so that a wrong option fails before any sample is paid for.
        low = check_real(loss_range[0], "lower end of loss_range")
        control_risk(np.full((len(self._names), 1), low), names=self._names, costs=self._costs, **self._options)  # type: ignore[arg-type]

    @property
    def n_samples(self) -> int:
        """Samples seen."""
        return int(self._losses.shape[1])

    @property
    def certified(self) -> tuple[str, ...]:
        """Plans certified so far; grows only."""
        return () if self.n_samples == 0 else self.result().certified

    def update(self, losses: npt.ArrayLike) -> None:
        """Add the losses of new samples, in the order of arrival.

        Parameters
        ----------
        losses : array_like of shape (n_new, n_plans)
            A row per sample.
        """
        rows = as_floats(losses, "losses")
        if rows.ndim != 2 or rows.shape[1] != len(self._names):
            raise InvalidInputError(f"need losses of shape (n_new, {len(self._names)} plans), got shape {rows.shape}")
        if not np.isfinite(rows).all():
            raise InvalidInputError(f"need finite losses, got NaN or infinity after sample {self.n_samples}")
        self._losses = np.concatenate([self._losses, rows.T], axis=1)
        self._result = None

    def result(self) -> RiskControl:
        """The statement as of now, with its losses."""
        if self.n_samples == 0:
            raise InvalidInputError("need at least one sample before a result, got none; call update")
        if self._result is None:
            self._result = control_risk(
                self._losses,
                names=self._names,
                costs=self._costs,
                **self._options,  # type: ignore[arg-type]
            )
        return self._result
