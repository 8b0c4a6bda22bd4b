"""The tables of a report as plain text or Markdown, in the shape of the paper's Tables 1 and 2."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from redundancy.errors import InvalidInputError
from redundancy.figures.sources import layer_values, plan_rows, profile_groups, profile_rows
from redundancy.interval import text_down, text_up

__all__ = ["DASH", "format_table", "late_entry_table", "profile_table", "validation_table", "vision_exit_table"]

DASH = "\u2013"  # an undefined or unmeasured value
_STYLES = ("plain", "markdown")
Report = Mapping[str, Any]


def format_table(headers: Sequence[str], rows: Iterable[Sequence[str]], *, style: str = "plain", left: int = 1) -> str:
    """Align cells under headers: the first `left` columns to the left, the others to the right.

    Raises
    ------
    InvalidInputError
        For a `style` other than "plain" and "markdown", or rows of unequal length.

    Examples
    --------
    >>> print(format_table(["layer", "D"], [["1", "0.005"], ["10", "0.25"]]))
    layer      D
    -----  -----
    1      0.005
    10      0.25
    """
    if style not in _STYLES:
        raise InvalidInputError(f"need a style among {_STYLES}, got {style!r}")
    clean = [[_one_line(cell) for cell in row] for row in (headers, *rows)]
    if any(len(row) != len(headers) for row in clean):
        raise InvalidInputError(
            f"need {len(headers)} cells in every row, one for each header, got a row of another length"
        )
    if style == "markdown":
        clean = [[cell.replace("\\", "\\\\").replace("|", "\\|") for cell in row] for row in clean]
    widths = [max(3, *(len(row[k]) for row in clean)) for k in range(len(headers))]
    lines = [
        [
            cell.ljust(width) if k < left else cell.rjust(width)
            for k, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        for row in clean
    ]
    if style == "plain":
        lines.insert(1, ["-" * width for width in widths])
        return "\n".join("  ".join(line).rstrip() for line in lines)
    lines.insert(1, ["-" * width if k < left else "-" * (width - 1) + ":" for k, width in enumerate(widths)])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def profile_table(report: Report, *, groups: Sequence[str] = ("vision", "text"), style: str = "plain") -> str:
    """The redundancy profile: a row per layer; distance, certified bound and proximity per group, VAR.

    Parameters
    ----------
    report : mapping
        A report of schema ``skip-it/report/1``.
    groups : sequence of str, default=("vision", "text")
        Token groups to show; those the report lacks are left out.
    style : {"plain", "markdown"}, default="plain"

    Returns
    -------
    str
        Without a trailing newline. Undefined values are a dash.
    """
    shown = [group for group in groups if group in profile_groups(report)]
    by_group = {group: {row["layer"]: row for row in profile_rows(report, group)} for group in shown}
    attention = {name: layer_values(report, name) for name in ("var_mean", "var_text_max")}
    if not attention["var_mean"]:
        attention = {"var": layer_values(report, "var")}
    titles = {"var": "VAR (sum)", "var_mean": "VAR", "var_text_max": "VAR text max"}
    headers = ["layer"]
    for group in shown:
        headers += [f"D {group}", "certified", "P[D<.05]", "norm"]
    headers += [titles[name] for name in attention]
    rows = []
    for layer in sorted({layer for table in by_group.values() for layer in table}):
        cells = [str(layer)]
        for group in shown:
            row = by_group[group].get(layer, {})
            upper = row.get("distance_upper")
            cells += [
                _distance(row.get("mean_distance")),
                DASH if upper is None else "≤ " + _upper(upper),
                _fixed(row.get("fraction_below_0.05")),
                _significant(row.get("mean_norm")),
            ]
        cells += [_fixed(values.get(layer)) for values in attention.values()]
        rows.append(cells)
    return format_table(headers, rows, style=style)


def validation_table(report: Report, *, section: str = "late_entry", style: str = "plain") -> str:
    """What really skipping did: a row per plan with accuracy, its change, agreement and speed.

    Parameters
    ----------
    report : mapping
        A report of schema ``skip-it/report/1``.
    section : {"late_entry", "vision_exit", "other_plans"}, default="late_entry"
    style : {"plain", "markdown"}, default="plain"

    Returns
    -------
    str
        Without a trailing newline. Undefined values are a dash.

    Raises
    ------
    InvalidInputError
        For another section or style.
    """
    if section not in ("late_entry", "vision_exit", "other_plans"):
        raise InvalidInputError(f"need section late_entry, vision_exit or other_plans, got {section!r}")
    rows = list(report.get(section) or ()) if section == "other_plans" else plan_rows(report, section)
    first = "plan" if section == "other_plans" else "layer"
    headers = [
        first,
        "accuracy",
        "interval",
        "change",
        "interval",
        "agreement",
        "prefill \u00d7",
        "FLOPs \u00d7",
        "KV share",
    ]
    cells = [
        [
            str(row.get(first, DASH)),
            _fixed(row.get("accuracy")),
            _ends(row.get("accuracy_interval")),
            _points(row.get("accuracy_change")),
            _ends(row.get("accuracy_change_interval"), points=True),
            _fixed(row.get("agreement")),
            _fixed(row.get("prefill_speedup"), 2),
            _fixed(row.get("flop_speedup"), 2),
            _fixed(row.get("kv_share"), 2),
        ]
        for row in rows
    ]
    return format_table(headers, cells, style=style)


def late_entry_table(report: Report, *, layers: Sequence[int] | None = None, style: str = "plain") -> str:
    """The paper's Table 1: vision distance, vision proximity and accuracy of late entry, a column per layer.

    Parameters
    ----------
    report : mapping
        A report of schema ``skip-it/report/1``.
    layers : sequence of int, optional
        The columns, in 0..L, 0 for the unmodified model; all measured ones by default.
    style : {"plain", "markdown"}, default="plain"

    Returns
    -------
    str
        Without a trailing newline. Undefined values are a dash.

    Raises
    ------
    InvalidInputError
        For a layer that was not measured, or another style.
    """
    return _paper_table(report, "late_entry", ("vision",), layers, style)


def vision_exit_table(report: Report, *, layers: Sequence[int] | None = None, style: str = "plain") -> str:
    """The paper's Table 2: vision and text distance and proximity, accuracy of vision exit, a column per layer.

    Parameters
    ----------
    report : mapping
        A report of schema ``skip-it/report/1``.
    layers : sequence of int, optional
        The columns, in 0..L, L for the unmodified model; all measured ones by default.
    style : {"plain", "markdown"}, default="plain"

    Returns
    -------
    str
        Without a trailing newline. Undefined values are a dash.

    Raises
    ------
    InvalidInputError
        For a layer that was not measured, or another style.
    """
    return _paper_table(report, "vision_exit", ("vision", "text"), layers, style)


def _paper_table(report: Report, section: str, groups: Sequence[str], layers: Sequence[int] | None, style: str) -> str:
    plans = {row["layer"]: row for row in plan_rows(report, section)}
    columns = sorted(plans) if layers is None else list(layers)
    missing = [layer for layer in columns if layer not in plans]
    if missing:
        raise InvalidInputError(f"need layers measured in {section}, got {missing}; measured are {sorted(plans)}")
    tables = {group: {row["layer"]: row for row in profile_rows(report, group)} for group in groups}
    symbols = {"vision": "V", "text": "T"}
    rows = []
    for title, field, show in (
        ("\u03c1({0}ₗ, {0}ₗ₋₁)", "mean_distance", _distance),
        ("P[D_{0} < 0.05]", "fraction_below_0.05", _fixed),
    ):
        for group in groups:
            values = [tables[group].get(layer, {}).get(field) for layer in columns]
            rows.append([title.format(symbols[group]), *map(show, values)])
    rows.append(["accuracy", *(_fixed(plans[layer].get("accuracy")) for layer in columns)])
    return format_table(["metric", *map(str, columns)], rows, style=style)


def _fixed(value: float | None, digits: int = 3) -> str:
    return DASH if value is None else f"{value:.{digits}f}"


def _significant(value: float | None) -> str:
    return DASH if value is None else f"{value:.3g}"


def _distance(value: float | None) -> str:
    """Three decimals, or two significant digits below 0.001, so that a tiny distance is not shown as 0."""
    if value is None:
        return DASH
    return f"{value:.2g}" if 0 < value < 0.001 else f"{value:.3f}"


def _upper(value: float) -> str:
    """The same for an upper bound, rounded up."""
    return text_up(value, 2) if 0 < value < 0.001 else text_up(value, decimals=3)


def _points(value: float | None) -> str:
    return DASH if value is None else f"{100 * value:+.1f} pp"


def _ends(ends: Sequence[float] | None, *, points: bool = False) -> str:
    if ends is None:
        return DASH
    lower, upper = ends
    if points:
        return f"[{text_down(100 * lower, decimals=1, sign=True)}, {text_up(100 * upper, decimals=1, sign=True)}]"
    return f"[{text_down(lower, decimals=3)}, {text_up(upper, decimals=3)}]"


def _one_line(cell: str) -> str:
    return " ".join(cell.split())
