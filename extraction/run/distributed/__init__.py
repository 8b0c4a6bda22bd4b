"""One harvest by several processes or machines: worker processes, ranks, Ray actors; with the bits of one run."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
