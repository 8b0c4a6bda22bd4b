"""Write the tables and plots of docs/theorems, or with --check compare them with what the code says today."""

from __future__ import annotations

import argparse
import importlib
import re
import sys
from collections.abc import Callable
from pathlib import Path

import theorem_points_graph as graph
import theorem_text as text
from theorem_clouds import Panel
from theorem_plots import digest, draw

from redundancy.bounds.ledger import theorems
from redundancy.certificates.certificate import registered

DOCS = Path(__file__).resolve().parents[2] / "docs" / "theorems"
# A page is the file of its theorem: `theorem_points_*.py` say in PAGES what is drawn on which.
POINTS: dict[str, Callable[[], list[Panel]]] = {
    page: make
    for path in sorted(Path(__file__).parent.glob("theorem_points_*.py"))
    for page, make in importlib.import_module(path.stem).PAGES.items()
}
MOST_BYTES = 120_000


def main() -> int:
    """Write or check; 1 if something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing, exit 1 if a page is stale or wrong")
    parser.add_argument("--docs", type=Path, default=DOCS, help="folder of the pages")
    parser.add_argument("--only", nargs="+", choices=sorted(POINTS), default=sorted(POINTS), help="some pages")
    arguments = parser.parse_args()
    problems: list[str] = []
    panels = {page: make() for page, make in POINTS.items() if page in arguments.only}
    for page, shown in panels.items():
        blocks = {"table": text.table(shown), "statements": text.statements(page)}
        if page == "implications":
            blocks |= {"arrows": text.arrows(), "winners": text.winners(graph.WINNERS)}
        problems += [
            f"{page}: {c.theorem} ({c.name}): {c.broken} of {len(c.points)} laws break it, "
            + ("a false statement needs one that does" if c.refuted else f"at most {c.allowed} may")
            for panel in shown
            for c in panel.clouds
            if not panel.lines and not c.ok
        ]
        problems += update(arguments.docs / f"{page}.md", blocks, check=arguments.check)
        picture = arguments.docs / f"{page}.svg"
        if not arguments.check:
            draw(shown, picture)
        problems += check_picture(picture, shown)
    problems += update(arguments.docs / "index.md", {"index": text.index(arguments.docs)}, check=arguments.check)
    problems += check_anchors(arguments.docs)
    if len(panels) == len(POINTS):
        problems += check_coverage(panels)
    for problem in problems:
        print(problem, file=sys.stderr)
    if not problems:
        laws = sum(len(c.points) for shown in panels.values() for p in shown if not p.lines for c in p.clouds)
        print(f"{len(panels)} pages, {len(theorems())} statements, {len(registered())} bounds, {laws} comparisons")
    return 1 if problems else 0


def update(path: Path, blocks: dict[str, str], *, check: bool) -> list[str]:
    """Put each block between its markers, or say which differs."""
    if not path.is_file():
        return [f"{path.name} is missing"]
    old = new = path.read_text(encoding="utf-8")
    for name, block in blocks.items():
        start, end = f"<!-- {name}: start -->", f"<!-- {name}: end -->"
        if new.count(start) != 1 or new.count(end) != 1:
            return [f"{path.name} needs the markers {start} and {end} once each"]
        head, rest = new.split(start)
        new = f"{head}{start}\n\n{block}\n\n{end}{rest.split(end)[1]}"
    if check:
        return [] if new == old else [f"{path.name} is stale: run python examples/theorems/make_pages.py"]
    path.write_text(new, encoding="utf-8")
    return []


def check_picture(path: Path, panels: list[Panel]) -> list[str]:
    """Whether the picture exists, is small, and shows today's points."""
    if not path.is_file():
        return [f"{path.name} is missing"]
    found = re.search(r"points ([0-9a-f]{16})", path.read_text(encoding="utf-8"))
    problems = [] if path.stat().st_size < MOST_BYTES else [f"{path.name} has {path.stat().st_size} bytes"]
    if found is None or found[1] != digest(panels):
        problems.append(f"{path.name} shows other points than today's: run python examples/theorems/make_pages.py")
    return problems


def check_coverage(panels: dict[str, list[Panel]]) -> list[str]:
    """Whether every registered bound is compared with exact values."""
    compared = {c.theorem for shown in panels.values() for p in shown if not p.lines for c in p.clouds if not c.refuted}
    return [f"{theorem} is compared with no exact value" for theorem in sorted(set(registered()) - compared)]


def check_anchors(docs: Path) -> list[str]:
    """Whether every record of the ledger has its anchor on its page."""
    problems = []
    for record in theorems():
        page, anchor = record.anchor.split("#")
        path = docs / page
        if not path.is_file() or f'<a id="{anchor}"></a>' not in path.read_text(encoding="utf-8"):
            problems.append(f"{record.id} has no anchor {anchor} in {page}")
    return problems


if __name__ == "__main__":
    sys.exit(main())
