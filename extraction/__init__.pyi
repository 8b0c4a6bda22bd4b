from . import data, default_model, models, skip, study, tiny
from .harvesting.harvester import Harvester
from .harvesting.options import HarvestOptions
from .harvesting.stream import harvest
from .models.encoders import harvest_encoder

__all__ = [
    "HarvestOptions",
    "Harvester",
    "data",
    "default_model",
    "harvest",
    "harvest_encoder",
    "models",
    "skip",
    "study",
    "tiny",
]
