"""Ctrl-C reaches every process of a terminal; here the first one alone answers it, and ends the others."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["interrupts_held", "leave_interrupts"]


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Processes that start in here are never interrupted, not even while they import; for this one Ctrl-C waits."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows; there `leave_interrupts` helps once the process runs
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def leave_interrupts() -> None:
    """In a process that another one started: ignore Ctrl-C, which that one answers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
