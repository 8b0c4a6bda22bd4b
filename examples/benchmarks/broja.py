"""BROJA benchmark: ours against ECOS, Clarabel and dit side by side, the crossover of the methods, and growth.

One command: OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python examples/benchmarks/broja.py
Writes docs/broja_benchmark.json, docs/broja_crossover.svg and docs/broja_growth.svg.
"""

from __future__ import annotations

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import argparse
import datetime
import importlib.metadata
import json
import sys
import time
import warnings
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
import broja_peers

from redundancy.pid import broja, broja_batch, broja_from_pairs, union_lower_bound, union_upper_bound

PEER_GAP = 1e-8  # bits; what the cone solvers reach is worse, so ours is asked for no less than they give
SMALL = [(2, 2, 2), (3, 4, 4), (5, 10, 10), (10, 30, 30)]
MEDIUM = [(10, 50, 50), (4, 128, 128)]
OURS_ONLY = [(10, 100, 100), (4, 256, 256), (20, 100, 100)]
CROSSOVER = [(3, 3, 3), (3, 4, 4), (4, 5, 5), (4, 6, 6), (4, 8, 8), (5, 8, 8), (5, 10, 10), (6, 12, 12), (8, 14, 14)]
GROWTH = [(3, 3, 3), (3, 4, 4), (4, 8, 8), (5, 10, 10), (5, 20, 20), (10, 30, 30), (10, 50, 50), (10, 80, 80)]


def table(shape, seed=0):
    return np.random.default_rng(seed).dirichlet(np.ones(np.prod(shape))).reshape(shape)


def timed(call, calls=1):
    """CPU seconds a call and the value: every side runs on one thread, and CPU time does not count the neighbours."""
    start = time.process_time()
    for _ in range(calls):
        value = call()
    return (time.process_time() - start) / calls, value


def compare(shape, repeats, tolerance, dit):
    """Interleaved repeats on one table, short blocks of calls where a call is short; medians."""
    calls = 20 if np.prod(shape) <= 1000 else 1
    joint = table(shape)
    ours = broja(joint, tolerance=tolerance, throw=False)
    row = {"shape": shape, "method": ours.method, "gap": ours.gap, "iterations": ours.iterations, "peers": {}}
    peers = dict(broja_peers.PEERS)
    if dit:
        peers["dit"] = broja_peers.solve_dit
    seconds = {"ours": []} | {name: [] for name in peers}
    lower = union_lower_bound(joint, *ours.multipliers) if ours.multipliers else None
    for _ in range(repeats):
        for name in seconds:
            if name == "ours":
                spent, _ = timed(lambda: broja(joint, tolerance=tolerance, throw=False), calls)
            else:
                spent, (answer, status) = timed(lambda name=name: peers[name](joint), 1 if name == "dit" else calls)
                peer = row["peers"].setdefault(name, {"status": status})
                if name == "dit":
                    peer["error"] = max(0.0, answer - ours.unique_x.upper, ours.unique_x.lower - answer)
                elif lower is not None:
                    peer["certified_error"] = union_upper_bound(joint, answer) - lower
            seconds[name].append(spent)
    row["seconds"] = float(np.median(seconds["ours"]))
    for name, peer in row["peers"].items():
        peer["seconds"] = float(np.median(seconds[name]))
        peer["ratio"] = float(np.median(np.array(seconds[name]) / np.array(seconds["ours"])))
    print(json.dumps(row), flush=True)
    return row


def batch(n):
    joints = np.random.default_rng(0).dirichlet(np.ones(48), size=n).reshape(n, 3, 4, 4)
    ratios = []
    for part in np.array_split(joints, 5):  # interleaved: the machine may be busy
        spent, result = timed(lambda part=part: broja_batch(part, tolerance=1e-8, throw=False))
        sample = part[: len(part) // 5]
        loop, _ = timed(lambda sample=sample: [broja(one, tolerance=1e-8, throw=False) for one in sample])
        ratios.append((loop / len(sample)) / (spent / len(part)))
    spent, result = timed(lambda: broja_batch(joints, tolerance=1e-8, throw=False))
    row = {"tables": n, "seconds": spent, "ratio_to_loop": float(np.median(ratios)), "largest_gap": result.gap.max()}
    print(json.dumps(row), flush=True)
    return row


def binary(n):
    rng = np.random.default_rng(0)
    a, b = (rng.dirichlet(np.ones(2 * n)).reshape(2, n) for _ in range(2))
    b *= (a.sum(1) / b.sum(1))[:, None]
    runs = [timed(lambda: broja_from_pairs(a, b, throw=False)) for _ in range(3)]
    row = {"symbols_each": n, "seconds": float(np.median([s for s, _ in runs])), "gap": runs[0][1].gap}
    print(json.dumps(row), flush=True)
    return row


def crossover(repeats):
    rows = []
    for shape in CROSSOVER:
        joint = table(shape)
        spent = {"dense": [], "schur": []}
        for _ in range(repeats):
            for method in spent:
                spent[method].append(timed(lambda m=method, j=joint: broja(j, method=m, throw=False))[0])
        rows.append({"shape": shape} | {m: float(np.median(v)) for m, v in spent.items()})
    return rows


def growth(repeats):
    rows = []
    for shape in [*GROWTH, *OURS_ONLY]:
        joint = table(shape)
        times, passes = [], []
        for _ in range(repeats if np.prod(shape) < 60_000 else 1):
            spent, result = timed(lambda j=joint: broja(j, tolerance=1e-9, throw=False))
            times.append(spent)
            passes.append(timed(lambda j=joint: float(j.sum()))[0])
        rows.append(
            {
                "shape": shape,
                "seconds": float(np.median(times)),
                "gap": result.gap,
                "method": result.method,
                "iterations": result.iterations,
                "one_pass_seconds": float(np.median(passes)),
            }
        )
        print(json.dumps(rows[-1]), flush=True)
    return rows


def first_order(limit):
    import resource

    joint = table((100, 100, 100))
    spent, result = timed(lambda: broja(joint, tolerance=1e-3, method="first_order", time_limit=limit, throw=False))
    row = {
        "shape": (100, 100, 100),
        "seconds": spent,
        "gap": result.gap,
        "iterations": result.iterations,
        "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
    }
    print(json.dumps(row), flush=True)
    return row


def floor(shape, repeats=200):
    """What of one call is LAPACK alone, at the sizes and the number of factorisations and solves of that call."""
    from scipy.linalg.blas import dsyrk
    from scipy.linalg.lapack import dpotrf, dpotrs

    joint = table(shape)
    result = broja(joint, tolerance=PEER_GAP)
    t, x, y = shape
    n = t * (x + y) if result.method == "dense" else t * min(x, y)
    rng = np.random.default_rng(0)
    root = rng.normal(size=(t * max(x, y), n))
    matrix = np.asfortranarray(root.T @ root + n * np.eye(n))
    factor, _ = dpotrf(matrix, lower=1)
    right = rng.normal(size=n)
    spent = {
        "factorisation": timed(lambda: dpotrf(matrix, lower=1), repeats)[0],
        "solve": timed(lambda: dpotrs(factor, right, lower=1), repeats)[0],
        "array_call": timed(lambda: np.add(right, right), 20 * repeats)[0],
        "total": min(timed(lambda: broja(joint, tolerance=PEER_GAP))[0] for _ in range(repeats // 4)),
    }
    if result.method == "schur":
        spent["factorisation"] += timed(lambda: dsyrk(1.0, root, trans=1, lower=1), repeats)[0]
    row = {"shape": shape, "method": result.method, "iterations": result.iterations, "matrix": n} | spent
    row["lapack_share"] = result.iterations * (spent["factorisation"] + 2.0 * spent["solve"]) / spent["total"]
    print(json.dumps(row), flush=True)
    return row


def plot(report, folder):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    plt.rcParams["svg.hashsalt"] = "skip-it"
    figure, axes = plt.subplots(figsize=(5.0, 3.3), layout="constrained")
    cells = [np.prod(r["shape"]) for r in report["crossover"]]
    for method, colour, marker in (("dense", "#0072B2", "o"), ("schur", "#D55E00", "s")):
        axes.loglog(cells, [r[method] * 1e3 for r in report["crossover"]], color=colour, marker=marker, label=method)
    axes.set(xlabel="cells T x X x Y", ylabel="CPU time, ms", title="Dense and Schur kernels, certified gap 1e-9 bits")
    axes.legend()
    figure.savefig(folder / "broja_crossover.svg", metadata={"Date": None})
    plt.close(figure)
    figure, axes = plt.subplots(figsize=(5.0, 3.8), layout="constrained")
    rows = report["growth"]
    cells = [np.prod(r["shape"]) for r in rows]
    axes.loglog(cells, [r["seconds"] for r in rows], "o", color="#0072B2", label="broja")
    axes.loglog(cells, [r["one_pass_seconds"] for r in rows], "^", color="#009E73", label="one pass over the table")
    for name, colour, marker in (
        ("broja_2pid", "#D55E00", "s"),
        ("ecos", "#E69F00", "v"),
        ("clarabel", "#CC79A7", "D"),
    ):
        found = [(np.prod(r["shape"]), r["peers"][name]["seconds"]) for r in report["peers"] if name in r["peers"]]
        axes.loglog(*(zip(*found, strict=True) if found else ([], [])), marker, color=colour, label=name)
    axes.set(xlabel="cells T x X x Y", ylabel="CPU time, s", title="Time against size")
    figure.legend(loc="outside lower center", ncols=3)
    figure.savefig(folder / "broja_growth.svg", metadata={"Date": None})
    plt.close(figure)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs"))
    parser.add_argument("--quick", action="store_true", help="small sizes only")
    parser.add_argument("--peers-at-10x100x100", action="store_true", dest="long", help="minutes per peer")
    options = parser.parse_args()
    warnings.filterwarnings("ignore", module="dit|cvxpy")
    versions = {p: importlib.metadata.version(p) for p in ("numpy", "scipy", "ecos", "clarabel", "dit")}
    machine = f"{os.cpu_count()}-core machine, load {os.getloadavg()[0]:.1f} at the start"
    report = {"date": datetime.date.today().isoformat(), "machine": machine, "threads": 1}
    report["versions"] = versions
    report["peers"] = [compare(s, 3 if np.prod(s) > 5000 else 15, PEER_GAP, dit=np.prod(s) <= 48) for s in SMALL]
    if not options.quick:
        report["peers"] += [compare(s, 1, PEER_GAP, dit=False) for s in MEDIUM]
    if options.long:
        report["peers"].append(compare((10, 100, 100), 1, PEER_GAP, dit=False))
    report["batch"] = batch(2_000 if options.quick else 10_000)
    report["binary"] = binary(1_000_000)
    report["floor"] = [floor(shape) for shape in SMALL[1:]]
    report["crossover"] = crossover(5 if options.quick else 15)
    if not options.quick:
        report["growth"] = growth(5)
        report["first_order"] = first_order(600.0)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "broja_benchmark.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    if not options.quick:
        plot(report, options.out)


if __name__ == "__main__":
    main()
