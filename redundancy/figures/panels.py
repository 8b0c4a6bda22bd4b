"""The paper's figures whole: a column of panels per model, a line per data set, one legend."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from redundancy.errors import InvalidInputError
from redundancy.figures import style
from redundancy.figures.attention import attention_per_layer
from redundancy.figures.plans import accuracy_per_layer
from redundancy.figures.profile import distance_per_layer, proximity_per_layer
from redundancy.figures.sources import as_reports

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["accuracy_panels", "attention_panels", "redundancy_panels"]

Results = Mapping[str, Any]
_ROW = 2.05  # inches
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def redundancy_panels(results: Results, *, groups: Sequence[str] = ("vision", "text")) -> Figure:
    """Distance above proximity, a column per model, a line per data set and modality (Figures 4 to 9).

    Parameters
    ----------
    results : mapping
        Model name to a result, or to a mapping of data set name to result (HarvestStatistics, reports or
        profile records).
    groups : sequence of str, default=("vision", "text")

    Returns
    -------
    Figure
        6.9 inches wide.

    Raises
    ------
    InvalidInputError
        For no model, more than four, or a result without distances.
    """
    return _grid(results, [partial(distance_per_layer, groups=groups), partial(proximity_per_layer, groups=groups)])


def attention_panels(results: Results) -> Figure:
    """VAR of the answer token, a panel per model, a line per data set (Figure 3).

    Parameters
    ----------
    results : mapping
        As for `redundancy_panels`, with attention masses.

    Returns
    -------
    Figure
        6.9 inches wide.

    Raises
    ------
    InvalidInputError
        For no model, more than four, or a result without VAR.
    """
    return _grid(results, [attention_per_layer])


def accuracy_panels(results: Results, *, families: Sequence[str] = ("late_entry",)) -> Figure:
    """Accuracy of really skipping, a panel per model, a line per data set (Figures 10 to 12).

    Parameters
    ----------
    results : mapping
        As for `redundancy_panels`; reports or plan records with accuracies in [0, 1].
    families : sequence of str, default=("late_entry",)
        Out of "late_entry" and "vision_exit".

    Returns
    -------
    Figure
        6.9 inches wide.

    Raises
    ------
    InvalidInputError
        For no model, more than four, or a result without accuracies.
    """
    return _grid(results, [partial(accuracy_per_layer, families=families)])


def _grid(results: Results, rows: Sequence[Callable[..., Any]]) -> Figure:
    if not 1 <= len(results) <= 4:
        raise InvalidInputError(f"need 1 to 4 models side by side, got {len(results)}; draw several figures")
    names = {tuple(as_reports(result)) for result in results.values()}
    figure_class = style.require("matplotlib.figure").Figure
    with style.style_context():
        size = (style.DOUBLE_COLUMN, _ROW * len(rows) + 0.45)
        figure: Figure = figure_class(figsize=size, layout="constrained")
        grid = figure.subplots(len(rows), len(results), squeeze=False, sharey="row")
        for across, (model, result) in enumerate(results.items()):
            for down, draw in enumerate(rows):
                ax = grid[down, across]
                draw(result, ax=ax)
                letter = _LETTERS[down * len(results) + across]
                ax.set_title(f"{letter}  {model}" if down == 0 else letter, loc="left", fontsize=8.5)
                handles = ax.get_legend().legend_handles
                if len(names) == 1 or down > 0:  # one legend for all, or one per model where their runs differ
                    ax.get_legend().remove()
                if across:
                    ax.set_ylabel("")
                if down + 1 < len(rows):
                    ax.set_xlabel("")
        if len(names) == 1:
            figure.legend(handles=handles, loc="outside upper left", ncols=6, frameon=False, handlelength=1.7)
    return figure
