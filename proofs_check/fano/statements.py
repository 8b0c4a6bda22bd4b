"""Theorem 3, as checkable statements."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import combinations

from proofs_check.exact.enclosure import Real, least, log, total
from proofs_check.exact.law import Law
from proofs_check.shannon.claims import ShannonClaim
from proofs_check.statements.base import Constants, Side, Statement

__all__ = ["ENTROPIC", "STATEMENTS", "all_distances", "binary_entropy", "fano_of_lists", "printed_fano", "times_log"]


_ONE = Fraction(1)


_FANO = ("uniform on a ball", "uniform errors", "star", "all far", "path, middle known")


def times_log(p: Real, x: Real) -> Real:
    """Product p log x with 0 log 0 = 0."""
    return p * log(x) if p else Fraction(0)


def binary_entropy(p: Real) -> Real:
    """H2(p)."""
    return times_log(p, 1 / p if p else 1) + times_log(1 - p, 1 / (1 - p) if p != 1 else 1)


def printed_fano(
    law: Law, c: Constants, *, open_balls: bool = False, most: int | None = None, rest: int | None = None
) -> Real:
    """Sum a H2(P) + b P log((K - N_min)/N_max) + d log N_max, capped at log K."""
    far = law.tail(law.t)
    balls = [law.ball(j, open_ball=open_balls) for j in range(len(law.y))]
    rest = len(law.x) - min(balls) if rest is None else rest
    inside = log(Fraction(max(balls) if most is None else most))
    return least(
        c["a"] * binary_entropy(far) + c["b"] * (times_log(far, Fraction(rest)) - far * inside) + c["d"] * inside,
        log(Fraction(len(law.x))),
    )


def fano_of_lists(law: Law, lists: Sequence[frozenset[int]], c: Constants) -> Real:
    """Sum a E h2(miss | size) + b E[hit log|L|] + d E[miss log(K - |L|)]."""
    size_of = [len(s) for s in lists]
    k = len(law.x)
    result: Real = Fraction(0)
    for size in sorted({size_of[j] for j in law.prev_law}):
        mass = total(p for j, p in law.prev_law.items() if size_of[j] == size)
        miss = total(p for (i, j), p in law.pair.items() if size_of[j] == size and i not in lists[j])
        result = result + c["a"] * mass * binary_entropy(miss / mass)
        result = result + c["b"] * times_log(mass - miss, Fraction(size))
        result = result + c["d"] * times_log(miss, Fraction(k - size))
    return result


def _balls(law: Law, t: Real) -> list[frozenset[int]]:
    return [frozenset(i for i in range(len(law.x)) if law.distance(i, j) <= t) for j in range(len(law.y))]


def all_distances(law: Law) -> list[Real]:
    """Distances that the law knows, in increasing order."""
    return sorted({law.distance(i, j) for i in range(len(law.x)) for j in range(len(law.y))})


def _shells(law: Law, cuts: Sequence[Real], c: Constants) -> Real:
    """Sum a H(S) + b E log #{x : S(x,Y) = S} for the shells between the cuts."""
    shell = [[sum(law.distance(i, j) > cut for cut in cuts) for j in range(len(law.y))] for i in range(len(law.x))]
    masses: dict[int, Real] = {}
    inside: Real = Fraction(0)
    for (i, j), p in law.pair.items():
        s = shell[i][j]
        masses[s] = masses.get(s, 0) + p
        inside = inside + times_log(p, Fraction(sum(shell[k][j] == s for k in range(len(law.x)))))
    return c["a"] * total(times_log(p, 1 / p) for p in masses.values()) + c["b"] * inside


def _best_shells(law: Law, c: Constants) -> Real:
    inner = all_distances(law)[:-1]
    return least(
        *(_shells(law, cuts, c) for size in range(len(inner) + 1) for cuts in combinations(inner, size)),
    )


def _best_radius(law: Law, c: Constants) -> Real:
    return least(*(fano_of_lists(law, _balls(law, t), c) for t in all_distances(law)))


def _cross_entropy(law: Law, c: Constants) -> Real:
    q = law.extra["predictor"]
    return c["a"] * total(p * log(1 / q[j][i]) for (i, j), p in law.pair.items())


_TABLE = ("distance table", "range")


def _upper(
    theorem: str, claim: str, right: Side, needs: tuple[str, ...], names: str, families: tuple[str, ...]
) -> Statement:
    """A statement with H(next|prev) on the left and constants 1."""
    return Statement(
        theorem=theorem,
        claim=f"H(X|Y) <= {claim}",
        left=lambda law, c: law.forward_entropy,
        right=right,
        needs=needs,
        constants=dict.fromkeys(names, _ONE),
        families=families,
    )


STATEMENTS: tuple[Statement, ...] = (
    _upper(
        "fano.printed_upper",
        "min(a H2(P) + b P log((K-N_min)/N_max) + d log N_max, log K)",
        printed_fano,
        (*_TABLE, "balls"),
        "abd",
        (*_FANO, "two points, open balls"),
    ),
    _upper("fano.predictor_upper", "a E[-log q(X|Y)]", _cross_entropy, ("predictor",), "a", ("exact predictor",)),
    _upper(
        "fano.list_upper",
        "a H2(P) + b (1-P) log k + d P log(K-k)",
        lambda law, c: fano_of_lists(law, law.extra["lists"], c),
        ("lists of one size",),
        "abd",
        ("list of one", "uniform errors", "list of two"),
    ),
    _upper(
        "fano.sized_lists_upper",
        "a E h2(miss|size) + b E[hit log|L|] + d E[miss log(K-|L|)]",
        lambda law, c: fano_of_lists(law, law.extra["lists"], c),
        ("lists",),
        "abd",
        ("list of one", "uniform errors", "list of two"),
    ),
    _upper(
        "fano.ball_upper",
        "a E h2(far|N) + b E[near log N(Y)] + d E[far log(K-N(Y))]",
        lambda law, c: fano_of_lists(law, _balls(law, law.t), c),
        _TABLE,
        "abd",
        _FANO,
    ),
    _upper("fano.best_radius_upper", "min over t of the ball form (a, b, d)", _best_radius, _TABLE, "abd", _FANO),
    _upper(
        "fano.shells_upper",
        "a H(S) + b E log #{x : S(x,Y) = S}",
        lambda law, c: _shells(law, law.extra["cuts"], c),
        (*_TABLE, "shells"),
        "ab",
        (*_FANO, "skewed shells"),
    ),
    _upper(
        "fano.best_shells_upper",
        "min over partitions of the shell form (a, b)",
        _best_shells,
        _TABLE,
        "ab",
        (*_FANO, "skewed shells"),
    ),
)

# What is linear in entropies, for the prover.
_LISTED = "E = f(X,Y)"  # E says whether x lies in the list, or in which shell
_FANO_STEP = ShannonClaim("H(X|Y) <= H(E) + H(X|E,Y)", (_LISTED,))
ENTROPIC: dict[str, tuple[ShannonClaim, ...]] = {
    "fano.printed_upper": (_FANO_STEP, ShannonClaim("H(X|Y) = H(E|Y) + H(X|E,Y)", (_LISTED,))),
    "fano.list_upper": (_FANO_STEP,),
    "fano.sized_lists_upper": (
        ShannonClaim("H(X|Y) <= H(E|S) + H(X|E,Y)", (_LISTED, "S = g(Y)")),
        ShannonClaim("H(X|Y) = H(E|Y) + H(X|E,Y)", (_LISTED,)),
    ),
    "fano.ball_upper": (ShannonClaim("H(X|Y) = H(E|Y) + H(X|E,Y)", (_LISTED,)),),
    "fano.best_radius_upper": (_FANO_STEP,),
    "fano.shells_upper": (_FANO_STEP,),
    "fano.best_shells_upper": (_FANO_STEP,),
}
