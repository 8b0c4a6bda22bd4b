"""The proof table: one row per statement of the ledger, one cell per method, and what they amount to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from proofs_check.shannon_claims import ShannonResult, check_claims
from redundancy.ledger import TheoremRecord

__all__ = ["METHODS", "Cell", "Row", "examine"]

METHODS = ("shannon",)


@dataclass(frozen=True, slots=True)
class Cell:
    """What one method says of one statement: `ok` is None where it does not apply."""

    ok: bool | None
    text: str
    details: Any = None
    whole: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {"ok": self.ok, "text": self.text, "details": self.details}


_NOTHING = Cell(None, "")


@dataclass(frozen=True, slots=True)
class Row:
    """A statement and the cells of all methods."""

    record: TheoremRecord
    cells: dict[str, Cell]

    @property
    def ok(self) -> bool:
        """Whether no method found a fault."""
        return all(cell.ok is not False for cell in self.cells.values())

    @property
    def result(self) -> str:
        """One word: proved, refuted, tested, open (no method speaks of it), or FAILED."""
        if not self.ok:
            return "FAILED"
        if not any(cell.ok for cell in self.cells.values()):
            return "open"
        if self.record.status == "refuted":
            return "refuted"
        return "proved" if any(cell.ok and cell.whole for cell in self.cells.values()) else "tested"

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "id": self.record.id,
            "title": self.record.title,
            "status": self.record.status,
            "result": self.result,
            "ok": self.ok,
            **{name: self.cells[name].to_dict() for name in METHODS},
        }


def examine(records: Sequence[TheoremRecord]) -> list[Row]:
    """Run all methods on the given statements."""
    return [Row(record, {"shannon": _shannon(check_claims(record.id))}) for record in records]


def _shannon(results: Sequence[ShannonResult]) -> Cell:
    if not results:
        return _NOTHING
    bad = [r for r in results if not r.ok]
    text = f"{len(results) - len(bad)}/{len(results)}"
    whole = any(r.claim.whole for r in results)
    return Cell(not bad, text, [r.to_dict() for r in results], whole=whole)
