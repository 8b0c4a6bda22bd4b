"""The entropic part of each theorem of the ledger: what the Shannon prover must prove, and what it must not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from proofs_check.rooms import gather
from proofs_check.shannon import LawCounterexample, NotProvable, ShannonProof, find_counterexample, prove

__all__ = ["ShannonClaim", "ShannonResult", "check_claims"]


@dataclass(frozen=True, slots=True)
class ShannonClaim:
    """A linear claim about entropies; X is the next layer, Y the previous one, Z the task.

    Parameters
    ----------
    text, given, atoms
        As `proofs_check.shannon.prove`.
    whole : bool
        Whether it is the whole theorem or one step of it.
    true : bool
        Claims that are false must get a witness and a law that breaks them.
    """

    text: str
    given: tuple[str, ...] = ()
    atoms: tuple[str, ...] = ()
    whole: bool = False
    true: bool = True


@dataclass(frozen=True, slots=True)
class ShannonResult:
    """What the prover said; `ok` if that is what the ledger says.

    Parameters
    ----------
    claim : ShannonClaim
        What was asked, and whether it should be true.
    outcome : ShannonProof or NotProvable
        From the prover.
    law : LawCounterexample, optional
        For a false claim, a law that breaks it.
    """

    claim: ShannonClaim
    outcome: ShannonProof | NotProvable
    law: LawCounterexample | None = None

    @property
    def ok(self) -> bool:
        """Proved if true; if false not provable, with an exact witness and a law."""
        if self.claim.true:
            return self.outcome.proved
        return isinstance(self.outcome, NotProvable) and not self.outcome.verify() and self.law is not None

    @property
    def summary(self) -> str:
        """One line."""
        if self.claim.true:
            return self.outcome.summary
        return "refuted by a law" if self.law is not None else self.outcome.summary

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "claim": self.claim.text,
            "given": list(self.claim.given),
            "expected": "true" if self.claim.true else "false",
            "whole": self.claim.whole,
            "ok": self.ok,
            "summary": self.summary,
            "proof": str(self.outcome),
            "counterexample": None if self.law is None else str(self.law),
        }

    def __str__(self) -> str:
        return str(self.outcome) if self.law is None else f"{self.outcome}\n{self.law}"


def check_claims(theorem: str) -> tuple[ShannonResult, ...]:
    """Prove or refute all claims of one theorem; empty if it has no entropic part."""
    return tuple(_check(claim) for room in gather("ENTROPIC") for claim in room.get(theorem, ()))


def _check(claim: ShannonClaim) -> ShannonResult:
    outcome = prove(claim.text, claim.given, atoms=claim.atoms)
    law = None if claim.true else find_counterexample(claim.text, claim.given)
    return ShannonResult(claim, outcome, law)
