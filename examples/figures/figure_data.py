"""Real results for the gallery of figures: a study of the embedded model, harvests by question family, known laws."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from extraction.data import as_sample
from extraction.default_model import load_model, load_processor, load_samples
from extraction.harvesting.stream import harvest
from redundancy.bounds.fano import ball_upper, best_shells_upper
from redundancy.info import conditional_entropy
from redundancy.pid.solve import broja
from redundancy.report import load_report

FAMILIES = ("color", "count", "relation")


def study(folder: Path | None, scratch: Path, questions: int) -> tuple[dict[str, Any], Path]:
    """The report of a demo run: the given one, or one made now."""
    if folder is None:
        folder = scratch / "study"
        command = ["demo", "--questions", str(questions), "--risk", "0.1", "--out", str(folder)]
        subprocess.run([sys.executable, "-m", "redundancy", *command], check=True, stdout=subprocess.DEVNULL)
    return load_report(folder / "report.json"), folder


def by_family(per_family: int) -> dict[str, Any]:
    """Harvests of the embedded model, one per question family: three data sets that are told apart."""
    model, processor = load_model(), load_processor()
    samples = [as_sample(sample, i) for i, sample in enumerate(load_samples())]
    return {
        family: harvest(
            model, [s for s in samples if s.family == family][:per_family], processor=processor, progress=False
        )
        for family in FAMILIES
    }


def entropy_bounds(n_laws: int = 60) -> list[dict[str, Any]]:
    """Two bounds of Theorem 3 on H(next | previous) of random laws on a ring of six points, with the exact value."""
    rng = np.random.default_rng(0)
    steps = np.abs(np.subtract.outer(np.arange(6), np.arange(6)))
    ring = np.minimum(steps, 6 - steps) / 3.0
    rows = []
    for _ in range(n_laws):
        spread = np.exp(-ring / rng.uniform(0.03, 1.0)) * rng.gamma(2.0, size=(6, 6))
        joint = spread / spread.sum()
        truth = float(conditional_entropy(joint, base=2.0))
        for name, bound in (
            ("balls of radius 1/3", ball_upper(joint=joint, distances=ring, t=0.34)),
            ("best shells", best_shells_upper(joint=joint, distances=ring)),
        ):
            rows.append({"truth": truth, "bound": bound.interval.upper, "series": name})
    return rows


def decompositions() -> dict[str, Any]:
    """Two copies of a noisy bit about a target, and the exclusive or of two bits with a hint of one."""
    copy = np.zeros((2, 2, 2))
    for t in (0, 1):
        for x in (0, 1):
            for y in (0, 1):
                copy[t, x, y] = 0.5 * (0.9 if x == t else 0.1) * (0.8 if y == t else 0.2)
    parity = np.full((2, 2, 2), 0.02)
    for x in (0, 1):
        for y in (0, 1):
            parity[x ^ y, x, y] += 0.21
    parity[1, 1] += 0.04
    return {"two noisy copies": broja(copy), "noisy parity": broja(parity / parity.sum())}
