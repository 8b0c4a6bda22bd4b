"""Bounds: every theorem of the paper as printed and as sharpened, one idea per file.

Modules: `lemmas`, `tail` (Proposition 1), `lipschitz` (Theorem 1), `plug_in` (2), `fano` (3),
`braun_pokutta` (4), `pinsker` (5), `mismatch` (5 without entropy or chain), `performance_gap`, `laws`
(exact values), `task_range` (constants of a task), `implications` (the graph that joins them), `claims` (what no
function computes) and `ledger` (the records of all). A certificate finds the function of its theorem by itself.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
