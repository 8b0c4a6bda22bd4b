from .base import Adapter, generic_adapter
from .registry import FAMILIES, adapt

__all__ = [
    "FAMILIES",
    "Adapter",
    "adapt",
    "generic_adapter",
]
