"""The page of the harvest benchmark, every figure and verdict of it from the measured numbers."""

from __future__ import annotations

from typing import Any

__all__ = ["page"]

_GOAL_CPU, _GOAL_GPU, _GOAL_DUMP = 0.05, 0.02, 10.0
_DUMP = "every layer to SQLite, sample by sample (vlm-lens' way)"
_STATES = "output_hidden_states, then distances"
_MATRIX = "harvest with the depth matrix"


def page(results: list[dict[str, Any]]) -> str:
    """Markdown of all stored runs."""
    lines = [
        "# What a harvest costs",
        "",
        "Each way is timed right after a plain forward pass of the same model and batch, in interleaved rounds; ratios",
        "are medians of the paired ratios, with quartiles. *Harvest*: distances (plain, centred), histograms, norms",
        "and attention masses of the answer and of all text queries; the depth matrix is stated apart. Random weights.",
        "Rerun: `python examples/benchmarks/harvest.py`; on a GPU, with the shapes of LLaVA-1.5-7B in bf16:",
        "`python examples/benchmarks/harvest.py --device cuda --large`.",
        "",
        "The row kernel is plain torch on a CPU and Triton on a CUDA device; the variable `SKIP_IT_KERNEL`",
        "(`auto`, `plain`, `compile`, `triton`) chooses another. The Triton kernel passes the reference test of the",
        "others in Triton's interpreter on a CPU. " + _on_gpu(results),
    ]
    for result in results:
        lines += _section(result)
    return "\n".join(lines) + "\n"


def _on_gpu(results: list[dict[str, Any]]) -> str:
    if any("cpu" not in r["device"] for r in results):
        return "On a GPU it was measured as below."
    return "**It has not run on a GPU yet**, and no figure here is from one."


def _section(r: dict[str, Any]) -> list[str]:
    head = r["headline"]
    versions = ", ".join(f"{name} {version}" for name, version in r["versions"].items())
    lines = [
        "",
        f"## {r['shape']}, batch {r['batch']}, {r['device']}",
        "",
        f"{r['date']}, {r['machine']}, load {r['load']:.1f} at the start, {versions}.",
        "",
        *_goals(r),
        "",
        "| way | ms | of a plain forward [quartiles] | processor time | rounds |",
        "|---|---:|---:|---:|---:|",
        f"| plain forward | {head['plain_ms']:.1f} | 1 | 1 | {head['rounds']} |",
    ]
    for name, row in {"harvest": head, **r["ways"]}.items():
        low, high = row["quartiles"]
        lines.append(
            f"| {name} | {row['ms']:.1f} | {row['ratio']:.3f} [{low:.3f}, {high:.3f}] | {row['cpu_ratio']:.3f} | "
            f"{row['rounds']} |"
        )
    lines += ["", "`output_hidden_states` gives the last state after the final norm, so its last layer is not that of"]
    lines += ["the harvest; vlm-lens' way is emulated: a blob and a commit for every hook, on this machine's disk."]
    lines += [f"{name}: {reason}." for name, reason in r["refused"].items()]
    if r["growth"]:
        lines += [
            "",
            "### Growth",
            "",
            "| instead of that shape | plain, ms | harvest above it, ms | ratio [quartiles] |",
        ]
        lines += ["|---|---:|---:|---:|"]
        for row in r["growth"]:
            low, high = row["quartiles"]
            lines.append(
                f"| {row['name']} | {row['plain_ms']:.1f} | {row['extra_ms']:.1f} | "
                f"{row['ratio']:.3f} [{low:.3f}, {high:.3f}] |"
            )
    return lines + _memory(r) + _kernels(r)


def _goals(r: dict[str, Any]) -> list[str]:
    """The goals, and whether these numbers meet them."""
    head, dump, states = r["headline"], r["ways"][_DUMP], r["ways"][_STATES]
    over, goal = head["ratio"] - 1, _GOAL_CPU if "cpu" in r["device"] else _GOAL_GPU
    faster, most = dump["ratio"] / head["ratio"], dump["ratio"]
    rows = {row["name"]: row["bytes"] for row in r["memory"]["rows"]}
    ours, theirs = max(rows["harvest"].values()), max(rows[_STATES].values())
    floor = (
        ""
        if faster >= _GOAL_DUMP
        else f"; the floor is the forward pass itself, a harvest that costs nothing would be {most:.1f} times as fast"
    )
    on_processor = head["cpu_ratio"] - 1
    return [
        f"- Overhead of the full harvest: {100 * over:.1f} % (processor time {100 * on_processor:.1f} %); goal "
        f"{100 * goal:.0f} %, {_verdict(over <= goal)}.",
        "- `output_hidden_states` and sums after the pass, without attention masses: "
        f"{100 * (states['ratio'] - 1):.1f} %.",
        f"- Samples per second against vlm-lens' way: {faster:.1f} times; goal {_GOAL_DUMP:.0f}, "
        f"{_verdict(faster >= _GOAL_DUMP)}{floor}. Above the forward pass it takes {dump['extra_ms']:.0f} ms, "
        f"the harvest {head['extra_ms']:.0f} ms.",
        f"- Transient memory above a plain forward: {_mib(ours)}, with `output_hidden_states` {_mib(theirs)}; "
        f"goal less, {_verdict(ours < theirs)}.",
    ]


def _verdict(met: bool) -> str:
    return "met" if met else "missed"


def _mib(size: float) -> str:
    return f"{size / 2**20:.1f} MiB"


def _memory(r: dict[str, Any]) -> list[str]:
    rows = r["memory"]["rows"]
    layers = sorted(rows[0]["bytes"], key=int)
    lines = ["", "### Transient memory", ""]
    lines += [
        f"Peak of all tensors above that of a plain forward pass, batch {r['memory']['batch']}, weights not counted.",
        "",
    ]
    lines += ["| way | " + " | ".join(f"{n} layers" for n in layers) + " |", "|---|" + "---:|" * len(layers)]
    lines += [f"| {row['name']} | " + " | ".join(_mib(row["bytes"][n]) for n in layers) + " |" for row in rows]
    return lines


def _kernels(r: dict[str, Any]) -> list[str]:
    rows = r["kernels"]
    names = [name for name in rows[0] if name not in ("rows", "width", "dtype")]
    lines = ["", "### Row kernels", ""]
    lines += [
        "GB/s: bytes of both states over the time of a call; *copy* copies the same bytes (and writes as many).",
        "",
    ]
    lines += ["| rows x d | type | " + " | ".join(names) + " |", "|---|---|" + "---:|" * len(names)]
    for row in rows:
        figures = " | ".join(f"{row[name]:.1f}" for name in names)
        lines.append(f"| {row['rows']} x {row['width']} | {row['dtype']} | {figures} |")
    return lines
