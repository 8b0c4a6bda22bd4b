"""Verdicts on disk, a line each, from which an interrupted judging goes on; what is not whole is not read."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from redundancy.errors import InvalidInputError, StoreError

__all__ = ["RESOLVED", "STATUSES", "JudgeItem", "JudgeLog", "Verdict"]

SCHEMA = "skip-it/judge/1"
RESOLVED = ("correct", "incorrect", "refusal", "undecided")
STATUSES = (*RESOLVED, "malformed", "judge_refused", "failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeItem:
    """One answer to be judged.

    Attributes
    ----------
    item_id : str
        Unique name within a run.
    question, gold, answer : str
        The question, the reference answer, and the model's answer; the last may be empty.
    """

    item_id: str
    question: str
    gold: str
    answer: str

    def digest(self) -> str:
        """SHA-256 of the contents."""
        return hashlib.sha256(json.dumps([self.question, self.gold, self.answer]).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of one item.

    Attributes
    ----------
    item_id, item_digest : str
        Which item it was.
    status : str
        One of `STATUSES`.
    reason : str
        The judge's sentence, or what went wrong.
    reply : str
        The judge's last reply as it came.
    calls, tokens : int
        Requests sent, and tokens charged for them: reported by the server, else an upper bound.
    malformed_replies : int
        Replies that were no verdict, also where a later one was.
    """

    item_id: str
    item_digest: str
    status: str
    reason: str
    reply: str
    calls: int
    tokens: int
    malformed_replies: int


class JudgeLog:
    """Append-only JSON lines: a header, then a line per verdict with a digest of its own.

    Parameters
    ----------
    path : Path
        File; created if absent.
    identity : dict
        What the verdicts depend on; a file of another identity is refused.

    Raises
    ------
    InvalidInputError
        If the file was written by another judge.
    StoreError
        If the file cannot be read or written, or a line that is not the last is damaged. A torn last line, left by
        an interruption, is cut off.
    """

    def __init__(self, path: Path, identity: dict[str, Any]) -> None:
        self.path = path
        self.verdicts: list[Verdict] = []
        header = _seal({"schema": SCHEMA, **identity})
        try:
            lines = path.read_bytes().split(b"\n") if path.exists() else []
            # What follows the last line break was cut off while being written.
            torn = lines.pop() if lines else b""
            if torn:
                os.truncate(path, path.stat().st_size - len(torn))
            if not lines:
                self._append(header)
        except OSError as error:
            raise StoreError(
                f"need a readable and writable file of verdicts, {path} gives: {error.strerror}"
            ) from error
        for number, line in enumerate(lines, start=1):
            record = _open(line, path, number)
            if number == 1:
                if record != json.loads(header) | {"digest": None}:
                    raise InvalidInputError(
                        f"need verdicts of the same judge, {path} was written with another endpoint, model or prompt; "
                        "choose another file"
                    )
                continue
            record.pop("digest")
            self.verdicts.append(Verdict(**record))

    @property
    def resolved(self) -> dict[str, Verdict]:
        """The last verdict of each item that needs no other try."""
        return {v.item_id: v for v in self.verdicts if v.status != "failed"}

    @property
    def latest(self) -> dict[str, Verdict]:
        """The last line of each item."""
        return {v.item_id: v for v in self.verdicts}

    @property
    def calls(self) -> int:
        """Requests of all lines."""
        return sum(v.calls for v in self.verdicts)

    @property
    def tokens(self) -> int:
        """Tokens charged to all lines."""
        return sum(v.tokens for v in self.verdicts)

    def add(self, verdict: Verdict) -> None:
        """Write a verdict through to the disk."""
        try:
            self._append(_seal(asdict(verdict)))
        except OSError as error:
            raise StoreError(f"need to write {self.path}, got: {error.strerror}; check free space") from error
        self.verdicts.append(verdict)

    def _append(self, line: str) -> None:
        with self.path.open("ab") as file:
            file.write(line.encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())


def _seal(record: dict[str, Any]) -> str:
    text = json.dumps(record, sort_keys=True)
    return json.dumps({**record, "digest": hashlib.sha256(text.encode()).hexdigest()}, sort_keys=True)


def _open(line: bytes, path: Path, number: int) -> dict[str, Any]:
    """The record of a line, its digest checked and set to None."""
    try:
        record: dict[str, Any] = json.loads(line)
        digest = record.pop("digest")
        whole = digest == hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
    except (ValueError, KeyError, AttributeError):
        whole = False
    if not whole:
        raise StoreError(f"need whole lines, line {number} of {path} is damaged; restore the file or choose another")
    return {**record, "digest": None}
