"""
What two layers tell about the answer
=====================================

Two layers may tell the same about the answer, each something of its own, or something that only both together reveal.
Partial information decomposition (BROJA) splits the information into these four parts. Here: of the state at the last
prompt token, from which the model reads its answer, about the right answers of yes-or-no questions.
"""

# %%
# States at the last prompt token
# -------------------------------
# One state per question and depth, so that questions are independent draws. The last entry of ``hidden_states`` lies
# behind the final norm, so depth 11 is the last one that is used here.

import matplotlib.pyplot as plt
import numpy as np
import torch

from estimators import fit_codebook, unique_information_estimate
from extraction.default_model import load_model, load_processor, load_samples
from extraction.study.validating import labelled_batch
from redundancy.figures import pid_bars
from redundancy.pid import layer_pair_pid

model, processor = load_model(), load_processor()
samples = [s for s in load_samples() if s.answer in ("yes", "no")][:240]
parts = []
for start in range(0, len(samples), 40):
    batch = labelled_batch(model, processor, samples[start : start + 40])
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask", "pixel_values")}
    with torch.inference_mode():
        hidden = model(**inputs, output_hidden_states=True).hidden_states
    parts.append(torch.stack([state[:, -1] for state in hidden[:-1]]))
states = torch.cat(parts, dim=1).numpy()
ids = np.array([s.sample_id for s in samples])
answer = np.array([s.answer == "yes" for s in samples], dtype=int)
print("(depths, questions, features):", states.shape, "| share of yes:", answer.mean().round(3))

# %%
# From states to a table
# ----------------------
# Information about continuous states cannot be counted, so states become codes: the nearest of four centres, fitted to
# both layers on a quarter of the questions, which are not used again. Counting gives a table with the axes (code of
# the next layer, code of the previous one, answer).

N_CODES = 4


def count(prev, after):
    """Table of the codes of two depths and the answer, on questions that the codes were not fitted on."""
    book = fit_codebook([states[prev], states[after]], ids, n_codes=N_CODES)
    fresh = book.is_held_out(ids)
    pair = book.encode_pair(states[prev][fresh], states[after][fresh], ids[fresh])
    table = np.zeros((N_CODES, N_CODES, 2))
    np.add.at(table, (pair.next, pair.prev, answer[fresh]), 1)
    return table / table.sum(), pair, answer[fresh]


table, pair, answer_of_pair = count(7, 8)
print((table.sum(axis=2) * pair.n_tokens).astype(int))

# %%
# The decomposition, with an interval that proves itself
# ------------------------------------------------------
# The four parts follow from one convex problem. Its solver returns an interval that holds the exact value for *this
# table*: the lower end is a dual bound, which anybody can evaluate from the stored multipliers.

result = layer_pair_pid(table)
for name in ("unique_x", "unique_y", "redundant", "synergistic"):
    print(f"{name:12} {getattr(result, name)} bits")
print(f"{result.status}, gap {result.gap:.1e} bits, recheck {result.recheck().ok}")

# %%
# ``unique_x`` is what only the *next* layer tells, ``unique_y`` what only the *previous* one does.
#
# The table is a sample
# ---------------------
# That interval is about the solver. Another 180 questions would give another table, and unique information of a
# counted table is inflated. The bootstrap over questions says by how much to expect, and which numbers rest on too
# few counts per cell:

pairs = {(1, 2): None, (2, 3): None, (7, 8): None, (10, 11): None}
for prev, after in pairs:
    _, coded, labels = count(prev, after)
    pairs[prev, after] = unique_information_estimate(coded, labels, n_bootstrap=200)
print(pairs[7, 8])

fig, ax = plt.subplots(figsize=(7.0, 3.4), layout="constrained")
pid_bars({f"depths {a}, {b}": e for (a, b), e in pairs.items()}, names=("next layer", "previous layer"), ax=ax)
plt.show()

# %%
# Layer 2 brings what depth 1 does not have. From then on both layers of a pair tell nearly the same: what is shared
# dwarfs what is new. This is what one means by redundant layers, *about this answer*, *through four codes*. It is an
# estimate, and it does not say what the network does when a layer is gone.
#
# The ends of the range
# ---------------------
# Not only neighbours can be compared. What does depth 11 tell that depth 3 does not?

far_table, far_pair, far_answer = count(3, 11)
far = unique_information_estimate(far_pair, far_answer, n_bootstrap=200)
for name, value in far.atoms.items():
    print(f"{name:12} {value:.3f} bits, 95 % interval {far.intervals[name]}")
