"""The small records around a certificate: what a theorem assumes, what a bound returns, what a recheck found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypedDict

from redundancy.errors import InvalidInputError
from redundancy.files.digested import as_kind
from redundancy.interval import Interval

__all__ = ["Assumption", "Bound", "RecheckReport", "SampleFields", "drawn", "sample_fields", "sample_record"]

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


def drawn(n_units: int, n_samples: int | None, *, assumed: bool) -> str:
    """The units that a guarantee is over, and the samples if they are more: "84 i.i.d. images (1,120 questions)".

    Parameters
    ----------
    n_units : int
        Independent units.
    n_samples : int or None
        Samples; None if nothing but the units was recorded.
    assumed : bool
        Whether some samples name no unit, so that each is taken for one.

    Returns
    -------
    str
    """
    remarks = [f"{n_samples:,} questions"] if n_samples not in (None, n_units) else []
    remarks += ["assumed: a sample that names no image shows one of its own"] if assumed else []
    return f"{n_units} i.i.d. images" + (f" ({'; '.join(remarks)})" if remarks else "")


class SampleFields(TypedDict):
    """What a certificate knows of its sample beside the number of units."""

    n_samples: int | None
    units_assumed: bool
    order_e_value: float | None


def sample_record(n_samples: int | None, units_assumed: bool, order_e_value: float | None) -> dict[str, Any]:
    """JSON form of `SampleFields`, without what is not known: certificates of release 0.1.0 have none of it."""
    record = {"n_samples": n_samples, "units_assumed": units_assumed or None, "order_e_value": order_e_value}
    return {name: value for name, value in record.items() if value is not None}


def sample_fields(tree: Mapping[str, Any]) -> SampleFields:
    """Inverse of `sample_record`."""
    n_samples, e_value = tree.get("n_samples"), tree.get("order_e_value")
    return SampleFields(
        n_samples=None if n_samples is None else as_kind(n_samples, int),
        units_assumed=as_kind(tree.get("units_assumed", False), bool),
        order_e_value=None if e_value is None else as_kind(e_value, float),
    )
