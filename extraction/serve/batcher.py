"""One thread owns the model: waiting requests share batches, and every token goes to its client as it comes."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import StoppingCriteria, StoppingCriteriaList

from extraction.serve.protocol import ChatRequest, Limits
from extraction.skip.engine.patch import apply
from extraction.skip.plan import Plan
from redundancy.errors import InvalidInputError, SkipItError

__all__ = ["Batcher", "Job", "QueueFullError"]

_log = logging.getLogger(__name__)
_GATHER_S = 0.004  # how long a batch waits for company
Sink = Callable[[str, str | None], None]


class QueueFullError(SkipItError):
    """More requests wait than the server allows."""


@dataclass(eq=False)
class Job:
    """A request on its way: `sink` gets pieces of text, then a last one with the reason of the end.

    The reason is "stop", "length", "cancelled", or "error" with the sentence in `fault`.
    """

    request: ChatRequest
    sink: Sink
    prompt_tokens: int = 0
    tokens: list[int] = field(default_factory=list)
    text: str = ""
    fault: str = ""
    reason: str | None = None
    is_cancelled: bool = False
    began: float = field(default_factory=time.monotonic)
    first_token_s: float | None = None
    _sent: int = 0

    def cancel(self) -> None:
        """The client has gone: its row ends with the next token."""
        self.is_cancelled = True

    def end(self, reason: str, fault: str = "") -> None:
        """Send what is left, once."""
        if self.reason is None:
            self.reason, self.fault = reason, fault
            piece, self._sent = self.text[self._sent :], len(self.text)
            self.sink(piece, reason)

    def add(self, text: str) -> None:
        """Take the text as it reads now; what may still change, or begin a stop text, is held back."""
        stops = [text.find(stop) for stop in self.request.stop if stop in text]
        if stops:
            self.text = text[: min(stops)]
            self.end("stop")
            return
        self.text = text
        hold = max((_overlap(text, stop) for stop in self.request.stop), default=0)
        ready = len(text.rstrip("\ufffd")) - hold  # an unfinished character reads as U+FFFD
        if ready > self._sent:
            piece, self._sent = text[self._sent : ready], ready
            self.sink(piece, None)


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of `text` that begins `stop`."""
    return next((n for n in range(min(len(stop) - 1, len(text)), 0, -1) if text.endswith(stop[:n])), 0)


class Batcher:
    """Run requests on a model under a plan, in batches, in one thread.

    Parameters
    ----------
    model, processor
        As `extraction.models.loading.load_model_and_processor` returns them.
    plan : Plan
        Every answer is computed under it.
    limits : Limits
    on_answer : callable, optional
        Gets each finished job, in the thread of the model.
    """

    def __init__(
        self,
        model: Any,
        processor: Any,
        plan: Plan,
        limits: Limits,
        on_answer: Callable[[Job], None] | None = None,
    ) -> None:
        self.model, self.processor, self.plan, self.limits = model, processor, plan, limits
        with apply(model, plan):
            pass  # what does not fit fails here, before a port is opened
        self.batches = 0
        self.on_answer = on_answer
        self._waiting: deque[Job] = deque()
        self._wake = threading.Condition()
        self._closing = False
        self._idle: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        ends = getattr(model.generation_config, "eos_token_id", None)
        self._ends = set(ends if isinstance(ends, (list, tuple)) else [] if ends is None else [ends])
        self._thread = threading.Thread(target=self._run, name="skip-it-serve", daemon=True)
        self._thread.start()

    @property
    def n_waiting(self) -> int:
        """Requests that no batch has taken yet."""
        return len(self._waiting)

    @property
    def is_alive(self) -> bool:
        """Whether the thread that owns the model runs."""
        return self._thread.is_alive()

    def submit(self, job: Job) -> None:
        """Queue a request.

        Raises
        ------
        QueueFullError
            If too many wait, or the server is shutting down.
        """
        with self._wake:
            if self._closing:
                raise QueueFullError("the server is shutting down; ask another one")
            if len(self._waiting) >= self.limits.queue:
                raise QueueFullError(f"{self.limits.queue} requests wait already; try again in a moment")
            self._waiting.append(job)
            self._wake.notify()

    def when_idle(self, work: Callable[[], None]) -> None:
        """Do this in the model's thread once nobody waits."""
        with self._wake:
            self._idle.put(work)
            self._wake.notify()

    def close(self) -> None:
        """Answer what waits, then end the thread."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join()

    def answer(self, request: ChatRequest, plan: Plan) -> str:
        """The answer to one request alone under a plan; for the model's own thread."""
        job = Job(request, lambda piece, reason: None)
        self._generate([job], plan)
        return job.text

    def _run(self) -> None:
        while True:
            with self._wake:
                while not (self._waiting or self._closing or not self._idle.empty()):
                    self._wake.wait()
                if not self._waiting and self._closing:
                    return
            jobs = self._take()
            if not jobs:
                self._work()
                continue
            try:
                self._generate(jobs, self.plan)
            except Exception as error:
                # Whatever a model or its libraries raise is the fault of this batch alone.
                _log.exception("a batch failed")
                for job in jobs:
                    job.end("error", str(error) if isinstance(error, SkipItError) else "the model failed on this input")
            for job in jobs:
                if self.on_answer is not None and job.reason in ("stop", "length"):
                    self.on_answer(job)

    def _work(self) -> None:
        try:
            self._idle.get_nowait()()
        except queue.Empty:  # every request of the batch was cancelled
            return
        except Exception:  # an audit that fails must not end the service
            _log.exception("work in the background failed")

    def _take(self) -> list[Job]:
        """The oldest request, and others that can share its batch."""
        if not self._waiting:
            return []
        if len(self._waiting) < self.limits.batch:
            time.sleep(_GATHER_S)
        with self._wake:
            first = self._waiting[0]
            mates = [job for job in self._waiting if job.request.group == first.request.group][: self.limits.batch]
            for job in mates:
                self._waiting.remove(job)
        for job in mates:
            if job.is_cancelled:
                job.end("cancelled")
        return [job for job in mates if job.reason is None]

    def _inputs(self, requests: Sequence[ChatRequest]) -> Any:
        if getattr(self.processor, "chat_template", None) is None:
            raise InvalidInputError("need a processor with a chat template to serve conversations, this one has none")
        texts = [
            self.processor.apply_chat_template(r.turns, add_generation_prompt=True, tokenize=False) for r in requests
        ]
        bos = getattr(self.processor.tokenizer, "bos_token", None)
        images = [r.images for r in requests]
        try:
            return self.processor(
                **({"images": images} if images[0] else {}),
                text=texts,
                padding=True,
                padding_side="left",
                return_tensors="pt",
                add_special_tokens=not (bos and texts[0].startswith(bos)),
            ).to(self.model.device, self.model.dtype)
        except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
            first = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise InvalidInputError(f"need a conversation that the model's processor takes: {first:.300}") from error

    def _generate(self, jobs: Sequence[Job], plan: Plan) -> None:
        requests = [job.request for job in jobs]
        try:
            inputs = self._inputs(requests)
        except SkipItError as error:
            if len(jobs) == 1:
                jobs[0].end("error", str(error))
                return
            for job in jobs:  # the others are not to pay for one that does not fit
                self._generate([job], plan)
            return
        mask = inputs.get("attention_mask", torch.ones_like(inputs["input_ids"]))
        for job, n in zip(jobs, mask.sum(dim=1).tolist(), strict=True):
            job.prompt_tokens = int(n)
        first = requests[0]
        sampling = {"temperature": first.temperature, "top_p": first.top_p} if first.temperature > 0.0 else {}
        watch = _Watch(jobs, inputs["input_ids"].shape[1], self._ends, self.processor.tokenizer)
        self.batches += 1
        with ExitStack() as stack:
            stack.enter_context(torch.inference_mode())
            stack.enter_context(apply(self.model, plan))
            self.model.generate(
                **inputs,
                **sampling,
                do_sample=bool(sampling),
                max_new_tokens=max(r.max_tokens for r in requests),
                stopping_criteria=StoppingCriteriaList([watch]),
            )
        for job in jobs:
            job.end("length")


class _Watch(StoppingCriteria):
    """Sends each new token on its way, and ends rows that are done, stopped, at their limit, or without a client."""

    def __init__(self, jobs: Sequence[Job], n_prompt: int, ends: set[int], tokenizer: Any) -> None:
        self._jobs, self._seen, self._ends, self._tokenizer = jobs, n_prompt, ends, tokenizer

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        new = input_ids[:, self._seen :].tolist()
        self._seen = input_ids.shape[1]
        for job, tokens in zip(self._jobs, new, strict=True):
            for token in tokens:
                self._step(job, token)
        return torch.tensor([job.reason is not None for job in self._jobs], device=input_ids.device)

    def _step(self, job: Job, token: int) -> None:
        if job.reason is not None:
            return
        if job.first_token_s is None:
            job.first_token_s = time.monotonic() - job.began
        if job.is_cancelled:
            job.end("cancelled")
            return
        job.tokens.append(token)
        if token in self._ends:
            job.end("stop")
            return
        job.add(self._tokenizer.decode(job.tokens, skip_special_tokens=True))
        if len(job.tokens) >= job.request.max_tokens:
            job.end("length")
