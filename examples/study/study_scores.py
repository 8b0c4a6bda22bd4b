"""From measured cells to everything that the page says: scores, rules, orders, and the paper's own tables."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from study_analysis import KINDS, SAFE, auc, from_hex, order_power, rule_counts, scores, spearman

__all__ = ["RULES", "analyse", "flatten", "orders", "published", "rules"]

ROOT = Path(__file__).resolve().parents[2]
TABLES = ROOT / "examples" / "gallery" / "data" / "paper_tables_1_2.json"
COST = "predicted cost"
ORDER_RISK = 0.05
Cell = Mapping[str, Any]


def _adjacent(cell: Cell) -> bool:
    p = cell["predictors"]
    return bool(p["adjacent distance"] <= 0.05 and p["share not within 0.05"] <= 0.1)


def _low(name: str) -> Callable[[Cell], bool]:
    """At most half of the largest value that any layer of the model has."""
    return lambda cell: cell["predictors"][name] <= 0.5 * cell["largest"][name]


def _at_most(name: str, limit: float) -> Callable[[Cell], bool]:
    return lambda cell: cell["predictors"][name] <= limit


RULES: dict[str, Callable[[Cell], bool]] = {
    "the paper's: mean distance <= 0.05, 90 % of tokens within 0.05": _adjacent,
    "... and VAR of the answer at most half of the model's largest": lambda c: (
        _adjacent(c) and _low("VAR of answer")(c)
    ),
    "... and VAR of all text at most half of the model's largest": lambda c: (
        _adjacent(c) and _low("VAR of all text")(c)
    ),
    "cumulative distance <= 0.05": _at_most("cumulative distance", 0.05),
    "cumulative distance, certified upper limit <= 0.1": _at_most("cumulative distance, upper limit", 0.1),
    "VAR of all text, summed <= 0.1": _at_most("VAR of all text, summed", 0.1),
    "VAR of all text, summed, certified upper limit <= 0.1": _at_most("VAR of all text, summed, upper limit", 0.1),
    "hiding, summed: at most 2 points of accuracy": _at_most("hiding, summed (accuracy)", SAFE),
    "hiding, summed: at most 0.02 nats": _at_most("hiding, summed (KL)", 0.02),
}


def flatten(models: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Cells of all models that are no blind controls, each with its model and the model's largest values."""
    cells = []
    for model in models:
        names = ("VAR of answer", "VAR of all text")
        largest = {name: max(c["predictors"][name] for c in model["cells"]) for name in names}
        cells += [{**c, "model": model["name"], "largest": largest} for c in model["cells"] if not c["blind"]]
    return cells


def rules(cells: Sequence[Cell]) -> list[dict[str, Any]]:
    """What every rule says of every cell, all together and by kind."""
    table = []
    for name, says_safe in RULES.items():
        by_kind = {kind: rule_counts([c for c in cells if c["kind"] == kind], says_safe) for kind in KINDS}
        table.append({"rule": name, **rule_counts(cells, says_safe), "by_kind": by_kind})
    return table


def orders(models: Sequence[Mapping[str, Any]], names: Sequence[str], *, repeats: int = 300) -> list[dict[str, Any]]:
    """Cost of the plan that is chosen, and how often the guarantee fails, by the order of the tests; mean of models."""
    table = []
    for name in (COST, *names):
        for one_chain in (False, True):
            runs = []
            for model in models:
                cells = [c for c in model["cells"] if not c["blind"]]
                losses = np.stack([from_hex(c["lost_hex"], model["n_test"]) for c in cells])
                speedups = np.array([c["flop_speedup"] for c in cells])
                harm = None if name == COST else np.array([c["predictors"][name] for c in cells])
                kinds = [c["kind"] for c in cells]
                runs.append(
                    order_power(losses, speedups, kinds, harm, one_chain=one_chain, risk=ORDER_RISK, repeats=repeats)
                )
            means = {key: float(np.mean([run[key] for run in runs])) for key in runs[0]}
            by_model = {model["name"]: run["relative_cost"] for model, run in zip(models, runs, strict=True)}
            worst = max(run["violations"] for run in runs)
            chains = "one" if one_chain else "two"
            table.append({"order": name, "chains": chains, **means, "worst_violations": worst, "by_model": by_model})
    return sorted(table, key=lambda row: (row["relative_cost"], row["order"]))


def published(path: Path = TABLES) -> dict[str, Any]:
    """The same questions of the tables in the paper; Table 2 prints no baseline, so it is ranked within rows."""
    data = json.loads(path.read_text())
    base = {(r["task"], r["model"]): r["accuracy"] for r in data["rows"] if r["table"] == 1 and r["layer"] == 0}
    entry = [
        {
            "task": r["task"],
            "model": r["model"],
            "layer": r["layer"],
            "distance": r["mean_cosine_distance_vision"],
            "share": r["fraction_below_0.05_vision"],
            "loss": round(base[r["task"], r["model"]] - r["accuracy"], 4),
        }
        for r in data["rows"]
        if r["table"] == 1 and r["layer"] > 0
    ]
    called = [c for c in entry if c["distance"] <= 0.05 and c["share"] >= 0.9]
    wrong = [c for c in called if c["loss"] > SAFE]
    distance, loss = [c["distance"] for c in entry], np.array([c["loss"] for c in entry])
    at_four = [c for c in entry if c["layer"] == 4]
    return {
        "source": data["source"],
        "late_entry": {
            "cells": entry,
            "spearman_pooled": spearman(distance, loss),
            "auc_pooled": auc(distance, loss > SAFE),
            "spearman_within": _within_groups(entry),
            "spearman_at_layer_4": spearman([c["distance"] for c in at_four], [c["loss"] for c in at_four]),
            "called_safe": len(called),
            "false_safe": len(wrong),
            "harmless": int((loss <= SAFE).sum()),
            "wrong_cells": wrong,
        },
        "early_exit": _early_exit(data["rows"]),
    }


def _early_exit(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    cells = [
        {"task": r["task"], "model": r["model"], "distance": r["mean_cosine_distance_vision"], "loss": -r["accuracy"]}
        for r in rows
        if r["table"] == 2
    ]
    return {"n_cells": len(cells), "spearman_within": _within_groups(cells)}


def _within_groups(cells: Sequence[Mapping[str, Any]]) -> float:
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for cell in cells:
        groups.setdefault((cell["task"], cell["model"]), []).append(cell)
    return float(np.nanmean([spearman([c["distance"] for c in g], [c["loss"] for c in g]) for g in groups.values()]))


def analyse(models: Sequence[Mapping[str, Any]], *, n_bootstrap: int = 100, repeats: int = 300) -> dict[str, Any]:
    """All scores of the study from its cells."""
    cells = flatten(models)
    names = list(cells[0]["predictors"])
    return {
        "n_cells": {"all": len(cells), **{kind: sum(c["kind"] == kind for c in cells) for kind in KINDS}},
        "n_harmless": {
            "all": sum(c["loss"] <= SAFE for c in cells),
            **{kind: sum(c["loss"] <= SAFE and c["kind"] == kind for c in cells) for kind in KINDS},
        },
        "scores": scores(cells, [*names, COST], n_bootstrap=n_bootstrap),
        "rules": rules(cells),
        "orders": orders(models, names, repeats=repeats),
        "published": published(),
    }
