"""How often the choice of a plan breaks its promise, on the embedded model's real outcomes; writes docs/selection.md.

Run: python examples/simulations/selection.py [--quick] [--work FOLDER]

All held-out questions are run once under each plan. They are then the population, whose risks are known: questions
are drawn from it again and again, a plan is chosen from each draw, and its risk is looked up.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from extraction import default_model
from extraction.data import as_sample
from extraction.skip import Plan, flop_speedup, late_entry, vision_exit
from extraction.skip.terms import LateEntry
from extraction.study import PlanEvaluation, choose_plan
from extraction.study.validating import run
from redundancy.report.tables import DASH

PAGE = Path(__file__).parents[2] / "docs" / "selection.md"
PLANS = [late_entry(1), *map(vision_exit, range(6, 12))]
METHODS = ("fixed_sequence", "graph", "holm", "bonferroni")
CONFIDENCE = 0.9  # violations of 10 % are seen with fewer draws than those of 5 %


def outcomes(n: int | None, work: Path) -> tuple[PlanEvaluation, ...]:
    """Every plan on the first `n` held-out questions."""
    model, processor = default_model.load_model(), default_model.load_processor()
    samples = [as_sample(s, i) for i, s in enumerate(default_model.load_samples(n))]
    return run(model, processor, samples, PLANS, work / "outcomes.jsonl", name="embedded", resume=True)


def simulate(
    losses: np.ndarray,
    costs: Sequence[float],
    *,
    risk: float,
    method: str,
    n: int,
    repeats: int,
    replace: bool,
    chains: Sequence[str] | None,
    seed: int = 0,
) -> dict[str, Any]:
    """Choices from `repeats` draws of `n` of the columns of `losses`, shape (plans, questions).

    Without replacement the others are held out, and the loss on them is given too.
    """
    rng = np.random.default_rng(seed)
    population = losses.mean(axis=1)
    true_risk = dict(zip(PLANS, population, strict=False))
    names = [str(i) for i in range(n)]
    violations, held_out, picked = 0, [], []
    for _ in range(repeats):
        drawn = rng.choice(losses.shape[1], size=n, replace=replace)
        choice = choose_plan(
            PLANS[: len(losses)],
            list(losses[:, drawn]),
            costs=costs,
            sample_ids=names,
            risk=risk,
            confidence_level=CONFIDENCE,
            method=method,
            chains=chains,
        )
        # The promise is joint: no certified plan may have a larger risk, not only the chosen one.
        violations += any(true_risk[t.plan] > risk for t in choice.tests if t.is_certified)
        picked.append(str(choice.chosen))
        if not replace:
            rest = np.setdiff1d(np.arange(losses.shape[1]), drawn)
            index = -1 if choice.chosen == Plan() else PLANS.index(choice.chosen)
            held_out.append(0.0 if index < 0 else float(losses[index, rest].mean()))
    kinds, counts = np.unique(picked, return_counts=True)
    return {
        "method": method,
        "risk": risk,
        "n": n,
        "replace": replace,
        "repeats": repeats,
        "violations": violations / repeats,
        "held_out_loss": float(np.mean(held_out)) if held_out else None,
        "held_out_above": float(np.mean(np.array(held_out) > risk)) if held_out else None,
        "chosen": {k: c / repeats for k, c in sorted(zip(kinds.tolist(), counts.tolist(), strict=True))},
    }


def table(evaluations: Sequence[PlanEvaluation], config: Any, repeats: int) -> dict[str, Any]:
    """All settings: risks asked for by users, and the hardest ones, just below the risk of a plan."""
    losses = np.array([e.losses("accuracy") for e in evaluations]).astype(int)
    costs = [1.0 / flop_speedup(config, plan, 144, 11) for plan in PLANS]
    chains = ["late entry" if plan.term(LateEntry) else "vision exit" for plan in PLANS]
    n = losses.shape[1] // 2
    risks = losses.mean(axis=1)
    hard = [float(r) - 1e-9 for r in sorted(set(risks)) if 0.005 < r < 0.2][:3]
    rows = [
        simulate(losses, costs, risk=risk, method=method, n=n, repeats=repeats, replace=replace, chains=chains, seed=i)
        for i, (risk, method, replace) in enumerate(
            (risk, method, replace) for risk in (0.02, 0.05, *hard) for method in METHODS for replace in (False, True)
        )
    ]
    pruned_costs = [min(costs) / 2 if plan.term(LateEntry) else cost for plan, cost in zip(PLANS, costs, strict=True)]
    speed = {"identity": 1.0, **{str(p): 1.0 / c for p, c in zip(PLANS, costs, strict=True)}}
    pruning = []
    for risk in (0.02, 0.05):
        # The late entries' chain with its share of the error, and without: then exits alone are a single sequence
        # (the late entry comes last in it and is never reached).
        ways = (
            ("whole family", costs, "graph", chains),
            ("late entries left out", pruned_costs, "fixed_sequence", None),
        )
        for name, c, method, own in ways:
            row = simulate(losses, c, risk=risk, method=method, n=n, repeats=repeats, replace=True, chains=own)
            mean = sum(speed[k] * share for k, share in row["chosen"].items())
            pruning.append({"family": name, "risk": risk, "mean_flop_speedup": mean, "chosen": row["chosen"]})
    return {
        "pruning": pruning,
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, {torch.get_num_threads()} threads",
        "torch": torch.__version__,
        "n_questions": losses.shape[1],
        "confidence_level": CONFIDENCE,
        "risks": {str(p): float(r) for p, r in zip(PLANS, risks, strict=True)},
        "hard": hard,
        "rows": rows,
    }


def page(r: dict[str, Any]) -> str:
    """The Markdown page."""
    worst = max(row["violations"] for row in r["rows"])
    delta = 1.0 - r["confidence_level"]
    verdict = "never more often than promised" if worst <= delta else "MORE OFTEN THAN PROMISED"
    hard = sorted(r["hard"])
    lines = [
        "# Does the guarantee of `skip-it select` hold?",
        "",
        f"**A plan above the tolerated risk was certified {verdict}: in {100 * worst:.1f} % of the draws at worst, "
        f"{100 * delta:.0f} % are allowed.**",
        "",
        f"The embedded model answered its {r['n_questions']} held-out questions once under each of "
        f"{len(r['risks'])} plans. Their outcomes are the population, in which the share of right answers that a plan "
        f"loses is known: " + ", ".join(f"`{p}` {100 * x:.2f} %" for p, x in r["risks"].items()) + ". Half as many "
        "questions are drawn, without replacement (the others are held out) or with (i.i.d., as the guarantee has "
        "it), a plan is chosen from the draw alone, and its risk is looked up. Risks of "
        + ", ".join(f"{100 * h:.2f} %" for h in hard)
        + " are just below that of a plan: nothing is harder to keep.",
        "",
        f"{r['date']}, {r['machine']}, torch {r['torch']}, {r['rows'][0]['repeats']} draws a row. Rerun: "
        "`python examples/simulations/selection.py`.",
        "",
        "| risk | method | draw | broken | held-out loss | above the risk there | most often chosen |",
        "|---:|---|---|---:|---:|---:|---|",
    ]
    for row in r["rows"]:
        best = max(row["chosen"].items(), key=lambda item: item[1])
        held = (
            f"| {DASH} | {DASH}"
            if row["held_out_loss"] is None
            else f"| {100 * row['held_out_loss']:.2f} % | {100 * row['held_out_above']:.1f} %"
        )
        lines.append(
            f"| {100 * row['risk']:.2f} % | {row['method'].replace('_', ' ')} | "
            f"{'with replacement' if row['replace'] else 'split'} | {100 * row['violations']:.1f} % {held} | "
            f"`{best[0]}` ({100 * best[1]:.0f} %) |"
        )
    gain = [b["mean_flop_speedup"] - a["mean_flop_speedup"] for a, b in zip(*[iter(r["pruning"])] * 2, strict=True)]
    lines += [
        "",
        "*Broken*: draws in which some certified plan has a larger risk than tolerated, in the whole population. The "
        "loss on the held-out half is itself a draw, so it may lie above the risk though the promise is kept.",
        "",
        "## Leaving plans out by certified distances",
        "",
        "`--prune-first 56` leaves 13 of the 24 plans of the embedded model out, each with a certified distance above "
        "0.2 as the reason: late entries from 2 on, and exits at 0 and 1. They then cost no runs, and 56 questions are "
        "no longer there to test on. What the choice can gain, if all late entries go and their share of the error is "
        "the exits':",
        "",
        "| risk | family | mean predicted speed-up of the chosen plan |",
        "|---:|---|---:|",
        *(f"| {100 * x['risk']:.0f} % | {x['family']} | {x['mean_flop_speedup']:.3f} |" for x in r["pruning"]),
        "",
        f"The gain is {max(gain):+.3f} at best, so pruning is off unless asked for: it saves runs, and hardly changes "
        "the choice."
        if max(gain) < 0.02
        else f"The gain is {max(gain):+.3f} at best; pruning is off unless asked for, since it takes questions away.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run, simulate, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few questions and draws, to see that it runs")
    parser.add_argument("--work", type=Path, help="folder of the outcome log, to go on after an interruption")
    parser.add_argument("--repeats", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--out", type=Path, default=PAGE)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as scratch:
        work = options.work or Path(scratch)
        work.mkdir(parents=True, exist_ok=True)
        evaluations = outcomes(28 if options.quick else None, work)
    result = table(evaluations, default_model.load_model().config, 20 if options.quick else options.repeats)
    # The losses themselves, so that the simulation can be repeated without the model.
    result["losses"] = {str(e.plan): "".join(map(str, e.losses("accuracy").astype(int))) for e in evaluations}
    options.out.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")
    options.out.write_text(page(result))
    print(page(result))


if __name__ == "__main__":
    main()
