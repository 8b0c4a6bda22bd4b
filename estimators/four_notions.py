"""One call for a pair of layers: the paper's four notions of redundancy, with bounds, labels, a table and a figure."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from estimators.codes.codebook import fit_codebook
from estimators.entropy import (
    EntropyEstimate,
    conditional_entropy_estimate,
    conditional_entropy_upper,
    mutual_information_estimate,
    mutual_information_lower,
)
from estimators.functional import EstimateWarning, FunctionalRedundancy, functional_redundancy
from estimators.unique import UniqueInformationEstimate, unique_information_estimate
from redundancy.arrays import as_floats, as_labels, as_states, to_numpy
from redundancy.certificates.certificate import BoundCertificate
from redundancy.certificates.pair import LayerPairCertificate
from redundancy.checks import check_count, check_real
from redundancy.distances import cosine_distance
from redundancy.errors import InvalidInputError
from redundancy.files.tabular import Tabular
from redundancy.interval import text_down, text_level, text_up
from redundancy.sampling import unit_means
from redundancy.units import check_base, unit_name

__all__ = ["FourRedundancies", "redundancies"]

_FAMILIES = 4  # of certified bounds that share the error: distances, functional gap, entropy, information
_THRESHOLD = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class FourRedundancies(Tabular):
    """What two layers share, by each of the four notions; made by `redundancies`.

    Attributes
    ----------
    distance, tail : float
        Mean over images of the mean cosine distance, and of the share of tokens farther than 0.05.
    certificate : LayerPairCertificate
        Certified intervals of these two, and what the theorems derive of them.
    functional : FunctionalRedundancy or None
        Estimate, interval and certified bounds of the functional gap; None without a target.
    entropy, information : EntropyEstimate
        H(next | prev) and I(next; prev) of codes.
    entropy_upper, information_lower : BoundCertificate
        Certified bounds of these two.
    pid : UniqueInformationEstimate or None
        Unique, redundant and synergistic information about the target; None without labels as target.
    confidence_level : float
        Of all certified bounds jointly, and at least of each interval of an estimate.
    n_images, n_rows : int
        Images, which are the independent units, and rows. Those that fitted the codebook are among them.
    notes : tuple of str
        What to know beside the numbers.
    """

    distance: float
    tail: float
    certificate: LayerPairCertificate
    functional: FunctionalRedundancy | None
    entropy: EntropyEstimate
    information: EntropyEstimate
    entropy_upper: BoundCertificate
    information_lower: BoundCertificate
    pid: UniqueInformationEstimate | None
    confidence_level: float
    n_images: int
    n_rows: int
    notes: tuple[str, ...] = ()

    def to_records(self) -> list[dict[str, Any]]:
        """One row per quantity: estimate, ends, unit, and the evidence for the ends (C certified, E estimated)."""
        gap, unit = self.functional, unit_name(self.entropy.base)
        rows = [
            _row(
                "geometric", "mean cosine distance", self.distance, *_ends(self.certificate, "mean_distance"), "", "C"
            ),
            _row("proximal", f"P(distance > {_THRESHOLD})", self.tail, *_ends(self.certificate, "tail_prob"), "", "C"),
        ]
        if gap is not None:
            rows.append(_row("functional", "gap", gap.estimate, gap.interval.lower, gap.interval.upper, "", "E"))
            if gap.certified_upper is not None and not gap.certified_upper.is_vacuous:
                rows.append(_row("functional", "gap", None, 0.0, gap.certified_upper.interval.upper, "", "C"))
        for name, estimate, bound in (
            ("H(next | prev)", self.entropy, self.entropy_upper),
            ("I(next; prev)", self.information, self.information_lower),
        ):
            ends = estimate.interval
            rows.append(_row("informational", name, estimate.value, ends.lower, ends.upper, unit, "E"))
            if not bound.is_vacuous:
                ends = bound.interval
                rows.append(_row("informational", name, None, ends.lower, ends.upper, unit, "C"))
        if self.pid is not None:
            for atom, value in self.pid.atoms.items():
                ends = self.pid.intervals[atom]
                rows.append(_row("PID", atom.replace("_", " "), value, ends.lower, ends.upper, unit, "E"))
        return rows

    def __str__(self) -> str:
        lines = [
            f"{row['notion']:>13}  {row['quantity']:<22} {_text(row['estimate']):>9}  "
            f"[{text_down(row['lower'], 4)}, {text_up(row['upper'], 4)}] {row['unit']} [{row['evidence']}]"
            for row in self.to_records()
        ]
        level = text_level(self.confidence_level)
        head = (
            f"{self.n_rows} rows of {self.n_images} images. [C] certified, jointly at {level}; "
            f"[E] estimated, each at {level} or more."
        )
        return "\n".join([head, *lines, *self.notes])


def redundancies(
    x_prev: Any,
    x_next: Any,
    target: Any = None,
    ids: Any = None,
    *,
    confidence_level: float = 0.95,
    n_codes: int = 16,
    base: float = 2.0,
    random_state: int = 0,
) -> FourRedundancies:
    """Measure the geometric, proximal, functional and informational redundancy of two layers, with bounds.

    Parameters
    ----------
    x_prev, x_next : array_like of shape (n_rows, n_features)
        States of the two layers, row by row the same token: numpy, torch, pandas, or what else has rows.
    target : array_like of shape (n_rows,) or (n_rows, n_dims), optional
        What the task asks: labels of any kind, or real vectors. Without it the functional notion and the PID, which
        are about a task, are left out; the PID also for real vectors.
    ids : array_like of shape (n_rows,), optional
        Image of each row. Images are the independent units; without ids every row is taken for an image of its own,
        which for several tokens of one image makes every interval too narrow.
    confidence_level : float, default=0.95
        Of all certified bounds jointly, and of each interval of an estimate.
    n_codes : int, default=16
        Size of the codebook of the informational notion, fitted on a quarter of the images, which it leaves out.
    base : float, default=2.0
        Unit of information: 2 for bits, ``math.e`` for nats.
    random_state : int, default=0
        Seed of folds, codebook and resamples.

    Returns
    -------
    FourRedundancies
        Prints as a table, ``to_records()`` and ``to_pandas()`` give it, ``plot()`` draws it.

    Raises
    ------
    InvalidInputError
        For arrays that do not match, NaN, zero rows, or too few images.

    Notes
    -----
    None of the numbers says by itself that a layer may be skipped: that takes a run with the layer left out.

    References
    ----------
    .. [1] Definitions 1 to 4 of arXiv:2509.25584.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> before = rng.normal(size=(400, 4))
    >>> found = redundancies(before, before + 0.1 * rng.normal(size=(400, 4)), before[:, 0] > 0)
    >>> sorted({row["notion"] for row in found.to_records()})
    ['PID', 'functional', 'geometric', 'informational', 'proximal']
    >>> found.certificate.distance_upper < 0.05
    True
    """
    level = check_real(confidence_level, "confidence_level", lower=0.0, upper=1.0, open_ends=True)
    base, n_codes = check_base(base), check_count(n_codes, "n_codes", lower=2)
    prev, after = (np.asarray(as_states(x, name)) for x, name in ((x_prev, "x_prev"), (x_next, "x_next")))
    if prev.shape != after.shape:
        raise InvalidInputError(
            f"need x_prev and x_next of one shape, row by row the same token, got {prev.shape} and {after.shape}"
        )
    notes = [] if ids is not None else ["Every row was taken for an image of its own: no ids were given."]
    names = as_labels(np.arange(len(prev)) if ids is None else ids, "ids", len(prev)).astype(str)
    labels, task, n_classes = _task(target, len(prev), notes)
    each = 1.0 - (1.0 - level) / _FAMILIES
    shared: dict[str, Any] = {"confidence_level": each, "random_state": random_state}
    certificate = LayerPairCertificate.from_arrays(
        prev, after, names, t=_THRESHOLD, confidence_level=each, seed=random_state, base=base
    )
    distances = cosine_distance(after, prev)
    functional = None
    if task is not None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", EstimateWarning)  # kept in the result
            functional = functional_redundancy(prev, after, task, ids=names, n_classes=n_classes, **shared)
        notes += functional.warnings
    book = fit_codebook([prev, after], names, n_codes=n_codes, random_state=random_state)
    kept = ~np.isin(names, sorted(book.fit_images))
    pair = book.encode_pair(prev[kept], after[kept], names[kept])
    return FourRedundancies(
        distance=float(np.mean(unit_means(distances, names)[0])),
        tail=float(np.mean(unit_means(distances > _THRESHOLD, names)[0])),
        certificate=certificate,
        functional=functional,
        entropy=conditional_entropy_estimate(pair, confidence_level=level, base=base),
        information=mutual_information_estimate(pair, confidence_level=level, base=base),
        entropy_upper=conditional_entropy_upper(pair, base=base, **shared),
        information_lower=mutual_information_lower(pair, base=base, **shared),
        pid=None
        if labels is None
        else unique_information_estimate(
            pair, labels[kept], confidence_level=level, base=base, random_state=random_state
        ),
        confidence_level=level,
        n_images=len(np.unique(names)),
        n_rows=len(prev),
        notes=tuple(notes),
    )


def _task(
    target: Any, n_rows: int, notes: list[str]
) -> tuple[npt.NDArray[np.int64] | None, npt.NDArray[Any] | None, int | None]:
    """Labels as 0..K-1 for the PID, the target as the probes take it, and K."""
    if target is None:
        notes.append("No target was given: the functional notion and the PID are left out.")
        return None, None, None
    values = to_numpy(target, "target")
    if values.dtype.kind == "f":
        notes.append("The target is real-valued: the PID, which needs labels, is left out.")
        return None, as_floats(values, "target"), None
    names, labels = np.unique(as_labels(values, "target", n_rows), return_inverse=True)
    return labels.astype(np.int64), labels.astype(np.int64), len(names)


def _ends(certificate: LayerPairCertificate, quantity: str) -> tuple[float, float]:
    """The best certified ends of a quantity."""
    own = [s.interval for s in certificate.statements if s.quantity == quantity and s.evidence in ("P", "C")]
    return max((i.lower for i in own), default=0.0), min((i.upper for i in own), default=math.inf)


def _row(
    notion: str, quantity: str, estimate: float | None, lower: float, upper: float, unit: str, evidence: str
) -> dict[str, Any]:
    return {
        "notion": notion,
        "quantity": quantity,
        "estimate": estimate,
        "lower": lower,
        "upper": upper,
        "unit": unit,
        "evidence": evidence,
    }


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
