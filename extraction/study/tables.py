"""Sweeps in the shape of the paper's Tables 1 and 2: tidy records, and their CSV, Markdown and LaTeX."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from extraction.skip.plan import Plan
from extraction.study.evaluation import PlanEvaluation
from extraction.study.sweeps import depth_in_sweep
from redundancy.checks import check_real
from redundancy.errors import InvalidInputError
from redundancy.files.tabular import Tabular, latex_text
from redundancy.interval import text_down, text_up
from redundancy.report.tables import DASH, format_table
from redundancy.statistics.harvest_statistics import HarvestStatistics

__all__ = ["SweepTable"]

_THRESHOLD = 0.05
_NUMBERS = {1: ("late_entry",), 2: ("vision_exit", "text_exit", "logit_exit")}
_METRICS = {
    "mean_cosine_distance_vision": ("\u03c1(V_l, V_l-1)", r"$\rho(V_\ell, V_{\ell-1})$"),
    "mean_cosine_distance_text": ("\u03c1(T_l, T_l-1)", r"$\rho(T_\ell, T_{\ell-1})$"),
    "fraction_below_0.05_vision": ("P[D_V < 0.05]", r"$\mathbb{P}[D_V < 0.05]$"),
    "fraction_below_0.05_text": ("P[D_T < 0.05]", r"$\mathbb{P}[D_T < 0.05]$"),
    "accuracy": ("Accuracy", "Accuracy"),
    "accuracy_interval": ("Accuracy, interval", "Accuracy, interval"),
    "agreement": ("Agreement", "Agreement"),
    "agreement_interval": ("Agreement, interval", "Agreement, interval"),
}
_ALL = "All"


@dataclass(frozen=True, slots=True)
class SweepTable(Tabular):
    """Records of layers, one per sweep, task, model and layer.

    Parameters
    ----------
    records : tuple of dict
        With at least table (1 or 2), plan, task, model and layer. Distances, shares and accuracies are in the columns
        that the paper's tables have; what is None or missing is a dash.
    """

    drawn_by = "speed_accuracy"
    records: tuple[dict[str, Any], ...]

    @classmethod
    def of(
        cls,
        model: str,
        evaluations: Sequence[PlanEvaluation],
        *,
        n_layers: int,
        statistics: HarvestStatistics | None = None,
        tasks: Mapping[str, str] | None = None,
        confidence_level: float = 0.95,
    ) -> SweepTable:
        """Join what plans did with the distances of the layers they name.

        Parameters
        ----------
        model : str
            Name in the head of the columns.
        evaluations : sequence of PlanEvaluation
            Of the plans of one or more sweeps, see `sweep_plans`; others are left out.
        n_layers : int
            Decoder layers.
        statistics : HarvestStatistics, optional
            Of a superset of the samples; without it distances are None. Layer l is the pair (h_{l-1}, h_l).
        tasks : mapping of sample id to task, optional
            Rows of the table; samples of every task together come first. One task is a row of its own.
        confidence_level : float
            Of each interval taken alone.

        Raises
        ------
        InvalidInputError
            If no plan is of a sweep, or the statistics lack a sample.
        """
        check_real(confidence_level, "confidence_level", lower=0.0, upper=1.0, open_ends=True)
        places = [(e, depth_in_sweep(e.plan, n_layers)) for e in evaluations]
        run = {name for e, found in places if e.plan != Plan() for name, _ in found}
        placed = [(name, depth, e) for e, found in places for name, depth in found if name in run]
        if not placed:
            raise InvalidInputError("need plans of a sweep (late entry, vision exit at some layer), got none")
        groups = _tasks(evaluations[0].sample_ids, tasks or {})
        distances = {task: _distances(statistics, ids) for task, ids in groups.items()}
        records = []
        for name, depth, evaluation in placed:
            for task, ids in groups.items():
                part = evaluation.part(set(ids)).to_record(confidence_level)
                records.append(
                    {
                        "table": 1 if name == "late_entry" else 2,
                        "sweep": name,
                        "plan": str(evaluation.plan),
                        "task": task,
                        "model": model,
                        "layer": depth,
                        **_at(distances[task], depth),
                        **{k: v for k, v in part.items() if k != "plan"},
                        "confidence_level": confidence_level,
                    }
                )
        return cls(tuple(records))

    def __add__(self, other: SweepTable) -> SweepTable:
        """Rows of several runs: models side by side, tasks below each other."""
        return SweepTable((*self.records, *other.records)) if isinstance(other, SweepTable) else NotImplemented

    @property
    def numbers(self) -> tuple[int, ...]:
        """The paper's tables that there are records of."""
        return tuple(n for n in (1, 2) if any(r["table"] == n for r in self.records))

    def to_records(self) -> list[dict[str, Any]]:
        """Tidy rows, one per sweep, task, model and layer."""
        return [dict(record) for record in self.records]

    def to_markdown(self, number: int = 1, *, layers: Sequence[int] | None = None, sweep: str | None = None) -> str:
        """Table 1 (late entry) or 2 (early exit): a row per task and metric, a column per model and layer.

        Parameters
        ----------
        number : {1, 2}
        layers : sequence of int, optional
            Columns; all by default.
        sweep : str, optional
            Which of several early exits; the first by default.
        """
        columns, body = self._grid(number, layers, sweep)
        several = len({model for model, _ in columns}) > 1
        heads = [f"{model}, {layer}" if several else str(layer) for model, layer in columns]
        rows = [[task, _METRICS[metric][0], *map(_cell, cells)] for task, metric, cells in body]
        return format_table(["task", "metric", *heads], rows, style="markdown", left=2)

    def to_latex(self, number: int = 1, *, layers: Sequence[int] | None = None, sweep: str | None = None) -> str:
        """The same as a booktabs tabular; needs the packages booktabs, multirow and amssymb."""
        columns, body = self._grid(number, layers, sweep)
        models = list(dict.fromkeys(model for model, _ in columns))
        widths = [sum(m == model for m, _ in columns) for model in models]
        heads = [rf"\multicolumn{{{n}}}{{c}}{{{latex_text(m)}}}" for m, n in zip(models, widths, strict=True)]
        start, rules = 3, []
        for width in widths:
            rules.append(rf"\cmidrule(lr){{{start}-{start + width - 1}}}")
            start += width
        lines = [
            rf"\begin{{tabular}}{{ll{'r' * len(columns)}}}",
            r"\toprule",
            " & ".join(["Task", "Metric", *heads]) + r" \\",
            " ".join(rules),
            " & ".join(["", "", *(str(layer) for _, layer in columns)]) + r" \\",
        ]
        before = None
        for task, metric, cells in body:
            height = sum(t == task for t, _, _ in body)
            first = rf"\multirow{{{height}}}{{*}}{{{latex_text(task)}}}" if task != before else ""
            if task != before:
                lines.append(r"\midrule")
            before = task
            lines.append(" & ".join([first, _METRICS[metric][1], *(_cell(c, dash="--") for c in cells)]) + r" \\")
        return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"])

    def _grid(
        self, number: int, layers: Sequence[int] | None, sweep: str | None
    ) -> tuple[list[tuple[str, int]], list[tuple[str, str, list[Any]]]]:
        """Columns (model, layer), and rows (task, metric, values)."""
        if number not in _NUMBERS:
            raise InvalidInputError(f"need table 1 (late entry) or 2 (early exit), got {number!r}")
        found = [r for r in self.records if r["table"] == number]
        names = list(dict.fromkeys(r.get("sweep") for r in found))
        if sweep is not None or len(names) > 1:
            found = [r for r in found if r.get("sweep") == (sweep or names[0])]
        if layers is not None:
            found = [r for r in found if r["layer"] in layers]
        if not found:
            raise InvalidInputError(
                f"need records of table {number}, {sweep or 'any sweep'}, layers {layers or 'all'}, got none of "
                f"{len(self.records)}"
            )
        cells: dict[tuple[str, str, int], Mapping[str, Any]] = {}
        for record in found:
            key = (record["task"], record["model"], record["layer"])
            if key in cells:
                raise InvalidInputError(f"need each task, model and layer once, {key} comes twice; keep one run")
            cells[key] = record
        models = list(dict.fromkeys(r["model"] for r in found))
        columns = [(m, layer) for m in models for layer in sorted({r["layer"] for r in found if r["model"] == m})]
        measured = "agreement" if all(r.get("accuracy") is None for r in found) else "accuracy"
        wanted = ["mean_cosine_distance_vision", "fraction_below_0.05_vision"]
        if number == 2:
            wanted = [f"{name}_{group}" for name in (wanted[0][:-7], wanted[1][:-7]) for group in ("vision", "text")]
        wanted.append(measured)
        if any(r.get(f"{measured}_interval") is not None for r in found):
            wanted.append(f"{measured}_interval")
        body = [
            (task, metric, [cells.get((task, *column), {}).get(metric) for column in columns])
            for task in dict.fromkeys(r["task"] for r in found)
            for metric in wanted
        ]
        return columns, body


def _tasks(sample_ids: Iterable[str], tasks: Mapping[str, str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {_ALL: list(sample_ids)}
    for sample_id in groups[_ALL]:
        if tasks.get(sample_id):
            groups.setdefault(tasks[sample_id], []).append(sample_id)
    if len(groups) == 2 and len(groups[task := list(groups)[1]]) == len(groups[_ALL]):
        return {task: groups[task]}
    return groups


def _distances(statistics: HarvestStatistics | None, sample_ids: Sequence[str]) -> dict[str, Any]:
    """Token-pooled columns over layers 1..L for these samples; the text group is all that is not vision."""
    if statistics is None:
        return {}
    place = {name: i for i, name in enumerate(statistics.sample_ids)}
    missing = [name for name in sample_ids if name not in place]
    if missing:
        raise InvalidInputError(
            f"need statistics of every sample of the sweep, {missing[0]!r} is missing and {len(missing) - 1} more; "
            "harvest the same data"
        )
    rows = [place[name] for name in sample_ids]
    columns = {}
    for group in ("vision", "text"):
        pairs = statistics.pair_counts(group)[rows].sum(axis=0)
        known = pairs > 0
        for name, sums in (
            ("mean_cosine_distance", statistics.distance_sums(group)[rows].sum(axis=0)),
            ("fraction_below_0.05", pairs - statistics.tail_counts(group, _THRESHOLD, strict=False)[rows].sum(axis=0)),
        ):
            columns[f"{name}_{group}"] = np.where(known, sums / np.maximum(pairs, 1), np.nan)
    return columns


def _at(columns: Mapping[str, Any], depth: int) -> dict[str, float | None]:
    """Values of layer `depth`, None at layer 0, which is the unmodified model and no pair."""
    names = [name for name in _METRICS if name.startswith(("mean_cosine", "fraction"))]
    values = {name: columns[name][depth - 1] if name in columns and depth > 0 else np.nan for name in names}
    return {name: None if np.isnan(value) else float(value) for name, value in values.items()}


def _cell(value: Any, *, dash: str = DASH) -> str:
    if value is None:
        return dash
    if isinstance(value, (tuple, list)):
        return f"[{text_down(value[0], decimals=3)}, {text_up(value[1], decimals=3)}]"
    return f"{value:.2g}" if 0.0 < value < 0.001 else f"{value:.3f}"
