"""The extremal families: laws where the bounds are attained or nearly so, and the smallest laws that break false ones.

Random joints rarely come near equality; a checker that is fed nothing else accepts wrong constants. Every family
is a list of exact laws, small first; `FAMILIES` maps its name to it.
"""
# Over 400 lines: the table of families is half of it.

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from functools import cache
from types import MappingProxyType
from typing import Any

from proofs_check.exact.enclosure import Real
from proofs_check.exact.extras import complete
from proofs_check.exact.law import Law
from proofs_check.exact.points import Point
from proofs_check.rooms import gather

__all__ = ["FAMILIES", "family", "make", "reflected"]

Cells = Mapping[tuple[int, int, int], Real]
HALF = Fraction(1, 2)
SIGNS = (-1, 1)
_NOTHING: Mapping[str, object] = MappingProxyType({})
SMALL = (Fraction(1, 4), Fraction(1, 10), Fraction(1, 100))


def make(
    cells: Cells,
    x: Sequence[Any],
    y: Sequence[Any],
    z: Sequence[Any] = (0,),
    *,
    rho: Sequence[Sequence[Real]] | None = None,
    t: Real = 0,
    **extra: object,
) -> Law:
    """A law with positive masses only; numbers as positions become points on a line.

    Parameters
    ----------
    cells : mapping of (int, int, int) to Fraction
        Mass of each atom (i, j, k): positions of x_next, x_prev and z; zeros are left out.
    x, y, z : sequence
        Values of next layer, previous layer and task; numbers or points.
    rho : sequence of sequences, optional
        Distances between the values of both layers, shape (len(x), len(y)).
    t : Fraction or int, default=0
        Radius.
    **extra
        What the statement needs besides.

    Returns
    -------
    Law
        With whatever else it determines filled in.
    """
    return _law(cells, x, y, z, rho, t, extra)


def _law(
    cells: Cells,
    x: Sequence[Any],
    y: Sequence[Any],
    z: Sequence[Any] = (0,),
    rho: Sequence[Sequence[Real]] | None = None,
    t: Real = 0,
    extra: Mapping[str, object] = _NOTHING,
) -> Law:
    masses = {k: Fraction(p) for k, p in cells.items() if p}
    table = None if rho is None else tuple(tuple(map(Fraction, row)) for row in rho)
    return complete(Law(masses, _points(x), _points(y), _points(z), table, Fraction(t), extra))


def _points(values: Iterable[Any]) -> tuple[Point, ...]:
    return tuple(tuple(map(Fraction, v)) if isinstance(v, tuple) else (Fraction(v),) for v in values)


def reflected(law: Law) -> Law:
    """Layers exchanged: what holds of next given previous then holds of previous given next.

    Parameters
    ----------
    law : Law
        Of (x_next, x_prev, z).

    Returns
    -------
    Law
        Of (x_prev, x_next, z), with the distances transposed and without the extra parts.
    """
    rho = None if law.rho is None else tuple(zip(*law.rho, strict=True))
    return complete(Law({(j, i, k): p for (i, j, k), p in law.masses.items()}, law.y, law.x, law.z, rho, law.t))


def signs(flip: Real, task: Callable[[int, int], Any], **extra: object) -> Law:
    """X a fair sign, Y = X flipped with the given probability, Z = task(X, Y)."""
    values = sorted({task(a, b) for a in SIGNS for b in SIGNS})
    cells = {
        (i, j, values.index(task(a, b))): HALF * (flip if a != b else 1 - flip)
        for i, a in enumerate(SIGNS)
        for j, b in enumerate(SIGNS)
    }
    return _law(cells, SIGNS, SIGNS, values, extra=extra)


def _right_angles(flip: Real) -> Law:
    """The flipped sign with X on one axis and Y on the other: every distance is 1."""
    law = signs(flip, _total)
    return complete(Law(law.masses, _points(((-1, 0), (1, 0))), _points(((0, -1), (0, 1))), law.z))


def read(p_next: Sequence[Real], kernel: Sequence[Sequence[Real]], z: Sequence[Any], **extra: object) -> Law:
    """X with the given law, Y constant, Z read from X through the kernel; states are 0, 1, ..."""
    cells = {(i, 0, k): p * q for i, p in enumerate(p_next) for k, q in enumerate(kernel[i])}
    states = tuple(range(len(p_next)))
    # One alphabet: y takes only its first symbol.
    return _law(cells, states, states, z, extra=extra)


def table_law(joint: Sequence[Sequence[Real]], rho: Sequence[Sequence[Real]] | None = None, t: Real = 0) -> Law:
    """Integer weights of (x, y) on one alphabet, without a task; discrete distances if none are given."""
    whole = sum(sum(row) for row in joint)
    k = max(len(joint), len(joint[0]))
    cells = {(i, j, 0): Fraction(w, whole) for i, row in enumerate(joint) for j, w in enumerate(row)}
    if rho is None:
        rho = [[int(i != j) for j in range(k)] for i in range(k)]
    return make(cells, range(k), range(k), rho=rho, t=t)


def _distances(masses: Sequence[tuple[Real, Real]], t: Real, **extra: object) -> Law:
    """A law of the distance alone: x = 0, and one y per distance."""
    cells = {(0, j, 0): p for j, (_, p) in enumerate(masses)}
    return _law(cells, (0,), range(len(masses)), rho=[[r for r, _ in masses]], t=t, extra=extra)


def _unit(n: int) -> list[list[int]]:
    return [[int(i == j) for j in range(n)] for i in range(n)]


def _uniform_errors(k: int, wrong: Real, **extra: object) -> Law:
    cells = {(i, j, 0): Fraction(1, k) * (1 - wrong if i == j else wrong / (k - 1)) for i in range(k) for j in range(k)}
    return _law(cells, range(k), range(k), rho=[[int(i != j) for j in range(k)] for i in range(k)], extra=extra)


def _ball(k: int, n: int) -> Law:
    """X uniform on n of k points, Y constant; those n lie in one ball around it, the others are far."""
    rho = [[0 if i == j else (1 if max(i, j) < n else 2) for j in range(k)] for i in range(k)]
    return make({(i, 0, 0): Fraction(1, n) for i in range(n)}, range(k), range(k), rho=rho, t=1)


def _many_points() -> Law:
    n = 1024
    cells = {(i, 0, 0): Fraction(1, n) for i in range(n)}
    return make(cells, range(n), (0,), rho=[[Fraction(1, 100)]] * n, t=Fraction(1, 20))


def _biased(delta: Real) -> list[list[Real]]:
    return [[HALF + delta, HALF - delta], [HALF - delta, HALF + delta]]


def _biased_both(delta: Real, flip: Real) -> Law:
    """A fair sign flipped, and a task whose mean is delta (x + y)."""
    cells = {}
    for i, a in enumerate(SIGNS):
        for j, b in enumerate(SIGNS):
            mean = delta * (a + b)
            for k, value in enumerate(SIGNS):
                cells[i, j, k] = HALF * (flip if a != b else 1 - flip) * (1 + value * mean) / 2
    return make(cells, SIGNS, SIGNS, SIGNS)


def _plane_law(common: int) -> Law:
    """Four task values near an equilateral figure, rational: where layers seldom differ, the diameter is too little."""
    weights = {(0, 0, 0): common, (0, 1, 1): 1, (1, 0, 2): 1, (1, 1, 3): 1}
    z = ((0, 0), (Fraction(6, 7), HALF), (Fraction(6, 7), -HALF), (1, 0))
    return make({k: Fraction(w, common + 3) for k, w in weights.items()}, (0, 1), (0, 1), z)


def _noisy_copies() -> Law:
    wrong = Fraction(1, 4)
    keep = {(a, z): (1 - wrong if a == z else wrong) for a in (0, 1) for z in (0, 1)}
    cells = {(i, j, k): HALF * keep[i, k] * keep[j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)}
    together = {(i, i, k): HALF * keep[i, k] for i in (0, 1) for k in (0, 1)}
    return make(cells, SIGNS, SIGNS, SIGNS, other=make(together, SIGNS, SIGNS, SIGNS))


def _recoupled() -> Law:
    """A fair bit that only X knows, compared with a law in which nobody knows anything."""
    law = read((HALF, HALF), _unit(2), SIGNS)
    return make(
        law.masses, (0, 1), (0, 1), SIGNS, other=make({(0, 0, 0): HALF, (0, 0, 1): HALF}, (0, 1), (0, 1), SIGNS)
    )


def _two_images() -> Law:
    return make({(k, k, k): HALF for k in (0, 1)}, (0, 1), (0, 1), (0, 1), rho=[[0, 1], [1, 0]])


def sample_law(values: Mapping[Any, Real], n: int, delta: Real, **extra: object) -> Law:
    """A law of one observed unit."""
    cells = {(i, 0, 0): p for i, p in enumerate(values.values())}
    return _law(cells, tuple(values), ((),), extra={"n": n, "delta": Fraction(delta), **extra})


def _coin(p: Real, n: int, delta: Real, **extra: object) -> Law:
    return sample_law({0: 1 - Fraction(p), 1: Fraction(p)}, n, delta, **extra)


def _probes(law: Law, ahead: Sequence[Any], behind: Sequence[Any]) -> Law:
    extra = {**law.extra, "probe_next": _points(ahead), "probe_prev": _points(behind)}
    return Law(law.masses, law.x, law.y, law.z, law.rho, law.t, extra)


def _off_at_flip(flip: Real, off: Real) -> Law:
    """Here h is 1 at (-1, 1), -1 at (1, -1), else 0; the probes err away from each other."""
    law = signs(flip, lambda a, b: (b - a) // 2)
    return _probes(law, (flip + off, -flip - off), (-flip - off, flip + off))


def _total(a: int, b: int) -> int:
    return a + b


F = Fraction
_ONE_HOT = ((1, 0, 0), (0, 1, 0), (0, 0, 1))
_PATH = [[0, 1, 2], [1, 0, 1], [2, 1, 0]]
_STAR = [[0, 1, 1, 1], [1, 0, 2, 2], [1, 2, 0, 2], [1, 2, 2, 0]]

_BUILDERS: dict[str, Callable[[], list[Law]]] = {
    # ---- points
    "three points": lambda: [make({(0, 0, 0): 1}, (0,), (2,), (1,))],
    "one point": lambda: [make({(0, 0, 0): 1}, (1,), (1,), (1,))],
    "axes": lambda: [make({(0, 0, 0): 1}, ((1, 0),), ((0, 1),))],
    "two lengths": lambda: [make({(0, 0, 0): 1}, ((1, 0),), ((3, 0),)), make({(0, 0, 0): 1}, ((3, 0),), ((0, 4),))],
    # ---- distances
    "two distances": lambda: [
        _distances([(F(1, 20), F(19, 20)), (2, F(1, 20))], F(1, 20)),
        _distances([(HALF, HALF), (2, HALF)], HALF),
    ],
    "rho beyond its range": lambda: [_distances([(3, 1)], 1)],
    "unrelated coupling": lambda: [_recoupled()],
    "beyond t": lambda: [_distances([(2, 1)], 1)],
    "atom at t": lambda: [_distances([(1, 1)], 1), _distances([(0, HALF), (1, HALF)], 1)],
    "two distances up to one": lambda: [_distances([(HALF, HALF), (1, HALF)], HALF)],
    "half and one": lambda: [_distances([(HALF, HALF), (1, HALF)], HALF, eps=HALF)],
    "surely one": lambda: [_distances([(1, 1)], 2, eps=HALF)],
    "cosine beyond one": lambda: [
        _distances([(0, F(9, 10)), (2, F(1, 10))], 0, eps=F(1, 5)),
        _distances([(F(1, 20), F(19, 20)), (2, F(1, 20))], F(1, 20), eps=F(1, 10)),
    ],
    "distances on a grid": lambda: [
        _distances([(0, F(1, 3)), (1, F(1, 3)), (2, F(1, 3))], 1, grid=(F(0), F(1), F(2))),
        _distances([(1, 1)], 1, grid=(F(0), F(1), F(2))),
    ],
    # ---- signs
    "sign": lambda: [signs(F(0), lambda a, b: a)],
    "flip": lambda: [signs(q, _total) for q in (*SMALL, F(99, 100))],
    "flip of one layer": lambda: [law for q in SMALL for law in (signs(q, lambda a, b: b), signs(q, lambda a, b: a))],
    "flip at right angles": lambda: [_right_angles(F(1, 3))],
    "star, leaf known": lambda: [table_law([[0, 1], [0, 0], [0, 1], [0, 0]], _STAR, 1)],
    "constant next": lambda: [make({(0, 0, 0): HALF, (0, 1, 1): HALF}, (1,), SIGNS, SIGNS)],
    "centred": lambda: [make({(0, 0, 0): HALF, (1, 0, 1): HALF}, SIGNS, (0,), SIGNS)],
    "stretched": lambda: [make({(0, 0, 0): HALF, (0, 1, 1): HALF}, (1,), (1, 2), (1, 2))],
    "constant task": lambda: [make({(0, 0, 0): 1}, (1,), (1,))],
    "independent bits": lambda: [make({(i, j, 0): F(1, 4) for i in (0, 1) for j in (0, 1)}, (0, 1), (0, 1))],
    "disjoint events": lambda: [make({(0, 1, 0): HALF, (1, 0, 0): HALF}, (0, 1), (0, 1))],
    "rare jump": lambda: [read((1 - q, q), _unit(2), (0, 1)) for q in SMALL],
    "orthogonal states": lambda: [
        law
        for law in (
            make({(0, 0, 0): HALF, (1, 0, 1): HALF}, ((0, 1), (0, -1)), ((1, 0),), SIGNS, t=1),
            make({(0, 0, 0): HALF, (1, 0, 1): HALF}, ((1, 0), (-1, 0)), ((1, 0),), SIGNS, t=0),
        )
        for law in (law, _with_radius(reflected(law), law.t))
    ],
    # ---- chains
    "noisy reading of next": lambda: [_noisy("x", F(1, 4)), _noisy("x", F(1, 10))],
    "noisy reading of previous": lambda: [_independent_noise(), _noisy("y", F(1, 4))],
    "chain of signs, task reads next": lambda: [signs(q, lambda a, b: a) for q in (F(1, 4), F(1, 100))],
    "chain of signs, task reads previous": lambda: [signs(q, lambda a, b: b) for q in (F(1, 4), F(1, 100))],
    "copied bit": lambda: [make({(k, k, k): HALF for k in (0, 1)}, (0, 1), (0, 1), (0, 1))],
    "fresh bit": lambda: [read((HALF, HALF), _unit(2), SIGNS)],
    "lost bit": lambda: [reflected(law) for law in family("fresh bit")],
    "fresh trit": lambda: [read((F(1, 3),) * 3, _unit(3), _ONE_HOT)],
    "lost trit": lambda: [reflected(law) for law in family("fresh trit")],
    "rare fresh bit": lambda: [read((1 - q, q), _unit(2), (0, 1)) for q in SMALL],
    "rare lost bit": lambda: [reflected(law) for law in family("rare fresh bit")],
    "biased reading of next": lambda: [read((HALF, HALF), _biased(d), SIGNS) for d in (F(1, 4), F(1, 100))],
    "biased reading of next, own coupling": lambda: family("biased reading of next"),
    "biased reading of previous": lambda: [reflected(law) for law in family("biased reading of next")],
    "biased reading of both": lambda: [_biased_both(F(1, 10), F(1, 10)), _biased_both(F(1, 100), F(1, 100))],
    "one-hot labels": lambda: [read((F(1, 3),) * 3, _unit(3), _ONE_HOT)],
    "exclusive or": lambda: [
        make({(i, j, i ^ j): F(1, 4) for i in (0, 1) for j in (0, 1)}, (0, 1), (0, 1), (0, 1)),
    ],
    "noisy copies": lambda: [_noisy_copies()],
    "four values in the plane": lambda: [_plane_law(n) for n in (40, 1000)],
    "two independent bits, one kept": lambda: [
        make({(i, i // 2, 0): F(1, 4) for i in range(4)}, range(4), range(2)),
    ],
    # ---- probes
    "probes off": lambda: [_probes(law, (0, 0), (1, -1)) for law in family("sign")]
    + [_probes(law, (-2, 2), (-1, 1)) for law in family("sign")],
    "probes off at a flip": lambda: [_off_at_flip(F(1, 100), F(1, 50))],
    "probes far off": lambda: [_probes(make({(0, 0, 0): 1}, (1,), (1,)), (1,), (-1,))],
    "probes constant": lambda: [
        _probes(law, (0, 0), (0, 0)) for law in (*family("flip"), *family("flip of one layer"), *family("sign"))
    ],
    "constant next, probe halved": lambda: [_probes(law, (0,), (-HALF, HALF)) for law in family("constant next")],
    "constant next, probes off": lambda: [_probes(law, (0,), (-2, 2)) for law in family("constant next")],
    # ---- balls
    "uniform on a ball": lambda: [_ball(2, 2), _ball(4, 2), _ball(3, 3)],
    "uniform errors": lambda: [
        law for k in (2, 3, 4) for w in (F(1, 4), HALF) for law in [_uniform_errors(k, w)]
    ],
    "star": lambda: [table_law([[1], [1], [1], [1]], _STAR, 1), table_law([[0, 1], [1, 0], [1, 0], [1, 0]], _STAR, 0)],
    "all far": lambda: [table_law([[0, 1], [1, 0]]), table_law([[0, 1, 1], [1, 0, 1], [1, 1, 0]])],
    "path, middle known": lambda: [table_law([[0, 1], [0, 1], [0, 1]], _PATH, 1)],
    "two points, open balls": lambda: [table_law([[1, 1], [1, 1]], None, 1)],
    "equal layers": lambda: [table_law(_unit(k)) for k in (2, 3)],
    "diagonal": lambda: [table_law([[9, 0], [0, 1]]), table_law([[3, 0], [0, 2]])],
    "constant layer": lambda: [table_law([[1, 0, 0]] * 1 + [[0, 0, 0]] * 2)],
    "independent bits, distant": lambda: [table_law([[1, 1], [1, 1]])],
    "exact predictor": lambda: [table_law([[2, 1], [1, 2]])],
    "list of one": lambda: [_uniform_errors(3, HALF)],
    "list of two": lambda: [_listed(4, 2)],
    "skewed shells": lambda: [table_law([[4], [1], [1]], _PATH, 0), table_law([[2], [1], [1]], _STAR, 1)],
    "best test function": lambda: [_tilted(law, s) for law in family("uniform errors")[:2] for s in (1, 2)],
    "coded": lambda: [
        make({(k, k, 0): HALF for k in (0, 1)}, (0, 1), (0, 1), code_next=(0, 1), code_prev=(0, 1)),
        make({(k, 0, 0): HALF for k in (0, 1)}, (0, 1), (0, 1), code_next=(0, 1), code_prev=(0, 0)),
    ],
    "many points in one ball": lambda: [_many_points()],
    "two images": lambda: [_two_images()],
    # ---- samples
    "coins": lambda: [_coin(F(9, 20), 4, F(1, 4)), _coin(F(11, 20), 4, F(1, 4)), _coin(HALF, 3, F(1, 10))],
    "eight coins": lambda: [_coin(HALF, 8, F(1, 4))],
    "many coins": lambda: [_coin(HALF, 40, F(1, 100)), _coin(HALF, 300, F(1, 4))],
    "rare ones": lambda: [_coin(F(1, 5), 5, F(1, 4)), _coin(F(1, 10), 6, F(1, 4))],
    "rare zeros": lambda: [_coin(F(4, 5), 5, F(1, 4)), _coin(F(9, 10), 6, F(1, 4))],
    "exact tail": lambda: [_coin(F(91, 100), 1, F(1, 20)), _coin(F(951, 1000), 1, F(1, 20))],
    "exact tail, other side": lambda: [_coin(F(9, 100), 1, F(1, 20)), _coin(F(49, 1000), 1, F(1, 20))],
    "benchmark of twelve": lambda: [_coin(F(5, 11), 3, F(1, 4), population=11), _coin(HALF, 4, F(1, 4), population=12)],
    "benchmark of twelve, other side": lambda: [_coin(F(6, 11), 3, F(1, 4), population=11)],
    "shares": lambda: [sample_law({(1, 1): F(1, 3), (1, 0): F(1, 3), (0, 0): F(1, 3)}, 4, F(1, 4))],
    "many shares": lambda: [
        sample_law({(1, 1): F(1, 3), (1, 0): F(1, 3), (0, 0): F(1, 3)}, 20, F(1, 4)),
        _coin(HALF, 100, F(1, 4)),
    ],
    "two equal tokens": lambda: [_coin(F(4, 5), 1, F(1, 20), tokens=2)],
}  # fmt: skip


def _with_radius(law: Law, t: Real) -> Law:
    return Law(law.masses, law.x, law.y, law.z, law.rho, t, law.extra)


def _noisy(axis: str, wrong: Real) -> Law:
    """Fair bits, X = Y flipped with probability 1/4, Z the bit on `axis` flipped with probability `wrong`."""
    cells = {}
    for i in (0, 1):
        for j in (0, 1):
            for k in (0, 1):
                seen = i if axis == "x" else j
                cells[i, j, k] = HALF * (F(1, 4) if i != j else F(3, 4)) * (wrong if k != seen else 1 - wrong)
    return make(cells, SIGNS, SIGNS, SIGNS)


def _independent_noise() -> Law:
    """X, Y independent fair bits, Z = Y flipped with probability 1/4."""
    cells = {(i, j, k): F(1, 4) * (F(3, 4) if j == k else F(1, 4)) for i in (0, 1) for j in (0, 1) for k in (0, 1)}
    return make(cells, SIGNS, SIGNS, SIGNS)


def _listed(k: int, size: int) -> Law:
    lists = tuple(frozenset(range(size)) for _ in range(k))
    cells = {(i, 0, 0): F(1, size) for i in range(size)}
    return make(cells, range(k), range(k), rho=[[int(i != j) for j in range(k)] for i in range(k)], lists=lists)


def _tilted(law: Law, scale: int) -> Law:
    weights = tuple(w * scale for w in law.extra["weights"])
    return Law(law.masses, law.x, law.y, law.z, law.rho, law.t, {**law.extra, "weights": weights})


@cache
def _built(name: str) -> tuple[Law, ...]:
    if name in _BUILDERS:
        return tuple(_BUILDERS[name]())
    return next(tuple(room[name]()) for room in gather("FAMILIES") if name in room)


def family(name: str) -> list[Law]:
    """The laws of one family, small first."""
    return list(_built(name))


FAMILIES: tuple[str, ...] = tuple(_BUILDERS)
