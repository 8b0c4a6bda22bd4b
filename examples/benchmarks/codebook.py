"""Time and distortion of a codebook against scikit-learn's MiniBatchKMeans, on one data set in memory.

Usage: python examples/benchmarks/codebook.py [--rows 1000000] [--features 576] [--codes 1024] [--threads 1]
       [--write docs/benchmarks/codebook.md]
"""

import argparse
import os
import platform
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("--rows", type=int, default=1_000_000)
parser.add_argument("--features", type=int, default=576)
parser.add_argument("--codes", type=int, default=1024)
parser.add_argument("--threads", type=int, default=1)
parser.add_argument("--write", type=Path)
arguments = parser.parse_args()
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = str(arguments.threads)

import numpy as np
import sklearn
from sklearn.cluster import MiniBatchKMeans

from estimators.codes.codebook import Codebook, fit_codebook
from estimators.codes.kmeans import engine_for, kmeans

TOKENS = 576  # of one image


def make_states(n_rows: int, n_features: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Unit rows around 600 centres with a spectrum that falls like 1/i, as of real hidden states; and image ids."""
    rng = np.random.default_rng(seed)
    scale = (np.arange(1, n_features + 1) ** -0.5).astype(np.float32)
    centres = rng.standard_normal((600, n_features), dtype=np.float32) * scale
    states = np.empty((n_rows, n_features), dtype=np.float32)
    for start in range(0, n_rows, 20_000):
        rows = min(20_000, n_rows - start)
        noise = 0.7 * scale * rng.standard_normal((rows, n_features), dtype=np.float32)
        states[start : start + rows] = centres[rng.integers(600, size=rows)] + noise
    states /= np.linalg.norm(states, axis=1)[:, None]
    return states, np.arange(n_rows) // TOKENS


def cosine(centres: np.ndarray) -> float:
    """Mean cosine distance of all rows to the nearest direction."""
    return float(1.0 - engine_for(None).assign(states, Codebook(centres).centres)[1].mean(dtype=float))


def squared(centres: np.ndarray) -> float:
    """Mean squared distance of all rows to the nearest centre."""
    centres = np.ascontiguousarray(centres, dtype=np.float32)
    best = engine_for(None).assign(states, centres, 0.5 * np.einsum("ij,ij->i", centres, centres))[1]
    return float(1.0 - 2.0 * best.mean(dtype=float))


def report(label: str, fit: Callable[[], np.ndarray], *, is_spherical: bool) -> None:
    """Time a fit, then measure what it reached; a mean is also a direction, a direction is no mean."""
    begin = time.perf_counter()
    centres = fit()
    seconds = time.perf_counter() - begin
    rows.append((label, seconds, cosine(centres), None if is_spherical else squared(centres)))
    print(*rows[-1], flush=True)


states, images = make_states(arguments.rows, arguments.features)
rows: list[tuple[str, float, float, float | None]] = []
k = arguments.codes
every = [str(i) for i in np.unique(images)]  # scikit-learn has no images to hold out
for label, options in {
    "fit_codebook, default": {},
    "fit_codebook, 64 rows a code, 8 rounds": {"rows_per_code": 64, "rounds": 8},
    "fit_codebook, all rows": {"rows_per_code": arguments.rows},
}.items():
    fit = partial(fit_codebook, [states], images, n_codes=k, fit_images=every, **options)
    report(label, lambda fit=fit: fit().centres, is_spherical=True)
euclidean = partial(kmeans, states.__getitem__, len(states), k, engine=engine_for(None), spherical=False)
report("kmeans(spherical=False)", lambda: euclidean(rng=np.random.default_rng(0))[0], is_spherical=False)
for options in ({}, {"batch_size": 4096}):
    model = MiniBatchKMeans(k, random_state=0, n_init=1, compute_labels=False, **options)
    label = "MiniBatchKMeans, " + (f"{options}" if options else "defaults")
    report(label, lambda model=model: model.fit(states).cluster_centers_, is_spherical=False)

if arguments.write:
    head = f"""# A codebook against MiniBatchKMeans

{arguments.codes:,} codes on {arguments.rows:,} x {arguments.features} float32 in memory, {arguments.threads} thread(s),
numpy {np.__version__}, scikit-learn {sklearn.__version__} with n_init=1, {platform.machine()}. Rows are of unit norm,
around 600 centres with a spectrum that falls like 1/i. Nobody computes labels. Distortions are means over all rows:
cosine distance to the nearest direction (what the codebook minimises) and squared distance to the nearest centre
(what scikit-learn minimises; a unit vector is no mean, so the column is empty for the codebook, and
`kmeans(spherical=False)` stands there instead). The machine was shared with other work: read ratios.

| | seconds | mean cosine distance | mean squared distance |
|---|---|---|---|
"""
    lines = [f"| {label} | {t:.1f} | {c:.5f} | {'' if s is None else f'{s:.5f}'} |" for label, t, c, s in rows]
    tail = f"""

Made by `python examples/benchmarks/codebook.py --threads {arguments.threads} --write docs/benchmarks/codebook.md`.
"""
    arguments.write.parent.mkdir(parents=True, exist_ok=True)
    arguments.write.write_text(head + "\n".join(lines) + tail)
