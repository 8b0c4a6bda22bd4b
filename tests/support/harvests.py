"""Small harvests for the tests of profiles: three layers that move the states a little, more, and far."""

from __future__ import annotations

import numpy as np

from redundancy.statistics.from_states import statistics_from_states

GROUPS = ["sink", "vision", "vision", "vision", "words", "special"]
STEPS = (0.05, 0.4, 1.5)  # how far the layers move the states


def stream(rng, n):
    """Hidden states of n images at depths 0..3, shape (4, 6, 5) each."""
    moves = rng.normal(size=(n, 4, 6, 5)) * np.array([1.0, *STEPS])[:, None, None]
    return list(moves.cumsum(axis=1))


def harvest(n=40, seed=0, states=None):
    states = stream(np.random.default_rng(seed), n) if states is None else states
    names = [f"image {i:03d}" for i in range(n)]
    return statistics_from_states(states, [GROUPS] * n, sample_ids=names, units=names)


def flat(states):
    """h_0..h_L with one row per token, ids of the images, and the group of every row."""
    n = len(states)
    rows = [np.concatenate([s[d] for s in states]) for d in range(4)]
    names = np.array(["vision" if g == "vision" else "text" for g in GROUPS])
    return rows, np.repeat([f"image {i:03d}" for i in range(n)], len(GROUPS)), np.tile(names, n)
