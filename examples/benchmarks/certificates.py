"""What certificates cost: all pairs of stored statistics, and one streaming pass over memory-mapped arrays.

One command: python examples/benchmarks/certificates.py
Prints one JSON line a measurement and writes docs/benchmarks/certificates.md. The default test run does not
collect this file. It writes up to 3.3 GB of states into a temporary folder and deletes them; --rows makes less.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from pathlib import Path

import numpy as np

from redundancy.certificates.pair import LayerPairCertificate
from redundancy.certificates.profile import ProfileCertificate
from redundancy.statistics.harvest_statistics import HarvestStatistics, StatisticsSpec, default_edges
from redundancy.statistics.streaming import pair_sums

ROWS, WIDTH, PER_IMAGE = 100_000, 4096, 100
LAYERS, IMAGES, GROUPS = (8, 16, 32, 64, 128), 500, ("vision", "words", "text")
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
PAGE = Path(__file__).resolve().parents[2] / "docs" / "benchmarks" / "certificates.md"


# ------------------------------------------------------------------ stored statistics


def stored_statistics(layers, images=IMAGES):
    """A harvest with 576 vision and 40 text tokens an image, distances that differ by layer and image."""
    rng = np.random.default_rng(layers)
    groups = ("vision", "words", "sink", "special")
    tokens = np.tile([576, 40, 1, 4], (images, 1))
    means = rng.uniform(0.01, 0.2, size=(1, 1, layers)) * rng.uniform(0.5, 1.5, size=(images, len(groups), 1))
    pairs = np.repeat(tokens[:, :, None], layers, axis=2)
    tails = np.minimum(pairs, rng.binomial(pairs, np.minimum(1.0, 3.0 * means)))[..., None]
    spec = StatisticsSpec(
        model="benchmark", model_type="benchmark", n_layers=layers, n_heads=1, groups=groups, edges=default_edges()
    )
    arrays = {
        "token_counts": tokens,
        "pair_counts": pairs,
        "distance_sums": means * pairs,
        "tail_strict": tails,
        "tail_weak": tails,
    }
    return HarvestStatistics(spec, sample_ids=[f"{i:06d}" for i in range(images)], arrays=arrays)


def profile_times(rounds):
    """Median seconds of a profile certificate by number of layers, in interleaved rounds."""
    harvests = {layers: stored_statistics(layers) for layers in LAYERS}
    times = {layers: [] for layers in LAYERS}
    for k in range(rounds + 1):
        for layers, harvest in harvests.items():
            start, cpu = time.perf_counter(), time.process_time()
            certificate = ProfileCertificate.from_statistics(harvest, groups=GROUPS)
            seconds = time.perf_counter() - start, time.process_time() - cpu
            assert len(certificate.pairs) == layers * len(GROUPS)
            if k:  # the first round warms up
                times[layers].append(seconds)
    return {
        n: {"seconds": statistics.median(t[0] for t in own), "cpu": statistics.median(t[1] for t in own)}
        for n, own in times.items()
    }


# ------------------------------------------------------------------ arrays on disk


def write_states(folder, dtype, rows):
    """Two .npy files of correlated Gaussian states."""
    rng = np.random.default_rng(0)
    paths = [folder / f"{name}_{dtype}.npy" for name in ("previous", "next")]
    files = [np.lib.format.open_memmap(p, "w+", dtype, (rows, WIDTH)) for p in paths]
    for start in range(0, rows, 1000):
        block = rng.standard_normal((min(1000, rows - start), WIDTH), dtype=np.float32)
        files[0][start : start + 1000] = block
        files[1][start : start + 1000] = block + 0.3 * rng.standard_normal(block.shape, dtype=np.float32)
    for file in files:
        file.flush()
    return paths


def speed(paths, rounds):
    """Seconds of the pass and of numpy's norms over fresh maps of the same files, round by round."""
    ids = np.arange(len(np.load(paths[0], mmap_mode="r"))) // PER_IMAGE
    candidates = {
        "norm_of_rows": lambda x, y: (np.linalg.norm(x, axis=1), np.linalg.norm(y, axis=1)),
        "norm_of_whole": lambda x, y: (np.linalg.norm(x), np.linalg.norm(y)),
        "ours": lambda x, y: pair_sums(x, y, ids),
    }
    times = {name: [] for name in candidates}
    for k in range(rounds + 1):
        for name, function in candidates.items():
            x, y = (np.load(path, mmap_mode="r") for path in paths)
            start, cpu = time.perf_counter(), time.process_time()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the norm of float16 overflows; we only time it
                function(x, y)
            seconds = time.perf_counter() - start, time.process_time() - cpu
            if k:
                times[name].append(seconds)
    result = {name: statistics.median(t[0] for t in own) for name, own in times.items()}
    result |= {f"{name}_cpu": statistics.median(t[1] for t in own) for name, own in times.items()}
    for name in ("norm_of_rows", "norm_of_whole"):
        result[f"speed_of_{name}"] = statistics.median(
            a[0] / b[0] for a, b in zip(times[name], times["ours"], strict=True)
        )
    return result


def memory(paths, task):
    """Peak of what the process holds beyond what it held before, anonymous and with mapped pages, in MB."""
    x, y = (np.load(path, mmap_mode="r") for path in paths)
    ids = np.arange(len(x)) // PER_IMAGE
    target = ids % 2 if task == "certificate with target" else None
    peak, done = {"RssAnon": 0, "VmRSS": 0}, threading.Event()

    def watch():
        while not done.is_set():
            for key, value in resident().items():
                peak[key] = max(peak[key], value)
            time.sleep(0.001)

    small = np.random.default_rng(0).normal(size=(64, 4))
    LayerPairCertificate.from_arrays(small, small[::-1], np.arange(64) // 8)  # imports and threads
    before = resident()
    watcher = threading.Thread(target=watch)
    watcher.start()
    start = time.perf_counter()
    if task == "pass":
        pair_sums(x, y, ids)
    else:
        LayerPairCertificate.from_arrays(x, y, ids, target=target)
    seconds = time.perf_counter() - start
    done.set()
    watcher.join()
    return {"seconds": seconds, **{key: (peak[key] - before[key]) / 1024 for key in before}}


def resident():
    """KiB of the process, from the system."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {key: int(lines[key].split()[0]) for key in ("RssAnon", "VmRSS")}


def in_a_new_process(*arguments):
    """Run one part of this file by itself, so that no memory of another part counts."""
    command = [sys.executable, __file__, "--part", *map(str, arguments)]
    reply = subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, **ONE_THREAD})
    return json.loads(reply.stdout)


# ------------------------------------------------------------------ the page


def slope(times):
    """Exponent of growth in layers, by least squares on logarithms."""
    x, y = np.log(list(times)), np.log([entry["cpu"] for entry in times.values()])
    return float(np.polyfit(x, y, 1)[0])


def page(profiles, arrays, rows):
    """The page of results."""
    lines = [
        "# What certificates cost",
        "",
        f"Measured {datetime.date.today().isoformat()} on a machine with {os.cpu_count()} cores "
        f"({platform.machine()}), Python {platform.python_version()}, numpy {np.__version__}, one BLAS thread; "
        f"load average {os.getloadavg()[0]:.1f} at the end: above the number of cores it stretches wall seconds, not "
        "processor seconds. Run it again: `python examples/benchmarks/certificates.py`",
        "",
        "## Stored statistics",
        "",
        f"All layer pairs and {len(GROUPS)} groups of {IMAGES} images, {4 * len(GROUPS)} sampling statements and "
        f"{7 * len(GROUPS)} derived ones a layer. Asked: below 0.2 s at 32 layers, linear growth.",
        "",
        "| layers | seconds | processor seconds |",
        "|---:|---:|---:|",
    ]
    lines += [f"| {n} | {entry['seconds']:.3f} | {entry['cpu']:.3f} |" for n, entry in profiles.items()]
    lines += [
        "",
        f"Growth: processor seconds go with layers to the power {slope(profiles):.2f}.",
        "",
        "## Memory-mapped arrays",
        "",
        f"{rows:,} tokens of width {WIDTH}, {PER_IMAGE} to an image, both layers; files in the page cache, mapped anew "
        "for every round, rounds interleaved, medians. Asked: at least 60 % of the speed of `np.linalg.norm` over the "
        "same two arrays. The like of our pass is the norm of every row (`axis=1`); the norm of the whole array as one "
        "vector is a single dot product that only waits for memory, and is shown for scale. Ours accumulates in "
        "float64 and uses a thread a core, four at most; numpy uses one.",
        "",
        "| dtype | ours | norm of rows | norm of whole | speed against rows | against whole |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {dtype} | {s['ours']:.2f} s | {s['norm_of_rows']:.2f} s | {s['norm_of_whole']:.2f} s | "
        f"{s['speed_of_norm_of_rows']:.0%} | {s['speed_of_norm_of_whole']:.0%} |"
        for dtype, (s, _) in arrays.items()
    ]
    lines += [
        "",
        "Processor seconds, which a busy machine does not stretch:",
        "",
        "| dtype | ours | norm of rows | norm of whole |",
        "|---|---:|---:|---:|",
    ]
    lines += [
        f"| {dtype} | {s['ours_cpu']:.2f} | {s['norm_of_rows_cpu']:.2f} | {s['norm_of_whole_cpu']:.2f} |"
        for dtype, (s, _) in arrays.items()
    ]
    lines += [
        "",
        "Peak memory beyond that of the process before, in a process of its own. Asked: below 256 MB. The resident "
        "set counts pages of the mapped files too; they are given back as they are read.",
        "",
        "| dtype | task | seconds | private memory | resident set |",
        "|---|---|---:|---:|---:|",
    ]
    lines += [
        f"| {dtype} | {task} | {m['seconds']:.2f} | {m['RssAnon']:.0f} MB | {m['VmRSS']:.0f} MB |"
        for dtype, (_, memories) in arrays.items()
        for task, m in memories.items()
    ]
    return "\n".join(lines) + "\n"


def main():
    """Measure, print, write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where the temporary folder goes")
    parser.add_argument("--dry", action="store_true", help="print only")
    parser.add_argument("--part", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        what, *rest = options.part
        result = speed(rest[:2], int(rest[2])) if what == "speed" else memory(rest[:2], rest[2])
        print(json.dumps(result))
        return
    profiles = profile_times(2 * options.rounds)
    print(json.dumps(profiles), flush=True)
    arrays = {}
    for dtype in ("float32", "float16"):
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            paths = write_states(Path(folder), dtype, options.rows)
            timing = in_a_new_process("speed", *paths, options.rounds)
            print(json.dumps({dtype: timing}), flush=True)
            tasks = ("pass", "certificate", "certificate with target")
            arrays[dtype] = timing, {task: in_a_new_process("memory", *paths, task) for task in tasks}
            print(json.dumps({dtype: arrays[dtype][1]}), flush=True)
    text = page(profiles, arrays, options.rows)
    if not options.dry:
        PAGE.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
