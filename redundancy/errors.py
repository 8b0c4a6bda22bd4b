"""The exceptions of the project: each is also the built-in that a caller would expect."""

from __future__ import annotations

from typing import Any

__all__ = [
    "AssumptionError",
    "InputWarning",
    "InvalidInputError",
    "InvariantError",
    "MissingExtraError",
    "NotConvergedError",
    "SkipItError",
    "StoreError",
    "UnsupportedModelError",
]


class SkipItError(Exception):
    """Root of every error raised on purpose.

    The message is one sentence: what is needed, what came, what to do.
    """


class InvalidInputError(SkipItError, ValueError):
    """An argument is outside its documented range or shape."""


class InvariantError(SkipItError, AssertionError):
    """Two results of this library contradict each other: its own fault, so nothing of them is printed."""


class InputWarning(UserWarning):
    """Something was left out of an input, which changes no number: said, so that nobody wonders."""


class AssumptionError(SkipItError, ValueError):
    """The inputs contradict an assumption of the theorem that was asked for."""


class NotConvergedError(SkipItError, RuntimeError):
    """A solver stopped before its tolerance; `result` holds what it reached."""

    def __init__(self, message: str, result: Any = None) -> None:
        super().__init__(message)
        self.result = result


class MissingExtraError(SkipItError, ImportError):
    """An optional dependency is absent; the message names the command that installs it."""


class StoreError(SkipItError, OSError):
    """A stored file is missing, torn, altered or of another kind."""


class UnsupportedModelError(SkipItError, TypeError):
    """A model, cache or attention kind that an operation cannot handle correctly."""
