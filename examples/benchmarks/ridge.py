"""Ridge benchmark: streaming ridge against scikit-learn with grouped cross-validation, nine penalties and five folds.

One command: OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python examples/benchmarks/ridge.py
Prints one JSON line a run and writes docs/benchmarks/ridge.md; --sizes 576x100000 for a part of it.
"""

from __future__ import annotations

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import argparse
import datetime
import json
import platform
import statistics
import time
from pathlib import Path

import numpy as np
import sklearn
from sklearn.linear_model import RidgeCV

from estimators.folds import image_folds
from estimators.probes.ridge import ALPHAS, StreamingRidge

SIZES = ((576, 100_000), (2048, 10_000), (2048, 100_000))
ASKED = {(576, 100_000): 12.0, (2048, 10_000): 5.0, (2048, 100_000): 12.0}
PER_IMAGE, OUTPUTS, FOLDS = 10, 10, 5
BEGIN, END = "<!-- runs -->", "<!-- end of runs -->"


def sample(d, n, dtype):
    """Rows with a decaying spectrum and a part shared within an image, and a noisy linear task."""
    rng = np.random.default_rng(d + n)
    groups = np.arange(n) // PER_IMAGE
    x = rng.standard_normal((n, d), dtype=np.float32)
    x += rng.standard_normal((n // PER_IMAGE, d), dtype=np.float32)[groups]
    x *= ((1.0 + np.arange(d)) ** -0.5).astype(np.float32)
    z = x @ rng.standard_normal((d, OUTPUTS), dtype=np.float32)
    z += 3.0 * rng.standard_normal((n, OUTPUTS), dtype=np.float32)
    return x.astype(dtype, copy=False), z.astype(dtype, copy=False), groups


def run(d, n, repeats, dtype, one_penalty=False):
    """Interleaved fits on one data set; seconds of each, the penalties chosen and the largest difference.

    Processor seconds are compared, which a busy machine does not stretch; wall seconds stand beside them.
    RidgeCV with ``cv=`` is a grid search over `Ridge`, so the two scikit-learn ways cost the same. With `one_penalty`
    RidgeCV searches the penalty that ours chose alone, 6 fits, and its time is multiplied to the 46 of all nine.
    """
    x, z, groups = sample(d, n, dtype)
    folds = image_folds(groups, n, folds=FOLDS).row_fold
    splits = [(np.flatnonzero(folds != k), np.flatnonzero(folds == k)) for k in range(FOLDS)]
    scoring = "neg_mean_squared_error"
    fitted = {}

    def penalties():
        return [fitted["ours"].alpha_] if one_penalty else list(ALPHAS)

    candidates = {
        "ours": lambda: StreamingRidge(ALPHAS, cv=FOLDS).fit(x, z, folds=folds),
        "RidgeCV": lambda: RidgeCV(penalties(), cv=splits, scoring=scoring).fit(x, z),
    }
    seconds = {name: [] for name in candidates}
    walls = {name: [] for name in candidates}
    for _ in range(repeats):
        for name, fit in candidates.items():
            start, wall = time.process_time(), time.perf_counter()
            fitted[name] = fit()
            seconds[name].append(time.process_time() - start)
            walls[name].append(time.perf_counter() - wall)
    if one_penalty:
        factor = (len(ALPHAS) * FOLDS + 1) / (FOLDS + 1)
        seconds["RidgeCV"], walls["RidgeCV"] = ([factor * s for s in t["RidgeCV"]] for t in (seconds, walls))
    ours, peer = fitted["ours"], fitted["RidgeCV"]
    rows = slice(0, 2000)
    expected = peer.predict(x[rows])
    return {
        "d": d,
        "n": n,
        "dtype": np.dtype(dtype).name,
        "seconds": {name: [round(s, 3) for s in times] for name, times in seconds.items()},
        "wall": {name: [round(s, 3) for s in times] for name, times in walls.items()},
        "ratio": statistics.median(seconds["RidgeCV"]) / statistics.median(seconds["ours"]),
        "one_penalty": one_penalty,
        "alpha": [ours.alpha_, float(peer.alpha_)],
        "difference": float(np.abs(ours.predict(x[rows]) - expected).max() / np.abs(expected).max()),
        "state_mib": sum(m.xx.nbytes + m.xz.nbytes for m in ours.fold_moments_) / 2**20,
        "load": os.getloadavg()[0],
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }


def table(records):
    """The runs as a markdown table."""
    lines = [
        "| d | N | dtype | runs | ours, s | RidgeCV, s | RidgeCV / ours | asked | wall, s | same penalty | "
        "difference | state, MiB | load | date |",
        "| --: | --: | --- | --: | --: | --: | --: | --: | --: | --- | --: | --: | --: | --- |",
    ]
    for r in records:
        s = {name: f"{statistics.median(times):.2f}" for name, times in r["seconds"].items()}
        wall = " against ".join(f"{statistics.median(times):.1f}" for times in r["wall"].values())
        same = (
            "one searched, time x 46/6"
            if r.get("one_penalty")
            else "yes"
            if r["alpha"][0] == r["alpha"][1]
            else f"no: {r['alpha']}"
        )
        asked = f"{ASKED[r['d'], r['n']]:g}" if (r["d"], r["n"]) in ASKED else ""
        lines.append(
            f"| {r['d']} | {r['n']:,} | {r['dtype']} | {len(r['wall']['ours'])} | {s['ours']} | {s['RidgeCV']} | "
            f"{r['ratio']:.1f} | {asked} | {wall} | {same} | {r['difference']:.1e} | {r['state_mib']:.0f} | "
            f"{r['load']:.1f} | {r['date']} |"
        )
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", nargs="*", default=[f"{d}x{n}" for d, n in SIZES])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--one-penalty", action="store_true", help="extrapolate RidgeCV from one of the nine penalties")
    parser.add_argument("--dtype", default="float64")
    parser.add_argument("--records", type=Path, nargs="*", default=[], help="JSON lines of earlier runs, to print too")
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks/ridge.md"))
    options = parser.parse_args()
    records = [json.loads(line) for path in options.records for line in path.read_text().splitlines()]
    for size in options.sizes:
        d, n = (int(part) for part in size.split("x"))
        records.append(run(d, n, options.repeats, options.dtype, options.one_penalty))
        print(json.dumps(records[-1]), flush=True)
    text = options.out.read_text()
    head, tail = text.split(BEGIN)[0], text.split(END)[1]
    machine = (
        f"One thread of a machine with {os.cpu_count()} cores ({platform.machine()}), shared with other jobs; Python\n"
        f"{platform.python_version()}, numpy {np.__version__}, scikit-learn {sklearn.__version__}. Processor seconds, "
        "medians over the interleaved runs; wall seconds are\nthose of a busy machine."
    )
    options.out.write_text(f"{head}{BEGIN}\n\n{machine}\n\n{table(records)}\n\n{END}{tail}")


if __name__ == "__main__":
    main()
