from .folder import HarvestFolder
from .loop import HarvestRun, harvest_to
from .question import Question
from .shelf import StoreOptions

__all__ = [
    "HarvestFolder",
    "HarvestRun",
    "Question",
    "StoreOptions",
    "harvest_to",
]
