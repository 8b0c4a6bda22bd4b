"""
Probe stored activations
========================

Does a layer change what can be *read* from a vision token? Two layers are functionally redundant about a task if the
best readers of both agree. This example stores real states, probes each pair of layers for what the patch shows, and
looks at the warnings that say when a number is not to be trusted.
"""

# %%
# Store once, probe often
# -----------------------
# A store keeps a few tokens of each image at every depth: the same tokens everywhere. It is read without torch, and
# grows if it is harvested into again.

import tempfile
import warnings

import matplotlib.pyplot as plt
import numpy as np

from estimators import functional_redundancy
from extraction.default_model import load_model, load_processor, load_samples
from extraction.store import harvest_activations
from redundancy.figures.style import OKABE_ITO

samples = load_samples(140)
temporary = tempfile.TemporaryDirectory()
store = harvest_activations(
    load_model(), samples, temporary.name, processor=load_processor(), tokens_per_group=16, batch_size=20
)
print(f"{store.n_tokens} vision tokens of {len(store.sample_ids)} images, {store.n_features} features, {store.depths}")

# %%
# A task with known truth
# -----------------------
# Scenes of the built-in questions are rendered from a description: a grid of three by three cells, some with an object.
# So it is known what the patch behind each token shows. (With images of your own, the task may be the answer:
# ``store.labels("answer")``, or the model's own distribution of answers, ``store.answers()``.)

KINDS = ("nothing", "circle", "square", "triangle", "cross", "digit")
N_BEFORE, SIDE = 2, 12  # text tokens before the image; patches in a row
patch = store.token_index - N_BEFORE
cell = 3 * (patch // SIDE // 4) + patch % SIDE // 4
shown = {s.sample_id: {item.cell: item.kind for item in s.scene.objects} for s in samples}
task = np.array(
    [KINDS.index(shown[i].get(int(c), "nothing")) for i, c in zip(store.image_ids, cell, strict=True)], dtype=int
)
print({kind: int((task == k).sum()) for k, kind in enumerate(KINDS)})

# %%
# One pair, and a warning
# -----------------------
# Take everything as it comes: 128 features, and 140 images of which each half fits its own readers.

with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    greedy = functional_redundancy(store.layer(1), store.layer(2), task, ids=store.image_ids, n_classes=6)
print(greedy.summary())
print("warned of:", [w.category.__name__ for w in caught], "| usable:", greedy.usable)

# %%
# The tokens of an image are alike, so 140 images are 140 draws, however many tokens they have. A reader with 128
# features is too much for the 56 of a half. The warning names the remedy; the class of readers is part of the
# question, so a smaller class is an answer to a smaller question.

modest = functional_redundancy(store.layer(1), store.layer(2), task, ids=store.image_ids, n_classes=6, n_components=12)
print(modest.summary())

# %%
# Three levels stand there. [E] is an estimate about the best readers *of this class*. The bracket is about ideal
# readers, if the class contains them. [C] holds for ideal readers whatever the class, and is therefore much wider.
#
# All layers
# ----------

found = [
    functional_redundancy(store.layer(d - 1), store.layer(d), task, ids=store.image_ids, n_classes=6, n_components=12)
    for d in store.depths[1:]
]
turned = []
for d in store.depths[1:]:
    x, y = np.asarray(store.layer(d - 1)), np.asarray(store.layer(d))
    turned.append(float(np.mean(1 - (x * y).sum(1) / np.linalg.norm(x, axis=1) / np.linalg.norm(y, axis=1))))
for d, result, distance in zip(store.depths[1:], found, turned, strict=True):
    ends = f"[{result.interval.lower:.5f}, {result.interval.upper:.5f}]"
    print(
        f"layer {d:2}: gap {result.estimate:.5f} {ends}, reading error {result.error_next:.3f}, distance {distance:.4f}"
    )

fig, axes = plt.subplots(1, 2, figsize=(8.2, 3.2), layout="constrained")
layers = list(store.depths[1:])
gap = np.array([[r.interval.lower, r.estimate, r.interval.upper] for r in found]).T
axes[0].errorbar(
    layers, gap[1], yerr=abs(gap[[0, 2]] - gap[1]), fmt="o-", color=OKABE_ITO["blue"], capsize=2, label="functional gap"
)
axes[0].plot(layers, turned, "s--", color=OKABE_ITO["orange"], label="mean distance of these tokens")
axes[0].set(yscale="log", xlabel="layer", ylabel="input against output", xticks=layers)
axes[0].legend(frameon=False, fontsize=8)
axes[1].plot(layers, [r.error_next for r in found], "o-", color=OKABE_ITO["green"])
axes[1].set(xlabel="depth", ylabel="squared error of the reader", xticks=layers, ylim=(0, None))
plt.show()

# %%
# The first layers change what can be read: after layer 1 the error falls with each of them. From layer 5 on, input and
# output say the same about the patch, to this class of readers. Whether the *answer* needs those layers is another
# question, for the answer is formed in other tokens: :doc:`plot_pid_layers` looks there, and :doc:`plot_entry_exit`
# takes tokens away.
#
# ``skip-it scan STORE`` runs this for all pairs with entropies and certificates beside;
# ``examples/probe_activations.py`` is the same in thirty lines.

temporary.cleanup()
