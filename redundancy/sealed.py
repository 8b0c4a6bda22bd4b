"""JSON texts that carry a digest of their own content, so that an altered one is refused."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from redundancy.errors import StoreError

__all__ = ["content_digest", "seal", "unseal"]


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


def unseal(text: str, schema: str) -> dict[str, Any]:
    """Parse what `seal` wrote.

    Parameters
    ----------
    text : str
        The JSON text.
    schema : str
        The schema it must have.

    Returns
    -------
    dict
        The sealed body, without its digest.

    Raises
    ------
    StoreError
        If the text is no JSON, of another schema, or altered after it was written.
    """
    try:
        body = json.loads(text)
    except json.JSONDecodeError as error:
        raise StoreError(f"need JSON of schema {schema}, got text that does not parse: {error}") from None
    if not isinstance(body, dict) or body.get("schema") != schema:
        got = body.get("schema") if isinstance(body, dict) else type(body).__name__
        raise StoreError(f"need JSON of schema {schema}, got {got!r}")
    if body.pop("digest", None) != content_digest(body):
        raise StoreError("the certificate was altered after it was written: its digest does not match its content")
    return body


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
