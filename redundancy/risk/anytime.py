"""Risk control while the samples come in: look after every one, stop as soon as the question is decided."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

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
    stays certified, unless the plan's own mean loss reaches the risk later: then the stream contradicts the
    certificate, and it is withdrawn. More than eight parameters, since the guarantee rests on each of them.

    Parameters
    ----------
    names, costs, risk, confidence_level, loss, loss_range, procedure, chains, nouns, claim
        As in `control_risk`, all fixed before the first sample.

    Notes
    -----
    The bets follow the order of arrival. It must not depend on what the samples are: take a stored data set in the
    order of `redundancy.sampling.hash_order`.

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
        nouns: tuple[str, str] = ("samples", "samples"),
        claim: str | None = None,
    ) -> None:
        self._names = tuple(str(name) for name in names)
        self._options: dict[str, Any] = {
            "names": self._names,
            "costs": tuple(costs),
            "risk": risk,
            "confidence_level": confidence_level,
            "loss": loss,
            "loss_range": loss_range,
            "procedure": procedure,
            "chains": chains,
            "nouns": nouns,
            "claim": claim,
            "kind": "betting_sequence",
        }
        self._losses = np.zeros((len(self._names), 0))
        self._labels: dict[str, list[Any]] = {"units": [], "groups": [], "ceiling": []}
        self._result: RiskControl | None = None
        if not self._names:
            raise InvalidInputError("need at least one plan to watch, got none")
        # A dry run with the mildest loss, so that a wrong option fails before any sample is paid for.
        low = check_real(loss_range[0], "lower end of loss_range")
        control_risk(np.full((len(self._names), 1), low), **self._options)

    @property
    def n_samples(self) -> int:
        """Samples seen."""
        return int(self._losses.shape[1])

    @property
    def certified(self) -> tuple[str, ...]:
        """Plans certified so far."""
        return () if self.n_samples == 0 else self.result().certified

    def update(
        self,
        losses: npt.ArrayLike,
        *,
        units: Sequence[str] | None = None,
        groups: Sequence[str] | None = None,
        ceiling: Sequence[float] | None = None,
    ) -> None:
        """Add the losses of new samples, in the order of arrival.

        Parameters
        ----------
        losses : array_like of shape (n_new, n_plans)
            A row per sample.
        units, groups : sequence of str of length n_new, optional
            As in `control_risk`; given with every update or with none. All samples of a unit come in one update.
        ceiling : sequence of float of length n_new, optional
            As in `control_risk`.

        Raises
        ------
        InvalidInputError
            For losses of another shape, NaN, labels that come only sometimes, or a unit that comes again.
        """
        rows = as_floats(losses, "losses")
        if rows.ndim != 2 or rows.shape[1] != len(self._names):
            raise InvalidInputError(f"need losses of shape (n_new, {len(self._names)} plans), got shape {rows.shape}")
        if not np.isfinite(rows).all():
            raise InvalidInputError(f"need finite losses, got NaN or infinity after sample {self.n_samples}")
        units = None if units is None else [str(unit) for unit in units]  # 1 and "1" are one unit, as in the tests
        again = set(units or ()) & set(self._labels["units"])
        if again:
            raise InvalidInputError(
                f"need all samples of a unit in one update, {min(again)!r} comes again after a bet was settled"
            )
        for name, new in (("units", units), ("groups", groups), ("ceiling", ceiling)):
            known = self._labels[name]
            if (new is None and known) or (new is not None and (len(new) != len(rows) or len(known) != self.n_samples)):
                raise InvalidInputError(f"need {name} for every sample or for none, one per row of losses")
        for name, new in (("units", units), ("groups", groups), ("ceiling", ceiling)):
            self._labels[name] += [] if new is None else list(new)
        self._losses = np.concatenate([self._losses, rows.T], axis=1)
        self._result = None

    def result(self) -> RiskControl:
        """The statement as of now, with its losses."""
        if self.n_samples == 0:
            raise InvalidInputError("need at least one sample before a result, got none; call update")
        if self._result is None:
            labels: dict[str, Any] = {name: values or None for name, values in self._labels.items()}
            self._result = control_risk(self._losses, **self._options, **labels)
        return self._result
