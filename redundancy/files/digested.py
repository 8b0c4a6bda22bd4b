"""JSON texts that carry a digest of their own content, so that an altered one is refused."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, TypeVar

from redundancy.errors import StoreError
from redundancy.files.reading import UNFIT, parse_json, reading

__all__ = ["READERS", "UNFIT", "as_kind", "check_sentence", "content_digest", "reading", "seal", "unseal"]

READERS = "skip_it.certificates"  # entry points: a schema and the class with from_json and recheck that reads it
_T = TypeVar("_T")


def seal(body: dict[str, Any]) -> str:
    """Serialise `body` with a SHA-256 digest of its canonical form.

    Parameters
    ----------
    body : dict
        JSON values, with the key "schema" and without the key "digest".

    Returns
    -------
    str
        JSON text that `unseal` reads.
    """
    return json.dumps({**body, "digest": content_digest(body)}, allow_nan=False, indent=1)


def unseal(text: str, schema: str, *older: str) -> dict[str, Any]:
    """Parse what `seal` wrote.

    Parameters
    ----------
    text : str
        The JSON text.
    schema : str
        The schema it must have.
    *older : str
        Schemas of earlier releases that are read as well.

    Returns
    -------
    dict
        The sealed body, without its digest.

    Raises
    ------
    StoreError
        If the text is no JSON, of another schema, or altered after it was written.
    """
    body = parse_json(text, "the text", f"a record of schema {schema}")
    if not isinstance(body, dict) or body.get("schema") not in (schema, *older):
        got = body.get("schema") if isinstance(body, dict) else type(body).__name__
        raise StoreError(f"need JSON of schema {schema}, got {got!r}")
    try:
        stated, found = body.pop("digest", None), content_digest(body)
    except ValueError as error:
        raise StoreError(f"need JSON of schema {schema} without NaN and infinity, got: {error}") from None
    if stated != found:
        raise StoreError("the certificate was altered after it was written: its digest does not match its content")
    return body


def as_kind(value: Any, kind: type[_T]) -> _T:
    """The value, if it is of the kind that its place asks for.

    Parameters
    ----------
    value : object
        A JSON value.
    kind : type
        What it must be.

    Returns
    -------
    object
        The value.

    Raises
    ------
    TypeError
        If it is of another kind; `reading` makes a sentence of it.
    """
    if not isinstance(value, kind):
        raise TypeError(f"need {kind.__name__}, got {value!r}")
    return value


def check_sentence(stated: Any, follows: str) -> None:
    """Refuse a stored sentence that the stored numbers do not give.

    Parameters
    ----------
    stated : object
        What the file says.
    follows : str
        What its numbers say.

    Raises
    ------
    StoreError
        If the two differ.
    """
    if stated != follows:
        raise StoreError(f"need the sentence that follows from the stored tests, got {stated!r}; it is: {follows}")


def content_digest(body: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical form of `body`: keys sorted, no white space, no NaN.

    Parameters
    ----------
    body : mapping
        JSON values.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
