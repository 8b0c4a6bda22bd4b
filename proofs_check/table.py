"""The proof table: one row per statement of the ledger, one cell per method, and what they amount to."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from proofs_check import symbolic
from proofs_check.adversary import Tightness, tightness
from proofs_check.exact.law import Law
from proofs_check.mutations import MutationResult, all_mutations, try_mutation
from proofs_check.pool import random_laws
from proofs_check.refute import candidates, refute
from proofs_check.shannon.claims import ShannonResult, check_claims
from proofs_check.statements import Statement, statements_of
from redundancy.bounds.ledger import TheoremRecord

__all__ = ["METHODS", "RESULTS", "Cell", "Row", "Settings", "examine"]

METHODS = ("shannon", "symbolic", "exact", "property", "tightness", "mutants")
RESULTS = {
    "proved": "every step is decided by exact algebra or by the Shannon prover, or cites a named theorem",
    "tested": "no machine proof: exact checks on extremal and random laws, and all mutants refuted",
    "refuted": "false as printed: an exact counterexample is given",
    "definition": "nothing to prove",
    "FAILED": "a check found a fault",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How hard to look.

    Parameters
    ----------
    seed : int
        Of the random laws and restarts.
    n_laws : int
        Random laws, shared by all statements.
    evaluations : int
        Per search of the adversary.
    restarts : int
        Further searches per statement, from random tilts.
    """

    seed: int = 0
    n_laws: int = 150
    evaluations: int = 150
    restarts: int = 0

    @classmethod
    def deep(cls, seed: int = 0) -> Settings:
        """Hours, not a minute."""
        return cls(seed=seed, n_laws=10_000, evaluations=5_000, restarts=60)


@dataclass(frozen=True, slots=True)
class Cell:
    """What one method says of one statement: `ok` is None where it does not apply, `whole` if it proves all of it.

    Parameters
    ----------
    ok : bool or None
        No fault found, a fault, or not applicable.
    text : str
        What the table shows.
    details : object
        JSON values behind it.
    whole : bool
        Whether the method proves all of the statement, not a part or an example.
    """

    ok: bool | None = None
    text: str = ""
    details: Any = None
    whole: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {"ok": self.ok, "text": self.text, "details": self.details}


@dataclass(frozen=True, slots=True)
class Row:
    """A statement of the ledger, the cells of all methods, and the mutants that were tried.

    Parameters
    ----------
    record : TheoremRecord
        The statement.
    cells : dict of str to Cell
        By method, a key of `METHODS`.
    mutants : tuple of MutationResult
        False variants that were tried.
    proofs : tuple of str
        Texts of the proofs.
    """

    record: TheoremRecord
    cells: dict[str, Cell]
    mutants: tuple[MutationResult, ...] = ()
    proofs: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether no method found a fault."""
        return all(cell.ok is not False for cell in self.cells.values()) and self.result != "FAILED"

    @property
    def result(self) -> str:
        """A key of `RESULTS`."""
        cells = self.cells.values()
        if any(cell.ok is False for cell in cells):
            return "FAILED"
        if not any(cell.ok for cell in cells):
            # Only definitions may go without a check.
            return "definition" if is_definition(self.record) else "FAILED"
        if self.record.status == "refuted":
            return "refuted"
        return "proved" if any(cell.ok and cell.whole for cell in cells) else "tested"

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "id": self.record.id,
            "title": self.record.title,
            "status": self.record.status,
            "statement": self.record.statement,
            "result": self.result,
            "ok": self.ok,
            **{name: self.cells[name].to_dict() for name in METHODS},
        }


def is_definition(record: TheoremRecord) -> bool:
    """Whether the entry defines a notion and claims nothing."""
    return record.id.startswith("def") and "." not in record.id


def examine(
    records: Iterable[TheoremRecord], settings: Settings | None = None, *, done: Callable[[str], None] = lambda _: None
) -> list[Row]:
    """Run all methods on the given statements of the ledger; call `done` with the id of each finished one.

    Parameters
    ----------
    records : iterable of TheoremRecord
        Statements of the ledger.
    settings : Settings, optional
        How hard to look; the defaults without it.
    done : callable, optional
        Called with the id of each statement that is finished.

    Returns
    -------
    list of Row
        In the order of `records`.
    """
    settings = settings or Settings()
    pool = random_laws(settings.seed, settings.n_laws)
    rows = []
    for record in records:
        rows.append(_row(record, settings, pool))
        done(record.id)
    return rows


def _row(record: TheoremRecord, settings: Settings, pool: Sequence[Law]) -> Row:
    statements = statements_of(record.id)
    shannon = check_claims(record.id)
    proof = symbolic.prove(record.id)
    mutants = tuple(try_mutation(m, pool) for m in all_mutations() if m.theorem == record.id)
    true = [s for s in statements if s.true]
    tight = [
        tightness(s, pool, seed=settings.seed, evaluations=settings.evaluations, restarts=settings.restarts)
        for s in true
    ]
    cells = {
        "shannon": _shannon(shannon),
        "symbolic": _symbolic(proof),
        "exact": _exact(statements, pool),
        "property": _property(true, pool),
        "tightness": _tightness(tight),
        "mutants": _mutants(mutants),
    }
    proofs = [str(r) for r in shannon]
    return Row(record, cells, mutants, tuple(proofs if proof is None else [*proofs, str(proof)]))


def _shannon(results: Sequence[ShannonResult]) -> Cell:
    if not results:
        return Cell()
    bad = [r for r in results if not r.ok]
    whole = any(r.claim.whole for r in results)
    return Cell(not bad, f"{len(results) - len(bad)}/{len(results)}", [r.to_dict() for r in results], whole)


def _symbolic(proof: symbolic.Proof | None) -> Cell:
    if proof is None:
        return Cell()
    text = f"{len(proof.steps)} steps" if proof.ok else "FAILS"
    return Cell(proof.ok, text, proof.to_dict(), whole=True)


def _exact(statements: Sequence[Statement], pool: Sequence[Law]) -> Cell:
    """True statements hold on all laws of their families; false ones are broken by a law."""
    if not statements:
        return Cell()
    details: list[dict[str, Any]] = []
    n_laws, ok, refuted = 0, True, False
    for statement in statements:
        entry: dict[str, Any] = {"statement": statement.name, "claim": statement.claim, "true": statement.true}
        if statement.true:
            verdicts = [v for v in map(statement.check, candidates(statement)) if v.applies]
            broken = sum(v.broken for v in verdicts)
            n_laws += len(verdicts)
            ok = ok and not broken and bool(verdicts)
            entry |= {"laws": len(verdicts), "broken": broken, "equal": sum(v.equal for v in verdicts)}
        else:
            found = refute(statement, pool)
            refuted = True
            ok = ok and found is not None
            entry |= {"counterexample": None if found is None else found.to_dict()}
        details.append(entry)
    text = " + ".join([*([_count(n_laws)] if n_laws else []), *(["refuted"] if refuted else [])])
    return Cell(ok, text if ok else "FAILED", details)


def _property(statements: Sequence[Statement], pool: Sequence[Law]) -> Cell:
    if not statements:
        return Cell()
    details = []
    total, ok = 0, True
    for statement in statements:
        verdicts = [(law, v) for law in pool if (v := statement.check(law)).applies]
        broken = [str(v) for _, v in verdicts if v.broken]
        total += len(verdicts)
        ok = ok and not broken
        details.append({"statement": statement.name, "laws": len(verdicts), "broken": broken})
    return Cell(ok if total else None, _count(total) if ok else "FAILED", details)


def _tightness(results: Sequence[Tightness]) -> Cell:
    if not results:
        return Cell()
    violated = any(r.violation for r in results)
    text = "attained" if all(r.attained for r in results) else _floor(min(r.ratio for r in results))
    return Cell(not violated, "VIOLATED" if violated else text, [r.to_dict() for r in results])


def _floor(ratio: float) -> str:
    """Four digits, rounded down: 1 is said of equality only."""
    return f"{math.floor(ratio * 1e4) / 1e4:.4f}"


def _count(n: int) -> str:
    return f"{n} law{'s' * (n != 1)}"


def _mutants(results: Sequence[MutationResult]) -> Cell:
    if not results:
        return Cell()
    killed = sum(r.killed for r in results)
    return Cell(killed == len(results), f"{killed}/{len(results)}", [r.to_dict() for r in results])
