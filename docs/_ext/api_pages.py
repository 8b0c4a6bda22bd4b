"""The pages of the API reference: one per public module, written before Sphinx looks for pages."""

from __future__ import annotations

import re
import shutil
from itertools import groupby
from pathlib import Path
from typing import Any, get_origin

from bars import escape_bars
from public_names import PACKAGES, PublicName, public_modules, public_names
from sphinx.application import Sphinx

_DIRECTIVE = {"class": "autoclass", "exception": "autoexception", "function": "autofunction", "data": "autodata"}


def setup(app: Sphinx) -> dict[str, Any]:
    """Write the pages when the builder starts."""
    app.connect("builder-inited", lambda app: write_pages(Path(app.srcdir) / "api"))
    app.connect("autodoc-skip-member", _skip)
    app.connect("autodoc-process-docstring", _escape)
    app.connect("autodoc-process-signature", _signature)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _skip(app: Sphinx, what: str, name: str, value: Any, skip: bool, options: Any) -> bool | None:
    # What scikit-learn adds to every estimator is described on its own site, in terms that are defined there.
    return True if name.startswith("set_") and name.endswith("_request") else None


def _escape(app: Sphinx, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    lines[:] = list(escape_bars(lines))


def _signature(app: Sphinx, what: str, name: str, value: Any, options: Any, shown: str | None, returned: Any) -> Any:
    # A dataclass shows a made default as <factory>, which is no Python, so that the whole line would stay unparsed.
    # A registered bound returns what its decorator makes of a Bound.
    made = re.sub(r"\bBound$", "BoundCertificate", returned) if what == "function" and returned else returned
    return (shown.replace("<factory>", "...") if shown else shown), made


def write_pages(folder: Path) -> None:
    """Write `folder` anew, leaving alone what has not changed, so that a second build is quick."""
    wanted = {f"{name}.rst": text for name, text in _pages().items()}
    if folder.is_dir() and {p.name for p in folder.iterdir()} - wanted.keys():
        shutil.rmtree(folder)
    folder.mkdir(exist_ok=True)
    for name, text in wanted.items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def _pages() -> dict[str, str]:
    modules = {m.__name__: m for m in public_modules()}
    pages = {}
    for name, group in groupby(public_names(), key=lambda entry: entry.module):
        pages[name] = _page(name, list(group))
    index = [_title("API reference", "="), _INTRODUCTION]
    for package in PACKAGES:
        index += [_title(package, "-"), first_line(modules[package]), ""]
        index += [".. list-table::", "   :widths: 35 65", ""]
        inside = [n for n in pages if n.split(".")[0] == package]
        for name in inside:
            index += [f"   * - :doc:`{name} <{name}>`", f"     - {first_line(modules[name])}"]
        index += ["", ".. toctree::", "   :hidden:", "", *(f"   {n}" for n in inside), ""]
    pages["index"] = "\n".join(index)
    return pages


_INTRODUCTION = """
Every name that a package, or a module directly below it, lists in ``__all__``. A name stands under its shortest path;
what is not listed here may change without notice.

Importing ``redundancy`` needs numpy and scipy; ``estimators`` needs scikit-learn, ``extraction`` torch and
transformers, ``proofs_check`` sympy, mpmath and hypothesis.
"""


def _page(name: str, entries: list[PublicName]) -> str:
    lines = [_title(name, "="), f".. automodule:: {name}", "   :no-members:", "", f".. currentmodule:: {name}", ""]
    rows = [(e, first_line(e.value)) for e in entries if e.kind != "data"]
    if rows:
        lines += [".. list-table::", "   :widths: 35 65", ""]
        for entry, text in rows:
            lines += [f"   * - :py:obj:`{entry.name} <{entry.path}>`", f"     - {text}"]
        lines.append("")
    for entry in entries:
        if get_origin(entry.value) is not None:
            lines += [f".. py:data:: {entry.name}", "", f"   Type alias of ``{entry.value}``.", ""]
            continue
        lines += [f".. {_DIRECTIVE[entry.kind]}:: {entry.name}"]
        if entry.kind == "class":
            lines += ["   :members:"]
        lines.append("")
    return "\n".join(lines)


def first_line(value: Any) -> str:
    """The first sentence or line of a docstring; a type alias or constant has none of its own."""
    text = (getattr(value, "__doc__", None) or "").strip()
    return next(escape_bars([" ".join(text.split("\n\n")[0].split())]))


def _title(text: str, mark: str) -> str:
    return f"{text}\n{mark * len(text)}\n"
