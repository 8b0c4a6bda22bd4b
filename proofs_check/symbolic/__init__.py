"""Machine-checked algebra of the theorems: every step decided by exact computation, or named as cited.

>>> from proofs_check.symbolic import prove
>>> proof = prove("lemma1")
>>> proof.ok, proof.cited
(True, ('triangle inequality of the distance',))
>>> prove("lemma1", first="39/10").ok, prove("lemma1", first="19/10").ok
(False, False)
"""

from proofs_check.symbolic.draft import Proof, Step
from proofs_check.symbolic.theorems import available, constants, prove

__all__ = ["Proof", "Step", "available", "constants", "prove"]
