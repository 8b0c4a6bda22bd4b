"""Where the layers and vision tokens of a model are: one small record per model, guessed or per family."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
