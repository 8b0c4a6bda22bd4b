"""The figures of the page: losses by layer, predictors against losses, scores, rules, and the order of the tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
from matplotlib.ticker import LogLocator, NullFormatter

from redundancy.figures.style import DOUBLE_COLUMN, INK, MUTED, OKABE_ITO, RULE, polish, style_context
from study_scores import flatten

__all__ = ["FIGURES", "draw_all"]

LOOKS = {"late entry": (OKABE_ITO["blue"], "o"), "vision exit": (OKABE_ITO["orange"], "s")}
SHOWN = ("adjacent distance", "cumulative distance", "VAR of all text, summed", "hiding, summed (KL)")


def losses(record: Mapping[str, Any]) -> Any:
    """Accuracy that is lost at every layer, one panel per model."""
    models = record["models"]
    columns = 3
    rows = -(-len(models) // columns)
    figure, grid = plt.subplots(
        rows, columns, figsize=(DOUBLE_COLUMN, 1.55 * rows + 0.3), sharey=True, layout="constrained", squeeze=False
    )
    for ax, model in zip(grid.flat, models, strict=False):
        for kind, (color, marker) in LOOKS.items():
            cells = sorted((c for c in model["cells"] if c["kind"] == kind), key=lambda c: c["layer"])
            x, y = [c["layer"] for c in cells], [100 * c["loss"] for c in cells]
            low = [100 * (c["loss"] - c["loss_interval"][0]) for c in cells]
            high = [100 * (c["loss_interval"][1] - c["loss"]) for c in cells]
            ax.errorbar(x, y, yerr=[low, high], color=color, marker=marker, label=kind, elinewidth=0.7, markersize=3.5)
        ax.axhline(2, color=MUTED, linewidth=0.7, linestyle=":")
        ax.set_title(f"{model['name']}: {model['n_vision']} vision tokens", fontsize=8)
        ax.set_xticks(range(0, model["n_layers"] + 1, 1 if model["n_layers"] <= 8 else 2))
        polish(ax)
    for ax in grid.flat[len(models) :]:
        ax.set_visible(False)
    for ax in grid[:, 0]:
        ax.set_ylabel("points lost")
    for column in range(columns):
        last = max(i for i in range(len(models)) if i % columns == column)
        grid.flat[last].set_xlabel("layer")
    grid[0, 0].legend(frameon=False, loc="center right")
    return figure


def against(record: Mapping[str, Any]) -> Any:
    """Four predictors against the measured loss, every plan a point."""
    figure, grid = plt.subplots(2, 2, figsize=(DOUBLE_COLUMN, 4.6), sharey=True, layout="constrained")
    cells = flatten(record["models"])
    by_name = {row["predictor"]: row for row in record["scores"]}
    for ax, name in zip(grid.flat, SHOWN, strict=True):
        for kind, (color, marker) in LOOKS.items():
            mine = [c for c in cells if c["kind"] == kind]
            x, y = [c["predictors"][name] for c in mine], [100 * c["loss"] for c in mine]
            ax.scatter(x, y, facecolors="none", edgecolors=color, marker=marker, s=16, linewidths=0.9, label=kind)
        ax.axhline(2, color=MUTED, linewidth=0.7, linestyle=":")
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(LogLocator(numticks=6))
        ax.xaxis.set_major_formatter("{x:g}")
        ax.xaxis.set_minor_formatter(NullFormatter())
        ax.set_xlabel(name)
        score = by_name[name]
        ax.set_title(f"AUC {score['auc_pooled']:.2f}, Spearman {score['spearman_pooled']:+.2f}", loc="left")
        polish(ax)
    for ax in grid[:, 0]:
        ax.set_ylabel("points lost")
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, loc="outside upper right", ncols=2)
    return figure


def ranking(record: Mapping[str, Any]) -> Any:
    """AUC and Spearman of every predictor with bootstrap intervals."""
    rows = list(reversed(record["scores"]))
    figure, axes = plt.subplots(1, 2, figsize=(DOUBLE_COLUMN, 0.2 * len(rows) + 0.9), sharey=True, layout="constrained")
    looks = (("auc_pooled", "AUC for a loss above 2 points", 0.5), ("spearman_within", "Spearman within a model", 0.0))
    for ax, (key, label, chance) in zip(axes, looks, strict=True):
        for i, row in enumerate(rows):
            color = OKABE_ITO["vermillion"] if row["predictor"] == "predicted cost" else OKABE_ITO["blue"]
            low, high = row["intervals"][key]
            ax.plot([low, high], [i, i], color=color, linewidth=1.1)
            ax.plot([row[key]], [i], color=color, marker="o", markersize=4)
        ax.axvline(chance, color=MUTED, linewidth=0.7, linestyle=":")
        ax.set_xlabel(label)
        polish(ax, grid=False)
        ax.grid(True, axis="x", color=RULE, linewidth=0.6)
    axes[0].set_yticks(range(len(rows)), [row["predictor"] for row in rows])
    return figure


def false_safe(record: Mapping[str, Any]) -> Any:
    """How many plans each rule calls safe, rightly and wrongly."""
    table = list(reversed(record["rules"]))
    paper = record["published"]["late_entry"]
    called = {"called_safe": paper["called_safe"], "false_safe": paper["false_safe"]}
    table.append({"rule": "the paper's, on the paper's Table 1", **called})
    figure, ax = plt.subplots(figsize=(DOUBLE_COLUMN, 0.24 * len(table) + 0.7), layout="constrained")
    for i, row in enumerate(table):
        right = row["called_safe"] - row["false_safe"]
        ax.barh(i, right, color=OKABE_ITO["sky"], label="rightly" if i == 0 else None)
        bar = {"color": OKABE_ITO["vermillion"], "hatch": "///", "edgecolor": "white", "linewidth": 0}
        ax.barh(i, row["false_safe"], left=right, label="wrongly: more than 2 points lost" if i == 0 else None, **bar)
        text = f"{row['false_safe']} of {row['called_safe']} wrong" if row["called_safe"] else "none called safe"
        ax.text(row["called_safe"] + 0.5, i, text, va="center", color=INK, fontsize=7)
    ax.set_yticks(range(len(table)), [row["rule"] for row in table])
    ax.set_xlim(0, 1.3 * max(row["called_safe"] for row in table) + 4)
    ax.set_xlabel("plans that the rule calls safe")
    figure.legend(frameon=False, loc="outside upper right", ncols=2)
    polish(ax, grid=False)
    return figure


def cost_of_order(record: Mapping[str, Any]) -> Any:
    """Mean prefill operations of the chosen plan, by the order of the tests."""
    names: Sequence[str] = [row["predictor"] for row in record["scores"]]
    rows = {(row["order"], row["chains"]): row for row in record["orders"]}
    shown = list(reversed(names))
    figure, ax = plt.subplots(figsize=(DOUBLE_COLUMN, 0.2 * len(shown) + 0.9), layout="constrained")
    looks = {"one": (OKABE_ITO["green"], "^", "one chain"), "two": (OKABE_ITO["purple"], "D", "two chains")}
    for chains, (color, marker, label) in looks.items():
        x = [100 * rows[name, chains]["relative_cost"] for name in shown]
        ax.scatter(x, range(len(shown)), color=color, marker=marker, s=20, label=label)
    present = 100 * rows["predicted cost", "two"]["relative_cost"]
    ax.axvline(present, color=MUTED, linewidth=0.7, linestyle=":")
    ax.set_yticks(range(len(shown)), shown)
    ax.set_xlabel("prefill operations of the chosen plan, percent of the unmodified model")
    ax.legend(frameon=False)
    polish(ax, grid=False)
    ax.grid(True, axis="x", color=RULE, linewidth=0.6)
    return figure


FIGURES = {
    "losses": losses,
    "against": against,
    "ranking": ranking,
    "rules": false_safe,
    "orders": cost_of_order,
}


def draw_all(record: Mapping[str, Any], folder: Path) -> None:
    """Write every figure as SVG into `folder`; equal records give equal files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, draw in FIGURES.items():
        with style_context():
            figure = draw(record)
            figure.savefig(folder / f"{name}.svg", metadata={"Date": None})
            plt.close(figure)
