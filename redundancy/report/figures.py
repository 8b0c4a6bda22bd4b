"""The figures of a report: each takes the report and `ax=None`, draws, and returns the Axes.

Markers carry a `gid` starting with "hover-": the HTML report gives each of their points a title.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from redundancy.errors import InvalidInputError
from redundancy.report import style
from redundancy.report.schema import layer_values, plan_rows, profile_groups, profile_rows
from redundancy.report.style import INK, MUTED, OKABE_ITO, PAPER, Series

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "FIGURES",
    "PANELS",
    "accuracy_per_layer",
    "attention_per_layer",
    "available_figures",
    "centred_distance_per_layer",
    "depth_distances",
    "distance_per_layer",
    "draw_panels",
    "norm_per_layer",
    "proximity_per_layer",
    "save_figures",
    "speed_accuracy",
    "speedup_per_layer",
]

Report = Mapping[str, Any]

GROUP_SERIES = {
    "vision": Series(OKABE_ITO["blue"], "o"),
    "text": Series(OKABE_ITO["vermillion"], "s"),
    "words": Series(OKABE_ITO["orange"], "D"),
    "sink": Series(OKABE_ITO["purple"], "v"),
    "special": Series(OKABE_ITO["green"], "^"),
}
PLAN_SERIES = {
    "late_entry": Series(OKABE_ITO["blue"], "o"),
    "vision_exit": Series(OKABE_ITO["vermillion"], "s"),
    "other_plans": Series(OKABE_ITO["green"], "^"),
}
PLAN_LABELS = {"late_entry": "late entry", "vision_exit": "vision exit", "other_plans": "other plans"}
_MAIN_GROUPS = ("vision", "text")


def distance_per_layer(report: Report, *, groups: Sequence[str] = _MAIN_GROUPS, ax: Axes | None = None) -> Axes:
    """Mean cosine distance of each layer's input and output, with the certified upper bound (Figure 4, top).

    Parameters
    ----------
    report : mapping
        A report of schema ``skip-it/report/1``.
    groups : sequence of str, default=("vision", "text")
        Token groups to draw; those without rows are left out.
    ax : matplotlib Axes, optional
        Where to draw; a new single-column figure without it.

    Returns
    -------
    Axes
        One line per group, and a bar with a band up to it where ``distance_upper`` is given.
    """
    return _profile_figure(report, groups, "mean_distance", "distance_upper", "mean cosine distance", ax, log=True)


def proximity_per_layer(report: Report, *, groups: Sequence[str] = _MAIN_GROUPS, ax: Axes | None = None) -> Axes:
    """Share of tokens that a layer moves by less than 0.05 (Figure 4, bottom).

    The bars are certified lower bounds, 1 minus ``tail_upper``. Parameters as `distance_per_layer`.
    """
    ax = _profile_figure(
        report, groups, "fraction_below_0.05", "tail_upper", "share of tokens with D < 0.05", ax, complement=True
    )
    ax.set_ylim(-0.04, 1.04)
    return ax


def centred_distance_per_layer(report: Report, *, groups: Sequence[str] = _MAIN_GROUPS, ax: Axes | None = None) -> Axes:
    """Cosine distance after the mean vector of each depth is taken off: what one common vector hides."""
    return _profile_figure(report, groups, "centred_distance", None, "mean-centred cosine distance", ax, log=True)


def norm_per_layer(report: Report, *, groups: Sequence[str] = _MAIN_GROUPS, ax: Axes | None = None) -> Axes:
    """Mean norm of the stream after each layer; large norms make every distance small."""
    return _profile_figure(report, groups, "mean_norm", None, "mean norm after the layer", ax, log=True)


def attention_per_layer(report: Report, *, ax: Axes | None = None) -> Axes:
    """Attention on image tokens: VAR of the answer token (Figure 3) and of all text queries.

    Means over heads, hence in [0, 1], or the sum over heads of equation 3 if only that is given.
    """
    fields = {
        "var_mean": ("answer token", Series(OKABE_ITO["blue"], "o")),
        "var_text_mean": ("all text queries, mean", Series(OKABE_ITO["vermillion"], "s")),
        "var_text_max": ("all text queries, maximum", Series(OKABE_ITO["green"], "^", "--")),
    }
    label = "attention on image tokens (VAR)"
    if not layer_values(report, "var_mean"):
        fields = {"var": ("answer token, sum over heads", Series(OKABE_ITO["blue"], "o"))}
    lines = [(layer_values(report, name), *look) for name, look in fields.items()]
    lines = [line for line in lines if line[0]]
    if not lines:
        raise InvalidInputError("need profile rows with var or var_mean to draw attention, got none; harvest with VAR")
    ax = style.new_axes(ax)
    with style.style_context():
        for values, name, look in lines:
            _marked(ax, list(values), list(values.values()), name, look)
        style.layer_axis(ax, [*range(1, report["model"]["n_layers"] + 1)], "layer")
        ax.set_ylabel(label)
        ax.set_ylim(bottom=0.0)
        style.polish(ax)
        style.legend_above(ax, columns=1 if len(lines) == 1 else 2)
    return ax


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
            _marked(ax, layers, accuracies, PLAN_LABELS[name], look)
        style.layer_axis(ax, [0, n_layers], "first layers without vision tokens (late entry)\nor with them (exit)")
        ax.set_ylabel("accuracy")
        ax.set_ylim(0.0, 1.04)
        style.polish(ax)
        style.legend_above(ax)
    return ax


def speedup_per_layer(report: Report, *, ax: Axes | None = None) -> Axes:
    """Prefill speed-up against depth: measured (filled) and predicted from FLOPs (hollow, dashed)."""
    ax_given, drawn = ax, False
    ax = style.new_axes(ax_given)
    with style.style_context():
        for name in ("late_entry", "vision_exit"):
            look, rows = PLAN_SERIES[name], plan_rows(report, name)
            for field, kind in (("prefill_speedup", "measured"), ("flop_speedup", "from FLOPs")):
                points = [(row["layer"], row[field]) for row in rows if row.get(field) is not None]
                if points:
                    drawn = True
                    hollow = field == "flop_speedup"
                    _marked(ax, *zip(*points, strict=True), f"{PLAN_LABELS[name]}, {kind}", look, hollow=hollow)
        if not drawn:
            raise InvalidInputError("need prefill_speedup or flop_speedup in some row, got none; time the plans first")
        ax.axhline(1.0, color=MUTED, linewidth=0.8, zorder=1)
        style.layer_axis(ax, [0, report["model"]["n_layers"]], "layer")
        ax.set_xlabel("first layers without vision tokens (late entry)\nor with them (exit)")
        ax.set_ylabel("prefill speed-up (\u00d7)")
        style.polish(ax)
        style.legend_above(ax)
    return ax


def depth_distances(report: Report, *, group: str = "vision", ax: Axes | None = None) -> Axes:
    """Heat map of the mean cosine distance between every two depths of one token group.

    Late entry at l swaps depth l for depth 0, so it is the first row that concerns it, not the
    diagonal's neighbours.
    """
    matrix = (report.get("distance_matrix") or {}).get(group)
    if not matrix:
        raise InvalidInputError(f"need distance_matrix.{group} to draw it, the report has none; harvest with it")
    np, colors = style.require("numpy"), style.require("matplotlib.colors")
    ax = style.new_axes(ax, height=2.75)
    values = np.ma.masked_invalid(np.array(matrix, dtype=np.float64))
    depth = len(matrix)
    off_diagonal = values[~np.eye(depth, dtype=bool)].compressed()
    positive = off_diagonal[off_diagonal > 0]
    log = positive.size > 0 and positive.max() > 30 * positive.min()
    with style.style_context():
        norm = colors.LogNorm(positive.min(), positive.max()) if log else colors.Normalize(0.0, None)
        shown = np.ma.masked_less_equal(values, 0.0) if log else values  # zeros (the diagonal) have no logarithm
        mesh = ax.pcolormesh(
            np.arange(depth), np.arange(depth), shown, norm=norm, cmap="cividis", edgecolor="face", linewidth=0.15
        )
        mesh.set_gid(f"hover-{group}")
        bar = ax.figure.colorbar(mesh, ax=ax, fraction=0.05, pad=0.03, extend="neither")
        bar.set_label("mean cosine distance")
        bar.outline.set_visible(False)  # type: ignore[operator]
        bar.ax.tick_params(which="both", length=0, labelsize=7.5, colors=INK)
        if log:
            ticker = style.require("matplotlib.ticker")
            bar.ax.yaxis.set_major_formatter(ticker.FuncFormatter(style.plain_number))
            bar.ax.yaxis.set_minor_formatter(ticker.NullFormatter())
        style.layer_axis(ax, [0, depth - 1], f"depth ({group} tokens)")
        ax.set_ylim(depth - 0.5, -0.5)
        ax.set_yticks(ax.get_xticks() if depth > 13 else range(depth))
        ax.set_ylim(depth - 0.5, -0.5)
        ax.set_ylabel("depth")
        ax.set_aspect("equal")
        style.polish(ax, grid=False)
        for spine in ax.spines.values():
            spine.set_visible(False)
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
            ring = {"markersize": 10, "markerfacecolor": "none", "markeredgewidth": 1.4, "color": INK}
            ax.plot([x], [y], "o", label="chosen plan", zorder=4, linestyle="none", **ring)
        ax.set_xlabel("prefill speed-up, measured (\u00d7)")
        ax.set_ylabel("accuracy")
        ax.set_ylim(0.0, 1.04)
        style.polish(ax)
        style.legend_above(ax)
    return ax


def _depth_figure(group: str) -> Callable[..., Axes]:
    def draw(report: Report, *, ax: Axes | None = None) -> Axes:
        return depth_distances(report, group=group, ax=ax)

    draw.__doc__ = f"`depth_distances` of {group} tokens."
    return draw


# Stable names: the files that `save_figures` writes and the anchors of the page.
FIGURES: dict[str, Callable[..., Axes]] = {
    "distance": distance_per_layer,
    "proximity": proximity_per_layer,
    "centred_distance": centred_distance_per_layer,
    "norm": norm_per_layer,
    "attention": attention_per_layer,
    "depth_vision": _depth_figure("vision"),
    "depth_text": _depth_figure("text"),
    "accuracy": accuracy_per_layer,
    "speedup": speedup_per_layer,
    "speed_accuracy": speed_accuracy,
}
# Double-column composites for a paper.
PANELS: dict[str, tuple[str, ...]] = {
    "panels_profile": ("distance", "proximity", "attention", "depth_vision"),
    "panels_validation": ("accuracy", "speedup", "speed_accuracy"),
}


def available_figures(report: Report) -> dict[str, Figure]:
    """Draw every figure of `FIGURES` that the report holds data for, by name."""
    drawn: dict[str, Figure] = {}
    for name, draw in FIGURES.items():
        try:
            drawn[name] = draw(report).figure  # type: ignore[assignment]
        except InvalidInputError:  # the report lacks that part, which the schema allows
            continue
    return drawn


def draw_panels(report: Report, names: Sequence[str]) -> Figure:
    """A double-column figure with one lettered panel per name of `FIGURES`, two in a row."""
    n_rows = (len(names) + 1) // 2
    figure_class = style.require("matplotlib.figure").Figure
    with style.style_context():
        figure: Figure = figure_class(figsize=(style.DOUBLE_COLUMN, 2.6 * n_rows), layout="constrained")
        figure.get_layout_engine().set(wspace=0.05, hspace=0.06)  # type: ignore[union-attr]
        for index, name in enumerate(names):
            ax = figure.add_subplot(n_rows, 2, index + 1)
            FIGURES[name](report, ax=ax)
            ax.text(-0.16, 1.04, "abcdefgh"[index], transform=ax.transAxes, fontweight="bold", fontsize=9, ha="right")
    return figure


def save_figures(report: Report, out_dir: str | Path) -> dict[str, tuple[Path, Path]]:
    """Write every figure the report has data for as SVG and PNG (200 dpi).

    Parameters
    ----------
    report : mapping
        A report of schema ``skip-it/report/1``.
    out_dir : str or Path
        Folder, made if need be; files are named after `FIGURES` (3.3 inches wide) and `PANELS` (6.9).

    Returns
    -------
    dict of str to (Path, Path)
        The SVG and the PNG of each figure.
    """
    folder = Path(out_dir)
    folder.mkdir(parents=True, exist_ok=True)
    figures = available_figures(report)
    for name, members in PANELS.items():
        present = [member for member in members if member in figures]
        if len(present) > 1:
            figures[name] = draw_panels(report, present)
    written: dict[str, tuple[Path, Path]] = {}
    for name, figure in figures.items():
        svg, png = folder / f"{name}.svg", folder / f"{name}.png"
        svg.write_text(style.to_svg(figure), encoding="utf-8")
        png.write_bytes(style.to_png(figure))
        written[name] = (svg, png)
    return written


def _profile_figure(
    report: Report,
    groups: Sequence[str],
    field: str,
    bound: str | None,
    label: str,
    ax: Axes | None,
    *,
    log: bool = False,
    complement: bool = False,
) -> Axes:
    """One line per group of a profile field, with a one-sided certified bound where `bound` is given."""
    rows = {group: _pairs(report, group, field) for group in groups if group in profile_groups(report)}
    rows = {group: pairs for group, pairs in rows.items() if pairs}
    if not rows:
        raise InvalidInputError(
            f"need profile rows with {field} for one of {tuple(groups)}, got none; harvest it first"
        )
    ax = style.new_axes(ax)
    values: list[float] = []
    with style.style_context():
        for group, pairs in rows.items():
            look = GROUP_SERIES.get(group, Series(OKABE_ITO["sky"], "P"))
            values += pairs.values()
            _marked(ax, list(pairs), list(pairs.values()), group, look)
            ends = _pairs(report, group, bound) if bound else {}
            if complement:
                ends = {layer: 1.0 - end for layer, end in ends.items()}
            layers = [layer for layer in pairs if layer in ends]
            if not layers:
                continue
            values += [ends[layer] for layer in layers]
            inner, outer = [pairs[layer] for layer in layers], [ends[layer] for layer in layers]
            ax.fill_between(layers, inner, outer, color=look.color, alpha=0.13, linewidth=0)
            kind = "at least" if complement else "at most"
            bars = {"marker": "_", "markersize": 7, "markeredgewidth": 1.1, "linestyle": "none", "color": look.color}
            line = ax.plot(layers, outer, label=f"{group}, certified {kind}", **bars)[0]
            line.set_gid(f"hover-{group}-certified")
        style.layer_axis(ax, range(1, report["model"]["n_layers"] + 1), "layer")
        if log:
            style.value_axis(ax, values, label)
        else:
            ax.set_ylabel(label)
        style.polish(ax)
        style.legend_above(ax)
    return ax


def _pairs(report: Report, group: str, field: str) -> dict[int, float]:
    rows = profile_rows(report, group)
    return {row["layer"]: row[field] for row in rows if row.get(field) is not None}


def _marked(
    ax: Axes, x: Sequence[float], y: Sequence[float], label: str, look: Series, *, hollow: bool = False
) -> None:
    line = ax.plot(
        x,
        y,
        marker=look.marker,
        linestyle="--" if hollow else look.line,
        linewidth=0.9 if hollow else 1.3,
        color=look.color,
        label=label,
        markerfacecolor=PAPER if hollow else look.color,
        markeredgewidth=0.9,
        zorder=2.4 if hollow else 2.6,
    )[0]
    line.set_gid("hover-" + label.replace(" ", "-").replace(",", ""))


def _reference_lines(ax: Axes, report: Report) -> None:
    """The unmodified model with its interval, and what is reached without the image."""
    baseline = report.get("baseline_accuracy")
    if baseline is not None:
        if report.get("baseline_interval"):
            ax.axhspan(*report["baseline_interval"], color=MUTED, alpha=0.14, linewidth=0)
        ax.axhline(baseline, color=MUTED, linewidth=0.9, label="unmodified model")
    names = {"image_removed": "image removed", "image_shuffled": "image shuffled", "majority": "majority answer"}
    dashes = {"image_removed": ":", "image_shuffled": "--", "majority": "-."}
    for name, text in names.items():
        level = (report.get("baselines") or {}).get(name)
        if level is not None:
            ax.axhline(level, color=MUTED, linewidth=0.8, linestyle=dashes[name], label=text)
