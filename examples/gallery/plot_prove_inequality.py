"""
Prove your own inequality
=========================

Leave out two layers, and the damage should be no more than the sum of both damages. Should it? Type such a suspicion
as an inequality between entropies. You get a proof that can be checked by hand, or a law that breaks it, or the answer
that Shannon's inequalities do not decide.
"""

# %%
# A proof is a sum
# ----------------
# A, B and C are the states at three depths, Z is the task. What C tells of Z beyond A is what is lost when both layers
# between them are left out. It is at most what the two layers add:

from dataclasses import replace
from fractions import Fraction

import matplotlib.pyplot as plt
import numpy as np

from proofs_check.shannon import find_counterexample, prove, verify
from redundancy.figures.style import OKABE_ITO
from redundancy.info import entropy

by_entropy = prove("I(Z;C|A) <= H(B|A) + H(C|B)")
print(by_entropy)

# %%
# Each term on the right is an entropy or an information, so none is negative: that is the whole proof. The weights come
# from a linear program in floating point, and nothing rests on it. What counts is the identity, checked in exact
# fractions. Change one weight, and the check names the entropies that no longer agree:

(certificate,) = by_entropy.certificates
(_, first), *others = certificate.basic
forged = replace(by_entropy, certificates=(replace(certificate, basic=((Fraction(1, 2), first), *others)),))
print("as proved:", verify(by_entropy))
print("forged:   ", verify(forged))

# %%
# The bolder claim
# ----------------
# Entropies of states are large. Much tighter would be to add up what the layers tell *of the task*. But:

claim = "I(Z;C|A) <= I(Z;B|A) + I(Z;C|B)"
print(prove(claim).summary)
law = find_counterexample(claim)
print(law)

# %%
# Read the law: A and C are fair coins, Z says whether they differ, and B is constant. Neither step tells anything of Z,
# and both together tell everything. So layers that are redundant one by one need not be redundant together.
#
# What would save it?
# -------------------
# In a decoder B is computed from A and C from B. Try assumptions, one after the other. That B separates A from C is
# not enough, for the task may still tie them; B has to separate C from the *pair* of A and Z.

for given in ("A -> B -> C", "A,Z -> B -> C"):
    answer = prove(claim, given)
    print(f"given {given:15} {answer.summary}")
    if not answer.proved:
        print("     ", find_counterexample(claim, given))
saved = prove(claim, "A,Z -> B -> C")
print(saved)

# %%
# A handful of random laws would have told you little
# ---------------------------------------------------
# Most laws that one draws at random obey the claim, and those that break it do so by a few tenths of a bit. The search
# knows the structured laws at the edge. Below, 2,000 random laws, and the way from independent coins to the
# counterexample (Z is the difference of A and C, except with probability p).


def both_sides(joint):
    """Left and right side of the claim in bits, for a joint with axes (A, B, C, Z)."""

    def h(axes):
        others = tuple(i for i, name in enumerate("ABCZ") if name not in axes)
        return entropy(joint.sum(axis=others).ravel())

    def information(first, second, given):
        return h(first + given) + h(second + given) - h(first + second + given) - h(given)

    return information("Z", "C", "A"), information("Z", "B", "A") + information("Z", "C", "B")


rng = np.random.default_rng(0)
drawn = np.array([both_sides(rng.dirichlet(np.full(16, 0.5)).reshape(2, 2, 2, 2)) for _ in range(2000)])
path = []
for p in np.linspace(0.0, 0.5, 11):
    joint = np.zeros((2, 2, 2, 2))
    for a in (0, 1):
        for c in (0, 1):
            joint[a, 0, c, a ^ c], joint[a, 0, c, 1 - (a ^ c)] = (1 - p) / 4, p / 4
    path.append(both_sides(joint))
path = np.array(path)
broken = int((drawn[:, 0] > drawn[:, 1] + 1e-9).sum())
print(f"{broken} of {len(drawn)} random laws break the claim, by at most {np.max(drawn[:, 0] - drawn[:, 1]):.3f} bits")

fig, ax = plt.subplots(figsize=(4.6, 4.2), layout="constrained")
ax.plot([0, 1], [0, 1], color="0.6", linewidth=0.8)
ax.scatter(drawn[:, 1], drawn[:, 0], s=4, color=OKABE_ITO["blue"], alpha=0.4, label="random laws")
ax.plot(path[:, 1], path[:, 0], "s", color=OKABE_ITO["vermillion"], label="towards the counterexample")
ax.set(xlabel="I(Z;B|A) + I(Z;C|B), bits", ylabel="I(Z;C|A), bits", xlim=(-0.03, 1), ylim=(-0.03, 1.03))
ax.text(0.3, 0.8, "claim broken", color="0.4")
ax.legend(loc="lower right", framealpha=1.0, edgecolor="none", fontsize=8)
plt.show()

# %%
# ``skip-it prove`` does this for every statement of the theory; :doc:`plot_test_theorem` goes on with statements that
# are not about entropies alone.
