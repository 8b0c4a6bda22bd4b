"""Confidence bounds on means of bounded per-image values; images are the i.i.d. units, tokens never are.

Tokens of one image depend on each other, so no function here takes tokens as a sample: an interval that
counts tokens is too narrow at every sample size (theory.md section 3).
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

# Public names load on first use: whoever needs one bound pays for one.
_HOMES = {
    "AnytimeMeans": "anytime",
    "HolmVerdict": "multiplicity",
    "betting_lower": "betting",
    "betting_sequence_lower": "betting",
    "betting_sequence_upper": "betting",
    "betting_upper": "betting",
    "bonferroni": "multiplicity",
    "clopper_pearson_lower": "clopper_pearson",
    "clopper_pearson_upper": "clopper_pearson",
    "distribution_free_floor": "floor",
    "dkw_band": "clustered",
    "dkw_tail": "clustered",
    "empirical_bernstein_lower": "empirical_bernstein",
    "empirical_bernstein_upper": "empirical_bernstein",
    "finite_population_lower": "finite_population",
    "finite_population_upper": "finite_population",
    "hoeffding_lower": "hoeffding",
    "hoeffding_upper": "hoeffding",
    "holm": "multiplicity",
    "mean_capital": "multiplicity",
    "mean_p_value": "multiplicity",
    "minimum_n": "floor",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'redundancy.concentration' has no attribute {name!r}")
    value = getattr(import_module(f"redundancy.concentration.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
