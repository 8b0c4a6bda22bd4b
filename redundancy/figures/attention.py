"""Figure of how much the text attends to the image, layer by layer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from redundancy.errors import InvalidInputError
from redundancy.figures import style
from redundancy.figures.sources import Report, as_reports, layer_values
from redundancy.figures.style import INK, OKABE_ITO, Series, marked_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["attention_per_layer"]


def attention_per_layer(source: Any, *, ax: Axes | None = None) -> Axes:
    """Attention on image tokens: VAR of the answer token (Figure 3) and of all text queries.

    Means over heads, hence in [0, 1], or the sum over heads of equation 3 if only that is given. With
    several named runs, as in the paper's figure: the answer token, one line per run.

    Parameters
    ----------
    source : report, HarvestStatistics or profile records; or a mapping of names to these
    ax : matplotlib Axes, optional

    Returns
    -------
    Axes
        VAR against layer 1..L.

    Raises
    ------
    InvalidInputError
        If no layer has a VAR; or if only some of several runs have its mean over heads.
    """
    runs = as_reports(source)
    ax = style.new_axes(ax)
    with style.style_context():
        layers = _attention_of_runs(ax, runs) if len(runs) > 1 else _attention_of_one(ax, next(iter(runs.values())))
        style.layer_axis(ax, layers, "layer")
        ax.set_ylabel("attention on image tokens (VAR)")
        ax.set_ylim(bottom=0.0)
        style.polish(ax)
        style.legend_above(ax, columns=3)
    return ax


def _attention_of_one(ax: Axes, report: Report) -> range:
    fields = {
        "var_mean": ("answer token", Series(INK, "o")),
        "var_text_mean": ("text, mean", Series(OKABE_ITO["green"], "s")),
        "var_text_max": ("text, maximum", Series(OKABE_ITO["green"], "^", "--")),
    }
    if not layer_values(report, "var_mean"):
        fields = {"var": ("answer token, sum over heads", Series(INK, "o"))}
    lines = [(layer_values(report, name), *look) for name, look in fields.items()]
    lines = [line for line in lines if line[0]]
    if not lines:
        raise InvalidInputError("need profile rows with var or var_mean to draw attention, got none; harvest with VAR")
    layers = range(1, report["model"]["n_layers"] + 1)
    for values, name, look in lines:
        # A layer without a value leaves a gap: nothing is drawn across it.
        marked_line(ax, layers, [values.get(layer, math.nan) for layer in layers], name, look)
    return layers


def _attention_of_runs(ax: Axes, runs: Mapping[str, Report]) -> range:
    field = "var_mean" if any(layer_values(run, "var_mean") for run in runs.values()) else "var"
    lacking = [name for name, run in runs.items() if not layer_values(run, field)]
    if lacking:
        raise InvalidInputError(f"need profile rows with {field} in every run, {lacking[0]!r} has none; leave it out")
    layers = range(1, max(run["model"]["n_layers"] for run in runs.values()) + 1)
    for index, (name, run) in enumerate(runs.items()):
        values = layer_values(run, field)
        own = range(1, run["model"]["n_layers"] + 1)
        marked_line(ax, own, [values.get(layer, math.nan) for layer in own], name, style.run_series(index))
    return layers
