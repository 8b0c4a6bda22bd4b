"""Races between ways of doing one job: interleaved rounds, median of the paired ratios, and their spread."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any


def race(
    ways: Mapping[str, Callable[[], Any]],
    *,
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
    warm_up: bool = True,
) -> dict[str, list[float]]:
    """Seconds of every way in every round; within a round the ways follow each other, in turn forwards and backwards.

    What drifts (a clock rate, a neighbour) meets all ways of a round alike, so the ratio of two ways in one round means
    more than the ratio of their best times.
    """
    if warm_up:
        for way in ways.values():
            way()
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds):
        for name in list(ways) if number % 2 == 0 else list(ways)[::-1]:
            start = clock()
            ways[name]()
            seconds[name].append(clock() - start)
    return seconds


def ratios(other: list[float], ours: list[float]) -> tuple[float, float, float]:
    """Median, smallest and largest of other / ours over the rounds: above 1, ours is faster."""
    paired = [a / b for a, b in zip(other, ours, strict=True)]
    return statistics.median(paired), min(paired), max(paired)


def rows(job: str, size: str, seconds: Mapping[str, list[float]], *, goals: Mapping[str, float] | None = None) -> list:
    """One record per peer of a race whose first way is ours; `goals` are the ratios that were asked for."""
    (ours, own), *peers = seconds.items()
    found = []
    for peer, spent in peers:
        middle, low, high = ratios(spent, own)
        found.append(
            {
                "job": job,
                "size": size,
                "ours": ours,
                "peer": peer,
                "seconds": statistics.median(own),
                "peer_seconds": statistics.median(spent),
                "ratio": middle,
                "ratio_low": low,
                "ratio_high": high,
                "rounds": len(own),
                "goal": (goals or {}).get(peer),
            }
        )
    return found
