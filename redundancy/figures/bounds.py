"""Figures of bounds: how tight they are, how often they hold, and what they certify layer by layer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from redundancy.checks import check_real
from redundancy.errors import InvalidInputError
from redundancy.figures import style
from redundancy.figures.sources import as_report
from redundancy.figures.style import INK, MUTED, OKABE_ITO, PAPER, RULE, Series
from redundancy.files.tabular import flat_rows
from redundancy.units import unit_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["bound_tightness", "certificate_intervals", "interval_coverage", "intervals"]

_PROVEN = ("P", "C")
_ENDS = {"certified": Series(OKABE_ITO["blue"], "o"), "assumed": Series(OKABE_ITO["vermillion"], "s")}
_NAMES = {"mean_distance": "mean cosine distance", "tail_prob": "P(distance > t)"}


def bound_tightness(
    records: Sequence[Mapping[str, Any]], *, side: str = "upper", unit: str = "", ax: Axes | None = None
) -> Axes:
    """Bound against truth: on the diagonal a bound is attained, across it it would be wrong.

    Parameters
    ----------
    records : sequence of mapping
        With `truth` and `bound`, finite numbers, and perhaps `series`, a name that tells points apart.
    side : {"upper", "lower"}, default="upper"
        What the bounds are; the impossible side of the diagonal is shaded, and points in it are drawn as
        crosses and counted in the legend.
    unit : str, default=""
        Of both axes, as "bits".
    ax : matplotlib Axes, optional

    Returns
    -------
    Axes
        Bound against truth, both in `unit`, on equal scales.

    Raises
    ------
    InvalidInputError
        If there are no records, one lacks a number, or `side` is another word.
    """
    if side not in ("upper", "lower"):
        raise InvalidInputError(f"need side upper or lower, got {side!r}")
    if not records:
        raise InvalidInputError("need records with truth and bound, got none; evaluate the bound on known laws first")
    pairs: dict[str, list[tuple[float, float]]] = {}
    for index, row in enumerate(records):
        point = tuple(check_real(row.get(k), f"records[{index}].{k}") for k in ("truth", "bound"))
        pairs.setdefault(str(row.get("series", "bound")), []).append((point[0], point[1]))
    ax = style.new_axes(ax, height=3.0)
    every = [value for points in pairs.values() for point in points for value in point]
    lower, upper = min(every), max(every)
    margin = 0.04 * (upper - lower or 1.0)
    ends = (lower - margin, upper + margin)
    wrong: list[tuple[float, float]] = []
    with style.style_context():
        # Not "below the line is impossible" in words: shading needs no second glance at which axis is which.
        ax.fill_between(ends, ends, ends[0] if side == "upper" else ends[1], color=MUTED, alpha=0.12, linewidth=0)
        ax.plot(ends, ends, color=MUTED, linewidth=0.8, zorder=1)
        for index, (name, points) in enumerate(pairs.items()):
            look = style.run_series(index)
            broken = [(t, b) for t, b in points if (b < t if side == "upper" else b > t)]
            wrong += broken
            sound = [point for point in points if point not in broken]
            mark: dict[str, Any] = {"markersize": 3.6, "markerfacecolor": "none", "markeredgewidth": 0.9}
            mark["linestyle"] = "none"
            xs, ys = [t for t, _ in sound], [b for _, b in sound]
            line = ax.plot(xs, ys, marker=look.marker, color=look.color, label=name, zorder=2, **mark)[0]
            line.set_gid(style.hover_id(name))
        if wrong:
            cross: dict[str, Any] = {"marker": "x", "markersize": 5, "markeredgewidth": 1.2, "linestyle": "none"}
            xs, ys = [t for t, _ in wrong], [b for _, b in wrong]
            line = ax.plot(xs, ys, color=OKABE_ITO["vermillion"], label=f"broken ({len(wrong)})", zorder=3, **cross)[0]
            line.set_gid("hover-broken")
        ax.set_xlim(ends)
        ax.set_ylim(ends)
        ax.set_aspect("equal")
        suffix = f" ({unit})" if unit else ""
        ax.set_xlabel("exact value" + suffix)
        ax.set_ylabel(f"{side} bound" + suffix)
        style.polish(ax, grid=False)
        style.legend_above(ax)
    return ax


def interval_coverage(
    source: Mapping[str, Any] | Sequence[Mapping[str, Any]],
    *,
    series: str = "bound",
    offered: bool | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Share of repeats in which an interval held the truth, against the sample size, beside its nominal level.

    Parameters
    ----------
    source : mapping or sequence of mapping
        The JSON that `examples/simulations/coverage.py` writes, or rows with n, coverage, nominal, perhaps
        error (one standard error of the repeats) and the field named by `series`.
    series : str, default="bound"
        Field that names the rows' kinds; the worst row of each kind and n is drawn.
    offered : bool, optional
        Draw only rows whose `offered` is this.
    ax : matplotlib Axes, optional

    Returns
    -------
    Axes
        Coverage in [0, 1] against the number of images.

    Raises
    ------
    InvalidInputError
        If there are no rows, a row lacks a number, or rows have different nominal levels.
    """
    rows = list(source["rows"] if isinstance(source, Mapping) and "rows" in source else source)
    rows = [row for row in rows if offered is None or row.get("offered") is offered]
    if not rows or not all(isinstance(row, Mapping) for row in rows):
        raise InvalidInputError("need rows with n, coverage and nominal, got none; run the coverage simulation first")
    levels = {row.get("nominal") for row in rows}
    if len(levels) != 1:
        raise InvalidInputError(f"need rows of one nominal level, got {sorted(map(str, levels))}; draw each by itself")
    nominal = check_real(levels.pop(), "nominal", lower=0.0, upper=1.0)
    worst: dict[str, dict[float, tuple[float, float]]] = {}
    for index, row in enumerate(rows):
        n = check_real(row.get("n"), f"rows[{index}].n", lower=1.0)
        coverage = check_real(row.get("coverage"), f"rows[{index}].coverage", lower=0.0, upper=1.0)
        kind = worst.setdefault(str(row.get(series, "interval")), {})
        if n not in kind or coverage < kind[n][0]:
            kind[n] = (coverage, float(row.get("error") or 0.0))
    sizes = sorted({n for kind in worst.values() for n in kind})
    ax = style.new_axes(ax, height=2.9)
    with style.style_context():
        ax.axhline(nominal, color=MUTED, linewidth=0.9, label=f"nominal {nominal:g}")
        for index, (name, kind) in enumerate(worst.items()):
            look = style.run_series(index)
            places = [sizes.index(n) + 0.09 * (index - (len(worst) - 1) / 2) for n in sorted(kind)]
            values = [kind[n] for n in sorted(kind)]
            for place, (coverage, error) in zip(places, values, strict=True):
                ax.plot([place] * 2, [coverage - 2 * error, coverage + 2 * error], color=look.color, linewidth=0.9)
            style.marked_line(ax, places, [coverage for coverage, _ in values], name, look).set_linewidth(0.8)
        ax.set_xticks(range(len(sizes)), [f"{n:g}" for n in sizes])
        ax.set_xlim(-0.5, len(sizes) - 0.5)
        ax.set_xlabel("images in the sample")
        ax.set_ylabel("coverage, worst law\n(bars: \u00b12 standard errors)")
        style.polish(ax)
        style.legend_above(ax, columns=2 if len(worst) > 2 else 3)
    return ax


def certificate_intervals(
    source: Any, *, quantity: str = "mean_distance", groups: Sequence[str] = ("vision", "text"), ax: Axes | None = None
) -> Axes:
    """What is certified of a quantity layer by layer: the interval of the best bounds, an arrow-free bar per layer.

    Certified ends (P or C) are solid; ends that rest on assumptions that no data can verify (A) are hollow.
    Vacuous statements are not drawn; a layer with nothing but them shows no bar, which is no evidence
    against redundancy, as a low bar is none that the layer is safe to skip.

    Parameters
    ----------
    source : ProfileCertificate or report
    quantity : str, default="mean_distance"
        As statements name it: mean_distance, tail_prob, functional_gap, conditional_entropy, ...
    groups : sequence of str, default=("vision", "text")
    ax : matplotlib Axes, optional

    Returns
    -------
    Axes
        Intervals of the quantity, in its own unit, against layer 1..L.

    Raises
    ------
    InvalidInputError
        If no statement about the quantity says anything.
    """
    report = as_report(source)
    found: dict[str, dict[int, dict[str, tuple[float, float]]]] = {}
    bases = set()
    for certificate in report["certificates"]:
        layer, group = certificate.get("layer"), certificate.get("group")
        if layer is None or group not in groups:
            continue
        for kind, evidence in (("certified", _PROVEN), ("assumed", ("A",))):
            own = [s for s in certificate["statements"] if s["quantity"] == quantity and s["evidence"][:1] in evidence]
            useful = [s for s in own if not s.get("vacuous")]
            lower = max((s["lower"] for s in useful if s.get("lower") is not None), default=-math.inf)
            upper = min((s["upper"] for s in useful if s.get("upper") is not None), default=math.inf)
            if useful and math.isfinite(upper):
                bases |= {s["base"] for s in useful if s.get("base")}
                found.setdefault(str(group), {}).setdefault(layer, {})[kind] = (max(lower, 0.0), upper)
    if not found:
        known = sorted({s["quantity"] for c in report["certificates"] for s in c["statements"]})
        raise InvalidInputError(
            f"need a certificate of {quantity} that is not vacuous for one of {tuple(groups)}, got none "
            f"(there are {known}); certify it first, or take another quantity"
        )
    ax = style.new_axes(ax)
    values: list[float] = []
    with style.style_context():
        for shift, (group, layers) in enumerate(found.items()):
            look = (Series(OKABE_ITO["blue"], "o"), Series(OKABE_ITO["vermillion"], "s"))[shift % 2]
            for kind in _ENDS:
                own_ends = [(layer, ends[kind]) for layer, ends in sorted(layers.items()) if kind in ends]
                if not own_ends:
                    continue
                places = [layer + 0.24 * (shift - (len(found) - 1) / 2) for layer, _ in own_ends]
                for place, (_, (lower, upper)) in zip(places, own_ends, strict=True):
                    dash = "-" if kind == "certified" else ":"
                    ax.plot([place] * 2, [lower, upper], color=look.color, linewidth=1.6, linestyle=dash)
                uppers = [upper for _, (_, upper) in own_ends]
                values += uppers
                face = look.color if kind == "certified" else PAPER
                line = ax.plot(
                    places,
                    uppers,
                    marker=look.marker,
                    linestyle="none",
                    color=look.color,
                    markerfacecolor=face,
                    markersize=4.0,
                    label=f"{group}, {kind} at most",
                )[0]
                line.set_gid(style.hover_id(f"{group}-{kind}"))
        style.layer_axis(ax, range(1, report["model"]["n_layers"] + 1), "layer")
        unit = f" ({unit_name(bases.pop())})" if len(bases) == 1 else ""
        ax.set_ylabel(_NAMES.get(quantity, quantity.replace("_", " ")) + unit)
        ax.set_ylim(0.0, max(values) * 1.06)
        ax.yaxis.label.set_color(INK)
        style.polish(ax)
        style.legend_above(ax)
    return ax


def intervals(source: Any, *, ax: Axes | None = None) -> Axes:
    """Every interval of a result, one above the other: blue where it is certified, orange where not.

    Parameters
    ----------
    source : a result, or a sequence of its records
        Of records, each pair of finite numbers under names that end in "lower" and "upper" is drawn, with the number
        under the name before that ending, or "estimate" or "value", as its mark; "epsilon" is drawn as a line.
    ax : matplotlib Axes, optional

    Returns
    -------
    Axes
        Values against the names of the intervals, the first on top. Of two units ("unit" in the records) the first
        has its scale above.

    Raises
    ------
    InvalidInputError
        If there is no interval with finite ends.
    """
    rows = flat_rows(source if isinstance(source, Sequence) else source.to_records())
    drawn = [bar for row in rows if not row.get("vacuous") for bar in _bars(row)]
    if not drawn:
        raise InvalidInputError("need an interval with finite ends to draw, got none; every bound here is vacuous")
    ax = style.new_axes(ax, height=max(1.2, 0.55 + 0.19 * len(drawn)))
    limits = {row["epsilon"] for row in rows if row.get("epsilon") is not None}
    with style.style_context():
        units = list(dict.fromkeys(bar.unit for bar in drawn))
        scales = dict.fromkeys(units, ax)
        if len(units) == 2:  # the first unit has its scale above
            scales[units[0]] = ax.twiny()
        for place, bar in enumerate(drawn):
            own, look = scales[bar.unit], _ENDS["certified" if bar.is_proven else "assumed"]
            own.plot([bar.lower, bar.upper], [place] * 2, color=look.color, linewidth=1.6, marker="|", markersize=5)
            if bar.middle is not None:
                mark: dict[str, Any] = {"marker": look.marker, "color": look.color, "markersize": 4.0}
                own.plot([bar.middle], [place], markerfacecolor=look.color if bar.is_proven else PAPER, **mark)
        for limit in sorted(limits):
            ax.axvline(limit, color=MUTED, linewidth=0.9, linestyle="--")
        ax.set_ylim(len(drawn) - 0.4, -0.6)
        ax.set_yticks(range(len(drawn)), [bar.label for bar in drawn])
        ax.set_xlabel(f"{units[-1] or 'value'}{', dashed: the tolerance' if limits else ''}")
        style.polish(ax, grid=False)
        if len(units) == 2:
            above = scales[units[0]]
            above.set_xlabel(units[0] or "distance, share or gap")
            style.polish(above, grid=False)
            above.spines["top"].set_visible(True)
            ax.axhline([bar.unit for bar in drawn].index(units[-1]) - 0.5, color=RULE, linewidth=0.7)
        ax.tick_params(axis="y", length=0)
    return ax


_TITLES = ("plan", "name", "task", "group", "layer", "notion", "quantity", "theorem")


class _Bar(NamedTuple):
    """One interval of a result."""

    label: str
    lower: float
    upper: float
    middle: float | None
    is_proven: bool
    unit: str


def _bars(row: Mapping[str, Any]) -> list[_Bar]:
    """The intervals of a flat row."""
    title = ", ".join(str(row[key]).replace("_", " ") for key in _TITLES if row.get(key) not in (None, ""))
    found = []
    for name in row:
        stem = name.removesuffix("lower")
        ends = (row[name], row.get(f"{stem}upper")) if name.endswith("lower") else (None, None)
        if not all(isinstance(end, int | float) and math.isfinite(end) for end in ends):
            continue
        what = stem.removesuffix("_").removesuffix("interval").removesuffix("_")
        own = row.get(what) if what else row.get("estimate", row.get("value"))
        middle = float(own) if isinstance(own, int | float) and math.isfinite(own) else None
        label = ": ".join(filter(None, (title, what.replace("_", " "))))
        is_proven, unit = str(row.get("evidence") or "E")[0] in _PROVEN, str(row.get("unit") or "")
        found.append(_Bar(label or "interval", float(row[name]), float(row[f"{stem}upper"]), middle, is_proven, unit))
    return found
