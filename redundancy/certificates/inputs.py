"""Inputs of a certificate as JSON and back: exact floats, arrays by their hash, certificates within certificates."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from redundancy.checks import as_floats
from redundancy.errors import StoreError
from redundancy.interval import Interval

__all__ = ["ArrayInput", "Storable", "decode", "encode", "interval_ends", "interval_from"]


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
        values = np.array(as_floats(self.values, "an array input"), dtype="<f8", order="C", copy=True)
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


@runtime_checkable
class Storable(Protocol):
    """What has a tree of its own: a certificate among the inputs of another."""

    def to_dict(self, arrays: dict[str, Any]) -> dict[str, Any]:
        """JSON-ready tree; arrays go into `arrays` under their hash."""
        ...


def interval_ends(interval: Interval) -> list[float | str]:
    """Both ends; an infinite one, which JSON lacks, as text."""
    return [_number(interval.lower), _number(interval.upper)]


def _number(x: float) -> float | str:
    return x if math.isfinite(x) else repr(x)


def interval_from(ends: list[Any]) -> Interval:
    """Inverse of `interval_ends`.

    Raises
    ------
    StoreError
        If these are not two ends in order.
    """
    try:
        lower, upper = ends
        return Interval(float(lower), float(upper))
    except (TypeError, ValueError) as error:  # InvalidInputError of two ends in the wrong order is one, too
        raise StoreError(f"need an interval as two numbers in order, the certificate has {ends!r}: {error}") from None


def encode(value: Any, arrays: dict[str, Any]) -> Any:
    """JSON-ready form of one input; arrays go into `arrays` under their hash, once each."""
    match value:
        case ArrayInput():
            arrays[value.sha256] = {"shape": list(value.values.shape), "values": value.values.ravel().tolist()}
            return {"array": value.sha256}
        case Interval():
            return {"interval": interval_ends(value)}
        case tuple():
            return {"tuple": [encode(v, arrays) for v in value]}
        case float():
            return _number(value) if math.isfinite(value) else {"float": repr(value)}
        case Storable():
            return {"certificate": value.to_dict(arrays)}
        case _:
            return value


def decode(value: Any, arrays: Mapping[str, Any], certificate: Callable[[Any, Mapping[str, Any]], Any]) -> Any:
    """Inverse of `encode`; `certificate` reads the tree of a certificate among the inputs.

    Raises
    ------
    StoreError
        If an array is missing, or its values do not have the hash under which it is stored.
    """
    match value:
        case {"array": key}:
            if key not in arrays:
                raise StoreError(f"the certificate refers to an array {key[:12]}... that is not stored with it")
            try:
                stored = ArrayInput(np.reshape(arrays[key]["values"], arrays[key]["shape"]))
            except (KeyError, TypeError, ValueError) as error:
                raise StoreError(f"need an array of numbers with its shape, {key[:12]}... gives: {error}") from None
            if stored.sha256 != key:
                raise StoreError(f"the stored array {key[:12]}... was altered: its hash does not match its values")
            return stored
        case {"interval": ends}:
            return interval_from(ends)
        case {"certificate": tree}:
            return certificate(tree, arrays)
        case {"tuple": items}:
            return tuple(decode(v, arrays, certificate) for v in items)
        case {"float": text}:
            try:
                return float(text)
            except (TypeError, ValueError):
                raise StoreError(f"need a number, the certificate has {text!r}") from None
        case _:
            return value
