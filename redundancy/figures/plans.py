"""Figures of the measured plans: accuracy, speed and risk of really skipping."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from redundancy.errors import InvalidInputError
from redundancy.figures import style
from redundancy.figures.sources import PLAN_SECTIONS, Report, as_report, as_reports, plan_rows
from redundancy.figures.style import INK, MUTED, OKABE_ITO, PAPER, Series, marked_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["accuracy_per_layer", "loss_by_cost", "risk_of_plans", "speed_accuracy", "speedup_per_layer"]

PLAN_SERIES = {
    "late_entry": Series(OKABE_ITO["green"], "o"),
    "vision_exit": Series(OKABE_ITO["purple"], "s"),
    "other_plans": Series(OKABE_ITO["orange"], "^"),
}
PLAN_LABELS = {"late_entry": "late entry", "vision_exit": "vision exit", "other_plans": "other plans"}
_FAMILIES = ("late_entry", "vision_exit")
_DEPTH = {"late_entry": "depth of late entry (layers)", "vision_exit": "depth of vision exit (layers)"}


def accuracy_per_layer(source: Any, *, families: Sequence[str] = _FAMILIES, ax: Axes | None = None) -> Axes:
    """Measured accuracy against depth for late entry and vision exit (Figures 10 to 12).

    Parameters
    ----------
    source : report or plan records; or a mapping of names to these
        Of one run error bars are drawn, and horizontal lines for the unmodified model and the accuracies
        reached without the image. Of several runs (models or data sets): colour and marker tell the run, a
        dashed line with hollow markers the second family.
    families : sequence of str, default=("late_entry", "vision_exit")
    ax : matplotlib Axes, optional

    Returns
    -------
    Axes
        Accuracy in [0, 1] against depth 0..L.

    Raises
    ------
    InvalidInputError
        If no row has an accuracy.
    """
    if unknown := set(families) - set(_FAMILIES):
        raise InvalidInputError(f"need families among {_FAMILIES}, got {sorted(unknown)}")
    runs = as_reports(source)
    found = {
        name: {f: rows for f in families if (rows := [r for r in plan_rows(run, f) if r.get("accuracy") is not None])}
        for name, run in runs.items()
    }
    if not any(found.values()):
        raise InvalidInputError("need late_entry or vision_exit rows with accuracy, got none; validate plans first")
    ax = style.new_axes(ax)
    shown = [f for f in families if any(f in rows for rows in found.values())]
    lines: list[Any]
    with style.style_context():
        if len(runs) > 1:
            lines = _accuracy_of_runs(ax, found, shown)
        else:
            name = next(iter(runs))
            _reference_lines(ax, runs[name])
            for family, rows in found[name].items():
                _accuracy_line(ax, rows, PLAN_LABELS[family], PLAN_SERIES[family])
            # Curves first, then what they are compared with; a legend fills column by column.
            lines = list(ax.get_legend_handles_labels()[0])
            lines.sort(key=lambda line: line.get_color() == MUTED)
        label = _DEPTH[shown[0]] if len(shown) == 1 else "depth of late entry or of vision exit (layers)"
        style.layer_axis(ax, [0, max(run["model"]["n_layers"] for run in runs.values())], label)
        ax.set_ylabel("accuracy")
        ax.set_ylim(0.0, 1.04)
        style.polish(ax)
        style.legend_above(ax, handles=lines, columns=3)
    return ax


def speedup_per_layer(source: Any, *, ax: Axes | None = None) -> Axes:
    """Speed-up against depth: measured (filled) and predicted from FLOPs (hollow, dashed).

    Operation counts are those of the decoder, so they stand beside its measured time where every row has one,
    and beside the whole prefill otherwise. The axis is logarithmic: blind plans are many times as fast.

    Parameters
    ----------
    source : report or plan records
    ax : matplotlib Axes, optional

    Returns
    -------
    Axes
        Speed-up, a ratio of times, against depth 0..L.

    Raises
    ------
    InvalidInputError
        If no row has a speed-up.
    """
    report = as_report(source)
    every = [row for name in _FAMILIES for row in plan_rows(report, name)]
    of_decoder = bool(every) and all(row.get("decoder_speedup") is not None for row in every)
    measured = "decoder_speedup" if of_decoder else "prefill_speedup"
    if not any(row.get(field) is not None for row in every for field in (measured, "flop_speedup")):
        raise InvalidInputError("need prefill_speedup or flop_speedup in some row, got none; time the plans first")
    ax = style.new_axes(ax)
    with style.style_context():
        for name in _FAMILIES:
            look, rows = PLAN_SERIES[name], plan_rows(report, name)
            for field, kind in ((measured, "measured"), ("flop_speedup", "from FLOPs")):
                points = [(row["layer"], row[field]) for row in rows if row.get(field) is not None]
                if points:
                    hollow, label = field == "flop_speedup", f"{PLAN_LABELS[name]}, {kind}"
                    marked_line(ax, [x for x, _ in points], [y for _, y in points], label, look, hollow=hollow)
        ax.axhline(1.0, color=MUTED, linewidth=0.8, zorder=1)
        style.layer_axis(ax, [0, report["model"]["n_layers"]], "depth of late entry or of vision exit (layers)")
        ax.set_yscale("log", base=2)
        ax.yaxis.set_major_formatter("{x:g}")
        ax.set_ylabel(f"{'decoder' if of_decoder else 'prefill'} speed-up (\u00d7)")
        style.polish(ax)
        style.legend_above(ax)
    return ax


def speed_accuracy(source: Any, *, ax: Axes | None = None) -> Axes:
    """Accuracy against speed-up for every plan that was run, with the certified frontier.

    Where rows say which plans are certified (`is_certified`), the others are hollow, and a line joins the
    certified plans that no certified plan beats in both. The chosen plan is ringed.

    Parameters
    ----------
    source : report or plan records
        Measured prefill speed-ups are drawn; without any, those that operation counts predict.
    ax : matplotlib Axes, optional

    Returns
    -------
    Axes
        Accuracy in [0, 1] against the speed-up of the prefill.

    Raises
    ------
    InvalidInputError
        If no plan has both numbers.
    """
    report = as_report(source)
    every = [row for name in PLAN_SECTIONS for row in report.get(name) or ()]
    field = "prefill_speedup"
    if not any(row.get(field) is not None for row in every):
        field = "flop_speedup"
    drawn = {
        name: [r for r in report.get(name) or () if None not in (r.get("accuracy"), r.get(field))]
        for name in PLAN_SECTIONS
    }
    rows = [row for part in drawn.values() for row in part]
    if not rows:
        raise InvalidInputError("need plans with both accuracy and a speed-up, got none; validate and time plans first")
    ax = style.new_axes(ax)
    judged = any(row.get("is_certified") is not None for row in rows)
    with style.style_context():
        if report.get("baseline_accuracy") is not None:
            ax.axhline(report["baseline_accuracy"], color=MUTED, linewidth=0.8, zorder=1)
        for name, look in PLAN_SERIES.items():
            for row in drawn[name]:
                if row.get("accuracy_interval"):
                    x = row[field]
                    ax.plot([x, x], row["accuracy_interval"], color=look.color, linewidth=0.8, alpha=0.4)
            _marks(ax, name, [(r, r[field], r["accuracy"], _is_sure(r) or not judged) for r in drawn[name]])
        frontier = _frontier([(r[field], r["accuracy"]) for r in rows if r.get("is_certified")])
        if frontier:
            ax.plot(*zip(*frontier, strict=True), color=INK, linewidth=1.0, zorder=2.5, label="certified frontier")
        _ring(ax, report, field)
        ax.set_xlabel(f"prefill speed-up, {'measured' if field == 'prefill_speedup' else 'from FLOPs'} (\u00d7)")
        ax.set_ylabel("accuracy")
        ax.set_ylim(0.0, 1.04)
        style.polish(ax)
        style.legend_above(ax, handles=_plan_handles(ax, judged=judged), columns=3)
    return ax


def risk_of_plans(source: Any, *, ax: Axes | None = None) -> Axes:
    """Share of answers each plan loses against its speed-up, beside the tolerated risk, with the certified frontier.

    Filled: certified by risk control at the tolerated risk. Bars reach to upper bounds that hold for all plans at
    once, so another risk may be chosen after looking at them; a line joins the least such bounds, by speed. Reports
    of release 0.1.0 have bounds of single plans, and no line. Where a frontier
    is drawn, speed-ups are measured ones if every plan has one.

    Parameters
    ----------
    source : report or plan records
        With `loss_share`, `flop_speedup`, `is_certified` and perhaps `risk_upper` and `prefill_speedup` in rows.
    ax : matplotlib Axes, optional

    Returns
    -------
    Axes
        Share of answers lost, in [0, 1], against the speed-up.

    Raises
    ------
    InvalidInputError
        If no plan has both numbers.
    """
    report = as_report(source)
    rows = {
        n: [r for r in report.get(n) or () if None not in (r.get("loss_share"), r.get("flop_speedup"))]
        for n in PLAN_SECTIONS
    }
    if not any(rows.values()):
        raise InvalidInputError("need plans with loss_share and flop_speedup, got none; run skip-it select first")
    every = [row for part in rows.values() for row in part]
    bounded = [row for row in every if row.get("risk_upper") is not None]
    measured = bool(bounded) and all(row.get("prefill_speedup") is not None for row in every)
    field = "prefill_speedup" if measured else "flop_speedup"
    risk = (report.get("chosen_plan") or {}).get("risk")
    ax = style.new_axes(ax)
    with style.style_context():
        if risk is not None:
            ax.axhline(risk, color=MUTED, linewidth=0.9, linestyle="--", label="tolerated risk")
        for name, look in PLAN_SERIES.items():
            for row in rows[name]:
                upper = row.get("risk_upper")
                if upper is None and row.get("is_tested") is not False:
                    upper = row.get("loss_upper")
                if upper is not None:
                    ax.plot([row[field]] * 2, [row["loss_share"], upper], color=look.color, linewidth=0.8, alpha=0.4)
            _marks(ax, name, [(r, r[field], r["loss_share"], _is_sure(r)) for r in rows[name]])
        if bounded:
            speeds, uppers = zip(*_frontier([(r[field], -r["risk_upper"]) for r in bounded]), strict=True)
            ax.plot(speeds, [-u for u in uppers], color=INK, linewidth=1.0, zorder=2.5, label="certified frontier")
        ax.set_xlabel(
            f"{'prefill' if measured else 'decoder'} speed-up, {'measured' if measured else 'from FLOPs'} (\u00d7)"
        )
        ax.set_ylabel("share of questions lost")
        ax.set_ylim(bottom=-0.02)
        style.polish(ax)
        style.legend_above(ax, handles=_plan_handles(ax, judged=True), columns=3)
    return ax


def loss_by_cost(source: Any, *, ax: Axes | None = None) -> Axes:
    """Mean loss of each plan against its cost, beside the tolerated risk; filled: certified.

    Parameters
    ----------
    source : RiskControl, PlanChoice, or their records
        With `cost`, `mean_loss`, `is_certified` and `risk` in each row.
    ax : matplotlib Axes, optional

    Returns
    -------
    Axes
        Mean loss, in its own unit, against the declared cost.

    Raises
    ------
    InvalidInputError
        If there is no row.
    """
    rows = list(source) if isinstance(source, Sequence) else source.to_records()
    if not rows:
        raise InvalidInputError("need the tests of a risk control, got none; run control_risk first")
    ax = style.new_axes(ax)
    look = PLAN_SERIES["late_entry"]
    with style.style_context():
        ax.axhline(rows[0]["risk"], color=MUTED, linewidth=0.9, linestyle="--", label="tolerated risk")
        for sure, label in ((True, "certified"), (False, "not certified")):
            own = [row for row in rows if bool(row["is_certified"]) is sure]
            if own:
                mark: dict[str, Any] = {"color": look.color, "markerfacecolor": look.color if sure else PAPER}
                xs, ys = [row["cost"] for row in own], [row["mean_loss"] for row in own]
                ax.plot(xs, ys, marker=look.marker, linestyle="none", label=label, zorder=3, **mark)
        ax.set_xlabel("cost")
        ax.set_ylabel("mean loss")
        style.polish(ax)
        style.legend_above(ax, columns=3)
    return ax


def _is_sure(row: Mapping[str, Any]) -> bool:
    """Certified by risk control, or the unmodified model, which loses nothing by definition."""
    return bool(row.get("is_certified")) or row.get("plan") == "identity"


def _marks(ax: Axes, name: str, points: Sequence[tuple[Mapping[str, Any], float, float, bool]]) -> None:
    """Markers of one family: filled where sure, hollow elsewhere."""
    look = PLAN_SERIES[name]
    for sure in (True, False):
        part = [(x, y) for _, x, y, is_sure in points if is_sure is sure]
        if part:
            mark: dict[str, Any] = {"color": look.color, "markeredgewidth": 0.9, "linestyle": "none"}
            mark["markerfacecolor"] = look.color if sure else PAPER
            label = PLAN_LABELS[name] + ("" if sure else ", not certified")
            xs, ys = [x for x, _ in part], [y for _, y in part]
            line = ax.plot(xs, ys, marker=look.marker, label=label, zorder=3, **mark)[0]
            line.set_gid(f"hover-{name}" + ("" if sure else "-open"))


def _plan_handles(ax: Axes, *, judged: bool) -> list[Any]:
    """A legend entry per family, what filled and hollow mean, and the lines."""
    line2d = style.require("matplotlib.lines").Line2D
    drawn: list[Any] = ax.get_legend_handles_labels()[0]
    families = [n for n in PLAN_SECTIONS if any(str(d.get_label()).startswith(PLAN_LABELS[n]) for d in drawn)]
    handles = [
        line2d([], [], color=PLAN_SERIES[n].color, marker=PLAN_SERIES[n].marker, linestyle="none", label=PLAN_LABELS[n])
        for n in families
    ]
    if judged:
        handles += style.fill_keys(["certified", "not certified"], line=False)
    own = [PLAN_LABELS[n] for n in families]
    return handles + [d for d in drawn if not str(d.get_label()).startswith(tuple(own))]


def _accuracy_line(ax: Axes, rows: Sequence[Mapping[str, Any]], label: str, look: Series, hollow: bool = False) -> None:
    for row in rows:
        if row.get("accuracy_interval"):
            ax.plot([row["layer"]] * 2, row["accuracy_interval"], color=look.color, linewidth=0.9, alpha=0.75)
    marked_line(ax, [row["layer"] for row in rows], [row["accuracy"] for row in rows], label, look, hollow=hollow)


def _accuracy_of_runs(ax: Axes, found: Mapping[str, Any], shown: Sequence[str]) -> list[Any]:
    line2d = style.require("matplotlib.lines").Line2D
    handles = []
    for index, (name, families) in enumerate(found.items()):
        look = style.run_series(index)
        for family, rows in families.items():
            label = f"{name}, {PLAN_LABELS[family]}" if len(shown) > 1 else name
            _accuracy_line(ax, rows, label, look, hollow=family != shown[0])
        handles.append(line2d([], [], color=look.color, marker=look.marker, label=name, markersize=4.5))
    return handles + style.fill_keys([PLAN_LABELS[f] for f in shown])


def _frontier(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Points that no other beats in speed and accuracy, by speed."""
    best: list[tuple[float, float]] = []
    for speed, accuracy in sorted(points, reverse=True):
        if not best or accuracy > best[-1][1]:
            best.append((speed, accuracy))
    return best[::-1]


def _ring(ax: Axes, report: Report, field: str) -> None:
    chosen = report.get("chosen_plan") or {}
    x, y = chosen.get(field), chosen.get("accuracy")
    if x is not None and y is not None:
        ring: dict[str, Any] = {"markersize": 10, "markerfacecolor": "none", "markeredgewidth": 1.4, "color": INK}
        ax.plot([x], [y], "o", label="chosen plan", zorder=4, linestyle="none", **ring)


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
