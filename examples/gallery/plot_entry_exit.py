"""
Late entry against early exit
=============================

Vision tokens can enter the decoder late (absent from the first layers) or leave it early (absent from the last).
Which of the two can this model bear, and would its distances have told? Here both are *done*, at seven depths, and the
answers are counted.
"""

# %%
# Plans are small values
# ----------------------
# ``late_entry(4)`` keeps vision tokens out of the first four layers, ``vision_exit(9)`` keeps them in the first nine
# only; ``+`` joins plans. They name what to compute and hold no weights.

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import spearmanr

from extraction import harvest
from extraction.default_model import load_model, load_processor, load_samples
from extraction.skip import flop_speedup, late_entry, vision_exit
from extraction.study import sweep
from extraction.study.validating import labelled_batch, prompt_counts
from redundancy.figures.style import OKABE_ITO

model, processor, samples = load_model(), load_processor(), load_samples(49)
depths = (1, 2, 3, 4, 6, 9, 11)
entries, exits = [late_entry(d) for d in depths], [vision_exit(d) for d in depths]
print(late_entry(4), "|", vision_exit(9), "|", late_entry(1) + vision_exit(9))

# %%
# Skip for real
# -------------
# ``sweep`` runs each question through the unmodified model and through each plan. Absent tokens are not masked: they
# are not computed, and the caches of a layer hold only what it has seen.

batches = [labelled_batch(model, processor, samples[i : i + 25]) for i in range(0, len(samples), 25)]
results = dict(zip(entries + exits, sweep(model, batches, entries + exits), strict=True))
plain = results[entries[0]].plain_accuracy
print(f"unmodified model: {plain:.3f} right of {len(samples)} questions")
for d in depths:
    entry, leave = results[late_entry(d)], results[vision_exit(d)]
    print(f"depth {d}: late entry {entry.accuracy:.3f}, exit {leave.accuracy:.3f}")

# %%
# The figure
# ----------
# Bars are exact 95 % intervals. The two curves are mirror images in cost, not in effect: a plan that leaves out four
# layers at the front loses half of the answers, one that leaves out three at the back hardly any.

fig, ax = plt.subplots(figsize=(6.4, 3.4), layout="constrained")
ax.axhline(plain, color="0.5", linewidth=1, label="unmodified")
for plans, colour, marker, label in ((entries, "green", "o", "late entry"), (exits, "purple", "s", "vision exit")):
    accuracy = [results[p].accuracy for p in plans]
    ends = np.array([results[p].accuracy_interval() for p in plans]).T
    errors = [accuracy - ends[0], ends[1] - accuracy]
    ax.errorbar(depths, accuracy, yerr=errors, color=OKABE_ITO[colour], marker=marker, capsize=2, label=label)
ax.set(xlabel="depth of entry or exit (layers)", ylabel="accuracy", ylim=(0, 1.03), xticks=list(depths))
ax.legend(frameon=False, loc="center right")
plt.show()

# %%
# Would the distances have told?
# ------------------------------
# The rule "layers that hardly turn a token can be left out" looks at the adjacent distance of layer l. Late entry at
# l leaves out *all* layers up to l, so what it swaps is the embedding for the state after l layers.

statistics = harvest(model, samples, processor=processor, batch_size=25)
rows = np.array(depths)
adjacent = statistics.mean_distance("vision")[rows - 1]
from_start = statistics.depth_matrix("vision")[0, rows]
lost = np.array([plain - results[p].accuracy for p in entries])
print("late entry   loss  adjacent  from the embedding")
for d, a, f, loss in zip(depths, adjacent, from_start, lost, strict=True):
    print(f"{d:10} {loss:6.3f} {a:9.4f} {f:10.3f}")
order_adjacent = spearmanr(adjacent, lost).statistic
order_from_start = spearmanr(from_start, lost).statistic
print(f"rank correlation with the loss: adjacent {order_adjacent:+.2f}, from the embedding {order_from_start:+.2f}")

fig, axes = plt.subplots(1, 2, figsize=(7.6, 3.1), sharey=True, layout="constrained")
for ax, x, label in ((axes[0], adjacent, "adjacent distance of layer l"), (axes[1], from_start, "distance to depth 0")):
    ax.scatter(x, lost, color=OKABE_ITO["green"])
    for d, place, loss in zip(depths, x, lost, strict=True):
        ax.annotate(str(d), (place, loss), xytext=(4, 3), textcoords="offset points", fontsize=8)
    ax.set(xlabel=label)
axes[0].set(ylabel="accuracy lost by late entry at l", xscale="log")
plt.show()

# %%
# The adjacent distance gets the order backwards. The distance to the embedding gets it about right, and still sets no
# threshold: how much accuracy a given angle costs depends on what the later layers do with it.
#
# What it saves
# -------------
# Operation counts of the decoder, from the lengths of these prompts. Times depend on machine and batch: measure them
# with ``extraction.skip.measure_prefill``.

n_vision, n_text = prompt_counts(model, processor, samples)
for plan in (late_entry(1), vision_exit(9), vision_exit(6)):
    saved = flop_speedup(model.config, plan, n_vision, n_text)
    print(f"{plan!s:15} {saved:.2f} times fewer operations, accuracy {results[plan].accuracy_change:+.3f}")

# %%
# Choosing a plan from curves like these is a choice made by looking. To get a guarantee with it, see
# :doc:`plot_risk_control`.
