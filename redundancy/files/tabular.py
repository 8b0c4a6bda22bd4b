"""What every result can do: show itself, be a table, be saved and loaded, be drawn."""

from __future__ import annotations

import csv
import hashlib
import importlib
import io
import os
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from redundancy.errors import MissingExtraError
from redundancy.files.reading import read_text
from redundancy.files.writing import write_text
from redundancy.interval import text_down, text_level, text_up

if TYPE_CHECKING:
    from typing import Self

    from matplotlib.axes import Axes

__all__ = ["Tabular", "csv_cell", "csv_text", "flat_rows", "latex_text"]

_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # how a spreadsheet tells a formula
_LATEX = {c: rf"\{c}" for c in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}
_MOST_ROWS = 40  # of a table shown in a notebook
_MOST_COLUMNS = 5  # of a row shown on one line


class Tabular:
    """The base of results. A result gives `to_records`, or `to_record` if it is one row; the rest follows from it.

    A dataclass of numbers, text, arrays and other results can be saved without more; a class whose files have a form
    of their own brings `to_json` and `from_json`. `drawn_by` names the function of `redundancy.figures` that draws it.

    Examples
    --------
    >>> from redundancy.pid import broja
    >>> xor = broja([[[0.25, 0.0], [0.0, 0.25]], [[0.0, 0.25], [0.25, 0.0]]])
    >>> print(xor.to_csv().splitlines()[0])
    unique_x_lower,unique_x_upper,unique_y_lower,unique_y_upper,redundant_lower,redundant_upper,...
    >>> type(xor).from_json(xor.to_json()).synergistic == xor.synergistic
    True
    """

    __slots__ = ()
    drawn_by: ClassVar[str] = "intervals"

    def __init_subclass__(cls, **options: Any) -> None:
        """Keep the short text: a dataclass would write out every field of every part."""
        super().__init_subclass__(**options)
        if "__repr__" not in vars(cls):
            cls.__repr__ = Tabular.__repr__  # type: ignore[method-assign]

    def __repr__(self) -> str:
        rows = flat_rows(self.to_records())
        if len(rows) != 1:
            return f"{type(self).__name__}({len(rows)} rows)"
        shown = [(name, value) for name, value in rows[0].items() if value is not None]
        parts = [f"{name}={_shown(name, value)}" for name, value in shown[:_MOST_COLUMNS]]
        return f"{type(self).__name__}({', '.join(parts)}{', ...' if len(shown) > _MOST_COLUMNS else ''})"

    def to_json(self) -> str:
        """Exact, self-contained JSON with a digest."""
        from redundancy.files.stored import result_to_json  # it needs numpy, which `skip-it --help` does without

        return result_to_json(self)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Inverse of `to_json`.

        Raises
        ------
        StoreError
            If the text is no such result, or was altered after it was written.
        """
        from redundancy.files.stored import result_from_json

        return result_from_json(cls, text)

    from_json.__func__.is_generic = True  # type: ignore[attr-defined]

    def save(self, path: str | os.PathLike[str]) -> str:
        """Write the JSON into a file, whole or not at all, in place of an existing one; return the file's SHA-256.

        Raises
        ------
        StoreError
            If the file cannot be written.
        """
        text = self.to_json()
        write_text(Path(path), text)
        return hashlib.sha256(text.encode()).hexdigest()

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read what `save` wrote.

        Raises
        ------
        StoreError
            If there is no such file, or it holds no such result.
        """
        return cls.from_json(read_text(path, f"a {cls.__name__}"))

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the result, on a new figure of a journal's column without `ax`.

        Raises
        ------
        InvalidInputError
            If it holds nothing that can be drawn.
        MissingExtraError
            Without matplotlib.
        """
        figures = importlib.import_module("redundancy.figures")
        axes: Axes = getattr(figures, self.drawn_by)(self, ax=ax)
        return axes

    def to_records(self) -> list[dict[str, Any]]:
        """One row per item; here a single one."""
        record: dict[str, Any] = self.to_record()  # type: ignore[attr-defined]
        return [record]

    def to_csv(self) -> str:
        """The flat rows as CSV with a header; a value that is not there is an empty field."""
        return csv_text(self.to_records())

    def to_pandas(self) -> Any:
        """The flat rows as a ``pandas.DataFrame``.

        Raises
        ------
        MissingExtraError
            Without pandas, which none of the extras brings.
        """
        return _library("pandas").DataFrame(flat_rows(self.to_records()))

    def to_polars(self) -> Any:
        """The flat rows as a ``polars.DataFrame``.

        Raises
        ------
        MissingExtraError
            Without polars, which none of the extras brings.
        """
        return _library("polars").DataFrame(flat_rows(self.to_records()), infer_schema_length=None)

    def _repr_html_(self) -> str:
        rows = flat_rows(self.to_records())
        columns = list(rows[0]) if rows else []
        head = "".join(f"<th>{escape(name)}</th>" for name in columns)
        body = "".join(
            "<tr>" + "".join(f"<td>{escape(_shown(name, row[name]))}</td>" for name in columns) + "</tr>"
            for row in rows[:_MOST_ROWS]
        )
        left = f"<p>{len(rows) - _MOST_ROWS} more rows: see to_records()</p>" if len(rows) > _MOST_ROWS else ""
        caption = f"<caption>{escape(type(self).__name__)}</caption>"
        return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{left}"


def flat_rows(records: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows that all have the same columns and hold numbers, text, truth values and None only.

    A pair, or None, under a name that ends in "interval" becomes two columns that end in "lower" and "upper"; other
    lists become text with "; " between. Columns are in the order in which they first occur.

    Parameters
    ----------
    records : iterable of mapping
        One per row.

    Returns
    -------
    list of dict
    """
    rows = [dict(part for key, value in record.items() for part in _columns(key, value)) for record in records]
    names = list(dict.fromkeys(name for row in rows for name in row))
    return [{name: row.get(name) for name in names} for row in rows]


def csv_text(records: Iterable[Mapping[str, Any]]) -> str:
    """`flat_rows` as CSV (RFC 4180) with a header; a value that is not there is an empty field.

    Parameters
    ----------
    records : iterable of mapping
        One per row.

    Returns
    -------
    str
        With line ends of RFC 4180; only a line end for no records.
    """
    rows = flat_rows(records)
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]) if rows else [])
    writer.writerow({name: csv_cell(name) for name in writer.fieldnames})
    writer.writerows({name: csv_cell(value) for name, value in row.items()} for row in rows)
    return text.getvalue()


def csv_cell(value: Any) -> Any:
    """A cell that no spreadsheet takes for a formula: text that begins like one gets an apostrophe in front.

    Parameters
    ----------
    value : object
        A number, which stays as it is, or text.

    Returns
    -------
    object
    """
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def latex_text(text: str) -> str:
    r"""Text that LaTeX sets as it stands: its special characters escaped, control characters left out.

    Parameters
    ----------
    text : str
        From a file or a model.

    Returns
    -------
    str

    Examples
    --------
    >>> print(latex_text(r"50 % of a_b \input{x}"))
    50 \% of a\_b \textbackslash{}input\{x\}
    """
    return "".join(_LATEX.get(c, c) for c in text if c.isprintable())


def _columns(key: str, value: Any) -> list[tuple[str, Any]]:
    if key.endswith("interval") and (value is None or (isinstance(value, list | tuple) and len(value) == 2)):
        lower, upper = (None, None) if value is None else value
        return [(f"{key}_lower", lower), (f"{key}_upper", upper)]
    if isinstance(value, list | tuple):
        return [(key, "; ".join(str(part) for part in value))]
    if value is None or isinstance(value, bool | int | float | str):
        return [(key, value)]
    item = getattr(value, "item", None)  # a numpy scalar
    return [(key, item() if item is not None else str(value))]


def _shown(name: str, value: Any) -> str:
    """A cell; ends of intervals and p-values are rounded outward, levels down."""
    if value is None:
        return "\N{EN DASH}"
    if not isinstance(value, float):
        return str(value)
    if value == value and name.endswith(("upper", "p_value")):
        return text_up(value, 5)
    if name.endswith("confidence_level"):
        return text_level(value, 5)
    return text_down(value, 5) if value == value and name.endswith("lower") else f"{value:.5g}"


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingExtraError(f"this table needs {name}: pip install {name}, or use to_records or to_csv") from error
