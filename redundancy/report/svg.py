"""Matplotlib's SVG made fit to be inlined in a page: unique ids, theme colours, a title on every point."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from redundancy.errors import InvalidInputError
from redundancy.figures.style import INK, MUTED, OKABE_ITO, PAPER, RULE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["inline_svg", "point_titles"]

# The page's style sheet gives each variable a value per theme.
_THEME = {INK: "--ink", MUTED: "--muted", RULE: "--rule", PAPER: "--paper"}
_THEME |= {color: f"--{name}" for name, color in OKABE_ITO.items()}
_COLOR = re.compile(r"#[0-9a-f]{6}\b")
_NUMBER = re.compile(r"-?\d+\.\d+")
_FEW_CELLS = 4
_REFERENCE = re.compile(r"url\(#([^)]+)\)")


def inline_svg(text: str, *, prefix: str, label: str, titles: dict[str, list[str]] | None = None) -> str:
    """Rewrite an SVG document as an element of an HTML page.

    Parameters
    ----------
    text : str
        An SVG document.
    prefix : str
        Put before every id, so that several figures share a page.
    label : str
        What a screen reader says for the figure.
    titles : dict of str to list of str, optional
        Per group id ("hover-..."), the title of each mark in drawing order. A group with another
        number of marks gets none: a wrong value is worse than no value.

    Returns
    -------
    str
        An ``<svg>`` element without namespaces, metadata, scripts, styles of its own or outside references.

    Raises
    ------
    InvalidInputError
        If the text is not an SVG document.
    """
    try:
        root = ET.fromstring(text)
    except ET.ParseError as error:
        raise InvalidInputError(f"need an SVG document for figure {prefix!r}, it does not parse: {error}") from error
    if _local(root.tag) != "svg":
        raise InvalidInputError(f"need an SVG document for figure {prefix!r}, got <{_local(root.tag)}>")
    _drop(root, {"metadata", "script", "style", "foreignObject"})
    for group in root.iter():
        _merge_cells(group)
        _add_titles(group, (titles or {}).get(group.get("id", ""), []))
    for element in root.iter():
        element.tag = _local(element.tag)
        attributes = {_local(key): value for key, value in element.attrib.items()}
        element.attrib.clear()
        element.attrib.update(_clean(attributes, prefix))
    for size in ("width", "height", "version"):
        root.attrib.pop(size, None)
    root.attrib.update({"role": "img", "aria-label": label, "id": prefix})
    return ET.tostring(root, encoding="unicode")


def point_titles(figure: Figure) -> dict[str, list[str]]:
    """Titles for `inline_svg`: label and values of every finite point of the lines named "hover-..."."""
    titles: dict[str, list[str]] = {}
    axes: list[Any] = list(figure.axes)
    for ax in axes:
        x_name = (ax.get_xlabel() or "x").split(" (")[0].split("\n")[0]
        x_name = "depth" if x_name.startswith("depth") else x_name
        for line in ax.get_lines():
            gid = line.get_gid() or ""
            if gid.startswith("hover-"):
                points = zip(line.get_xdata(), line.get_ydata(), strict=True)
                finite = [(float(x), float(y)) for x, y in points if math.isfinite(x) and math.isfinite(y)]
                titles[gid] = [f"{line.get_label()}: {x_name} {x:.4g}, {y:.4g}" for x, y in finite]
    return titles


def _add_titles(group: ET.Element, titles: list[str]) -> None:
    marks = list(_marks(group)) if titles else []
    if len(marks) == len(titles):
        for mark, title in zip(marks, titles, strict=True):
            ET.SubElement(mark, "title").text = title


def _merge_cells(group: ET.Element) -> None:
    """One path per colour for the cells of a heat map, whose values the page's script reads from its data.

    A model of 80 layers has 6561 cells; each as an element of its own, a page with two such maps opens in seconds.
    """
    cells = [child for child in group if _local(child.tag) == "path"]
    if not group.get("id", "").startswith("hover-") or len(cells) < len(group) or len(cells) < _FEW_CELLS:
        return
    merged: dict[str, ET.Element] = {}
    for cell in cells:
        outline = " ".join(_NUMBER.sub(lambda m: f"{float(m.group()):.2f}", cell.get("d", "")).split())
        first = merged.setdefault(cell.get("style", ""), cell)
        first.set("d", outline if first is cell else f"{first.get('d')} {outline}")
        group.remove(cell)
    group.extend(merged.values())


def _marks(group: ET.Element) -> Iterator[ET.Element]:
    """What is drawn per point: `use` elements (markers)."""
    yield from (element for element in group.iter() if _local(element.tag) == "use")


def _drop(element: ET.Element, names: set[str]) -> None:
    for child in list(element):
        if _local(child.tag) in names:
            element.remove(child)
        else:
            _drop(child, names)


def _clean(attributes: dict[str, str], prefix: str) -> Iterator[tuple[str, str]]:
    for key, value in attributes.items():
        if key.startswith("on") or key == "space":  # event handlers never; xml:space has no meaning in HTML
            continue
        if key == "id":
            yield key, f"{prefix}-{value}"
        elif key == "href":
            if value.startswith("#"):
                yield key, f"#{prefix}-{value[1:]}"
        else:
            value = _REFERENCE.sub(lambda m: f"url(#{prefix}-{m.group(1)})", value)
            value = _COLOR.sub(lambda m: f"var({_THEME[m.group()]})" if m.group() in _THEME else m.group(), value)
            yield key, value


def _local(name: str) -> str:
    return name.rpartition("}")[2]
