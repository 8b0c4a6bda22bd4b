"""Bound certificates: a bound, the call that produced it, and the means to check it again.

A certificate *is* a call record. Every bound of the package is a keyword-only function registered
under a theorem id by :func:`bound`; the certificate keeps the id and the inputs, so `recheck` calls
the function anew and compares. An input may itself be a certificate: evidence, assumptions and the
confidence level are then inherited, and the certificate is a small proof tree.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ParamSpec, TypeAlias

import numpy as np

from redundancy.certificates.former_ids import current_id, sealed_id
from redundancy.certificates.inputs import ArrayInput, decode, encode, interval_ends, interval_from
from redundancy.certificates.parts import Assumption, Bound, RecheckReport
from redundancy.certificates.registry import (
    RECORDS,
    REGISTRY,
    TheoremRecord,
    bound_function,
    described,
    register_all,
    theorem_id,
)
from redundancy.errors import InvalidInputError, SkipItError
from redundancy.files.digested import UNFIT, as_kind, content_digest, reading, seal, unseal
from redundancy.files.tabular import Tabular
from redundancy.interval import Interval, text_down, text_error, text_level, text_up
from redundancy.units import check_base, unit_name

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
_STRENGTH = ("P", "C", "A", "E")  # from proved to estimated: a conclusion is as weak as its weakest input
_P = ParamSpec("_P")


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
            return f"C({text_error(self.confidence_level)})"
        return self.evidence

    def with_provenance(self, **entries: object) -> BoundCertificate:
        """Return a copy whose `provenance` also holds `entries` (JSON values)."""
        return replace(self, provenance={**self.provenance, **entries})

    def sentence(self) -> str:
        """Say the bound, its strength and what it assumes, in words."""
        unit = unit_name(self.base)
        ends = f"{text_down(self.interval.lower, 4)} to {text_up(self.interval.upper, 4)}{' ' + unit if unit else ''}"
        text = f"{self.quantity} lies in {ends} [{self.label}] by {self.theorem}"
        if self.confidence_level is not None:
            text += f", with confidence at least {text_level(self.confidence_level, 4)} over the sample"
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
        function = bound_function(self.theorem)
        if function is None:
            return RecheckReport(theorem=self.theorem, problems=(f"no bound is registered as {self.theorem!r}",))
        try:
            again = function(**self.inputs)
        except (SkipItError, *UNFIT) as error:
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
            "interval": interval_ends(self.interval),
            "trivial": interval_ends(self.trivial),
            "base": self.base,
            "assumptions": [[a.name, a.text, a.status] for a in self.assumptions],
            "evidence": self.evidence,
            "failures": [list(f) for f in self.failures],
            "inputs": {k: encode(v, arrays) for k, v in self.inputs.items()},
            "provenance": dict(self.provenance),
        }

    @classmethod
    def from_dict(cls, tree: Mapping[str, Any], arrays: Mapping[str, Any]) -> BoundCertificate:
        """Inverse of `to_dict`."""
        with reading(SCHEMA):
            return cls(
                theorem=current_id(as_kind(tree["theorem"], str)),
                quantity=as_kind(tree["quantity"], str),
                interval=interval_from(tree["interval"]),
                trivial=interval_from(tree["trivial"]),
                base=tree["base"] if tree["base"] is None or check_base(tree["base"]) else None,
                assumptions=tuple(Assumption(*(as_kind(text, str) for text in a)) for a in tree["assumptions"]),
                evidence=_STRENGTH[_STRENGTH.index(tree["evidence"])],
                failures=tuple((as_kind(key, str), as_kind(delta, float)) for key, delta in tree["failures"]),
                inputs={k: decode(v, arrays, cls.from_dict) for k, v in tree["inputs"].items()},
                provenance=dict(tree["provenance"]),
            )

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
        with reading(SCHEMA):
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


def bound(
    theorem: str = "",
    *,
    title: str = "",
    status: str = "added",
    statement: str = "",
    printed: str = "",
    deviation: str = "",
    counterexample: str = "",
    evidence: str = "P",
    uses: tuple[str, ...] = (),
    other_functions: tuple[str, ...] = (),
    page: str = "",
) -> Callable[[Callable[_P, Bound]], Callable[_P, BoundCertificate]]:
    """Register a keyword-only bound function with its record in the ledger, and let it return a certificate.

    More than eight parameters, the fields of the record: what a theorem says stands with the function that computes it.

    Parameters
    ----------
    theorem : str
        Id; file and name of the function without it, as ``lipschitz.minkowski_upper``.
    title, status, statement, printed, deviation, counterexample, evidence, uses, other_functions, page
        As in `TheoremRecord`. The id is the title, the docstring's first line the statement, and the file the
        page where they are not given.

    Returns
    -------
    callable
        The decorator.
    """

    def register(function: Callable[_P, Bound]) -> Callable[_P, BoundCertificate]:
        signature = inspect.signature(function)
        if any(p.kind is not inspect.Parameter.KEYWORD_ONLY for p in signature.parameters.values()):
            raise TypeError(f"bound functions take keyword-only arguments, {function.__name__} does not")
        name = current_id(theorem) or theorem_id(function)
        if name in REGISTRY:
            raise TypeError(f"two bound functions registered as {name!r}")
        record = TheoremRecord(
            id=name,
            title=title or name,
            status=status,
            statement=statement or (function.__doc__ or name).partition("\n")[0],
            printed=printed,
            deviation=deviation,
            counterexample=counterexample,
            evidence=evidence,
            uses=uses,
            other_functions=other_functions,
            page=page or name.partition(".")[0],
        )
        function.__doc__ = described(function.__doc__, record, ours=function.__module__.startswith("redundancy."))

        @functools.wraps(function)
        def certified(*args: _P.args, **kwargs: _P.kwargs) -> BoundCertificate:
            bound_arguments = signature.bind(*args, **kwargs)
            bound_arguments.apply_defaults()
            inputs = {name: _freeze(value) for name, value in bound_arguments.arguments.items()}
            result = function(**{name: _thaw(value) for name, value in inputs.items()})  # type: ignore[call-arg]
            return _inherit(name, result, inputs)

        certified.__annotations__ = {**function.__annotations__, "return": "BoundCertificate"}
        REGISTRY[name], RECORDS[name] = certified, record
        return certified

    return register


def registered() -> Mapping[str, Callable[..., BoundCertificate]]:
    """All bound functions by theorem id.

    Returns
    -------
    mapping of str to callable
        Read-only.
    """
    register_all()
    return dict(REGISTRY)


def _inherit(theorem: str, result: Bound, inputs: Mapping[str, Any]) -> BoundCertificate:
    parents = list(_certificates(inputs.values()))
    failures = {key: delta for parent in parents for key, delta in parent.failures}
    if result.confidence_level is not None:
        own = content_digest({"theorem": sealed_id(theorem), "inputs": {k: encode(v, {}) for k, v in inputs.items()}})
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
    if value is None or isinstance(value, (bool, int, float, str, Interval, BoundCertificate, ArrayInput)):
        return value
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray, memoryview)):
        return tuple(_freeze(v) for v in value)
    kind = type(value).__name__
    raise InvalidInputError(
        f"need numbers, strings, sequences, numpy arrays, intervals or certificates as inputs, got {kind}"
    )


def _thaw(value: Any) -> Any:
    return value.values if isinstance(value, ArrayInput) else value
