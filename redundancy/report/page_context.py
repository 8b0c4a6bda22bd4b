"""The words of the page: what the numbers of a report say, with no more certainty than they carry."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from redundancy.figures.sources import PLAN_SECTIONS, layer_values, plan_rows, profile_groups, profile_rows
from redundancy.report import wording
from redundancy.report.findings import Findings, distance_findings
from redundancy.report.layers import layer_cards
from redundancy.report.tables import DASH
from redundancy.report.wording import bound_text, change_interval, percent, percent_up, percents, plain, points
from redundancy.report.wording import level as level_text

__all__ = ["context", "figure_labels"]

Report = Mapping[str, Any]
TIMES, THIN = "\u00d7", "\u202f"

LABELS = {
    "P": ("proved", "An identity or inequality, proved and checked by machine."),
    "C": ("certified", "Holds with the stated confidence over an independent sample, whatever the distribution."),
    "A": ("assumed", "Holds if the named assumptions do; no data can verify them."),
    "E": ("estimated", "A point estimate or an asymptotic interval; no finite-sample guarantee."),
    "V": (
        "vacuous",
        "No better than the trivial range. It says nothing, and is shown so that nobody reads it as evidence.",
    ),
}

CAPTIONS = {
    "distance": (
        "Distance per layer",
        "Mean cosine distance between the input and the output of each layer. Bars are certified upper bounds.",
    ),
    "proximity": (
        "Proximity per layer",
        "Share of tokens that a layer moves by less than 0.05. Bars are certified lower bounds.",
    ),
    "extremes": (
        "Extremes",
        "The 99\u202f% quantile over tokens, and the largest distance of any token. A mean hides the one that matters.",
    ),
    "attention": (
        "Attention on the image",
        "Visual attention ratio per layer: of the answer token, and of all text queries.",
    ),
    "centred_distance": (
        "Distance without the common vector",
        "The same after the mean vector of each depth is removed. A large common vector makes raw distances small.",
    ),
    "norm": ("Norms", "Mean norm of the stream after each layer. Long vectors turn little for the same change."),
    "depth_vision": (
        "Depth by depth, vision",
        "Mean distance of vision tokens between any two depths. Late entry at l replaces depth l by depth 0.",
    ),
    "depth_text": ("Depth by depth, text", "The same for text tokens."),
    "accuracy": (
        "Accuracy when layers are really skipped",
        "Late entry: the first layers run without vision tokens. Vision exit: only the first layers have them.",
    ),
    "speedup": ("Speed-up", "Measured on the clock (filled) and predicted from operation counts (hollow)."),
    "certificates": (
        "Certified distances",
        "Upper bounds on the mean distance per layer, certified where filled, under assumptions where hollow.",
    ),
    "speed_accuracy": (
        "Speed against accuracy",
        "Every plan that was run; the chosen one is ringed. Where plans were certified, the others are hollow.",
    ),
    "risk": (
        "Risk against speed",
        "What each plan loses; filled plans are certified. Bars bound all plans jointly: any risk may be chosen here.",
    ),
}


def figure_labels(report: Report) -> dict[str, str]:
    """Text alternative of each figure, with the ends of its main curves in numbers."""
    labels = {name: f"{title}. {caption}" for name, (title, caption) in _captions(report).items()}
    for name, field in (("distance", "mean_distance"), ("proximity", "fraction_below_0.05")):
        for group in ("vision", "text"):
            labels[name] += _range(f" {group.capitalize()}", _by_layer(profile_rows(report, group), field))
    labels["attention"] += _range(" Answer token", layer_values(report, "var_mean"))
    for section, title in (("late_entry", "Late entry"), ("vision_exit", "Vision exit")):
        rows = plan_rows(report, section)
        labels["accuracy"] += _range(f" {title}", _by_layer(rows, "accuracy"))
        labels["speedup"] += _range(f" {title}", _by_layer(rows, "prefill_speedup"))
    return labels


def _captions(report: Report) -> dict[str, tuple[str, str]]:
    """Captions without the sentences about what this report does not hold."""
    captions = dict(CAPTIONS)
    for name, field in (("distance", "distance_upper"), ("proximity", "tail_upper")):
        if not any(row.get(field) is not None for row in report["profile"]):
            title, text = captions[name]
            captions[name] = (title, text.split(" Bars")[0])
    if not layer_values(report, "var_text_mean") and not layer_values(report, "var_text_max"):
        captions["attention"] = ("Attention on the image", "Visual attention ratio of the answer token, per layer.")
    return captions


def context(report: Report) -> dict[str, Any]:
    """Everything the template prints, apart from figures, styles and the data itself."""
    findings = distance_findings(report)
    model = report["model"]
    return {
        "report": report,
        "model": model,
        "facts": _facts(report),
        "chosen": _chosen(report),
        "labels": _legend(report),
        "captions": _captions(report),
        "evidence": _evidence(report),
        "certificates": _certificates(report),
        "findings": _finding_sentences(report, findings),
        "rule": findings,
        "cards": layer_cards(report),
        "profile": {group: profile_rows(report, group) for group in profile_groups(report)},
        "attention": {
            name: layer_values(report, name) for name in ("var_mean", "var", "var_text_mean", "var_text_max")
        },
        "plans": [(s, t, plan_rows(report, s)) for s, t in _SECTIONS if report.get(s)],
        "other_plans": report.get("other_plans") or [],
        "joint": all(
            row.get("joint_over")
            for section in PLAN_SECTIONS
            for row in report.get(section) or ()
            if row.get("accuracy_interval") and row.get("plan") != "identity"
        ),
        "families": [f for f in (_families(report, s, t) for s, t in _SECTIONS) if f],
        "not_claimed": report.get("not_claimed") or [],
        "provenance": _provenance(report),
        "dash": DASH,
    }


_SECTIONS = (("late_entry", "Late entry"), ("vision_exit", "Vision exit"))


def _facts(report: Report) -> list[tuple[str, str, str]]:
    """Name, value and a note: the setting in a handful of numbers."""
    model, blind = report["model"], (report.get("baselines") or {})
    facts = [("decoder layers", str(model["n_layers"]), model.get("model_type") or "")]
    if model.get("n_vision_tokens") is not None:
        facts.append(("vision tokens", f"{model['n_vision_tokens']:g}", ""))
    if model.get("n_parameters"):
        facts.append(("parameters", _count(model["n_parameters"]), model.get("dtype") or ""))
    facts.append(("questions", f"{report['n_samples']:,}".replace(",", THIN), ""))
    if report.get("baseline_accuracy") is not None:
        facts.append(
            ("accuracy, unmodified", percent(report["baseline_accuracy"]), percents(report.get("baseline_interval")))
        )
    without = [blind[name] for name in ("image_removed", "image_shuffled") if blind.get(name) is not None]
    if without:
        note = f"majority answer {percent(blind['majority'])}" if blind.get("majority") is not None else ""
        facts.append(("accuracy, wrong or no image", percent(max(without)), note))
    return facts


def _chosen(report: Report) -> dict[str, Any] | None:
    plan = report.get("chosen_plan")
    if not plan:
        return None
    n_layers = report["model"]["n_layers"]
    late, leave = plan.get("late_entry"), plan.get("vision_exit")
    first, last = late or 0, n_layers if leave is None else leave
    known = late is not None or leave is not None
    level = plan.get("confidence_level")
    figures = []
    if plan.get("prefill_speedup") is not None:
        figures.append((f"{plan['prefill_speedup']:.2f}{TIMES}", "prefill speed-up", "measured on the clock"))
    if plan.get("accuracy_change") is not None:
        ends = plan.get("accuracy_change_interval")
        note = f"interval {change_interval(ends)}{THIN}pp" if ends else "no interval given"
        figures.append((points(plan["accuracy_change"]), "change of accuracy", note))
    if plan.get("loss_upper") is not None:
        confidence = f"certified with confidence {level_text(level)}" if level is not None else "certified"
        figures.append((f"\u2264{THIN}{percent_up(plan['loss_upper'])}", "upper bound on the loss", confidence))
    return {
        "headline": _headline(plan, n_layers),
        "plan": plan["plan"],
        "guarantee": plan.get("guarantee") or _guarantee(plan),
        "figures": figures,
        "strip": [first < layer <= last for layer in range(1, n_layers + 1)] if known else [],
        "unchanged": known and first == 0 and last == n_layers,
        "n_calibration": plan.get("n_calibration"),
        "n_tested_plans": plan.get("n_tested_plans"),
    }


def _headline(plan: Mapping[str, Any], n_layers: int) -> str:
    """The sentence that the report brings, or the plan in words."""
    text = plan.get("text")
    if text and text != plan["plan"]:
        return str(text)
    late, leave = plan.get("late_entry") or 0, plan.get("vision_exit")
    ends = leave is not None and leave < n_layers
    words = {
        (True, True): f"Vision tokens enter after layer {late} and leave after layer {leave} of {n_layers}.",
        (True, False): f"Vision tokens enter after layer {late} of {n_layers}.",
        (False, True): f"Vision tokens leave after layer {leave} of {n_layers}.",
    }
    simple = plan["plan"].count("(") == (late > 0) + ends  # nothing but these two terms
    return words.get((late > 0, ends), plan["plan"]) if simple else str(plan["plan"])


def _guarantee(plan: Mapping[str, Any]) -> str:
    risk, level = plan.get("loss_upper", plan.get("risk")), plan.get("confidence_level")
    if risk is None or level is None:
        return "The report states no guarantee for this plan; read its accuracy as an estimate."
    return (
        f"With confidence at least {level_text(level)} over the draw of the calibration set, the risk is at most "
        f"{percent_up(risk)}."
    )


def _legend(report: Report) -> list[tuple[str, str, str, int]]:
    counts = Counter(_symbol(s) for certificate in report["certificates"] for s in certificate["statements"])
    return [(symbol, name, text, counts[symbol]) for symbol, (name, text) in LABELS.items()]


def _evidence(report: Report) -> list[dict[str, Any]]:
    """Per group a grid of labels: a row per theorem and quantity, a column per layer."""
    grids: dict[str, dict[tuple[str, str], dict[int, tuple[str, str]]]] = {}
    for certificate in report["certificates"]:
        grid = grids.setdefault(str(certificate.get("group") or "all tokens"), {})
        for s in certificate["statements"]:
            cells = grid.setdefault((s["theorem"], s["quantity"]), {})
            cells.setdefault(certificate.get("layer") or 0, (_symbol(s), bound_text(s)))
    tables = []
    for group, grid in grids.items():
        layers = sorted({layer for cells in grid.values() for layer in cells})
        rows = [
            {"theorem": wording.theorem_name(t), "quantity": plain(q), "cells": [cells.get(layer) for layer in layers]}
            for (t, q), cells in grid.items()
        ]
        tables.append({"group": group, "layers": layers, "rows": rows})
    return tables


def _certificates(report: Report) -> list[dict[str, Any]]:
    shown = []
    for certificate in report["certificates"]:
        statements = [
            {
                "theorem": wording.theorem_name(s["theorem"]),
                "quantity": plain(s["quantity"]),
                "bound": bound_text(s),
                "symbol": _symbol(s),
                "evidence": s["evidence"],
                "confidence_level": s.get("confidence_level"),
                "vacuous": _symbol(s) == "V",
                "assumptions": [_assumption(a) for a in s.get("assumptions") or ()],
            }
            for s in certificate["statements"]
        ]
        counts = Counter(s["symbol"] for s in statements)
        parts = [f"{counts[k]} {LABELS[k][0]}" for k in LABELS if counts[k]]
        where = [f"Layer {certificate['layer']}"] if certificate.get("layer") is not None else []
        where += [str(certificate["group"])] if certificate.get("group") else []
        title = " · ".join(where) or "All layers"
        shown.append({"title": title, "summary": ", ".join(parts) or "no statements", "statements": statements})
    return shown


def _finding_sentences(report: Report, f: Findings) -> list[str]:
    """The disagreement between distances and measured skipping, or that none could be shown."""
    if not f.checked:
        return [
            "No late-entry plan was measured with an interval, so this report cannot say whether distances predict."
        ]
    late = {row["layer"]: row for row in plan_rows(report, "late_entry")}
    said = []
    if f.misses_of_distance:
        worst = min(f.misses_of_distance)
        change = late[worst].get("accuracy_change")
        loss = f" At depth {worst} the change is already {points(change)}." if change is not None else ""
        said.append(
            f"Vision tokens move by at most {f.distance:g} on average in every layer skipped by late entry at "
            f"{_depths(f.misses_of_distance)}, yet accuracy falls there, with the whole interval below zero.{loss}"
        )
    elif not f.small_distance:
        said.append(
            f"Every late entry that was run skips a layer of distance above {f.distance:g}, so this report cannot say "
            "what small distances are worth. That is no reason to call a layer safe."
        )
    else:
        said.append(
            f"No measured late entry through layers of distance at most {f.distance:g} lost accuracy beyond its "
            "interval. That does not show that small distances make a layer safe."
        )
    if f.misses_of_both:
        depth = min(f.misses_of_both)
        share = f"{f.attention:.0%}".replace("%", f"{THIN}%")
        said.append(
            f"At {_depths(f.misses_of_both)} the attention of the answer token is low as well, at most {share} of its "
            "maximum over layers: the combined condition says skip, and skipping fails."
        )
        answer, text = layer_values(report, "var_mean").get(depth), layer_values(report, "var_text_max").get(depth)
        if answer is not None and text is not None and text > answer:
            said.append(
                f"In layer {depth} the answer token gives {answer:.2f} of its attention to the image, some text query "
                f"{text:.2f}: VAR of the answer token alone does not see what the other tokens read."
            )
    vision = {row["layer"]: row for row in profile_rows(report, "vision")}
    ratios = [
        row["centred_distance"] / row["mean_distance"]
        for row in vision.values()
        if row.get("centred_distance") is not None and (row.get("mean_distance") or 0) > 0
    ]
    if ratios and min(ratios) > 2:
        said.append(
            f"Without the mean vector the distances of vision tokens are {min(ratios):.2g} to {max(ratios):.2g} times "
            "larger: part of their closeness is one vector that all of them share."
        )
    if f.free_exits:
        said.append(
            f"Vision exit at {_depths(f.free_exits)} loses at most {points(f.tolerance).lstrip('+')} although a later "
            "layer still attends to the image: low attention is not necessary either."
        )
    return said


def _families(report: Report, section: str, title: str) -> dict[str, Any] | None:
    rows = [row for row in plan_rows(report, section) if row.get("family_accuracy")]
    if not rows:
        return None
    names = list(dict.fromkeys(name for row in rows for name in row["family_accuracy"]))
    base = report.get("baseline_family_accuracy") or {}
    return {"title": title, "names": names, "base": base, "rows": rows}


def _provenance(report: Report) -> list[tuple[str, str]]:
    model, data = report["model"], report.get("data") or {}
    families = ", ".join(f"{name} {count}" for name, count in (data.get("families") or {}).items())
    entries = [
        ("Model", model["name"]),
        ("Weights, SHA-256", model.get("sha256")),
        ("Data", data.get("name")),
        ("Questions by family", families),
        ("Command", report.get("command")),
        ("Created", report.get("created")),
        ("Skip-It", report.get("version")),
        ("Run time", f"{report['seconds']:.0f} s" if report.get("seconds") is not None else None),
        (
            "Confidence level",
            None if report.get("confidence_level") is None else level_text(report["confidence_level"]),
        ),
        ("Certificates", report.get("certificate_file")),
        ("Made from", "; ".join(report.get("sources") or [])),
        ("Environment", ", ".join(f"{k} {v}" for k, v in (report.get("environment") or {}).items() if v is not None)),
        ("Schema", report["schema"]),
    ]
    return [(name, str(value)) for name, value in entries if value]


def _symbol(statement: Mapping[str, Any]) -> str:
    if statement.get("vacuous"):
        return "V"
    first = statement["evidence"][:1]
    return first if first in LABELS else "?"


def _assumption(value: Any) -> tuple[str, str]:
    return (value, "") if isinstance(value, str) else (str(value["text"]), str(value.get("status") or ""))


def _by_layer(rows: Iterable[Mapping[str, Any]], field: str) -> dict[int, float]:
    return {row["layer"]: row[field] for row in rows if row.get(field) is not None}


def _range(name: str, values: Mapping[int, float]) -> str:
    if not values:
        return ""
    first, last = min(values), max(values)
    return f"{name}: {values[first]:.3g} at {first}, {values[last]:.3g} at {last}."


def _depths(depths: Sequence[int]) -> str:
    """'depth 3', 'depths 1 to 4', 'depths 1, 2 and 7'."""
    if len(depths) == 1:
        return f"depth {depths[0]}"
    if list(depths) == list(range(depths[0], depths[-1] + 1)) and len(depths) > 2:
        return f"depths {depths[0]} to {depths[-1]}"
    return "depths " + ", ".join(map(str, depths[:-1])) + f" and {depths[-1]}"


def _count(number: int) -> str:
    for size, name in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g}{THIN}{name}"
    return str(number)
