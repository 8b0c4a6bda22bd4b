"""Outcomes of a sweep, batch by batch: in memory, or in a log on disk from which an interrupted sweep goes on."""

from __future__ import annotations

import hashlib
import json
import math
import os
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from extraction.skip.plan import GRAMMAR, Plan
from extraction.skip.terms import parse_plan
from extraction.study.evaluation import Answer, PlanEvaluation
from redundancy.errors import InvalidInputError, StoreError

__all__ = ["BatchOutcome", "OutcomeLog", "collect"]

SCHEMA = "skip-it/outcomes/2"
_OLD_SCHEMA = "skip-it/outcomes/1"  # release 0.1.0: first tokens alone, plans as trees
_OWN = ("units", "families", "plain_scores")


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchOutcome:
    """What one batch answered without and with every plan of a sweep; None where a batch has no such thing.

    Parameters
    ----------
    sample_ids : tuple of str
    answers : tuple or None
        Right answer tokens, as in `PlanEvaluation`.
    plain_tokens : tuple
        Answers of the unmodified model.
    plan_tokens : tuple of tuple
        Answers under each plan, in the order of the sweep.
    kl : tuple of tuple of float
        KL divergence under each plan, nats; infinite where the plan's distribution is not finite.
    units, families : tuple of str, optional
        Independent unit and kind of each sample.
    plain_scores : tuple of float or None, optional
        Scores of the unmodified model.
    plan_scores : tuple of tuple of float or None, optional
        Scores under each plan.
    """

    sample_ids: tuple[str, ...]
    answers: tuple[Answer | None, ...] | None
    plain_tokens: tuple[Answer, ...]
    plan_tokens: tuple[tuple[Answer, ...], ...]
    kl: tuple[tuple[float, ...], ...]
    units: tuple[str, ...] | None = None
    families: tuple[str, ...] | None = None
    plain_scores: tuple[float | None, ...] | None = None
    plan_scores: tuple[tuple[float | None, ...], ...] | None = None


def collect(
    plans: Sequence[Plan], outcomes: Iterable[BatchOutcome], *, answer_length: int = 1, is_soft: bool = False
) -> tuple[PlanEvaluation, ...]:
    """Evaluations of all plans, in the order of `plans`, samples in the order of the batches.

    Parameters
    ----------
    plans : sequence of Plan
    outcomes : iterable of BatchOutcome
    answer_length : int, default=1
        Tokens of an answer at most.
    is_soft : bool, default=False
        Whether scores may be fractions.

    Raises
    ------
    InvalidInputError
        If there is no batch, a sample comes twice, or only some batches have answers, scores, units or families.
    """
    parts = list(outcomes)
    if not parts:
        raise InvalidInputError("need at least one batch, got none")
    whole: dict[str, Any] = {}
    for name in ("answers", *_OWN):
        given = [getattr(part, name) for part in parts]
        there = sum(value is not None for value in given)
        if 0 < there < len(parts):
            raise InvalidInputError(
                f"need `{name}` in every batch or in none, got them in {there} of {len(parts)} batches"
            )
        whole[name] = tuple(x for value in given for x in value) if there else None
    ids = tuple(i for part in parts for i in part.sample_ids)
    plain = tuple(t for part in parts for t in part.plain_tokens)
    return tuple(
        PlanEvaluation(
            plan=plan,
            sample_ids=ids,
            plain_tokens=plain,
            plan_tokens=tuple(t for part in parts for t in part.plan_tokens[k]),
            kl=tuple(x for part in parts for x in part.kl[k]),
            plan_scores=None
            if whole["plain_scores"] is None
            else tuple(x for part in parts for x in (part.plan_scores or ())[k]),
            answer_length=answer_length,
            is_soft=is_soft,
            **whole,
        )
        for k, plan in enumerate(plans)
    )


_FIELDS = tuple(field.name for field in fields(BatchOutcome))


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
        self._done: set[str] = set()
        header = {"schema": SCHEMA, "run": run, "grammar": GRAMMAR, "plans": [str(plan) for plan in plans]}
        # As it will read back: tuples as lists, keys as strings.
        self.run: dict[str, Any] = dict(run)
        header = json.loads(json.dumps(header, allow_nan=False))
        if not self.path.exists():
            self._write(header)
        elif not resume:
            raise InvalidInputError(
                f"need a log that does not exist yet, {self.path} does; resume it or choose another"
            )
        else:
            self._read(header)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> OutcomeLog:
        """Read a log of any release, to look at or to go on with.

        Raises
        ------
        StoreError
            If the file is no log, or was altered.
        """
        log = cls.__new__(cls)
        log.path, log.outcomes, log._done = Path(path), [], set()
        try:
            header, *bodies = log._bodies()
            log.run = dict(header["run"])
            grammar = int(header.get("grammar", 1))
            log.plans = tuple(parse_plan(plan, grammar=grammar) for plan in header["plans"])
            is_known = header["schema"] in (SCHEMA, _OLD_SCHEMA)
        except OSError as error:
            raise StoreError(f"need a log of outcomes, {path} cannot be read: {error}") from None
        except (ValueError, KeyError, TypeError):
            is_known = False
        if not is_known:
            raise StoreError(f"need a log of outcomes, {path} does not begin as one; give the outcomes.jsonl of a run")
        log._take(bodies)
        return log

    @property
    def digest(self) -> str:
        """SHA-256 of the whole file, to which a choice is bound."""
        return hashlib.sha256(self.path.read_bytes()).hexdigest()

    @property
    def run_digest(self) -> str:
        """SHA-256 of what was run and where: the same when the run is resumed."""
        return _digest(json.dumps([str(self.path.resolve()), self.run, list(map(str, self.plans))], sort_keys=True))

    @property
    def sample_ids(self) -> frozenset[str]:
        """Samples that are done."""
        return frozenset(self._done)

    def append(self, outcome: BatchOutcome) -> None:
        """Store one batch; it is on disk when this returns."""
        if twice := self._done & set(outcome.sample_ids):
            raise InvalidInputError(f"need samples that are not done yet, {min(twice)!r} is in {self.path}")
        self._write({name: getattr(outcome, name) for name in _FIELDS} | {"kl": _without_infinity(outcome.kl)})
        self._keep(outcome)

    def evaluations(self) -> tuple[PlanEvaluation, ...]:
        """Evaluations of all samples so far."""
        length, soft = int(self.run.get("answer_length", 1)), bool(self.run.get("is_soft", False))
        return collect(self.plans, self.outcomes, answer_length=length, is_soft=soft)

    def _keep(self, outcome: BatchOutcome) -> None:
        self.outcomes.append(outcome)
        self._done.update(outcome.sample_ids)

    def _write(self, body: dict[str, Any]) -> None:
        text = json.dumps(body, allow_nan=False)
        line = json.dumps({"sha256": _digest(text), "body": text}) + "\n"
        with self.path.open("a", encoding="utf-8") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())

    def _read(self, header: dict[str, Any]) -> None:
        bodies = self._bodies()
        if not bodies:
            self.path.write_bytes(b"")
            self._write(header)
            return
        grammar = int(bodies[0].get("grammar", 1))
        plans = [str(parse_plan(plan, grammar=grammar)) for plan in bodies[0].get("plans", [])]
        bodies[0] = {**bodies[0], "grammar": GRAMMAR, "plans": plans}
        before = dict(bodies[0].get("run") or {}).get("versions")
        if before != self.run.get("versions"):  # most changes move no number, so it is told and not refused
            warnings.warn(
                f"{self.path} was begun with {before}, and goes on with {self.run.get('versions')}", stacklevel=3
            )
            bodies[0]["run"] = {**bodies[0]["run"], "versions": self.run.get("versions")}
        if bodies[0] != header:
            differ = [key for key in ("schema", "plans") if bodies[0].get(key) != header[key]]
            before, now = (dict(side.get("run") or {}) for side in (bodies[0], header))
            differ += _differences(before, now)
            raise StoreError(
                f"need the log of this very run to resume it, {self.path} differs in its {' and '.join(differ)}; "
                "choose another file"
            )
        self._take(bodies[1:])
        with self.path.open("rb+") as file:  # without the batch in flight when the run stopped
            file.truncate(self._n_whole)

    def _bodies(self) -> list[dict[str, Any]]:
        raw = self.path.read_bytes()
        whole = raw[: raw.rfind(b"\n") + 1]
        self._n_whole = len(whole)
        return [self._body(number, line) for number, line in enumerate(whole.splitlines(), start=1)]

    def _take(self, bodies: Sequence[dict[str, Any]]) -> None:
        for number, body in enumerate(bodies, start=2):
            try:
                kl = tuple(tuple(math.inf if x is None else float(x) for x in row) for row in body["kl"])
                missing = dict.fromkeys((*_OWN, "plan_scores"))
                outcome = BatchOutcome(**{k: _tuples(v) for k, v in {**missing, **body}.items()} | {"kl": kl})
            except (KeyError, TypeError) as error:
                raise StoreError(f"need a batch in line {number} of {self.path}, it lacks {error}") from None
            self._keep(outcome)

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


def _tuples(value: Any) -> Any:
    return tuple(_tuples(part) for part in value) if isinstance(value, list) else value


def _without_infinity(rows: tuple[tuple[float, ...], ...]) -> list[list[float | None]]:
    """JSON has no infinity: null stands for it."""
    return [[x if math.isfinite(x) else None for x in row] for row in rows]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
