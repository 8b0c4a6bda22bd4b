"""Where the layers and vision tokens of a model are: one small record per model, guessed or per family."""

from extraction.adapters.base import Adapter, generic_adapter
from extraction.adapters.registry import FAMILIES, adapt

__all__ = ["FAMILIES", "Adapter", "adapt", "generic_adapter"]
