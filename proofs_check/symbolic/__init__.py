"""Machine-checked algebra of the theorems: every step decided by exact computation, or named as cited.

>>> from proofs_check.symbolic import prove
>>> proof = prove("lemmas.squared_triangle_upper")
>>> proof.ok, proof.cited
(True, ('triangle inequality of the distance',))
>>> prove("lemmas.squared_triangle_upper", first="39/10").ok, prove("lemmas.squared_triangle_upper", first="19/10").ok
(False, False)
"""

from proofs_check.symbolic.draft import Proof, Step
from proofs_check.symbolic.theorems import available, constants, prove

__all__ = ["Proof", "Step", "available", "constants", "prove"]
