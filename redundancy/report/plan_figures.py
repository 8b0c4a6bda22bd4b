"""Figures of the measured plans: accuracy and speed of really skipping."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from redundancy.errors import InvalidInputError
from redundancy.report import style
from redundancy.report.schema import plan_rows
from redundancy.report.style import INK, MUTED, OKABE_ITO, Series, marked_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["accuracy_per_layer", "speed_accuracy", "speedup_per_layer"]

Report = Mapping[str, Any]

PLAN_SERIES = {
    "late_entry": Series(OKABE_ITO["green"], "o"),
    "vision_exit": Series(OKABE_ITO["purple"], "s"),
    "other_plans": Series(OKABE_ITO["orange"], "^"),
}
PLAN_LABELS = {"late_entry": "late entry", "vision_exit": "vision exit", "other_plans": "other plans"}


def accuracy_per_layer(report: Report, *, ax: Axes | None = None) -> Axes:
    """Measured accuracy against depth for late entry and vision exit (Figures 10 to 12).

    Error bars are the intervals of the report; horizontal lines are the unmodified model and the
    accuracies reached without the image.
    """
    sections = [(name, plan_rows(report, name)) for name in ("late_entry", "vision_exit")]
    sections = [(name, [row for row in rows if row.get("accuracy") is not None]) for name, rows in sections]
    if not any(rows for _, rows in sections):
        raise InvalidInputError("need late_entry or vision_exit rows with accuracy, got none; validate plans first")
    ax = style.new_axes(ax)
    n_layers = report["model"]["n_layers"]
    with style.style_context():
        _reference_lines(ax, report)
        for name, rows in sections:
            if not rows:
                continue
            look = PLAN_SERIES[name]
            for row in rows:
                if row.get("accuracy_interval"):
                    ax.plot([row["layer"]] * 2, row["accuracy_interval"], color=look.color, linewidth=0.9, alpha=0.75)
            layers, accuracies = [row["layer"] for row in rows], [row["accuracy"] for row in rows]
            marked_line(ax, layers, accuracies, PLAN_LABELS[name], look)
        _depth_axis(ax, n_layers)
        ax.set_ylabel("accuracy")
        ax.set_ylim(0.0, 1.04)
        style.polish(ax)
        # Curves first, then what they are compared with; a legend fills column by column.
        lines: list[Any] = ax.get_legend_handles_labels()[0]
        lines.sort(key=lambda line: line.get_color() == MUTED)
        style.legend_above(ax, handles=lines, columns=3)
    return ax


def speedup_per_layer(report: Report, *, ax: Axes | None = None) -> Axes:
    """Speed-up against depth: measured (filled) and predicted from FLOPs (hollow, dashed).

    Operation counts are those of the decoder, so they stand beside its measured time where every row has one,
    and beside the whole prefill otherwise. The axis is logarithmic: blind plans are many times as fast.
    """
    ax_given, drawn = ax, False
    ax = style.new_axes(ax_given)
    every = [row for name in ("late_entry", "vision_exit") for row in plan_rows(report, name)]
    of_decoder = bool(every) and all(row.get("decoder_speedup") is not None for row in every)
    measured = "decoder_speedup" if of_decoder else "prefill_speedup"
    with style.style_context():
        for name in ("late_entry", "vision_exit"):
            look, rows = PLAN_SERIES[name], plan_rows(report, name)
            for field, kind in ((measured, "measured"), ("flop_speedup", "from FLOPs")):
                points = [(row["layer"], row[field]) for row in rows if row.get(field) is not None]
                if points:
                    drawn = True
                    hollow = field == "flop_speedup"
                    marked_line(
                        ax,
                        [x for x, _ in points],
                        [y for _, y in points],
                        f"{PLAN_LABELS[name]}, {kind}",
                        look,
                        hollow=hollow,
                    )
        if not drawn:
            raise InvalidInputError("need prefill_speedup or flop_speedup in some row, got none; time the plans first")
        ax.axhline(1.0, color=MUTED, linewidth=0.8, zorder=1)
        _depth_axis(ax, report["model"]["n_layers"])
        ax.set_yscale("log", base=2)
        ax.yaxis.set_major_formatter("{x:g}")
        ax.set_ylabel(f"{'decoder' if of_decoder else 'prefill'} speed-up (\u00d7)")
        style.polish(ax)
        style.legend_above(ax)
    return ax


def speed_accuracy(report: Report, *, ax: Axes | None = None) -> Axes:
    """Accuracy against measured prefill speed-up for every plan that was run, the chosen one ringed."""
    ax = style.new_axes(ax)
    chosen = report.get("chosen_plan") or {}
    drawn: list[Mapping[str, Any]] = []
    with style.style_context():
        if report.get("baseline_accuracy") is not None:
            ax.axhline(report["baseline_accuracy"], color=MUTED, linewidth=0.8, zorder=1)
        for name, look in PLAN_SERIES.items():
            rows = [r for r in report.get(name) or () if None not in (r.get("accuracy"), r.get("prefill_speedup"))]
            if not rows:
                continue
            drawn += rows
            for row in rows:
                if row.get("accuracy_interval"):
                    x = row["prefill_speedup"]
                    ax.plot([x, x], row["accuracy_interval"], color=look.color, linewidth=0.8, alpha=0.4)
            xs, ys = [r["prefill_speedup"] for r in rows], [r["accuracy"] for r in rows]
            line = ax.plot(xs, ys, look.marker, color=look.color, label=PLAN_LABELS[name], zorder=3)[0]
            line.set_gid(f"hover-{name}")
        if not drawn:
            raise InvalidInputError("need plans with both accuracy and prefill_speedup, got none; time the plans first")
        x, y = chosen.get("prefill_speedup"), chosen.get("accuracy")
        if x is not None and y is not None:
            ring: dict[str, Any] = {"markersize": 10, "markerfacecolor": "none", "markeredgewidth": 1.4, "color": INK}
            ax.plot([x], [y], "o", label="chosen plan", zorder=4, linestyle="none", **ring)
        ax.set_xlabel("prefill speed-up, measured (\u00d7)")
        ax.set_ylabel("accuracy")
        ax.set_ylim(0.0, 1.04)
        style.polish(ax)
        style.legend_above(ax)
    return ax


def _depth_axis(ax: Axes, n_layers: int) -> None:
    style.layer_axis(ax, [0, n_layers], "depth of late entry or of vision exit (layers)")


def _reference_lines(ax: Axes, report: Report) -> None:
    """The unmodified model with its interval, and what is reached without the image."""
    baseline = report.get("baseline_accuracy")
    if baseline is not None:
        if report.get("baseline_interval"):
            ax.axhspan(*report["baseline_interval"], color=MUTED, alpha=0.14, linewidth=0)
        ax.axhline(baseline, color=MUTED, linewidth=0.9, label="unmodified")
    names = {"image_removed": "no image", "image_shuffled": "shuffled image", "majority": "majority"}
    dashes = {"image_removed": ":", "image_shuffled": "--", "majority": "-."}
    for name, text in names.items():
        level = (report.get("baselines") or {}).get(name)
        if level is not None:
            ax.axhline(level, color=MUTED, linewidth=0.8, linestyle=dashes[name], label=text)
