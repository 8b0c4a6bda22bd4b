"""Measured, fitted and counted speed-up of plans on a random decoder of 12 layers: writes docs/benchmarks/skipping.md.

Run: python examples/benchmarks/skipping.py [--device cuda] [--rounds 15] [--large]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import torch
import transformers

from extraction.skip import (
    Plan,
    calibration_plans,
    fastv,
    fit_time,
    flop_speedup,
    kv_share,
    late_entry,
    measure_decode,
    measure_prefill,
    random_keep,
    skip_layers,
    vision_exit,
)
from extraction.skip.timing import device_name, median_interval
from extraction.tiny import tiny_batch, tiny_llava

PAGE = Path(__file__).parents[2] / "docs" / "benchmarks" / "skipping.md"
N_TEXT = 40


def build(large: bool, device: str) -> tuple[Any, dict[str, Any], int]:
    """A random model, a prompt of 576 vision and 40 text tokens, and its depth."""
    sizes: dict[str, Any] = {"n_layers": 12, "hidden": 512, "heads": 8, "kv_heads": 8, "intermediate": 1408}
    if large:  # the shapes of LLaVA-1.5-7B
        sizes = {"n_layers": 32, "hidden": 4096, "heads": 32, "kv_heads": 32, "intermediate": 11008}
    model = tiny_llava(**sizes, image_size=96, patch=4, vocab=4096)
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


def measure(large: bool, device: str, rounds: int) -> dict[str, Any]:
    """All figures of the page."""
    model, batch, n_layers = build(large, device)
    n_vision = int((batch["input_ids"] == model.config.image_token_id).sum())
    n_text = batch["input_ids"].shape[1] - n_vision
    shown, calibration = plans_of(n_layers), calibration_plans(n_layers)
    # The identity plan among the others: what the engine itself costs.
    timings = measure_prefill(model, batch, [Plan(), *shown.values(), *calibration], rounds=rounds, progress=False)
    overhead = [b / a for a, b in zip(timings[0].plain_decoder, timings[0].decoder, strict=True)]
    own, fitted_on = timings[1 : 1 + len(shown)], timings[1 + len(shown) :]
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
        }
        for (name, plan), timing, step in zip(shown.items(), own, decoded, strict=True)
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
        "empty_plan": median(overhead),
        "empty_plan_interval": median_interval(overhead),
        "fit_residual": model_of_time.residual,
        "rows": rows,
    }


def page(results: list[dict[str, Any]]) -> str:
    """The Markdown page."""
    lines = [
        "# Speed-up of plans: measured, fitted, counted",
        "",
        "Medians of paired, interleaved rounds, with a distribution-free interval of the median ratio. *Measured* is",
        "the decoder's prefill; *fitted* the prediction of `fit_time` from six other plans of the run; *FLOPs* the",
        "operation count; *decode* a generated token. Random weights, one prompt. Rerun:",
        "`python examples/benchmarks/skipping.py`.",
    ]
    for r in results:
        low, high = r["empty_plan_interval"]
        lines += [
            "",
            f"## {r['shape']}, {r['device']}",
            "",
            f"{r['date']}, {r['machine']}, load {r['load']:.1f}, torch {r['torch']}, transformers {r['transformers']}, "
            f"{r['rounds']} rounds.",
            f"Unmodified decoder {r['plain_decoder_ms']:.1f} ms. The empty plan takes {r['empty_plan']:.3f} "
            f"[{low:.3f}, {high:.3f}] of",
            f"that. Largest error of the fit on its own plans: {100 * r['fit_residual']:.1f} %.",
            "",
            "| plan | measured | fitted | FLOPs | measured / fitted | measured / FLOPs | KV share | decode |",
            "|---|---:|---:|---:|---:|---:|---:|---:|",
        ]
        for row in r["rows"]:
            a, b = row["measured_interval"]
            c, d = row["decode_interval"]
            lines.append(
                f"| {row['name']} | {row['measured']:.2f} [{a:.2f}, {b:.2f}] | {row['fitted']:.2f} | "
                f"{row['flops']:.2f} | "
                f"{100 * row['measured'] / row['fitted']:.0f} % | {100 * row['measured'] / row['flops']:.0f} % | "
                f"{row['kv_share']:.2f} | {row['decode']:.2f} [{c:.2f}, {d:.2f}] |"
            )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure and write the page and its numbers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--large", action="store_true", help="shapes of LLaVA-1.5-7B; for a GPU")
    options = parser.parse_args()
    stored = PAGE.with_suffix(".json")
    results = json.loads(stored.read_text()) if stored.exists() else []
    new = measure(options.large, options.device, options.rounds)
    results = [r for r in results if (r["shape"], r["device"]) != (new["shape"], new["device"])] + [new]
    stored.write_text(json.dumps(results, indent=1) + "\n")
    PAGE.write_text(page(results))
    print(page([new]))


if __name__ == "__main__":
    main()
