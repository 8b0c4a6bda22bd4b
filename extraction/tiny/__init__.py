"""Random tiny vision-language models built from config classes, for tests and self-checks: no download."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
