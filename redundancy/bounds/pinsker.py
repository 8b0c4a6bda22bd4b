"""Theorem 5: from information to the functional gap, under either Markov chain or none.

I_next = I(Z; x_next | x_prev), I_prev = I(Z; x_prev | x_next). The printed theorem assumes previous -
next - task; for ground truth the other chain, next - previous - task, holds, and with it the printed
inequality *fails*. Entropies enter in any base; the constants are those of nats.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from redundancy.bounds._inputs import capped, gap_bound, nats, product, range_assumption
from redundancy.bounds.lipschitz import CHAINS
from redundancy.certificates.certificate import Assumption, Bound, Evidence, bound
from redundancy.checks import check_joint, check_real
from redundancy.errors import InvalidInputError
from redundancy.interval import Interval, round_up

__all__ = [
    "chain_entropy_upper",
    "chain_information_upper",
    "free_entropy_upper",
    "free_information_upper",
    "guessing_upper",
    "printed_upper",
]

_DISCRETE = Assumption("discrete_states", "both layers are discrete (finite codes)")


@bound(
    title="Theorem 5 as printed",
    status="repaired",
    printed="|Z| <= B, X_prev - X_next - Z Markov: F <= 2 B^2 H(X_next | X_prev)",
    statement="previous - next - task: F <= min(B^2, 2 B^2 H(next|prev)), H in nats.",
    deviation="The chain is the wrong one for ground truth, where next - previous - task holds.",
    counterexample="Under next - previous - task: Y a fair sign, X constant, Z = Y: 1 > 0. In bans: 1 > 0.602.",
    evidence="A",
    uses=("lemmas.divergence_information", "pinsker.chain_information_upper"),
)
def printed_upper(*, conditional_entropy: Evidence, norm_bound: float, base: float = 2.0) -> Bound:
    """Theorem 5 as printed: F <= 2 B^2 H(x_next | x_prev), H in nats, under previous - next - task.

    Parameters
    ----------
    conditional_entropy : Evidence
        H(x_next | x_prev) of the codes, in units of `base`; a certificate brings its own base.
    norm_bound : float
        B, with |Z| <= B.
    base : float, default=2
        Base of a plain number or interval.

    Returns
    -------
    BoundCertificate
        On ``functional_gap``, capped at B^2.

    References
    ----------
    Theorem 5 of arXiv:2509.25584.

    Examples
    --------
    One bit is ln 2 nats: 2 ln 2 = 1.386, above the cap 1.

    >>> printed_upper(conditional_entropy=1.0, norm_bound=1.0).is_vacuous
    True
    """
    size = check_real(norm_bound, "norm_bound", lower=0.0)
    upper = product(2.0, size, size, nats(conditional_entropy, "conditional_entropy", base).upper)
    norm = Assumption("task_norm", f"the task has norm at most {size:g}")
    return gap_bound(
        upper, cap=round_up(size**2), assumptions=(CHAINS["prev-next-task"], norm, _DISCRETE), evidence="A"
    )


@bound(
    title="Theorem 5 from information, either chain",
    status="sharpened",
    statement="previous - next - task: F <= (Delta^2/2) I(Z;next|prev); the other chain: I(Z;prev|next).",
    deviation="Pinsker by oscillation: Delta <= 2B. Constant best.",
    counterexample="Delta^2/4: P(Z = X) = 0.51: 4e-4 > 2e-4.",
    evidence="A",
    uses=("lemmas.divergence_information",),
)
def chain_information_upper(
    *, chain: str, information: Evidence, diameter: float, base: float = 2.0, task_cap: Evidence | None = None
) -> Bound:
    """F <= (Delta^2 / 2) I under a chain; the constant is best (a nearly fair coin).

    Parameters
    ----------
    chain : {"prev-next-task", "next-prev-task"}
        Under previous - next - task, `information` is I(Z; x_next | x_prev); under next - previous - task
        it is I(Z; x_prev | x_next).
    information : Evidence
        In units of `base`; a certificate brings its own base.
    diameter : float
        Delta, the largest distance between two task values (sqrt 2 for one-hot labels).
    base : float, default=2
    task_cap : Evidence, optional
        Var Z or R^2; without it the cap is Delta^2 / 2.
    """
    diameter = check_real(diameter, "diameter", lower=0.0)
    upper = product(0.5, diameter, diameter, nats(information, "information", base).upper)
    return capped(upper, diameter, None, task_cap, (_chain(chain), range_assumption(diameter, None)), "A")


@bound(
    title="Theorem 5 from entropy, either chain",
    status="sharpened",
    statement="F <= R^2 H in bits: H(next|prev) under previous - next - task, H(prev|next) under the other chain.",
    deviation="1/ln 2 = 1.4427 instead of 2, best possible; the natural chain needs the backward entropy.",
    counterexample="1.44 B^2 in nats: X a fair sign, Y constant, Z = X: 1 > 0.998.",
    evidence="A",
    uses=("pinsker.guessing_upper",),
)
def chain_entropy_upper(
    *, chain: str, entropy: Evidence, radius: float, base: float = 2.0, task_cap: Evidence | None = None
) -> Bound:
    """F <= R^2 H in *bits* under a chain: constant 1/ln 2 in nats instead of the printed 2, and best possible.

    Parameters
    ----------
    chain : {"prev-next-task", "next-prev-task"}
        Under previous - next - task, `entropy` is the forward H(x_next | x_prev); under
        next - previous - task it is the *backward* H(x_prev | x_next), the information lost.
    entropy : Evidence
        In units of `base`; a certificate brings its own base.
    radius : float
        R, radius of the smallest ball that holds all task values.
    base : float, default=2
    task_cap : Evidence, optional
        Var Z; without it the cap is R^2.

    Examples
    --------
    >>> chain_entropy_upper(chain="prev-next-task", entropy=0.5, radius=1.0).interval.upper < 0.5000001
    True
    """
    radius = check_real(radius, "radius", lower=0.0)
    upper = product(radius, radius, nats(entropy, "entropy", base).upper) / math.log(2.0)
    return capped(upper, None, radius, task_cap, (_chain(chain), range_assumption(None, radius), _DISCRETE), "A")


@bound(
    title="Theorem 5 from the best guess",
    status="sharpened",
    statement="F <= R^2 E g(p1), g(p) = 4p(1-p) from p = 1/2 on, else 1.",
    deviation="Sharper than the entropy form, from the probabilities of the best guess alone.",
    evidence="A",
)
def guessing_upper(*, chain: str, joint: npt.ArrayLike, radius: float) -> Bound:
    """F <= R^2 E[g(p1(Y))], g(p) = 4 p (1 - p) from p = 1/2 on, else 1; sharper than the entropy form.

    p1 is the probability of the best guess of one layer's code from the other's.

    Parameters
    ----------
    chain : {"prev-next-task", "next-prev-task"}
        Guesses the next code from the previous one, or the other way round.
    joint : array_like of shape (n_next, n_prev)
    radius : float
        R, radius of the smallest ball that holds all task values.
    """
    radius = check_real(radius, "radius", lower=0.0)
    assumption = _chain(chain)
    table = check_joint(joint, ndim=2)
    if chain == "next-prev-task":
        table = table.T
    given = table.sum(axis=0)
    best = table.max(axis=0)[given > 0] / given[given > 0]
    factor = np.where(best >= 0.5, 4.0 * best * (1.0 - best), 1.0)
    # An absolute error of a few ulps in p1 moves 4 p (1 - p) by no more than 4 times that.
    upper = radius**2 * min(1.0, math.fsum(given[given > 0] * factor) + 1e-14)
    return capped(upper, None, radius, None, (assumption, range_assumption(None, radius), _DISCRETE), "A")


@bound(
    title="Theorem 5 without a chain, from information",
    status="sharpened",
    statement="F <= (Delta^2/2)(sqrt I(Z;next|prev) + sqrt I(Z;prev|next))^2",
    deviation="Both directions pay, so no chain is needed.",
)
def free_information_upper(
    *,
    information_next: Evidence,
    information_prev: Evidence,
    diameter: float,
    base: float = 2.0,
    task_cap: Evidence | None = None,
) -> Bound:
    """F <= (Delta^2 / 2)(sqrt I_next + sqrt I_prev)^2, with no Markov assumption.

    Parameters
    ----------
    information_next, information_prev : Evidence
        I(Z; x_next | x_prev) and I(Z; x_prev | x_next), in units of `base`.
    diameter : float
    base : float, default=2
    task_cap : Evidence, optional
    """
    diameter = check_real(diameter, "diameter", lower=0.0)
    total = _root_sum(
        nats(information_next, "information_next", base), nats(information_prev, "information_prev", base)
    )
    upper = product(0.5, diameter, diameter, total)
    return capped(upper, diameter, None, task_cap, (range_assumption(diameter, None),), "P")


@bound(
    title="Theorem 5 without a chain, from entropies",
    status="sharpened",
    statement="F <= min(R^2/ln 2, Delta^2/2)(sqrt H(next|prev) + sqrt H(prev|next))^2",
    deviation="Both directions pay, so no chain is needed.",
)
def free_entropy_upper(
    *,
    forward_entropy: Evidence,
    backward_entropy: Evidence,
    radius: float,
    diameter: float | None = None,
    base: float = 2.0,
    task_cap: Evidence | None = None,
) -> Bound:
    """F <= min(R^2 / ln 2, Delta^2 / 2)(sqrt H(next|prev) + sqrt H(prev|next))^2, with no Markov assumption.

    Parameters
    ----------
    forward_entropy, backward_entropy : Evidence
        H(x_next | x_prev) and H(x_prev | x_next), in units of `base`.
    radius : float
        R, radius of the smallest ball that holds all task values.
    diameter : float, optional
        Delta; without it only the first constant is used.
    base : float, default=2
    task_cap : Evidence, optional
    """
    radius = check_real(radius, "radius", lower=0.0)
    constant = radius**2 / math.log(2.0)
    if diameter is not None:
        constant = min(constant, 0.5 * check_real(diameter, "diameter", lower=0.0) ** 2)
    total = _root_sum(nats(forward_entropy, "forward_entropy", base), nats(backward_entropy, "backward_entropy", base))
    upper = product(constant, total)
    return capped(upper, diameter, radius, task_cap, (range_assumption(diameter, radius), _DISCRETE), "P")


def _chain(chain: str) -> Assumption:
    if chain not in CHAINS:
        raise InvalidInputError(f"need a chain among {sorted(CHAINS)}, got {chain!r}")
    return CHAINS[chain]


def _root_sum(first: Interval, second: Interval) -> float:
    return (math.sqrt(first.upper) + math.sqrt(second.upper)) ** 2
