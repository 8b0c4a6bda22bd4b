"""What the distances of a report fail to predict, computed from its own measurements."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from redundancy.checks import check_real
from redundancy.figures.sources import layer_values, plan_rows, profile_rows

__all__ = ["Findings", "distance_findings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """Where a rule read off distances and attention disagrees with what skipping did.

    Attributes
    ----------
    distance, attention, tolerance : float
        The thresholds, as given to `distance_findings`.
    checked : tuple of int
        Late-entry depths below L that could be judged: measured with an interval for the change of
        accuracy, and with a vision distance for every layer they skip.
    small_distance : tuple of int
        Those of `checked` whose every skipped layer has a vision distance of at most `distance`.
    misses_of_distance : tuple of int
        Those of `small_distance` where accuracy fell: the whole interval of the change is below 0.
    misses_of_both : tuple of int
        Those of `misses_of_distance` whose every skipped layer also has low answer-token VAR.
    free_exits : tuple of int
        Vision exits that lose at most `tolerance` (lower end of the interval of the change) though
        some layer after them has answer-token VAR that is not low.
    """

    distance: float
    attention: float
    tolerance: float
    checked: tuple[int, ...]
    small_distance: tuple[int, ...]
    misses_of_distance: tuple[int, ...]
    misses_of_both: tuple[int, ...]
    free_exits: tuple[int, ...]


def distance_findings(
    report: Mapping[str, Any], *, distance: float = 0.05, attention: float = 0.5, tolerance: float = 0.02
) -> Findings:
    """Compare the rule "close layers, little attention, hence skippable" with the measured plans.

    Parameters
    ----------
    report : mapping
        A report of schema ``skip-it/report/1``.
    distance : float, default=0.05
        A layer is close if the mean cosine distance of its vision tokens is at most this.
    attention : float, default=0.5
        VAR is low if it is at most this share of its largest value over layers (no absolute scale is
        known for it; the paper compares early and late layers with the middle ones).
    tolerance : float, default=0.02
        Loss of accuracy, in [0, 1], up to which a vision exit counts as free.

    Returns
    -------
    Findings
        Depths per kind of disagreement. Empty tuples do not show that the rule is right.

    References
    ----------
    arXiv 2509.25584, section 4.4 (the rule) and Table 1, LLaVA NeXT 7B at layer 4 (against it).
    """
    check_real(distance, "distance", lower=0.0, upper=2.0)
    check_real(attention, "attention", lower=0.0, upper=1.0)
    check_real(tolerance, "tolerance", lower=0.0, upper=1.0)
    n_layers = report["model"]["n_layers"]
    moved = {
        r["layer"]: r["mean_distance"] for r in profile_rows(report, "vision") if r.get("mean_distance") is not None
    }
    var = layer_values(report, "var_mean") or layer_values(report, "var")
    low = {layer: value <= attention * max(var.values()) for layer, value in var.items()}

    checked, small, missed, both = [], [], [], []
    for row in plan_rows(report, "late_entry"):
        depth, change = row["layer"], row.get("accuracy_change_interval")
        skipped = range(1, depth + 1)
        if not 0 < depth < n_layers or change is None or any(layer not in moved for layer in skipped):
            continue
        checked.append(depth)
        if any(moved[layer] > distance for layer in skipped):
            continue
        small.append(depth)
        if change[1] >= 0:
            continue
        missed.append(depth)
        if all(low.get(layer, False) for layer in skipped):
            both.append(depth)

    free = [
        row["layer"]
        for row in plan_rows(report, "vision_exit")
        if row["layer"] < n_layers
        and row.get("accuracy_change_interval") is not None
        and row["accuracy_change_interval"][0] >= -tolerance
        and any(low.get(layer) is False for layer in range(row["layer"] + 1, n_layers + 1))
    ]
    return Findings(
        distance=distance,
        attention=attention,
        tolerance=tolerance,
        checked=tuple(checked),
        small_distance=tuple(small),
        misses_of_distance=tuple(missed),
        misses_of_both=tuple(both),
        free_exits=tuple(free),
    )
