"""Public Hypothesis strategies for laws, chains, points and samples: small, exact where wanted, readable when shrunk.

They draw small integers and normalise, so they reach exact zeros and degenerate shapes (one symbol, equal
layers, independent layers, permutations) and shrink to laws that one can check by hand. Every table follows
the convention of `redundancy`: axes ``(x_next, x_prev)`` or ``(x_next, x_prev, z)``.

Examples
--------
>>> from hypothesis import HealthCheck, given, settings
>>> from proofs_check.strategies import joint_pmfs
>>> from redundancy.info.entropy import conditional_entropy
>>> @settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # the clock of a busy machine is no fault
... @given(joint=joint_pmfs())
... def test_entropy_is_not_negative(joint):
...     assert conditional_entropy(joint) >= -1e-12
>>> test_entropy_is_not_negative()
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
