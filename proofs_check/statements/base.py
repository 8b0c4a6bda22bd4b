"""What a checkable statement is: two sides as functions of a finite law, its assumptions, its constants."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from types import MappingProxyType
from typing import TypeAlias, TypedDict, Unpack

from proofs_check.exact.enclosure import Enclosure, Real, decimal, enclose, exceeds
from proofs_check.exact.law import Law
from proofs_check.statements.assumptions import obeys

__all__ = ["Constants", "Side", "Statement", "Verdict"]

Constants: TypeAlias = Mapping[str, Real]
Side: TypeAlias = Callable[[Law, Constants], Real]

_TIE = Fraction(1, 10**25)  # enclosures are some 10^-50 wide: nearer sides are equal for every purpose
_FLOAT = 1e-9  # rounding of the float route, which only ever points out laws to look at exactly


class StatementChanges(TypedDict, total=False):
    """Fields of a `Statement` that a variant of it may replace."""

    theorem: str
    claim: str
    left: Side
    right: Side
    needs: tuple[str, ...]
    relation: str
    part: str
    true: bool
    families: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """A statement on one law.

    Parameters
    ----------
    applies : bool
        Whether the law obeys the assumptions; nothing is claimed of it otherwise.
    broken : bool
        Whether the statement fails *for certain*: in Fractions, or by disjoint enclosures.
    equal : bool
        Whether the sides agree, exactly or to 25 digits.
    left, right : number or None
    """

    applies: bool
    broken: bool = False
    equal: bool = False
    left: Real = None
    right: Real = None

    @property
    def ratio(self) -> float:
        """Left over right; 0 where neither says anything, infinite where only the right side vanishes."""
        if not self.applies:
            return 0.0
        left, right = float(self.left), float(self.right)
        if self.equal:
            return 1.0 if right > float(_TIE) else 0.0
        if right == 0.0:
            return 0.0 if left <= 0.0 else float("inf")
        return left / right if right > 0.0 else 0.0

    def __str__(self) -> str:
        if not self.applies:
            return "does not apply"
        relation = ">" if exceeds(self.left, self.right) else ("=" if self.equal else "<=")
        return f"{decimal(self.left, 6)} {relation} {decimal(self.right, 6)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """``left <= right`` (or ``<``, or ``=``) for every finite law that obeys the assumptions.

    Parameters
    ----------
    theorem : str
        Id in the ledger, or a name of your own.
    claim : str
        The statement in words and symbols, with the names of the constants.
    left, right : callable
        Functions of the law and of the constants, with the operations that Fractions, enclosures and
        floats share; logarithms and roots come from `proofs_check.exact.enclosure`.
    needs : tuple of str
        Names of assumptions, see `proofs_check.statements.assumptions.ASSUMPTIONS`.
    constants : mapping of str to number
        What a mutation replaces.
    relation : {"<=", "<", "="}
    part : str
        Which side or chain, for theorems of several statements.
    true : bool
        False for what is printed and wrong: then a counterexample is demanded.
    families : tuple of str
        Extremal families that start the searches.
    """

    theorem: str
    claim: str
    left: Side
    right: Side
    needs: tuple[str, ...] = ()
    constants: Mapping[str, Real] = field(default_factory=lambda: MappingProxyType({}))
    relation: str = "<="
    part: str = ""
    true: bool = True
    families: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Theorem and part."""
        return f"{self.theorem} [{self.part}]" if self.part else self.theorem

    def applies(self, law: Law) -> bool:
        """Whether the law obeys all assumptions."""
        return all(obeys(law, need) for need in self.needs)

    def check(self, law: Law) -> Verdict:
        """Both sides on a law, and whether the statement fails there."""
        if not self.applies(law):
            return Verdict(False)
        left, right = self.left(law, self.constants), self.right(law, self.constants)
        if law.is_float:
            return self._floats(float(left), float(right))
        equal = _equal(left, right)
        if self.relation == "=":
            broken = exceeds(left, right) or exceeds(right, left)
        elif self.relation == "<":
            broken = exceeds(left, right) or (equal and not _is_open(left, right))
        else:
            broken = exceeds(left, right)
        return Verdict(True, broken and not (equal and self.relation != "<"), equal, left, right)

    def _floats(self, left: float, right: float) -> Verdict:
        slack = _FLOAT * (1.0 + abs(left) + abs(right))
        above, below = left > right + slack, left < right - slack
        broken = {"<=": above, "<": not below, "=": above or below}[self.relation]
        return Verdict(True, broken, not (above or below), left, right)

    def without(self, *needs: str) -> Statement:
        """The same statement with assumptions dropped."""
        missing = set(needs) - set(self.needs)
        if missing:
            raise KeyError(f"{self.name} does not assume {sorted(missing)}")
        return replace(self, needs=tuple(n for n in self.needs if n not in needs))

    def with_constants(self, **constants: Real) -> Statement:
        """The same statement with constants replaced."""
        missing = set(constants) - set(self.constants)
        if missing:
            raise KeyError(f"{self.name} has no constants {sorted(missing)}")
        return replace(self, constants={**self.constants, **constants})

    def but(self, **changes: Unpack[StatementChanges]) -> Statement:
        """The same statement with sides, needs or relation replaced."""
        return replace(self, **changes)


def _equal(left: Real, right: Real) -> bool:
    if not isinstance(left, Enclosure) and not isinstance(right, Enclosure):
        return bool(left == right)
    a, b = enclose(left), enclose(right)
    if any(isinstance(end, float) for end in (a.lower, a.upper, b.lower, b.upper)):
        return False
    return bool(abs(a.upper - b.lower) < _TIE and abs(b.upper - a.lower) < _TIE)


def _is_open(left: Real, right: Real) -> bool:
    """Whether equality is known to 25 digits only."""
    return isinstance(left, Enclosure) or isinstance(right, Enclosure)
