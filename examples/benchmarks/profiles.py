"""Where the slowest commands spend their time, and what the changes that their profiles led to brought.

Run: python examples/benchmarks/profiles.py [--only demo ...]    (a quarter of an hour on idle cores; writes
docs/benchmarks/profiles.md). Before and after are the commit that made a change and the one before it, each in a work
tree of its own, in turns; so it needs the repository with its history. `--only` measures some and keeps the others.
"""

from __future__ import annotations

import argparse
import json
import os
import pstats
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from run_all import machine

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "benchmarks" / "profiles.md"
N_TOKENS, WIDTH, PER_IMAGE = 100_000, 4096, 100
SHOWN = 6


@dataclass(frozen=True)
class Change:
    """One commit that a profile led to."""

    job: str
    commit: str
    found: str
    change: str
    rounds: int


COMMANDS = {
    "demo": "skip-it demo",
    "certify": f"skip-it certify --target, two arrays of {N_TOKENS:,} x {WIDTH}, float32",
    "prove": "skip-it prove",
}
CHANGES = (
    Change(
        "demo",
        "0fe942e",
        "The threads of OpenMP slept at once when a product was done, and were woken for the next.",
        "They spin for a moment first.",
        1,
    ),
    Change(
        "demo",
        "2010c70",
        "Four fifths of the time were forward passes of the sweep, and a plan ran many layers on the very states of "
        "the unmodified model.",
        "The layers before the first that a plan changes are taken from the unmodified run.",
        2,
    ),
    Change(
        "certify",
        "8264cc9",
        "Six sevenths of the time were one product: a dense Gaussian projection of wide states before a probe.",
        "States are folded with random signs, a sum of eight numbers each.",
        3,
    ),
    Change(
        "prove",
        "50ef49b",
        "A third of the time was the adversary's search, whose products mixed floats and fractions.",
        "It climbs on floats only; what it ends in is checked in fractions as before.",
        3,
    ),
)


def arguments(job: str, folder: Path) -> list[str]:
    """Arguments of the command line; what the command writes goes to a fresh place below the folder."""
    if job == "demo":
        out = folder / "report"
        shutil.rmtree(out, ignore_errors=True)
        return ["demo", "--out", str(out)]
    if job == "prove":
        return ["prove"]
    names = [str(folder / f"{name}.npy") for name in ("previous", "next", "ids", "target")]
    return ["certify", *names[:2], "--ids", names[2], "--target", names[3], "--json"]


def make_arrays(folder: Path) -> None:
    """Two layers that differ a little, and a task of four classes that can be read from both."""
    rng = np.random.default_rng(0)
    arrays = [
        np.lib.format.open_memmap(folder / f"{name}.npy", "w+", np.float32, (N_TOKENS, WIDTH))
        for name in ("previous", "next")
    ]
    directions = rng.normal(size=(WIDTH, 4)).astype(np.float32)
    target = np.empty(N_TOKENS, dtype=np.int64)
    for start in range(0, N_TOKENS, 5000):
        part = slice(start, start + 5000)
        states = rng.standard_normal((5000, WIDTH), dtype=np.float32)
        arrays[0][part] = states
        arrays[1][part] = states + 0.2 * rng.standard_normal((5000, WIDTH), dtype=np.float32)
        target[part] = (states @ directions + 20 * rng.standard_normal((5000, 4))).argmax(axis=1)
    np.save(folder / "ids.npy", np.repeat(np.arange(N_TOKENS // PER_IMAGE), PER_IMAGE))
    np.save(folder / "target.npy", target)


def run(tree: Path, job: str, folder: Path, *, profile: Path | None = None) -> float:
    """Wall seconds of the command from a work tree, in a process of its own."""
    recorded = [] if profile is None else ["-m", "cProfile", "-o", str(profile)]
    command = [sys.executable, *recorded, "-m", "redundancy", *arguments(job, folder)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tree), os.environ.get("PYTHONPATH", "")])}
    start = time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    spent = time.perf_counter() - start
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr}")
    return spent


def hottest(profile: Path) -> list[dict[str, Any]]:
    """Functions with the most time of their own, as shares of the whole."""
    stats: Any = pstats.Stats(str(profile))
    whole = stats.total_tt
    own = sorted(((entry[2], where) for where, entry in stats.stats.items()), reverse=True)[:SHOWN]
    return [{"function": _name(where), "share": seconds / whole} for seconds, where in own]


def _name(where: tuple[str, int, str]) -> str:
    path, _, function = where
    if path == "~":
        return function.removeprefix("<").removesuffix(">")
    parts = Path(path).parts
    return f"{'/'.join(parts[-2:])}: {function}"


def measure(jobs: list[str]) -> dict[str, Any]:
    """Seconds before and after every change, and a profile of the command as it is now."""
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if "certify" in jobs:
            make_arrays(folder)
        for job in jobs:
            results[job] = {"machine": machine(), "changes": [_compare(c, folder) for c in CHANGES if c.job == job]}
            results[job]["seconds"] = run(ROOT, job, folder)
            run(ROOT, job, folder, profile=folder / "profile")
            results[job]["profile"] = hottest(folder / "profile")
    return results


def _compare(change: Change, folder: Path) -> dict[str, Any]:
    trees = {"before": f"{change.commit}^", "after": change.commit}
    seconds: dict[str, list[float]] = {side: [] for side in trees}
    for side, revision in trees.items():
        _git("worktree", "add", "--quiet", "--detach", str(folder / side), revision)
    try:
        for turn in range(change.rounds):
            for side in sorted(trees, reverse=bool(turn % 2)):
                seconds[side].append(run(folder / side, change.job, folder))
    finally:
        for side in trees:
            _git("worktree", "remove", "--force", str(folder / side))
    ratios = [b / a for b, a in zip(seconds["before"], seconds["after"], strict=True)]
    return asdict(change) | {"ratios": ratios, **{side: median(found) for side, found in seconds.items()}}


def _git(*words: str) -> None:
    subprocess.run(["git", *words], cwd=ROOT, check=True)


def page(results: dict[str, Any]) -> str:
    """The Markdown page."""
    lines = [
        "# Where the time goes",
        "",
        "The three commands that take longest, what their profiles showed, what was changed for it, and what that",
        "brought: the commit before a change and the change itself in turns on one machine, median of paired ratios.",
        "Made by `python examples/benchmarks/profiles.py`, which needs the repository with its history.",
    ]
    for job, command in COMMANDS.items():
        if job not in results:
            continue
        found = results[job]
        where = found["machine"]
        lines += [
            "",
            f"## {command}",
            "",
            f"{found['seconds']:.1f} s now. {where['date']}, {where['cores']} cores, {where['architecture']}, load "
            f"{where['load']} at the start, Python {where['python']}, numpy {where['versions']['numpy']}, torch "
            f"{where['versions']['torch']}.",
            "",
            "| what the profile showed | change | before, s | after, s | ratio | rounds |",
            "|---|---|---:|---:|---:|---:|",
        ]
        for c in found["changes"]:
            lines.append(
                f"| {c['found']} | {c['change']} (`{c['commit']}`) | {c['before']:.1f} | {c['after']:.1f} | "
                f"{median(c['ratios']):.2f} | {c['rounds']} |"
            )
        lines += ["", "Now, by time of its own (the profiler counts calls of small functions dear):", ""]
        lines += ["| function | share |", "|---|---:|"]
        lines += [f"| `{row['function']}` | {100 * row['share']:.0f} % |" for row in found["profile"]]
    lines += [
        "",
        "## Elsewhere",
        "",
        "What other profiles led to is measured beside the peers: row kernels and attention masses in "
        "[the harvest](harvest.md), the solver in [BROJA](../broja.md), certificates in",
        "[certificates](certificates.md), merging and workers in [the distributed run](distributed.md).",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure and write the page and its numbers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=list(COMMANDS), default=list(COMMANDS))
    options = parser.parse_args()
    stored = PAGE.with_suffix(".json")
    results = json.loads(stored.read_text()) if stored.exists() else {}
    results |= measure(options.only)
    stored.write_text(json.dumps(results, indent=1) + "\n")
    PAGE.write_text(page(results))
    print(page(results))


if __name__ == "__main__":
    main()
