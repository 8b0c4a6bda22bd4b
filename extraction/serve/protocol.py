"""OpenAI's chat protocol: a request read within limits, and the answers and errors that clients expect."""

from __future__ import annotations

import base64
import io
import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from redundancy.errors import InvalidInputError

__all__ = ["ChatRequest", "Limits", "chunk_body", "completion_body", "error_body", "read_request"]

_ROLES = ("system", "user", "assistant")
_IGNORED = ("user", "store", "metadata", "service_tier", "parallel_tool_calls", "stream_options", "seed")
_UNSERVED = ("tools", "functions", "logprobs", "top_logprobs", "response_format", "logit_bias", "audio", "modalities")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a request may ask for.

    Parameters
    ----------
    body_bytes : int
        Size of the request.
    pixels : int
        Of one picture, after decoding.
    images : int
        In one request.
    new_tokens : int
        Of one answer; also the default.
    queue : int
        Requests that may wait; further ones get status 429.
    batch : int
        Requests that share a forward pass.
    """

    body_bytes: int = 20_000_000
    pixels: int = 16_000_000
    images: int = 8
    new_tokens: int = 512
    queue: int = 64
    batch: int = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """One request, checked: turns for the chat template, pictures in order, and how to decode."""

    turns: list[dict[str, Any]]
    images: list[Any]
    max_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    stop: tuple[str, ...] = ()
    stream: bool = False
    with_usage: bool = False
    created: int = field(default_factory=lambda: int(time.time()))

    @property
    def group(self) -> tuple[Any, ...]:
        """Requests that can share a batch have the same."""
        return (len(self.images), self.temperature, self.top_p)


def read_request(body: bytes, limits: Limits) -> ChatRequest:
    """The request in a body of JSON.

    Parameters
    ----------
    body : bytes
        As it came.
    limits : Limits

    Returns
    -------
    ChatRequest

    Raises
    ------
    InvalidInputError
        If it is no chat request, asks for what is not served, or passes a limit; the sentence is for the client.
    """
    try:
        tree = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"need a chat request as JSON, the body does not parse: {error}") from None
    if not isinstance(tree, dict):
        raise InvalidInputError(f"need a chat request as a JSON object, got a {type(tree).__name__}")
    for name in _UNSERVED:
        if tree.get(name):
            raise InvalidInputError(f"need a request without {name}, which this server does not offer; leave it out")
    if tree.get("n", 1) not in (1, None):
        raise InvalidInputError(f"need n = 1, got {tree['n']!r}; send one request for each answer")
    messages = tree.get("messages")
    if not isinstance(messages, list) or not messages:
        raise InvalidInputError("need messages as a list with at least one turn; add one with role and content")
    images: list[Any] = []
    turns = [_turn(message, images, limits) for message in messages]
    options = tree.get("stream_options") or {}
    asked = tree.get("max_completion_tokens")
    asked = tree.get("max_tokens") if asked is None else asked
    most = limits.new_tokens if asked is None else _number(asked, "max_tokens", 1, limits.new_tokens, whole=True)
    return ChatRequest(
        turns=turns,
        images=images,
        max_tokens=int(most),
        temperature=_number(tree.get("temperature"), "temperature", 0.0, 2.0, default=0.0),
        top_p=_number(tree.get("top_p"), "top_p", 0.0, 1.0, default=1.0),
        stop=_stops(tree.get("stop")),
        stream=bool(tree.get("stream", False)),
        with_usage=isinstance(options, Mapping) and bool(options.get("include_usage", False)),
    )


def _turn(message: Any, images: list[Any], limits: Limits) -> dict[str, Any]:
    if not isinstance(message, dict) or message.get("role") not in _ROLES:
        role = message.get("role") if isinstance(message, dict) else message
        raise InvalidInputError(f"need turns with a role among {', '.join(_ROLES)}, got {role!r:.60}")
    content = message.get("content")
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    if not isinstance(parts, list) or not parts:
        raise InvalidInputError("need content as text or as a list of parts, got an empty one or none")
    return {"role": message["role"], "content": [_part(part, images, limits) for part in parts]}


def _part(part: Any, images: list[Any], limits: Limits) -> dict[str, Any]:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind == "text" and isinstance(part.get("text"), str):
        return {"type": "text", "text": part["text"]}
    if kind == "image_url":
        url = part.get("image_url")
        url = url.get("url") if isinstance(url, dict) else url
        if len(images) == limits.images:
            raise InvalidInputError(f"need at most {limits.images} pictures in a request, got more; send fewer")
        images.append(_picture(url, limits))
        return {"type": "image"}
    raise InvalidInputError(f"need parts of type text or image_url, got {kind!r:.60}")


def _picture(url: Any, limits: Limits) -> Any:
    if not isinstance(url, str) or not url.startswith("data:"):
        raise InvalidInputError(
            f"need pictures as data URLs, got {url!r:.60}; nothing is fetched, so send data:image/png;base64,..."
        )
    from PIL import Image

    from extraction.data.pictures import FORMATS, load_picture

    try:
        data = base64.b64decode(unquote(url.partition(";base64,")[2]), validate=True)
        with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
            width, height = picture.size
    except (OSError, ValueError) as error:
        raise InvalidInputError(f"need a PNG, JPEG, WebP, GIF, TIFF or BMP picture in a data URL: {error}") from None
    if width * height > limits.pixels:
        raise InvalidInputError(f"need pictures of at most {limits.pixels} pixels, got {width} x {height}; scale down")
    return load_picture(data, where="a picture of the request")


def _number(
    value: Any, name: str, low: float, high: float, *, default: float | None = None, whole: bool = False
) -> float:
    if value is None and default is not None:
        return default
    is_number = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or not low <= value <= high:
        raise InvalidInputError(f"need {name} in {low:g}..{high:g}, got {value!r:.60}")
    return float(value)


def _stops(value: Any) -> tuple[str, ...]:
    stops = [] if value is None else [value] if isinstance(value, str) else value
    if not isinstance(stops, Sequence) or len(stops) > 4 or not all(isinstance(s, str) and s for s in stops):
        raise InvalidInputError(f"need stop as up to four texts that are not empty, got {value!r:.60}")
    return tuple(stops)


def completion_body(name: str, model: str, request: ChatRequest, text: str, reason: str, usage: Any) -> dict[str, Any]:
    """The answer to a request that is not streamed."""
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text, "refusal": None},
        "finish_reason": reason,
        "logprobs": None,
    }
    return {
        "id": name,
        "object": "chat.completion",
        "created": request.created,
        "model": model,
        "choices": [choice],
        "usage": usage,
    }


def chunk_body(
    name: str,
    model: str,
    request: ChatRequest,
    *,
    delta: Mapping[str, str] | None = None,
    reason: str | None = None,
    usage: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """One piece of a streamed answer: `delta`, with `reason` in the last, or `usage` alone after it."""
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": reason, "logprobs": None}]
    body = {"id": name, "object": "chat.completion.chunk", "created": request.created, "model": model}
    body["choices"] = choices
    if request.with_usage:
        body["usage"] = usage
    return body


def error_body(message: str, kind: str, code: str | None = None) -> dict[str, Any]:
    """An error as OpenAI's clients read it."""
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}
