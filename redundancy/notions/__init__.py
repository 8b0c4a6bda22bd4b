"""The paper's four definitions of redundancy, as functions of data and as verdicts on evidence."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
