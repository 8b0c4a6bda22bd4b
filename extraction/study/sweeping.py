"""A sweep over layers beside the layers' distances: the paper's Tables 1 and 2 and its curves, as files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from extraction.data import Sample
from extraction.harvesting.stream import harvest
from extraction.study import PlanEvaluation, SweepTable
from redundancy.errors import InvalidInputError
from redundancy.files.writing import write_text
from redundancy.statistics.harvest_statistics import HarvestStatistics

__all__ = ["distances", "table", "write"]

_CURVES = ("late_entry", "vision_exit")
_FORMATS = ("svg", "png")
_PER_FIGURE = 4


def distances(
    model: Any,
    processor: Any,
    samples: Sequence[Sample],
    path: Path,
    *,
    name: str,
    batch_size: int = 8,
    known: Path | None = None,
    matrix: bool = False,
) -> HarvestStatistics:
    """Distances of all layers on the samples: those of `known`, those that `path` has already, or harvested now.

    With `matrix` also between depths that are not neighbours.

    Parameters
    ----------
    model, processor : PreTrainedModel, ProcessorMixin
        Used only if statistics have to be harvested.
    samples : sequence of Sample
        All that the statistics are to be of.
    path : Path
        File of the statistics; written if they are harvested.
    name : str
        Of the model, recorded.
    batch_size : int, default=8
    known : Path, optional
        Statistics to take instead.
    matrix : bool, default=False

    Returns
    -------
    HarvestStatistics

    Raises
    ------
    InvalidInputError
        If the statistics that exist are not of all these samples, or of another depth.
    """
    source = known or (path if path.exists() else None)
    if source is None:
        found = harvest(
            model, list(samples), processor=processor, batch_size=batch_size, name=name, attention=False, matrix=matrix
        )
        found.save(path)
        return found
    found = HarvestStatistics.load(source)
    n_layers = model.config.get_text_config(decoder=True).num_hidden_layers
    if found.spec.n_layers != n_layers:
        raise InvalidInputError(f"need statistics of {n_layers} layers, {source} has {found.spec.n_layers}")
    missing = {s.sample_id for s in samples} - set(found.sample_ids)
    if missing:
        raise InvalidInputError(
            f"need statistics of every sample of the sweep, {source} lacks {len(missing)}, as {min(missing)!r}; "
            "harvest the same data, or leave --statistics out"
        )
    return found


def table(
    model: str,
    evaluations: Sequence[PlanEvaluation],
    samples: Sequence[Sample],
    statistics: HarvestStatistics,
    *,
    confidence_level: float = 0.95,
) -> SweepTable:
    """Records of every layer of the sweep; each family of questions is a task.

    Parameters
    ----------
    model : str
        Name to show.
    evaluations : sequence of PlanEvaluation
        Of the plans of the sweep.
    samples : sequence of Sample
        That the plans were run on.
    statistics : HarvestStatistics
        Distances on the same samples.
    confidence_level : float, default=0.95
        Of each interval.

    Returns
    -------
    SweepTable
    """
    return SweepTable.of(
        model,
        evaluations,
        n_layers=statistics.spec.n_layers,
        statistics=statistics,
        tasks={s.sample_id: s.family for s in samples if s.family},
        confidence_level=confidence_level,
    )


def write(out: Path, found: SweepTable, rows: Sequence[Mapping[str, Any]], *, n_layers: int) -> list[str]:
    """Write tables.json, tables.csv, table_1 and table_2 as Markdown and LaTeX, and the curves; return the names.

    Each file is written whole. Curves need matplotlib and accuracies, and are left out without.

    Parameters
    ----------
    out : Path
        Folder.
    found : SweepTable
        Records.
    rows : sequence of mapping
        Plan records, for the curves.
    n_layers : int
        L.

    Returns
    -------
    list of str
        Names of files in `out`.
    """
    files = {
        "tables.json": json.dumps(found.to_records(), indent=1, allow_nan=False),
        "tables.csv": found.to_csv(),
    }
    for number in found.numbers:
        sweeps = dict.fromkeys(r["sweep"] for r in found.records if r["table"] == number)
        for i, sweep in enumerate(sweeps):
            stem = f"table_{number}" if i == 0 else f"table_{number}_{sweep}"
            files[f"{stem}.md"] = found.to_markdown(number, sweep=sweep) + "\n"
            files[f"{stem}.tex"] = found.to_latex(number, sweep=sweep) + "\n"
    for name, text in files.items():
        write_text(out / name, text)
    return [*files, *_curves(out, found, rows, n_layers)]


def _curves(out: Path, found: SweepTable, rows: Sequence[Mapping[str, Any]], n_layers: int) -> list[str]:
    if find_spec("matplotlib") is None or all(row.get("accuracy") is None for row in rows):
        return []
    from redundancy.figures import accuracy_per_layer, save_figure

    drawn = [r for r in found.records if r["sweep"] in _CURVES]
    tasks = list(dict.fromkeys(r["task"] for r in drawn))
    runs: dict[str, dict[str, Any]] = {}
    for task in tasks:
        runs[task] = {"model": {"name": "", "n_layers": n_layers}}
        for sweep in _CURVES:
            runs[task][sweep] = [r for r in drawn if r["task"] == task and r["sweep"] == sweep]
    families = [sweep for sweep in _CURVES if any(r["sweep"] == sweep for r in drawn)]
    if not families:
        return []
    # The whole data set on one page, the tasks a few at a time on others: more lines cannot be told apart.
    sources: dict[str, dict[str, Any]] = {"accuracy": runs[tasks[0]]}
    for i in range(1, len(tasks), _PER_FIGURE):
        sources[f"accuracy_tasks_{i // _PER_FIGURE + 1}"] = {t: runs[t] for t in tasks[i : i + _PER_FIGURE]}
    for stem, source in sources.items():
        save_figure(accuracy_per_layer(source, families=families), out / stem, formats=_FORMATS)
    return [f"{stem}.{suffix}" for stem in sources for suffix in _FORMATS]
