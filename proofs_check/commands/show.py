"""How the proof table is shown: as text, as Markdown, as JSON, and everything about one statement."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from proofs_check.table import METHODS, RESULTS, Row, Settings

__all__ = ["document", "markdown_table", "text_table", "whole"]

SCHEMA = "skip-it/proofs/1"
_BY_HAND = re.compile(r"M\d+[a-z]?$")
_HEADINGS = ("Shannon", "symbolic", "exact", "property", "tightness", "mutants killed")
_WIDTHS = (8, 9, 18, 10, 9, 14)


def document(rows: list[Row], settings: Settings, seconds: float) -> dict[str, Any]:
    """What `--json` prints: `theorems` with the result of each method, `mutations` with their counterexamples."""
    return {
        "schema": SCHEMA,
        "seed": settings.seed,
        "n_laws": settings.n_laws,
        "seconds": round(seconds, 3),
        "ok": all(row.ok for row in rows),
        "theorems": [row.to_dict() for row in rows],
        "mutations": [result.to_dict() for row in rows for result in row.mutants],
    }


def text_table(rows: list[Row], settings: Settings, seconds: float) -> str:
    """One line per statement, then the counts."""
    widths = (max(len(row.record.id) for row in rows), 10, *_WIDTHS)
    lines = [_line(("theorem", "result", *_HEADINGS), widths)]
    lines += [_line((row.record.id, row.result, *_texts(row)), widths) for row in rows]
    counts = {name: sum(row.result == name for row in rows) for name in RESULTS}
    mutants = [result for row in rows for result in row.mutants]
    found = ", ".join(f"{n} {name}" for name, n in counts.items() if n)
    killed = sum(result.killed for result in mutants)
    lines += [
        "",
        f"{len(rows)} statements: {found}; {killed} of {len(mutants)} mutants killed "
        f"(seed {settings.seed}, {settings.n_laws} random laws, {seconds:.0f} s).",
        "`skip-it prove --theorem ID` prints the proofs, the tightest laws and all counterexamples of one statement.",
    ]
    lines += [f"FAILED {row.record.id}: {_fault(row)}" for row in rows if not row.ok]
    return "\n".join(lines)


def _fault(row: Row) -> str:
    bad = [name for name in METHODS if row.cells[name].ok is False]
    return f"see {', '.join(bad)}" if bad else "no method speaks of it"


def _texts(row: Row) -> tuple[str, ...]:
    return tuple(row.cells[name].text or "-" for name in METHODS)


def _line(cells: tuple[str, ...], widths: tuple[int, ...]) -> str:
    return "  ".join(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True)).rstrip()


def markdown_table(rows: list[Row]) -> str:
    """Three tables in Markdown, for the guide: all statements, the false printed ones, the mutants by hand."""
    tables = [
        _markdown(("theorem", "result", *_HEADINGS), ((f"`{row.record.id}`", row.result, *_texts(row)) for row in rows))
    ]
    false = [entry for row in rows for entry in row.cells["exact"].details or [] if not entry["true"]]
    if false:
        tables.append(
            _markdown(
                ("statement", "claims", "but"),
                ((f"`{e['statement']}`", e["claim"], _shown(e["counterexample"])) for e in false),
            )
        )
    mutants = [result for row in rows for result in row.mutants if _BY_HAND.match(result.mutation.id)]
    if mutants:
        mutants.sort(key=lambda r: (int(re.sub(r"\D", "", r.mutation.id)), r.mutation.id))
        tables.append(
            _markdown(
                ("id", "of", "false claim", "counterexample"),
                (
                    (r.mutation.id, f"`{r.mutation.theorem}`", r.mutation.claim, str(r.counterexample or "SURVIVED"))
                    for r in mutants
                ),
            )
        )
    return "\n\n".join(tables)


def _markdown(headings: tuple[str, ...], lines: Iterable[tuple[str, ...]]) -> str:
    rows = [headings, ("---",) * len(headings), *lines]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)


def whole(row: Row) -> str:
    """Everything about one statement."""
    record = row.record
    lines = [f"{record.id}: {record.title}", f"  {record.statement}", f"  {row.result}: {RESULTS[row.result]}"]
    if record.printed and record.printed != record.statement:
        lines.append(f"  printed: {record.printed}")
    for proof in row.proofs:
        lines += ["", proof]
    for entry in row.cells["exact"].details or []:
        lines += ["", f"{entry['statement']}: {entry['claim']}"]
        if entry["true"]:
            lines.append(f"  holds on {entry['laws']} extremal laws, with equality on {entry['equal']}")
        else:
            lines.append(f"  false: {_shown(entry['counterexample'])}")
    for entry in row.cells["property"].details or []:
        lines.append(f"  {entry['statement']}: holds on {entry['laws']} random laws" if not entry["broken"] else
                     f"  {entry['statement']}: BROKEN, {entry['broken'][0]}")  # fmt: skip
    for entry in row.cells["tightness"].details or []:
        how = "attained" if entry["attained"] else f"largest ratio {entry['ratio']:.6f}"
        lines.append(f"  {entry['statement']}: {how} ({entry['source']}) at {entry['law']}")
    if row.mutants:
        lines += ["", f"mutants killed: {row.cells['mutants'].text}", *map(str, row.mutants)]
    return "\n".join(lines)


def _shown(counterexample: dict[str, Any] | None) -> str:
    if counterexample is None:
        return "NO counterexample found"
    left, right = (_short(counterexample[side]) for side in ("left", "right"))
    return f"{left} on the left, {right} on the right at {counterexample['law']}"


def _short(number: str) -> str:
    """Six digits of a decimal; fractions as they are."""
    return f"{float(number):.6g}" if "." in number else number
