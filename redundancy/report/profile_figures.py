"""Figures of the profile: what each layer changes, and how much the text attends to the image."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from redundancy.errors import InvalidInputError
from redundancy.report import style
from redundancy.report.schema import layer_values, profile_groups, profile_rows
from redundancy.report.style import INK, MUTED, OKABE_ITO, Series, marked_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "attention_per_layer",
    "centred_distance_per_layer",
    "depth_distances",
    "distance_per_layer",
    "extremes_per_layer",
    "norm_per_layer",
    "proximity_per_layer",
]

Report = Mapping[str, Any]

GROUP_SERIES = {
    "vision": Series(OKABE_ITO["blue"], "o"),
    "text": Series(OKABE_ITO["vermillion"], "s"),
    "words": Series(OKABE_ITO["orange"], "D"),
    "sink": Series(OKABE_ITO["purple"], "v"),
    "special": Series(OKABE_ITO["green"], "^"),
}
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


def extremes_per_layer(report: Report, *, groups: Sequence[str] = _MAIN_GROUPS, ax: Axes | None = None) -> Axes:
    """The 99 % quantile of the distance per layer, and its maximum (hollow): one token can carry a layer.

    Parameters as `distance_per_layer`.
    """
    fields = {"q99_distance": "99 % quantile", "max_distance": "maximum"}
    lines = [(g, f, _pairs(report, g, f)) for g in groups for f in fields]
    lines = [line for line in lines if line[2]]
    if not lines:
        raise InvalidInputError("need profile rows with q99_distance or max_distance, got none; harvest them first")
    ax = style.new_axes(ax)
    with style.style_context():
        for group, field, pairs in lines:
            look, name = _look(group), f"{group}, {fields[field]}"
            marked_line(ax, list(pairs), list(pairs.values()), name, look, hollow=field == "max_distance")
        style.layer_axis(ax, range(1, report["model"]["n_layers"] + 1), "layer")
        style.value_axis(ax, [v for _, _, pairs in lines for v in pairs.values()], "cosine distance, extremes")
        style.polish(ax)
        style.legend_above(ax)
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
        "var_mean": ("answer token", Series(INK, "o")),
        "var_text_mean": ("text, mean", Series(OKABE_ITO["green"], "s")),
        "var_text_max": ("text, maximum", Series(OKABE_ITO["green"], "^", "--")),
    }
    label = "attention on image tokens (VAR)"
    if not layer_values(report, "var_mean"):
        fields = {"var": ("answer token, sum over heads", Series(INK, "o"))}
    lines = [(layer_values(report, name), *look) for name, look in fields.items()]
    lines = [line for line in lines if line[0]]
    if not lines:
        raise InvalidInputError("need profile rows with var or var_mean to draw attention, got none; harvest with VAR")
    ax = style.new_axes(ax)
    layers = range(1, report["model"]["n_layers"] + 1)
    with style.style_context():
        for values, name, look in lines:
            # A layer without a value leaves a gap: nothing is drawn across it.
            marked_line(ax, layers, [values.get(layer, math.nan) for layer in layers], name, look)
        style.layer_axis(ax, layers, "layer")
        ax.set_ylabel(label)
        ax.set_ylim(bottom=0.0)
        style.polish(ax)
        style.legend_above(ax, columns=3)
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
    log = off_diagonal.size > 0 and off_diagonal.min() > 0 and off_diagonal.max() > 30 * off_diagonal.min()
    with style.style_context():
        norm = colors.LogNorm(off_diagonal.min(), off_diagonal.max()) if log else colors.Normalize(0.0, None)
        shown = np.ma.masked_where(np.eye(depth, dtype=bool), values)  # a depth is at distance 0 from itself
        cividis = style.require("matplotlib").colormaps["cividis"].resampled(64)
        mesh = ax.pcolormesh(
            np.arange(depth), np.arange(depth), shown, norm=norm, cmap=cividis, edgecolor="face", linewidth=0.5
        )
        mesh.set_gid(f"hover-{group}")
        # An inset follows the square axes; drawn as vectors, since the page allows no embedded raster.
        bar: Any = ax.figure.colorbar(mesh, cax=ax.inset_axes((1.04, 0.0, 0.05, 1.0)))
        bar.solids.set_rasterized(False)
        bar.solids.set_edgecolor("face")
        bar.set_label("mean cosine distance")
        bar.outline.set_visible(False)
        bar.ax.tick_params(which="both", length=0, labelsize=7.5, colors=INK)
        if log:
            style.plain_log_ticks(bar.ax.yaxis, off_diagonal.min(), off_diagonal.max())
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
    handles: list[Any] = []
    bounds: list[Any] = []
    bars: dict[str, Any] = {"marker": "_", "markersize": 7, "markeredgewidth": 1.1, "linestyle": "none"}
    with style.style_context():
        for group, pairs in rows.items():
            look = _look(group)
            values += pairs.values()
            handles.append(marked_line(ax, list(pairs), list(pairs.values()), group, look))
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
            line = ax.plot(layers, outer, label=f"{group}, certified {kind}", color=look.color, **bars)[0]
            line.set_gid(f"hover-{group}-certified")
            bounds.append(line)
        if bounds:
            key = style.require("matplotlib.lines").Line2D([], [], **{**bars, "color": MUTED})
            key.set_label("certified lower bound" if complement else "certified upper bound")
            handles.append(key)
        style.layer_axis(ax, range(1, report["model"]["n_layers"] + 1), "layer")
        if log:
            style.value_axis(ax, values, label)
        else:
            ax.set_ylabel(label)
        style.polish(ax)
        style.legend_above(ax, handles=handles, columns=3)
    return ax


def _pairs(report: Report, group: str, field: str) -> dict[int, float]:
    rows = profile_rows(report, group)
    return {row["layer"]: row[field] for row in rows if row.get(field) is not None}


def _look(group: str) -> Series:
    return GROUP_SERIES.get(group, Series(OKABE_ITO["sky"], "P"))
