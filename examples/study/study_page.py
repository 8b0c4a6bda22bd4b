"""The page of the study, made from its record: every figure in a sentence comes from the JSON."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from study_figures import draw_all

__all__ = ["page", "write_page"]

IMAGES = "images/theory_and_practice"
Record = Mapping[str, Any]


def write_page(record: Record, out: Path) -> None:
    """Write theory_and_practice.md and its figures into `out`."""
    draw_all(record, out / IMAGES)
    (out / "theory_and_practice.md").write_text(page(record))


def page(record: Record) -> str:
    """The page as Markdown."""
    parts = [_question(record), _design(record), _findings(record), _order(record), _published(record), _limits(record)]
    return "\n\n".join(_reflow(block) for part in parts for block in part.split("\n\n")) + "\n"


def _reflow(block: str) -> str:
    """A paragraph in lines of equal width; tables, headings, pictures and lists stay as they are."""
    if block.startswith(("|", "#", "!", "-")):
        return block
    return textwrap.fill(" ".join(block.split()), 118, break_long_words=False, break_on_hyphens=False)


def _score(record: Record, name: str) -> Mapping[str, Any]:
    return next(row for row in record["scores"] if row["predictor"] == name)


def _number(value: float | None, digits: int = 2) -> str:
    return "none" if value is None else f"{value:.{digits}f}"


def _with_interval(row: Mapping[str, Any], key: str) -> str:
    low, high = row["intervals"][key]
    return f"{_number(row[key])} ({_number(low)} to {_number(high)})"


def best(record: Record) -> Mapping[str, Any]:
    """The predictor with the largest pooled AUC; predicted cost is not one, it knows nothing of the model's states."""
    return next(row for row in record["scores"] if row["predictor"] != "predicted cost")


def verdict(record: Record) -> tuple[Mapping[str, Any], Mapping[str, Any], int, int]:
    """The present order, the cheapest other one, and in how many models the other is cheaper, and not, by a point."""
    rows = {(row["order"], row["chains"]): row for row in record["orders"]}
    present = rows["predicted cost", "two"]
    other = min((r for r in record["orders"] if r["order"] != "predicted cost"), key=lambda r: r["relative_cost"])
    better = sum(other["by_model"][name] < cost - 0.01 for name, cost in present["by_model"].items())
    worse = sum(other["by_model"][name] > cost + 0.01 for name, cost in present["by_model"].items())
    return present, other, better, worse


def _question(record: Record) -> str:
    n, top = record["n_cells"], best(record)
    adjacent, cost = _score(record, "adjacent distance"), _score(record, "predicted cost")
    paper = record["rules"][0]
    return f"""# Does theory predict practice?

The paper calls a layer skippable where adjacent layers are close and attention to the image is low. Is that so? And
which statistic of the unmodified model does tell, before anything is skipped, what skipping will cost? This page
measures it: {len(record["models"])} trained models, every late entry and every vision exit really run, {n["all"]} plans
in all, and each statistic scored by how well it ranks the accuracy that was lost.

**In short.** The distance between adjacent layers separates harmful from harmless plans with an AUC of
{_with_interval(adjacent, "auc_pooled")}, where 0.5 is a coin; the paper's rule calls {paper["called_safe"]} plans
safe, of which {paper["false_safe"]} lose more than two points. The best statistic is *{top["predictor"]}*, with an AUC
of {_with_interval(top, "auc_pooled")}. Counting layers alone (predicted cost) reaches
{_with_interval(cost, "auc_pooled")}. None of them is a guarantee: that takes a measured loss and a test."""


def _design(record: Record) -> str:
    rows = [
        "| model | decoder | vision tokens | question families | accuracy | text only | image shuffled | majority |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for m in record["models"]:
        base = m["baselines"]
        rows.append(
            f"| {m['name']} | {m['n_layers']} layers, width {m['width']} | {m['n_vision']} | "
            f"{', '.join(m['families'])} | "
            f"{100 * m['accuracy']:.1f} | {100 * base['text only']:.1f} | {100 * base['image shuffled']:.1f} | "
            f"{100 * base['majority answer']:.1f} |"
        )
    first = record["models"][0]
    dropped = "".join(
        f" *{d['name']}* was dropped: {100 * d['accuracy']:.1f} % right, "
        f"{100 * max(d['baselines'].values()):.1f} % without the image."
        for d in record["dropped"]
    )
    embedded = ", and the embedded model itself" if any(m["name"] == "default" for m in record["models"]) else ""
    if record["not_measured"]:
        dropped += f" Not measured in this run: {', '.join(record['not_measured'])}."
    margins = [100 * (m["accuracy"] - max(m["baselines"].values())) for m in record["models"]]
    n, good = record["n_cells"], record["n_harmless"]
    return f"""## Design

Models are small LLaVAs trained on the procedural questions of the embedded model (`examples/study/train_models.py`),
with other seeds, depths, widths and question families{embedded}. The *tiles* models are
`LlavaNextForConditionalGeneration`: a thumbnail and four tiles, 192 vision tokens in place of 36. The decoder of
*text-first* learned the questions on scenes in words before it saw an image. As in LLaVA, one image tower is trained
first, frozen, and shared. A model takes part if it is at least {100 * record["margin"]:.0f} points above the best that
is reached without the image; these are {min(margins):.0f} to {max(margins):.0f}
points above. (The line was 25 points until the accuracy of mixed-8 was known, and was lowered before its losses were
looked at.){dropped}

{chr(10).join(rows)}

*Text only* keeps vision tokens out of all layers, *image shuffled* gives another question's image, *majority* is the
best constant answer of each family. All in percent of {first["n_test"]} held-out questions.

Statistics come from {first["n_harvest"]} samples of each model, losses from {first["n_test"]} others, each through the
unmodified model and through the plan. There are {n["late entry"]} late entries ({good["late entry"]} lose at most two
points) and {n["vision exit"]} vision exits ({good["vision exit"]}); plans that make the model blind are controls and
are not scored. *At the layer* means layer l of a late entry at l, and the first layer that an exit leaves out. *Summed*
adds over all skipped layers, *cumulative distance* is d(h_0, h_l) for an entry and d(h_l, h_L) for an exit. *Hiding*
bars text from vision tokens in one layer, which costs one more pass per layer: KL divergence of the answer, or accuracy
lost. Upper limits are certified at 95 %, each on its own. Intervals are over {len(record["models"])} models drawn with
replacement.

![Points lost by late entry and vision exit at every layer, for each model]({IMAGES}/losses.svg)

Bars are exact 95 % intervals of the paired change; the dotted line is two points."""


def _findings(record: Record) -> str:
    table = [
        "| predictor | AUC | late entry | vision exit | Spearman, pooled | Spearman, within a model |",
        "|---|---|---|---|---|---|",
    ]
    for row in record["scores"]:
        table.append(
            f"| {row['predictor']} | {_with_interval(row, 'auc_pooled')} | {_number(row['auc late entry'])} | "
            f"{_number(row['auc vision exit'])} | {_with_interval(row, 'spearman_pooled')} | "
            f"{_with_interval(row, 'spearman_within')} |"
        )
    rules = [
        "| rule | called safe | of these wrong | worst loss, points | harmless plans missed |",
        "|---|---|---|---|---|",
    ]
    for row in record["rules"]:
        share = "" if row["false_safe_rate"] is None else f" ({100 * row['false_safe_rate']:.0f} %)"
        worst = "none" if row["worst_loss"] is None else f"{100 * row['worst_loss']:.1f}"
        rules.append(
            f"| {row['rule']} | {row['called_safe']} | {row['false_safe']}{share} | {worst} | "
            f"{row['missed']} of {row['harmless']} |"
        )
    good, alone = record["n_harmless"], ""
    if not good["late entry"]:
        alone = (
            " No late entry is harmless here, so late entries have no AUC of their own, and the pooled AUC also rewards"
            " a statistic that rates late entries worse than exits; the column of exits is free of that."
        )
    paper, var = record["rules"][0], record["rules"][1]
    entry = paper["by_kind"]["late entry"]
    worst = f", the worst {100 * paper['worst_loss']:.0f} points" if paper["worst_loss"] is not None else ""
    return f"""## Which statistic ranks the losses

![Four statistics against points lost, every plan a point]({IMAGES}/against.svg)

![AUC and Spearman of every predictor with intervals]({IMAGES}/ranking.svg)

{chr(10).join(table)}

AUC: how often a plan that loses more than two points is rated worse than one that does not.{alone} Sums within one
family grow with every skipped layer, and so does the loss; within a model and family they can hardly do worse than
counting layers, which is what the row *predicted cost* does, and all have about the same Spearman correlation there.
Pooled columns ask more: the same scale has to hold for every model and for both families.

## How often "safe" is false

![Plans that each rule calls safe, rightly and wrongly]({IMAGES}/rules.svg)

{chr(10).join(rules)}

The paper's rule (mean distance at the layer at most 0.05 and at least 90 % of tokens within 0.05) is wrong in
{paper["false_safe"]} of {paper["called_safe"]} calls{worst}; of {entry["called_safe"]} late entries that it calls safe,
{entry["false_safe"]} are not. Asking for low attention of the answer as well leaves {var["called_safe"]} calls,
{var["false_safe"]} of them wrong. "Low" is not a number in the paper: here, at most half of what the layer with most
attention has. Thresholds of the other rules are round numbers, set after a
first look at the losses of one model (lookup-4), and not fitted."""


def _order(record: Record) -> str:
    present, other, better, worse = verdict(record)
    gain = 100 * (present["relative_cost"] - other["relative_cost"])
    best_costs = sorted(record["orders"], key=lambda r: r["relative_cost"])[:6]
    rows = ["| order of the tests | chains | operations of the choice, % | guarantee failed, mean (worst model), % |"]
    rows.append("|---|---|---|---|")
    for row in dict.fromkeys([r["order"] + "|" + r["chains"] for r in [present, *best_costs]]):
        name, chains = row.split("|")
        r = next(x for x in record["orders"] if (x["order"], x["chains"]) == (name, chains))
        rows.append(
            f"| {name} | {chains} | {100 * r['relative_cost']:.1f} | "
            f"{100 * r['violations']:.1f} ({100 * r['worst_violations']:.1f}) |"
        )
    return f"""## Should the best predictor order the tests?

`skip-it select` tests plans one after the other until the first that is not certified, mildest first. A better order
certifies cheaper plans from the same samples. Here the losses of each model are taken as the population, 400 samples
are drawn with replacement 300 times, and a plan is chosen at risk 0.05 and confidence 0.95. With two chains, late
entries and exits share the error; with one, a predictor has to rank both families together.

![Operations of the chosen plan by the order of the tests]({IMAGES}/orders.svg)

{chr(10).join(rows)}

The present order, predicted cost in two chains, chooses plans of {100 * present["relative_cost"]:.1f} % of the
operations; the cheapest other one, *{other["order"]}* in {other["chains"]}
chain{"" if other["chains"] == "one" else "s"},
of {100 * other["relative_cost"]:.1f} %: {gain:.1f} points of difference. It is cheaper by more than a
point in {better} of {len(present["by_model"])} models and more expensive by more than a point in {worse}. **Predicted
cost in two chains stays the default order** of `extraction.study.choose`: it needs no statistics and no samples. The
other order takes a second set of samples, which the comparison does not charge it for, and this is a gain on few small
models. Within one family, a sum over skipped layers grows with their number and so gives the very order of cost.

**Why other samples.** A fixed-sequence test is valid if the order is settled before the losses are looked at.
Statistics
of the same images are functions of the same draw as the losses: an order made from them can put first the plans that
happen to look good in this sample, and then the level no longer holds. Predicted cost depends on no sample.
Statistics of
a separate split are independent of the losses, and the test holds given that split. Here they always come from separate
samples."""


def _published(record: Record) -> str:
    p = record["published"]["late_entry"]
    e = record["published"]["early_exit"]
    rows = ["| task | model | layer | mean distance | within 0.05 | points lost |", "|---|---|---|---|---|---|"]
    rows += [
        f"| {c['task']} | {c['model']} | {c['layer']} | {c['distance']:.3f} | {c['share']:.3f} | "
        f"{100 * c['loss']:.1f} |"
        for c in p["wrong_cells"]
    ]
    models = sorted({c["model"] for c in p["wrong_cells"]})
    falls = p["spearman_at_layer_4"] < 0
    sign = f"the smaller the distance, the {'larger' if falls else 'smaller'} the loss"
    losses = [100 * c["loss"] for c in p["wrong_cells"]]
    return f"""## The same question of the paper's own tables

Table 1 of the paper prints distances and accuracies of {len(p["cells"])} late entries. Its rule calls
{p["called_safe"]}
of them safe. {p["false_safe"]} of these lose more than two points, between {min(losses):.1f} and {max(losses):.1f},
all of them cells of {" and ".join(models)}:

{chr(10).join(rows)}

Over all cells the distance at the layer has an AUC of {_number(p["auc_pooled"])} and a Spearman correlation of
{_number(p["spearman_pooled"])} with the loss ({_number(p["spearman_within"])} within one model and task, where each has
three layers, and both distance and loss tend to grow from layer 4 on). At layer 4 alone, over models and tasks, the
correlation is {_number(p["spearman_at_layer_4"])}: {sign}.
Table 2 (early exit, {e["n_cells"]} cells) prints no baseline of its own, and its accuracies are not those of Table
1, so
only ranks within a model and task count: {_number(e["spearman_within"])}. VAR is a figure in the paper, not a table, so
it cannot be scored. Numbers as printed: {record["published"]["source"]}."""


def _limits(record: Record) -> str:
    machine, versions = record["machine"], record["versions"]
    listed = ", ".join(f"{k} {v}" for k, v in versions.items())
    return f"""## Limits

- Small models, one family of tasks, one shared image tower: nothing here says that an AUC carries over to a model of
  billions of parameters. Large decoders are pretrained on text; *text-first* only hints at that.
- Losses have sampling errors of one to two points, so a plan near the two-point line may be on the wrong side.
- Plans of one model are not independent; that is why intervals draw whole models. There are only
  {len(record["models"])}.
- Hiding is itself a run of the model on samples. It is a cheaper measurement more than a prediction from states.
- A score over many predictors favours the winner; differences smaller than the intervals mean nothing.

Made by `examples/study/run_study.py` on {record["created"][:10]} ({machine["cores"]} cores, {machine["threads"]}
thread,
{machine["platform"]}; {listed}). All numbers: [theory_and_practice.json](theory_and_practice.json)."""
