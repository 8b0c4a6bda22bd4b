"""Points of the pages on Theorems 3 and 4: entropies and informations of pairs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from random import Random

import numpy as np
from theorem_clouds import Cloud, Panel, down, up
from theorem_laws import Law, even_errors, normalised, pair_table, random_distances, random_pair, random_weights
from theorem_truth import conditional_entropy, decimal, independent, information, log, marginal, tail

from redundancy.bounds import braun_pokutta, fano
from redundancy.certificates.certificate import BoundCertificate
from redundancy.interval import Interval

F = Fraction
LAWS = 120
E = math.e
Distances = Sequence[Sequence[Fraction]]


def printed_fano(law: Law, rho: Distances, t: Fraction) -> BoundCertificate:
    """Theorem 3 as printed, at one radius."""
    sizes = [sum(d <= t for d in row) for row in rho]
    miss = tail(law, rho, t)
    return fano.printed_upper(
        tail_prob=Interval(down(miss), up(miss)),
        support_size=len(rho),
        ball_min=min(sizes),
        ball_max=max(sizes),
        base=E,
    )


def theorem_3() -> list[Panel]:
    """All forms of Fano's inequality on random pairs, and where each is attained."""
    rng = Random(21)
    names = ("printed", "list", "sized_lists", "ball", "best_radius", "shells", "best_shells", "predictor")
    random = {n: Cloud(f"fano.{n}_upper", "random") for n in names}
    for _ in range(LAWS):
        size = rng.randint(2, 5)
        law, rho, t = random_pair(rng, size), random_distances(rng, size), F(rng.randint(0, 4), 4)
        joint, distances = pair_table(law, size), np.array(rho, dtype=float)
        h = conditional_entropy(law, 0, 1)
        random["printed"].add(h, printed_fano(law, rho, t))
        random["ball"].add(h, fano.ball_upper(joint=joint, distances=distances, t=float(t), base=E))
        random["best_radius"].add(h, fano.best_radius_upper(joint=joint, distances=distances, base=E))
        edges = sorted(rng.sample([0.125, 0.625, 1.125, 1.625], 2))
        random["shells"].add(h, fano.shells_upper(joint=joint, distances=distances, edges=edges, base=E))
        random["best_shells"].add(h, fano.best_shells_upper(joint=joint, distances=distances, base=E))
        miss = sum((m for p, m in law.items() if p[0] != p[1]), F(0))
        random["list"].add(
            h, fano.list_upper(miss_prob=Interval(down(miss), up(miss)), list_size=1, support_size=size, base=E)
        )
        random["sized_lists"].add(h, sized(law, rng, size))
        random["predictor"].add(h, predictor_bound(law, rng, size))
    classical = Cloud("fano.list_upper", "even errors", extremal=True)
    printed = Cloud("fano.printed_upper", "even errors", extremal=True)
    in_ball = Cloud("fano.printed_upper", "uniform in its ball", extremal=True)
    shells = Cloud("fano.best_shells_upper", "uniform in each shell", extremal=True)
    for size in (2, 3, 4, 8):
        for miss in (F(0), F(1, 100), F(1, 10), F(1, 2)):
            law = even_errors(size, miss)
            around = Interval(down(miss), up(miss))
            h = conditional_entropy(law, 0, 1)
            classical.add(h, fano.list_upper(miss_prob=around, list_size=1, support_size=size, base=E))
            printed.add(h, fano.printed_upper(tail_prob=around, support_size=size, ball_min=1, ball_max=1, base=E))
    for size in (4, 6, 8):
        for radius in (1, 2):
            steps = range(-radius, radius + 1)
            law = {((y + s) % size, y, 0): F(1, size * len(steps)) for y in range(size) for s in steps}
            if len(law) < size * len(steps):  # the ball is the whole ring
                continue
            ring = [[F(min((x - y) % size, (y - x) % size)) for x in range(size)] for y in range(size)]
            in_ball.add(conditional_entropy(law, 0, 1), printed_fano(law, ring, F(radius)))
    for size in (4, 5, 6):
        ring = [[F(min((x - y) % size, (y - x) % size)) for x in range(size)] for y in range(size)]
        law = normalised({(x, y, 0): int(8 >> int(ring[x][y])) for x in range(size) for y in range(size)})
        shells.add(
            conditional_entropy(law, 0, 1),
            fano.best_shells_upper(joint=pair_table(law, size), distances=np.array(ring, dtype=float), base=E),
        )
    without = Cloud("fano.printed_upper", "without H2: false", refuted=True, extremal=True)
    smallest = Cloud("fano.printed_upper", "N_min for N_max: false", refuted=True, extremal=True)
    opened = Cloud("fano.printed_upper", "open balls: false", refuted=True, extremal=True)
    without.add(log(F(2)), 0.0)  # two points, N = 1, P = 1/2, Y constant
    smallest.add(log(F(3)), math.log(2.0))  # path of three, Y its middle, X uniform, t = 1
    opened.add(log(F(2)), 0.0)  # two independent fair points at distance t
    rest = [random["list"], random["sized_lists"], random["shells"], classical, shells, without, smallest, opened]
    label = "H(X | Y), nats"
    return [
        Panel("one radius", label, [random["printed"], random["ball"], printed, in_ball]),
        Panel("best radius, best shells", label, [random["best_radius"], random["best_shells"]]),
        Panel("a predictor", label, [random["predictor"]], log=True, floor=1e-3),
        Panel("", label, rest, drawn=False),
    ]


def sized(law: Law, rng: Random, size: int) -> BoundCertificate:
    """A random list of random size for each previous code."""
    lists = [set(rng.sample(range(size), rng.randint(1, size))) for _ in range(size)]
    hits, misses = [F(0)] * (size + 1), [F(0)] * (size + 1)
    for (x, y, _), m in law.items():
        (hits if x in lists[y] else misses)[len(lists[y])] += m
    used = [k for k in range(size + 1) if hits[k] + misses[k]]
    return fano.sized_lists_upper(
        sizes=used,
        hit_probs=[float(hits[k]) for k in used],
        miss_probs=[float(misses[k]) for k in used],
        support_size=size,
        base=E,
    )


def predictor_bound(law: Law, rng: Random, size: int) -> BoundCertificate:
    """The log-loss of the true conditional law, mixed with the uniform one."""
    previous = marginal(law, lambda p: p[1])
    mix = F(rng.choice((0, 1, 10, 50)), 100)
    loss = Decimal(0)
    for point, m in law.items():
        if m:
            loss -= decimal(m) * log((1 - mix) * m / previous[point[1]] + mix / size)
    return fano.predictor_upper(log_loss=up(loss), support_size=size, base=E)


def theorem_4() -> list[Panel]:
    """Lower bounds on the information of random pairs, and where each is attained."""
    rng = Random(22)
    names = ("printed", "binary", "law", "variational", "best_radius")
    random = {n: Cloud(f"braun_pokutta.{n}_lower", "random", side="lower") for n in names}
    excluded = Cloud("braun_pokutta.printed_lower", "p_min + p_max ≥ 1", side="lower")
    counts = Cloud(
        "braun_pokutta.printed_lower", "ball counts for probabilities: false", side="lower", refuted=True, extremal=True
    )
    families = {
        n: Cloud(f"braun_pokutta.{n}_lower", "even errors", side="lower", extremal=True)
        for n in ("printed", "binary", "law")
    }
    pairs: list[tuple[bool, Law, Distances, Fraction]] = []
    for _ in range(LAWS):
        size = rng.randint(2, 5)
        law = random_pair(rng, size)
        if rng.random() < 0.2:  # the same state in both layers
            law = normalised(random_weights(rng, [(x, x, 0) for x in range(size)]))
        pairs.append((False, law, random_distances(rng, size), F(rng.randint(0, 4), 4)))
    for size in (2, 3, 4, 8):
        discrete = [[F(int(x != y)) for x in range(size)] for y in range(size)]
        pairs += [(True, even_errors(size, miss), discrete, F(0)) for miss in (F(0), F(1, 100), F(1, 10), F(1, 4))]
    for extremal, law, rho, t in pairs:
        size = len(rho)
        joint, distances = pair_table(law, size), np.array(rho, dtype=float)
        truth, miss, copies = information(law, 0, 1), tail(law, rho, t), independent(law)
        near = 1 - tail(copies, rho, t)
        previous = marginal(law, lambda p: p[1])
        balls = [sum((m for y, m in previous.items() if rho[x][y] <= t), F(0)) for x in range(size)]
        around = Interval(down(miss), up(miss))
        found = {
            "binary": braun_pokutta.binary_lower(
                tail_prob=around, ball_prob=Interval(down(near), min(1.0, up(near))), base=E
            ),
            "law": law_bound(joint, distances),
            "best_radius": braun_pokutta.best_radius_lower(joint=joint, distances=distances, base=E),
            "variational": score_bound(law, copies, rho, rng),
        }
        if max(balls) > 0 and (min(balls) < 1 or miss == 0):
            found["printed"] = braun_pokutta.printed_lower(
                tail_prob=around, ball_prob_min=down(min(balls)), ball_prob_max=min(1.0, up(max(balls))), base=E
            )
            if not extremal and min(balls) + max(balls) >= 1:
                excluded.add(truth, found["printed"])
        for name, certificate in found.items():
            target = families if extremal else random
            if name in target:
                target[name].add(truth, certificate)
    # A constant layer on three symbols: I = 0, ball counts say 1/3.
    counts.add(F(0), math.log(3.0))
    label = "I(X; Y), nats"
    return [
        Panel("one radius", label, [random["printed"], random["binary"], families["binary"]]),
        Panel("the law of the distance", label, [random["law"], families["law"]]),
        Panel("best radius, variational", label, [random["best_radius"], random["variational"]]),
        Panel("", label, [excluded, families["printed"], counts], drawn=False),
    ]


def law_bound(joint: np.ndarray, distances: np.ndarray) -> BoundCertificate:
    """Divergence of the two laws of the distance."""
    _, first, second = braun_pokutta.distance_laws(joint, distances)
    return braun_pokutta.law_lower(joint_law=first, product_law=second, base=E)


def score_bound(law: Law, copies: Law, rho: Distances, rng: Random) -> BoundCertificate:
    """A score that falls with the distance."""
    slope = rng.randint(1, 4)
    score = sum((m * (1 - slope * rho[p[0]][p[1]]) for p, m in law.items()), F(0))
    partition = Decimal(0)
    for p, m in copies.items():
        partition += decimal(m) * decimal(1 - slope * rho[p[0]][p[1]]).exp()
    return braun_pokutta.variational_lower(mean_score=down(score), mean_exp_score=up(partition), base=E)


PAGES = {"fano": theorem_3, "braun_pokutta": theorem_4}
