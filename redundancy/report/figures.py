"""The figures of a report: each takes the report and `ax=None`, draws, and returns the Axes.

Markers carry a `gid` starting with "hover-": the HTML report gives each of their points a title.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from redundancy.errors import InvalidInputError
from redundancy.figures import style
from redundancy.figures.attention import attention_per_layer
from redundancy.figures.bounds import certificate_intervals
from redundancy.figures.plans import accuracy_per_layer, risk_of_plans, speed_accuracy, speedup_per_layer
from redundancy.figures.profile import (
    centred_distance_per_layer,
    depth_distances,
    distance_per_layer,
    extremes_per_layer,
    norm_per_layer,
    proximity_per_layer,
)
from redundancy.figures.saving import save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["FIGURES", "PANELS", "available_figures", "draw_panels", "save_figures"]

Report = Mapping[str, Any]


def _depth_figure(group: str) -> Callable[..., Axes]:
    def draw(report: Report, *, ax: Axes | None = None) -> Axes:
        return depth_distances(report, group=group, ax=ax)

    draw.__doc__ = f"`depth_distances` of {group} tokens."
    return draw


# Stable names: the files that `save_figures` writes and the anchors of the page.
FIGURES: dict[str, Callable[..., Axes]] = {
    "distance": distance_per_layer,
    "proximity": proximity_per_layer,
    "extremes": extremes_per_layer,
    "centred_distance": centred_distance_per_layer,
    "norm": norm_per_layer,
    "attention": attention_per_layer,
    "depth_vision": _depth_figure("vision"),
    "depth_text": _depth_figure("text"),
    "certificates": certificate_intervals,
    "accuracy": accuracy_per_layer,
    "speedup": speedup_per_layer,
    "speed_accuracy": speed_accuracy,
    "risk": risk_of_plans,
}
# Double-column composites for a paper.
PANELS: dict[str, tuple[str, ...]] = {
    "panels_profile": ("distance", "proximity", "attention", "norm"),
    "panels_depth": ("depth_vision", "depth_text"),
    "panels_validation": ("accuracy", "speed_accuracy"),
}


def available_figures(report: Report) -> dict[str, Figure]:
    """Draw every figure of `FIGURES` that the report holds data for, by name."""
    drawn: dict[str, Figure] = {}
    for name, draw in FIGURES.items():
        try:
            axes: Any = draw(report)
        except InvalidInputError:  # the report lacks that part, which the schema allows
            continue
        drawn[name] = axes.figure
    return drawn


def draw_panels(report: Report, names: Sequence[str]) -> Figure:
    """A double-column figure with one lettered panel per name of `FIGURES`, two in a row."""
    n_rows = (len(names) + 1) // 2
    figure_class = style.require("matplotlib.figure").Figure
    with style.style_context():
        figure: Figure = figure_class(figsize=(style.DOUBLE_COLUMN, 2.6 * n_rows), layout="constrained")
        layout: Any = figure.get_layout_engine()
        layout.set(wspace=0.05, hspace=0.06)
        for index, name in enumerate(names):
            ax = figure.add_subplot(n_rows, 2, index + 1)
            FIGURES[name](report, ax=ax)
            ax.text(-0.14, 1.04, "abcdefgh"[index], transform=ax.transAxes, fontweight="bold", fontsize=9, ha="right")
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
        svg, png = save_figure(figure, folder / name, formats=("svg", "png"))
        written[name] = (svg, png)
    return written
