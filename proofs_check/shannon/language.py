"""The language of entropies: "I(Z;X|Y) <= H(X|Y)", "X -> Y -> Z", "Y = f(X)", "X _||_ Y | W", "R = copy(A | C, D)".

An expression is a linear combination of joint entropies h(S), S a set of variables, and of extra
non-negative symbols ("atoms", such as the parts of an information decomposition).
"""
# Over 400 lines: the parser and what it parses are one grammar.

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

from redundancy.errors import InvalidInputError

__all__ = [
    "Claim",
    "Coordinate",
    "Expression",
    "Premise",
    "entropy",
    "information",
    "parse_claim",
    "parse_premises",
    "plain_signs",
]

Coordinate: TypeAlias = frozenset[str] | str  # a set of variables, or the name of an atom
Expression: TypeAlias = Mapping[Coordinate, Fraction]

_NAME = r"[A-Za-z][A-Za-z0-9_']*"
_TOKEN = re.compile(rf"\s*(?:(\d+(?:\.\d+)?(?:/\d+)?)|({_NAME})|(<=|>=|=|\|\||[-+*();,|<>]))")
_FUNCTION = re.compile(rf"^\s*([^=<>]+?)\s*=\s*({_NAME})\s*\(([^()]*)\)\s*$")
_HYPHENS = re.compile(rf"^\s*{_NAME}(?:\s*,\s*{_NAME})*(?:\s+-{{1,2}}\s+{_NAME}(?:\s*,\s*{_NAME})*){{2,}}\s*$")
_SIGNS = {
    "\u2264": "<=", "\u2a7d": "<=", "\u2265": ">=", "\u2a7e": ">=", "==": "=", "\u2192": "->", "\u27f6": "->",
    "\u2212": "-", "\u2013": "-", "\u2014": "-", "\u00b7": "*", "\u00d7": "*", "\u2225": "||", "\u2016": "||",
    "\u2aeb": "_||_", "\u22a5\u22a5": "_||_", "\u22a5": "_||_", "\u2223": "|", "\u2032": "'",
}  # fmt: skip
_ALLOWED = (
    "allowed are H(X|Y), I(X;Z|Y), D(P(Z|X,Y) || P(Z|Y)), numbers, + - * ( ), and one of <= >= = (or \u2264 \u2265)"
)
_DEEPEST = 100
_SEPARATED = re.compile(r"\s+and\s+|\n")


@dataclass(frozen=True, slots=True)
class Claim:
    """``expression >= 0``, or ``= 0`` if `equality`; `text` is how it was written.

    `needs` are independences A, B given C without which a divergence in it is no combination of entropies.
    """

    text: str
    expression: Expression
    equality: bool
    needs: tuple[tuple[frozenset[str], frozenset[str], frozenset[str]], ...] = ()


@dataclass(frozen=True, slots=True)
class Premise:
    """Something given: ``expression = 0`` (or ``>= 0``); `kind` and `sets` tell a law how to obey it.

    Kinds: "independent" (sets A, B, C: A and B independent given C), "function" (sets A, B: A is a function
    of B), "relation" (an equation or inequality), "copy" (consequences of the copy lemma).

    Parameters
    ----------
    text : str
        As it is shown.
    expression : mapping
        Coefficients of the joint entropies.
    kind : {"independent", "function", "relation", "copy"}
        As above.
    sets : tuple of frozenset of str
        The sets of variables that the kind names.
    equality : bool, default=True
        Whether it is ``= 0``, not ``>= 0``.
    """

    text: str
    expression: Expression
    kind: str
    sets: tuple[frozenset[str], ...] = ()
    equality: bool = True


def plain_signs(text: str) -> str:
    """A claim or premise with its signs in ASCII."""
    for sign, plain in _SIGNS.items():
        text = text.replace(sign, plain)
    return text


def entropy(variables: Iterable[str], given: Iterable[str] = ()) -> Expression:
    """H(variables | given)."""
    a, c = frozenset(variables), frozenset(given)
    return _collect([(Fraction(1), a | c), (Fraction(-1), c)])


def information(first: Iterable[str], second: Iterable[str], given: Iterable[str] = ()) -> Expression:
    """I(first; second | given)."""
    a, b, c = frozenset(first), frozenset(second), frozenset(given)
    return _collect([(Fraction(1), a | c), (Fraction(1), b | c), (Fraction(-1), a | b | c), (Fraction(-1), c)])


def combine(*terms: tuple[Fraction | int, Expression]) -> Expression:
    """Linear combination."""
    return _collect([(Fraction(weight) * c, k) for weight, e in terms for k, c in e.items()])


def variables_of(expressions: Iterable[Expression]) -> tuple[str, ...]:
    """Every variable that occurs, sorted."""
    return tuple(sorted({v for e in expressions for k in e if isinstance(k, frozenset) for v in k}))


def parse_claim(text: str, atoms: Sequence[str] = ()) -> Claim:
    """Read one (in)equality between linear combinations of entropies.

    Parameters
    ----------
    text : str
        As ``I(X;Z) <= I(X;Y)``; see the example.
    atoms : sequence of str
        Names of further non-negative quantities, as parts of an information decomposition.

    Returns
    -------
    Claim

    Raises
    ------
    InvalidInputError
        If the text does not parse; the message says where.

    Examples
    --------
    >>> parse_claim("H(X|Y) >= 1/2 I(X;Z|Y)").equality
    False
    """
    return _Parser(plain_signs(text), atoms).claim()


def parse_premises(given: str | Sequence[str], atoms: Sequence[str] = ()) -> tuple[Premise, ...]:
    """Read premises: one string (parts joined by "and" or new lines) or a sequence of strings.

    Parameters
    ----------
    given : str or sequence of str
        The premises.
    atoms : sequence of str
        Names of further non-negative quantities, as parts of an information decomposition.

    Returns
    -------
    tuple of Premise
        One per part; a chain of n variables gives its conditional independences.

    Examples
    --------
    >>> [p.text for p in parse_premises("X -> Y -> Z and W = f(X)")]
    ['I(X;Z|Y) = 0', 'H(W|X) = 0']
    """
    parts = _SEPARATED.split(given) if isinstance(given, str) else list(given)
    parts = [plain_signs(part) for part in parts]
    return tuple(p for part in parts if part.strip() for p in _premises(part, atoms))


def _premises(text: str, atoms: Sequence[str]) -> list[Premise]:
    if "->" in text:
        return _chain(text.split("->"), text)
    if _HYPHENS.match(text):
        return _chain(re.split(r"\s-{1,2}\s", text), text)
    if "_||_" in text:
        return [_independence(text)]
    found = _FUNCTION.match(text)
    if found and found[2] == "copy":
        return _copy(found[1], found[3])
    if found and found[2] not in ("H", "I"):
        return [_function(_names(found[1], text), _names(found[3], text))]
    claim = parse_claim(text, atoms)
    return [Premise(claim.text, claim.expression, "relation", equality=claim.equality)]


def _chain(parts: Sequence[str], text: str) -> list[Premise]:
    links = [_names(part, text) for part in parts]
    if len(links) < 3:
        raise InvalidInputError(f"need at least three links in a Markov chain, got {text!r}")
    found = []
    for i in range(1, len(links) - 1):
        past = frozenset().union(*links[:i])
        found.append(_conditionally_independent(past, links[i + 1], links[i]))
    return found


def _independence(text: str) -> Premise:
    left, _, right = text.partition("_||_")
    right, _, given = right.partition("|")
    return _conditionally_independent(
        _names(left, text), _names(right, text), _names(given, text) if given else frozenset()
    )


def _conditionally_independent(a: frozenset[str], b: frozenset[str], c: frozenset[str]) -> Premise:
    text = f"I({_list(a)};{_list(b)}{'|' + _list(c) if c else ''}) = 0"
    return Premise(text, information(a, b, c), "independent", (a, b, c))


def _function(value: frozenset[str], of: frozenset[str]) -> Premise:
    return Premise(f"H({_list(value)}|{_list(of)}) = 0", entropy(value, of), "function", (value, of))


def _copy(name: str, arguments: str) -> list[Premise]:
    """The copy lemma: R has with the kept variables C the law of A with C, and is independent of the rest given C.

    The independence concerns every variable of the problem, so it is completed by the prover.
    """
    source, bar, kept = arguments.partition("|")
    new, old = _names(name, name), _names(source, arguments)
    keep = _names(kept, arguments) if bar else frozenset()
    if len(new) != 1 or len(old) != 1:
        raise InvalidInputError(f"need one new and one copied variable, as R = copy(A | C, D), got {name!r}")
    found = []
    for k in _subsets(sorted(keep)):
        left, right = frozenset(k) | new, frozenset(k) | old
        text = f"H({_list(left)}) = H({_list(right)})"
        expression = combine((1, entropy(left)), (-1, entropy(right)))
        found.append(Premise(text, expression, "copy", (new, old, keep)))
    return found


def complete_copies(premises: Sequence[Premise], variables: Sequence[str]) -> tuple[Premise, ...]:
    """Add to each copy its independence of all other variables given the kept ones.

    Raises
    ------
    InvalidInputError
        If a copied name is no new variable: the lemma introduces it, nothing else may be assumed of it.
    """
    copies = {p.sets for p in premises if p.kind == "copy"}
    extra = []
    for new, _, keep in sorted(copies, key=lambda sets: sorted(sets[0])):
        if any(p.kind != "copy" and any(new & s for s in _sets(p)) for p in premises):
            raise InvalidInputError(f"need a new variable as a copy, {_list(new)} has premises of its own")
        # A copy may be made of earlier ones; here each is made of the original variables only.
        rest = frozenset(variables) - new - keep
        independence = _conditionally_independent(new, rest, keep)
        extra.append(Premise(independence.text, independence.expression, "copy", (new, rest, keep)))
    if len(copies) > 1:
        raise InvalidInputError(f"need at most one auxiliary variable, got {len(copies)} copies")
    return (*premises, *extra)


def _sets(premise: Premise) -> list[frozenset[str]]:
    return [k for k in premise.expression if isinstance(k, frozenset)]


class _Parser:
    def __init__(self, text: str, atoms: Sequence[str]) -> None:
        self._text, self._atoms = text, frozenset(atoms)
        self._tokens: list[str] = []
        place = 0
        while place < len(text.rstrip()):
            found = _TOKEN.match(text, place)
            if found is None:
                raise InvalidInputError(
                    f"need a claim like 'I(Z;X|Y) <= H(X|Y)', got {text!r}, unclear from "
                    f"{text[place:].strip()[:12]!r}; " + _ALLOWED
                )
            self._tokens.append(found[0].strip())
            place = found.end()
        self._next = self._depth = 0
        self._needs: list[tuple[frozenset[str], frozenset[str], frozenset[str]]] = []

    def claim(self) -> Claim:
        left = self._sum()
        relation = self._take()
        if relation in ("<", ">"):
            raise InvalidInputError(
                f"need <= or >= for {relation} in {self._text!r}: a strict inequality of entropies fails for "
                "constants, where both sides are 0"
            )
        if relation not in ("<=", ">=", "="):
            raise InvalidInputError(f"need <=, >= or = in {self._text!r}, got {relation or 'the end'!r}")
        right = self._sum()
        if self._peek():
            raise InvalidInputError(f"need the end of {self._text!r}, got {self._peek()!r}")
        sign = -1 if relation == "<=" else 1
        return Claim(self._text.strip(), combine((sign, left), (-sign, right)), relation == "=", tuple(self._needs))

    def _sum(self) -> Expression:
        terms: list[tuple[Fraction | int, Expression]] = []
        sign = -1 if self._skip("-") else 1
        terms.append((sign, self._term()))
        while self._peek() in ("+", "-"):
            sign = 1 if self._take() == "+" else -1
            terms.append((sign, self._term()))
        return combine(*terms)

    def _term(self) -> Expression:
        weight, token = Fraction(1), self._peek()
        if token[:1].isdigit():
            number = self._take()
            try:
                weight = Fraction(number)
            except (ValueError, ZeroDivisionError) as error:  # over 4,300 digits, or 1/0
                raise InvalidInputError(f"need numbers in a claim, got {number[:40]!r}: {error}") from None
            self._skip("*")
            if self._peek() in ("", "<=", ">=", "=", "+", "-", ")"):
                if weight != 0:
                    raise InvalidInputError(f"need 0 as the only constant in {self._text!r}, got {weight}")
                return {}
        return combine((weight, self._factor()))

    def _factor(self) -> Expression:
        token = self._take()
        if token == "(":
            self._depth += 1
            if self._depth > _DEEPEST:
                raise InvalidInputError(f"need at most {_DEEPEST} parentheses inside each other in a claim")
            inner = self._sum()
            self._expect(")")
            self._depth -= 1
            return inner
        if token in self._atoms:
            return {token: Fraction(1)}
        if token == "E" and self._peek() == "D":  # a mean divergence: divergences of conditional laws are means
            token = self._take()
        if token == "D":
            return self._divergence()
        if token not in ("H", "I"):
            raise InvalidInputError(
                f"need H(...), I(...;...), D(P(...) || P(...)) or an atom in {self._text!r}, got "
                f"{token or 'the end'!r}; {_ALLOWED}"
            )
        self._expect("(")
        groups = [self._group()]
        while self._skip(";"):
            groups.append(self._group())
        given = self._group() if self._skip("|") else frozenset()
        self._expect(")")
        if len(groups) != (1 if token == "H" else 2):
            raise InvalidInputError(
                f"need H(A|C) or I(A;B|C) in {self._text!r}, got {len(groups)} arguments of {token}"
            )
        return entropy(groups[0], given) if token == "H" else information(groups[0], groups[1], given)

    def _divergence(self) -> Expression:
        """D(P(A|B) || P(A|C)) and D(P(A,B|C) || P(A|C) P(B|C)), means over what is conditioned on."""
        self._expect("(")
        value, given = self._law()
        self._expect("||")
        factors = [self._law()]
        while self._peek() in ("P", "p", "*"):
            self._skip("*")
            factors.append(self._law())
        self._expect(")")
        parts = [a for a, _ in factors]
        if frozenset().union(*parts) != value or sum(map(len, parts)) != len(value):
            raise InvalidInputError(
                f"need two laws of the same variables in a divergence in {self._text!r}, got {_list(value)} and "
                f"{' and '.join(map(_list, parts))}"
            )
        for part, other in factors:
            if not other <= given:
                # E log P(A|C) is taken under P(A|B): only given B does it not matter what else is known.
                self._needs.append((part, other - given, given))
        return combine(*((1, entropy(a, c)) for a, c in factors), (-1, entropy(value, given)))

    def _law(self) -> tuple[frozenset[str], frozenset[str]]:
        if self._take() not in ("P", "p"):
            raise InvalidInputError(f"need laws as P(Z|X) inside D(... || ...) in {self._text!r}; {_ALLOWED}")
        self._expect("(")
        value = self._group()
        given = self._group() if self._skip("|") else frozenset()
        self._expect(")")
        return value, given

    def _group(self) -> frozenset[str]:
        names = [self._name()]
        while self._skip(","):
            names.append(self._name())
        return frozenset(names)

    def _name(self) -> str:
        token = self._take()
        if not token[:1].isalpha():
            raise InvalidInputError(f"need the name of a variable in {self._text!r}, got {token or 'the end'!r}")
        return token

    def _peek(self) -> str:
        return self._tokens[self._next] if self._next < len(self._tokens) else ""

    def _take(self) -> str:
        token = self._peek()
        self._next += 1
        return token

    def _skip(self, token: str) -> bool:
        if self._peek() != token:
            return False
        self._next += 1
        return True

    def _expect(self, token: str) -> None:
        if not self._skip(token):
            raise InvalidInputError(f"need {token!r} in {self._text!r}, got {self._peek() or 'the end'!r}")


def _collect(terms: Iterable[tuple[Fraction, Coordinate]]) -> dict[Coordinate, Fraction]:
    found: dict[Coordinate, Fraction] = {}
    for weight, coordinate in terms:
        if coordinate:  # the entropy of nothing is 0
            found[coordinate] = found.get(coordinate, Fraction(0)) + weight
    return {k: v for k, v in found.items() if v}


def _names(text: str, context: str) -> frozenset[str]:
    names = [part.strip() for part in text.split(",")]
    if not all(re.fullmatch(_NAME, name) for name in names):
        raise InvalidInputError(f"need names separated by commas, got {text.strip()!r} in {context.strip()!r}")
    return frozenset(names)


def _list(names: Iterable[str]) -> str:
    return ",".join(sorted(names))


def _subsets(names: Sequence[str]) -> list[tuple[str, ...]]:
    return [tuple(n for i, n in enumerate(names) if bits >> i & 1) for bits in range(1 << len(names))]
