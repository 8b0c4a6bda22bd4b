"""Results as tables: flat rows for pandas, polars and CSV, and an HTML table in notebooks."""

from __future__ import annotations

import csv
import importlib
import io
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from redundancy.errors import MissingExtraError

__all__ = ["Tabular", "csv_text", "flat_rows"]

_MOST_ROWS = 40  # of a table shown in a notebook


class Tabular:
    """What a result needs to be a table: `to_records`, or `to_record` for a result that is one row.

    Examples
    --------
    >>> from redundancy.pid import broja
    >>> xor = broja([[[0.25, 0.0], [0.0, 0.25]], [[0.0, 0.25], [0.25, 0.0]]])
    >>> print(xor.to_csv().splitlines()[0])
    unique_x_lower,unique_x_upper,unique_y_lower,unique_y_upper,redundant_lower,redundant_upper,...
    """

    __slots__ = ()

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
            "<tr>" + "".join(f"<td>{escape(_shown(row[name]))}</td>" for name in columns) + "</tr>"
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
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


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


def _shown(value: Any) -> str:
    if value is None:
        return "\N{EN DASH}"
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingExtraError(f"this table needs {name}: pip install {name}, or use to_records or to_csv") from error
