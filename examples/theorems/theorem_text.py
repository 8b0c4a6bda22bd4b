"""Generated parts of the pages: the table of comparisons, the statements of the ledger, arrows and index."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from theorem_clouds import Panel

from redundancy.bounds.implications import ARROWS, QUANTITIES
from redundancy.bounds.ledger import STATUSES, TheoremRecord, find, theorems

__all__ = ["arrows", "index", "statements", "table", "winners"]

ORDER = (
    "laws", "lemmas", "tail", "lipschitz", "plug_in", "fano", "braun_pokutta", "pinsker", "mismatch", "performance_gap",
    "implications", "concentration",
)  # fmt: skip


def table(panels: Sequence[Panel]) -> str:
    """One row per bound and family."""
    rows = [c.row() for panel in panels if not panel.lines for c in panel.clouds]
    head = "| bound | laws | number | broken | median ratio | largest ratio |\n| --- | --- | --- | --- | --- | --- |"
    return "\n".join([head, *rows])


def statements(page: str) -> str:
    """All records of a page, each with its anchor."""
    return "\n\n".join(_statement(record) for record in theorems() if record.page == page)


def _statement(record: TheoremRecord) -> str:
    functions = ", ".join(f"`{name}`" for name in record.functions)
    lines = [
        f'<a id="{record.anchor.split("#")[1]}"></a>',
        f"**`{record.id}`** {plain(record.title)}",
        "",
        f"- {STATUSES[record.status]}; label {record.evidence}" + (f"; {functions}" if functions else ""),
        f"- used: `{record.statement}`",
    ]
    if record.printed and record.printed != record.statement:
        quoted = record.printed if record.printed.startswith('"') else f"`{record.printed}`"
        lines.append(f"- printed: {quoted}")
    if record.deviation:
        lines.append(f"- {plain(record.deviation)}")
    if record.counterexample:
        lines.append(f"- counterexample: {plain(record.counterexample)}")
    if record.uses:
        lines.append("- rests on " + ", ".join(f"[`{u}`]({find(u).anchor})" for u in record.uses))
    return "\n".join(lines)


def arrows() -> str:
    """The implication graph that `derive` follows."""
    rows = ["| from | to | by | needs |", "| --- | --- | --- | --- |"]
    for arrow in ARROWS:
        sources = ", ".join(_quantity(s) for s in arrow.sources)
        needs = [f"`{c}`" for c in arrow.constants]
        if "chain" in arrow.fixed:
            needs.append(arrow.fixed["chain"].replace("-", " - "))
        link = f"[`{arrow.theorem}`]({find(arrow.theorem).anchor})"
        rows.append(f"| {sources} | {_quantity(arrow.target)} | {link} | {', '.join(needs)} |")
    return "\n".join(rows)


def _quantity(name: str) -> str:
    return plain(QUANTITIES[name][0])


def winners(counts: Counter[str]) -> str:
    """How often each theorem gave the best bound on F."""
    rows = [f"| [`{name}`]({find(name).anchor}) | {number} |" for name, number in counts.most_common()]
    return "\n".join(["| best bound on F by | laws |", "| --- | --- |", *rows])


def index(docs: Path) -> str:
    """All pages, with the number of statements of each status: those of the paper, then the others by name."""
    rows = ["| page | statements | " + " | ".join(STATUSES) + " |", "| --- " * (2 + len(STATUSES)) + "|"]
    pages = {record.page for record in theorems()}
    for page in (*ORDER, *sorted(pages - set(ORDER))):
        title = (docs / f"{page}.md").read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
        here = Counter(record.status for record in theorems() if record.page == page)
        cells = " | ".join(str(here[s] or "") for s in STATUSES)
        rows.append(f"| [{title}]({page}.md) | {sum(here.values())} | {cells} |")
    return "\n".join(rows)


def plain(words: str) -> str:
    """Text in which no character is markup."""
    return re.sub(r"([\\`*_<>|\[\]])", r"\\\1", words)
