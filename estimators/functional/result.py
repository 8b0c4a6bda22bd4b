"""The result of a functional redundancy estimate: numbers, certificates, warnings, and how to print them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from redundancy.certificates.certificate import BoundCertificate
from redundancy.files.tabular import Tabular
from redundancy.interval import Interval, text_up

__all__ = ["SCHEMA", "EstimateWarning", "FunctionalRedundancy"]

SCHEMA = "skip-it/functional-redundancy/1"

_ON_CODES = ("pinsker.", "mismatch.", "performance_gap.")  # theorems about coded layers


class EstimateWarning(UserWarning):
    """An interval is outside the range where its coverage was measured; the message says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionalRedundancy(Tabular):
    r"""Estimate of :math:`E\|f_{next}(X_{next}) - f_{prev}(X_{prev})\|^2` for one probe class, in squared task units.

    Three levels, never to be mixed up: `estimate` and `interval` are about the best predictors *of the class*
    (label E); `bracket` is about the ideal predictors if the class contains them (label E); `certified` holds for
    the ideal predictors whatever the class, with the confidence that each certificate states (label C).

    Attributes
    ----------
    estimate : float
        Double-split one-step estimate; may be negative when the truth is near 0.
    interval : Interval
        Two-sided, images being the units.
    upper_limit : float
        One-sided upper limit at the same level: the statement to use near 0.
    standard_error : float
        As used for the interval, inflated for the dimension.
    usable : bool
        Whether the case is one where the coverage of the interval was measured to be nominal; else see `warnings`.
    bracket : Interval
        ``(sqrt A -+ sqrt B)^2`` with A and B the gains of the joint probe over each layer's, negative ones read as 0.
    bracket_interval : Interval
        The bracket with A and B moved to the far ends of their intervals.
    gain_next, gain_prev : float
        A = error_next - error_joint and B = error_prev - error_joint, free of the variance of the probes.
    plug_in : float
        Double-split plug-in without the one-step correction, for comparison.
    probe_gap, error_prev, error_next : float
        Held-out means for the certified probes: their gap and their mean squared errors.
    certified : tuple of BoundCertificate
        Held-out errors, gap, and what follows; empty of losses when a real-valued task has no declared range.
    theorems : tuple of BoundCertificate
        Theorems 1 and 2 with stated (A) or estimated (E) constants.
    alpha, beta : float or None
        Lipschitz constants that went into them, in the next and in the previous state.
    lipschitz_prev, lipschitz_next : float or None
        Of the two fitted probes: properties of the probes.
    warnings : tuple of str
    confidence_level : float
        Of `interval` and `upper_limit`.
    method : str
        How the estimate was made.
    n_rows : int
        Rows used.
    n_images : int
        Images, the independent units.
    n_features : tuple of two ints
        Width of a state of either layer.
    effective_dof : float or None
        Effective features of the probe, where it has such a number.
    folds : int
        Folds over images.
    probe_class : str
        The class of predictors.
    view : str
        What a row is.
    task : str
        Kind of task.
    estimand : str
        Mean over images or over tokens.
    random_state : int
        Seed of the splits.
    """

    estimate: float
    interval: Interval
    upper_limit: float
    standard_error: float
    confidence_level: float
    method: str
    usable: bool
    bracket: Interval
    bracket_interval: Interval
    gain_prev: float
    gain_next: float
    plug_in: float
    probe_gap: float
    error_prev: float
    error_next: float
    certified: tuple[BoundCertificate, ...]
    theorems: tuple[BoundCertificate, ...]
    alpha: float | None
    beta: float | None
    lipschitz_prev: float | None
    lipschitz_next: float | None
    n_rows: int
    n_images: int
    n_features: tuple[int, int]
    effective_dof: float | None
    folds: int
    probe_class: str
    view: str
    task: str
    estimand: str
    random_state: int
    warnings: tuple[str, ...] = ()

    @property
    def certified_upper(self) -> BoundCertificate | None:
        """The smallest certified upper bound on the ideal predictors' gap; None if nothing was certified.

        All certificates hold jointly, so choosing among them costs no confidence. Those on *codes* (of Theorem 5
        and of mismatch) are about the coded layers and are left out.
        """
        gaps = [c for c in self.certified if c.quantity == "functional_gap" and not c.theorem.startswith(_ON_CODES)]
        return min(gaps, key=lambda c: c.interval.upper, default=None)

    def __repr__(self) -> str:
        return (
            f"FunctionalRedundancy(estimate={self.estimate:.4g}, interval={self.interval}, usable={self.usable}, "
            f"probe_class={self.probe_class!r}, n_images={self.n_images})"
        )

    def to_record(self) -> dict[str, Any]:
        """One flat row for a table."""
        upper = self.certified_upper
        row: dict[str, Any] = {
            "estimate": self.estimate,
            "lower": self.interval.lower,
            "upper": self.interval.upper,
            "confidence_level": self.confidence_level,
            "usable": self.usable,
            "bracket_lower": self.bracket.lower,
            "bracket_upper": self.bracket.upper,
            "certified_upper": None if upper is None else upper.interval.upper,
            "certified_label": None if upper is None else upper.label,
            "probe_gap": self.probe_gap,
            "error_prev": self.error_prev,
            "error_next": self.error_next,
        }
        row |= {c.theorem: c.interval.upper for c in self.theorems}
        row |= {"n_rows": self.n_rows, "n_images": self.n_images, "probe_class": self.probe_class, "view": self.view}
        row["warnings"] = list(self.warnings)
        return row

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready tree; arrays of the certificates are listed once under ``arrays`` by their hash."""
        arrays: dict[str, Any] = {}
        tree: dict[str, Any] = {"schema": SCHEMA}
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            if isinstance(value, Interval):
                value = [value.lower, value.upper]
            elif name in ("certified", "theorems"):
                value = [c.to_dict(arrays) for c in value]
            elif isinstance(value, tuple):
                value = list(value)
            tree[name] = value
        tree["arrays"] = arrays
        return tree

    @classmethod
    def from_dict(cls, tree: dict[str, Any]) -> FunctionalRedundancy:
        """Inverse of `to_dict`."""
        from redundancy.errors import StoreError

        if tree.get("schema") != SCHEMA:
            raise StoreError(f"need a result of schema {SCHEMA}, got {tree.get('schema')!r}")
        fields: dict[str, Any] = {name: tree[name] for name in cls.__dataclass_fields__}
        for name in ("interval", "bracket", "bracket_interval"):
            fields[name] = Interval(*fields[name])
        for name in ("certified", "theorems"):
            fields[name] = tuple(BoundCertificate.from_dict(c, tree["arrays"]) for c in fields[name])
        fields["n_features"], fields["warnings"] = tuple(fields["n_features"]), tuple(fields["warnings"])
        return cls(**fields)

    def summary(self) -> str:
        """A few lines for a terminal."""
        upper = self.certified_upper
        lines = [
            f"functional redundancy of class {self.probe_class}, view {self.view}, task: {self.task}",
            f"  estimate [E] {self.estimate:.4g}, {self.confidence_level:.0%} interval {self.interval}"
            + ("" if self.usable else "  (not usable, see the warnings)"),
            f"  bracket  [E] {self.bracket} for the ideal predictors if the class contains them",
        ]
        if upper is not None:
            end = text_up(upper.interval.upper, 4)
            lines.append(f"  at most {end} [{upper.label}] by {upper.theorem}, whatever the class")
        lines += [f"  {c.theorem} [{c.label}]: {c.quantity} <= {text_up(c.interval.upper, 4)}" for c in self.theorems]
        return "\n".join([*lines, *(f"  warning: {w}" for w in self.warnings)])
