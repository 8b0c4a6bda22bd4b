"""How every figure looks: widths, colours that colour-blind readers tell apart, deterministic SVG."""

from __future__ import annotations

import importlib
import math
import textwrap
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from redundancy.errors import InvalidInputError, MissingExtraError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "DOUBLE_COLUMN",
    "INK",
    "MUTED",
    "OKABE_ITO",
    "PAPER",
    "RULE",
    "SINGLE_COLUMN",
    "Series",
    "marked_line",
    "new_axes",
    "polish",
    "require",
    "run_series",
    "style_context",
]

SINGLE_COLUMN = 3.3  # inches
DOUBLE_COLUMN = 6.9
PNG_DPI = 200
_LABEL_SHARE = 0.78  # of the figure's width: a longer label is broken, since its axes begin right of the margin

OKABE_ITO = {
    "orange": "#e69f00",
    "sky": "#56b4e9",
    "green": "#009e73",
    "blue": "#0072b2",
    "vermillion": "#d55e00",
    "purple": "#cc79a7",
}
# Neutral colours. The page replaces each by a variable of its theme, so they must not be used for anything else.
INK = "#1b1b1b"
MUTED = "#6a6a6a"
RULE = "#e2e2e2"
PAPER = "#fefefe"

_RC: dict[str, Any] = {
    # Liberation Sans, Arial and Helvetica share their metrics, so text kept as text still fits elsewhere.
    "font.family": "sans-serif",
    "font.sans-serif": ["Arial", "Helvetica", "Liberation Sans", "DejaVu Sans"],
    "font.size": 8.0,
    "axes.labelsize": 8.0,
    "axes.titlesize": 8.5,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "legend.fontsize": 7.5,
    "axes.linewidth": 0.7,
    "lines.linewidth": 1.3,
    "lines.markersize": 4.5,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.facecolor": "none",
    "figure.facecolor": PAPER,
    "savefig.facecolor": PAPER,
    "axes.unicode_minus": True,
    "text.usetex": False,
    "text.parse_math": False,  # a dollar in a model's name is a dollar
    "svg.fonttype": "none",
    "svg.hashsalt": "skip-it",
    "pdf.fonttype": 42,  # TrueType, embedded: text can be searched and edited
}


class Series:
    """Colour, marker and line of a named series: never told apart by colour alone."""

    def __init__(self, color: str, marker: str, line: str = "-") -> None:
        self.color, self.marker, self.line = color, marker, line


# For runs that are compared: neighbours differ in lightness as well as in hue, and every one has its own marker.
_RUNS = (
    Series(OKABE_ITO["blue"], "o"),
    Series(OKABE_ITO["orange"], "s"),
    Series(OKABE_ITO["green"], "^"),
    Series(OKABE_ITO["purple"], "D"),
    Series(INK, "v"),
    Series(OKABE_ITO["sky"], "P"),
    Series(OKABE_ITO["vermillion"], "X"),
)


def run_series(index: int) -> Series:
    """Look of the run at `index`, from 0.

    Raises
    ------
    InvalidInputError
        Beyond the seventh: more lines could not be told apart.
    """
    if index >= len(_RUNS):
        raise InvalidInputError(f"need at most {len(_RUNS)} runs in one figure, got more; draw several panels")
    return _RUNS[index]


def require(module: str) -> Any:
    """Import an optional module late.

    Raises
    ------
    MissingExtraError
        Naming the command that installs it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise MissingExtraError(f'figures and reports need {package}: pip install "skip-it[report]"') from error


def style_context() -> AbstractContextManager[None]:
    """The style of the project as a context manager around plotting and saving."""
    context: AbstractContextManager[None] = require("matplotlib").rc_context(_RC)
    return context


def new_axes(ax: Axes | None, *, width: float = SINGLE_COLUMN, height: float = 2.5) -> Axes:
    """Return `ax`, or the axes of a new figure of `width` by `height` inches in the project's style."""
    if ax is not None:
        return ax
    figure_class = require("matplotlib.figure").Figure
    with style_context():
        figure = figure_class(figsize=(width, height), layout="constrained")
        made: Axes = figure.add_subplot()
    return made


def polish(ax: Axes, *, grid: bool = True) -> None:
    """Set what matplotlib would otherwise read from its defaults at drawing time."""
    ax.tick_params(which="major", length=3.0, width=0.7, labelsize=7.5, colors=INK, pad=2.5)
    ax.tick_params(which="minor", length=0, width=0)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    if grid:
        ax.grid(True, axis="y", which="major", color=RULE, linewidth=0.6)
    ax.set_axisbelow(True)


def layer_axis(ax: Axes, layers: Sequence[int], label: str) -> None:
    """Integer ticks for layers: each one if they fit, else about ten round ones."""
    ticker = require("matplotlib.ticker")
    first, last = min(layers), max(layers)
    ax.set_xlim(first - 0.5, last + 0.5)
    if last - first <= 12:
        ax.set_xticks(range(first, last + 1))
    else:
        ax.xaxis.set_major_locator(ticker.MaxNLocator(nbins=8, integer=True, steps=[1, 2, 4, 5, 10]))
    ax.set_xlabel(label)
    if ax.xaxis.label.get_window_extent().width > _LABEL_SHARE * ax.figure.bbox.width:
        ax.set_xlabel(textwrap.fill(label, math.ceil(0.6 * len(label))))


def value_axis(ax: Axes, values: Iterable[float], label: str, *, axis: str = "y") -> None:
    """A logarithmic axis if the values span more than a factor 30, with numbers written plainly.

    Zeros stay visible: with zeros the axis is linear below the smallest positive value.
    """
    ticker = require("matplotlib.ticker")
    finite = [v for v in values if v >= 0]
    positive = [v for v in finite if v > 0]
    setter, the_axis = (ax.set_yscale, ax.yaxis) if axis == "y" else (ax.set_xscale, ax.xaxis)
    if positive and max(positive) > 30 * min(positive):
        if len(positive) < len(finite):
            setter("symlog", linthresh=min(positive), linscale=0.4)
        else:
            setter("log")
            plain_log_ticks(the_axis, min(positive), max(positive))
        the_axis.set_major_formatter(ticker.FuncFormatter(plain_number))
    (ax.set_ylabel if axis == "y" else ax.set_xlabel)(label)


def plain_log_ticks(axis: Any, lower: float, upper: float) -> None:
    """Ticks of a logarithmic axis with plain numbers: also at 2 and 5 if there are few decades."""
    ticker = require("matplotlib.ticker")
    subs = (1.0, 2.0, 5.0) if upper < 60 * lower else (1.0, 3.0) if upper < 300 * lower else (1.0,)
    axis.set_major_locator(ticker.LogLocator(subs=subs, numticks=12))
    axis.set_minor_locator(ticker.NullLocator())
    axis.set_major_formatter(ticker.FuncFormatter(plain_number))


def plain_number(value: float, position: int | None = None) -> str:
    """0.001 as such, 1e-07 with a superscript: no mathtext, so that SVG text stays text."""
    if value == 0 or 1e-4 <= abs(value) < 1e5:
        return f"{value:g}"
    mantissa, _, exponent = f"{value:.0e}".partition("e")
    power = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"10{power}" if mantissa == "1" else f"{mantissa}·10{power}"


def legend_above(ax: Axes, *, handles: Sequence[Any] | None = None, columns: int = 2) -> None:
    """A frameless legend above the axes, where it can cover no data, in as many columns as its texts leave room for.

    Widths are measured, since they depend on the fonts of the machine; `columns` is the most there may be.
    """
    shown = ax.get_legend_handles_labels()[0] if handles is None else handles
    for own in range(max(1, min(columns, len(shown))), 0, -1):
        legend = ax.legend(
            handles=shown,
            loc="lower left",
            bbox_to_anchor=(0.0, 1.0),
            ncols=own,
            frameon=False,
            borderaxespad=0.2,
            borderpad=0.1,
            handlelength=1.7,
            handletextpad=0.5,
            columnspacing=1.0,
            labelspacing=0.25,
        )
        if own == 1 or _has_room(ax, legend):
            return


def _has_room(ax: Axes, legend: Any) -> bool:
    """Whether a legend ends inside the figure, or inside its column of a grid of panels."""
    figure: Any = ax.figure
    is_alone = len(figure.axes) == 1
    if is_alone:
        figure.draw_without_rendering()  # the place of the axes is known once their labels are measured
    width = legend.get_window_extent(figure.canvas.get_renderer() if hasattr(figure.canvas, "get_renderer") else None)
    room = figure.bbox.x1 - ax.bbox.x0 if is_alone else ax.bbox.width
    return bool(width.width <= room)


def marked_line(
    ax: Axes, x: Sequence[float], y: Sequence[float], label: str, look: Series, *, hollow: bool = False
) -> Any:
    """Draw one series with markers and the `gid` by which the page finds its points."""
    line = ax.plot(
        x,
        y,
        marker=look.marker,
        linestyle="--" if hollow else look.line,
        linewidth=0.9 if hollow else 1.3,
        color=look.color,
        label=label,
        markersize=4.5 if len(x) <= 24 else 3.2,
        markerfacecolor=PAPER if hollow else look.color,
        markeredgewidth=0.9,
        zorder=2.4 if hollow else 2.6,
    )[0]
    line.set_gid(hover_id(label))
    return line


def hover_id(label: str) -> str:
    """The `gid` by which the page finds the points of a series."""
    return "hover-" + label.replace(" ", "-").replace(",", "")


def fill_keys(names: Sequence[str], *, line: bool = True) -> list[Any]:
    """Legend entries for what is told by filled and hollow markers; none for a single name."""
    line2d = require("matplotlib.lines").Line2D
    if len(names) < 2:
        return []
    faces, lines = (MUTED, PAPER), ("-", "--") if line else ("none", "none")
    look: dict[str, Any] = {"color": MUTED, "marker": "o", "markersize": 4.5}
    return [
        line2d([], [], label=name, markerfacecolor=faces[min(k, 1)], linestyle=lines[min(k, 1)], **look)
        for k, name in enumerate(names)
    ]
