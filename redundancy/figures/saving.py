"""Files of figures: PDF, SVG and PNG of exact width, fonts embedded, the same bytes each time."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from redundancy.errors import InvalidInputError
from redundancy.figures import style
from redundancy.files.writing import write_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["FORMATS", "WIDTHS", "axes", "save_figure"]

WIDTHS = {"column": style.SINGLE_COLUMN, "page": style.DOUBLE_COLUMN}
FORMATS = ("pdf", "svg", "png")
_METADATA: dict[str, dict[str, Any]] = {
    "pdf": {"CreationDate": None, "Creator": "Skip-It", "Producer": None},
    "svg": {"Date": None, "Creator": "Skip-It"},
    "png": {"Software": None},
}


def axes(width: str = "column", *, height: float = 2.5) -> Axes:
    """Axes of a new figure of a journal's width, to pass as `ax`.

    Parameters
    ----------
    width : {"column", "page"}, default="column"
        3.3 or 6.9 inches.
    height : float, default=2.5
        Inches.

    Returns
    -------
    Axes
        The only one of a new figure.

    Raises
    ------
    InvalidInputError
        For another width.
    """
    return style.new_axes(None, width=_inches(width), height=height)


def save_figure(
    figure: Axes | Figure, path: str | Path, *, width: str | None = None, formats: Sequence[str] = FORMATS
) -> tuple[Path, ...]:
    """Write a figure in each format, whole or not at all; existing files are replaced.

    PDF has TrueType fonts embedded, SVG keeps text as text, PNG has 200 dots per inch. No LaTeX is needed, and
    matplotlib's global settings are neither read for the style nor changed.

    Parameters
    ----------
    figure : Axes or Figure
    path : str or Path
        Without a suffix: each format adds its own; with the suffix of a format: that file alone.
    width : {"column", "page"}, optional
        Make the figure 3.3 or 6.9 inches wide, at the height it has.
    formats : sequence of str, default=("pdf", "svg", "png")

    Returns
    -------
    tuple of Path
        The files, in the order of `formats`.

    Raises
    ------
    InvalidInputError
        For a width or format that is not named above.
    StoreError
        If a file cannot be written.
    """
    whole: Any = getattr(figure, "figure", None) or figure
    target = Path(path)
    if target.suffix[1:].lower() in FORMATS:
        formats, target = (target.suffix[1:].lower(),), target.with_suffix("")
    if unknown := [name for name in formats if name not in FORMATS]:
        raise InvalidInputError(f"need formats among {FORMATS}, got {unknown[0]!r}")
    if width is not None:
        whole.set_size_inches(_inches(width), whole.get_size_inches()[1])
    written = []
    for name in formats:
        file = target.with_name(f"{target.name}.{name}")
        write_whole(file, [render(whole, name)])
        written.append(file)
    return tuple(written)


def render(figure: Figure, name: str) -> bytes:
    """The bytes of a figure in one of `FORMATS`."""
    buffer = io.BytesIO()
    with style.style_context():
        figure.savefig(buffer, format=name, dpi=style.PNG_DPI, metadata=_METADATA[name])
    return buffer.getvalue()


def _inches(width: str) -> float:
    if width not in WIDTHS:
        raise InvalidInputError(f"need a width among {tuple(WIDTHS)}, got {width!r}")
    return WIDTHS[width]
