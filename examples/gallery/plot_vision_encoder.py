"""
Layers of a vision encoder
==========================

Before the language model comes an image tower, and its layers can be profiled in the same way. Here it is done with
towers of CLIP and SigLIP. Their weights are **random and tiny**: the numbers show how it works and say nothing of CLIP
or of SigLIP. With a checkpoint only the two lines that make the models change.
"""

# %%
# Two towers
# ----------
# With weights: ``CLIPVisionModel.from_pretrained(folder)``. CLIP puts a class token before the patches, SigLIP has
# none.

import matplotlib.pyplot as plt
import numpy as np
import torch
from transformers import CLIPVisionConfig, CLIPVisionModel, SiglipVisionConfig, SiglipVisionModel

from extraction import harvest_encoder
from extraction.default_model import load_samples
from redundancy import ProfileCertificate
from redundancy.figures import depth_distances, distance_per_layer

shape = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 6,
    "num_attention_heads": 4,
    "image_size": 48,
    "patch_size": 8,
}
torch.manual_seed(0)
towers = {
    "CLIP, random": CLIPVisionModel(CLIPVisionConfig(**shape)).eval(),
    "SigLIP, random": SiglipVisionModel(SiglipVisionConfig(**shape)).eval(),
}

# %%
# Images
# ------
# Real pixels: rendered scenes of the embedded model's questions, at half their size. With the processor of a checkpoint
# one passes files or PIL images and ``processor=`` instead.

images = [np.asarray(question.image.resize((48, 48)), dtype=np.float32) for question in load_samples(48)]
pixels = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2) / 127.5 - 1.0
batches = [{"pixel_values": pixels[i : i + 24]} for i in range(0, len(pixels), 24)]

statistics = {name: harvest_encoder(tower, batches, name=name) for name, tower in towers.items()}
for name, found in statistics.items():
    counts = {group: int(found.token_counts(group)[0]) for group in ("vision", "sink")}
    print(f"{name:15} {found.n_samples} images, tokens of an image by group: {counts}")

# %%
# Patches are the group "vision"; the class token is alone in "sink", so that it does not hide among 36 patches.

fig, axes = plt.subplots(1, 3, figsize=(10.5, 3.2), layout="constrained")
distance_per_layer(statistics, groups=("vision",), ax=axes[0])
for ax, (name, found) in zip(axes[1:], statistics.items(), strict=True):
    depth_distances(found, group="vision", ax=ax)
    ax.set_title(name, fontsize=9)
plt.show()

# %%
# A random tower is a useful yardstick: what a trained one does has to differ from it before it means anything. Small
# distances are no achievement of training when random weights have them already.

for name, found in statistics.items():
    print(f"{name:15} patches turn by", found.mean_distance("vision").round(4))
print("CLIP's class token turns by   ", statistics["CLIP, random"].mean_distance("sink").round(4))

# %%
# Certificates are the same as for a decoder.

certificate = ProfileCertificate.from_statistics(statistics["CLIP, random"], groups=("vision", "sink"))
print(certificate.summary())
