"""What figures draw: reports, harvests, certificates and records, all read as rows of the report schema."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from redundancy.certificates.profile import ProfileCertificate
from redundancy.errors import InvalidInputError
from redundancy.files.tabular import Tabular
from redundancy.statistics.harvest_statistics import HarvestStatistics

__all__ = [
    "PLAN_SECTIONS",
    "Report",
    "as_report",
    "as_reports",
    "certificate_rows",
    "layer_values",
    "matrices",
    "plan_rows",
    "plan_sections",
    "profile_groups",
    "profile_records",
    "profile_rows",
]

Report = Mapping[str, Any]
PLAN_SECTIONS = ("late_entry", "vision_exit", "other_plans")
_PARTS = ("profile", "distance_matrix", "certificates", *PLAN_SECTIONS)
_FAMILY = re.compile(r"(late_entry|vision_exit)\((\d+)\)")
_WANTED = (
    "a report, a HarvestStatistics, a ProfileCertificate, or records of a profile (layer, group) or of plans (plan)"
)


# ---------------------------------------------------------------------- reading a report


def profile_groups(report: Report) -> tuple[str, ...]:
    """Token groups of the profile, in order of first appearance."""
    return tuple(dict.fromkeys(row["group"] for row in report["profile"]))


def profile_rows(report: Report, group: str) -> list[Mapping[str, Any]]:
    """Rows of the profile of one token group, by layer."""
    return sorted((row for row in report["profile"] if row["group"] == group), key=lambda row: row["layer"])


def plan_rows(report: Report, section: str) -> list[Mapping[str, Any]]:
    """Rows of ``late_entry`` or ``vision_exit``, by layer."""
    return sorted(report.get(section) or (), key=lambda row: row["layer"])


def layer_values(report: Report, field: str) -> dict[int, float]:
    """A quantity that belongs to a layer and not to a group (VAR): the first value any row of it gives."""
    found: dict[int, float] = {}
    for row in sorted(report["profile"], key=lambda row: row["layer"]):
        if row.get(field) is not None:
            found.setdefault(row["layer"], row[field])
    return found


# ---------------------------------------------------------------------- making one


def as_report(source: Any) -> Report:
    """Read a result as a report that holds at least model.n_layers and the parts the result has.

    Parameters
    ----------
    source : report mapping, HarvestStatistics, ProfileCertificate, sequence of records, or result that has them
        Records are rows of a profile (with layer and group) or of plans (with plan, as `skip-it validate`
        writes them). A mapping may be a part of a report, as ``{"late_entry": rows}``.

    Returns
    -------
    mapping
        With profile, distance_matrix, late_entry, vision_exit, other_plans and certificates, empty where the
        source has none. Without model.n_layers in the source, the deepest layer named counts as the last.

    Raises
    ------
    InvalidInputError
        For anything else.
    """
    if isinstance(source, HarvestStatistics):
        parts: dict[str, Any] = {
            "model": {"name": source.spec.model, "n_layers": source.spec.n_layers},
            "profile": profile_records(source),
            "distance_matrix": matrices(source),
        }
    elif isinstance(source, ProfileCertificate):
        parts = {"certificates": certificate_rows(source)}
    elif isinstance(source, Mapping) and any(part in source for part in _PARTS):
        if all(part in source for part in ("model", "profile", "late_entry", "vision_exit")):
            return source
        parts = dict(source)
    elif isinstance(source, Sequence) and not isinstance(source, str) and source and _are_rows(source):
        parts = {"profile": list(source)} if "group" in source[0] else dict(plan_sections(source))
    elif isinstance(source, Tabular):
        return as_report(source.to_records())
    else:
        raise InvalidInputError(f"need {_WANTED}, got {_describe(source)}")
    empty: dict[str, Any] = {
        "profile": [],
        "distance_matrix": {},
        "certificates": [],
        "late_entry": [],
        "vision_exit": [],
    }
    whole = {**empty, "other_plans": [], "chosen_plan": None, **{k: v for k, v in parts.items() if v is not None}}
    if "n_layers" not in (whole.get("model") or {}):
        whole["model"] = {"name": "", **(whole.get("model") or {}), "n_layers": _deepest(whole)}
    return whole


def as_reports(source: Any) -> dict[str, Report]:
    """Several named runs, ``{"GQA": result, "VQA": result}``, or one run under the name ""."""
    if isinstance(source, Mapping) and source and not any(part in source for part in (*_PARTS, "model")):
        return {str(name): as_report(run) for name, run in source.items()}
    return {"": as_report(source)}


def profile_records(
    statistics: HarvestStatistics,
    certificate: ProfileCertificate | None = None,
    *,
    groups: Sequence[str] | None = None,
) -> list[dict[str, Any]]:
    """Profile rows of a harvest as the report schema has them, one per token group and layer.

    Parameters
    ----------
    statistics : HarvestStatistics
    certificate : ProfileCertificate, optional
        Fills in distance_upper and tail_upper.
    groups : sequence of str, optional
        Those among vision, text, words and sink that have tokens by default.

    Returns
    -------
    list of dict
        Undefined values are None. Distances are cosine distances in [0, 2], shares and attention in [0, 1]
        (`var` is the sum over heads of equation 3).
    """
    names = ("vision", "text", "words", "sink") if groups is None else tuple(groups)
    if groups is None:
        names = tuple(g for g in names if g in statistics.group_names and statistics.token_counts(g).sum() > 0)
    attention = _attention(statistics)
    nothing = np.full(statistics.spec.n_layers, math.nan)
    certified = {} if certificate is None else {(pair.layer, pair.group): pair for pair in certificate.pairs}
    rows = []
    for group in names:
        columns = {
            "mean_distance": statistics.mean_distance(group),
            "image_mean_distance": statistics.image_mean_distance(group),
            "fraction_below_0.05": statistics.fraction_below(group, 0.05),
            "centred_distance": statistics.centred_distance(group) if statistics.spec.shift_digest else nothing,
            "max_distance": statistics.max_distance(group),
            "q99_distance": statistics.quantile(group, 0.99),
            "mean_norm": statistics.mean_norm(group)[1:],
            **attention,
        }
        for layer in range(1, statistics.spec.n_layers + 1):
            row = {"layer": layer, "group": group, **{k: _number(v[layer - 1]) for k, v in columns.items()}}
            pair = certified.get((layer, group))
            row["distance_upper"] = None if pair is None else pair.distance_upper
            row["tail_upper"] = None if pair is None else pair.tail_upper
            rows.append(row)
    return rows


def matrices(statistics: HarvestStatistics, groups: Sequence[str] = ("vision", "text")) -> dict[str, Any]:
    """Depth-by-depth matrices of a harvest, nested lists with None where undefined; {} if it has none."""
    if not statistics.spec.has_matrix:
        return {}
    shown = [group for group in groups if statistics.token_counts(group).sum() > 0]
    return {g: [[_number(x) for x in row] for row in statistics.depth_matrix(g)] for g in shown}


def certificate_rows(certificate: ProfileCertificate) -> list[dict[str, Any]]:
    """Certificates as the report schema has them: one entry per layer pair, ends that bound nothing None."""
    return [
        {
            "layer": pair.layer,
            "group": pair.group,
            "statements": [
                {**row, "lower": _number(row["lower"]), "upper": _number(row["upper"])} for row in pair.to_records()
            ],
        }
        for pair in certificate.pairs
    ]


def plan_sections(records: Iterable[Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Plan records by family, each with its layer: late_entry, vision_exit, and all others.

    Examples
    --------
    >>> plan_sections([{"plan": "vision_exit(9)", "accuracy": 0.9}])["vision_exit"]
    [{'layer': 9, 'plan': 'vision_exit(9)', 'accuracy': 0.9}]
    """
    sections: dict[str, list[dict[str, Any]]] = {name: [] for name in PLAN_SECTIONS}
    for record in records:
        match = _FAMILY.fullmatch(str(record["plan"]))
        if match is None:
            sections["other_plans"].append(dict(record))
        else:
            sections[match[1]].append({"layer": int(match[2]), **record})
    if sections["late_entry"]:  # the unmodified model is late entry at 0
        plain = [row for row in sections["other_plans"] if row["plan"] == "identity"]
        sections["other_plans"] = [row for row in sections["other_plans"] if row not in plain]
        sections["late_entry"] = [{"layer": 0, **row} for row in plain] + sections["late_entry"]
    return sections


def _attention(statistics: HarvestStatistics) -> dict[str, npt.NDArray[np.float64]]:
    """VAR per layer; NaN throughout where no attention was harvested."""
    if not statistics.spec.has_attention:
        nothing = np.full(statistics.spec.n_layers, math.nan)
        return dict.fromkeys(("var", "var_mean", "var_text_mean", "var_text_max"), nothing)
    return {
        "var": statistics.answer_var().sum(axis=2).mean(axis=0),
        "var_mean": statistics.answer_var().mean(axis=(0, 2)),
        "var_text_mean": statistics.text_var_mean().mean(axis=(0, 2)),
        "var_text_max": statistics.text_var_max().mean(axis=(0, 2)),
    }


def _are_rows(source: Sequence[Any]) -> bool:
    first = source[0]
    if not isinstance(first, Mapping) or not all(isinstance(row, Mapping) for row in source):
        return False
    profile = all("layer" in row and "group" in row for row in source)
    return profile or all("plan" in row for row in source)


def _deepest(report: Report) -> int:
    rows = [row for part in (*PLAN_SECTIONS, "profile", "certificates") for row in report[part]]
    named = [row["layer"] for row in rows if row.get("layer") is not None]
    sizes = [len(matrix) - 1 for matrix in report["distance_matrix"].values()]
    return int(max([*named, *sizes, 1]))


def _describe(source: Any) -> str:
    if isinstance(source, Mapping):
        return f"a mapping with {sorted(map(str, source))[:4]}"
    if isinstance(source, Sequence) and not isinstance(source, str):
        first = source[0] if source else None
        return f"{len(source)} records with {sorted(map(str, first))[:4]}" if isinstance(first, Mapping) else "a list"
    return type(source).__name__


def _number(value: Any) -> float | None:
    """A JSON number; null where the quantity is undefined or unbounded."""
    return float(value) if value is not None and math.isfinite(value) else None
