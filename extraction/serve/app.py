"""The web application: chat completions, models, health and metrics, on starlette."""

from __future__ import annotations

import asyncio
import hmac
import json
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from extraction.serve.audit import Auditor
from extraction.serve.batcher import Batcher, Job, QueueFullError
from extraction.serve.protocol import chunk_body, completion_body, error_body, read_request
from redundancy.errors import InvalidInputError

__all__ = ["build_app"]

_POLL_S = 0.2  # how often a waiting request looks whether its client is still there


def build_app(batcher: Batcher, *, name: str, api_key: str | None = None, auditor: Auditor | None = None) -> Starlette:
    """The application for a model that runs already.

    Parameters
    ----------
    batcher : Batcher
        Owns the model; closed, after it has answered what waits, when the application ends.
    name : str
        What clients call the model; requests for another name get status 404.
    api_key : str, optional
        Clients must send it as a bearer token.
    auditor : Auditor, optional
        Shown in the metrics.

    Returns
    -------
    Starlette
    """
    service = _Service(batcher, name, api_key, auditor)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(batcher.close)

    routes = [
        Route("/v1/chat/completions", service.chat, methods=["POST"]),
        Route("/v1/models", service.models),
        Route("/health", service.health),
        Route("/metrics", service.metrics),
    ]
    return Starlette(routes=routes, lifespan=lifespan)


class _Service:
    """Handlers and what they count."""

    def __init__(self, batcher: Batcher, name: str, api_key: str | None, auditor: Auditor | None) -> None:
        self.batcher, self.name, self.api_key, self.auditor = batcher, name, api_key, auditor
        self.registry = CollectorRegistry()
        self.requests = Counter("skip_it_requests", "Requests by status.", ["status"], registry=self.registry)
        self.tokens = Counter("skip_it_tokens", "Tokens read and written.", ["kind"], registry=self.registry)
        self.first = Histogram("skip_it_first_token_seconds", "Time to the first token.", registry=self.registry)
        self.whole = Histogram("skip_it_answer_seconds", "Time to the whole answer.", registry=self.registry)
        gauges: dict[str, tuple[str, Callable[[], float]]] = {
            "skip_it_queue": ("Requests that wait.", lambda: batcher.n_waiting),
            "skip_it_batches": ("Batches run so far.", lambda: batcher.batches),
        }
        if auditor is not None:
            gauges |= {
                "skip_it_audited": ("Answers compared with the unmodified model.", lambda: auditor.alarm.n_audited),
                "skip_it_audit_loss": ("Share of audited answers that differ.", lambda: auditor.alarm.mean_loss),
                "skip_it_audit_evidence": ("Evidence against the risk.", lambda: auditor.alarm.evidence),
                "skip_it_drift_alarm": ("1 once the risk is not credible.", lambda: float(auditor.alarm.is_raised)),
            }
        for title, (text, value) in gauges.items():
            Gauge(title, text, registry=self.registry).set_function(value)

    async def models(self, request: Request) -> Response:
        if not self._is_allowed(request):
            return self._error(401, "need the API key as a bearer token", "authentication_error")
        entry = {"id": self.name, "object": "model", "owned_by": "skip-it", "plan": str(self.batcher.plan)}
        return JSONResponse({"object": "list", "data": [entry]})

    async def health(self, request: Request) -> Response:
        status = 200 if self.batcher.is_alive else 503
        alarm = None if self.auditor is None else self.auditor.alarm.is_raised
        return JSONResponse({"ok": status == 200, "plan": str(self.batcher.plan), "drift_alarm": alarm}, status)

    async def metrics(self, request: Request) -> Response:
        return Response(generate_latest(self.registry), media_type="text/plain; version=0.0.4")

    async def chat(self, request: Request) -> Response:
        if not self._is_allowed(request):
            return self._error(401, "need the API key as a bearer token", "authentication_error")
        try:
            body = await self._body(request)
        except ClientDisconnect:
            return self._error(499, "the client closed the connection", "client_error")
        if body is None:
            most = self.batcher.limits.body_bytes
            return self._error(413, f"need a request of at most {most} bytes, got more; send smaller pictures")
        try:
            asked = await asyncio.to_thread(read_request, body, self.batcher.limits)
            model = json.loads(body).get("model")
        except InvalidInputError as error:
            return self._error(400, str(error))
        if model not in (None, self.name):
            return self._error(404, f"need the model {self.name!r}, got {model!r:.100}", code="model_not_found")
        pieces: asyncio.Queue[tuple[str, str | None]] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def sink(piece: str, reason: str | None) -> None:
            loop.call_soon_threadsafe(pieces.put_nowait, (piece, reason))

        job = Job(asked, sink)
        try:
            self.batcher.submit(job)
        except QueueFullError as error:
            response = self._error(429, str(error), "rate_limit_error")
            response.headers["Retry-After"] = "1"
            return response
        name = f"chatcmpl-{secrets.token_hex(12)}"
        leaving = asyncio.create_task(_cancel_when_gone(request, job))
        try:
            text, reason = await pieces.get()
            if reason == "error":
                return self._error(400, job.fault)
            if asked.stream:
                self.requests.labels("200").inc()
                stream = self._stream(name, job, (text, reason), pieces)
                return StreamingResponse(stream, media_type="text/event-stream")
            while reason is None:
                text, reason = await pieces.get()
        except asyncio.CancelledError:
            job.cancel()
            raise
        finally:
            leaving.cancel()  # a stream notices by itself
        if reason == "error":
            return self._error(500, job.fault, "server_error")
        if reason == "cancelled":
            return self._error(499, "the client closed the connection", "client_error")
        self._count(job)
        self.requests.labels("200").inc()
        return JSONResponse(completion_body(name, self.name, asked, job.text, reason, _usage(job)))

    async def _body(self, request: Request) -> bytes | None:
        """The body; None if it is too large."""
        parts, size = [], 0
        async for part in request.stream():
            size += len(part)
            if size > self.batcher.limits.body_bytes:
                return None
            parts.append(part)
        return b"".join(parts)

    async def _stream(
        self, name: str, job: Job, piece: tuple[str, str | None], pieces: asyncio.Queue[tuple[str, str | None]]
    ) -> AsyncIterator[bytes]:
        asked = job.request
        try:
            yield _event(chunk_body(name, self.name, asked, delta={"role": "assistant", "content": ""}))
            while True:
                text, reason = piece
                if text:
                    yield _event(chunk_body(name, self.name, asked, delta={"content": text}))
                if reason is not None:
                    break
                piece = await pieces.get()
            if reason == "error":
                yield _event(error_body(job.fault, "server_error"))
                return
            yield _event(chunk_body(name, self.name, asked, delta={}, reason=reason))
            if asked.with_usage:
                yield _event(chunk_body(name, self.name, asked, usage=_usage(job)))
            yield b"data: [DONE]\n\n"
            self._count(job)
        finally:
            job.cancel()  # the connection may have ended before the answer did

    def _is_allowed(self, request: Request) -> bool:
        if self.api_key is None:
            return True
        given = request.headers.get("authorization", "")
        return hmac.compare_digest(given.encode(), f"Bearer {self.api_key}".encode())

    def _count(self, job: Job) -> None:
        self.tokens.labels("prompt").inc(job.prompt_tokens)
        self.tokens.labels("completion").inc(len(job.tokens))
        if job.first_token_s is not None:
            self.first.observe(job.first_token_s)
        self.whole.observe(time.monotonic() - job.began)

    def _error(
        self, status: int, message: str, kind: str = "invalid_request_error", code: str | None = None
    ) -> Response:
        self.requests.labels(str(status)).inc()
        return JSONResponse(error_body(message, kind, code), status)


async def _cancel_when_gone(request: Request, job: Job) -> None:
    """Free the row of a client that has closed its connection."""
    while job.reason is None:
        if await request.is_disconnected():
            job.cancel()
            return
        await asyncio.sleep(_POLL_S)


def _usage(job: Job) -> dict[str, int]:
    n = len(job.tokens)
    return {"prompt_tokens": job.prompt_tokens, "completion_tokens": n, "total_tokens": job.prompt_tokens + n}


def _event(body: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(body)}\n\n".encode()
