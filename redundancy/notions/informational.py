"""Definition 4, informational redundancy: the next layer's code is nearly determined by the previous one's.

Hidden states are not discrete. On raw states H(X|Y) is 0 for a deterministic layer and infinite with any
independent noise, and its plug-in estimate is 0 as soon as all sampled vectors differ. A finite code must
therefore be part of the statement, and these functions take tables and codes, never raw states.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from redundancy.certificates.certificate import Evidence
from redundancy.checks import check_joint, to_numpy
from redundancy.errors import InvalidInputError
from redundancy.info.entropy import conditional_entropy, entropy
from redundancy.info.joint import joint_from_codes
from redundancy.notions.verdict import RedundancyVerdict, decide

__all__ = [
    "conditional_entropy_of_law",
    "informational_verdict",
    "plug_in_conditional_entropy",
    "redundant_fraction_of_law",
]


def conditional_entropy_of_law(joint: npt.ArrayLike, *, base: float = 2.0) -> float:
    """H(x_next | x_prev) of a finite joint with axes (x_next, x_prev), in units of `base`.

    Parameters
    ----------
    joint : array_like of shape (k, k)
        Law of the pair, axes (x_next, x_prev).
    base : float, default=2.0
        Unit of information: 2 for bits, ``math.e`` for nats.

    Returns
    -------
    float
        In units of `base`.
    """
    return float(conditional_entropy(check_joint(joint, ndim=2), base=base))


def redundant_fraction_of_law(joint: npt.ArrayLike) -> float:
    """I(x_next; x_prev) / H(x_next), in [0, 1]; 1 if the next layer is constant.

    A large mutual information alone does not make the next layer redundant (it may carry much more);
    this ratio does.

    Parameters
    ----------
    joint : array_like of shape (k, k)
        Law of the pair, axes (x_next, x_prev).

    Returns
    -------
    float
        In [0, 1].
    """
    table = check_joint(joint, ndim=2)
    total = float(entropy(table.sum(axis=1)))
    return 1.0 if total == 0.0 else 1.0 - float(conditional_entropy(table)) / total


def plug_in_conditional_entropy(
    next_codes: npt.ArrayLike, prev_codes: npt.ArrayLike, *, n_codes: int | None = None, base: float = 2.0
) -> float:
    """Plug-in *estimate* of H(next code | previous code) from paired codes, in units of `base`.

    Biased down, and by much when codes are many against samples: it certifies nothing. An upper
    confidence bound comes from a held-out log-loss, see ``bounds.fano.predictor_upper``.

    Parameters
    ----------
    next_codes : array_like of int, shape (n,)
        Code of the next layer's state.
    prev_codes : array_like of int, shape (n,)
        Code of the previous layer's state.
    n_codes : int, optional
        Size of the codebook; by default one more than the largest code seen.
    base : float, default=2.0
        Unit of information: 2 for bits, ``math.e`` for nats.

    Returns
    -------
    float
        In units of `base`; biased downward when cells are many.

    Raises
    ------
    InvalidInputError
        If every sampled previous code is distinct: the estimate is then 0 whatever the truth.
    """
    table = joint_from_codes(next_codes, prev_codes, n_codes=n_codes)
    codes = to_numpy(prev_codes, "prev_codes")
    if codes.size > 1 and np.unique(codes).size == codes.size:
        raise InvalidInputError(
            f"need repeated previous codes, got {codes.size} distinct ones; "
            "the plug-in estimate is then 0 whatever the truth, use a coarser code"
        )
    return float(conditional_entropy(table, base=base))


def informational_verdict(*, conditional_entropy: Evidence, epsilon: float) -> RedundancyVerdict:
    """Is ``H(code of x_next | code of x_prev) < epsilon``? Both in the same units.

    Parameters
    ----------
    conditional_entropy : float, Interval or certificate
        H(next code | previous code), in the units of `epsilon`.
    epsilon : float
        What the quantity is compared with, positive.

    Returns
    -------
    RedundancyVerdict
        Holds, refuted or undecided.
    """
    return decide("informational", "conditional_entropy", conditional_entropy, epsilon)
