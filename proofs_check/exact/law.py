"""A finite law of (x_next, x_prev, z) with points, task values and distances, and every quantity the theorems name.

Textbook definitions, written once and independent of `redundancy`: on Fractions they are exact (logarithms and
roots become enclosures), on floats they serve the gradient search. X is the next layer, Y the previous.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from itertools import combinations, product
from typing import Any, TypeAlias

from proofs_check.exact.enclosure import Enclosure, Real, decimal, exceeds, greatest, log, sqrt, total
from proofs_check.exact.points import Point, inner, minus, smallest_ball, square
from redundancy.errors import InvalidInputError

__all__ = ["Law"]

Atom: TypeAlias = tuple[int, int, int]
_FLOAT_SUM = 1e-9  # float masses serve searches; their sum may miss 1 by rounding


@dataclass(frozen=True, eq=False)
class Law:
    """Masses on (x, y, z) and what the symbols stand for.

    Parameters
    ----------
    masses : mapping of (int, int, int) to number
        Positive masses, sum 1.
    x, y, z : tuples of points
        Positions of the symbols: states of the next and of the previous layer, task values.
    rho : table, optional
        Distances by (x symbol, y symbol); cosine distances of the points if omitted.
    t : number
        Radius of balls and tails.
    extra : mapping
        What single statements need besides: probes, predictors, ranges, observations.
    """

    masses: Mapping[Atom, Real]
    x: tuple[Point, ...]
    y: tuple[Point, ...]
    z: tuple[Point, ...]
    rho: tuple[tuple[Real, ...], ...] | None = None
    t: Real = Fraction(0)
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        sizes = len(self.x), len(self.y), len(self.z)
        for atom, mass in self.masses.items():
            if len(atom) != 3 or not all(0 <= k < size for k, size in zip(atom, sizes, strict=True)):
                raise InvalidInputError(f"need atoms (x, y, z) below {sizes}, the numbers of points, got {atom}")
            if not (exceeds(mass, 0) or isinstance(mass, Enclosure)):
                raise InvalidInputError(f"need positive masses, got {mass} at {atom}; leave out atoms without mass")
        whole = total(self.masses.values())
        off = abs(whole - 1) > _FLOAT_SUM if self.is_float else exceeds(whole, 1) or exceeds(1, whole)
        if off:
            raise InvalidInputError(f"need masses that sum to 1, got {decimal(whole)}")

    @cached_property
    def is_float(self) -> bool:
        """Whether the masses are floats: for searches, never for evidence."""
        return any(isinstance(p, float) for p in self.masses.values())

    def marginal(self, axes: str) -> dict[tuple[int, ...], Real]:
        """Masses of the named axes out of "xyz", in that order."""
        places = ["xyz".index(a) for a in axes]
        known: dict[str, dict[tuple[int, ...], Real]] = self.__dict__.setdefault("_marginals", {})
        if axes not in known:
            found: dict[tuple[int, ...], Real] = {}
            for atom, mass in self.masses.items():
                key = tuple(atom[i] for i in places)
                found[key] = found[key] + mass if key in found else mass
            known[axes] = found
        return known[axes]

    @cached_property
    def pair(self) -> dict[tuple[int, ...], Real]:
        """P(x, y)."""
        return self.marginal("xy")

    @cached_property
    def next_law(self) -> dict[int, Real]:
        """P(x)."""
        return {k[0]: p for k, p in self.marginal("x").items()}

    @cached_property
    def prev_law(self) -> dict[int, Real]:
        """P(y)."""
        return {k[0]: p for k, p in self.marginal("y").items()}

    def mean(self, function: Any) -> Real:
        """E function(x symbol, y symbol)."""
        return total(p * function(i, j) for (i, j), p in self.pair.items())

    # ---- the task

    def conditional_means(self, axes: str) -> dict[tuple[int, ...], Point]:
        """E[Z | axes] for every value of positive probability."""
        mass, sums = self.marginal(axes), dict[tuple[int, ...], list[Real]]()
        places = ["xyz".index(a) for a in axes]
        for atom, p in self.masses.items():
            row = sums.setdefault(tuple(atom[i] for i in places), [Fraction(0)] * len(self.z[0]))
            for d, value in enumerate(self.z[atom[2]]):
                row[d] = row[d] + p * value
        return {k: tuple(v / mass[k] for v in row) for k, row in sums.items()}

    @cached_property
    def f_next(self) -> dict[int, Point]:
        """E[Z | x]."""
        return {k[0]: v for k, v in self.conditional_means("x").items()}

    @cached_property
    def f_prev(self) -> dict[int, Point]:
        """E[Z | y]."""
        return {k[0]: v for k, v in self.conditional_means("y").items()}

    @cached_property
    def h(self) -> dict[tuple[int, ...], Point]:
        """E[Z | x, y], on the support only."""
        return self.conditional_means("xy")

    @cached_property
    def gap(self) -> Real:
        """F = E|f_next - f_prev|^2."""
        return self.mean(lambda i, j: square(minus(self.f_next[i], self.f_prev[j])))

    @cached_property
    def variance(self) -> Real:
        """Var Z, trace."""
        (centre,) = self.conditional_means("").values()
        return total(p * square(minus(self.z[k], centre)) for (_, _, k), p in self.masses.items())

    def error(self, axis: str, guess: Mapping[int, Point] | Sequence[Point]) -> Real:
        """E|Z - guess(axis)|^2."""
        place = "xy".index(axis)
        return total(p * square(minus(self.z[a[2]], guess[a[place]])) for a, p in self.masses.items())

    @cached_property
    def mmse_next(self) -> Real:
        """E|Z - f_next|^2."""
        return self.error("x", self.f_next)

    @cached_property
    def mmse_prev(self) -> Real:
        """E|Z - f_prev|^2."""
        return self.error("y", self.f_prev)

    @cached_property
    def task_values(self) -> tuple[Point, ...]:
        """Values that Z takes with positive probability."""
        return tuple(dict.fromkeys(self.z[k] for (_, _, k) in self.masses))

    @cached_property
    def diameter_squared(self) -> Real:
        """Delta^2."""
        return greatest(Fraction(0), *(square(minus(a, b)) for a, b in combinations(self.task_values, 2)))

    @cached_property
    def norm_squared(self) -> Real:
        """B^2."""
        return greatest(*(square(a) for a in self.task_values))

    @cached_property
    def radius_squared(self) -> Real:
        """R^2, of the smallest ball that holds all task values."""
        return smallest_ball(self.task_values)

    @cached_property
    def kappa(self) -> Real:
        """Largest <a-b, h-d> + <c-d, a-h> over five task values; given a, d and h, b and c are chosen apart."""
        values = self.task_values
        gram = [[inner(a, b) for b in values] for a in values]
        n = range(len(values))
        return max(
            gram[a][h] - gram[a][d] + max(gram[b][d] - gram[b][h] for b in n)
            - gram[d][a] + gram[d][h] + max(gram[c][a] - gram[c][h] for c in n)
            for a, d, h in product(n, repeat=3)
        )  # fmt: skip

    # ---- Lipschitz constants of h on its support

    @cached_property
    def alpha_squared(self) -> Real:
        """Smallest alpha^2 with ``|h(x,y) - h(x',y)| <= alpha |x - x'|`` on the support."""
        return self._slope(0, self.x)

    @cached_property
    def beta_squared(self) -> Real:
        """Smallest beta^2 with ``|h(x,y) - h(x,y')| <= beta |y - y'|`` on the support."""
        return self._slope(1, self.y)

    def _slope(self, axis: int, points: tuple[Point, ...]) -> Real:
        slopes = [
            square(minus(self.h[a], self.h[b])) / square(minus(points[a[axis]], points[b[axis]]))
            for a, b in combinations(self.h, 2)
            if a[1 - axis] == b[1 - axis]
        ]
        return greatest(Fraction(0), *slopes)

    # ---- distances

    def distance(self, i: int, j: int) -> Real:
        """Distance rho of symbols i (next) and j (previous)."""
        if self.rho is not None:
            return self.rho[i][j]
        return 1 - inner(self.x[i], self.y[j]) / (sqrt(square(self.x[i])) * sqrt(square(self.y[j])))

    @property
    def largest(self) -> Real:
        """The declared end r of the range of rho, 2 unless `extra` says otherwise."""
        return self.extra.get("rho_max", 2)

    @cached_property
    def mean_distance(self) -> Real:
        """Mean distance e = E rho."""
        return self.mean(self.distance)

    @cached_property
    def squared_distance(self) -> Real:
        """D = E|X - Y|^2."""
        return self.mean(lambda i, j: square(minus(self.x[i], self.y[j])))

    @cached_property
    def residual_next(self) -> Real:
        """V(next|prev) = E|X - E[X|Y]|^2."""
        return self._residual(0, self.x)

    @cached_property
    def residual_prev(self) -> Real:
        """V(prev|next) = E|Y - E[Y|X]|^2."""
        return self._residual(1, self.y)

    def _residual(self, axis: int, points: tuple[Point, ...]) -> Real:
        given = self.prev_law if axis == 0 else self.next_law
        square_mean = total(p * square(points[k[axis]]) for k, p in self.pair.items())
        explained: Real = Fraction(0)
        for g, mass in given.items():
            rows = [(p, points[k[axis]]) for k, p in self.pair.items() if k[1 - axis] == g]
            centre = [total(p * point[d] for p, point in rows) for d in range(len(points[0]))]
            explained = explained + square(tuple(centre)) / mass
        return square_mean - explained

    def tail(self, t: Real) -> Real:
        """P(rho > t), strict."""
        return self.mean(lambda i, j: int(self.distance(i, j) > t))

    def closed_tail(self, t: Real) -> Real:
        """P(rho >= t)."""
        return self.mean(lambda i, j: int(self.distance(i, j) >= t))

    def ball(self, j: int, *, open_ball: bool = False) -> int:
        """Number of x symbols within t of y symbol j, closed unless asked otherwise."""
        reach = [self.distance(i, j) for i in range(len(self.x))]
        return sum(r < self.t if open_ball else r <= self.t for r in reach)

    def ball_prob(self, i: int) -> Real:
        """P(Y within t of x symbol i), closed."""
        return total(p for j, p in self.prev_law.items() if self.distance(i, j) <= self.t)

    @cached_property
    def independent_ball_prob(self) -> Real:
        """q_t: P(rho <= t) of independent copies."""
        return total(p * self.ball_prob(i) for i, p in self.next_law.items())

    @cached_property
    def distance_laws(self) -> list[tuple[Real, Real, Real]]:
        """Distance, its mass under the joint, its mass under independent copies; in increasing order."""
        masses: dict[Real, list[Real]] = {}
        for i, p in self.next_law.items():
            for j, q in self.prev_law.items():
                cell = masses.setdefault(self.distance(i, j), [Fraction(0), Fraction(0)])
                cell[0] = cell[0] + self.pair.get((i, j), 0)
                cell[1] = cell[1] + p * q
        return [(r, *masses[r]) for r in sorted(masses)]

    @cached_property
    def mismatch(self) -> Real:
        """P(X != Y), as symbols of one alphabet."""
        return self.mean(lambda i, j: int(i != j))

    # ---- information, nats

    def entropy(self, axes: str, given: str = "") -> Real:
        """H(axes | given)."""
        return self._joint_entropy(axes + given) - (self._joint_entropy(given) if given else 0)

    def _joint_entropy(self, axes: str) -> Real:
        axes = "".join(sorted(axes))
        known: dict[str, Real] = self.__dict__.setdefault("_entropies", {})
        if axes not in known:
            known[axes] = total(p * log(1 / p) for p in self.marginal(axes).values())
        return known[axes]

    @cached_property
    def forward_entropy(self) -> Real:
        """H(next | prev)."""
        return self.entropy("x", "y")

    @cached_property
    def backward_entropy(self) -> Real:
        """H(prev | next)."""
        return self.entropy("y", "x")

    @cached_property
    def mutual_information(self) -> Real:
        """I(next; prev)."""
        return self.entropy("x") - self.forward_entropy

    @cached_property
    def information_next(self) -> Real:
        """I(Z; next | prev)."""
        return self.entropy("z", "y") - self.entropy("z", "xy")

    @cached_property
    def information_prev(self) -> Real:
        """I(Z; prev | next)."""
        return self.entropy("z", "x") - self.entropy("z", "xy")

    def coded_by(self, *, next_only: bool = False) -> Law:
        """The law of the codes in `extra`, of both layers or of the next one only."""
        ahead = self.extra["code_next"]
        behind = range(len(self.y)) if next_only else self.extra["code_prev"]
        masses: dict[Atom, Real] = {}
        for (i, j, k), p in self.masses.items():
            cell = (ahead[i], behind[j], k)
            masses[cell] = masses.get(cell, 0) + p
        return Law(masses, self.x, self.y, self.z)

    def obeys(self, chain: str) -> bool:
        """Whether the chain holds exactly: "O" is Y - X - Z, "N" is X - Y - Z."""
        middle, place = ("x", 0) if chain == "O" else ("y", 1)
        reading, mass = self.marginal(middle + "z"), self.marginal(middle)
        return all(
            self.masses.get((i, j, k), 0) * mass[((i, j)[place],)] == reading.get(((i, j)[place], k), 0) * p
            for (i, j), p in self.pair.items()
            for k in range(len(self.z))
        )

    def __str__(self) -> str:
        return f"law of {len(self.masses)} atoms; describe() of proofs_check.printing writes them out"
