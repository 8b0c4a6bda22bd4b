"""One card per layer: its distances, what is certified, what skipping there did, and what follows from none of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from redundancy.figures.sources import layer_values, plan_rows, profile_groups, profile_rows
from redundancy.report.tables import DASH
from redundancy.report.wording import change_interval, fixed, percent, points, small, up

__all__ = ["layer_cards"]

Report = Mapping[str, Any]
_GROUPS = ("vision", "text")


def layer_cards(report: Report) -> list[dict[str, Any]]:
    """What is known of each layer l = 1..L, for readers who come with a layer in mind.

    Returns
    -------
    list of dict
        Per layer: layer, facts (name and value), plans (name and what the run of it showed), and verdict, the
        sentence that distances alone do not make this layer safe. A layer gets that sentence whatever its numbers.
    """
    groups = {g: {row["layer"]: row for row in profile_rows(report, g)} for g in profile_groups(report)}
    groups = {g: rows for g, rows in groups.items() if g in _GROUPS}
    attention = {
        "attention of the answer token on the image": layer_values(report, "var_mean"),
        "largest attention of any text query": layer_values(report, "var_text_max"),
    }
    plans = {s: {row["layer"]: row for row in plan_rows(report, s)} for s in ("late_entry", "vision_exit")}
    n_layers = report["model"]["n_layers"]
    cards = []
    for layer in range(1, n_layers + 1):
        facts = [fact for group, rows in groups.items() if layer in rows for fact in _facts(group, rows[layer])]
        facts += [(name, fixed(values[layer])) for name, values in attention.items() if layer in values]
        enter, leave = plans["late_entry"].get(layer), plans["vision_exit"].get(layer - 1)
        before = "layer 1" if layer == 1 else f"layers 1 to {layer}"
        after = f"layer {layer}" if layer == n_layers else f"layers {layer} to {n_layers}"
        cards.append(
            {
                "layer": layer,
                "facts": facts,
                "plans": [
                    (f"no vision tokens in {before} (late entry at {layer})", _outcome(enter)),
                    (f"no vision tokens in {after} (vision exit at {layer - 1})", _outcome(leave)),
                ],
                "summary": _summary(groups, layer),
                "verdict": _verdict(layer, measured=_is_measured(enter) or _is_measured(leave)),
            }
        )
    return cards


def _facts(group: str, row: Mapping[str, Any]) -> list[tuple[str, str]]:
    upper = row.get("distance_upper")
    certified = "" if upper is None else f", certified \u2264 {up(upper)}"
    facts = [
        (f"mean distance, {group}", small(row.get("mean_distance")) + certified),
        (f"P[D < 0.05], {group}", fixed(row.get("fraction_below_0.05"))),
    ]
    if row.get("max_distance") is not None:
        facts.append((f"largest distance of a token, {group}", small(row["max_distance"])))
    return facts


def _summary(groups: Mapping[str, Mapping[int, Mapping[str, Any]]], layer: int) -> str:
    found = [(g, rows[layer].get("mean_distance")) for g, rows in groups.items() if layer in rows]
    return ", ".join(f"{group} {small(value)}" for group, value in found if value is not None) or "no distances"


def _is_measured(row: Mapping[str, Any] | None) -> bool:
    return row is not None and (row.get("accuracy") is not None or row.get("loss_share") is not None)


def _outcome(row: Mapping[str, Any] | None) -> str:
    """What the run of a plan showed, in words."""
    if row is None or not _is_measured(row):
        return "was not run"
    said = []
    if row.get("accuracy") is not None:
        said.append(f"accuracy {percent(row['accuracy'])}")
    if row.get("accuracy_change") is not None:
        ends = row.get("accuracy_change_interval")
        said.append(
            f"change {points(row['accuracy_change'])}" + (f", interval {change_interval(ends)}" if ends else "")
        )
    if row.get("loss_share") is not None:
        said.append(f"loses {percent(row['loss_share'])} of questions")
    if row.get("is_certified") is not None:
        said.append("certified by risk control" if row["is_certified"] else "not certified")
    return "; ".join(said) or DASH


def _verdict(layer: int, *, measured: bool) -> str:
    rest = (
        "What its plans did when run is above; it holds for these plans, not for the layer."
        if measured
        else "No plan that skips it was run, so nothing here says what skipping it does."
    )
    return f"Distances alone do not make layer {layer} safe to skip. {rest}"
