"""Points of the margin theorem: how often the answer changes, exactly, against its three bounds."""

from __future__ import annotations

from fractions import Fraction as F
from random import Random

from theorem_clouds import Cloud, Panel, down, up

from redundancy.bounds import margin

LAWS, INPUTS = 120, 6
Answers = list[F]


def variation(p: Answers, q: Answers) -> F:
    """Total variation."""
    return sum((abs(a - b) for a, b in zip(p, q, strict=True)), F(0)) / 2


def gap(p: Answers) -> F:
    """Largest less second largest probability."""
    first, second = sorted(p, reverse=True)[:2]
    return first - second


def changed(p: Answers, q: Answers) -> int:
    """Whether the answer may change, ties broken in the worst way."""
    return int(len({k for r in (p, q) for k, v in enumerate(r) if v == max(r)}) > 1)


def normed(weights: list[int]) -> Answers:
    """Weights as a law."""
    return [F(w, sum(weights)) for w in weights]


def plans(rng: Random, size: int, reach: int) -> list[Answers]:
    """Answers on one input under three neighbouring plans, each moved a little from the one before."""
    weights = [rng.randint(1, 60) for _ in range(size)]
    found = [normed(weights)]
    for _ in range(2):
        weights = [max(0, w + rng.randint(-reach, reach)) for w in weights]
        weights[rng.randrange(size)] += 1
        found.append(normed(weights))
    return found


def cost(law: list[Answers], step: int) -> F:
    """What one step may cost on one input."""
    return min(F(1), 2 * variation(law[step], law[step + 1]) / gap(law[0])) if gap(law[0]) else F(1)


def points() -> list[Panel]:
    """Random answers over a few inputs, and ties."""
    rng = Random(51)
    single = Cloud("margin.pointwise_upper", "one input")
    whole = Cloud("margin.change_upper", "share of inputs")
    steps = Cloud("margin.telescoped_upper", "two steps")
    tie = Cloud("margin.telescoped_upper", "to a tie", extremal=True)
    wrong = Cloud("margin.pointwise_upper", "1.9 TV for 2 TV: false", refuted=True, extremal=True)
    for _ in range(LAWS):
        inputs = [plans(rng, rng.randint(2, 4), rng.choice((1, 4, 16))) for _ in range(INPUTS)]
        truth = F(sum(changed(p, q) for p, _, q in inputs), INPUTS)
        p, _, q = inputs[0]
        single.add(F(changed(p, q)), margin.pointwise_upper(total_variation=up(variation(p, q)), margin=down(gap(p))))
        reached = F(sum(2 * variation(p, q) >= gap(p) for p, _, q in inputs), INPUTS)
        whole.add(truth, margin.change_upper(reach_prob=up(reached)))
        costs = [sum((cost(law, k) for law in inputs), F(0)) / INPUTS for k in range(2)]
        steps.add(truth, margin.telescoped_upper(costs=[up(c) for c in costs]))
    for k in (5, 6, 7):
        p, q = [F(k, 8), 1 - F(k, 8)], [F(1, 2), F(1, 2)]
        tie.add(F(changed(p, q)), margin.telescoped_upper(costs=[up(min(F(1), 2 * variation(p, q) / gap(p))), 0.0]))
        short = margin.pointwise_upper(total_variation=up(F(19, 20) * variation(p, q)), margin=down(gap(p)))
        wrong.add(F(changed(p, q)), short)
    return [
        Panel("share of inputs", "P(answer changes)", [single, whole]),
        Panel("neighbouring plans", "P(answer changes)", [steps, tie]),
        Panel("false", "answer changes", [wrong], drawn=False),
    ]


PAGES = {"margin": points}
