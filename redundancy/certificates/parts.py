"""The small records around a certificate: what a theorem assumes, what a bound returns, what a recheck found."""

from __future__ import annotations

from dataclasses import dataclass

from redundancy.errors import InvalidInputError
from redundancy.interval import Interval

__all__ = ["Assumption", "Bound", "RecheckReport"]

_STATUSES = ("checked", "declared", "estimated")


@dataclass(frozen=True, slots=True, order=True)
class Assumption:
    """One hypothesis of a theorem: `status` says whether it was checked, declared or estimated.

    Parameters
    ----------
    name : str
        Short name.
    text : str
        The hypothesis in words.
    status : {"checked", "declared", "estimated"}, default="declared"
        Who vouches for it.
    """

    name: str
    text: str
    status: str = "declared"

    def __post_init__(self) -> None:
        if self.status not in _STATUSES:
            raise InvalidInputError(f"need a status among {_STATUSES}, got {self.status!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """What a registered bound function returns: the numbers, before they become a certificate.

    Parameters
    ----------
    quantity : str
        What is bounded, as ``"conditional_entropy"``.
    interval : Interval
        Holds the quantity if the assumptions hold; already rounded outward.
    trivial : Interval
        What is known of the quantity with no evidence at all (``[0, log K]``, ``[0, 2]``).
    evidence : str, default="P"
        "P" proved, "C" certified from a sample, "A" needs assumptions nobody can verify, "E" estimate.
    confidence_level : float or None
        Level of this bound's own sampling argument; None when it uses no sample of its own.
    base : float or None
        Unit of an information.
    assumptions : tuple of Assumption
        What this bound itself assumes.
    """

    quantity: str
    interval: Interval
    trivial: Interval
    base: float | None = None
    assumptions: tuple[Assumption, ...] = ()
    evidence: str = "P"
    confidence_level: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecheckReport:
    """Outcome of `BoundCertificate.recheck`: `problems` is empty if everything was reproduced.

    Parameters
    ----------
    theorem : str
        What was checked.
    problems : tuple of str
        A sentence for each difference.
    """

    theorem: str
    problems: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether every number was reproduced."""
        return not self.problems

    def __bool__(self) -> bool:
        return self.ok
