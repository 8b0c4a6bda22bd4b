"""Bounds: every theorem of the paper as printed and as sharpened, one idea per file.

Modules: `lemmas`, `tail` (Proposition 1), `lipschitz` (Theorem 1), `plug_in` (2), `fano` (3),
`braun_pokutta` (4), `pinsker` (5), `mismatch` (5 without entropy or chain), `task_range` (constants of a
task) and `implications` (the graph that joins them). Importing the package registers all of them.
"""

from redundancy.bounds import braun_pokutta, fano, implications, lemmas, lipschitz, mismatch, pinsker, plug_in, tail
from redundancy.bounds.implications import derive
from redundancy.bounds.task_range import TaskRange

__all__ = [
    "TaskRange",
    "braun_pokutta",
    "derive",
    "fano",
    "implications",
    "lemmas",
    "lipschitz",
    "mismatch",
    "pinsker",
    "plug_in",
    "tail",
]
