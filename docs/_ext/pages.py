"""Where pages stand: the navigation, which takes pages nobody listed, and anchors that Sphinx can find."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

# Pages in reading order. One that is not there (yet) is left out; one that is not listed comes at the end.
NAVIGATION: dict[str, tuple[str, ...]] = {
    "Start": ("start", "choosing", "reading_certificates", "inputs", "footguns", "gallery/index"),
    "Your model": (
        "model_support",
        "model_classes",
        "harvest",
        "activations",
        "scale",
        "scale_plan",
        "harness",
        "embedded_frontier",
    ),
    "Theory": ("theory_and_practice", "theorems/index", "proofs", "broja"),
    "Reference": ("command_line", "api/index", "figures", "report_schema"),
    "Measured": ("coverage", "borders", "functional_coverage", "benchmarks/*"),
    "More": ("*",),
    "Project": ("changelog", "contributing", "citing"),
}
MARK = "<!-- navigation -->"
_ANCHOR = re.compile(r'^<a id="([^"]+)"></a>[ ]*$', re.MULTILINE)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the rewriting of a page's source."""
    app.connect("source-read", _rewrite)
    app.connect("env-get-outdated", lambda app, env, added, changed, removed: ["index"])
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def placed(docnames: set[str]) -> Iterator[tuple[str, list[str]]]:
    """Sections with the pages that exist; a page stands once, and every page stands somewhere."""
    below = {"theorems/", "api/", "gallery/"}  # their own index pages hold these
    free = {n for n in docnames if n != "index" and not any(n.startswith(b) and n != f"{b}index" for b in below)}
    listed = {page for pages in NAVIGATION.values() for page in pages}
    prefixes = tuple(page.removesuffix("*") for page in listed if page.endswith("/*"))
    for caption, pages in NAVIGATION.items():
        found: list[str] = []
        for page in pages:
            if page == "*":
                found += sorted(n for n in free if n not in listed and not n.startswith(prefixes))
            elif page.endswith("/*"):
                found += sorted(n for n in free if n.startswith(page[:-1]))
            elif page in free:
                found.append(page)
        if found:
            yield caption, found


def _rewrite(app: Sphinx, docname: str, source: list[str]) -> None:
    text = source[0]
    if docname == "index":
        tables = []
        for caption, pages in placed(set(app.env.found_docs)):
            tables.append(
                "\n".join(["```{toctree}", ":hidden:", f":caption: {caption}", ":maxdepth: 1", "", *pages, "```"])
            )
        text = text.replace(MARK, "\n\n".join(tables))
    if Path(app.env.doc2path(docname)).suffix == ".md":
        if docname.endswith("/index"):
            text += _below(docname, text, set(app.env.found_docs))
        # On GitHub an anchor is HTML; for Sphinx it is a target that links between pages can find.
        text = _ANCHOR.sub(lambda found: f"({found[1]})=", text)
    source[0] = text


def _below(docname: str, text: str, docnames: set[str]) -> str:
    """Navigation of a folder: its pages in the order in which its index links to them, then the rest."""
    folder = docname.removesuffix("index")
    there = {name.removeprefix(folder) for name in docnames if name.startswith(folder) and name != docname}
    order = dict.fromkeys([*re.findall(r"\]\(([\w-]+)\.md\)", text), *sorted(there)])
    return "\n".join(["", "```{toctree}", ":hidden:", "", *(name for name in order if name in there), "```", ""])
