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

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
