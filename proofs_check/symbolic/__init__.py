"""Machine-checked algebra of the theorems: every step decided by exact computation, or named as cited.

>>> from proofs_check.symbolic import prove
>>> proof = prove("lemmas.squared_triangle_upper")
>>> proof.ok, proof.cited
(True, ('triangle inequality of the distance',))
>>> prove("lemmas.squared_triangle_upper", first="39/10").ok, prove("lemmas.squared_triangle_upper", first="19/10").ok
(False, False)
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
