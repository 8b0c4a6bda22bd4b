"""A model family of another package: a function from a model to its adapter."""

from extraction.models.adapters import Adapter, generic_adapter


def adapter(model) -> Adapter:
    """By the general recipe, with vision ids of its own."""
    return generic_adapter(model, vision_ids=(7,), family="example")
