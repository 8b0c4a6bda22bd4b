"""Independent re-check of stored certificates: one formula per theorem, written afresh, in exact arithmetic.

>>> from proofs_check.recheck import recheck
>>> from redundancy.bounds.lemmas import squared_sum_upper
>>> certificate = squared_sum_upper(first=1.0, second=2.0, third=0.5)
>>> report = recheck(certificate)
>>> report.ok, report.rows[0].status
(True, 'confirmed')
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
