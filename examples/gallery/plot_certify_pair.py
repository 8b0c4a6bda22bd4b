"""
Certify a layer pair from two arrays
====================================

You have the states before and after a layer, from whatever framework, and the name of the image that each row came
from. How close are the two layers on images that you have *not* seen? One call answers with an interval that holds
with a stated confidence, whatever the distribution.
"""

# %%
# Two arrays of real states
# -------------------------
# Any forward pass gives them. Here they come from the embedded model, by the ``output_hidden_states`` that every
# model of transformers has: the vision tokens of 64 images, before and after layer 4.

import math

import matplotlib.pyplot as plt
import numpy as np
import torch

from extraction.default_model import load_model, load_processor, load_samples
from extraction.study.validating import labelled_batch
from redundancy import LayerPairCertificate, SkipItError
from redundancy.figures.style import OKABE_ITO

LAYER = 4
model, samples = load_model(), load_samples(64)
batch = labelled_batch(model, load_processor(), samples)
inputs = {name: batch[name] for name in ("input_ids", "attention_mask", "pixel_values")}
with torch.inference_mode():
    states = model(**inputs, output_hidden_states=True).hidden_states

is_vision = (batch["input_ids"] == model.config.image_token_index).numpy()
x_prev, x_next = (states[depth].numpy()[is_vision] for depth in (LAYER - 1, LAYER))
ids = np.repeat(batch["sample_ids"], is_vision.sum(axis=1))
print(x_prev.shape, x_next.shape, "rows of", len(set(ids)), "images")

# %%
# One call
# --------
# Fix what you want to know *before* you look: the threshold ``t`` and the confidence. The certificate then says what
# holds, and what it says nothing about.

certificate = LayerPairCertificate.from_arrays(
    x_prev, x_next, ids, layer=LAYER, group="vision", t=0.05, confidence_level=0.95
)
print(certificate.sentence())

# %%
# The letters behind the numbers are the kind of evidence. C holds by sampling theory alone. A rests on constants
# that you declared and no data can confirm. The largest mean distance that the sample allows, and the largest share
# of tokens that move by more than 0.05, are plain attributes:

print(f"mean distance <= {certificate.distance_upper:.4f}, P(distance > 0.05) <= {certificate.tail_upper:.4f}")

# %%
# Images are the sample, tokens are not
# -------------------------------------
# The 144 tokens of an image are alike. An interval that counts each of them as an independent draw shrinks far too
# fast: it is about the images that you have, not about the next one. Below, the certified interval against the
# number of images, and the interval that a normal approximation over tokens would claim.

cosine = 1.0 - (x_prev * x_next).sum(1) / np.linalg.norm(x_prev, axis=1) / np.linalg.norm(x_next, axis=1)
sizes, certified, by_token = (4, 8, 16, 32, 64), [], []
for n in sizes:
    rows = np.isin(ids, batch["sample_ids"][:n])
    part = LayerPairCertificate.from_arrays(x_prev[rows], x_next[rows], ids[rows], layer=LAYER, group="vision")
    lower = part.find("concentration.betting_lower", "mean_distance").interval.lower
    certified.append((lower, part.distance_upper))
    spread = 1.96 * cosine[rows].std() / math.sqrt(rows.sum())
    by_token.append((cosine[rows].mean() - spread, cosine[rows].mean() + spread))

fig, ax = plt.subplots(figsize=(6.0, 3.2), layout="constrained")
for values, colour, label in ((certified, "blue", "certified over images"), (by_token, "orange", "tokens as a sample")):
    lower, upper = np.transpose(values)
    ax.fill_between(sizes, lower, upper, color=OKABE_ITO[colour], alpha=0.45, label=label)
ax.plot(sizes, [cosine[np.isin(ids, batch["sample_ids"][:n])].mean() for n in sizes], "k.-", label="sample mean")
ax.set(xscale="log", yscale="log", xlabel="images", ylabel=f"mean distance of layer {LAYER}")
ax.minorticks_off()
ax.set_xticks(sizes, [str(n) for n in sizes])
ax.legend(frameon=False)
plt.show()

# %%
# Is the narrow one wrong? Draw 16 of the 64 images again and again, and look how often the token interval holds the
# mean of all 64, which is the truth of that draw:

by_image = cosine.reshape(len(samples), -1)  # 144 tokens in each
rng = np.random.default_rng(0)
hits, repeats = 0, 1000
for _ in range(repeats):
    drawn = by_image[rng.integers(len(samples), size=16)]
    spread = 1.96 * drawn.std() / math.sqrt(drawn.size)
    hits += abs(drawn.mean() - by_image.mean()) <= spread
print(f"the token interval for 95 % holds the truth in {100 * hits / repeats:.0f} % of the draws")

# %%
# Keep it, hand it on, check it
# -----------------------------
# The certificate holds its inputs, one number per image. Whoever gets the file recomputes every bound from them;
# a file in which a digit was changed is refused.

text = certificate.to_json()
received = LayerPairCertificate.from_json(text)
print("recheck:", received.recheck().ok)

digit = text.index("0.", text.index('"values"')) + 4
forged = text[:digit] + ("1" if text[digit] != "1" else "2") + text[digit + 1 :]
try:
    LayerPairCertificate.from_json(forged)
    refused = ""
except SkipItError as error:
    refused = str(error)
print("forged:", refused)

# %%
# A small distance is no permission to skip the layer: see :doc:`plot_paper_tables` for the counterexample, and
# :doc:`plot_risk_control` for what *is* a permission.
