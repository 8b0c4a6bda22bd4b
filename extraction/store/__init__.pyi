from .choice import choose_tokens, in_part
from .harvest import harvest_activations
from .writer import ActivationWriter, disk_need, make_spec

__all__ = [
    "ActivationWriter",
    "choose_tokens",
    "disk_need",
    "harvest_activations",
    "in_part",
    "make_spec",
]
