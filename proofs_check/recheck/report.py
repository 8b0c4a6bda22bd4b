"""What a re-check says: one row per record, confirmed, refuted with the field that is wrong, or not covered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["CONFIRMED", "REFUTED", "UNCOVERED", "RecheckReport", "Row"]

CONFIRMED = "confirmed"
REFUTED = "refuted"
UNCOVERED = "no independent formula"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """The outcome for one record.

    Parameters
    ----------
    place : str
        Where the record stands, as ``"pairs[0].statements[5].tail_prob"``.
    theorem : str
        Its theorem id, "" for the file as a whole.
    status : str
        `CONFIRMED`, `REFUTED` or `UNCOVERED`.
    field : str
        The field that is wrong, "" if none is.
    detail : str
        What was found there and what was recomputed.
    stored, recomputed : str
        The two intervals, as text.
    """

    place: str
    theorem: str
    status: str
    field: str = ""
    detail: str = ""
    stored: str = ""
    recomputed: str = ""

    def __str__(self) -> str:
        text = f"{self.place or 'certificate'} {self.theorem}: {self.status}"
        return text + (f", {self.field}: {self.detail}" if self.field else f" ({self.detail})" if self.detail else "")

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True, kw_only=True)
class RecheckReport:
    """All rows; `ok` if every one was confirmed.

    Parameters
    ----------
    rows : tuple of Row
        One per record that was read.
    """

    rows: tuple[Row, ...]

    @property
    def ok(self) -> bool:
        """Whether every record was confirmed: none refuted, none without a formula."""
        return bool(self.rows) and all(row.status == CONFIRMED for row in self.rows)

    @property
    def refuted(self) -> tuple[Row, ...]:
        """Rows that are wrong."""
        return tuple(row for row in self.rows if row.status == REFUTED)

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        count = {s: sum(r.status == s for r in self.rows) for s in (CONFIRMED, REFUTED, UNCOVERED)}
        tally = f"{count[CONFIRMED]} confirmed, {count[REFUTED]} refuted, {count[UNCOVERED]} without a formula here"
        shown = [str(row) for row in self.rows if row.status != CONFIRMED]
        return "\n".join([*shown, tally])

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"ok": self.ok, "rows": [row.to_dict() for row in self.rows]}
