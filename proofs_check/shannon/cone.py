"""The cone of Shannon's inequalities: its generators, and points of it that break a claim. Fractions only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations

from proofs_check.shannon.certificate import premises_of
from proofs_check.shannon.language import (
    Coordinate,
    Expression,
    Premise,
    entropy,
    information,
    parse_claim,
    variables_of,
)

__all__ = ["NotProvable", "elementals", "is_polymatroid", "label", "value"]


@dataclass(frozen=True, slots=True)
class NotProvable:
    """No combination of Shannon inequalities gives the claim; `witness` is the polymatroid that shows it.

    The witness obeys every Shannon inequality and every premise and breaks the claim, exactly. It need not
    be the entropy function of any law, so the claim may still be true: "not Shannon-provable", not "false".

    Parameters
    ----------
    claim : str
        The (in)equality.
    given : tuple of str
        Premises, as they were given.
    witness : dict of str to Fraction
        Value of each joint entropy, as "H(X,Y)", and of each atom.
    value : Fraction
        The claim, as something that is to be >= 0, at the witness: below 0.
    """

    claim: str
    given: tuple[str, ...]
    witness: dict[str, Fraction]
    value: Fraction

    def verify(self) -> tuple[str, ...]:
        """Every fault of the witness, as sentences; empty if it obeys all inequalities and breaks the claim."""
        claim, premises = parse_claim(self.claim), premises_of(self.claim, self.given, ())
        variables = variables_of([claim.expression, *(p.expression for p in premises)])
        point: dict[Coordinate, Fraction] = {}
        for name, height in self.witness.items():
            (coordinate,) = parse_claim(f"{name} >= 0").expression
            point[coordinate] = height
        faults = [text for text, e in elementals(variables) if value(e, point) < 0]
        faults += [p.text for p in premises if not is_polymatroid(point, [], [p])]
        broken = abs(value(claim.expression, point)) if claim.equality else -value(claim.expression, point)
        return (*(f"{text} fails" for text in faults), *(() if broken > 0 else ("the claim holds",)))

    @property
    def proved(self) -> bool:
        """False."""
        return False

    @property
    def summary(self) -> str:
        """One line."""
        return "not Shannon-provable"

    def __str__(self) -> str:
        rows = [f"    {name} = {value}" for name, value in self.witness.items()]
        return "\n".join([
            f"claim   {self.claim}",
            *(f"given   {g}" for g in self.given),
            "not Shannon-provable: this polymatroid obeys all Shannon inequalities and all premises, "
            f"and breaks the claim by {-self.value}",
            *rows,
            "It need not be the entropies of a law; find_counterexample() looks for one.",
        ])  # fmt: skip


def elementals(variables: Sequence[str], atoms: Sequence[str] = ()) -> list[tuple[str, Expression]]:
    """The elemental inequalities, n + C(n,2) 2^(n-2) of them, which imply all Shannon inequalities; and the atoms."""
    found: list[tuple[str, Expression]] = []
    everything = frozenset(variables)
    for v in variables:
        rest = everything - {v}
        found.append((f"H({v}|{','.join(sorted(rest))})" if rest else f"H({v})", entropy({v}, rest)))
    for a, b in combinations(variables, 2):
        others = sorted(everything - {a, b})
        for size in range(len(others) + 1):
            for given in combinations(others, size):
                text = f"I({a};{b}{'|' + ','.join(given) if given else ''})"
                found.append((text, information({a}, {b}, given)))
    return found + [(atom, {atom: Fraction(1)}) for atom in atoms]


def is_polymatroid(
    witness: Mapping[Coordinate, Fraction], basics: Sequence[Expression], premises: Sequence[Premise]
) -> bool:
    """Whether all basic quantities are >= 0 and all premises hold, exactly."""
    return all(value(e, witness) >= 0 for e in basics) and all(
        value(p.expression, witness) == 0 if p.equality else value(p.expression, witness) >= 0 for p in premises
    )


def value(expression: Expression, point: Mapping[Coordinate, Fraction]) -> Fraction:
    """Value of a linear expression at a point."""
    return sum((w * point[k] for k, w in expression.items()), Fraction(0))


def label(coordinate: Coordinate) -> str:
    """H(A,B) of a set of variables, the name of an atom."""
    return coordinate if isinstance(coordinate, str) else f"H({','.join(sorted(coordinate))})"
