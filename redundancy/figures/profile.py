"""Figures of the profile: what each layer changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from redundancy.errors import InvalidInputError
from redundancy.figures import style
from redundancy.figures.sources import Report, as_report, as_reports, profile_rows
from redundancy.figures.style import INK, MUTED, OKABE_ITO, Series, marked_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "centred_distance_per_layer",
    "depth_distances",
    "distance_per_layer",
    "extremes_per_layer",
    "norm_per_layer",
    "proximity_per_layer",
]

GROUP_SERIES = {
    "vision": Series(OKABE_ITO["blue"], "o"),
    "text": Series(OKABE_ITO["vermillion"], "s"),
    "words": Series(OKABE_ITO["orange"], "D"),
    "sink": Series(OKABE_ITO["purple"], "v"),
    "special": Series(OKABE_ITO["green"], "^"),
}
_MAIN_GROUPS = ("vision", "text")


def distance_per_layer(source: Any, *, groups: Sequence[str] = _MAIN_GROUPS, ax: Axes | None = None) -> Axes:
    """Mean cosine distance of each layer's input and output (Figures 4 to 9, upper rows).

    Parameters
    ----------
    source : report, HarvestStatistics or profile records; or a mapping of names to these
        With several runs (the data sets of the paper's figures) colour and marker tell the run, and a
        dashed line with hollow markers the second token group.
    groups : sequence of str, default=("vision", "text")
        Token groups to draw; those without rows are left out.
    ax : matplotlib Axes, optional
        Where to draw; a new single-column figure without it.

    Returns
    -------
    Axes
        One line per group. For a single run also a bar, with a band up to it, where ``distance_upper``
        (certified) is given.

    Raises
    ------
    InvalidInputError
        If no run has a distance of any of the groups.
    """
    return _profile_figure(source, groups, "mean_distance", "distance_upper", "mean cosine distance", ax, log=True)


def proximity_per_layer(source: Any, *, groups: Sequence[str] = _MAIN_GROUPS, ax: Axes | None = None) -> Axes:
    """Share of tokens that a layer moves by less than 0.05 (Figures 4 to 9, lower rows).

    The bars are certified lower bounds, 1 minus ``tail_upper``.

    Parameters
    ----------
    source : as for `distance_per_layer`
        With ``fraction_below_0.05`` in its rows.
    groups : sequence of str, default=("vision", "text")
        Token groups to draw; those without rows are left out.
    ax : matplotlib Axes, optional
        Where to draw; a new single-column figure without it.

    Returns
    -------
    Axes
        Share in [0, 1] against layer 1..L.

    Raises
    ------
    InvalidInputError
        If no run has the quantity for any of the groups.
    """
    ax = _profile_figure(
        source, groups, "fraction_below_0.05", "tail_upper", "share of tokens with D < 0.05", ax, complement=True
    )
    ax.set_ylim(-0.04, 1.04)
    return ax


def extremes_per_layer(source: Any, *, groups: Sequence[str] = _MAIN_GROUPS, ax: Axes | None = None) -> Axes:
    """The 99 % quantile of the distance per layer, and its maximum (hollow): one token can carry a layer.

    Parameters
    ----------
    source : report, HarvestStatistics or profile records
        A single run.
    groups : sequence of str, default=("vision", "text")
        Token groups to draw; those without rows are left out.
    ax : matplotlib Axes, optional
        Where to draw; a new single-column figure without it.

    Returns
    -------
    Axes
        Distances in [0, 2] against layer 1..L.

    Raises
    ------
    InvalidInputError
        If no row has a quantile or a maximum.
    """
    report = as_report(source)
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


def centred_distance_per_layer(source: Any, *, groups: Sequence[str] = _MAIN_GROUPS, ax: Axes | None = None) -> Axes:
    """Cosine distance after the mean vector of each depth is taken off: what one common vector hides.

    Parameters
    ----------
    source : as for `distance_per_layer`
        With ``centred_distance`` in its rows: a harvest with a pilot shift.
    groups : sequence of str, default=("vision", "text")
        Token groups to draw; those without rows are left out.
    ax : matplotlib Axes, optional
        Where to draw; a new single-column figure without it.

    Returns
    -------
    Axes
        Distance in [0, 2] against layer 1..L.

    Raises
    ------
    InvalidInputError
        If no run has the quantity for any of the groups.
    """
    return _profile_figure(source, groups, "centred_distance", None, "mean-centred cosine distance", ax, log=True)


def norm_per_layer(source: Any, *, groups: Sequence[str] = _MAIN_GROUPS, ax: Axes | None = None) -> Axes:
    """Mean norm of the stream after each layer; large norms make every distance small.

    Parameters
    ----------
    source : as for `distance_per_layer`
        With ``mean_norm`` in its rows.
    groups : sequence of str, default=("vision", "text")
        Token groups to draw; those without rows are left out.
    ax : matplotlib Axes, optional
        Where to draw; a new single-column figure without it.

    Returns
    -------
    Axes
        Euclidean norm, in the units of the states, against layer 1..L.

    Raises
    ------
    InvalidInputError
        If no run has the quantity for any of the groups.
    """
    return _profile_figure(source, groups, "mean_norm", None, "mean norm after the layer", ax, log=True)


def depth_distances(source: Any, *, group: str = "vision", ax: Axes | None = None) -> Axes:
    """Heat map of the mean cosine distance between every two depths of one token group.

    Late entry at l swaps depth l for depth 0, so it is the first row that concerns it, not the
    diagonal's neighbours.

    Parameters
    ----------
    source : report or HarvestStatistics
    group : str, default="vision"
    ax : matplotlib Axes, optional

    Returns
    -------
    Axes
        Depths 0..L on both axes; colour is the distance in [0, 2].

    Raises
    ------
    InvalidInputError
        If the source has no distance matrix of the group.
    """
    matrix = (as_report(source).get("distance_matrix") or {}).get(group)
    if not matrix:
        raise InvalidInputError(f"need distance_matrix.{group} to draw it, the report has none; harvest with it")
    np, colors = style.require("numpy"), style.require("matplotlib.colors")
    ax = style.new_axes(ax, height=2.4)
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
    source: Any,
    groups: Sequence[str],
    field: str,
    bound: str | None,
    label: str,
    ax: Axes | None,
    *,
    log: bool = False,
    complement: bool = False,
) -> Axes:
    """Lines of a profile field: by group for one run, by run and group for several."""
    reports = as_reports(source)
    runs = {
        name: {group: pairs for group in groups if (pairs := _pairs(run, group, field))}
        for name, run in reports.items()
    }
    if not any(runs.values()):
        raise InvalidInputError(
            f"need profile rows with {field} for one of {tuple(groups)}, got none; harvest it first"
        )
    ax = style.new_axes(ax)
    with style.style_context():
        if len(runs) > 1:
            values, handles = _lines_of_runs(ax, runs, groups)
        else:
            name = next(iter(runs))
            ends = {group: _pairs(reports[name], group, bound) if bound else {} for group in runs[name]}
            values, handles = _lines_of_one(ax, runs[name], ends, complement=complement)
        style.layer_axis(ax, range(1, max(run["model"]["n_layers"] for run in reports.values()) + 1), "layer")
        if log:
            style.value_axis(ax, values, label)
        else:
            ax.set_ylabel(label)
        style.polish(ax)
        style.legend_above(ax, handles=handles, columns=3)
    return ax


def _lines_of_one(
    ax: Axes, lines: Mapping[str, dict[int, float]], ends: Mapping[str, dict[int, float]], *, complement: bool
) -> tuple[list[float], list[Any]]:
    """One line per group, with a one-sided certified bound where `ends` has one."""
    values: list[float] = []
    handles: list[Any] = []
    bounds: list[Any] = []
    bars: dict[str, Any] = {"marker": "_", "markersize": 7, "markeredgewidth": 1.1, "linestyle": "none"}
    for group, pairs in lines.items():
        look = _look(group)
        values += pairs.values()
        handles.append(marked_line(ax, list(pairs), list(pairs.values()), group, look))
        certified = {layer: 1.0 - end if complement else end for layer, end in ends[group].items()}
        layers = [layer for layer in pairs if layer in certified]
        if not layers:
            continue
        values += [certified[layer] for layer in layers]
        inner, outer = [pairs[layer] for layer in layers], [certified[layer] for layer in layers]
        ax.fill_between(layers, inner, outer, color=look.color, alpha=0.13, linewidth=0)
        kind = "at least" if complement else "at most"
        line = ax.plot(layers, outer, label=f"{group}, certified {kind}", color=look.color, **bars)[0]
        line.set_gid(f"hover-{group}-certified")
        bounds.append(line)
    if bounds:
        key = style.require("matplotlib.lines").Line2D([], [], **{**bars, "color": MUTED})
        key.set_label("certified lower bound" if complement else "certified upper bound")
        handles.append(key)
    return values, handles


def _lines_of_runs(
    ax: Axes, runs: Mapping[str, Mapping[str, dict[int, float]]], groups: Sequence[str]
) -> tuple[list[float], list[Any]]:
    """Colour and marker by run; the first group filled, the others hollow and dashed."""
    line2d = style.require("matplotlib.lines").Line2D
    values: list[float] = []
    handles: list[Any] = []
    shown = [group for group in groups if any(group in lines for lines in runs.values())]
    for index, (name, lines) in enumerate(runs.items()):
        look = style.run_series(index)
        for group, pairs in lines.items():
            values += pairs.values()
            hollow = group != shown[0]
            marked_line(ax, list(pairs), list(pairs.values()), f"{name}, {group}", look, hollow=hollow)
        handles.append(line2d([], [], color=look.color, marker=look.marker, label=name, markersize=4.5))
    handles += style.fill_keys(shown)
    return values, handles


def _pairs(report: Report, group: str, field: str) -> dict[int, float]:
    rows = profile_rows(report, group)
    return {row["layer"]: row[field] for row in rows if row.get(field) is not None}


def _look(group: str) -> Series:
    return GROUP_SERIES.get(group, Series(OKABE_ITO["sky"], "P"))
