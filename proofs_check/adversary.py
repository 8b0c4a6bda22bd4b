"""The adversary: a derivative-free search over finite joints for the largest left/right ratio of a statement.

Searches run on floats; what they find is rounded to a rational law that obeys the assumptions exactly, and only
its exact sides count. A ratio above 1 that is confirmed so is a counterexample, one near 1 says that the constant
cannot be improved.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import isfinite
from random import Random
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from proofs_check.exact.enclosure import Real
from proofs_check.exact.extras import complete
from proofs_check.exact.law import Law
from proofs_check.printing import describe
from proofs_check.refute import candidates
from proofs_check.statements.base import Statement, Verdict

__all__ = ["Tightness", "plot_tightness", "search", "tightness"]

Array = npt.NDArray[np.float64]
Masses = dict[tuple[int, int, int], Real]

_SEEDS = 3
_DENOMINATORS = (20, 1000, 10**6)  # of the rationals that a search ends in, the readable ones first
_STEP = 0.7  # first tilt of each mass, on the scale of logarithms
_FORWARD, _BACKWARD = "previous - next - task", "next - previous - task"
_TOO_LARGE = 40  # atoms; laws beyond are not searched around
_COSTLY = 12  # draws; a sum over more samples is not searched around


@dataclass(frozen=True, slots=True)
class Tightness:
    """How near a statement comes to equality.

    Parameters
    ----------
    statement : Statement
    ratio : float
        Largest left/right found, of exact laws.
    attained : bool
        Whether equality holds on some law, exactly or to 25 digits.
    law : Law or None
        Where.
    source : str
        "family", "random" or "search".
    violation : bool
        Whether the law breaks the statement, exactly.
    """

    statement: Statement
    ratio: float
    attained: bool
    law: Law | None
    source: str
    violation: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "statement": self.statement.name,
            "claim": self.statement.claim,
            "ratio": self.ratio,
            "attained": self.attained,
            "source": self.source,
            "violation": self.violation,
            "law": None if self.law is None else describe(self.law, self.statement),
        }

    def __str__(self) -> str:
        how = "attained" if self.attained else f"{self.ratio:.6f}"
        where = "" if self.law is None else f" at {describe(self.law, self.statement)}"
        return f"{self.statement.name}: {how} ({self.source}){where}"


def tightness(
    statement: Statement, pool: Sequence[Law] = (), *, seed: int = 0, evaluations: int = 150, restarts: int = 0
) -> Tightness:
    """The largest ratio of the families, of a pool, and of searches that start from the best of them.

    Parameters
    ----------
    statement : Statement
    pool : sequence of Law
    seed : int
        Of the random restarts.
    evaluations : int
        Per search.
    restarts : int
        Searches from random tilts besides those from the best laws.

    Returns
    -------
    Tightness
        A broken statement at once; ratio 0 and no law if none applies.

    Examples
    --------
    >>> from proofs_check.statements import statements_of
    >>> tightness(statements_of("pinsker.chain_entropy_upper")[0]).attained
    True
    """
    ranked: list[tuple[float, Verdict, Law, str]] = []
    for source, laws in (("family", candidates(statement)), ("random", pool)):
        for law in laws:
            verdict = statement.check(law)
            if verdict.broken:
                return Tightness(statement, verdict.ratio, False, law, source, True)
            if verdict.applies and isfinite(verdict.ratio):
                ranked.append((verdict.ratio, verdict, law, source))
    if not ranked:
        return Tightness(statement, 0.0, False, None, "none")
    # Equality of two zeros shows nothing about the constant.
    ranked.sort(key=lambda entry: -entry[0])
    for ratio, verdict, law, source in ranked:
        if verdict.equal and ratio == 1.0:
            return Tightness(statement, 1.0, True, law, source)
    best = Tightness(statement, ranked[0][0], False, ranked[0][2], ranked[0][3])
    rng = Random(seed)
    starts = [(law, 0.0) for _, _, law, _ in ranked[:_SEEDS]]
    starts += [(rng.choice(ranked[: 4 * _SEEDS])[2], 1.0) for _ in range(restarts)]
    for law, spread in starts:
        found = search(statement, law, evaluations=evaluations, spread=spread, seed=rng.randrange(2**31))
        if found is not None and found.violation:
            return found
        if found is not None and found.ratio > best.ratio:
            best = found
    return best


def search(
    statement: Statement, start: Law, *, evaluations: int = 150, spread: float = 0.0, seed: int = 0
) -> Tightness | None:
    """Climb from one law by tilting its masses; the support, the points and the chains are kept.

    Parameters
    ----------
    statement : Statement
        Whose ratio of left to right side is raised.
    start : Law
        Where the climb begins.
    evaluations : int, default=150
        Most laws to try.
    spread : float, default=0.0
        Standard deviation of the random tilt of the start, in nats of mass.
    seed : int, default=0
        Of that tilt.

    Returns
    -------
    Tightness or None
        Of the rational law that the climb ends in; None if the start is too large or leads nowhere.
    """
    if len(start.masses) > _TOO_LARGE or start.extra.get("n", 0) > _COSTLY or len(start.masses) < 2:
        return None
    if "population" in start.extra:
        return None  # whole units cannot be tilted
    size, build = _tilts(statement, start)
    rough = _in_floats(start)

    def loss(parameters: Array) -> float:
        verdict = statement.check(_law(rough, build(parameters)))
        return -verdict.ratio if verdict.applies and isfinite(verdict.ratio) else 0.0

    first = np.random.default_rng(seed).normal(size=size) * spread
    # The default simplex around zero is so small that nothing would move.
    simplex = first + np.vstack([np.zeros(size), _STEP * np.eye(size)])
    options = {"maxfev": evaluations, "xatol": 1e-6, "fatol": 1e-10, "initial_simplex": simplex, "adaptive": True}
    end = np.asarray(minimize(loss, first, method="Nelder-Mead", options=options).x)
    best = None
    for denominator in _DENOMINATORS:
        law = _law(start, build(end, denominator))
        verdict = statement.check(law)
        if verdict.applies and isfinite(verdict.ratio) and (best is None or verdict.ratio > best.ratio):
            best = Tightness(statement, verdict.ratio, verdict.equal, law, "search", verdict.broken)
    return best


def _in_floats(law: Law) -> Law:
    """The same points and distances as floats: a product of a float and a fraction costs ten of two floats."""

    def table(rows: Sequence[Sequence[Real]]) -> tuple[tuple[float, ...], ...]:
        return tuple(tuple(float(v) for v in row) for row in rows)

    rho = None if law.rho is None else table(law.rho)
    return replace(law, x=table(law.x), y=table(law.y), z=table(law.z), rho=rho, t=float(law.t))


def _law(start: Law, masses: Masses) -> Law:
    """The start with other masses; what was derived from its own masses is derived anew for exact laws."""
    law = replace(start, masses=masses)
    if "other" in start.extra:
        law = replace(law, extra={**start.extra, "other": law})
    return law if law.is_float else complete(law)


def _tilts(statement: Statement, start: Law) -> tuple[int, Callable[..., Masses]]:
    """Number of parameters, and the masses for given parameters; along a chain, of the pair and of the readings."""
    atoms = sorted(start.masses)
    if _FORWARD not in statement.needs and _BACKWARD not in statement.needs:
        base = np.log([float(start.masses[a]) for a in atoms])

        def free(parameters: Array, denominator: int = 0) -> Masses:
            return dict(zip(atoms, _normal(base + parameters, denominator), strict=True))

        return len(atoms), free

    place = 0 if _FORWARD in statement.needs else 1
    pairs = sorted(start.pair)
    readings = sorted(start.marginal("xz" if place == 0 else "yz").items())
    pair_base = np.log([float(start.pair[c]) for c in pairs])
    reading_base = np.log([float(p) for _, p in readings])
    middles = sorted({k[0] for k, _ in readings})

    def chained(parameters: Array, denominator: int = 0) -> Masses:
        pair = dict(zip(pairs, _normal(pair_base + parameters[: len(pairs)], denominator), strict=True))
        tilted = reading_base + parameters[len(pairs) :]
        kernel: dict[int, list[tuple[int, Real]]] = {}
        for m in middles:
            chosen = [(n, k[1]) for n, (k, _) in enumerate(readings) if k[0] == m]
            weights = _normal(tilted[[n for n, _ in chosen]], denominator)
            kernel[m] = [(z, w) for (_, z), w in zip(chosen, weights, strict=True)]
        return {(c[0], c[1], z): p * w for c, p in pair.items() for z, w in kernel[c[place]]}

    return len(pairs) + len(readings), chained


def _normal(logits: Array, denominator: int) -> list[Real]:
    """Probabilities of logits: floats, or with a denominator multiples of about its inverse, none of them zero."""
    weights = np.exp(logits - logits.max())
    shares = weights / weights.sum()
    if not denominator:
        return [float(p) for p in shares]
    counts = [max(1, round(float(p) * denominator)) for p in shares]
    return [Fraction(c, sum(counts)) for c in counts]


def plot_tightness(results: Sequence[Tightness], ax: Any = None) -> Any:
    """Bars of the largest ratio of each statement: 1 is equality, attained ones are filled.

    Parameters
    ----------
    results : sequence of Tightness
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes
    """
    from redundancy.figures import style

    ax = style.new_axes(ax, width=style.DOUBLE_COLUMN, height=0.19 * len(results) + 0.8)
    ordered = list(reversed(results))
    colour = style.OKABE_ITO["blue"]
    with style.style_context():
        for row, result in enumerate(ordered):
            ax.plot([0, result.ratio], [row, row], color=colour, lw=1.0, zorder=1)
            face = colour if result.attained else style.PAPER
            ax.plot(result.ratio, row, "o", color=colour, markerfacecolor=face, ms=4, zorder=2)
        ax.axvline(1.0, color=style.MUTED, lw=0.8, zorder=0)
        ax.set_xlim(0, 1.05)
        ax.set_ylim(-0.7, len(ordered) - 0.3)
        ax.set_xlabel("largest left / right found (filled: equality attained)")
        style.polish(ax, grid=False)
        ax.set_yticks(range(len(ordered)), [r.statement.name for r in ordered], fontsize=6)
    return ax
