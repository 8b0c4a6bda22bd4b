"""Write the measured tables of docs/broja.md from docs/broja_benchmark.json."""

from __future__ import annotations

import json
import sys
from pathlib import Path

START, END = "<!-- measured: start -->", "<!-- measured: end -->"


def seconds(value):
    return f"{float(f'{value * 1e3:.2g}'):g} ms" if value < 1.0 else f"{value:.2g} s"


def render(report):
    versions = ", ".join(f"{name} {version}" for name, version in report["versions"].items())
    lines = [
        f"{report['date']}, {report['machine']}, one thread; {versions}.",
        "CPU seconds, medians of interleaved repeats.",
        "Rerun: `python examples/benchmarks/broja.py`, then `python examples/benchmarks/broja_tables.py`.",
        "",
        "Peer time divided by ours, on the same random table; ours was asked for a certified gap of 1e-8 bits, and in",
        "brackets stands the certified error of what the peer returned. BROJA_2PID is dit's port (the package is not",
        "on the index); ECOS and Clarabel solve a leaner statement of the same cone program, built without Python",
        "loops, which is harder to beat.",
        "",
        "| T x X x Y | ours | our certified gap | BROJA_2PID | ECOS, lean | Clarabel, lean | dit default |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in report["peers"]:
        cells = ["x".join(map(str, row["shape"])), seconds(row["seconds"]), f"{row['gap']:.1e}"]
        for name in ("broja_2pid", "ecos", "clarabel", "dit"):
            peer = row["peers"].get(name)
            error = None if peer is None else peer.get("certified_error", peer.get("error"))
            note = "" if error is None else f" ({error:.0e})"
            cells.append("" if peer is None else f"{peer['ratio']:.3g}x{note}")
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", "| T x X x Y | method | time | steps | certified gap, bits | one pass over the table |"]
    lines.append("| --- | --- | --- | --- | --- | --- |")
    for row in [*report["growth"], report["first_order"]]:
        one = seconds(row["one_pass_seconds"]) if "one_pass_seconds" in row else ""
        shape = "x".join(map(str, row["shape"]))
        method = row.get("method", "first_order")
        lines.append(
            f"| {shape} | {method} | {seconds(row['seconds'])} | {row['iterations']} | {row['gap']:.1e} | {one} |"
        )
    lines += ["", "| T x X x Y | matrix | steps | one call | LAPACK alone | one numpy call |", "| --- " * 6 + "|"]
    for row in report["floor"]:
        shape = "x".join(map(str, row["shape"]))
        lines.append(
            f"| {shape} | {row['method']}, {row['matrix']} | {row['iterations']} | {seconds(row['total'])} | "
            f"{100 * row['lapack_share']:.0f} % | {row['array_call'] * 1e6:.2g} us |"
        )
    batch, binary, first = report["batch"], report["binary"], report["first_order"]
    lines += [
        "",
        f"- {batch['tables']:,} tables of 3x4x4 in one batch: {seconds(batch['seconds'])}, "
        f"{batch['ratio_to_loop']:.1f} times the loop, largest gap {batch['largest_gap']:.1e}.",
        f"- Two targets, {binary['symbols_each']:,} symbols in each source: {seconds(binary['seconds'])}, gap "
        f"{binary['gap']:.1e}.",
        f"- The first-order run on 100x100x100 peaked at {first['peak_gb']:.2f} GB, the whole process included.",
    ]
    return "\n".join(lines)


def main(folder):
    report = json.loads((folder / "broja_benchmark.json").read_text(encoding="utf-8"))
    page = folder / "broja.md"
    head, rest = page.read_text(encoding="utf-8").split(START)
    page.write_text(head + START + "\n" + render(report) + "\n" + END + rest.split(END)[1], encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs"))
