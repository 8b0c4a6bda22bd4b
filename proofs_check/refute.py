"""Counterexamples: look for a law that breaks a statement, make it small, keep it exact."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from proofs_check.exact.enclosure import decimal
from proofs_check.exact.extras import complete
from proofs_check.exact.law import Law
from proofs_check.extremal import family
from proofs_check.printing import describe
from proofs_check.statements.base import Statement, Verdict

__all__ = ["Counterexample", "candidates", "first_broken", "refute", "shrink"]

_LARGE = 64  # atoms beyond which a law is not made smaller: it is large on purpose
_ROUNDS = 40
_FLAW = 6  # atoms that a finite violation may cost
_DRAWS = 50  # samples beyond which a law is not made smaller: each step would sum over all of them


@dataclass(frozen=True, slots=True)
class Counterexample:
    """A law on which a statement fails for certain.

    Parameters
    ----------
    statement : Statement
    law : Law
        Exact.
    verdict : Verdict
    found_by : tuple of str
        Every source that holds a counterexample: "family", "random", "search".
    """

    statement: Statement
    law: Law
    verdict: Verdict
    found_by: tuple[str, ...]

    def __str__(self) -> str:
        left, right = (decimal(v, 4) for v in (self.verdict.left, self.verdict.right))
        relation = {"<=": ">", "<": ">=", "=": "!="}[self.statement.relation]
        return f"{left} {relation} {right} at {describe(self.law, self.statement)}"

    def to_dict(self) -> dict[str, Any]:
        """Plain data; masses as exact text."""
        return {
            "left": decimal(self.verdict.left, 12),
            "right": decimal(self.verdict.right, 12),
            "law": describe(self.law, self.statement),
            "found_by": list(self.found_by),
        }


def candidates(statement: Statement) -> Iterator[Law]:
    """The laws of the statement's own families, small first."""
    for name in statement.families:
        yield from family(name)


def first_broken(statement: Statement, laws: Iterable[Law]) -> tuple[Law, Verdict] | None:
    """The first law that breaks the statement for certain, with finite and unequal sides if there is one.

    Parameters
    ----------
    statement : Statement
        What is to be broken.
    laws : iterable of Law
        Looked at in this order.

    Returns
    -------
    (Law, Verdict) or None
        None if no law breaks it.
    """
    spare = None
    for law in laws:
        verdict = statement.check(law)
        if verdict.broken:
            if not any(_flaws(verdict)):
                return law, verdict
            spare = spare or (law, verdict)
    return spare


def refute(statement: Statement, pool: Sequence[Law] = ()) -> Counterexample | None:
    """Look through the families and a pool of random laws; the smallest find is made smaller still.

    Parameters
    ----------
    statement : Statement
        What is to be broken.
    pool : sequence of Law
        Random laws besides the families of the statement.

    Returns
    -------
    Counterexample or None
        None proves nothing.

    Examples
    --------
    >>> from proofs_check.statements import statements_of
    >>> wrong = statements_of("pinsker.chain_entropy_upper")[0].with_constants(a=Fraction(99, 100))
    >>> print(refute(wrong))
    1 > 0.99 at P(x=0, y=0, z=-1) = 1/2; P(x=1, y=0, z=1) = 1/2
    """
    hits = {"family": first_broken(statement, candidates(statement)), "random": first_broken(statement, pool)}
    found_by = tuple(source for source, hit in hits.items() if hit is not None)
    found = [hit for hit in hits.values() if hit is not None]
    if not found:
        return None
    shrunk = [shrink(statement, law) for law, _ in found]
    law = min(shrunk, key=lambda law: _cost(law, statement.check(law)))
    return Counterexample(statement, law, statement.check(law), found_by)


def size_of(law: Law) -> tuple[int, int, int, int]:
    """Atoms, largest denominator, symbols, other numbers than zero: what makes a law hard to read."""
    denominators = [Fraction(p).denominator for p in law.masses.values()]
    numbers = sum(v != 0 for point in law.z for v in point) + (law.t != 0)
    return len(law.masses), max(denominators), len(law.x) + len(law.y) + len(law.z), numbers


def shrink(statement: Statement, law: Law) -> Law:
    """A smaller law that still breaks the statement: fewer atoms, then simpler masses; greedy, exact at every step.

    Parameters
    ----------
    statement : Statement
        The broken statement.
    law : Law
        That breaks it.

    Returns
    -------
    Law
        The same law if nothing smaller was found, or if it is too large to try.
    """
    if len(law.masses) > _LARGE or law.extra.get("n", 0) > _DRAWS:
        return law
    flaws = _flaws(statement.check(law))
    for _ in range(_ROUNDS):
        smaller = next((s for s in _simpler(law) if size_of(s) < size_of(law) and _breaks(statement, s, flaws)), None)
        if smaller is None:
            return law
        law = smaller
    return law


def _breaks(statement: Statement, law: Law, flaws: tuple[bool, bool]) -> bool:
    verdict = statement.check(law)
    return verdict.broken and _flaws(verdict) <= flaws


def _cost(law: Law, verdict: Verdict) -> tuple[int, ...]:
    atoms, *rest = size_of(law)
    return (atoms + _FLAW * sum(_flaws(verdict)), *rest)


def _flaws(verdict: Verdict) -> tuple[bool, bool]:
    """What makes a violation less telling: an infinite side, or sides that are equal where < was claimed."""
    return any(math.isinf(float(v)) for v in (verdict.left, verdict.right)), verdict.equal


def _simpler(law: Law) -> Iterator[Law]:
    """Laws without an atom, a radius or a task, with equal or rounded masses; what hangs on them is made anew."""
    atoms = sorted(law.masses)
    fixed = {k: v for k, v in law.extra.items() if k not in ("other", "population")}
    if "population" in law.extra or (
        isinstance(law.extra.get("other"), Law) and law.extra["other"].masses != law.masses
    ):
        return
    for gone in atoms if len(atoms) > 1 else ():
        rest = {a: law.masses[a] for a in atoms if a != gone}
        whole = sum(rest.values())
        yield _with_masses(law, {a: p / whole for a, p in rest.items()}, fixed)
    if law.t:
        yield complete(replace(law, t=Fraction(0), extra=fixed))
    if len(law.z) > 1 or any(law.z[0]):
        pair = {(i, j, 0): p for (i, j), p in law.pair.items()}
        silent = {k: v for k, v in fixed.items() if not k.startswith("probe")}
        yield complete(replace(law, masses=pair, z=((Fraction(0),) * len(law.z[0]),), extra=silent))
    if len(set(law.masses.values())) > 1:
        yield _with_masses(law, {a: Fraction(1, len(atoms)) for a in atoms}, fixed)
    for denominator in (2, 3, 4, 5, 6, 8, 10, 12, 16, 20):
        weights = {a: round(p * denominator) for a, p in law.masses.items()}
        if all(weights.values()):
            whole = sum(weights.values())
            yield _with_masses(law, {a: Fraction(w, whole) for a, w in weights.items()}, fixed)


def _with_masses(law: Law, masses: dict[tuple[int, int, int], Any], extra: dict[str, Any]) -> Law:
    return complete(replace(law, masses=masses, extra=extra))
