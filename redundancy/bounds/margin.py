"""The margin theorem: the greedy answer changes only where the law of the answers moves at least as far as its margin.

p is the law of the answer of the unmodified model on one input, q that with layers skipped, TV their total variation,
and the margin of p the gap of its two largest probabilities.
"""

from __future__ import annotations

import math

from redundancy.bounds._inputs import PROBABILITY, probability
from redundancy.certificates.certificate import Assumption, Bound, Evidence, bound
from redundancy.errors import InvalidInputError
from redundancy.interval import Interval, round_up

__all__ = ["change_upper", "pointwise_upper", "telescoped_upper"]

_GREEDY = Assumption("greedy_answer", "the answer is one with the largest probability")


@bound(
    title="Margin theorem, one input",
    statement="The greedy answer changes only if 2 TV(p, q) >= margin(p).",
    deviation="Not in the paper, which bounds a distance of states or of predictions, not a change of the answer.",
    counterexample="1.9 TV: p = (3/4, 1/4), q a tie: the answer may change, 1.9 TV = 0.475 < 0.5.",
)
def pointwise_upper(*, total_variation: Evidence, margin: Evidence) -> Bound:
    """The answer of one input is unchanged while 2 TV(p, q) < margin(p); otherwise nothing is said.

    Parameters
    ----------
    total_variation : float, Interval or certificate
        TV(p, q) of this input, in [0, 1].
    margin : float, Interval or certificate
        Largest probability of p less the second largest.

    Returns
    -------
    BoundCertificate
        On ``answer_change``, which is 0 or 1: at most 0, or at most 1.

    Examples
    --------
    >>> pointwise_upper(total_variation=0.1, margin=0.3).interval
    Interval(lower=0.0, upper=0.0)
    """
    reach = 2.0 * probability(total_variation, "total_variation").upper  # doubling is exact
    kept = reach < probability(margin, "margin").lower
    return Bound(
        quantity="answer_change",
        interval=Interval(0.0, 0.0 if kept else 1.0),
        trivial=PROBABILITY,
        assumptions=(_GREEDY,),
    )


@bound(
    title="Margin theorem",
    statement="P[greedy answer changes] <= P[2 TV(p, q) >= margin(p)]",
    deviation="The mean over inputs of the statement for one.",
    uses=("margin.pointwise_upper",),
)
def change_upper(*, reach_prob: Evidence) -> Bound:
    """Answers change on no larger a share of the inputs than that on which 2 TV(p, q) reaches margin(p).

    Parameters
    ----------
    reach_prob : float, Interval or certificate
        P[2 TV(p, q) >= margin(p)] over inputs, for instance a certified share of a sample.

    Returns
    -------
    BoundCertificate
        On ``answer_change``.

    Examples
    --------
    >>> change_upper(reach_prob=0.02).interval.upper
    0.02
    """
    upper = probability(reach_prob, "reach_prob").upper
    return Bound(quantity="answer_change", interval=Interval(0.0, upper), trivial=PROBABILITY, assumptions=(_GREEDY,))


@bound(
    title="Margin theorem, telescoped",
    statement="P[greedy answer changes] <= sum over steps i of E min(1, 2 TV(p_i, p_(i+1)) / margin(p_0))",
    deviation="TV is a metric, so neighbouring plans add up: one sweep prices every set of layers.",
    uses=("margin.change_upper",),
)
def telescoped_upper(*, costs: tuple[Evidence, ...]) -> Bound:
    """Costs of neighbouring plans add up to a bound on how often the answer changes from the first to the last.

    Parameters
    ----------
    costs : sequence of float, Interval or certificate
        ``E min(1, 2 TV(p_i, p_(i+1)) / margin(p_0))`` of each step from the unmodified model p_0 to the plan; 1 where
        the margin is 0.

    Returns
    -------
    BoundCertificate
        On ``answer_change``.

    Raises
    ------
    InvalidInputError
        If there is no cost, or one is outside [0, 1].

    Examples
    --------
    >>> round(telescoped_upper(costs=[0.01, 0.02]).interval.upper, 9)
    0.03
    """
    if not costs:
        raise InvalidInputError("need the cost of one step at least, got none")
    upper = math.fsum(probability(cost, f"costs[{k}]").upper for k, cost in enumerate(costs))
    return Bound(
        quantity="answer_change",
        interval=Interval(0.0, min(round_up(upper), 1.0) if len(costs) > 1 else upper),
        trivial=PROBABILITY,
        assumptions=(_GREEDY,),
    )
