"""Results as JSON with a digest: frozen dataclasses of numbers, texts, arrays and other results, exact, both ways."""

from __future__ import annotations

import base64
import json
import math
import re
import types
import typing
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

import numpy as np

from redundancy.errors import InvalidInputError
from redundancy.files.digested import as_kind, reading, seal, unseal

__all__ = ["result_from_json", "result_to_json"]

_T = TypeVar("_T")
_KIND = "@"  # the key that tells a tuple's list from what JSON has no word for


def result_to_json(result: Any) -> str:
    """A result, field by field.

    Parameters
    ----------
    result : dataclass instance
        Its fields hold None, truth values, numbers, text, tuples, lists, mappings, numpy arrays, and dataclasses that
        the annotations of the fields name. A function, which only saves work, is stored as None.

    Returns
    -------
    str
        JSON that `result_from_json` reads; floats and arrays keep every bit.

    Raises
    ------
    InvalidInputError
        For a field that holds anything else.
    """
    return seal({"schema": _schema(type(result)), "fields": _fields(result)})


def result_from_json(cls: type[_T], text: str) -> _T:
    """What `result_to_json` wrote.

    Parameters
    ----------
    cls : type
        The class of the result. Classes inside it are found by the annotations of its fields, never by what a file
        says of modules.
    text : str
        The JSON.

    Returns
    -------
    result

    Raises
    ------
    StoreError
        If the text is of another schema, was altered, or does not fit the class.
    """
    schema = _schema(cls)
    body = unseal(text, schema)
    with reading(schema):
        return _made(cls, body["fields"], _classes(cls))


def _schema(cls: type) -> str:
    return f"skip-it/{re.sub('(?<=[a-z])(?=[A-Z])', '-', cls.__name__).lower()}/1"


def _fields(result: Any) -> dict[str, Any]:
    return {field.name: _encoded(getattr(result, field.name)) for field in fields(result) if field.init}


def _encoded(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | str) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, float):
        return {_KIND: "float", "text": repr(value)}
    if isinstance(value, tuple):
        return [_encoded(item) for item in value]
    if isinstance(value, list):
        return {_KIND: "list", "items": [_encoded(item) for item in value]}
    if isinstance(value, Mapping):
        return {_KIND: "dict", "items": [[_encoded(k), _encoded(v)] for k, v in value.items()]}
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        data = base64.b64encode(np.ascontiguousarray(value).tobytes()).decode()
        return {_KIND: "array", "dtype": value.dtype.str, "shape": list(value.shape), "data": data}
    name = type(value).__name__
    if _has_own_json(type(value)):
        return {_KIND: name, "json": json.loads(value.to_json())}
    if is_dataclass(value):
        return {_KIND: name, "fields": _fields(value)}
    if callable(value):
        return None
    raise InvalidInputError(f"need numbers, text, arrays and results in what is stored, got {name}")


def _decoded(tree: Any, classes: Mapping[str, type]) -> Any:
    if isinstance(tree, list):
        return tuple(_decoded(item, classes) for item in tree)
    if not isinstance(tree, dict):
        return tree
    kind = as_kind(tree[_KIND], str)
    if kind == "float":
        return float(tree["text"])
    if kind == "list":
        return [_decoded(item, classes) for item in tree["items"]]
    if kind == "dict":
        return {_decoded(k, classes): _decoded(v, classes) for k, v in tree["items"]}
    if kind == "array":
        data = np.frombuffer(base64.b64decode(tree["data"], validate=True), dtype=np.dtype(tree["dtype"]))
        return data.reshape(tree["shape"]).copy()
    cls: Any = classes[kind]
    return cls.from_json(json.dumps(tree["json"])) if "json" in tree else _made(cls, tree["fields"], classes)


def _made(cls: type[_T], tree: Any, classes: Mapping[str, type]) -> _T:
    return cls(**{name: _decoded(value, classes) for name, value in as_kind(tree, dict).items()})


def _has_own_json(cls: type) -> bool:
    """Whether a class writes and reads JSON in a form of its own."""
    own = getattr(cls, "from_json", None)
    return own is not None and not getattr(own, "is_generic", False)


def _classes(cls: type) -> dict[str, type]:
    """Every dataclass that the annotations of a class name, and those that these name, by name."""
    found: dict[str, type] = {}
    waiting: list[Any] = [cls]
    while waiting:
        hint = waiting.pop()
        waiting += typing.get_args(hint)
        if not isinstance(hint, type) or isinstance(hint, types.GenericAlias) or hint.__name__ in found:
            continue
        if is_dataclass(hint):
            found[hint.__name__] = hint
            waiting += [] if _has_own_json(hint) else typing.get_type_hints(hint).values()
    return found
