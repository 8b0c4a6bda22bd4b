"""
Property-test your own theorem
==============================

You have a bound and a proof on paper. Five questions before anybody relies on it: does it hold on every law that can be
drawn, is it attained, is each assumption needed, does it survive a change of names, and, if it takes samples, does it
cover? Here is a plausible theorem that is wrong, the law that shows it, and the theorem that is right.
"""

# %%
# A statement is two functions of a law
# -------------------------------------
# A law is a finite joint of the next layer X, the previous layer Y and the task Z, with exact masses. F is the
# functional gap: how far the best predictions of Z from X and from Y differ. Surely the next layer can be the better
# reader of Z by no more than that?

from fractions import Fraction

import matplotlib.pyplot as plt
import numpy as np
from hypothesis import given, settings
from scipy.stats import norm

from proofs_check.extremal import family, make
from proofs_check.statements import Statement
from proofs_check.strategies import joint_pmfs, markov_chains
from proofs_check.testing import covers, five_tests, holds
from redundancy.figures.style import OKABE_ITO

gain_is_gap = Statement(
    theorem="mine",
    claim="mmse(Z|Y) - mmse(Z|X) <= a F",
    left=lambda law, c: law.mmse_prev - law.mmse_next,
    right=lambda law, c: c["a"] * law.gap,
    constants={"a": Fraction(1)},
)

# %%
# It does not hold
# ----------------
# ``holds`` draws laws by Hypothesis and shrinks what breaks the claim to something that can be checked by hand. It
# raises, as a test should; here the sentence is kept to be read.

try:
    holds(gain_is_gap)
    refutation = ""
except AssertionError as error:
    refutation = str(error)
print(refutation)

# %%
# The missing assumption
# ----------------------
# The proof on paper used that Y tells nothing of Z that X does not tell, a Markov chain Y - X - Z. Say so, and all
# tests pass: the claim holds, with equality where X brings a fresh bit, so that the constant 1 cannot be lowered; and
# without the chain it breaks, on the law that was found above.

CHAIN = "previous - next - task"
mine = gain_is_gap.but(needs=(CHAIN,))
quarter = Fraction(1, 4)
breaks = make(  # masses by (symbol of X, symbol of Y, symbol of Z); then what the symbols stand for
    {(0, 0, 0): quarter, (1, 0, 2): quarter, (1, 1, 1): quarter, (1, 1, 2): quarter}, x=(0, 1), y=(0, 1), z=(-1, 0, 1)
)
shown = five_tests(mine, equality=family("fresh bit"), breaking={CHAIN: [breaks]}, max_examples=50)
print(shown)

# %%
# A test that cannot fail is worth nothing. Weaken the constant by a tenth, and the same test objects:

try:
    holds(mine.with_constants(a=Fraction(9, 10)), max_examples=50)
    objection = ""
except AssertionError as error:
    objection = str(error)
print(objection)

# %%
# The same in your own test file
# ------------------------------
# If you have written the quantities yourself, as functions of arrays, draw tables by the strategies. They reach zeros,
# ties and one-symbol layers, which random tables never do. Axes are (next, previous, task).


def gain_and_gap(joint):
    """Gain of the next layer and functional gap, for the task values 0, 1, 2, ..."""
    z = np.arange(joint.shape[2])
    with np.errstate(invalid="ignore"):
        f_next = (joint.sum(1) @ z) / joint.sum((1, 2))
        f_prev = (joint.sum(0) @ z) / joint.sum((0, 2))
    f_next, f_prev = np.nan_to_num(f_next), np.nan_to_num(f_prev)  # symbols of probability 0
    pair = joint.sum(2)
    gap = (pair * (f_next[:, None] - f_prev[None, :]) ** 2).sum()
    return (pair.sum(1) * f_next**2).sum() - (pair.sum(0) * f_prev**2).sum(), gap


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(joint=markov_chains("prev-next-task"))
def test_gain_equals_gap_on_chains(joint):
    gain, gap = gain_and_gap(joint)
    assert abs(gain - gap) < 1e-12


test_gain_equals_gap_on_chains()
print("100 drawn chains: gain equals gap")

# %%
# The picture: on chains every law lies on the diagonal. Without the chain nearly all that are drawn lie below it, which
# is why the wrong theorem looks right for a while.

seen = {"any law": [], "chain Y - X - Z": []}


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(joint=joint_pmfs(sizes=(3, 3, 2)), chain=markov_chains("prev-next-task", sizes=(3, 3, 2)))
def look(joint, chain):
    seen["any law"].append(gain_and_gap(joint))
    seen["chain Y - X - Z"].append(gain_and_gap(chain))


look()
fig, ax = plt.subplots(figsize=(4.6, 4.0), layout="constrained")
ax.plot([0, 0.45], [0, 0.45], color="0.6", linewidth=0.8)
for (label, points), colour, marker in zip(seen.items(), ("vermillion", "blue"), "x.", strict=True):
    gain, gap = np.transpose(points)
    ax.plot(gap, gain, marker, color=OKABE_ITO[colour], label=label, markersize=5, alpha=0.7)
table = np.zeros((2, 2, 3))
for atom, mass in breaks.masses.items():
    table[atom] = mass
gain_of_found, gap_of_found = gain_and_gap(table)
ax.plot([gap_of_found], [gain_of_found], "*", color="black", markersize=9, label="the law found above")
ax.set(xlabel="functional gap F", ylabel="gain of the next layer")
ax.legend(frameon=False)
plt.show()

# %%
# If it takes samples: does it cover?
# -----------------------------------
# A bound on a mean loss from 50 samples, where one loss in a hundred is 1. The textbook's normal interval fails at
# this: in most samples there is no loss at all, and it claims that the mean is 0.


def rare_losses(rng):
    return (rng.random(50) < 0.01).astype(float)


def normal_upper(sample):
    return 0.0, sample.mean() + norm.ppf(0.95) * sample.std(ddof=1) / len(sample) ** 0.5


def hoeffding_upper(sample):
    return 0.0, sample.mean() + (np.log(1 / 0.05) / (2 * len(sample))) ** 0.5


try:
    covers(normal_upper, rare_losses, truth=0.01, repeats=500)
    undercover = ""
except AssertionError as error:
    undercover = str(error)
print("normal:   ", undercover)
misses = covers(hoeffding_upper, rare_losses, truth=0.01, repeats=500)
print("Hoeffding:", misses, "misses in 500")
