from .buffers import StoreOptions
from .folder import HarvestFolder
from .loop import HarvestRun, harvest_to
from .question import Question

__all__ = [
    "HarvestFolder",
    "HarvestRun",
    "Question",
    "StoreOptions",
    "harvest_to",
]
