"""A harvest beside a plain forward pass and other ways to its numbers: writes docs/benchmarks/harvest.md.

Run: python examples/benchmarks/harvest.py [--quick] [--threads 2]
On a GPU, shapes of LLaVA-1.5-7B with random bf16 weights: python examples/benchmarks/harvest.py --device cuda --large
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import torch
from harvest_page import page
from harvest_ways import Ways, peers
from torch.profiler import ProfilerActivity, profile

from extraction.harvesting.kernels import kernels_for
from extraction.harvesting.options import HarvestOptions
from extraction.harvesting.stream import make_harvester
from extraction.models.adapters import adapt
from extraction.skip.cost.timing import device_name
from extraction.tiny import tiny_batch, tiny_llava

PAGE = Path(__file__).parents[2] / "docs" / "benchmarks" / "harvest.md"
N_TEXT = 40
SMALL = {"n_layers": 12, "hidden": 512, "heads": 8, "kv_heads": 8, "intermediate": 1408}
LARGE = {"n_layers": 32, "hidden": 4096, "heads": 32, "kv_heads": 32, "intermediate": 11008}
HARVESTS = {
    "harvest": {"matrix": False},
    "harvest, no attention masses": {"matrix": False, "attention": False},
    "harvest with the depth matrix": {"matrix": True},
}


class Subject:
    """A random model, one batch, and everything that is timed on them."""

    def __init__(self, device: str, batch_size: int = 1, side: int = 24, **shape: Any) -> None:
        shape = {**SMALL, **shape}
        self.device = torch.device(device)
        pixels: dict[str, Any] = {"image_size": 4 * side, "patch": 4, "vocab": 4096}
        if device == "cpu":
            self.model = tiny_llava(**shape, **pixels)
        else:  # made on the device: 7B weights are drawn there in seconds
            small = tiny_llava(**{**shape, "n_layers": 1}, **pixels)
            small.config.text_config.num_hidden_layers = shape["n_layers"]
            with self.device:
                torch.set_default_dtype(torch.bfloat16)
                self.model = type(small)(small.config).eval()
                torch.set_default_dtype(torch.float32)
        batch = tiny_batch(self.model, batch_size, N_TEXT - 1)  # and the first token of the sequence
        self.batch = {**batch, "sample_ids": [str(i) for i in range(batch_size)]}
        self.shape = f"{shape['n_layers']} layers, d = {shape['hidden']}, {side**2} + {N_TEXT} tokens"
        adapter = adapt(self.model)
        self.harvesters = {
            name: make_harvester(self.model, adapter, self.batch, HarvestOptions(self_check=False, **options))
            for name, options in HARVESTS.items()
        }
        first = next(iter(self.harvesters.values()))
        self.ways = Ways(self.model, first.model_inputs(self.batch, full_logits=False))

    def harvests(self) -> dict[str, Callable[[], Any]]:
        """The harvest in its kinds."""
        return {name: self._step(harvester) for name, harvester in self.harvesters.items()}

    def _step(self, harvester: Any) -> Callable[[], Any]:
        return lambda: harvester.step(self.batch, full_logits=False)

    def seconds(self, way: Callable[[], Any]) -> tuple[float, float]:
        """Wall and processor seconds of one call; waits for the device."""
        self._wait()
        wall, cpu = time.perf_counter(), time.process_time()
        way()
        self._wait()
        return time.perf_counter() - wall, time.process_time() - cpu

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def paired(self, ways: dict[str, Callable[[], Any]], rounds: int) -> dict[str, dict[str, Any]]:
        """Every way right after a plain forward pass, in interleaved rounds."""
        return {name: _summary(found) for name, found in self.pairs(ways, rounds).items()}

    def pairs(self, ways: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[Any]]:
        """Seconds of a plain forward pass and of the way, by way and round."""
        for way in (self.ways.plain, *ways.values()):
            way()
        pairs: dict[str, list[Any]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name, way in ways.items():
                pairs[name].append((self.seconds(self.ways.plain), self.seconds(way)))
        return pairs

    def peak_bytes(self, way: Callable[[], Any]) -> int:
        """Highest number of bytes of tensors at once above the start."""
        way()
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
            before = torch.cuda.memory_allocated(self.device)
            way()
            self._wait()
            return int(torch.cuda.max_memory_allocated(self.device) - before)
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True, acc_events=True) as seen:
            way()
        held = highest = 0
        events = [e for e in seen.profiler.kineto_results.events() if e.name() == "[memory]"]
        for event in sorted(events, key=lambda e: e.start_ns()):
            held += event.nbytes()
            highest = max(highest, held)
        return highest


def _summary(pairs: list[Any]) -> dict[str, Any]:
    """Median time, median paired ratio and its quartiles; the processor's ratio beside it."""
    ratios = sorted(way[0] / plain[0] for plain, way in pairs)
    return {
        "ms": 1e3 * median(way[0] for _, way in pairs),
        "plain_ms": 1e3 * median(plain[0] for plain, _ in pairs),
        "ratio": median(ratios),
        "quartiles": [ratios[len(ratios) // 4], ratios[-1 - len(ratios) // 4]],
        "cpu_ratio": median(way[1] / plain[1] for plain, way in pairs),
        "extra_ms": 1e3 * median(way[0] - plain[0] for plain, way in pairs),
        "rounds": len(pairs),
    }


def headline(device: str, batch_size: int, shape: dict[str, Any], rounds: int) -> dict[str, Any]:
    """The full harvest, rounds of three models built anew: where the weights lie in memory moves the ratio."""
    pairs = []
    for _ in range(3):
        subject = Subject(device, batch_size, **shape)
        pairs += subject.pairs({"harvest": subject.harvests()["harvest"]}, rounds)["harvest"]
    return _summary(pairs)


def growth(device: str, rounds: int, quick: bool) -> list[dict[str, Any]]:
    """The harvest in models of other shapes."""
    shapes: dict[str, dict[str, Any]] = {
        "6 layers": {"n_layers": 6},
        "24 layers": {"n_layers": 24},
        "144 image tokens": {"side": 12},
        "1296 image tokens": {"side": 36},
        "d = 256": {"hidden": 256, "intermediate": 704, "heads": 4, "kv_heads": 4},
        "d = 1024": {"hidden": 1024, "intermediate": 2816, "heads": 16, "kv_heads": 16},
    }
    rows = []
    for name, shape in list(shapes.items())[: 2 if quick else None]:
        subject = Subject(device, **shape)
        harvest = {"harvest": subject.harvests()["harvest"]}
        rows.append({"name": name, **subject.paired(harvest, rounds)["harvest"]})
    return rows


def memory(device: str, batch_size: int, layers: tuple[int, ...], shape: dict[str, Any]) -> list[dict[str, Any]]:
    """Peak bytes of tensors above those of a plain forward pass, by number of layers."""
    table: dict[str, dict[str, int]] = {}
    for n in layers:
        subject = Subject(device, batch_size, **{**shape, "n_layers": n})
        plain = subject.peak_bytes(subject.ways.plain)
        table.setdefault("plain forward (its own peak)", {})[str(n)] = plain
        for name, way in (subject.harvests() | subject.ways.named()).items():
            if "SQLite" not in name and "read back" not in name:
                table.setdefault(name, {})[str(n)] = subject.peak_bytes(way) - plain
    return [{"name": name, "bytes": found} for name, found in table.items()]


def kernels(device: str, names: list[str]) -> list[dict[str, Any]]:
    """GB/s of the row kernels: bytes of both states over time, beside a copy of the same bytes."""
    on = torch.device(device)
    rows = []
    sizes = [(4096, 512, torch.float32), (2048, 4096, torch.float32), (2048, 4096, torch.bfloat16)]
    sizes += [(4928, 4096, torch.bfloat16)] if on.type == "cuda" else []
    for n, width, dtype in sizes:
        x, y = (torch.randn(n, width, device=on).to(dtype) for _ in "xy")
        to = torch.empty_like(x)
        groups = torch.arange(n, device=on) % 5
        means = tuple(torch.randn(5, width, device=on) for _ in "xy")
        size = 2 * x.nbytes

        def copy(x: Any = x, y: Any = y, to: Any = to) -> None:
            to.copy_(x)
            to.copy_(y)

        row: dict[str, Any] = {"rows": n, "width": width, "dtype": str(dtype).removeprefix("torch.")}
        row["copy"] = size / _best(copy, on) / 1e9
        for name in names:
            values = kernels_for(on, name).row_values
            with torch.inference_mode():
                row[name] = size / _best(lambda f=values, x=x, y=y: f(x, y), on) / 1e9
                row[f"{name}, centred too"] = (
                    size / _best(lambda f=values, x=x, y=y, g=groups, m=means: f(x, y, g, m), on) / 1e9
                )
        rows.append(row)
    return rows


def _best(call: Callable[[], Any], device: torch.device, repeats: int = 15) -> float:
    """Lower quartile of the seconds of a call, after one that may compile."""
    times = []
    for _ in range(repeats + 1):
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        start = time.perf_counter()
        call()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - start)
    return sorted(times[1:])[repeats // 4]


def measure(device: str, large: bool, quick: bool) -> dict[str, Any]:
    """All figures of the page."""
    shape = LARGE if large else {}
    batch_size = 8 if large else 1
    first = headline(device, batch_size, shape, 2 if quick else 12)
    subject = Subject(device, batch_size, **shape)
    harvests = subject.harvests()
    result: dict[str, Any] = {
        "date": datetime.now(UTC).date().isoformat(),
        "device": device_name(subject.model),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}",
        "load": os.getloadavg()[0],
        "versions": {name: importlib.metadata.version(name) for name in ("torch", "transformers")},
        "shape": subject.shape,
        "batch": len(subject.batch["sample_ids"]),
        "headline": first,
    }
    found, result["refused"] = peers(subject.ways)
    ways = {k: v for k, v in harvests.items() if k != "harvest"} | subject.ways.named() | found
    result["ways"] = subject.paired(ways, 2 if quick else 7)
    del subject, harvests, ways, found
    result["growth"] = [] if large else growth(device, 2 if quick else 5, quick)
    layers, size = ((8, 32), 8) if large else ((6, 24), 2)
    result["memory"] = {"batch": size, "rows": memory(device, size, layers, shape)}
    names = ["plain"] + ([] if quick else ["compile"]) + (["triton"] if device != "cpu" else [])
    result["kernels"] = kernels(device, names)
    return result


def main() -> None:
    """Measure and write the page and its numbers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--large", action="store_true", help="shapes of LLaVA-1.5-7B; for a GPU")
    parser.add_argument("--quick", action="store_true", help="few rounds, no torch.compile, nothing written")
    parser.add_argument("--threads", type=int, help="threads of torch on the CPU")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    new = measure(options.device, options.large, options.quick)
    if not options.quick:
        stored = PAGE.with_suffix(".json")
        results = json.loads(stored.read_text()) if stored.exists() else []
        results = [r for r in results if (r["shape"], r["device"]) != (new["shape"], new["device"])] + [new]
        stored.write_text(json.dumps(results, indent=1) + "\n")
        PAGE.write_text(page(results))
    print(page([new]))


if __name__ == "__main__":
    main()
