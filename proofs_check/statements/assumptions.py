"""Assumptions as predicates of a law: what a theorem needs, and what a mutation may drop."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

from proofs_check.exact.enclosure import Enclosure, Real, exceeds, log
from proofs_check.exact.law import Law
from proofs_check.exact.points import square

__all__ = ["ASSUMPTIONS", "add_assumption", "obeys"]

_FLOAT = 1e-9


def _close(a: Real, b: Real) -> bool:
    """Equality; for floats up to rounding."""
    return abs(a - b) < _FLOAT if isinstance(a, float) or isinstance(b, float) else bool(a == b)


def _unit(law: Law) -> bool:
    return law.rho is None and all(_close(square(point), Fraction(1)) for point in (*law.x, *law.y))


def _cosine(law: Law) -> bool:
    return law.rho is None and all(any(point) for point in (*law.x, *law.y))


def _positions(law: Law) -> bool:
    return len(law.x[0]) == len(law.y[0]) > 0


def _scalar(law: Law) -> bool:
    return len(law.z[0]) == 1


def _one_hot(law: Law) -> bool:
    return all(sorted(value) == [0] * (len(value) - 1) + [1] for value in law.task_values)


def _square_table(law: Law) -> bool:
    rho = law.rho
    if rho is None or not len(law.x) == len(law.y) == len(rho) or law.t < 0:
        return False
    symbols = range(len(rho))
    return all(len(row) == len(rho) for row in rho) and all(
        rho[i][j] == rho[j][i] and rho[i][i] == 0 for i in symbols for j in symbols
    )


def _is_map(law: Law, axis: int) -> bool:
    """Whether the layer on `axis` is a function of the other."""
    return len({k[1 - axis] for k in law.pair}) == len(law.pair)


def _one_alphabet(law: Law) -> bool:
    return law.x == law.y or (law.rho is not None and len(law.x) == len(law.y))


def _measured(law: Law) -> bool:
    """Whether all distances are exact numbers that can be ordered."""
    if law.rho is not None:
        return True
    if not (_cosine(law) and _positions(law)):
        return False
    return not any(isinstance(law.distance(i, j), Enclosure) for i in range(len(law.x)) for j in range(len(law.y)))


def _ranged(law: Law) -> bool:
    top = law.largest
    return _measured(law) and all(law.distance(i, j) <= top for i, j in law.pair) and 0 <= law.t <= top


def _copies_next(law: Law) -> bool:
    """Whether z is a relabelling of x."""
    pairs = law.marginal("xz")
    return len(pairs) == len(law.next_law) == len({k for _, k in pairs})


def _same_margins(law: Law) -> bool:
    other = law.extra.get("other")
    if not isinstance(other, Law):
        return False
    return all(
        set(a) == set(b) and all(_close(a[k], b[k]) for k in a)
        for a, b in ((law.marginal(axes), other.marginal(axes)) for axes in ("xz", "yz"))
    )


def _grid(law: Law) -> bool:
    grid = law.extra.get("grid")
    return grid is not None and _ranged(law) and grid[0] == 0 and grid[-1] == law.largest


def _lists(law: Law) -> bool:
    return "lists" in law.extra


def _predictor(law: Law) -> bool:
    q = law.extra.get("predictor")
    return q is not None and all(q[j][i] > 0 for i, j in law.pair)


def _has(*names: str) -> Callable[[Law], bool]:
    return lambda law: all(name in law.extra for name in names)


ASSUMPTIONS: dict[str, tuple[str, Callable[[Law], bool]]] = {
    "unit norm": ("all states have norm 1, rho is the cosine distance", _unit),
    "cosine": ("rho is the cosine distance, no state is zero", _cosine),
    "one space": ("both layers have the same dimension", _positions),
    "one space with task": (
        "layers and task lie in one space",
        lambda law: _positions(law) and len(law.z[0]) == len(law.x[0]),
    ),
    "previous - next - task": ("Y - X - Z is a Markov chain", lambda law: law.obeys("O")),
    "next - previous - task": ("X - Y - Z is a Markov chain", lambda law: law.obeys("N")),
    "next is a function": ("X is a function of Y", lambda law: _is_map(law, 0)),
    "one alphabet": ("both layers take values in one alphabet", _one_alphabet),
    "distance table": ("rho is a table on a common finite alphabet", lambda law: law.rho is not None),
    "square distance table": (
        "rho is a symmetric table with zero diagonal on a common alphabet, t >= 0",
        _square_table,
    ),
    "range": ("0 <= rho <= r and 0 <= t <= r", _ranged),
    "radius below range": ("t < r", lambda law: law.t < law.largest),
    "distances": ("rho is defined, with exact values", _measured),
    "distances up to one": (
        "0 <= rho <= 1",
        lambda law: _measured(law) and all(0 <= law.distance(i, j) <= 1 for i, j in law.pair),
    ),
    "radius below one": ("0 <= t < 1", lambda law: 0 <= law.t < 1),
    "positive radius": ("t > 0", lambda law: law.t > 0),
    "grid": ("0 = t_0 < ... < t_m = r", _grid),
    "scalar or one-hot": ("the task is a number or a one-hot vector", lambda law: _scalar(law) or _one_hot(law)),
    "z is x": ("Z is X under other names", _copies_next),
    "same pairwise margins": ("Q has the marginals (X,Z) and (Y,Z) of P", _same_margins),
    "balls": (
        "some ball holds a point",
        lambda law: law.rho is not None and max(map(law.ball, range(len(law.y)))) >= 1,
    ),
    "lists": ("a list of symbols for every y", _lists),
    "lists of one size": (
        "lists of equally many symbols, at least one",
        lambda law: _lists(law) and len({len(s) for s in law.extra["lists"]}) == 1 and len(law.extra["lists"][0]) > 0,
    ),
    "predictor": ("a conditional law q(x|y), positive where P is", _predictor),
    "probes": ("a probe on each layer", _has("probe_next", "probe_prev")),
    "linear probe": ("one linear probe on both layers", lambda law: _has("direction")(law) and _positions(law)),
    "shells": ("thresholds that split the distances into shells", _has("cuts")),
    "test function": ("a function of the distance", _has("weights")),
    "guesses": ("g(Y) and g(X)", _has("guess_next", "guess_prev")),
    "codes": ("a code of each layer", _has("code_next", "code_prev")),
    "tail premise": ("P[rho > t] < (eps - t)/(1 - t)", lambda law: _premise(law)),
    "weak tail premise": ("P[rho > t] < eps/(1 - t)", lambda law: _premise(law, weak=True)),
    "tail premise, any t": ("P[rho > t] < (eps - t)/(1 - t), also for t > 1", lambda law: _premise(law, any_t=True)),
    "no mass in the tail": ("P[rho > t] = 0", lambda law: law.rho is not None and law.tail(law.t) == 0),
    "a bit in common": (
        "I(X;Y) >= ln 2",
        lambda law: not exceeds(log(Fraction(2)), law.mutual_information),
    ),
    "sample": (
        "n independent units with values in [0, 1], delta",
        lambda law: _has("n", "delta")(law) and all(len(v) == 1 and 0 <= v[0] <= 1 for v in law.x),
    ),
    "outcomes": (
        "n independent units with outcomes 0 or 1, delta",
        lambda law: _has("n", "delta")(law) and all(v in ((0,), (1,)) for v in law.x),
    ),
    "two units": ("n >= 2", lambda law: law.extra.get("n", 0) >= 2),
    "shares": (
        "n independent units with shares in [0, 1] beyond several thresholds, delta",
        lambda law: _has("n", "delta")(law) and all(0 <= w <= 1 for v in law.x for w in v),
    ),
    "finite population": ("n of N units drawn without replacement", _has("n", "delta", "population")),
    "tokens": ("k equal tokens in every image", _has("tokens")),
}


def _premise(law: Law, *, weak: bool = False, any_t: bool = False) -> bool:
    eps, t = law.extra.get("eps"), law.t
    if eps is None or t == 1 or (t > 1 and not any_t) or not _measured(law):
        return False
    return bool(law.tail(t) < (eps - (0 if weak else t)) / (1 - t))


def obeys(law: Law, need: str) -> bool:
    """Whether a law obeys one assumption; the answer is kept with the law."""
    known: dict[Any, bool] = law.__dict__.setdefault("_obeys", {})
    if need not in known:
        known[need] = bool(ASSUMPTIONS[need][1](law))
    return known[need]


def add_assumption(name: str, sentence: str, predicate: Callable[[Law], bool]) -> str:
    """Register an assumption of your own; returns its name.

    Parameters
    ----------
    name : str
        Unique.
    sentence : str
        The assumption in words.
    predicate : callable
        Whether a `Law` obeys it.

    Returns
    -------
    str
        The name.

    Raises
    ------
    KeyError
        If the name stands for another sentence.
    """
    if name in ASSUMPTIONS and ASSUMPTIONS[name][0] != sentence:
        raise KeyError(f"the assumption {name!r} exists already: {ASSUMPTIONS[name][0]}")
    ASSUMPTIONS[name] = (sentence, predicate)
    return name
