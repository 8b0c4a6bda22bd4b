"""report.html: one self-contained page from a report, with inline figures and no outside request."""

from __future__ import annotations

import base64
import functools
import hashlib
import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from redundancy.figures import style
from redundancy.figures.saving import render
from redundancy.report import page_context, wording
from redundancy.report.figures import available_figures
from redundancy.report.schema import validate_report
from redundancy.report.svg import inline_svg, point_titles

__all__ = ["embed_json", "render_html"]


def render_html(report: Mapping[str, Any], figures: Mapping[str, str] | None = None) -> str:
    """Render a report as one HTML document that opens offline.

    Parameters
    ----------
    report : mapping
        A report of schema ``skip-it/report/1``; no model and no torch are needed.
    figures : mapping of str to str, optional
        SVG documents by the names of `redundancy.report.figures.FIGURES`, to use in place of drawing
        them. Names the page has no place for are ignored; an empty mapping gives a page without figures.

    Returns
    -------
    str
        The document. Everything that comes from `report` is escaped. A content security policy in it
        forbids requests, and lets only the page's own script run (by its hash).

    Raises
    ------
    InvalidInputError
        If the report does not follow its schema, or a figure is not SVG.
    MissingExtraError
        If jinja2, or matplotlib when figures must be drawn, is absent.
    """
    validate_report(report)
    script = _resource("report.js")
    page: str = (
        _environment()
        .get_template("report.html.j2")
        .render(
            **page_context.context(report),
            figures=_figures(report, figures),
            css=_safe(_resource("report.css")),
            script=_safe(script),
            script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
            data=_safe(embed_json(report)),
        )
    )
    return page


def embed_json(report: Mapping[str, Any]) -> str:
    r"""JSON that can stand inside a script element: "<", ">" and "&" become \u escapes, so no tag can end it.

    Examples
    --------
    >>> embed_json({"name": "</script>"})
    '{"name":"\\u003c/script\\u003e"}'
    """
    text = json.dumps(report, allow_nan=False, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


@functools.lru_cache(maxsize=1)
def _environment() -> Any:
    jinja2 = style.require("jinja2")
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_resource),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(wording.FILTERS)
    return environment


def _figures(report: Mapping[str, Any], given: Mapping[str, str] | None) -> dict[str, Any]:
    documents: dict[str, tuple[str, dict[str, list[str]]]] = {}
    if given is not None:
        documents = {name: (text, {}) for name, text in given.items()}
    else:
        for name, figure in available_figures(report).items():
            documents[name] = (render(figure, "svg").decode(), point_titles(figure))
    labels = page_context.figure_labels(report)
    return {
        name: _safe(inline_svg(text, prefix=f"fig-{name.replace('_', '-')}", label=labels[name], titles=titles))
        for name, (text, titles) in documents.items()
        if name in labels
    }


def _safe(text: str) -> Any:
    """Mark text that is ours, or escaped by other means, as needing no HTML escape."""
    return style.require("markupsafe").Markup(text)


def _resource(name: str) -> str:
    return files("redundancy.report").joinpath("templates", name).read_text(encoding="utf-8")
