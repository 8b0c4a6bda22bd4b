"""How often a certificate is false when units and order come in as people hand them over; writes docs/borders.md.

Run: python examples/simulations/borders.py [--repeats 200] [--before CHECKOUT]

Every row has a known truth: images move by a cosine distance of 1 with probability 1/2, and not at all otherwise, so
the mean distance is 1/2. A certificate at 95 % is false when its upper bound is below that. CHECKOUT is a work tree of
release 0.1.0 (git worktree add CHECKOUT 24f60ff), whose certificates of the same draws stand beside.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from redundancy import LayerPairCertificate

DOCS = Path(__file__).parents[2] / "docs"
TRUTH, DELTA = 0.5, 0.05
Certificate = LayerPairCertificate


def states(far: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Two layers' states of one token per row, at distance 1 where `far`, at 0 elsewhere."""
    return np.tile([1.0, 0.0], (len(far), 1)), np.where(far[:, None], [[0.0, 1.0]], [[1.0, 0.0]])


def questions(rng: np.random.Generator, images: int, per_image: int, *, units: bool) -> Certificate:
    """Several questions about each image; without units every question goes by its own name, as in release 0.1.0."""
    far = np.repeat(rng.random(images) < TRUTH, per_image)
    of_image = np.repeat([f"picture {i}" for i in range(images)], per_image)
    return LayerPairCertificate.from_arrays(*states(far), of_image if units else np.arange(len(far)))


def categories(rng: np.random.Generator) -> Certificate:
    """i.i.d. images whose names begin with what they show, listed by name as a folder is."""
    photo = rng.random(100) < TRUTH
    names = np.array([f"{'photo' if p else 'chart'}_{i:04d}" for i, p in enumerate(photo)])
    order = np.argsort(names)
    return LayerPairCertificate.from_arrays(*states(photo[order]), names[order])


def sorted_file(rng: np.random.Generator) -> Certificate:
    """i.i.d. images sorted by what is measured, named by their row."""
    return LayerPairCertificate.from_arrays(*states(np.sort(rng.random(100) < TRUTH)), np.arange(100))


def drift(rng: np.random.Generator) -> Certificate:
    """A stream that drifts from images that never move to images that always do, named by their place."""
    return LayerPairCertificate.from_arrays(*states(rng.random(200) < np.linspace(0.0, 1.0, 200)), np.arange(200))


def rows(units: bool) -> dict[str, Callable[[np.random.Generator], Certificate]]:
    """Name of each row, and what certifies one draw of it."""
    sizes = {"5 images x 60 questions": (5, 60), "20 x 20": (20, 20), "100 x 5": (100, 5), "1 image x 60": (1, 60)}
    return {
        **{f"units: {name}": partial(questions, images=n, per_image=k, units=units) for name, (n, k) in sizes.items()},
        "order: names that begin with the category": categories,
        "order: a file sorted by value": sorted_file,
        "order: a stream that drifts": drift,
    }


def simulate(repeats: int, *, units: bool) -> list[dict[str, Any]]:
    """One record per row: how often the certificate was false, was refused, and said that the file is not random."""
    table = []
    for name, certify in rows(units).items():
        rng = np.random.default_rng(0)
        false = refused = warned = 0
        widths = []
        for _ in range(repeats):
            try:
                certificate = certify(rng)
            except ValueError:
                refused += 1
                continue
            upper = certificate.distance_upper
            assert upper is not None
            false += upper < TRUTH
            widths.append(upper)
            warned += "sorted or drifts" in certificate.sentence()
        table.append(
            {
                "row": name,
                "false": false / repeats,
                "refused": refused / repeats,
                "warned": warned / repeats,
                "median_upper": float(np.median(widths)) if widths else None,
            }
        )
    return table


def page(record: dict[str, Any]) -> str:
    """The page with its table."""
    limit = DELTA + 2 * np.sqrt(DELTA * (1 - DELTA) / record["repeats"])
    before = {row["row"]: row for row in record.get("before", [])}
    lines = [
        "# Borders: units and order",
        "",
        "A guarantee is as good as what is handed to it. Here the truth is known, and the data come as people have",
        "them: several questions about an image, names that tell the category, sorted files, streams that drift. A",
        f"certificate at confidence {1 - DELTA:g} may be false in at most {DELTA:.0%} of draws;",
        f"{record['repeats']} draws may show at most {limit:.1%}, two standard errors more. Made by",
        "`examples/simulations/borders.py`.",
        "",
        "| what comes in | false now | false in 0.1.0 | refused | order said not random | median upper bound |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in record["rows"]:
        old = before.get(row["row"])
        lines.append(
            f"| {row['row']} | {row['false']:.1%} | {'-' if old is None else format(old['false'], '.1%')} "
            f"| {row['refused']:.0%} | {row['warned']:.0%} "
            f"| {'-' if row['median_upper'] is None else format(row['median_upper'], '.3f')} |"
        )
    lines += [
        "",
        "The true mean distance is 0.5. One image is refused however many questions it has: there is one draw. Release",
        "0.1.0 took every sample for an image, and bet in the order of names or rows.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--before", type=Path, help="work tree of release 0.1.0")
    parser.add_argument("--rows-only", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.rows_only:
        print(json.dumps(simulate(options.repeats, units=False)))
        return
    record: dict[str, Any] = {"repeats": options.repeats, "rows": simulate(options.repeats, units=True)}
    if options.before is not None:
        command = [sys.executable, __file__, "--rows-only", "--repeats", str(options.repeats)]
        environment = {**os.environ, "PYTHONPATH": str(options.before)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        record["before"] = json.loads(done.stdout)
    (DOCS / "borders.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    (DOCS / "borders.md").write_text(page(record), encoding="utf-8")


if __name__ == "__main__":
    main()
