"""Reading a stored record without the code that wrote it: inputs as exact rationals, and what a rule answers.

Numbers come from JSON as the floats they are and become Fractions; nothing is rounded on the way in.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from proofs_check.exact.enclosure import Real, enclose, log, total

__all__ = ["Claim", "Inputs", "Refused", "entropy_terms", "exact", "log_base", "parents_of"]

_SUM_TOLERANCE = Fraction(1, 10**9)  # a joint may miss 1 by that much before it counts as no law


class Refused(Exception):
    """The inputs do not fit the theorem: `field` says which."""

    def __init__(self, field: str, why: str) -> None:
        super().__init__(f"{field}: {why}")
        self.field, self.why = field, why


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a theorem gives for the inputs of a record, recomputed.

    Parameters
    ----------
    quantity : str
    lower, upper : exact numbers or enclosures
        A stored bound must lie outside of them, by no more than rounding and `slack`.
    trivial : pair
        Range without any evidence.
    base : float or None
    assumptions : tuple of (name, text, status)
        Own ones, without those of the inputs.
    evidence : str
        Label without that of the inputs.
    level : float or None
        Of the sampling argument, if the theorem has one.
    slack : exact number
        Absolute room for rounding of sums, 0 for closed formulas.
    """

    quantity: str
    lower: Real
    upper: Real
    trivial: tuple[Real, Real]
    base: float | None = None
    assumptions: tuple[tuple[str, str, str], ...] = ()
    evidence: str = "P"
    level: float | None = None
    slack: Real = Fraction(0)


class Inputs:
    """The inputs of one record. Every rule reads all that it knows of; what is left over is an error."""

    def __init__(self, record: Mapping[str, Any], arrays: Mapping[str, Any]) -> None:
        self._tree, self._arrays = record["inputs"], arrays
        self.unread = set(self._tree)
        # Where a bound comes from a search, the stored ends tell where to look; they are not believed.
        self.stored = tuple(exact(end, "interval") for end in record["interval"])

    # ---- scalars

    def raw(self, name: str) -> Any:
        """The JSON value as it stands."""
        if name not in self._tree:
            raise Refused(f"inputs.{name}", "is missing")
        self.unread.discard(name)
        return self._tree[name]

    def absent(self, name: str) -> bool:
        """Whether an optional input was not given."""
        return self.raw(name) is None

    def evidence(self, name: str, least: Real = 0, most: Real = math.inf) -> tuple[Real, Real]:
        """A number, an interval or a certificate as exact (lower, upper), inside [least, most]."""
        return self.among(name, self.raw(name), least, most)

    @staticmethod
    def among(name: str, value: Any, least: Real, most: Real) -> tuple[Real, Real]:
        """The same of a value that stands in a tuple."""
        match value:
            case {"interval": [lower, upper]} | {"certificate": {"interval": [lower, upper]}}:
                ends = exact(lower, name), exact(upper, name)
            case {"float": text}:
                ends = exact(text, name), exact(text, name)
            case bool() | None | str() | Mapping():
                raise Refused(f"inputs.{name}", f"need a number, an interval or a certificate, got {value!r}")
            case _:
                ends = exact(value, name), exact(value, name)
        if not least <= ends[0] <= ends[1] <= most:
            raise Refused(f"inputs.{name}", f"[{float(ends[0])}, {float(ends[1])}] is not inside [{least}, {most}]")
        return ends

    def upper(self, name: str) -> Real:
        """Upper end of evidence on something >= 0."""
        return self.evidence(name)[1]

    def probability(self, name: str) -> tuple[Fraction, Fraction]:
        """Evidence inside [0, 1]."""
        return self.evidence(name, 0, 1)

    def nats(self, name: str, base_name: str = "base") -> tuple[Real, Real]:
        """Evidence on information >= 0, in nats; a certificate brings its own base."""
        lower, upper = self.evidence(name)
        base = self.base(base_name)
        match self._tree[name]:
            case {"certificate": {"base": own}} if own is not None:
                base = own
        unit = log_base(base)
        return lower * enclose(unit), upper * enclose(unit)

    def number(self, name: str, least: Real = -math.inf, most: Real = math.inf, *, positive: bool = False) -> Fraction:
        """A finite number inside [least, most]."""
        value = self.raw(name)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise Refused(f"inputs.{name}", f"need a finite number, got {value!r}")
        if not least <= value <= most or (positive and value <= 0):
            raise Refused(f"inputs.{name}", f"{value!r} is not inside [{least}, {most}]")
        return Fraction(value)

    def count(self, name: str, least: int = 0, most: float = math.inf) -> int:
        """A whole number inside [least, most]."""
        value = self.raw(name)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise Refused(f"inputs.{name}", f"need a whole number in {least}..{most}, got {value!r}")
        return value

    def choice(self, name: str, among: Sequence[str]) -> str:
        """One of the words."""
        value = self.raw(name)
        if value not in among:
            raise Refused(f"inputs.{name}", f"need one of {', '.join(among)}, got {value!r}")
        return str(value)

    def flag(self, name: str) -> bool:
        """True or false; false if the record is older than the option."""
        value = self.raw(name) if name in self._tree else False
        if not isinstance(value, bool):
            raise Refused(f"inputs.{name}", f"need true or false, got {value!r}")
        return value

    def text(self, name: str) -> str:
        """Any text."""
        value = self.raw(name)
        if not isinstance(value, str):
            raise Refused(f"inputs.{name}", f"need text, got {value!r}")
        return value

    def base(self, name: str = "base") -> float:
        """Base of the logarithm."""
        value = self.raw(name)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 1 < value < math.inf:
            raise Refused(f"inputs.{name}", f"need a base above 1, got {value!r}")
        return float(value)

    # ---- arrays, as nested lists of Fractions

    def vector(self, name: str) -> list[Fraction]:
        """A one-dimensional array, or a tuple of numbers."""
        shape, values = self._array(name)
        if len(shape) != 1 or not values:
            raise Refused(f"inputs.{name}", f"need one axis, got shape {shape}")
        return values

    def rows(self, name: str) -> list[list[Fraction]]:
        """A two-dimensional array; a vector is one column."""
        shape, values = self._array(name)
        if len(shape) not in (1, 2) or not values:
            raise Refused(f"inputs.{name}", f"need one or two axes, got shape {shape}")
        width = 1 if len(shape) == 1 else shape[1]
        return [values[i : i + width] for i in range(0, len(values), width)]

    def law(self, name: str, axes: int) -> tuple[tuple[int, ...], dict[tuple[int, ...], Fraction]]:
        """A probability table: its shape, and the positive masses by index, summing to 1 exactly."""
        shape, values = self._array(name)
        if len(shape) != axes or not values or min(values) < 0:
            raise Refused(f"inputs.{name}", f"need masses >= 0 with {axes} axes, got shape {shape}")
        mass = sum(values, Fraction(0))
        if abs(mass - 1) > _SUM_TOLERANCE:
            raise Refused(f"inputs.{name}", f"masses sum to {float(mass)!r}, not to 1")
        return shape, {_index(k, shape): v / mass for k, v in enumerate(values) if v}

    def distances(self, name: str, size: int) -> list[list[Fraction]]:
        """A symmetric table of distances >= 0."""
        table = self.rows(name)
        if len(table) != size or any(len(row) != size for row in table):
            raise Refused(f"inputs.{name}", f"need shape ({size}, {size})")
        if any(v < 0 for row in table for v in row):
            raise Refused(f"inputs.{name}", "need distances >= 0")
        if any(table[i][j] != table[j][i] for i in range(size) for j in range(i)):
            raise Refused(f"inputs.{name}", "need rho(x, y) = rho(y, x)")
        return table

    def _array(self, name: str) -> tuple[tuple[int, ...], list[Fraction]]:
        match self.raw(name):
            case {"array": key} if key in self._arrays:
                stored = self._arrays[key]
                shape = tuple(stored["shape"])
                values = [exact(v, name) for v in stored["values"]]
            case {"tuple": items}:
                nested = [i["tuple"] if isinstance(i, Mapping) and "tuple" in i else i for i in items]
                deep = any(isinstance(i, list) for i in nested)
                shape = (len(nested), len(nested[0])) if deep else (len(nested),)
                flat = [v for row in nested for v in row] if deep else nested
                values = [exact(v, name) for v in flat]
            case other:
                raise Refused(f"inputs.{name}", f"need an array that is stored with the certificate, got {other!r}")
        if math.prod(shape) != len(values) or any(isinstance(v, float) for v in values):
            raise Refused(f"inputs.{name}", f"need {math.prod(shape)} finite numbers for shape {shape}")
        return shape, values


def exact(value: Any, name: str = "number") -> Real:
    """A stored number as a Fraction, or an infinite float."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise Refused(name, f"need a number, got {value!r}")
    if isinstance(value, str):
        if value not in ("inf", "-inf"):
            raise Refused(name, f"need a number, got {value!r}")
        return float(value)
    if isinstance(value, float) and math.isnan(value):
        raise Refused(name, "is not a number")
    return value if isinstance(value, float) and math.isinf(value) else Fraction(value)


def log_base(base: float) -> Real:
    """Natural logarithm of a base; that of the float nearest to e counts as 1, by definition of a nat."""
    return Fraction(1) if base == math.e else log(Fraction(base))


def parents_of(inputs: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Certificates among the inputs, with the path to each, in the order of the record."""
    found: list[tuple[str, Mapping[str, Any]]] = []
    for name, value in inputs.items():
        _collect(name, value, found)
    return found


def _collect(path: str, value: Any, found: list[tuple[str, Mapping[str, Any]]]) -> None:
    match value:
        case {"certificate": tree}:
            found.append((path, tree))
        case {"tuple": items}:
            for k, item in enumerate(items):
                _collect(f"{path}[{k}]", item, found)


def _index(k: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    index = []
    for size in reversed(shape):
        k, i = divmod(k, size)
        index.append(i)
    return tuple(reversed(index))


def entropy_terms(masses: Sequence[Real]) -> Real:
    """``-sum p ln p``, 0 ln 0 = 0."""
    return total(p * log(1 / p) for p in masses if p)
