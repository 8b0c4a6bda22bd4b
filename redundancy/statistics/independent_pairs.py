"""How close states of *different* images are: the law that Theorem 4 compares the layer pair with."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from redundancy.checks import generator
from redundancy.distances import cosine_distance
from redundancy.files.mapped import Pages
from redundancy.sampling import hash_order
from redundancy.statistics.streaming import ImageIndex

__all__ = ["independent_fractions"]

_DRAWS = 16  # token pairs per pair of images; any number is unbiased
_EVERY = 8  # pairs of images after which the pages of memory-mapped states are given back


def independent_fractions(
    x_prev: Any, x_next: Any, index: ImageIndex, *, t: float, salt: str, seed: int
) -> npt.NDArray[np.float64]:
    """Share of close token pairs, rho <= t, in each of n // 2 disjoint pairs of images.

    One image gives states of the next layer, the *other* states of the previous one, both drawn uniformly
    from the image's tokens. The shares are i.i.d. with mean ``q_t``, the probability that independent copies
    are within t. Shuffling tokens inside one image would not do: they depend on each other.

    Parameters
    ----------
    x_prev, x_next : array of shape (n_tokens, n_features)
    index : ImageIndex
        Of at least two images.
    t : float
    salt : str
        Of the order of the bets.
    seed : int
        Of the pairs and of the tokens drawn.

    Returns
    -------
    ndarray of shape (n_images // 2,)
    """
    rng = generator(seed)
    counts = index.counts
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    members = np.argsort(index.rows, kind="stable")
    images = hash_order(index.names, f"{salt} {seed}")
    half = len(counts) // 2
    picks = []
    for chosen in (images[:half], images[half : 2 * half]):
        draws = (rng.random((half, _DRAWS)) * counts[chosen, None]).astype(np.intp)
        picks.append(members[starts[chosen, None] + draws])
    shares = np.empty(half)
    pages = [Pages(x) for x in (x_prev, x_next)]
    for i in range(half):
        rho = cosine_distance(x_next[picks[0][i]], x_prev[picks[1][i]])
        shares[i] = np.mean(rho <= t)
        if i % _EVERY == _EVERY - 1:
            for read in pages:
                read.release()
    return shares
