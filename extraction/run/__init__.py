"""Harvests that survive interruption, run in shards, and stop as soon as a question is decided."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
