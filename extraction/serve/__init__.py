"""A plan served: OpenAI's chat protocol over one model, with batches, limits, metrics and audits."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
