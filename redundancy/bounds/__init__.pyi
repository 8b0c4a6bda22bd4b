from . import braun_pokutta, fano, implications, lemmas, lipschitz, mismatch, performance_gap, pinsker, plug_in, tail
from .implications import derive
from .task_range import TaskRange

__all__ = [
    "TaskRange",
    "braun_pokutta",
    "derive",
    "fano",
    "implications",
    "lemmas",
    "lipschitz",
    "mismatch",
    "performance_gap",
    "pinsker",
    "plug_in",
    "tail",
]
