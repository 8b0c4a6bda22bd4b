"""The search for a certificate: a linear program in floats, then exact rationals; only the latter count.

``target = sum y_k elemental_k + sum z_j premise_j, y >= 0`` (Farkas). HiGHS finds the support; the weights
on it are solved for in Fractions, and `certificate.verify` has the last word.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import csc_matrix

from proofs_check.shannon.certificate import Certificate, ShannonProof, premises_of, verify
from proofs_check.shannon.cone import NotProvable, elementals, is_polymatroid, label, value
from proofs_check.shannon.language import Coordinate, Expression, Premise, combine, parse_claim, variables_of
from redundancy.errors import InvalidInputError, NotConvergedError

__all__ = ["MOST_VARIABLES", "prove"]

MOST_VARIABLES = 8
_SUPPORT = 1e-9  # weights of basic solutions are rationals of small denominator: far from this
_DENOMINATORS = (60, 2520, 10**6)


def prove(claim: str, given: str | Sequence[str] = (), *, atoms: Sequence[str] = ()) -> ShannonProof | NotProvable:
    """Prove a linear (in)equality between entropies, or show that Shannon's inequalities do not give it.

    Parameters
    ----------
    claim : str
        As ``"I(Z;X|Y) <= H(X|Y)"``; ``=`` asks for both directions.
    given : str or sequence of str
        Markov chains ``"X -> Y -> Z"``, functions ``"Y = f(X)"``, independence ``"X _||_ Y | W"``, relations
        ``"H(X) = H(Y)"``, and one auxiliary variable of the copy lemma ``"R = copy(A | C, D)"``.
    atoms : sequence of str
        Names of further non-negative quantities, as parts of an information decomposition.

    Returns
    -------
    ShannonProof or NotProvable
        Both carry exact rational evidence and a `proved` flag.

    Raises
    ------
    InvalidInputError
        For text that does not parse or more than eight variables.
    NotConvergedError
        If the float solution could be turned into neither.
    """
    facts = _split(given)
    parsed = parse_claim(claim, atoms)
    premises = premises_of(claim, facts, atoms)
    variables = variables_of([parsed.expression, *(p.expression for p in premises)])
    if len(variables) > MOST_VARIABLES:
        raise InvalidInputError(
            f"need at most {MOST_VARIABLES} variables, got {len(variables)}: {', '.join(variables)}"
        )
    used = [k for e in (parsed.expression, *(p.expression for p in premises)) for k in e if isinstance(k, str)]
    basics = elementals(variables, sorted(set(used)))
    certificates = []
    for sign in (1, -1) if parsed.equality else (1,):
        target = combine((sign, parsed.expression))
        weights = _weights(target, [e for _, e in basics], premises)
        if weights is None:
            witness = _witness(target, basics, premises, variables)
            names = {label(k): v for k, v in witness.items()}
            return NotProvable(claim, facts, names, value(target, witness))
        y, z = weights
        certificates.append(
            Certificate(
                sign,
                tuple((w, basics[k][0]) for k, w in y.items()),
                tuple((w, premises[j].text) for j, w in z.items()),
            )
        )
    proof = ShannonProof(claim, facts, tuple(atoms), tuple(certificates))
    faults = verify(proof)
    if faults:
        raise NotConvergedError(f"need a certificate that verifies, got one where {faults[0]}", proof)
    return proof


def _weights(
    target: Expression, basics: Sequence[Expression], premises: Sequence[Premise]
) -> tuple[dict[int, Fraction], dict[int, Fraction]] | None:
    """Exact weights of the basic quantities and of the premises, or None if there are none."""
    columns = [*basics, *(p.expression for p in premises)]
    matrix, rows = _matrix(columns, target)
    right = np.array([float(target.get(c, 0)) for c in rows])
    if not rows:
        return {}, {}
    bounds = [(0, None)] * len(basics) + [(None if p.equality else 0, None) for p in premises]
    # Each basic quantity costs one: short proofs.
    costs = np.concatenate([np.ones(len(basics)), np.zeros(len(premises))])
    result = linprog(costs, A_eq=matrix, b_eq=right, bounds=bounds, method="highs-ds")
    if result.status == 2:
        return None
    if result.status != 0:
        raise NotConvergedError(f"need a solved linear program, HiGHS says: {result.message}", result)
    support = [k for k in range(len(columns)) if abs(result.x[k]) > _SUPPORT]
    exact = _solve([columns[k] for k in support], target)
    if exact is None:
        exact = [Fraction(float(result.x[k])).limit_denominator(2520) for k in support]
    chosen = {k: w for k, w in zip(support, exact, strict=True) if w}
    return (
        {k: w for k, w in chosen.items() if k < len(basics)},
        {k - len(basics): w for k, w in chosen.items() if k >= len(basics)},
    )


def _witness(
    target: Expression, basics: Sequence[tuple[str, Expression]], premises: Sequence[Premise], variables: Sequence[str]
) -> dict[Coordinate, Fraction]:
    """A polymatroid that obeys everything and makes the target negative, in exact rationals."""
    matrix, rows = _matrix([*(e for _, e in basics), *(p.expression for p in premises)], target)
    dense = matrix.T.toarray()
    inequality = [True] * len(basics) + [not p.equality for p in premises]
    at_least = dense[np.array(inequality)]
    equal = dense[~np.array(inequality)]
    cost = np.array([float(target.get(c, 0)) for c in rows])
    for largest in (1.0, 2.0, float(len(variables))):
        result = linprog(
            cost,
            A_ub=-at_least,
            b_ub=np.zeros(len(at_least)),
            A_eq=equal if len(equal) else None,
            b_eq=np.zeros(len(equal)) if len(equal) else None,
            bounds=[(0, largest)] * len(rows),
            method="highs-ds",
        )
        if result.status != 0:
            continue
        for denominator in _DENOMINATORS:
            found = {c: Fraction(float(x)).limit_denominator(denominator) for c, x in zip(rows, result.x, strict=True)}
            if value(target, found) < 0 and is_polymatroid(found, [e for _, e in basics], premises):
                return found
    raise NotConvergedError("need an exact polymatroid witness, none of the rounded float solutions is one", target)


def _matrix(columns: Sequence[Expression], target: Expression) -> tuple[csc_matrix, list[Coordinate]]:
    rows = sorted({k for e in (*columns, target) for k in e}, key=label)
    place = {c: i for i, c in enumerate(rows)}
    entries = [(place[c], j, float(w)) for j, e in enumerate(columns) for c, w in e.items()]
    i, j, w = zip(*entries, strict=True) if entries else ((), (), ())
    return csc_matrix((w, (i, j)), shape=(len(rows), len(columns))), rows


def _solve(columns: Sequence[Expression], target: Expression) -> list[Fraction] | None:
    """The unique exact solution of ``sum x_k columns_k = target``, or None if there is none or more than one."""
    rows: list[dict[int, Fraction]] = []
    last = len(columns)
    for c in {k for e in (*columns, target) for k in e}:
        row = {k: e[c] for k, e in enumerate(columns) if c in e}
        if c in target:
            row[last] = target[c]
        rows.append(row)
    solved: dict[int, dict[int, Fraction]] = {}
    for original in rows:
        row = dict(original)
        for pivot, other in solved.items():
            if pivot in row:
                _subtract(row, other, row[pivot])
        unknowns = [k for k in row if k != last]
        if not unknowns:
            if row:
                return None
            continue
        pivot = min(unknowns)
        scale = row[pivot]
        row = {k: v / scale for k, v in row.items()}
        for other in solved.values():
            if pivot in other:
                _subtract(other, row, other[pivot])
        solved[pivot] = row
    if len(solved) < len(columns):
        return None
    return [solved[k].get(last, Fraction(0)) for k in range(len(columns))]


def _subtract(row: dict[int, Fraction], other: dict[int, Fraction], factor: Fraction) -> None:
    for k, v in other.items():
        value = row.get(k, Fraction(0)) - factor * v
        if value:
            row[k] = value
        else:
            row.pop(k, None)


def _split(given: str | Sequence[str]) -> tuple[str, ...]:
    parts = given.replace("\n", " and ").split(" and ") if isinstance(given, str) else given
    return tuple(part.strip() for part in parts if part.strip())
