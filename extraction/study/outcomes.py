"""Outcomes of a sweep, batch by batch: in memory, or in a log on disk from which an interrupted sweep goes on."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from extraction.skip.plan import GRAMMAR, Plan
from extraction.skip.terms import parse_plan
from extraction.study.evaluation import PlanEvaluation
from redundancy.errors import InvalidInputError, StoreError

__all__ = ["BatchOutcome", "OutcomeLog", "collect"]

SCHEMA = "skip-it/outcomes/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchOutcome:
    """What one batch answered without and with every plan of a sweep.

    Parameters
    ----------
    sample_ids : tuple of str
    answers : tuple of int or None
        Right answer tokens.
    plain_tokens : tuple of int
        Answers of the unmodified model.
    plan_tokens : tuple of tuple of int
        Answers under each plan, in the order of the sweep.
    kl : tuple of tuple of float
        KL divergence under each plan, nats.
    """

    sample_ids: tuple[str, ...]
    answers: tuple[int, ...] | None
    plain_tokens: tuple[int, ...]
    plan_tokens: tuple[tuple[int, ...], ...]
    kl: tuple[tuple[float, ...], ...]


def collect(plans: Sequence[Plan], outcomes: Iterable[BatchOutcome]) -> tuple[PlanEvaluation, ...]:
    """Evaluations of all plans, in the order of `plans`, samples in the order of the batches.

    Raises
    ------
    InvalidInputError
        If there is no batch, a sample comes twice, or only some batches have answers.
    """
    parts = list(outcomes)
    if not parts:
        raise InvalidInputError("need at least one batch, got none")
    answered = [part.answers is not None for part in parts]
    if any(answered) and not all(answered):
        raise InvalidInputError(
            f"need `answers` in every batch or in none, got them in {sum(answered)} of {len(parts)} batches"
        )
    ids = tuple(i for part in parts for i in part.sample_ids)
    answers = tuple(a for part in parts for a in part.answers or ())
    plain = tuple(t for part in parts for t in part.plain_tokens)
    return tuple(
        PlanEvaluation(
            plan=plan,
            sample_ids=ids,
            plain_tokens=plain,
            plan_tokens=tuple(t for part in parts for t in part.plan_tokens[k]),
            kl=tuple(x for part in parts for x in part.kl[k]),
            answers=answers or None,
        )
        for k, plan in enumerate(plans)
    )


class OutcomeLog:
    """Append-only JSON lines: a header that says what was run, then a line per batch with a digest of its own.

    Each line is forced to disk before the next batch runs, so an interruption at any moment costs at most the
    batch in flight; a line cut short by it is dropped when the log is opened again.

    Parameters
    ----------
    path : path
        File of the log.
    plans : sequence of Plan
        Plans of the sweep.
    run : dict
        Whatever else decides the outcomes (model, dtype, candidates): JSON numbers and strings.
    resume : bool, default=False
        Go on with an existing file, which must be of the same run and plans.

    Raises
    ------
    InvalidInputError
        If the file exists and `resume` is off.
    StoreError
        If the file is of another run, or a line inside it was altered.
    """

    def __init__(
        self, path: str | os.PathLike[str], plans: Sequence[Plan], run: dict[str, Any], *, resume: bool = False
    ) -> None:
        self.path = Path(path)
        self.plans = tuple(plans)
        self.outcomes: list[BatchOutcome] = []
        header = {"schema": SCHEMA, "run": run, "grammar": GRAMMAR, "plans": [str(plan) for plan in plans]}
        # As it will read back: tuples as lists, keys as strings.
        header = json.loads(json.dumps(header, allow_nan=False))
        if not self.path.exists():
            self._write(header)
        elif not resume:
            raise InvalidInputError(
                f"need a log that does not exist yet, {self.path} does; resume it or choose another"
            )
        else:
            self._read(header)

    @property
    def sample_ids(self) -> frozenset[str]:
        """Samples that are done."""
        return frozenset(i for outcome in self.outcomes for i in outcome.sample_ids)

    def append(self, outcome: BatchOutcome) -> None:
        """Store one batch; it is on disk when this returns."""
        if twice := self.sample_ids & set(outcome.sample_ids):
            raise InvalidInputError(f"need samples that are not done yet, {min(twice)!r} is in {self.path}")
        self._write(
            {
                "sample_ids": outcome.sample_ids,
                "answers": outcome.answers,
                "plain_tokens": outcome.plain_tokens,
                "plan_tokens": outcome.plan_tokens,
                "kl": outcome.kl,
            }
        )
        self.outcomes.append(outcome)

    def evaluations(self) -> tuple[PlanEvaluation, ...]:
        """Evaluations of all samples so far."""
        return collect(self.plans, self.outcomes)

    def _write(self, body: dict[str, Any]) -> None:
        text = json.dumps(body, allow_nan=False)
        line = json.dumps({"sha256": _digest(text), "body": text}) + "\n"
        with self.path.open("a", encoding="utf-8") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())

    def _read(self, header: dict[str, Any]) -> None:
        raw = self.path.read_bytes()
        whole = raw[: raw.rfind(b"\n") + 1]
        bodies = [self._body(number, line) for number, line in enumerate(whole.splitlines(), start=1)]
        if not bodies:
            self.path.write_bytes(b"")
            self._write(header)
            return
        grammar = int(bodies[0].get("grammar", 1))
        plans = [str(parse_plan(plan, grammar=grammar)) for plan in bodies[0].get("plans", [])]
        bodies[0] = {**bodies[0], "grammar": GRAMMAR, "plans": plans}
        if bodies[0] != header:
            differ = [key for key in ("schema", "plans") if bodies[0].get(key) != header[key]]
            before, now = (dict(side.get("run") or {}) for side in (bodies[0], header))
            differ += _differences(before, now)
            raise StoreError(
                f"need the log of this very run to resume it, {self.path} differs in its {' and '.join(differ)}; "
                "choose another file"
            )
        for number, body in enumerate(bodies[1:], start=2):
            try:
                outcome = BatchOutcome(
                    sample_ids=tuple(body["sample_ids"]),
                    answers=None if body["answers"] is None else tuple(body["answers"]),
                    plain_tokens=tuple(body["plain_tokens"]),
                    plan_tokens=tuple(map(tuple, body["plan_tokens"])),
                    kl=tuple(map(tuple, body["kl"])),
                )
            except (KeyError, TypeError) as error:
                raise StoreError(f"need a batch in line {number} of {self.path}, it lacks {error}") from None
            self.outcomes.append(outcome)
        if len(whole) < len(raw):  # the batch in flight when the run stopped
            with self.path.open("rb+") as file:
                file.truncate(len(whole))

    def _body(self, number: int, line: bytes) -> dict[str, Any]:
        try:
            entry = json.loads(line)
            text = entry["body"]
            is_whole = entry["sha256"] == _digest(text)
        except (ValueError, KeyError, TypeError, AttributeError):
            is_whole = False
        if not is_whole:
            raise StoreError(f"need line {number} of {self.path} as it was written, it was altered; run the sweep anew")
        body: dict[str, Any] = json.loads(text)
        return body


def _differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What differs between two runs, with both values; of a digest the name alone."""
    keys = [key for key in {**now, **before} if before.get(key) != now.get(key)]
    return [key if len(str(now.get(key))) > 40 else f"{key} ({before.get(key)}, now {now.get(key)})" for key in keys]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
