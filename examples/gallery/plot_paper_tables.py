"""
The paper's Tables 1 and 2, and the counterexample in them
==========================================================

*Skip-It?* (`arXiv:2509.25584 <https://arxiv.org/abs/2509.25584>`_) calls a layer skippable if adjacent layers are
close and the text hardly attends to the image. Its own first table holds a case against the first half of that rule.
Here are the published numbers, what they support, and what they refute.
"""

# %%
# The numbers as printed
# ----------------------
# One record per cell: accuracy of a plan, mean cosine distance of layer l, and the share of tokens that layer l
# turns by less than 0.05.

import json
from pathlib import Path

import matplotlib.pyplot as plt
from scipy.stats import spearmanr

from redundancy.bounds.tail import sandwich_consistency
from redundancy.figures.style import OKABE_ITO

HERE = Path(__file__).parent if "__file__" in globals() else Path.cwd()
published = json.loads((HERE / "data" / "paper_tables_1_2.json").read_text())
print(published["source"])

plain = {(row["task"], row["model"]): row["accuracy"] for row in published["rows"] if row["layer"] == 0}
cells = [
    {**row, "change": round(100 * (row["accuracy"] - plain[row["task"], row["model"]]), 1)}
    for row in published["rows"]
    if row["layer"] > 0
]
entry, leave = ([c for c in cells if c["table"] == number] for number in (1, 2))
print(len(entry), "cells of late entry,", len(leave), "cells of early exit")

# %%
# Table 1: late entry of vision tokens
# ------------------------------------
# The change of accuracy is in points against the unmodified model.


def show(rows, layers):
    print(f"{'':36} {'model':14} " + " ".join(f"{'layer ' + str(layer):>16}" for layer in layers))
    for task, model in dict.fromkeys((r["task"], r["model"]) for r in rows):
        found = {r["layer"]: r for r in rows if (r["task"], r["model"]) == (task, model)}
        texts = [
            f"{found[layer]['change']:+6.1f} at D={found[layer]['mean_cosine_distance_vision']:.3f}"
            if layer in found
            else ""
            for layer in layers
        ]
        print(f"{task:36} {model:14} " + " ".join(f"{text:>16}" for text in texts))


show(entry, (4, 8, 12))

# %%
# The counterexample
# ------------------
# Look at layer 4. LLaVA NeXT has the *smallest* distances of the table there, and 94 % of its tokens or more turn by
# less than 0.05. It loses five to sixteen points. LLaVA 1.5 turns its tokens two to four times as far and loses next
# to nothing.

at_four = [c for c in entry if c["layer"] == 4]
for model in ("LLaVA NeXT 7B", "LLaVA 1.5 7B", "LLaVA 1.5 13B"):
    mine = [c for c in at_four if c["model"] == model]
    distances, shares, losses = (
        [c[name] for c in mine] for name in ("mean_cosine_distance_vision", "fraction_below_0.05_vision", "change")
    )
    print(
        f"{model:14} distance {min(distances):.3f} to {max(distances):.3f}, share below 0.05 >= {min(shares):.3f}, "
        f"accuracy {min(losses):+.1f} to {max(losses):+.1f} points"
    )

looks = {"LLaVA 1.5 7B": ("blue", "o"), "LLaVA 1.5 13B": ("green", "s"), "LLaVA NeXT 7B": ("vermillion", "^")}
fig, ax = plt.subplots(figsize=(6.2, 3.8), layout="constrained")
ax.axhline(0, color="0.6", linewidth=0.8)
for model, (colour, marker) in looks.items():
    mine = [c for c in entry if c["model"] == model]
    x, y = [c["mean_cosine_distance_vision"] for c in mine], [c["change"] for c in mine]
    ax.scatter(x, y, color=OKABE_ITO[colour], marker=marker, label=model)
    for c, place, change in zip(mine, x, y, strict=True):
        ax.annotate(str(c["layer"]), (place, change), xytext=(4, 2), textcoords="offset points", fontsize=7)
ax.axvspan(0, 0.012, color=OKABE_ITO["vermillion"], alpha=0.12, linewidth=0)
ax.text(0.0128, -20, "smallest distances of the table,\n5 to 16 points lost", fontsize=8)
ax.set(xlabel="mean distance of layer l, vision tokens", ylabel="accuracy change, points", xlim=(0, 0.078))
ax.legend(frameon=False, loc="lower left", bbox_to_anchor=(0.0, 0.0), fontsize=8)
plt.show()

# %%
# Within one model larger distances do go with larger losses, loosely. It is the threshold that does not carry over from
# one model to another: among the cells of layer 4 the order is reversed.

for model in looks:
    mine = [c for c in entry if c["model"] == model]
    rank = spearmanr([c["mean_cosine_distance_vision"] for c in mine], [c["change"] for c in mine]).statistic
    print(f"{model:14} rank correlation of distance and change {rank:+.2f}")
pooled = spearmanr([c["mean_cosine_distance_vision"] for c in at_four], [c["change"] for c in at_four]).statistic
print(f"{'layer 4, all':14} rank correlation of distance and change {pooled:+.2f}: the wrong sign")

# %%
# Table 2: early exit
# -------------------
# Table 2 prints no baseline; the one of Table 1 stands in. For LLaVA 1.5 exits at layer 20 or later cost little. For
# LLaVA NeXT on General VQA every exit has 0.647 against 0.770: either a loss of 12 points, or another baseline.

show(leave, (20, 24, 28, 32, 36))

# %%
# Do the cells fit together?
# --------------------------
# A share p of tokens above t and a mean distance D cannot be chosen freely: t p <= D <= t (1 - p) + r p, where r is the
# largest possible distance (Proposition 1, both sides). For cosine distance r is 2, and every printed cell passes. With
# r = 1, which the proposition as printed assumes, one cell is impossible, and it is at odds with its neighbours anyway.


def fits(cell, largest):
    return sandwich_consistency(
        mean_distance=cell["mean_cosine_distance_vision"],
        fraction_below=cell["fraction_below_0.05_vision"],
        t=0.05,
        rho_max=largest,
        rounding=0.0005,  # three printed digits
    )


impossible = {largest: [c for c in cells if not fits(c, largest)] for largest in (2.0, 1.0)}
for largest, found in impossible.items():
    names = [f"{c['model']}, {c['task']}, layer {c['layer']}" for c in found]
    print(f"distances up to {largest:g}: {len(found)} of {len(cells)} cells impossible", names)

late_next = [c for c in leave if c["model"] == "LLaVA NeXT 7B" and c["layer"] == 28]
for c in late_next:
    print(f"{c['task']:36} D = {c['mean_cosine_distance_vision']:.3f}, share {c['fraction_below_0.05_vision']:.3f}")
odd = max(late_next, key=lambda c: c["fraction_below_0.05_vision"])
far = (odd["mean_cosine_distance_vision"] - 0.05 * odd["fraction_below_0.05_vision"]) / (
    1 - odd["fraction_below_0.05_vision"]
)
print(f"{odd['task']}: its remaining tokens would have to turn by {far:.2f} on average, or it is a misprint")

# %%
# What follows
# ------------
# Small adjacent distances are neither sufficient nor a common scale. So a profile suggests plans, and only a measured
# skip decides: :doc:`plot_entry_exit` shows the same effect on a model that you can run, and
# :doc:`plot_risk_control` how to decide with a guarantee.
