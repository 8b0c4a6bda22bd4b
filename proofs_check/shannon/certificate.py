"""Exact certificates of Shannon-type claims, and the checker: Fractions only, no linear program, no floats.

A certificate writes ``claim = sum of weight * basic quantity + sum of weight * premise`` with weights >= 0
on the basic quantities H(A|C), I(A;B|C), which are non-negative for every law. `verify` reads the texts
anew and compares the coefficient of every joint entropy.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from proofs_check.shannon.language import (
    Expression,
    Premise,
    combine,
    complete_copies,
    information,
    parse_claim,
    parse_premises,
    plain_signs,
    variables_of,
)
from redundancy.errors import InvalidInputError, StoreError

__all__ = ["SCHEMA", "Certificate", "ShannonProof", "premises_of", "verify"]

SCHEMA = "skip-it/shannon-proof/1"
_BASIC = re.compile(r"^[HI]\([^()]*\)$")


@dataclass(frozen=True, slots=True)
class Certificate:
    """One direction: ``sign * claim`` as a combination of basic quantities, atoms and premises.

    Parameters
    ----------
    sign : {1, -1}
        Direction; an equality has a certificate for each.
    basic : tuple of (Fraction, str)
        Weights >= 0 of quantities that are never negative, as "I(X;Y|Z)".
    premises : tuple of (Fraction, str)
        Weights of premises; of either sign for equations.
    """

    sign: int
    basic: tuple[tuple[Fraction, str], ...]
    premises: tuple[tuple[Fraction, str], ...]


@dataclass(frozen=True, slots=True)
class ShannonProof:
    """A proved claim: its text, what was given, and one certificate (two for an equality).

    Parameters
    ----------
    claim : str
        The (in)equality.
    given : tuple of str
        Premises, as they were given.
    atoms : tuple of str
        Names of further non-negative quantities, as parts of an information decomposition.
    certificates : tuple of Certificate
        One per direction.
    """

    claim: str
    given: tuple[str, ...]
    atoms: tuple[str, ...]
    certificates: tuple[Certificate, ...]

    @property
    def proved(self) -> bool:
        """True; the counterpart of `NotProvable.proved`."""
        return True

    @property
    def summary(self) -> str:
        """One line."""
        terms = sum(len(c.basic) for c in self.certificates)
        premises = sum(len(c.premises) for c in self.certificates)
        tail = f", {premises} premise{'s' * (premises != 1)}" if premises else ""
        return f"proved: {terms} term{'s' * (terms != 1)}{tail}"

    def __str__(self) -> str:
        lines = [f"claim   {self.claim}", *(f"given   {g}" for g in self.given)]
        for certificate in self.certificates:
            head = "right - left" if "<=" in plain_signs(self.claim) else "left - right"
            lines.append(f"{head if certificate.sign > 0 else f'-({head})'} =")
            lines += [f"    {_weight(w)} {text}    [>= 0]" for w, text in certificate.basic]
            lines += [f"    {_weight(w)} ({text})    [given]" for w, text in certificate.premises]
            if not certificate.basic and not certificate.premises:
                lines.append("    0    [identically]")
        return "\n".join([*lines, "checked: the coefficients of all joint entropies agree, in exact fractions"])

    def to_json(self) -> str:
        """JSON with fractions as text; `from_json` verifies what it reads."""
        return json.dumps({
            "schema": SCHEMA,
            "claim": self.claim,
            "given": list(self.given),
            "atoms": list(self.atoms),
            "certificates": [
                {
                    "sign": c.sign,
                    "basic": [[str(w), t] for w, t in c.basic],
                    "premises": [[str(w), t] for w, t in c.premises],
                }
                for c in self.certificates
            ],
        })  # fmt: skip

    @classmethod
    def from_json(cls, text: str) -> ShannonProof:
        """Inverse of `to_json`.

        Raises
        ------
        StoreError
            If the text is no proof, or its identity does not hold.
        """
        try:
            body = json.loads(text)
            proof = cls(
                body["claim"],
                tuple(body["given"]),
                tuple(body["atoms"]),
                tuple(
                    Certificate(
                        c["sign"],
                        tuple((Fraction(w), t) for w, t in c["basic"]),
                        tuple((Fraction(w), t) for w, t in c["premises"]),
                    )
                    for c in body["certificates"]
                ),
            )
            problems = verify(proof) if body["schema"] == SCHEMA else (f"the schema is {body['schema']!r}",)
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(f"need JSON of schema {SCHEMA}, got text that does not read as it: {error}") from None
        if problems:
            raise StoreError(f"need a proof whose identity holds, got one where {problems[0]}")
        return proof


def verify(proof: ShannonProof) -> tuple[str, ...]:
    """Every fault of a proof, as sentences; empty if it is one.

    Uses the parser and Fractions, neither the linear program nor anything it returned but the weights.

    Parameters
    ----------
    proof : ShannonProof
        From `prove`, or read from JSON.

    Returns
    -------
    tuple of str
        Faults.
    """
    try:
        claim = parse_claim(proof.claim, proof.atoms)
        premises = {p.text: p for p in premises_of(proof.claim, proof.given, proof.atoms)}
    except InvalidInputError as error:
        return (str(error),)
    wanted = (1, -1) if claim.equality else (1,)
    problems = []
    if tuple(c.sign for c in proof.certificates) != wanted:
        problems.append(f"certificates have signs {[c.sign for c in proof.certificates]}, not {list(wanted)}")
    for certificate in proof.certificates:
        problems += _faults(certificate, claim.expression, premises, proof.atoms)
    return tuple(problems)


def premises_of(claim: str, given: Sequence[str], atoms: Sequence[str]) -> tuple[Premise, ...]:
    """The premises, copies completed over all variables that occur."""
    premises = parse_premises(list(given), atoms)
    parsed = parse_claim(claim, atoms)
    target = parsed.expression
    known = [p.expression for p in premises if p.equality]
    for first, second, third in parsed.needs:
        if information(first, second, third) not in known:
            a, b, c = (",".join(sorted(names)) for names in (first, second, third))
            raise InvalidInputError(
                f"need {a} independent of {b} given {c} for the divergence in {claim!r}; "
                f"give the chain {b} -> {c} -> {a}"
            )
    for p in premises:
        if p.kind == "copy" and p.sets[0] & set(variables_of([target])):
            raise InvalidInputError(f"need a claim without the auxiliary variable, {claim!r} mentions {set(p.sets[0])}")
    return complete_copies(premises, variables_of([target, *(p.expression for p in premises)]))


def _faults(
    certificate: Certificate, claim: Expression, premises: dict[str, Premise], atoms: Sequence[str]
) -> list[str]:
    problems: list[str] = []
    terms: list[tuple[Fraction | int, Expression]] = []
    for weight, text in certificate.basic:
        if weight < 0:
            problems.append(f"the weight {weight} of {text} is negative")
        if not (_BASIC.match(text) or text in atoms):
            problems.append(f"{text!r} is not a basic quantity H(A|C), I(A;B|C) or an atom")
            continue
        terms.append((weight, parse_claim(f"{text} >= 0", atoms).expression))
    for weight, text in certificate.premises:
        if text not in premises:
            problems.append(f"{text!r} was not given")
            continue
        if weight < 0 and not premises[text].equality:
            problems.append(f"the weight {weight} of the inequality {text} is negative")
        terms.append((weight, premises[text].expression))
    rest = combine((certificate.sign, claim), *((-w, e) for w, e in terms))
    for coordinate, value in rest.items():
        name = coordinate if isinstance(coordinate, str) else f"H({','.join(sorted(coordinate))})"
        problems.append(f"the coefficients of {name} differ by {value}")
    return problems


def _weight(weight: Fraction) -> str:
    return f"{'+' if weight >= 0 else '-'} {abs(weight)} *"
