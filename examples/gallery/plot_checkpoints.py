"""
The same model across training: does redundancy move?
=====================================================

Late layers turn their tokens less than early ones. Is that something the model has learned, or was it there from the
start? Here a small vision-language model is trained, for real, to read handwritten digits, and each of its checkpoints
is harvested and skipped.
"""

# %%
# Data and model
# --------------
# 1,797 scans of 8 x 8 pixels, from scikit-learn; the last 197 are held out. An image becomes 16 vision tokens, the
# question is always the same word, and the answer is a digit. The model is a LLaVA of 5 layers, built without
# pretrained weights.

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_digits
from transformers import LlavaForConditionalGeneration

from extraction import harvest
from extraction.skip import late_entry, vision_exit
from extraction.study import sweep
from extraction.tiny import tiny_llava
from redundancy.figures import distance_per_layer
from redundancy.figures.style import run_series

BOS, USER, IMAGE, ASK, FIRST_DIGIT = 1, 4, 3, 5, 10
N_LAYERS, N_STEPS, N_TRAIN = 5, 200, 1600
torch.manual_seed(0)
digits = load_digits()
order = np.random.default_rng(0).permutation(len(digits.target))
pixels = torch.tensor(digits.images[order] / 8 - 1, dtype=torch.float32)[:, None].expand(-1, 3, -1, -1)
answers = torch.tensor(digits.target[order]) + FIRST_DIGIT


def prompts(rows):
    """Model inputs: <s> USER: sixteen vision tokens, and the question."""
    ids = torch.tensor([BOS, USER, *[IMAGE] * 16, ASK]).repeat(len(rows), 1)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "pixel_values": pixels[rows]}


model = tiny_llava(
    n_layers=N_LAYERS, hidden=64, heads=4, kv_heads=4, intermediate=128, image_size=8, patch=2, vocab=24, seed=0
)
print(f"{sum(p.numel() for p in model.parameters()):,} parameters")

# %%
# Train, and keep checkpoints
# ---------------------------
# Nothing here knows of skipping. Checkpoints are folders, as any trainer leaves them.

STEPS = (0, 10, 40, 100, N_STEPS)
temporary = tempfile.TemporaryDirectory()
folders = {step: Path(temporary.name) / f"step-{step}" for step in STEPS}
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.05)
for step in range(N_STEPS + 1):
    if step in folders:
        model.save_pretrained(folders[step])
    for group in optimizer.param_groups:
        group["lr"] = 3e-3 * min(1.0, (step + 1) / 30) * (1 - step / (N_STEPS + 1))
    rows = torch.randint(N_TRAIN, (64,))
    logits = model.train()(**prompts(rows), logits_to_keep=1).logits[:, -1]
    loss = torch.nn.functional.cross_entropy(logits, answers[rows])
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()

# %%
# Look at each checkpoint
# -----------------------
# Statistics of the held-out scans, and every late entry and exit really done on them. An untrained model has no
# accuracy to lose, so what counts is agreement: the share of scans that a plan answers as the unmodified checkpoint.

held_out = torch.arange(N_TRAIN, len(answers))
names = [f"scan-{int(row)}" for row in held_out]
depths = range(1, N_LAYERS)
plans = [*map(late_entry, depths), *map(vision_exit, depths)]
statistics, accuracy, entry, leave = {}, {}, {}, {}
for step, folder in folders.items():
    model = LlavaForConditionalGeneration.from_pretrained(folder).eval()
    batch = {**prompts(held_out), "sample_ids": names}
    statistics[step] = harvest(model, [batch], name=f"step {step}")
    results = sweep(model, [{**batch, "answers": answers[held_out]}], plans)
    accuracy[step] = results[0].plain_accuracy
    agreement = [result.agreement for result in results]
    entry[step], leave[step] = agreement[: len(depths)], agreement[len(depths) :]
    print(
        f"step {step:3}: accuracy {accuracy[step]:.2f}, distances {statistics[step].mean_distance('vision').round(2)}, "
        f"agreement of late entry {np.round(entry[step], 2)} and exit {np.round(leave[step], 2)}"
    )
temporary.cleanup()

fig, axes = plt.subplots(1, 3, figsize=(11.5, 3.3), layout="constrained")
distance_per_layer({f"step {step}": found for step, found in statistics.items()}, groups=("vision",), ax=axes[0])
for ax, curves, title in ((axes[1], entry, "late entry at d"), (axes[2], leave, "exit at d")):
    for number, (step, values) in enumerate(curves.items()):
        look = run_series(number)
        ax.plot(depths, values, marker=look.marker, color=look.color, label=f"step {step}")
    ax.set(xlabel=title, ylabel="agreement", ylim=(0, 1.03), xticks=depths)
axes[1].legend(frameon=False, fontsize=8)
plt.show()

# %%
# What moved, and what did not
# ----------------------------
# The profile of distances falls with depth before the first step: random weights already do that, for each layer adds
# to a stream that has grown. Training changes it by less than a factor of two, and rather upwards.

first, last = (statistics[step].mean_distance("vision") for step in (0, N_STEPS))
print("distances, untrained:", first.round(3))
print("distances, trained:  ", last.round(3))
factor = float(np.exp(np.abs(np.log(last / first)).max()))
print(
    f"no distance changed by more than a factor of {factor:.1f}; accuracy {accuracy[0]:.2f} -> {accuracy[N_STEPS]:.2f}"
)

# %%
# What can be skipped did move. In its last layer the untrained model turns vision tokens as little as the trained one,
# and yet an exit before that layer changes four answers in ten; of the trained one it changes one in twenty or fewer.

for step in STEPS:
    print(f"step {step:3}: last layer's distance {statistics[step].mean_distance('vision')[-1]:.3f}, "
          f"agreement of an exit before it {leave[step][-1]:.2f}")  # fmt: skip

# %%
# So here the redundancy that can be used was learned, and the distances did not show it. That is one small model and
# one seed; the advice is general: redundancy belongs to a checkpoint, so measure again after fine-tuning.
