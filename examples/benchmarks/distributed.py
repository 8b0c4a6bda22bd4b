"""Workers and merges: throughput of two workers against one, merging a thousand states, growth of time and bytes.

Usage: python examples/benchmarks/distributed.py [--quick] [--rounds 3] [--states 1000] [--write docs/benchmarks]
"""

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from datetime import date
from functools import partial
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import numpy as np
import torch
import transformers

from extraction.commands.support import read_input
from extraction.harvesting.stream import harvest
from extraction.run import HarvestFolder
from extraction.run.distributed.processes import ProcessPool
from extraction.run.distributed.work import WorkerSetup
from extraction.run.job import HarvestJob
from extraction.tiny import tiny_batch, tiny_llava
from redundancy.statistics.merging import merge_files

BATCH = 8


def reader(limit: int) -> partial:
    """Model, processor and samples of the embedded model, in whatever process."""
    return partial(
        read_input, "embedded", None, limit=limit, dtype="auto", device="cpu", allow_download=False,
        trust_remote_code=False,
    )  # fmt: skip


def throughput(n_workers: int, n_samples: int) -> dict[str, float]:
    """Samples per second of a run of single-threaded workers: once all work, and with their start."""
    setup = WorkerSetup(load=reader(n_samples), options={"batch_size": BATCH, "name": "m"}, threads=1)
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as place, ProcessPool(setup, n_workers=n_workers) as pool:
        plan = pool.plan()
        with HarvestFolder(Path(place) / "run", plan.run) as folder:
            marks = []
            for result in pool.batches(0, folder):
                folder.add(*result)
                marks.append(time.perf_counter())
    warm = 4  # batches until all workers are past their first
    return {
        "samples_per_second": BATCH * (len(marks) - warm) / (marks[-1] - marks[warm - 1]),
        "seconds_with_start": marks[-1] - begin,
    }


def merging(n_states: int, rounds: int) -> dict[str, float]:
    """Seconds for files of one sample each, as `skip-it merge` reads, checks and merges them."""
    model, processor, samples, _ = reader(n_states)()
    job = HarvestJob(model, samples, processor=processor, batch_size=1, name="m")
    job.prepare()
    with tempfile.TemporaryDirectory() as place:
        files = []
        begin = time.perf_counter()
        for k in range(n_states):
            files.append(Path(place) / f"{k:05d}.safetensors")
            job.work(k)[0].save(files[-1])
        made = time.perf_counter() - begin
        seconds, processor_seconds = [], []
        for _ in range(rounds):
            begin, cpu = time.perf_counter(), time.process_time()
            merged = merge_files(files)
            seconds.append(time.perf_counter() - begin)
            processor_seconds.append(time.process_time() - cpu)
        assert merged.n_samples == n_states
        target = Path(place) / "merged"
        merged.save(target)
        return {
            "n_states": n_states,
            "bytes_per_state": sum(f.stat().st_size for f in files) / n_states,
            "merged_bytes": target.stat().st_size,
            "seconds": statistics.median(seconds),
            "best_seconds": min(seconds),
            "processor_seconds": statistics.median(processor_seconds),
            "make_seconds_per_state": made / n_states,
        }


def growth(rounds: int) -> list[dict[str, float]]:
    """Seconds per sample of a plain pass and of a harvest, and bytes per sample, in layers and tokens."""
    rows = []
    for n_layers, n_words in [(6, 40), (12, 40), (24, 40), (12, 120), (12, 360)]:
        model = tiny_llava(n_layers=n_layers)
        batches = [tiny_batch(model, BATCH, text_lengths=n_words, seed=s) for s in range(2)]
        n_tokens = int(batches[0]["input_ids"].shape[1])
        ids = iter(range(10**9))
        plain, ours = [], []
        for _ in range(rounds):
            begin = time.perf_counter()
            with torch.inference_mode():
                for batch in batches:
                    model(**batch, use_cache=False)
            plain.append((time.perf_counter() - begin) / 2 / BATCH)
            named = [{**b, "sample_ids": [f"{next(ids):08d}" for _ in range(BATCH)]} for b in batches]
            begin = time.perf_counter()
            found = harvest(model, named, self_check=False, shift=None, progress=False)
            ours.append((time.perf_counter() - begin) / 2 / BATCH)
        with tempfile.TemporaryDirectory() as place:
            found.save(Path(place) / "state")
            size = (Path(place) / "state").stat().st_size
        rows.append(
            {
                "n_layers": n_layers,
                "n_tokens": n_tokens,
                "plain_ms_per_sample": 1e3 * statistics.median(plain),
                "harvest_ms_per_sample": 1e3 * statistics.median(ours),
                "state_bytes": size,
            }
        )
    return rows


def page(record: dict) -> str:
    """The figures as Markdown, every sentence from the record."""
    one, two, ratio, merge = record["one_worker"], record["two_workers"], record["ratio"], record["merge"]
    machine = record["machine"]
    is_busy = machine["load"] > 0.5 * machine["cores"]
    verdict = "not judged" if is_busy else "met" if ratio >= 1.8 else "not met in this run"
    merge_verdict = "not judged" if is_busy else "met" if merge["seconds"] < 2 else "not met in this run"
    caution = "**The machine was busy: ratios and seconds by the clock are no evidence. Run it when idle.**"
    versions = ", ".join(f"{name} {machine[name]}" for name in ("python", "torch", "transformers", "numpy"))
    shares = ", ".join(f"{a:.2f}" for a in record["ratios"])
    lines = [
        "# Several workers, and merging what they found",
        "",
        f"Measured {record['date']} on {machine['cores']} cores ({machine['processor']}), load {machine['load']:.1f} "
        f"before the run; {versions}; one thread per worker. By `python examples/benchmarks/distributed.py`.",
        "",
        *([caution, ""] if is_busy else []),
        "| | samples per second | seconds with start |",
        "| --- | --- | --- |",
        f"| one worker | {one['samples_per_second']:.1f} | {one['seconds_with_start']:.1f} |",
        f"| two workers | {two['samples_per_second']:.1f} | {two['seconds_with_start']:.1f} |",
        "",
        f"Two workers are {ratio:.2f} times as fast as one (median of paired rounds: {shares}) over "
        f"{record['n_samples']} samples of the embedded model in batches of {BATCH}; the goal is 1.8, {verdict}. "
        "Seconds with start include the imports and the loading of the model.",
        "",
        f"Merging {merge['n_states']} statistics files of {merge['bytes_per_state'] / 1e3:.0f} kB, each read, checked "
        f"by its SHA-256 and for consistency, takes {merge['seconds']:.2f} s (median; fastest "
        f"{merge['best_seconds']:.2f} s, {merge['processor_seconds']:.2f} s of processor time); the goal for 1,000 is "
        f"2 s, {merge_verdict}. The merged file has {merge['merged_bytes'] / 1e6:.1f} MB.",
        "",
        "## Growth",
        "",
        f"A tiny random LLaVA in batches of {BATCH}, one thread; the state holds {2 * BATCH} samples. At this width "
        "the harvest's fixed cost per layer weighs most; the benchmark of the harvest has the overhead at real widths.",
        "",
        "| layers | tokens | plain, ms per sample | harvest, ms per sample | state, kB |",
        "| --- | --- | --- | --- | --- |",
        *(
            f"| {r['n_layers']} | {r['n_tokens']} | {r['plain_ms_per_sample']:.2f} | "
            f"{r['harvest_ms_per_sample']:.2f} | {r['state_bytes'] / 1e3:.0f} |"
            for r in record["growth"]
        ),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="A run of a minute, for its sake only.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--states", type=int, default=1000)
    parser.add_argument("--samples", type=int, default=320)
    parser.add_argument("--write", type=Path, default=Path("docs/benchmarks"), help="Folder of the JSON and the page.")
    arguments = parser.parse_args()
    rounds, n_states, n_samples = arguments.rounds, arguments.states, arguments.samples
    if arguments.quick:
        rounds, n_states, n_samples = 1, 50, 64
    torch.set_num_threads(1)
    load = os.getloadavg()[0]
    pairs = [(throughput(1, n_samples), throughput(2, n_samples)) for _ in range(rounds)]
    rates = [[result["samples_per_second"] for result in pair] for pair in pairs]
    record = {
        "date": date.today().isoformat(),
        "quick": arguments.quick,
        "machine": {
            "cores": len(os.sched_getaffinity(0)),
            "processor": platform.processor() or platform.machine(),
            "load": load,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "numpy": np.__version__,
        },
        "n_samples": n_samples,
        "one_worker": _median([pair[0] for pair in pairs]),
        "two_workers": _median([pair[1] for pair in pairs]),
        "ratios": [two / one for one, two in rates],
        "ratio": statistics.median(two / one for one, two in rates),
        "merge": merging(n_states, max(rounds, 3)),
        "growth": growth(max(rounds, 3)),
    }
    text = page(record)
    print(text)
    if not arguments.quick:
        arguments.write.mkdir(parents=True, exist_ok=True)
        (arguments.write / "distributed.json").write_text(json.dumps(record, indent=1) + "\n")
        (arguments.write / "distributed.md").write_text(text)


def _median(records: list[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.median(r[name] for r in records) for name in records[0]}


if __name__ == "__main__":
    main()
