"""A verdict on one definition of redundancy: holds, refuted, or undecided on the evidence given."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from redundancy.certificates.certificate import BoundCertificate, Evidence, as_interval
from redundancy.checks import check_real
from redundancy.files.tabular import Tabular
from redundancy.interval import Interval, text_down, text_up

__all__ = ["RedundancyVerdict", "decide"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RedundancyVerdict(Tabular):
    """Whether `quantity` < `epsilon`, as far as `interval` tells.

    `status` is "holds" if the whole interval is below epsilon, "refuted" if none of it is, else
    "undecided". All four definitions of the paper are strict, so an interval that touches epsilon from
    above refutes and one whose upper end *equals* epsilon does not decide. `certificate` is the evidence,
    when it was one; its assumptions and confidence level are the verdict's.

    Parameters
    ----------
    notion : str
        Which definition.
    quantity : str
        What is compared.
    epsilon : float
        With what.
    interval : Interval
        What is known of the quantity.
    status : {"holds", "refuted", "undecided"}
        Whether all, none or part of the interval is below `epsilon`.
    certificate : BoundCertificate, optional
        The evidence, if it came as a certificate.
    """

    notion: str
    quantity: str
    epsilon: float
    interval: Interval
    status: str
    certificate: BoundCertificate | None = None

    def __bool__(self) -> bool:
        """True only if the notion is established; "undecided" is not "refuted", so look at `status`."""
        return self.status == "holds"

    def sentence(self) -> str:
        """The verdict in words."""
        shown = text_down(self.epsilon) if self.status == "refuted" else text_up(self.epsilon)
        text = f"{self.notion} {shown}-redundancy is {self.status}: {self.quantity} lies in {self.interval}"
        if self.certificate is not None:
            text += f" by {self.certificate.theorem} [{self.certificate.label}]"
        if self.status == "undecided":
            text += "; this is no evidence against redundancy"
        return text + "."

    def to_record(self) -> dict[str, Any]:
        """One flat row for a table."""
        return {
            "notion": self.notion,
            "quantity": self.quantity,
            "epsilon": self.epsilon,
            "lower": self.interval.lower,
            "upper": self.interval.upper,
            "status": self.status,
            "evidence": None if self.certificate is None else self.certificate.label,
        }


def decide(notion: str, quantity: str, value: Evidence, epsilon: float) -> RedundancyVerdict:
    """Compare evidence on `quantity` with `epsilon` > 0."""
    epsilon = check_real(epsilon, "epsilon", lower=0.0, upper=math.inf, open_ends=True)
    interval = as_interval(value, name=quantity)
    if interval.upper < epsilon:
        status = "holds"
    elif interval.lower >= epsilon:
        status = "refuted"
    else:
        status = "undecided"
    return RedundancyVerdict(
        notion=notion,
        quantity=quantity,
        epsilon=epsilon,
        interval=interval,
        status=status,
        certificate=value if isinstance(value, BoundCertificate) else None,
    )
