"""What published counts of VTC-Bench certify and refute: the page docs/published_pruning.md from its CSV.

    python examples/study/published_pruning.py Final_Results.csv --out docs/published_pruning.md

The CSV is not part of this repository. It is ``Final_Results.csv`` of VTC-Bench (arXiv 2510.07143, Apache-2.0). It
holds, for each benchmark, pruning method and level, how many samples that the full model answers right are kept and
lost by a down-sampled image, and how many of each the method keeps.
"""

from __future__ import annotations

import argparse
import csv
from collections import Counter
from pathlib import Path

from redundancy.comparison import Comparison, RunLog, compare
from redundancy.interval import text_up

# Samples of each benchmark, as VTC-Bench names them; the CSV counts only those that the full model answers right.
N_INPUTS = {
    "chartqa": 2500,
    "gqa": 12578,
    "mmbench_cn_dev": 4329,
    "mmbench_en_dev": 4329,
    "mme": 2374,
    "mmstar": 1500,
    "ocrbench": 1000,
    "pope": 9000,
}
MODEL = "Qwen2-VL-7B-Instruct"
RISKS = (0.02, 0.05, 0.10)


def outcomes(counts: list[int], treated: list[int], source: str) -> RunLog:
    """A log with `treated[i]` right answers among the `counts[i]` samples of group i."""
    scores = [float(j < right) for total, right in zip(counts, treated, strict=True) for j in range(total)]
    n = len(scores)
    return RunLog(
        source=source,
        metric="exact",
        tasks=("",) * n,
        keys=tuple(map(str, range(n))),
        scores=tuple(scores),
        units=tuple(map(str, range(n))),
        inputs=("",) * n,
        targets=("",) * n,
    )


def cell(row: dict[str, str]) -> tuple[list[Comparison], Comparison]:
    """One row: the method against the full model at each risk, and against down-sampling."""
    kept, lost = int(row["group_b_total"]), int(row["group_a_total"])
    right = [int(row["group_b_correct"]), int(row["group_a_correct"])]
    never = N_INPUTS[row["dataset"]] - kept - lost  # wrong before, so that they have no answer to lose
    counts = [kept, lost, never]
    full, method = outcomes(counts, [kept, lost, 0], "full"), outcomes(counts, [*right, 0], row["method"])
    small = outcomes(counts[:2], [kept, 0], "down-sampling")
    return (
        [compare(full, method, risk=risk) for risk in RISKS],
        compare(small, outcomes(counts[:2], right, row["method"]), risk=0.5),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("counts", type=Path, help="Final_Results.csv of VTC-Bench")
    parser.add_argument("--out", type=Path, default=Path("docs/published_pruning.md"))
    options = parser.parse_args()
    with options.counts.open(encoding="utf-8", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["model"] == MODEL]
    found = [(row, *cell(row)) for row in rows]
    verdicts = {risk: Counter(against[i].overall.verdict for _, against, _ in found) for i, risk in enumerate(RISKS)}
    limit = 0.05 / len(found)  # Bonferroni
    worse = [(r, c) for r, _, c in found if c.overall.p_mcnemar <= limit and c.overall.n_lost > c.overall.n_won]
    better = [(r, c) for r, _, c in found if c.overall.p_mcnemar <= limit and c.overall.n_lost < c.overall.n_won]
    best = [(r, a[1].overall) for r, a, _ in found if a[1].overall.verdict == "certified"]
    lines = [
        "# What published pruning results certify",
        "",
        f"{len(best)} of {len(found)} published cells are certified to lose a right answer on at most 5 % of inputs, "
        f"and {verdicts[0.05]['refuted']} are refuted. {len(worse)} cells are worse than a smaller image with as many "
        f"tokens, {len(better)} are better.",
        "",
        f"The counts are those of VTC-Bench ([arXiv 2510.07143](https://arxiv.org/abs/2510.07143)) for {MODEL}: "
        f"{len(N_INPUTS)} benchmarks, {len({r['method'] for r in rows})} pruning methods, "
        f"{len({r['downsample_level'] for r in rows})} levels. Nobody here made them. Level L keeps 1/L² of the "
        "vision tokens. Every cell is one run, and a verdict speaks of inputs like those of its benchmark. "
        "Each cell is tested alone by the exact binomial test at 95 %, so a few in a hundred may be wrong by chance.",
        "",
        "| right answers lost on at most | certified | undecided | refuted |",
        "|---|---|---|---|",
        *(
            f"| {100 * risk:g} % of inputs | {v['certified']} | {v['undecided']} | {v['refuted']} |"
            for risk, v in verdicts.items()
        ),
        "",
        "## The certified cells at 5 %",
        "",
        "| benchmark | method | tokens kept | answers lost | upper bound |",
        "|---|---|---|---|---|",
        *(
            f"| {r['dataset']} | {r['method']} | 1/{int(r['downsample_level']) ** 2} | {100 * o.loss:.2f} % | "
            f"{text_up(100 * o.loss_upper, decimals=2)} % |"
            for r, o in best
        ),
        "",
        "## Against a smaller image with as many tokens",
        "",
        "Exact McNemar tests on the samples that the full model answers right, with Bonferroni's correction over all "
        f"{len(found)} cells: pruning is worse in {len(worse)}, better in {len(better)}, and undecided in the others.",
        "",
        "| benchmark | worse | better | undecided |",
        "|---|---|---|---|",
    ]
    for name in sorted(N_INPUTS):
        n, w, b = (sum(r["dataset"] == name for r, *_ in part) for part in (found, worse, better))
        lines.append(f"| {name} | {w} | {b} | {n - w - b} |")
    lines += [
        "",
        "Only counts are published here, so nothing can be said of single images, of questions that share one, or of "
        "what a combination of methods would lose.",
        "",
        "Made by `python examples/study/published_pruning.py Final_Results.csv`; the same test on your own logs is "
        "`skip-it compare BASE TREATED`.",
        "",
    ]
    options.out.write_text("\n".join(lines), encoding="utf-8")
    print(f"{options.out}: {verdicts}, {len(worse)} worse, {len(better)} better")


if __name__ == "__main__":
    main()
