"""Where the layers and vision tokens of a model are: one small record per model, guessed or per family."""

from extraction.models.adapters.base import Adapter, generic_adapter
from extraction.models.adapters.registry import FAMILIES, adapt

__all__ = ["FAMILIES", "Adapter", "adapt", "generic_adapter"]
