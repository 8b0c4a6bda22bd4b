"""Shannon-type inequalities: state them in plain syntax, prove them by exact certificates, or see why they fail.

Examples
--------
>>> print(prove("I(Z;X|Y) <= H(X|Y)").summary)
proved: 1 term
>>> print(prove("I(Z;X|Y) <= I(Z;X)", given="Y -> X -> Z").summary)
proved: 1 term, 1 premise
>>> prove("I(Z;X|Y) <= I(Z;X)").summary
'not Shannon-provable'
"""

from proofs_check.shannon.certificate import Certificate, ShannonProof, verify
from proofs_check.shannon.cone import NotProvable
from proofs_check.shannon.language import Premise, parse_claim, parse_premises
from proofs_check.shannon.prover import prove
from proofs_check.shannon.search import LawCounterexample, find_counterexample

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
