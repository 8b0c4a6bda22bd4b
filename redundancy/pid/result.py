"""The four atoms as intervals, with the state that proves them and a status that says what to do next."""

from __future__ import annotations

import html
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import entr

from redundancy.certificates.certificate import RecheckReport
from redundancy.errors import InvalidInputError
from redundancy.files.tabular import Tabular
from redundancy.interval import Interval, round_down, round_up, text_down, text_up
from redundancy.pid.binary import binary_bounds
from redundancy.pid.dual import certify, coupling, round_to_marginals
from redundancy.pid.problem import UNIT_ROUNDOFF, PairMarginals
from redundancy.units import unit_name

__all__ = ["STATUS_TEXT", "BrojaResult", "Measured", "atoms_from_union", "measured_entropy"]

Array = npt.NDArray[np.float64]

STATUS_TEXT = {
    "converged": "the certified gap is within the tolerance",
    "iteration limit": "the intervals are valid but wider than the tolerance: raise max_iterations",
    "time limit": "the intervals are valid but wider than the tolerance: raise time_limit",
    "stalled": "the intervals are valid but rounding stopped the solver above the tolerance: accept this gap, or "
    "merge rare symbols, or try method='dense' if memory allows",
}


@dataclass(frozen=True, slots=True)
class Measured:
    """A number with a bound on its rounding error (nats)."""

    value: float
    error: float


def measured_entropy(law: Array, relative_error: float) -> Measured:
    """Entropy of masses known up to `relative_error` each."""
    value = float(np.add.reduce(entr(law), axis=None, dtype=np.longdouble))
    # d(-p log p) = -(log p + 1) dp; masses sum to 1.
    return Measured(value, (relative_error + 6.0 * UNIT_ROUNDOFF) * (abs(value) + 2.0))


def atoms_from_union(
    bounds: tuple[float, float], problem: PairMarginals, joint_entropies: tuple[Measured, Measured] | None, base: float
) -> dict[str, Interval | None]:
    """Intervals of the four atoms in units of `base` from [lower, upper] on f = -H_Q(T | XY).

    ``Uni_x = f + H(T|Y)``, ``Uni_y = f + H(T|X)``, ``Red = H(T) - H(T|X) - H(T|Y) - f``,
    ``Syn = -f - H(T|XY)``: one interval, four shifts. Ends below 0 are raised to 0, which every atom is above
    (Bertschinger et al. 2014, Lemma 5). A source has no more unique or redundant information than information.
    """
    eta = problem.relative_error
    h_t, h_x, h_y = (measured_entropy(p, eta) for p in (problem.p_t, problem.p_x, problem.p_y))
    h_tx, h_ty = measured_entropy(problem.a, eta), measured_entropy(problem.b, eta)

    def added(plus: tuple[Measured, ...], minus: tuple[Measured, ...]) -> tuple[float, float]:
        value = math.fsum([*(m.value for m in plus), *(-m.value for m in minus)])
        return value, math.fsum(m.error for m in (*plus, *minus))

    def information(source: Measured, both: Measured) -> float:
        """Upper end of I(T; source)."""
        value, error = added((h_t, source), (both,))
        return max(0.0, round_up((value + error + 4.0 * UNIT_ROUNDOFF * abs(value)) / math.log(base)))

    def shifted(sign: int, plus: tuple[Measured, ...], minus: tuple[Measured, ...], most: float = math.inf) -> Interval:
        value, error = added(plus, minus)
        ends = (bounds[0] + value, bounds[1] + value) if sign > 0 else (value - bounds[1], value - bounds[0])
        slack = error + 4.0 * UNIT_ROUNDOFF * (abs(value) + abs(bounds[0]) + abs(bounds[1]))
        unit = math.log(base)
        low, high = max(0.0, round_down((ends[0] - slack) / unit)), max(0.0, round_up((ends[1] + slack) / unit))
        return Interval(min(low, most), min(high, most))

    of_x, of_y = information(h_x, h_tx), information(h_y, h_ty)
    synergistic = None
    if joint_entropies is not None:
        h_txy, h_xy = joint_entropies
        synergistic = shifted(-1, (h_xy,), (h_txy,))
    return {
        "unique_x": shifted(1, (h_ty,), (h_y,), of_x),
        "unique_y": shifted(1, (h_tx,), (h_x,), of_y),
        "redundant": shifted(-1, (h_t, h_x, h_y), (h_tx, h_ty), min(of_x, of_y)),
        "synergistic": synergistic,
    }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BrojaResult(Tabular):
    """Bivariate partial information decomposition with certified intervals.

    Attributes
    ----------
    unique_x, unique_y, redundant, synergistic : Interval
        In units of `base`; each contains the exact value. `synergistic` is None when only the pair laws were given.
    gap : float
        Certified width (upper - lower) of the one solve behind all four, in units of `base`, rounding included.
    base : float
        2 for bits.
    iterations : int
    seconds : float
    method : str
        "closed_form", "dense", "schur" or "first_order".
    status : str
        "converged", or why the solver stopped; `status_text` says what to do next.
    marginals : PairMarginals
        The pair laws that were solved.
    multipliers : tuple of ndarray (T, X) and (T, Y), or None
        Prove the lower bound: feed them to `union_lower_bound`. None for the closed form, which needs none.
    """

    drawn_by = "pid_bars"
    unique_x: Interval
    unique_y: Interval
    redundant: Interval
    synergistic: Interval | None
    gap: float
    base: float
    iterations: int
    seconds: float
    method: str
    status: str
    marginals: PairMarginals
    multipliers: tuple[Array, Array] | None
    bounds: tuple[float, float]
    primal: tuple[Array, Array, Array] | None
    joint_entropies: tuple[Measured, Measured] | None
    solve: Callable[[], tuple[Array, Array, Array]] | None = None

    @property
    def converged(self) -> bool:
        """Whether the certified gap is within the tolerance."""
        return self.status == "converged"

    @property
    def status_text(self) -> str:
        """What the status means and what to do next."""
        return STATUS_TEXT[self.status]

    def coupling(self) -> Array:
        """Q of shape (T, X, Y) with the problem's pair marginals; the upper bound is its value.

        The closed form of a two-valued target needs no coupling: asked for one, it runs the interior point.
        """
        state = self.primal
        if state is None:
            if self.solve is None:
                raise InvalidInputError("need a solver state for the coupling, this result has none; call broja again")
            state = self.solve()
        s, lam, mu = state
        a, b = self.marginals.a, self.marginals.b
        q = coupling(s, np.where(a > 0.0, lam, -np.inf), np.where(b > 0.0, mu, -np.inf))
        return round_to_marginals(q, a, b)

    def recheck(self) -> RecheckReport:
        """Recompute the intervals from the stored multipliers and weights, without the solver."""
        if self.primal is None or self.multipliers is None:
            bounds = binary_bounds(self.marginals)
        else:
            s, lam, mu = self.primal
            lower = certify(self.marginals, s, *self.multipliers)[0]
            bounds = (lower, certify(self.marginals, s, lam, mu)[1])
        again = atoms_from_union(bounds, self.marginals, self.joint_entropies, self.base)
        problems = []
        for name, interval in again.items():
            stored = getattr(self, name)
            if stored is None or interval is None:
                continue
            tolerance = 1e-13 + 1e-3 * self.gap  # another BLAS may order its sums otherwise
            if abs(stored.lower - interval.lower) > tolerance or abs(stored.upper - interval.upper) > tolerance:
                problems.append(f"{name} is {stored} in the result and {interval} when recomputed")
        if (bounds[1] - bounds[0]) / math.log(self.base) > self.gap * (1.0 + 1e-3) + 1e-13:
            problems.append(f"gap is {self.gap:.3g} in the result and wider when recomputed")
        return RecheckReport(theorem="broja", problems=tuple(problems))

    def to_record(self) -> dict[str, Any]:
        """One flat row for a table."""
        row: dict[str, Any] = {}
        for name in ("unique_x", "unique_y", "redundant", "synergistic"):
            interval = getattr(self, name)
            row[f"{name}_lower"] = None if interval is None else interval.lower
            row[f"{name}_upper"] = None if interval is None else interval.upper
        return row | {
            "gap": self.gap,
            "base": self.base,
            "iterations": self.iterations,
            "seconds": self.seconds,
            "method": self.method,
            "status": self.status,
        }

    def to_dict(self) -> dict[str, Any]:
        """The JSON of `skip-it broja --json`."""
        tree: dict[str, Any] = {}
        for name in ("unique_x", "unique_y", "redundant", "synergistic"):
            interval = getattr(self, name)
            tree[name] = None if interval is None else {"lower": interval.lower, "upper": interval.upper}
        return tree | {"gap": self.gap, "base": self.base, "iterations": self.iterations, "seconds": self.seconds}

    def __repr__(self) -> str:
        unit = unit_name(self.base)
        parts = ", ".join(
            f"{name}={0.5 * (i.lower + i.upper):.6g}"
            for name in ("unique_x", "unique_y", "redundant", "synergistic")
            if (i := getattr(self, name)) is not None
        )
        return f"BrojaResult({parts} {unit}, gap={self.gap:.2g}, method={self.method!r}, status={self.status!r})"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th>{name}</th><td>{text_down(i.lower, 9)}</td><td>{text_up(i.upper, 9)}</td></tr>"
            for name in ("unique_x", "unique_y", "redundant", "synergistic")
            if (i := getattr(self, name)) is not None
        )
        note = f"certified gap {self.gap:.2g}; {self.method}, {self.iterations} iterations: {self.status_text}"
        return (
            f"<table><caption>BROJA, {html.escape(unit_name(self.base))}</caption>"
            f"<tr><th></th><th>lower</th><th>upper</th></tr>{rows}</table><p>{html.escape(note)}</p>"
        )
