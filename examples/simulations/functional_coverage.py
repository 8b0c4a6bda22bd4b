"""Coverage of every interval of functional redundancy where the truth is known; writes docs/functional_coverage.md.

One command: OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python examples/simulations/functional_coverage.py
About half an hour on one core; --scale 0.1 for a tenth of the repeats.
"""

from __future__ import annotations

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import argparse
import datetime
import json
import math
import sys
import warnings
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from functional_laws import KINDS, law

from estimators.folds import image_folds
from estimators.functional import EstimateWarning, functional_redundancy
from estimators.functional.certify import certify
from estimators.functional.linear import LinearEngine
from redundancy.task import read_task

LEVEL = 0.95
TOLERANCE = 0.03  # of a usable interval, below or above its level, beyond what the repeats can tell
BEGIN, END = "<!-- tables -->", "<!-- end of tables -->"
# (images, rows of an image, features, repeats, ICCs)
CASES = (
    (400, 5, 20, 200, (0.0, 0.3)),
    (400, 5, 50, 200, (0.0, 0.3)),
    (100, 5, 6, 150, (0.0, 0.3)),
    (1500, 1, 150, 60, (0.0,)),
    (400, 5, 100, 40, (0.0, 0.3)),
    (400, 5, 400, 1, (0.0, 0.3)),
    (400, 5, 1000, 1, (0.3,)),
)
CERTIFIED = ((200, 5, 10, 500), (1000, 2, 10, 200))


def coverage(kind, n_images, tokens, d, repeats, icc, *, seed=0):
    """Rates at which the statements about one law were true."""
    truth = law(kind, d, icc)
    rows = []
    for repeat in range(repeats):
        x_prev, x_next, z, images = truth.draw(n_images, tokens, np.random.default_rng([seed, d, repeat]))
        with warnings.catch_warnings(record=True) as raised:
            warnings.simplefilter("always", EstimateWarning)
            result = functional_redundancy(
                x_prev,
                x_next,
                z,
                ids=images,
                target_range=truth.target_range,
                confidence_level=LEVEL,
                random_state=repeat,
            )
        doubted = any("interval may fall short" in str(w.message) for w in raised)
        one_sided = any("one-sided" in str(w.message) for w in raised)
        rows.append(
            (
                result.estimate,
                result.standard_error,
                truth.class_gap in result.interval,
                truth.class_gap <= result.upper_limit,
                truth.class_gap in result.bracket_interval,
                all(truth.ideal_gap in c.interval for c in result.certified if c.quantity == "functional_gap"),
                doubted,
                one_sided,
                result.effective_dof,
                result.plug_in,
            )
        )
    mean = np.array(rows, dtype=np.float64).mean(axis=0)
    return {
        "kind": kind,
        "icc": icc,
        "images": n_images,
        "rows": tokens,
        "d": d,
        "repeats": repeats,
        "gap": truth.class_gap,
        "ideal": truth.ideal_gap,
        "bias": mean[0] - truth.class_gap,
        "plug_in_bias": mean[9] - truth.class_gap,
        "sd": float(np.std([r[0] for r in rows])),
        "se": mean[1],
        "interval": mean[2],
        "upper_limit": mean[3],
        "bracket": mean[4],
        "certified": mean[5],
        "warned": mean[6],
        "one_sided": mean[7],
        "dof": mean[8],
    }


def certified_losses(kind, n_images, tokens, d, repeats, icc, *, level=0.75, seed=1):
    """How often the betting bounds on the losses of the fitted probes hold, each at a level where failures show.

    The truth is the mean on 20,000 fresh independent rows; its own error is allowed for by three standard errors.
    """
    truth = law(kind, d, icc)
    fresh_prev, fresh_next, fresh_z, _ = truth.draw(20_000, 1, np.random.default_rng([seed, 999]))
    held = []
    for repeat in range(repeats):
        x_prev, x_next, z, images = truth.draw(n_images, tokens, np.random.default_rng([seed, repeat]))
        task = read_task(z, len(z), target_range=truth.target_range)
        split = image_folds(images, len(z), random_state=repeat)
        prev, after, _ = LinearEngine(x_prev, x_next, task, split).certifying()
        predictors = [
            lambda x, p=prev, s=slice(None, d): x @ p.weights[s] + p.offset,
            lambda x, p=after, s=slice(d, None): x @ p.weights[s] + p.offset,
        ]
        statements = certify(
            x_prev,
            x_next,
            task,
            split,
            *predictors,
            confidence_level=level,
            estimand="image_average",
            count_max=None,
            codes=None,
            distances_of=None,
        ).statements
        target = read_task(fresh_z, len(fresh_z), target_range=truth.target_range).rows(slice(None))
        outputs = [task.project(f(x)) for f, x in zip(predictors, (fresh_prev, fresh_next), strict=True)]
        losses = [
            ((target - outputs[0]) ** 2).sum(axis=1),
            ((target - outputs[1]) ** 2).sum(axis=1),
            ((outputs[1] - outputs[0]) ** 2).sum(axis=1),
        ]
        values = dict(zip(("error_prev", "error_next", "probe_gap"), losses, strict=True))
        leaves = [c for c in statements if c.theorem.startswith("concentration.")]
        held.append([_holds(c.interval, values[c.quantity]) for c in leaves])
    rates = np.array(held).mean(axis=0)
    return {
        "kind": kind,
        "icc": icc,
        "images": n_images,
        "rows": tokens,
        "d": d,
        "repeats": repeats,
        "level": 1.0 - (1.0 - level) / len(leaves),
        "rates": [float(r) for r in rates],
    }


def _holds(interval, losses):
    slack = 3.0 * losses.std() / math.sqrt(len(losses))
    return interval.lower - slack <= losses.mean() <= interval.upper + slack


def verdict(row):
    """What the measured coverage of the interval says, the error of the repeats allowed for."""
    if row["warned"] > 0.5:
        return "warned"
    if row["kind"] == "null":
        return "one-sided"
    error = 2.0 * math.sqrt(LEVEL * (1.0 - LEVEL) / row["repeats"])
    return "within 3 points" if abs(row["interval"] - LEVEL) <= TOLERANCE + error else "MISSED"


def page(rows, losses):
    """The two tables in markdown."""
    lines = [
        f"{datetime.datetime.now(datetime.UTC).date().isoformat()}; nominal level {LEVEL}.",
        "",
        "| law | ICC | images x rows | d | N/d | repeats | gap | bias | plug-in bias | sd | se | interval | "
        "upper limit | bracket | certified | verdict |",
        "| --- | --: | --- | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: | --- |",
    ]
    for r in rows:
        lines.append(
            f"| {r['kind']} | {r['icc']:g} | {r['images']} x {r['rows']} | {r['d']} | "
            f"{r['images'] * r['rows'] / r['d']:.0f} | {r['repeats']} | {r['gap']:.4f} | {r['bias']:+.4f} | "
            f"{r['plug_in_bias']:+.4f} | {r['sd']:.4f} | {r['se']:.4f} | {r['interval']:.3f} | "
            f"{r['upper_limit']:.3f} | {r['bracket']:.3f} | {r['certified']:.3f} | {verdict(r)} |"
        )
    lines += [
        "",
        "Betting bounds on the losses of the fitted probes, one at a time:",
        "",
        "| law | ICC | images x rows | d | repeats | level of each | error_prev | error_next | gap above | gap below |",
        "| --- | --: | --- | --: | --: | --: | --: | --: | --: | --: |",
    ]
    for r in losses:
        rates = " | ".join(f"{rate:.3f}" for rate in r["rates"])
        lines.append(
            f"| {r['kind']} | {r['icc']:g} | {r['images']} x {r['rows']} | {r['d']} | {r['repeats']} | "
            f"{r['level']:.4f} | {rates} |"
        )
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the repeats")
    parser.add_argument("--cache", type=Path, help="JSON lines of finished cases: read, then added to")
    parser.add_argument("--out", type=Path, default=Path("docs/functional_coverage.md"))
    options = parser.parse_args()
    done = {}
    if options.cache is not None and options.cache.exists():
        done = {tuple(key): value for key, value in map(json.loads, options.cache.read_text().splitlines())}

    def once(function, kind, n_images, tokens, d, repeats, icc):
        key = (function.__name__, kind, n_images, tokens, d, icc)
        if key not in done or done[key]["repeats"] < repeats:
            done[key] = function(kind, n_images, tokens, d, repeats, icc)
            if options.cache is not None:
                with options.cache.open("a") as file:
                    file.write(json.dumps([key, done[key]]) + "\n")
        return done[key]

    rows, losses = [], []
    for n_images, tokens, d, repeats in CERTIFIED:
        for kind in ("nonlinear", "classification"):
            for icc in (0.0, 0.3):
                count = max(1, round(options.scale * repeats))
                losses.append(once(certified_losses, kind, n_images, tokens, d, count, icc))
    for n_images, tokens, d, repeats, iccs in CASES:
        for kind in KINDS:
            for icc in iccs:
                row = once(coverage, kind, n_images, tokens, d, max(1, round(options.scale * repeats)), icc)
                print(f"{kind} icc {icc} images {n_images} d {d}: {row['interval']:.3f} {verdict(row)}", flush=True)
                rows.append(row)
                write(options.out, rows, losses)


def write(out, rows, losses):
    """Put the tables between the marks of the page."""
    text = out.read_text()
    head, tail = text.split(BEGIN)[0], text.split(END)[1]
    out.write_text(f"{head}{BEGIN}\n\n{page(rows, losses)}\n\n{END}{tail}")


if __name__ == "__main__":
    main()
