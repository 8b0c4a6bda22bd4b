"""Draw the panels of a page as one small SVG that comes out the same every time."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from theorem_clouds import Cloud, Panel

from redundancy.figures.style import DOUBLE_COLUMN, INK, MUTED, OKABE_ITO, PAPER, polish, style_context

__all__ = ["digest", "draw"]

_MOST_DRAWN = 60  # of each random cloud; all of them are checked and counted in the table
_COLORS = [OKABE_ITO[c] for c in ("blue", "orange", "green", "purple", "sky")] + [MUTED]
_MARKERS = ["o", "^", "s", "v", "D", "P"]


def digest(panels: Sequence[Panel]) -> str:
    """Of all drawn points, to four digits, so that another machine's last bits do not matter."""
    text = repr([[c.name, [[_short(v) for v in p] for p in _drawn(c)]] for panel in panels for c in panel.clouds])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _short(value: float) -> str:
    return f"{value:.4g}" if abs(value) > 1e-6 else "0"


def _drawn(cloud: Cloud) -> list[tuple[float, float]]:
    return cloud.points[:_MOST_DRAWN]


def draw(panels: Sequence[Panel], path: Path) -> None:
    """One panel per plot, two in a row (three if there are three)."""
    from matplotlib.figure import Figure

    shown = [panel for panel in panels if panel.drawn]
    columns = 3 if len(shown) in (3, 5) else min(2, len(shown))
    rows = -(-len(shown) // columns)
    with style_context():
        figure = Figure(figsize=(DOUBLE_COLUMN, rows * (2.75 if columns == 3 else 3.1)), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for ax in axes[len(shown) :]:
            ax.remove()
        for ax, panel in zip(axes, shown, strict=False):
            _panel(ax, panel)
        buffer = io.StringIO()
        metadata = {"Date": None, "Creator": "Skip-It", "Description": f"points {digest(panels)}"}
        figure.savefig(buffer, format="svg", metadata=metadata)
    # A hundredth of a point is enough; only inside tags, so that the numbers at the axes stay.
    text = re.sub(r"<[^>]*>", lambda tag: re.sub(r"(\d\.\d\d)\d+", r"\1", tag[0]), buffer.getvalue())
    path.write_text("\n".join(line.rstrip() for line in text.splitlines()) + "\n", encoding="utf-8")


def _panel(ax: Any, panel: Panel) -> None:
    polish(ax, grid=False)
    count = 0
    for cloud in panel.clouds:
        points = [p for p in _drawn(cloud) if not panel.log or min(p) >= (0.0 if panel.lines else panel.floor)]
        color, marker = _COLORS[count % len(_COLORS)], _MARKERS[count % len(_MARKERS)]
        look: dict[str, Any] = {"color": color, "marker": marker, "markersize": 3.0, "markeredgewidth": 0.0}
        if panel.lines:
            look |= {"markersize": 3.5, "linewidth": 1.2, "linestyle": "-" if count < 5 else "--"}
            color = MUTED if count >= 5 else color
            look |= {"color": color, "marker": marker if count < 5 else ""}
        elif cloud.refuted:
            look = {"color": OKABE_ITO["vermillion"], "marker": "x", "markersize": 4.5, "markeredgewidth": 1.1}
        elif cloud.extremal:
            look = {"color": INK, "marker": "D" if count % 2 else "o", "markersize": 5.0}
            look |= {"markerfacecolor": "none", "markeredgewidth": 0.8}
        count += not cloud.refuted
        if points:
            look["zorder"] = 3 if cloud.extremal else 2
            if not panel.lines:
                look["linestyle"] = "none"
            ax.plot(*zip(*points, strict=True), label=_label(cloud, panel), **look)
    ax.set_title(panel.title, loc="left", pad=4)
    ax.set_xlabel(panel.quantity)
    ax.set_ylabel(panel.bound_label)
    if panel.log:
        heights = [y for cloud in panel.clouds for _, y in cloud.points]
        narrow = panel.lines and max(heights) < 20.0 * min(heights)
        for axis, setter in ((ax.xaxis, ax.set_xscale), (ax.yaxis, ax.set_yscale))[: 1 if narrow else 2]:
            setter("log")
            axis.set_major_formatter("{x:g}")
            axis.set_minor_formatter("")
    if panel.lines:
        ax.axhline(panel.reference, color=MUTED, linewidth=0.7, linestyle=":")
    else:
        _diagonal(ax, panel)
    ax.legend(
        loc="upper center",
        bbox_to_anchor=(0.45, -0.2),
        ncols=1 if len(panel.clouds) < 5 else 2,
        frameon=False,
        handletextpad=0.3,
        columnspacing=0.8,
        labelspacing=0.2,
        borderpad=0.0,
    )


def _label(cloud: Cloud, panel: Panel) -> str:
    """The part of the bound's id that tells it from its neighbours, and the family."""
    if panel.lines or cloud.theorem.startswith("mean") or len({c.theorem for c in panel.clouds}) == 1:
        return cloud.name
    return f"{cloud.theorem.rpartition('.')[2].replace('_', ' ')}: {cloud.name}"


def _diagonal(ax: Any, panel: Panel) -> None:
    """Equality, over the range of the data."""
    lower, upper = max(ax.get_xlim()[0], ax.get_ylim()[0]), min(ax.get_xlim()[1], ax.get_ylim()[1])
    if upper <= lower:
        lower, upper = ax.get_xlim()
    limits = ax.get_xlim(), ax.get_ylim()
    if not panel.log and limits[1][1] < 0.1 * limits[0][1]:  # all bounds are 0 but for rounding
        limits = (limits[0], (-0.05 * limits[0][1], limits[0][1]))
        lower, upper = max(0.0, limits[0][0]), limits[1][1]
    ax.plot([lower, upper], [lower, upper], color=MUTED, linewidth=0.8, zorder=1)
    ax.set_xlim(limits[0])
    ax.set_ylim(limits[1])
    ax.set_facecolor(PAPER)
