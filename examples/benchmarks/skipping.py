"""Measured, fitted and counted speed-up of plans on a random decoder of 12 layers: writes docs/benchmarks/skipping.md.

Run: python examples/benchmarks/skipping.py [--quick] [--device cuda] [--rounds 15] [--large]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
import transformers
from skipping_peers import rewritten

from extraction.skip import (
    Plan,
    apply,
    calibration_plans,
    fastv,
    fit_time,
    flop_speedup,
    kv_share,
    late_entry,
    measure_decode,
    measure_memory,
    measure_prefill,
    random_keep,
    skip_layers,
    vision_exit,
)
from extraction.skip.cost.timing import device_name, median_interval
from extraction.skip.terms import FastV
from extraction.study.validate import last_logits, model_inputs
from extraction.tiny import tiny_batch, tiny_llava

PAGE = Path(__file__).parents[2] / "docs" / "benchmarks" / "skipping.md"
N_TEXT = 40


def build(large: bool, device: str, quick: bool = False) -> tuple[Any, dict[str, Any], int]:
    """A random model, a prompt of 576 vision and 40 text tokens, and its depth."""
    sizes: dict[str, Any] = {"n_layers": 12, "hidden": 512, "heads": 8, "kv_heads": 8, "intermediate": 1408}
    if large:  # the shapes of LLaVA-1.5-7B
        sizes = {"n_layers": 32, "hidden": 4096, "heads": 32, "kv_heads": 32, "intermediate": 11008}
    if quick:
        sizes = {"n_layers": 4, "hidden": 64, "heads": 4, "kv_heads": 4, "intermediate": 96}
    model = tiny_llava(**sizes, image_size=96, patch=12 if quick else 4, vocab=4096)
    batch = tiny_batch(model, 1, N_TEXT - 1)  # and the first token of the sequence
    if device != "cpu":
        model = model.to(device, torch.bfloat16)
        batch = {k: v.to(device) for k, v in batch.items()}
        batch["pixel_values"] = batch["pixel_values"].to(torch.bfloat16)
    return model, batch, sizes["n_layers"]


def plans_of(n: int) -> dict[str, Plan]:
    """What the page shows."""
    return {
        "late entry at 1/4": late_entry(n // 4),
        "late entry at 1/2": late_entry(n // 2),
        "vision exit at 1/2": vision_exit(n // 2),
        "vision exit at 3/4": vision_exit(3 * n // 4),
        "late entry at 1/4, exit at 3/4": late_entry(n // 4) + vision_exit(3 * n // 4),
        "every fourth layer skipped": skip_layers(*range(2, n, 4)),
        "FastV K = 2, R = 0.5": fastv(2, 0.5),
        "random half of the tokens": random_keep(0.5),
    }


def engine_overhead(model: Any, batch: dict[str, Any], rounds: int) -> dict[str, list[float]]:
    """Times of the unmodified model against itself, the empty plan and the engine at work with nothing left out.

    Each entry: median ratio to the unmodified model's time of the same round, and its interval. "again" is what the
    clock makes of no difference at all; the empty plan wraps nothing, so it can differ from that by chance only.
    """

    def everything(_: Any) -> None:
        """A router that leaves nothing out: every layer is wrapped, asked and run."""

    contenders: dict[str, dict[str, Any] | None] = {
        "plain": None,
        "again": None,
        "empty plan": {},
        "engine at work": {"router": everything},
    }
    inputs, times = model_inputs(model, batch), {name: [] for name in contenders}
    order = np.random.default_rng(0)
    with torch.inference_mode():
        for turn in range(rounds + 2):
            for name in order.permutation(list(contenders)):
                options = contenders[str(name)]
                with apply(model, Plan(), **(options or {})):
                    _wait(model)
                    start = time.perf_counter()
                    last_logits(model, inputs, use_cache=True)
                    _wait(model)
                    spent = time.perf_counter() - start
                if turn >= 2:
                    times[str(name)].append(spent)
    ratios = {k: [b / a for a, b in zip(times["plain"], v, strict=True)] for k, v in times.items() if k != "plain"}
    return {name: [median(r), *median_interval(r)] for name, r in ratios.items()}


def race(model: Any, batch: dict[str, Any], n_layers: int, rounds: int) -> list[dict[str, Any]]:
    """FastV and VTW in our engine and in their own way, whole prefill: times relative to ours, and the same logits."""
    vision = (batch["input_ids"][0] == model.config.image_token_id).nonzero()[:, 0]
    half, n_kept = n_layers // 2, len(vision) - int(0.5 * len(vision))
    rivals: dict[str, tuple[Plan, dict[str, dict[str, Any]]]] = {
        "FastV K = 2, R = 0.5": (
            fastv(2, 0.5),
            {
                "masked, eager attention (the repository's default)": {"masked": True, "eager": True},
                "cut out, eager attention (its in-place mode)": {"eager": True},
                "cut out, eager in one layer only": {"eager": False},
            },
        ),
        f"VTW K = {half}": (
            vision_exit(half),
            {"cut out, eager attention (the repository)": {"eager": True}, "cut out, sdpa": {"eager": False}},
        ),
    }
    inputs, order, rows = model_inputs(model, batch), np.random.default_rng(0), []
    for name, (plan, ways) in rivals.items():
        shape = {"after": 2, "n_kept": n_kept} if plan.term(FastV) else {"after": half, "n_kept": 0}

        def context(way: str, plan: Plan = plan, ways: Any = ways, shape: Any = shape) -> Any:
            return apply(model, plan) if way == "ours" else rewritten(model, vision, **shape, **ways[way])

        times: dict[str, list[float]] = {way: [] for way in ("ours", *ways)}
        logits = {}
        with torch.inference_mode():
            for turn in range(rounds + 2):
                for way in order.permutation(list(times)):
                    with context(str(way)):
                        _wait(model)
                        start = time.perf_counter()
                        logits[str(way)] = last_logits(model, inputs, use_cache=True)
                        _wait(model)
                        spent = time.perf_counter() - start
                    if turn >= 2:
                        times[str(way)].append(spent)
        for way in ways:
            ratios = [b / a for a, b in zip(times["ours"], times[way], strict=True)]
            difference = float((logits[way] - logits["ours"]).abs().max())
            ours, theirs = 1e3 * median(times["ours"]), 1e3 * median(times[way])
            rows.append({"method": name, "way": way, "ours_ms": ours, "ms": theirs, "difference": difference})
            rows[-1] |= {"ratio": median(ratios), "interval": list(median_interval(ratios))}
    return rows


def _wait(model: Any) -> None:
    if model.device.type == "cuda":
        torch.cuda.synchronize(model.device)


def ragged(model: Any, batch: dict[str, Any], n_layers: int, rounds: int) -> dict[str, Any]:
    """A prompt with an image beside one without: what padding costs in layers that no vision token enters."""
    ids, width = batch["input_ids"], batch["input_ids"].shape[1]
    words = ids[ids != model.config.image_token_id]
    bare = torch.nn.functional.pad(words, (width - len(words), 0))
    mask = torch.ones_like(ids)
    both = {
        "input_ids": torch.stack([ids[0], bare]),
        "attention_mask": torch.cat(
            [mask, torch.nn.functional.pad(torch.ones_like(words), (width - len(words), 0))[None]]
        ),
        "pixel_values": batch["pixel_values"],
    }
    plan = late_entry(n_layers // 2)
    with torch.inference_mode(), apply(model, plan) as skipping:
        last_logits(model, model_inputs(model, both), use_cache=True)
        computed, wasted = skipping.tokens_computed, skipping.tokens_wasted
    timing = measure_prefill(model, both, [plan], rounds=rounds, progress=False)[0]
    return {
        "plan": str(plan),
        "width": width,
        "computed": list(computed),
        "wasted": list(wasted),
        "measured": timing.decoder_speedup,
        "measured_interval": timing.decoder_speedup_interval(),
    }


def measure(large: bool, device: str, rounds: int, quick: bool = False) -> dict[str, Any]:
    """All figures of the page."""
    model, batch, n_layers = build(large, device, quick)
    n_vision = int((batch["input_ids"] == model.config.image_token_id).sum())
    n_text = batch["input_ids"].shape[1] - n_vision
    shown, calibration = plans_of(n_layers), calibration_plans(n_layers)
    timings = measure_prefill(model, batch, [*shown.values(), *calibration], rounds=rounds, progress=False)
    own, fitted_on = timings[: len(shown)], timings[len(shown) :]
    memory = measure_memory(model, batch, list(shown.values()), progress=False)
    model_of_time = fit_time(fitted_on, n_layers=n_layers, n_vision=n_vision, n_text=n_text)
    options = {"suppress_tokens": [3, 0, 2], "pad_token_id": 0}
    decoded = measure_decode(model, batch, list(shown.values()), n_tokens=12, rounds=7, progress=False, **options)
    rows = [
        {
            "name": name,
            "plan": str(plan),
            "measured": timing.decoder_speedup,
            "measured_interval": timing.decoder_speedup_interval(),
            "fitted": model_of_time.speedup(plan),
            "flops": flop_speedup(model.config, plan, n_vision, n_text),
            "prefill": timing.speedup,
            "kv_share": kv_share(model.config, plan, n_vision, n_text),
            "decode": step.speedup,
            "decode_interval": step.speedup_interval(),
            "cache_share": step.cache_share,
            "memory": use.to_record(),
        }
        for (name, plan), timing, step, use in zip(shown.items(), own, decoded, memory, strict=True)
    ]
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "device": device_name(model),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}",
        "load": os.getloadavg()[0],
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "shape": f"{n_layers} layers, d = {model.config.get_text_config().hidden_size}, {n_vision} + {n_text} tokens",
        "rounds": rounds,
        "plain_decoder_ms": median(timings[0].plain_decoder),
        "overhead": engine_overhead(model, batch, 3 * rounds),
        "ragged": ragged(model, batch, n_layers, rounds),
        "fit_residual": model_of_time.residual,
        "race": race(model, batch, n_layers, 2 * rounds),
        "rows": rows,
    }


def page(results: list[dict[str, Any]]) -> str:
    """The Markdown page."""
    lines = [
        "# Speed-up of plans: measured, fitted, counted",
        "",
        "Medians of paired, interleaved rounds, with a distribution-free interval of the median ratio. *Measured* is",
        "the decoder's prefill; *fitted* the prediction of `fit_time` from six other plans of the run; *FLOPs* the",
        "operation count; *decode* a generated token; *KV* the bytes of keys and values that the cache held after the",
        "prompt, as a share of the unmodified model's, and as predicted. Random weights, one prompt. Rerun:",
        "`python examples/benchmarks/skipping.py`.",
    ]
    for r in results:
        cost = {
            k: f"{100 * (a - 1):+.1f} % [{100 * (b - 1):+.1f}, {100 * (c - 1):+.1f}]"
            for k, (a, b, c) in r["overhead"].items()
        }
        mixed, bare = r["ragged"], min(r["ragged"]["computed"])
        low, high = mixed["measured_interval"]
        lines += [
            "",
            f"## {r['shape']}, {r['device']}",
            "",
            f"{r['date']}, {r['machine']}, load {r['load']:.1f}, torch {r['torch']}, transformers {r['transformers']}, "
            f"{r['rounds']} rounds.",
            f"Unmodified decoder {r['plain_decoder_ms']:.1f} ms. Largest error of the fit on its own plans: "
            f"{100 * r['fit_residual']:.1f} %.",
            "",
            f"Overhead of the whole prefill, median of {3 * r['rounds']} paired rounds: the unmodified model timed "
            f"twice differs by {cost['again']}, which is what this clock can tell; the empty plan, which wraps "
            f"nothing, takes {cost['empty plan']} more; the engine with every layer wrapped, a router asked and no "
            f"token left out {cost['engine at work']}.",
            "",
            f"Rows of different length (a prompt with the image beside one without, {mixed['width']} columns): under "
            f"`{mixed['plan']}` the layers without vision tokens compute {bare} columns, as many as the longest text, "
            f"and {min(mixed['wasted'])} tokens of padding; layers with them compute {max(mixed['wasted'])}, as the "
            f"unmodified model does. The decoder is {mixed['measured']:.2f} [{low:.2f}, {high:.2f}] times as fast.",
            "",
            "| plan | measured | fitted | FLOPs | of the fitted | of the FLOPs | KV held | KV predicted | decode |",
            "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
        ]
        for row in r["rows"]:
            a, b = row["measured_interval"]
            c, d = row["decode_interval"]
            lines.append(
                f"| {row['name']} | {row['measured']:.2f} [{a:.2f}, {b:.2f}] | {row['fitted']:.2f} | "
                f"{row['flops']:.2f} | "
                f"{100 * row['measured'] / row['fitted']:.0f} % | {100 * row['measured'] / row['flops']:.0f} % | "
                f"{row['memory']['measured_kv_share']:.4f} | {row['kv_share']:.4f} | "
                f"{row['decode']:.2f} [{c:.2f}, {d:.2f}] |"
            )
        if "race" in r:
            lines += [
                "",
                "### FastV and VTW in their own way",
                "",
                "Their patched forward passes, rewritten for the current library in `skipping_peers.py`, take turns",
                "with our engine; whole prefill, same model and prompt. *Ratio*: their time over ours, above 1 we are",
                "faster. *Logits*: the largest difference from ours at the last token.",
                "",
                "| method | their way | theirs, ms | ours, ms | ratio | logits |",
                "|---|---|---:|---:|---:|---:|",
            ]
            for row in r["race"]:
                a, b = row["interval"]
                lines.append(
                    f"| {row['method']} | {row['way']} | {row['ms']:.1f} | {row['ours_ms']:.1f} | "
                    f"{row['ratio']:.2f} [{a:.2f}, {b:.2f}] | {row['difference']:.1e} |"
                )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure and write the page and its numbers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--quick", action="store_true", help="a tiny model, to see that it runs")
    parser.add_argument("--out", type=Path, default=PAGE, help="the page; its numbers go beside it")
    parser.add_argument("--large", action="store_true", help="shapes of LLaVA-1.5-7B; for a GPU")
    options = parser.parse_args()
    stored = options.out.with_suffix(".json")
    results = json.loads(stored.read_text()) if stored.exists() else []
    new = measure(options.large, options.device, 6 if options.quick else options.rounds, options.quick)
    kept = [r for r in results if (r["shape"], r["device"]) != (new["shape"], new["device"]) and "overhead" in r]
    results = [*kept, new]
    stored.write_text(json.dumps(results, indent=1) + "\n")
    options.out.write_text(page(results))
    print(page([new]))


if __name__ == "__main__":
    main()
