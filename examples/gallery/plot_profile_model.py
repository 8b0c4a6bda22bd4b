"""
Profile your own model
======================

Which layers change the vision tokens, which change the words, and when does the text look at the image? Give a
folder with a model and a list of questions about images. The same as a command is
``skip-it profile FOLDER --data questions.jsonl --out profile``.
"""

# %%
# A folder and a list
# -------------------
# Your model is a folder as ``save_pretrained`` writes it. The one that comes with the package stands in for it: an
# ordinary LLaVA, loaded by its path. Questions are mappings; an image may be a file, a PIL image or an array.

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt

from extraction import default_model, harvest
from extraction.models.loading import load_model_and_processor
from redundancy import HarvestStatistics, ProfileCertificate
from redundancy.figures.attention import attention_per_layer
from redundancy.figures.profile import depth_distances, distance_per_layer, proximity_per_layer

FOLDER = default_model.PATH  # put your own here
questions = [
    {"sample_id": q.sample_id, "image": q.image, "question": q.question, "answer": q.answer}
    for q in default_model.load_samples(84)
]
print(questions[0]["question"], "->", questions[0]["answer"])

model, processor = load_model_and_processor(str(FOLDER), dtype="float32")
print(type(model).__name__, "with", model.config.text_config.num_hidden_layers, "layers")

# %%
# Harvest
# -------
# Hooks sum up what is needed while the model runs: no hidden state is kept, so memory does not grow with the data.
# The model's own logits stay bit for bit what they are.

statistics = harvest(model, questions, processor=processor, batch_size=21, name="embedded")
print(statistics)
for layer, (vision, text) in enumerate(
    zip(statistics.mean_distance("vision"), statistics.mean_distance("text"), strict=True), start=1
):
    print(f"layer {layer:2}: vision tokens turn by {vision:.4f}, text tokens by {text:.4f}")

# %%
# The figures
# -----------
# Distances and the share of tokens that hardly move, layer by layer; then the attention that the answer pays to the
# image. Each function takes the statistics and, if you like, the axes to draw on.

fig, axes = plt.subplots(1, 3, figsize=(11.0, 3.2), layout="constrained")
distance_per_layer(statistics, ax=axes[0])
proximity_per_layer(statistics, ax=axes[1])
attention_per_layer(statistics, ax=axes[2])
plt.show()

# %%
# Read them together. From layer 3 on a layer turns a vision token by a few hundredths at most. But that is where the
# answer looks at the image most, so the tokens must *be* there, however still they stand.
#
# All pairs of depths
# -------------------
# Adjacent distances do not add up in a simple way. Entering late at depth d replaces the state after d layers by the
# embedding, so it is the first row of this matrix that matters, not the diagonal.

fig, axes = plt.subplots(1, 2, figsize=(8.0, 3.6), layout="constrained")
depth_distances(statistics, group="vision", ax=axes[0])
depth_distances(statistics, group="text", ax=axes[1])
plt.show()

entry = statistics.depth_matrix("vision")[0]
print("distance to the embedding after 1, 4 and all layers:", entry[[1, 4, -1]].round(3))

# %%
# What holds beyond these 84 images
# ---------------------------------
# Every number above is of a sample. The certificate says what is true of the population that it was drawn from, for
# all layers at once. With so few images its bounds are far above the means of the sample:

certificate = ProfileCertificate.from_statistics(statistics, groups=("vision",), confidence_level=0.95)
print(certificate.sentence())
print("mean distance at most", [round(pair.distance_upper, 2) for pair in certificate.pairs])

# %%
# If the question is only *which* layers stay below a threshold that was fixed beforehand, a test of this question says
# more than twelve separate bounds:

close = [row["layer"] for row in certificate.below(0.15) if row["below"]]
print("mean distance certified below 0.15 at layers", close)

# %%
# Statistics are a small file. Save them, certify again with another threshold next year, merge them with a second
# harvest: see :doc:`plot_shards`.

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "statistics.safetensors"
    statistics.save(path)
    loaded = HarvestStatistics.load(path)
    print(f"{path.stat().st_size / 1024:.0f} KiB, equal when loaded:", loaded.digest() == statistics.digest())
