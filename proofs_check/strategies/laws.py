"""The Hypothesis strategy for whole laws: masses, points, task values, distances and what a statement needs besides."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
from hypothesis import strategies as st

from proofs_check.exact.extras import complete
from proofs_check.exact.law import Law
from proofs_check.exact.points import Point
from proofs_check.strategies import codebooks, joint_pmfs, markov_chains, symmetric_distances, unit_vectors

__all__ = ["laws"]

_CHAINS = {"previous - next - task": "prev-next-task", "next - previous - task": "next-prev-task"}
_TABLES = {"distance table", "balls", "range", "grid", "shells", "test function", "distances", "no mass in the tail"}
_TABLES |= {"square distance table", "distances up to one"}
_ON_POINTS = {"unit norm", "cosine"}  # rho is that of the points
_SAMPLES = {"sample", "outcomes", "shares", "finite population", "tokens", "two units"}


def laws(*needs: str, max_size: int = 3) -> st.SearchStrategy[Law]:
    """Exact laws of (x_next, x_prev, z) that suit the assumptions of a statement.

    Chains hold exactly, unit vectors are rational, distance tables are symmetric with many ties; probes,
    guesses, lists and codes are drawn, or those that the law itself suggests. Assumptions that cannot be built
    in are left to the statement, which says on which laws it applies.

    Parameters
    ----------
    *needs : str
        Names of assumptions.
    max_size : int, default=3
        Largest alphabet.

    Returns
    -------
    SearchStrategy of Law
    """
    return _samples("outcomes" in needs) if _SAMPLES & set(needs) else _laws(frozenset(needs), max_size)


@st.composite
def _laws(draw: st.DrawFn, needs: frozenset[str], max_size: int) -> Law:
    chain = next((_CHAINS[n] for n in needs if n in _CHAINS), None)
    size = st.integers(1, max_size)
    k = draw(size)
    shared = bool(needs & (_TABLES | {"one alphabet"})) or draw(st.booleans())
    sizes = (k, k if shared else draw(size), draw(size))
    table = draw(
        joint_pmfs(sizes=sizes, exact=True) if chain is None else markov_chains(chain, sizes=sizes, exact=True)
    )
    points = unit_vectors(2, count=max(sizes[:2]), exact=True) if "unit norm" in needs else codebooks(
        max(sizes[:2]), 2, exact=True
    )  # fmt: skip
    states = _rows(draw(points))
    x = states[: sizes[0]]
    y = states[: sizes[1]] if shared else _rows(draw(points))[: sizes[1]]
    dims = 2 if "one space with task" in needs else draw(st.integers(1, 2))
    z = _rows(draw(codebooks(sizes[2], dims, exact=True)))
    masses = {(int(i), int(j), int(c)): Fraction(p) for (i, j, c), p in _cells(table) if p}
    top = 1 if "distances up to one" in needs else 2
    rho = None
    if needs & _TABLES and not needs & _ON_POINTS:
        rho = _rows(draw(symmetric_distances(k, largest=top, exact=True)))
    law = Law(masses, x, y, z, rho, Fraction(draw(st.integers(0, 8)), 4) * top / 2, {"rho_max": top})
    return complete(Law(masses, x, y, z, rho, law.t, {**law.extra, **draw(_extras(law))}))


def _extras(law: Law) -> st.SearchStrategy[dict[str, Any]]:
    """Some extras drawn freely; those that are not come from the law itself."""
    k, m, dims = len(law.x), len(law.y), len(law.z[0])
    half = st.integers(-4, 4).map(lambda v: Fraction(v, 2))
    probe = st.tuples(*[half] * dims)
    top = Fraction(law.largest)
    inner = st.integers(1, 7).map(lambda v: top * v / 8)
    return st.fixed_dictionaries(
        {"eps": st.integers(1, 9).map(lambda v: Fraction(v, 8))},
        optional={
            "probe_next": st.tuples(*[probe] * k),
            "probe_prev": st.tuples(*[probe] * m),
            "guess_next": st.tuples(*[st.integers(0, k - 1)] * m),
            "guess_prev": st.tuples(*[st.integers(0, m - 1)] * k),
            "code_next": st.tuples(*[st.integers(0, k - 1)] * k),
            "code_prev": st.tuples(*[st.integers(0, m - 1)] * m),
            "lists": st.tuples(*[st.frozensets(st.integers(0, k - 1))] * m),
            "direction": st.tuples(*[st.integers(-3, 3).map(Fraction)] * len(law.x[0])),
            "grid": st.sets(inner, max_size=3).map(lambda s: (Fraction(0), *sorted(s), top)),
            "cuts": st.sets(inner, min_size=1, max_size=2).map(lambda s: tuple(sorted(s))),
        },
    )


@st.composite
def _samples(draw: st.DrawFn, outcomes: bool) -> Law:
    """One observed unit with a value among 0, 1 and perhaps 1/2, and a small number of draws."""
    weights = draw(st.lists(st.integers(0, 9), min_size=2, max_size=2 if outcomes else 3).filter(any))
    values = ((Fraction(0),), (Fraction(1),), (Fraction(1, 2),))[: len(weights)]
    masses = {(i, 0, 0): Fraction(w, sum(weights)) for i, w in enumerate(weights) if w}
    n = draw(st.integers(1, 5))
    extra: dict[str, Any] = {
        "n": n,
        "delta": Fraction(1, draw(st.integers(3, 20))),
        "tokens": draw(st.integers(1, 3)),
    }
    whole = sum(weights)
    if whole >= n:
        extra["population"] = whole
    return complete(Law(masses, values, ((),), ((Fraction(0),),), None, Fraction(0), extra))


def _rows(table: Any) -> tuple[Point, ...]:
    return tuple(tuple(Fraction(v) for v in row) for row in table)


def _cells(table: Any) -> list[tuple[tuple[int, int, int], Any]]:
    return list(np.ndenumerate(table))
