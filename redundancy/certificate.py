"""Bound certificates: a bound, the call that produced it, and the means to check it again.

A certificate *is* a call record. Every bound of the package is a keyword-only function registered
under a theorem id by :func:`bound`; the certificate keeps the id and the inputs, so `recheck` calls
the function anew and compares. An input may itself be a certificate: evidence, assumptions and the
confidence level are then inherited, and the certificate is a small proof tree.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import inspect
import json
import math
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ParamSpec, TypeAlias

import numpy as np
import numpy.typing as npt

from redundancy.errors import InvalidInputError, SkipItError, StoreError
from redundancy.interval import Interval
from redundancy.tabular import Tabular
from redundancy.units import unit_name

__all__ = [
    "ArrayInput",
    "Assumption",
    "Bound",
    "BoundCertificate",
    "Evidence",
    "RecheckReport",
    "as_interval",
    "bound",
    "registered",
]

SCHEMA = "skip-it/bound-certificate/1"
_STATUSES = ("checked", "declared", "estimated")
_STRENGTH = ("P", "C", "A", "E")  # from proved to estimated: a conclusion is as weak as its weakest input
_P = ParamSpec("_P")
_HOMES = ("redundancy.bounds", "redundancy.concentration")  # packages that register bounds
_REGISTRY: dict[str, Callable[..., BoundCertificate]] = {}


@dataclass(frozen=True, slots=True, order=True)
class Assumption:
    """One hypothesis of a theorem: `status` says whether it was checked, declared or estimated.

    Parameters
    ----------
    name : str
        Short name.
    text : str
        The hypothesis in words.
    status : {"checked", "declared", "estimated"}, default="declared"
        Who vouches for it.
    """

    name: str
    text: str
    status: str = "declared"

    def __post_init__(self) -> None:
        if self.status not in _STATUSES:
            raise InvalidInputError(f"need a status among {_STATUSES}, got {self.status!r}")


@dataclass(frozen=True, slots=True, eq=False)
class ArrayInput:
    """A float64 array that a certificate was computed from, known by its SHA-256.

    Parameters
    ----------
    values : ndarray of float64
        Copied, and made read-only.
    """

    values: npt.NDArray[np.float64]

    def __post_init__(self) -> None:
        values = np.array(self.values, dtype="<f8", order="C", copy=True)
        values.setflags(write=False)
        object.__setattr__(self, "values", values)

    @property
    def sha256(self) -> str:
        """Digest of the shape and the little-endian bytes."""
        return hashlib.sha256(repr(self.values.shape).encode() + self.values.tobytes()).hexdigest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ArrayInput) and np.array_equal(self.values, other.values)

    def __hash__(self) -> int:
        return hash(self.sha256)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """What a registered bound function returns: the numbers, before they become a certificate.

    Parameters
    ----------
    quantity : str
        What is bounded, as ``"conditional_entropy"``.
    interval : Interval
        Holds the quantity if the assumptions hold; already rounded outward.
    trivial : Interval
        What is known of the quantity with no evidence at all (``[0, log K]``, ``[0, 2]``).
    evidence : str, default="P"
        "P" proved, "C" certified from a sample, "A" needs assumptions nobody can verify, "E" estimate.
    confidence_level : float or None
        Level of this bound's own sampling argument; None when it uses no sample of its own.
    base : float or None
        Unit of an information.
    assumptions : tuple of Assumption
        What this bound itself assumes.
    """

    quantity: str
    interval: Interval
    trivial: Interval
    base: float | None = None
    assumptions: tuple[Assumption, ...] = ()
    evidence: str = "P"
    confidence_level: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecheckReport:
    """Outcome of `BoundCertificate.recheck`: `problems` is empty if everything was reproduced.

    Parameters
    ----------
    theorem : str
        What was checked.
    problems : tuple of str
        A sentence for each difference.
    """

    theorem: str
    problems: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether every number was reproduced."""
        return not self.problems

    def __bool__(self) -> bool:
        return self.ok


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundCertificate(Tabular):
    """A bound on one quantity, with everything needed to check it again.

    Made by the bound functions, never by hand. `interval` holds the quantity if the listed
    assumptions are true and, when `confidence_level` is set, with at least that probability.
    `failures` lists every sampling argument below this bound with its probability of failure; one
    that is used twice is counted once, and `confidence_level` is 1 minus their sum (Bonferroni).

    Parameters
    ----------
    theorem : str
        Id of the statement in the ledger.
    quantity : str
        What is bounded.
    interval : Interval
        Holds the quantity, rounded outward.
    trivial : Interval
        What is known with no evidence at all.
    base : float or None
        Unit of an information.
    assumptions : tuple of Assumption
        Of this statement and of all below it.
    evidence : {"P", "C", "A", "E"}
        The weakest of all it rests on.
    failures : tuple of (str, float)
        Each sampling argument and its probability of failure.
    inputs : mapping
        The arguments of the call, certificates among them.
    provenance : mapping
        Where the data came from, as far as it was said.
    """

    theorem: str
    quantity: str
    interval: Interval
    trivial: Interval
    base: float | None
    assumptions: tuple[Assumption, ...]
    evidence: str
    failures: tuple[tuple[str, float], ...]
    inputs: Mapping[str, Any]
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @property
    def confidence_level(self) -> float | None:
        """Joint level over all sampling arguments used; None if nothing was sampled."""
        return max(0.0, 1.0 - math.fsum(delta for _, delta in self.failures)) if self.failures else None

    @property
    def is_vacuous(self) -> bool:
        """Whether the bound says no more than the trivial range."""
        return self.interval.includes(self.trivial)

    @property
    def label(self) -> str:
        """Evidence label of theory.md section 4: P, C(delta), A, E, or V when vacuous."""
        if self.is_vacuous:
            return "V"
        if self.evidence == "C" and self.confidence_level is not None:
            return f"C({1.0 - self.confidence_level:.3g})"
        return self.evidence

    def with_provenance(self, **entries: Any) -> BoundCertificate:
        """Return a copy whose `provenance` also holds `entries` (JSON values)."""
        return replace(self, provenance={**self.provenance, **entries})

    def sentence(self) -> str:
        """Say the bound, its strength and what it assumes, in words."""
        unit = unit_name(self.base)
        ends = f"{self.interval.lower:.4g} to {self.interval.upper:.4g}{' ' + unit if unit else ''}"
        text = f"{self.quantity} lies in {ends} [{self.label}] by {self.theorem}"
        if self.confidence_level is not None:
            text += f", with confidence at least {self.confidence_level:.4g} over the sample"
        if self.is_vacuous:
            text += "; this is no more than the trivial range, so it says nothing"
        if self.assumptions:
            text += "; assumes " + "; ".join(f"{a.text} ({a.status})" for a in self.assumptions)
        return text + "."

    def recheck(self) -> RecheckReport:
        """Recompute the bound, and those it rests on, from the stored inputs."""
        problems: list[str] = []
        for name, value in self.inputs.items():
            for parent in _certificates([value]):
                problems += [f"{name}: {p}" for p in parent.recheck().problems]
        function = _function(self.theorem)
        if function is None:
            return RecheckReport(theorem=self.theorem, problems=(f"no bound is registered as {self.theorem!r}",))
        try:
            again = function(**self.inputs)
        except (SkipItError, TypeError) as error:
            return RecheckReport(theorem=self.theorem, problems=(*problems, f"recomputation refused: {error}"))
        for name in ("quantity", "interval", "trivial", "base", "assumptions", "evidence", "failures"):
            stored, new = getattr(self, name), getattr(again, name)
            if stored != new:
                problems.append(f"{name} is {stored} in the certificate and {new} when recomputed")
        return RecheckReport(theorem=self.theorem, problems=tuple(problems))

    def __repr__(self) -> str:
        unit = f" {unit_name(self.base)}" if self.base else ""
        return f"BoundCertificate({self.theorem!r}, {self.quantity} in {self.interval}{unit}, evidence={self.label!r})"

    def to_record(self) -> dict[str, Any]:
        """One flat row for a table."""
        return {
            "theorem": self.theorem,
            "quantity": self.quantity,
            "lower": self.interval.lower,
            "upper": self.interval.upper,
            "base": self.base,
            "evidence": self.label,
            "confidence_level": self.confidence_level,
            "assumptions": [a.text for a in self.assumptions],
            "vacuous": self.is_vacuous,
        }

    def to_dict(self, arrays: dict[str, Any]) -> dict[str, Any]:
        """JSON-ready tree; arrays go into `arrays` under their hash, once each."""
        return {
            "theorem": self.theorem,
            "quantity": self.quantity,
            "interval": _ends(self.interval),
            "trivial": _ends(self.trivial),
            "base": self.base,
            "assumptions": [[a.name, a.text, a.status] for a in self.assumptions],
            "evidence": self.evidence,
            "failures": [list(f) for f in self.failures],
            "inputs": {k: _encode(v, arrays) for k, v in self.inputs.items()},
            "provenance": dict(self.provenance),
        }

    @classmethod
    def from_dict(cls, tree: Mapping[str, Any], arrays: Mapping[str, Any]) -> BoundCertificate:
        """Inverse of `to_dict`."""
        try:
            return cls(
                theorem=tree["theorem"],
                quantity=tree["quantity"],
                interval=_interval(tree["interval"]),
                trivial=_interval(tree["trivial"]),
                base=tree["base"],
                assumptions=tuple(Assumption(*a) for a in tree["assumptions"]),
                evidence=tree["evidence"],
                failures=tuple((key, delta) for key, delta in tree["failures"]),
                inputs={k: _decode(v, arrays) for k, v in tree["inputs"].items()},
                provenance=dict(tree["provenance"]),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise StoreError(f"need a certificate of schema {SCHEMA}, got one that lacks {error}") from None

    def to_json(self) -> str:
        """Exact, self-contained JSON: floats round-trip, arrays and a digest of the whole included."""
        arrays: dict[str, Any] = {}
        return seal({"schema": SCHEMA, "certificate": self.to_dict(arrays), "arrays": arrays})

    @classmethod
    def from_json(cls, text: str) -> BoundCertificate:
        """Inverse of `to_json`.

        Raises
        ------
        StoreError
            If the text is not a certificate or was altered after it was written.
        """
        body = unseal(text, SCHEMA)
        return cls.from_dict(body["certificate"], body["arrays"])


Evidence: TypeAlias = float | Interval | BoundCertificate


def as_interval(value: Evidence, *, name: str, within: Interval | None = None) -> Interval:
    """Read an input that may be a number, an interval or a certificate.

    Parameters
    ----------
    value : float, Interval or certificate
        The input.
    name : str
        What to call it in the message.
    within : Interval, optional
        Range that it must lie in.

    Returns
    -------
    Interval
        Of the number, the interval, or the certificate.

    Raises
    ------
    InvalidInputError
        If the value is not finite at an end that `within` bounds, or lies outside `within`.
    """
    if isinstance(value, BoundCertificate):
        interval = value.interval
    elif isinstance(value, Interval):
        interval = value
    elif isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool):
        if math.isnan(value):
            raise InvalidInputError(f"need a number for {name}, got NaN")
        interval = Interval.point(float(value))
    else:
        raise InvalidInputError(f"need a number, an Interval or a BoundCertificate for {name}, got {value!r}")
    if within is not None and not within.includes(interval):
        raise InvalidInputError(f"need {name} inside {within}, got {interval}")
    return interval


def bound(theorem: str) -> Callable[[Callable[_P, Bound]], Callable[_P, BoundCertificate]]:
    """Register a keyword-only bound function under `theorem` and let it return a certificate.

    Parameters
    ----------
    theorem : str
        Id of the statement in the ledger.

    Returns
    -------
    callable
        The decorator.
    """

    def register(function: Callable[_P, Bound]) -> Callable[_P, BoundCertificate]:
        signature = inspect.signature(function)
        if any(p.kind is not inspect.Parameter.KEYWORD_ONLY for p in signature.parameters.values()):
            raise TypeError(f"bound functions take keyword-only arguments, {function.__name__} does not")
        if theorem in _REGISTRY:
            raise TypeError(f"two bound functions registered as {theorem!r}")

        @functools.wraps(function)
        def certified(*args: _P.args, **kwargs: _P.kwargs) -> BoundCertificate:
            bound_arguments = signature.bind(*args, **kwargs)
            bound_arguments.apply_defaults()
            inputs = {name: _freeze(value) for name, value in bound_arguments.arguments.items()}
            result = function(**{name: _thaw(value) for name, value in inputs.items()})  # type: ignore[call-arg]
            return _inherit(theorem, result, inputs)

        certified.__annotations__ = {**function.__annotations__, "return": "BoundCertificate"}
        _REGISTRY[theorem] = certified
        return certified

    return register


def registered() -> Mapping[str, Callable[..., BoundCertificate]]:
    """All bound functions by theorem id.

    Returns
    -------
    mapping of str to callable
        Read-only.
    """
    _register_all()
    return dict(_REGISTRY)


def _function(theorem: str) -> Callable[..., BoundCertificate] | None:
    if theorem not in _REGISTRY:
        _register_all()
    return _REGISTRY.get(theorem)


def _register_all() -> None:
    """Import the packages whose functions register themselves; a certificate may be read before they are."""
    for package in _HOMES:
        module = importlib.import_module(package)
        for info in pkgutil.iter_modules(module.__path__, f"{package}."):
            importlib.import_module(info.name)


def seal(body: dict[str, Any]) -> str:
    """Serialise `body` with a SHA-256 digest of its canonical form."""
    return json.dumps({**body, "digest": _digest(body)}, allow_nan=False, indent=1)


def unseal(text: str, schema: str) -> dict[str, Any]:
    """Parse what `seal` wrote; raise `StoreError` for another schema or an altered text."""
    try:
        body = json.loads(text)
    except json.JSONDecodeError as error:
        raise StoreError(f"need JSON of schema {schema}, got text that does not parse: {error}") from None
    if not isinstance(body, dict) or body.get("schema") != schema:
        got = body.get("schema") if isinstance(body, dict) else type(body).__name__
        raise StoreError(f"need JSON of schema {schema}, got {got!r}")
    if body.pop("digest", None) != _digest(body):
        raise StoreError("the certificate was altered after it was written: its digest does not match its content")
    return body


def _digest(body: Mapping[str, Any]) -> str:
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _inherit(theorem: str, result: Bound, inputs: Mapping[str, Any]) -> BoundCertificate:
    parents = list(_certificates(inputs.values()))
    failures = {key: delta for parent in parents for key, delta in parent.failures}
    if result.confidence_level is not None:
        own = _digest({"theorem": theorem, "inputs": {k: _encode(v, {}) for k, v in inputs.items()}})
        failures[own] = 1.0 - result.confidence_level
    assumptions = {a.name: a for parent in parents for a in parent.assumptions}
    assumptions.update({a.name: a for a in result.assumptions})
    return BoundCertificate(
        theorem=theorem,
        quantity=result.quantity,
        interval=result.interval,
        trivial=result.trivial,
        base=result.base,
        assumptions=tuple(assumptions.values()),
        evidence=max([result.evidence, *(p.evidence for p in parents)], key=_STRENGTH.index),
        failures=tuple(sorted(failures.items())),
        inputs=inputs,
    )


def _certificates(values: Any) -> Iterator[BoundCertificate]:
    for value in values:
        if isinstance(value, BoundCertificate):
            yield value
        elif isinstance(value, tuple):
            yield from _certificates(value)


def _freeze(value: Any) -> Any:
    """An immutable, JSON-able form of an input."""
    if isinstance(value, np.ndarray):
        return ArrayInput(value)
    if isinstance(value, (np.integer, np.bool_)):
        return value.item()
    if isinstance(value, np.floating):
        return float(value)
    if isinstance(value, (list, tuple)):
        return tuple(_freeze(v) for v in value)
    if value is None or isinstance(value, (bool, int, float, str, Interval, BoundCertificate, ArrayInput)):
        return value
    kind = type(value).__name__
    raise InvalidInputError(f"need numbers, strings, arrays, intervals or certificates as inputs, got {kind}")


def _thaw(value: Any) -> Any:
    return value.values if isinstance(value, ArrayInput) else value


def _ends(interval: Interval) -> list[float | str]:
    return [_number(interval.lower), _number(interval.upper)]


def _number(x: float) -> float | str:
    return x if math.isfinite(x) else repr(x)


def _interval(ends: list[Any]) -> Interval:
    lower, upper = ends
    return Interval(float(lower), float(upper))


def _encode(value: Any, arrays: dict[str, Any]) -> Any:
    match value:
        case ArrayInput():
            arrays[value.sha256] = {"shape": list(value.values.shape), "values": value.values.ravel().tolist()}
            return {"array": value.sha256}
        case Interval():
            return {"interval": _ends(value)}
        case BoundCertificate():
            return {"certificate": value.to_dict(arrays)}
        case tuple():
            return {"tuple": [_encode(v, arrays) for v in value]}
        case float():
            return _number(value) if math.isfinite(value) else {"float": repr(value)}
        case _:
            return value


def _decode(value: Any, arrays: Mapping[str, Any]) -> Any:
    match value:
        case {"array": key}:
            if key not in arrays:
                raise StoreError(f"the certificate refers to an array {key[:12]}... that is not stored with it")
            stored = ArrayInput(np.array(arrays[key]["values"], dtype=np.float64).reshape(arrays[key]["shape"]))
            if stored.sha256 != key:
                raise StoreError(f"the stored array {key[:12]}... was altered: its hash does not match its values")
            return stored
        case {"interval": ends}:
            return _interval(ends)
        case {"certificate": tree}:
            return BoundCertificate.from_dict(tree, arrays)
        case {"tuple": items}:
            return tuple(_decode(v, arrays) for v in items)
        case {"float": text}:
            return float(text)
        case _:
            return value
