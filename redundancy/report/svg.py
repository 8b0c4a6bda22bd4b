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
    """Titles for `inline_svg`: label and values of every finite point of the lines and meshes named "hover-..."."""
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
        for mesh in ax.collections:
            gid = mesh.get_gid() or ""
            values = mesh.get_array()
            if gid.startswith("hover-") and values is not None:
                cells = values.reshape(-1)
                side = math.isqrt(cells.size)
                text = ["undefined" if cell is None else f"{cell:.3g}" for cell in cells.tolist()]
                text[:: side + 1] = ["0"] * side  # the diagonal is not drawn, and is zero
                titles[gid] = [f"depths {k // side} and {k % side}: {value}" for k, value in enumerate(text)]
    return titles


def _add_titles(group: ET.Element, titles: list[str]) -> None:
    marks = list(_marks(group)) if titles else []
    if len(marks) == len(titles):
        for mark, title in zip(marks, titles, strict=True):
            ET.SubElement(mark, "title").text = title


def _marks(group: ET.Element) -> Iterator[ET.Element]:
    """What is drawn per point: `use` elements (markers), or else the paths of a mesh outside its definitions."""
    uses = [element for element in group.iter() if _local(element.tag) == "use"]
    yield from uses or [element for element in group.iter() if _local(element.tag) == "path"]


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
