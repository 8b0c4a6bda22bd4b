from .certificate import Certificate, ShannonProof, verify
from .cone import NotProvable
from .language import Premise, parse_claim, parse_premises
from .prover import prove
from .search import LawCounterexample, find_counterexample

__all__ = [
    "Certificate",
    "LawCounterexample",
    "NotProvable",
    "Premise",
    "ShannonProof",
    "find_counterexample",
    "parse_claim",
    "parse_premises",
    "prove",
    "verify",
]
