"""The entropic part of each theorem of the ledger: what the Shannon prover must prove, and what it must not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from proofs_check.shannon import LawCounterexample, NotProvable, ShannonProof, find_counterexample, prove

__all__ = ["SHANNON_CLAIMS", "ShannonClaim", "ShannonResult", "check_claims"]

_NATURAL = "Z -> Y -> X"  # X is computed from Y, the previous layer
_PRINTED = "Y -> X -> Z"  # what Theorem 5 assumes
_CODES = ("A = f(X)", "B = g(Y)")
_FANO = "E = f(X,Y)"  # E says whether x lies in the list, or in which shell
_DEFINITION_5 = ("UniX + UniY + Red + Syn = H(X)", "UniX + Red = H(X)", "UniY + Red = I(X;Y)")
_ATOMS = ("UniX", "UniY", "Red", "Syn")
_TASK_ATOMS = ("UniX + UniY + Red + Syn = I(Z;X,Y)", "UniX + Red = I(Z;X)", "UniY + Red = I(Z;Y)")


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


_INFORMATION = ShannonClaim("I(Z;X|Y) <= H(X|Y)")
_BACKWARD = ShannonClaim("I(Z;Y|X) <= H(Y|X)")
_FANO_STEP = ShannonClaim("H(X|Y) <= H(E) + H(X|E,Y)", (_FANO,))
_PROCESSING = ShannonClaim("I(A;B) <= I(X;Y)", _CODES)
_LOST = (ShannonClaim("I(Z;X|Y) = 0", (_NATURAL,)), ShannonClaim("I(Z;Y|X) = 0", (_PRINTED,)))

SHANNON_CLAIMS: dict[str, tuple[ShannonClaim, ...]] = {
    "lemmas.divergence_information": (ShannonClaim("I(Z;X|Y) = I(Z;X) - I(Z;Y)", (_PRINTED,)),),
    "lemmas.self_unique_information": (
        ShannonClaim("UniX = H(X|Y)", _DEFINITION_5, _ATOMS, whole=True),
        ShannonClaim("Syn = 0", _DEFINITION_5, _ATOMS),
    ),
    "plug_in.function_upper": (ShannonClaim("I(Z;X|Y) = 0", ("X = f(Y)",)),),
    "fano.printed_upper": (_FANO_STEP, ShannonClaim("H(X|Y) = H(E|Y) + H(X|E,Y)", (_FANO,))),
    "fano.list_upper": (_FANO_STEP,),
    "fano.sized_lists_upper": (
        ShannonClaim("H(X|Y) <= H(E|S) + H(X|E,Y)", (_FANO, "S = g(Y)")),
        ShannonClaim("H(X|Y) = H(E|Y) + H(X|E,Y)", (_FANO,)),
    ),
    "fano.ball_upper": (ShannonClaim("H(X|Y) = H(E|Y) + H(X|E,Y)", (_FANO,)),),
    "fano.best_radius_upper": (_FANO_STEP,),
    "fano.shells_upper": (_FANO_STEP,),
    "fano.best_shells_upper": (_FANO_STEP,),
    "pinsker.printed_upper": (_INFORMATION, _LOST[1]),
    "pinsker.chain_information_upper": _LOST,
    "pinsker.chain_entropy_upper": (_INFORMATION, _BACKWARD),
    "pinsker.free_information_upper": (ShannonClaim("I(Z;X|Y) + I(Z;Y|X) <= 2 I(Z;X,Y)"),),
    "pinsker.free_entropy_upper": (_INFORMATION, _BACKWARD),
    "performance_gap.performance_gap_upper": (
        ShannonClaim("UniX <= I(Z;X|Y)", _TASK_ATOMS, _ATOMS),
        ShannonClaim("UniX = 0", (*_TASK_ATOMS, _NATURAL), _ATOMS),
    ),
    "claim.information_redundancy": (
        # Much information does not keep the rest small.
        ShannonClaim("2 H(X|Y) <= I(X;Y)", ("I(X;Y) >= H(X|Y)",), true=False),
    ),
    "claim.informational_generalises_functional": (ShannonClaim("I(Z;Y|X) <= H(X|Y)", (_NATURAL,), true=False),),
    "claim.codes_bound_entropy": (
        _PROCESSING,
        ShannonClaim("H(A|Y) <= H(A|B)", _CODES),
        ShannonClaim("H(X|Y) <= H(A|B)", _CODES, true=False),
    ),
    "claim.information_chain": (
        ShannonClaim("I(Z;X|Y) <= I(Z;X)", (_PRINTED,)),
        ShannonClaim("I(Z;X|Y) <= I(Z;X)", true=False),
    ),
}


def check_claims(theorem: str) -> tuple[ShannonResult, ...]:
    """Prove or refute all claims of one theorem; empty if it has no entropic part."""
    return tuple(_check(claim) for claim in SHANNON_CLAIMS.get(theorem, ()))


def _check(claim: ShannonClaim) -> ShannonResult:
    outcome = prove(claim.text, claim.given, atoms=claim.atoms)
    law = None if claim.true else find_counterexample(claim.text, claim.given)
    return ShannonResult(claim, outcome, law)
