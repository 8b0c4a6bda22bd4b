"""How often a printed guarantee is false where the truth is known, now and at release 0.1.0; writes docs/guarantees.md.

Run: python examples/simulations/guarantees.py --release FOLDER [--repeats N]

FOLDER is a checkout of release 0.1.0 (commit 24f60ff); its rows are made by its own code, in a process of its own, as a
user of that release would have called it. Every row draws data from a law with known risks, asks for a guarantee the
way people work, and counts the draws in which anything false was stated.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np

PAGE = Path(__file__).parents[2] / "docs" / "guarantees.md"
RISK, LEVEL = 0.05, 0.9  # violations of 10 % are seen with fewer draws than those of 5 %
BAD = 0.0501  # a true risk just above the tolerated one
Draw = np.random.Generator
Losses = np.ndarray[Any, Any]


class Tool(Protocol):
    """A release, as a user calls it."""

    def certify(self, losses: Losses, units: list[str] | None, groups: list[str] | None) -> set[int]:
        """Plans that are certified from these losses."""
        ...

    def grow(self, losses: Losses, sizes: range) -> set[int]:
        """Plans that are certified at the first of the sizes at which any is."""
        ...

    def risks_after_looking(self, losses: Losses, risks: tuple[float, ...]) -> dict[int, float]:
        """Plans that are certified at the first of the risks at which any is, with that risk."""
        ...


class Now:
    """The release at hand: units, groups, any-time tests, bounds that are joint over plans."""

    def certify(self, losses: Losses, units: list[str] | None, groups: list[str] | None) -> set[int]:
        """As in `Tool`."""
        from redundancy.risk import control_risk

        names, costs = _plans(losses)
        control = control_risk(
            losses,
            names=names,
            costs=costs,
            risk=RISK,
            confidence_level=LEVEL,
            procedure="bonferroni",
            units=units,
            groups=groups,
        )
        return {int(name) for name in control.certified}

    def grow(self, losses: Losses, sizes: range) -> set[int]:
        """As in `Tool`."""
        from redundancy.risk import AnytimeControl

        names, costs = _plans(losses)
        watch = AnytimeControl(names=names, costs=costs, risk=RISK, confidence_level=LEVEL)
        before = 0
        for n in sizes:
            watch.update(losses[:, before:n].T.astype(float))
            before = n
            if watch.certified:
                break
        return {int(name) for name in watch.certified}

    def risks_after_looking(self, losses: Losses, risks: tuple[float, ...]) -> dict[int, float]:
        """As in `Tool`."""
        from redundancy.risk import control_risk

        names, costs = _plans(losses)
        uppers = control_risk(losses, names=names, costs=costs, risk=RISK, confidence_level=LEVEL).risk_uppers()
        for risk in risks:
            found = {int(name): risk for name, upper in uppers.items() if upper <= risk}
            if found:
                return found
        return {}


class Release010:
    """Release 0.1.0: samples are taken for units, and a new question is a new run."""

    def certify(
        self, losses: Losses, units: list[str] | None, groups: list[str] | None, risk: float = RISK
    ) -> set[int]:
        """As in `Tool`."""
        from estimators import control_risk

        names, costs = _plans(losses)
        control = control_risk(
            losses, names=names, costs=costs, risk=risk, confidence_level=LEVEL, procedure="bonferroni"
        )
        return {int(name) for name in control.certified}

    def grow(self, losses: Losses, sizes: range) -> set[int]:
        """As in `Tool`."""
        for n in sizes:
            if found := self.certify(losses[:, :n], None, None):
                return found
        return set()

    def risks_after_looking(self, losses: Losses, risks: tuple[float, ...]) -> dict[int, float]:
        """As in `Tool`."""
        for risk in risks:
            if found := self.certify(losses, None, None, risk):
                return dict.fromkeys(found, risk)
        return {}


def _plans(losses: Losses) -> tuple[list[str], list[float]]:
    return [str(k) for k in range(len(losses))], [float(len(losses) - k) for k in range(len(losses))]


def clustered(images: int, questions: int) -> Callable[[Tool, Draw], bool]:
    """A plan that loses all questions of an image, or none."""

    def case(tool: Tool, rng: Draw) -> bool:
        losses = (rng.random(images) < BAD).repeat(questions).astype(int)[None]
        return bool(tool.certify(losses, [str(k) for k in range(images) for _ in range(questions)], None))

    return case


def sorted_file(tool: Tool, rng: Draw) -> bool:
    """A file that is listed by category; half of the hard ones lose a part of their score."""
    hard = np.sort(rng.random(300) < 0.25)
    return bool(tool.certify(np.where(hard & (rng.random(300) < 0.5), 2 * 0.2004, 0.0)[None], None, None))


def named_by_category(tool: Tool, rng: Draw) -> bool:
    """Names that begin with the category, three questions an image, and a folder that lists them by name."""
    hard = rng.random(120) < 0.25
    names = [f"{'photo' if is_hard else 'chart'}_{k:03d}" for k, is_hard in enumerate(hard)]
    lost = dict(zip(names, np.where(hard & (rng.random(120) < 0.5), 2 * 0.2004, 0.0), strict=True))
    units = [name for name in sorted(names) for _ in range(3)]
    return bool(tool.certify(np.array([[lost[name] for name in units]]), units, None))


def drifting_file(tool: Tool, rng: Draw) -> bool:
    """A file whose losses grow from its beginning to its end; a shuffled draw from it has the mean."""
    return bool(tool.certify(np.where(np.sort(rng.random(300)) > 0.5, rng.beta(0.5, 4.49, 300), 0.0)[None], None, None))


def growing_limit(tool: Tool, rng: Draw) -> bool:
    """A larger limit after every look, until something is certified."""
    return bool(tool.grow((rng.random(1500) < BAD).astype(int)[None], range(50, 1501, 50)))


def risk_after_looking(tool: Tool, rng: Draw) -> bool:
    """The next larger risk, until something is certified."""
    true = np.array([0.0101, 0.0201, BAD])
    losses = (rng.random((3, 500)) < true[:, None]).astype(int)
    return any(true[k] > risk for k, risk in tool.risks_after_looking(losses, (0.01, 0.02, 0.05)).items())


def worst_group(tool: Tool, rng: Draw) -> bool:
    """One of five tasks loses more than is tolerated, and the sentence is read as if it held for each."""
    groups = rng.integers(5, size=500)
    losses = (rng.random(500) < np.where(groups == 0, BAD, 0.0)).astype(int)[None]
    return bool(tool.certify(losses, None, [str(g) for g in groups]))


def large_family(tool: Tool, rng: Draw) -> bool:
    """Twenty-four plans, all just too lossy, independent of each other."""
    return bool(tool.certify((rng.random((24, 300)) < BAD).astype(int), None, None))


CASES: dict[str, Callable[[Tool, Draw], bool]] = {
    "units: 5 images x 60 questions": clustered(5, 60),
    "units: 20 images x 20 questions": clustered(20, 20),
    "units: 100 images x 5 questions": clustered(100, 5),
    "units: one image x 300 questions": clustered(1, 300),
    "order: a file sorted by category": sorted_file,
    "order: names that begin with the category": named_by_category,
    "order: losses that drift along the file": drifting_file,
    "adaptive: --limit grows until a plan is certified": growing_limit,
    "adaptive: the risk is chosen after looking": risk_after_looking,
    "groups: one of five tasks is too lossy": worst_group,
    "families: 24 plans, all just too lossy": large_family,
}


def rates(tool: Tool, repeats: int) -> dict[str, float]:
    """Share of draws with a false statement, per case; equal seeds for both releases."""
    return {
        name: sum(case(tool, np.random.default_rng([7, k])) for k in range(repeats)) / repeats
        for name, case in CASES.items()
    }


def page(now: dict[str, float], before: dict[str, float], repeats: int) -> str:
    """The page, with a line per case."""
    most = 1.0 - LEVEL + 2.0 * math.sqrt(LEVEL * (1.0 - LEVEL) / repeats)
    rows = "\n".join(f"| {name} | {now[name]:.3f} | {before[name]:.3f} |" for name in CASES)
    return f"""# How often a guarantee is false

Every row draws data from a law whose risks are known, asks for a guarantee the way people work, and counts the draws in
which anything false was stated. The promise is at most {1.0 - LEVEL:.2g}; with {repeats:,} draws, rates up to
{most:.3f} (two standard errors) agree with it. The last column is release 0.1.0, called as its users called it.

| case | now | release 0.1.0 |
|---|---|---|
{rows}

- **units**: a plan loses all questions of an image or none. Questions about one image are one draw, not many.
- **order**: bets follow the salted hash of each unit, so a file that is sorted or drifts cannot arrange them.
- **adaptive**: `select --until` is valid however often one looks; `risk_uppers` bounds all plans at once, so that a
  risk may be chosen after looking at them.
- **groups**: `select --by task` certifies a plan only if every task passes; release 0.1.0 offered averages alone.

Made by `examples/simulations/guarantees.py`.
"""


def main() -> None:
    """Run both releases, write the page, and fail if a row of this release breaks the promise."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--release", type=Path, required=True, help="checkout of release 0.1.0")
    parser.add_argument("--repeats", type=int, default=2000)
    parser.add_argument("--as-release", action="store_true", help="print the rates of the release as JSON")
    arguments = parser.parse_args()
    if arguments.as_release:
        sys.path.insert(0, str(arguments.release))
        print(json.dumps(rates(Release010(), arguments.repeats)))
        return
    command = [sys.executable, __file__, "--release", str(arguments.release.resolve()), "--as-release"]
    done = subprocess.run([*command, "--repeats", str(arguments.repeats)], capture_output=True, text=True, check=True)
    now = rates(Now(), arguments.repeats)
    PAGE.write_text(page(now, json.loads(done.stdout), arguments.repeats), encoding="utf-8")
    most = 1.0 - LEVEL + 2.0 * math.sqrt(LEVEL * (1.0 - LEVEL) / arguments.repeats)
    if broken := [name for name, rate in now.items() if rate > most]:
        raise SystemExit(f"the promise is broken in: {', '.join(broken)}")


if __name__ == "__main__":
    main()
