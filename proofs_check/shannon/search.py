"""Laws that break a claim about entropies: linear codes over bits first, then skewed laws on few atoms.

Entropies of linear codes are ranks, so premises and claims are decided in whole bits. For other laws the
premises are checked in rationals (products and supports) and the claim by rigorous enclosures of logarithms.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, product
from typing import Any

import numpy as np

from proofs_check.exact.enclosure import Enclosure, Real, decimal, exceeds, log, total
from proofs_check.shannon.certificate import premises_of
from proofs_check.shannon.language import Expression, Premise, parse_claim, variables_of

__all__ = ["LawCounterexample", "find_counterexample"]

_BATCH = 2000
_FLOAT = 1e-9  # float screening only; what passes is decided exactly
_CODES = 3  # independent bits under the linear codes


@dataclass(frozen=True, slots=True)
class LawCounterexample:
    """A finite law that obeys the premises and breaks the claim: atoms with masses, and by how much.

    Parameters
    ----------
    claim : str
        The broken (in)equality.
    variables : tuple of str
        Order of the symbols in an atom.
    masses : mapping of tuple of int to Fraction
        Positive masses of the atoms, with sum 1.
    excess : Enclosure
        By how much the claim fails, in nats.
    """

    claim: str
    variables: tuple[str, ...]
    masses: Mapping[tuple[int, ...], Fraction]
    excess: Real

    def __str__(self) -> str:
        head = f"({', '.join(self.variables)})"
        atoms = "; ".join(f"P{'(' + ','.join(map(str, a)) + ')'} = {p}" for a, p in self.masses.items())
        return f"false: {head} with {atoms} breaks {self.claim} by {decimal(self.excess)} nats"


def find_counterexample(
    claim: str, given: str | Sequence[str] = (), *, rng: int = 0, tries: int = 20
) -> LawCounterexample | None:
    """Look for a law that obeys the premises and breaks the claim.

    Parameters
    ----------
    claim, given : as in `prove`
        Copies and atoms are not laws; a claim with them is not searched (returns None).
    rng : int
        Seed of the second, random stage.
    tries : int
        Batches of 2000 random laws.

    Returns
    -------
    LawCounterexample or None
        None proves nothing.

    Examples
    --------
    >>> print(find_counterexample("I(Z;X) <= I(Z;Y)"))
    false: (X, Y, Z) with P(0,0,0) = 1/2; P(1,0,1) = 1/2 breaks I(Z;X) <= I(Z;Y) by 0.6931471806 nats
    """
    facts = [given] if isinstance(given, str) and given else list(given)
    facts = [part for fact in facts for part in fact.replace("\n", " and ").split(" and ")]
    parsed = parse_claim(claim)
    premises = premises_of(claim, facts, ())
    expressions = [parsed.expression, *(p.expression for p in premises)]
    if any(p.kind == "copy" for p in premises) or any(isinstance(k, str) for e in expressions for k in e):
        return None
    variables = variables_of(expressions)
    signs = (1, -1) if parsed.equality else (1,)
    random = _few_atoms(variables, parsed.expression, premises, signs, rng, tries)
    for masses in chain(_linear(variables), random):
        screen = {atom: float(p) for atom, p in masses.items()}
        for sign in signs:
            if _excess(screen, variables, parsed.expression, sign) < _FLOAT:
                continue
            excess = _excess(masses, variables, parsed.expression, sign)
            if exceeds(excess, 0) and all(_holds(p, masses, variables) for p in premises):
                return LawCounterexample(claim, variables, masses, excess)
    return None


def _excess(
    masses: Mapping[tuple[int, ...], Real], variables: Sequence[str], expression: Expression, sign: int
) -> Real:
    """How far the claim ``sign * expression >= 0`` is broken: positive if it is."""
    return total(-sign * w * _entropy(masses, variables, k) for k, w in expression.items())


def _entropy(masses: Mapping[tuple[int, ...], Real], variables: Sequence[str], of: Any) -> Real:
    return total(p * log(1 / p) for p in _marginal(masses, variables, of).values())


def _marginal(masses: Mapping[tuple[int, ...], Real], variables: Sequence[str], of: Any) -> dict[tuple[int, ...], Real]:
    places = [i for i, v in enumerate(variables) if v in of]
    found: dict[tuple[int, ...], Real] = {}
    for atom, mass in masses.items():
        key = tuple(atom[i] for i in places)
        found[key] = found.get(key, 0) + mass
    return found


def _holds(premise: Premise, masses: Mapping[tuple[int, ...], Fraction], variables: Sequence[str]) -> bool:
    """Exactly: independence by products, functions by supports, relations only if their sides cancel."""
    if premise.kind == "function":
        value, of = premise.sets
        return len(_marginal(masses, variables, value | of)) == len(_marginal(masses, variables, of))
    if premise.kind == "independent":
        a, b, c = premise.sets
        order = tuple(v for v in variables if v in a | b | c)
        whole = _marginal(masses, variables, a | b | c)
        parts = [_marginal(whole, order, s) for s in (a | c, b | c, c)]
        places = [[i for i, v in enumerate(order) if v in s] for s in (a | c, b | c, c)]
        seen: set[tuple[tuple[int, ...], ...]] = set()
        for left, right in product(parts[0], parts[1]):
            atom = _joined(order, (a | c, left), (b | c, right))
            if atom is None or (left, right) in seen:
                continue
            seen.add((left, right))
            given = tuple(atom[i] for i in places[2])
            if whole.get(atom, Fraction(0)) * parts[2][given] != parts[0][left] * parts[1][right]:
                return False
        return True
    value = _excess(masses, variables, premise.expression, -1)
    if isinstance(value, Enclosure):
        return not premise.equality and value.lower >= 0
    return bool(value == 0 if premise.equality else value >= 0)


def _joined(
    order: Sequence[str], left: tuple[frozenset[str], tuple[int, ...]], right: tuple[frozenset[str], tuple[int, ...]]
) -> tuple[int, ...] | None:
    """The atom with the given values of two overlapping groups; None if they disagree."""
    values: dict[str, int] = {}
    for names, key in (left, right):
        for name, value in zip((v for v in order if v in names), key, strict=True):
            if values.setdefault(name, value) != value:
                return None
    return tuple(values[v] for v in order)


def _linear(variables: Sequence[str]) -> Iterator[dict[tuple[int, ...], Fraction]]:
    """Laws where each variable is a linear function of one to three fair bits, fewest bits first."""
    for n_bits in range(1, _CODES + 1):
        choices: list[tuple[int, ...]] = [(k,) for k in range(1 << n_bits)]
        if n_bits == 2:
            choices.append((1, 2))
        if len(choices) ** len(variables) > 5000:
            return
        for maps in product(choices, repeat=len(variables)):
            atoms: dict[tuple[int, ...], Fraction] = {}
            for word in range(1 << n_bits):
                atom = tuple(sum(((m & word).bit_count() % 2) << i for i, m in enumerate(ms)) for ms in maps)
                atoms[atom] = atoms.get(atom, Fraction(0)) + Fraction(1, 1 << n_bits)
            yield dict(sorted(atoms.items()))


def _few_atoms(
    variables: Sequence[str],
    expression: Expression,
    premises: Sequence[Premise],
    signs: Sequence[int],
    seed: int,
    tries: int,
) -> Iterator[dict[tuple[int, ...], Fraction]]:
    """Random integer weights on few atoms of binary variables, screened in floats."""
    rng = np.random.default_rng(seed)
    n_atoms = 1 << len(variables)
    if n_atoms > 64:
        return
    bits = (np.arange(n_atoms)[:, None] >> np.arange(len(variables))) & 1
    for trial in range(tries):
        size = min(n_atoms, 3 + trial % 6)
        weights = np.zeros((n_atoms, _BATCH))
        support = rng.random((n_atoms, _BATCH)).argsort(axis=0)[:size]
        np.put_along_axis(weights, support, rng.integers(1, 10, (size, _BATCH)).astype(float), axis=0)
        laws = weights / weights.sum(axis=0)
        bad = np.ones(_BATCH, dtype=bool)
        for p in premises:
            value = _values(laws, bits, variables, p.expression)
            bad &= abs(value) < _FLOAT if p.equality else value > -_FLOAT
        value = _values(laws, bits, variables, expression)
        bad &= np.any([sign * value < -_FLOAT for sign in signs], axis=0)
        # The clearest violation first.
        for row in sorted(np.flatnonzero(bad), key=lambda r: -abs(value[r]))[:5]:
            whole = int(weights[:, row].sum())
            atoms = [(tuple(map(int, bits[a])), int(weights[a, row])) for a in np.flatnonzero(weights[:, row])]
            yield {atom: Fraction(w, whole) for atom, w in sorted(atoms)}


def _values(laws: Any, bits: Any, variables: Sequence[str], expression: Expression) -> Any:
    value = np.zeros(laws.shape[1])
    for coordinate, weight in expression.items():
        places = [i for i, v in enumerate(variables) if v in coordinate]
        codes = bits[:, places] @ (1 << np.arange(len(places)))
        merged = np.zeros((1 << len(places), laws.shape[1]))
        np.add.at(merged, codes, laws)
        value -= float(weight) * (merged * np.log(np.where(merged > 0, merged, 1.0))).sum(axis=0)
    return value
