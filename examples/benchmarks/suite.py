"""The races of `run_all.py`, a function per group; each yields records and imports its peers late.

Run by `run_all.py`, each group in a process of its own: python examples/benchmarks/suite.py GROUP [--quick]
"""

from __future__ import annotations

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import json
import math
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from paired import race, rows

ROOT = Path(__file__).parents[2]
Records = Iterator[dict[str, Any]]


def growth(
    job: str, what: str, sizes: list[int], make: Callable[[int], Callable[[], Any]], repeats: int = 3
) -> Records:
    """Least seconds at each size and the exponent of a power law through them."""
    spent = []
    for size in sizes:
        call = make(size)
        call()
        spent.append(min(race({"ours": call}, rounds=repeats, warm_up=False)["ours"]))
    slope = float(np.polyfit(np.log(sizes), np.log(spent), 1)[0])
    yield {"job": job, "grows_with": what, "sizes": sizes, "seconds_at": spent, "exponent": slope}


def missing(job: str, peer: str) -> dict[str, Any]:
    """The record of a peer that is not installed."""
    return {"job": job, "peer": peer, "left_out": f"{peer} is not installed"}


def broja(quick: bool) -> Records:
    """Unique information: ours asked for a gap of 1e-8 bits, the peers for what they give by default or tighter."""
    import broja_peers

    from redundancy.pid import broja as solve
    from redundancy.pid import broja_batch

    def table(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
        return np.random.default_rng(seed).dirichlet(np.ones(math.prod(shape))).reshape(shape)

    goals = {(5, 10, 10): 10.0, (10, 30, 30): 60.0}
    for shape in [(5, 10, 10)] if quick else [(5, 10, 10), (10, 30, 30)]:
        joint = table(shape)
        calls = 20 if math.prod(shape) <= 1000 else 1

        def many(way: Callable[[], Any], calls: int = calls) -> Callable[[], None]:
            def call() -> None:
                for _ in range(calls):
                    way()

            return call

        ways = {"redundancy.pid.broja": many(lambda j=joint: solve(j, tolerance=1e-8))}
        for peer, other in broja_peers.PEERS.items():
            module = {"broja_2pid": "dit"}.get(peer, peer)
            if find_spec(module) is None:
                yield missing("BROJA", peer)
                continue
            ways[peer] = many(lambda j=joint, f=other: f(j))
        size = "x".join(map(str, shape))
        goal = dict.fromkeys(("broja_2pid", "ecos", "clarabel"), goals[shape])
        for row in rows("BROJA", size, race(ways, rounds=3 if quick else 5, clock=time.process_time), goals=goal):
            yield row | {"seconds": row["seconds"] / calls, "peer_seconds": row["peer_seconds"] / calls}
    small = table((3, 4, 4))  # dit takes minutes at 5x10x10
    slow = {"dit": (broja_peers.solve_dit, 200.0), "scs": (broja_peers.solve_scs, None)}
    for peer, (other, goal_of_peer) in slow.items():
        if find_spec(peer) is None:
            yield missing("BROJA", peer)
            continue
        ways = {"redundancy.pid.broja": lambda: solve(small, tolerance=1e-8), peer: lambda other=other: other(small)}
        spent = race(ways, rounds=2, clock=time.process_time, warm_up=False)
        yield from rows("BROJA", "3x4x4", spent, goals={} if goal_of_peer is None else {peer: goal_of_peer})
    many_tables = np.random.default_rng(0).dirichlet(np.ones(48), size=200 if quick else 2000).reshape(-1, 3, 4, 4)
    ways = {
        "broja_batch": lambda: broja_batch(many_tables, tolerance=1e-8, throw=False),
        "a loop of broja": lambda: [solve(one, tolerance=1e-8, throw=False) for one in many_tables],
    }
    yield from rows(
        "BROJA, many tables",
        f"{len(many_tables)} of 3x4x4",
        race(ways, rounds=3, clock=time.process_time, warm_up=False),
        goals={"a loop of broja": 5.0},
    )
    edges = [5, 10, 20] if quick else [5, 10, 20, 40, 60]
    yield from growth(
        "BROJA",
        "cells (10 x n x n)",
        [10 * n * n for n in edges],
        lambda cells: lambda: solve(table((10, math.isqrt(cells // 10), math.isqrt(cells // 10))), tolerance=1e-8),
    )


def probes(quick: bool) -> Records:
    """Ridge with nine penalties and five folds of whole images, and what one product X'X costs."""
    import ridge
    from sklearn.linear_model import LogisticRegression, RidgeCV
    from sklearn.model_selection import GridSearchCV, GroupKFold

    from estimators.folds import image_folds
    from estimators.probes import CalibratedProbe

    d, n = (128, 5_000) if quick else (576, 20_000)
    x, z, groups = ridge.sample(d, n, np.float64)
    folds = image_folds(groups, n, folds=ridge.FOLDS).row_fold
    splits = [(np.flatnonzero(folds != k), np.flatnonzero(folds == k)) for k in range(ridge.FOLDS)]
    scoring = "neg_mean_squared_error"
    ways = {
        "StreamingRidge": lambda: ridge.StreamingRidge(ridge.ALPHAS, cv=ridge.FOLDS).fit(x, z, folds=folds),
        "RidgeCV, grouped": lambda: RidgeCV(list(ridge.ALPHAS), cv=splits, scoring=scoring).fit(x, z),
        "one product X'X": lambda: x.T @ x,
    }
    yield from rows("Probe, regression", f"{n} x {d}", race(ways, rounds=3, clock=time.process_time, warm_up=False))
    y = (z[:, 0] > 0).astype(int) + (z[:, 1] > 0)
    ours = CalibratedProbe()
    grid = {"C": [0.01, 0.1, 1.0]}
    some = slice(0, 2_000 if quick else 5_000)
    ways = {
        "CalibratedProbe": lambda: ours.fit(x[some], y[some], groups=groups[some]),
        "LogisticRegression, grouped grid of 3": lambda: GridSearchCV(
            LogisticRegression(max_iter=500), grid, cv=GroupKFold(5), scoring="neg_log_loss"
        ).fit(x[some], y[some], groups=groups[some]),
    }
    yield from rows(
        "Probe, classes", f"{some.stop} x {d}", race(ways, rounds=3, clock=time.process_time, warm_up=False)
    )
    sizes = [5_000, 10_000, 20_000]

    def fit(rows_: int) -> Callable[[], Any]:
        part = slice(0, rows_ if not quick else rows_ // 4)
        return lambda: ridge.StreamingRidge(ridge.ALPHAS, cv=ridge.FOLDS).fit(x[part], z[part], folds=folds[part])

    yield from growth("Probe, regression", "rows", sizes, fit)

    def fit_wide(width: int) -> Callable[[], Any]:
        x, z, groups = ridge.sample(width, 2_000 if quick else 10_000, np.float64)
        folds = image_folds(groups, len(x), folds=ridge.FOLDS).row_fold
        return lambda: ridge.StreamingRidge(ridge.ALPHAS, cv=ridge.FOLDS).fit(x, z, folds=folds)

    widths = [64, 128] if quick else [144, 288, 576, 1152]
    yield from growth("Probe, regression", "features, of 10000 rows", widths, fit_wide)


def codebooks(quick: bool) -> Records:
    """A codebook of unit rows: ours and scikit-learn's with their defaults, faiss's with its sample and all rows."""
    from sklearn.cluster import MiniBatchKMeans

    from estimators.codes.codebook import fit_codebook

    n, d, k = (20_000, 128, 64) if quick else (200_000, 256, 256)
    rng = np.random.default_rng(0)
    scale = (np.arange(1, d + 1) ** -0.5).astype(np.float32)
    centres = rng.standard_normal((600, d), dtype=np.float32) * scale
    states = centres[rng.integers(600, size=n)] + 0.7 * scale * rng.standard_normal((n, d), dtype=np.float32)
    states /= np.linalg.norm(states, axis=1)[:, None]
    images = np.arange(n) // 100
    every = [str(i) for i in np.unique(images)]
    found: dict[str, np.ndarray] = {}

    def keep(name: str, centres: np.ndarray) -> None:
        found[name] = centres / np.linalg.norm(centres, axis=1)[:, None]

    ways: dict[str, Callable[[], Any]] = {
        "fit_codebook": lambda: keep(
            "fit_codebook", fit_codebook([states], images, n_codes=k, fit_images=every).centres
        ),
        "MiniBatchKMeans": lambda: keep(
            "MiniBatchKMeans",
            MiniBatchKMeans(k, random_state=0, n_init=1, compute_labels=False).fit(states).cluster_centers_,
        ),
    }
    if find_spec("faiss") is None:
        yield missing("Codebook", "faiss")
    else:
        import faiss

        faiss.omp_set_num_threads(1)

        def by_faiss(name: str, most: int) -> None:
            trained = faiss.Kmeans(d, k, niter=20, spherical=True, max_points_per_centroid=most, seed=0)
            trained.train(states)
            keep(name, trained.centroids)

        ways["faiss, its sample of 256 a code"] = lambda: by_faiss("faiss, its sample of 256 a code", 256)
        ways["faiss, all rows"] = lambda: by_faiss("faiss, all rows", n)
    spent = race(ways, rounds=1 if not quick else 2, warm_up=False)
    distortion = {
        name: float(1.0 - np.mean([np.max(part @ c.T, axis=1).mean() for part in np.array_split(states, 50)]))
        for name, c in found.items()
    }
    for row in rows("Codebook", f"{n} x {d}, {k} codes", spent):
        note = f"mean cosine distance {distortion[row['ours']]:.4f} against {distortion[row['peer']]:.4f}"
        yield row | {"note": note}


def certificates(quick: bool) -> Records:
    """Profile certificates, one pass over a pair of arrays, the proofs and a page, and how they grow with layers."""
    from certificates import stored_statistics

    from redundancy.certificates.profile import ProfileCertificate
    from redundancy.statistics.streaming import pair_sums

    def certify(n_layers: int) -> Callable[[], Any]:
        stored = stored_statistics(n_layers)
        return lambda: ProfileCertificate.from_statistics(stored, groups=("vision", "text"), confidence_level=0.95)

    layers = [8, 32] if quick else [8, 16, 32, 64, 128]
    yield from growth("Certificates of a profile, 500 images", "layers", layers, certify)
    n, d = (5_000, 512) if quick else (20_000, 4096)
    x = np.random.default_rng(0).standard_normal((n, d), dtype=np.float32)
    y = x + np.float32(0.1)
    ids = np.arange(n) // 100

    def norms() -> None:
        np.linalg.norm(x, axis=1)
        np.linalg.norm(y, axis=1)

    ways = {"pair_sums": lambda: pair_sums(x, y, ids), "numpy's row norms of both": norms}
    yield from rows("Distances of a pair", f"{n} x {d} float32", race(ways, rounds=5))
    from proofs_check.table import Settings, examine
    from redundancy.bounds.ledger import theorems

    def prove(n_laws: int) -> Callable[[], Any]:
        return lambda: examine(theorems(), Settings(n_laws=n_laws))

    yield from growth("Proofs, all statements", "random laws", [75, 150, 300, 600][: 2 if quick else None], prove, 1)
    for command in (["prove", "--json"], ["theorems", "--json"]):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "redundancy", *command], check=True, capture_output=True)
        yield {"job": f"skip-it {command[0]}", "seconds_alone": time.perf_counter() - start}
    with tempfile.TemporaryDirectory() as folder:
        yield from growth(
            "skip-it report, from statistics",
            "layers",
            [8, 32] if quick else [8, 32, 80],
            lambda n_layers: _report(n_layers, Path(folder)),
        )


def _report(n_layers: int, folder: Path) -> Callable[[], Any]:
    """The command on the statistics of 60 images; every call writes a page anew."""
    from redundancy.statistics.from_states import statistics_from_states

    stored, page = folder / f"{n_layers}.safetensors", folder / f"{n_layers}.html"
    states = np.random.default_rng(0).standard_normal((60, n_layers + 1, 20, 16))
    statistics_from_states(list(states), [["vision"] * 15 + ["words"] * 5] * 60).save(stored)

    def call() -> None:
        page.unlink(missing_ok=True)
        command = [sys.executable, "-m", "redundancy", "report", str(stored), "--out", str(page)]
        subprocess.run(command, check=True, capture_output=True)

    return call


def startup(quick: bool) -> Records:
    """Fresh processes: what an import and a help page cost beside what they cannot avoid; the demo, wall seconds."""

    def fresh(*arguments: str) -> Callable[[], None]:
        return lambda: subprocess.run([sys.executable, *arguments], check=True, capture_output=True) and None

    rounds = 5 if quick else 15
    libraries = "import numpy, scipy.optimize, scipy.special, scipy.stats"
    ways = {
        "import redundancy": fresh("-c", "import redundancy"),
        "import numpy and scipy's parts": fresh("-c", libraries),
    }
    yield from rows("Start-up", "import", race(ways, rounds=rounds))
    ways = {
        "skip-it --help": fresh("-m", "redundancy", "--help"),
        "import typer and rich": fresh("-c", "import typer, rich.console, rich.table"),
        "import torch": fresh("-c", "import torch"),
    }
    yield from rows("Start-up", "help page", race(ways, rounds=rounds))
    if not quick:
        environment = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")}
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "redundancy", "demo", "--out", str(Path(folder) / "report")]
            start = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True, env=environment)
            yield {"job": "skip-it demo, all threads", "seconds_alone": time.perf_counter() - start}


GROUPS = {
    "broja": broja,
    "probes": probes,
    "codebooks": codebooks,
    "certificates": certificates,
    "startup": startup,
}

if __name__ == "__main__":
    warnings.simplefilter("ignore")  # of the peers: their deprecations say nothing about speed
    for record in GROUPS[sys.argv[1]]("--quick" in sys.argv[2:]):
        print("RECORD " + json.dumps(record), flush=True)
