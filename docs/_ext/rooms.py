"""The two drawings of docs/architecture.md: `python docs/_ext/rooms.py` writes docs/images/{rooms,data_flow}.svg.

A room is a folder of a package, or the files at its top. In each package a room stands above the rooms that it
imports; rooms that import one another share a floor.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT / "docs" / "images"
PACKAGES = ("extraction", "estimators", "redundancy", "proofs_check")
_TOP = "files at the top"
_WIDTH, _BOX, _GAP, _LINE = 780, 24, 6, 6.4  # of the drawing; of a room: height, distance, width of a letter


def room_of(path: Path) -> str:
    """The room of a file, by its path below the root."""
    return path.parts[1] if len(path.parts) > 2 else _TOP


def imports_of(path: Path) -> Iterator[str]:
    """Modules that a file imports when it is loaded; those inside functions and for type checkers are left out."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def arrows(package: str) -> dict[str, set[str]]:
    """Rooms of a package and the rooms of the same package that each imports."""
    files = [path.relative_to(ROOT) for path in sorted((ROOT / package).rglob("*.py"))]
    modules = {".".join(path.with_suffix("").parts).removesuffix(".__init__"): room_of(path) for path in files}
    found: dict[str, set[str]] = {room: set() for room in modules.values()}
    for path in files:
        targets = {modules[name] for name in imports_of(ROOT / path) if name in modules and name != package}
        found[room_of(path)] |= targets - {room_of(path)}
    return found


def floors(graph: dict[str, set[str]]) -> list[list[str]]:
    """Rooms by floor, the top first: a room stands above all that it imports; rooms of a circle share a floor."""

    def below(room: str) -> set[str]:
        seen: set[str] = set()
        waiting = [room]
        while waiting:
            for other in graph[waiting.pop()] - seen:
                seen.add(other)
                waiting.append(other)
        return seen

    reach = {room: below(room) for room in graph}
    height: dict[str, int] = {}

    def level(room: str) -> int:
        if room not in height:
            circle = {other for other in reach[room] if room in reach[other]} | {room}
            outside = {other for member in circle for other in graph[member]} - circle
            found = 1 + max((level(other) for other in outside), default=-1)
            height.update(dict.fromkeys(circle, found))
        return height[room]

    top = max(map(level, graph))
    return [sorted(room for room in graph if height[room] == k) for k in range(top, -1, -1)]


def drawing() -> str:
    """The SVG."""
    body: list[str] = []
    y = 10.0
    for package in PACKAGES:
        lines = [line for floor in floors(arrows(package)) for line in _wrapped(floor)]
        height = 30 + len(lines) * (_BOX + _GAP)
        body.append(f'<rect class="house" x="6" y="{y:g}" width="{_WIDTH - 12}" height="{height}" rx="8"/>')
        body.append(f'<text class="name" x="18" y="{y + 19:g}">{package}</text>')
        for k, line in enumerate(lines):
            x, top = 18.0, y + 27 + k * (_BOX + _GAP)
            for room in line:
                width = _LINE * len(room) + 18
                body.append(f'<rect class="room" x="{x:g}" y="{top:g}" width="{width:g}" height="{_BOX}" rx="4"/>')
                body.append(f'<text x="{x + 9:g}" y="{top + 16:g}">{escape(room)}</text>')
                x += width + _GAP
        y += height + 10
    style = (
        "text{font:11px sans-serif;fill:#1b1b1b}.name{font-weight:bold;font-size:13px}"
        ".house{fill:#fefefe;stroke:#6a6a6a}.room{fill:#eaf3fa;stroke:#0072b2}"
    )
    title = "The rooms of the four packages: in each, a room imports only from rows below its own"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {y:g}" role="img" aria-label="{title}">'
        f"<style>{style}</style>" + "\n".join(["", *body, ""]) + "</svg>\n"
    )


def _wrapped(rooms: list[str]) -> Iterator[list[str]]:
    line: list[str] = []
    width = 18.0
    for room in rooms:
        own = _LINE * len(room) + 18 + _GAP
        if line and width + own > _WIDTH - 24:
            yield line
            line, width = [], 18.0
        line.append(room)
        width += own
    yield line


# Column, row, what it is, and the public name that stands for it.
STATIONS = {
    "samples": (0, 0, "images, questions, answers", "extraction.data:Sample"),
    "model": (0, 2, "a vision-language model", "extraction.models.adapters:Adapter"),
    "harvest": (1, 0, "one forward pass, sums", "extraction:harvest"),
    "statistics": (2, 0, "statistics file", "redundancy:HarvestStatistics"),
    "certificates": (3, 0, "certificates", "redundancy:ProfileCertificate"),
    "store": (1, 1, "states on disk", "extraction.store:harvest_activations"),
    "scan": (2, 1, "estimates per pair", "estimators:scan_layers"),
    "plan": (1, 2, "a plan at work", "extraction.skip:apply"),
    "outcomes": (2, 2, "answers with and without", "extraction.study:evaluate"),
    "choice": (3, 2, "a plan with a guarantee", "extraction.study:PlanChoice"),
    "report": (3, 1, "one page", "redundancy.report:render_html"),
}
FLOWS = (
    ("samples", "harvest"), ("model", "plan"), ("harvest", "statistics"), ("statistics", "certificates"),
    ("samples", "store"), ("store", "scan"), ("scan", "report"), ("certificates", "report"), ("plan", "outcomes"),
    ("outcomes", "choice"), ("choice", "report"),
)  # fmt: skip


def flow() -> str:
    """The SVG of the data flow."""
    across, down, width, height = 222, 86, 200, 46

    def corner(name: str) -> tuple[int, int]:
        column, row = STATIONS[name][:2]
        return 10 + across * column, 12 + down * row

    body = []
    for start, end in FLOWS:
        (x0, y0), (x1, y1) = corner(start), corner(end)
        if x0 == x1:
            side = height if y1 > y0 else 0
            ends = (x0 + width // 2, y0 + side, x1 + width // 2, y1 + height - side)
        else:
            ends = (x0 + width, y0 + height // 2, x1, y1 + height // 2)
        body.append('<line x1="{}" y1="{}" x2="{}" y2="{}" marker-end="url(#tip)"/>'.format(*ends))
    for name, (_, _, what, code) in STATIONS.items():
        x, y = corner(name)
        body.append(f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="6"/>')
        body.append(f'<text x="{x + 8}" y="{y + 19}">{escape(what)}</text>')
        body.append(f'<text class="code" x="{x + 8}" y="{y + 36}">{code.replace(":", ".")}</text>')
    style = (
        "text{font:12px sans-serif;fill:#1b1b1b}.code{font:8.5px monospace;fill:#0072b2}"
        "rect{fill:#fefefe;stroke:#6a6a6a}line{stroke:#6a6a6a;stroke-width:1.3}"
    )
    tip = (
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0L8 4L0 8z" fill="#6a6a6a"/></marker></defs>'
    )
    title = "The data flow: from samples and a model to statistics, certificates, outcomes, a choice and a report"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 896 250" role="img" aria-label="{title}">'
        f"<style>{style}</style>{tip}" + "\n".join(["", *body, ""]) + "</svg>\n"
    )


DRAWINGS = {"rooms.svg": drawing, "data_flow.svg": flow}

if __name__ == "__main__":
    for name, draw in DRAWINGS.items():
        (IMAGES / name).write_text(draw(), encoding="utf-8")
