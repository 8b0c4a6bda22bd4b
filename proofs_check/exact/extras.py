"""What a law needs besides masses: probes, guesses, lists, codes, predictors; natural ones where none is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any

from proofs_check.exact.enclosure import Enclosure, Real
from proofs_check.exact.law import Law

__all__ = ["complete", "with_table"]


def complete(law: Law) -> Law:
    """The law with everything that a statement may ask for: exact probes, best guesses, the true predictor.

    What `law.extra` has already is kept.
    """
    return replace(law, extra={**_defaults(law), **law.extra})


def with_table(law: Law) -> Law | None:
    """The same law with its rational cosine distances as a table; None if they are irrational."""
    table = _cosines(law)
    return None if table is None else replace(law, rho=table)


def _defaults(law: Law) -> dict[str, Any]:
    zero = tuple(Fraction(0) for _ in law.z[0])
    best_next = tuple(_best(law, 1, j) for j in range(len(law.y)))
    best_prev = tuple(_best(law, 0, i) for i in range(len(law.x)))
    extras: dict[str, Any] = {
        "probe_next": tuple(law.f_next.get(i, zero) for i in range(len(law.x))),
        "probe_prev": tuple(law.f_prev.get(j, zero) for j in range(len(law.y))),
        "guess_next": best_next,
        "guess_prev": best_prev,
        "code_next": (0,) * len(law.x),
        "code_prev": (0,) * len(law.y),
        "lists": tuple(frozenset({i}) for i in best_next),
        "predictor": tuple(_row(law, j) for j in range(len(law.y))),
        "cuts": (law.t,),
        "other": law,
    }
    if law.x[0]:
        extras["direction"] = (Fraction(1), *(Fraction(0) for _ in law.x[0][1:]))
    if 0 < law.t < law.largest:
        extras["grid"] = (Fraction(0), law.t, law.largest)
    if law.rho is not None:
        extras["weights"] = tuple(p / q if p else Fraction(1, 1000) for _, p, q in law.distance_laws)
    return extras


def _best(law: Law, axis: int, value: int) -> int:
    masses = {k[1 - axis]: p for k, p in law.pair.items() if k[axis] == value}
    return max(sorted(masses), key=lambda s: masses[s]) if masses else 0


def _row(law: Law, j: int) -> Mapping[int, Real]:
    mass = law.prev_law.get(j)
    if mass is None:
        return dict.fromkeys(range(len(law.x)), Fraction(1, len(law.x)))
    return {i: law.pair.get((i, j), Fraction(0)) / mass for i in range(len(law.x))}


def _cosines(law: Law) -> tuple[tuple[Real, ...], ...] | None:
    if len(law.x[0]) != len(law.y[0]) or not law.x[0] or not all(any(p) for p in (*law.x, *law.y)):
        return None
    table = tuple(tuple(law.distance(i, j) for j in range(len(law.y))) for i in range(len(law.x)))
    return None if any(isinstance(r, (Enclosure, float)) for row in table for r in row) else table
