"""Points of the pages on the corrected Figure 2 and on confidence: derived bounds, and bounds from samples."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from fractions import Fraction
from random import Random
from statistics import median

from theorem_clouds import Cloud, Panel, down, up
from theorem_laws import CIRCLE, close_law, cosine, random_chain, random_values
from theorem_truth import (
    conditional_entropy,
    functional_gap,
    information_given,
    lipschitz_squares,
    log,
    mean_distance,
    root_up,
    tail,
    variance,
)

from redundancy.bounds.implications import derive, given, intersection
from redundancy.bounds.task_range import task_range
from redundancy.certificates.certificate import BoundCertificate
from redundancy.concentration import (
    betting,
    clopper_pearson,
    clustered,
    empirical_bernstein,
    finite_population,
    hoeffding,
)
from redundancy.concentration.floor import distribution_free_floor
from redundancy.interval import Interval

F = Fraction
E = math.e
LAWS = 60
CHAINS = (None, "prev-next-task", "next-prev-task")
WINNERS: Counter[str] = Counter()  # of the last run of `implications`: which theorem gave the best bound on F


def around(value: object) -> Interval:
    """The narrowest interval of floats that holds a non-negative exact value."""
    return Interval(max(0.0, down(value)), max(0.0, up(value)))


def implications() -> list[Panel]:
    """Everything that follows from the exact quantities of a law, and which theorem says it best."""
    rng = Random(41)
    start = Cloud("implications.given", "a declared starting point", side="inside")
    gap_of = {
        "distances": Cloud("implications.intersection", "from distances"),
        "codes": Cloud("implications.intersection", "from code mismatch"),
        "information": Cloud("implications.intersection", "from entropies"),
    }
    WINNERS.clear()
    while len(start.points) < LAWS:
        size, n_z, chain = rng.randint(2, 3), 2, rng.choice(CHAINS)
        values = random_values(rng, n_z, "scalar")
        law = close_law(rng, size, n_z) if chain is None else random_chain(rng, chain, size, n_z)
        points = rng.sample(CIRCLE, size)
        constants = lipschitz_squares(law, values, points, points)
        gap = functional_gap(law, values)
        if constants is None or gap == 0:
            continue
        rho, t = [[cosine(u, v) for v in points] for u in points], F(1, 16)
        ends = task_range([[float(c) for c in v] for v in values])
        known = {
            "distances": {"mean_distance": around(mean_distance(law, rho)), "tail_prob": around(tail(law, rho, t))},
            "codes": {"mismatch_prob": around(sum((m for p, m in law.items() if p[0] != p[1]), F(0)))},
            "information": {
                "conditional_entropy": around(conditional_entropy(law, 0, 1)),
                "backward_entropy": around(conditional_entropy(law, 1, 0)),
                "information_next": around(information_given(law, 2, 0, 1)),
                "information_prev": around(information_given(law, 2, 1, 0)),
            },
        }
        limits = {
            "t": float(t), "alpha": root_up(constants[0]), "beta": root_up(constants[1]), "unit_norm": True,
            "diameter": ends.diameter, "radius": ends.radius, "kind": "scalar", "support_size": size,
        }  # fmt: skip
        for name, quantities in known.items():
            found = derive(known=quantities, chain=chain, base=E, **limits)
            gap_of[name].add(gap, intersection(statements=found.statements["functional_gap"]))
        everything = {q: v for quantities in known.values() for q, v in quantities.items()}
        everything["task_variance"] = around(variance(law, values))
        best = derive(known=everything, chain=chain, base=E, **limits).best("functional_gap")
        WINNERS[best.theorem] += 1
        start.add(gap, given(quantity="functional_gap", value=around(gap)))
    ball = Cloud("claim.proximal_informational", "P_t = 0, so H(X|Y) = 0: false", refuted=True, extremal=True)
    for size in (2, 16, 128, 1024):
        ball.add(log(F(size)), 0.0)  # independent, uniform on one ball
    return [
        Panel("F from what is known", "F", list(gap_of.values()), log=True, floor=1e-4),
        Panel("proximal, not informational", "H(X | Y), nats", [ball], bound_label="what the false claim says"),
        Panel("", "F", [start], drawn=False),
    ]


LEVEL = 0.95
REPEATS = 60
MISSES = 10  # P(Binomial(60, 0.05) > 10) < 1e-3
Method = Callable[..., BoundCertificate]
LEGEND = {
    "betting_sequence": "sequence", "empirical_bernstein": "Bernstein", "hoeffding": "Hoeffding",
    "clopper_pearson": "Clopper-Pearson",
}  # fmt: skip


def image_law(rng: Random) -> list[Fraction]:
    """Equally likely values of one image in twentieths: mostly small, sometimes 1."""
    top = rng.choice((1, 2, 5, 20))
    return [F(rng.randint(0, top), 20) for _ in range(8)] + [
        F(rng.randint(0, 20), 20) for _ in range(rng.randint(0, 2))
    ]


def confidence() -> list[Panel]:
    """Every sampling argument on samples of known laws, and the width of the upper ones against n."""
    rng = Random(42)
    plain: dict[str, tuple[Method, Method]] = {
        "betting": (betting.betting_upper, betting.betting_lower),
        "betting_sequence": (betting.betting_sequence_upper, betting.betting_sequence_lower),
        "empirical_bernstein": (
            empirical_bernstein.empirical_bernstein_upper,
            empirical_bernstein.empirical_bernstein_lower,
        ),
        "hoeffding": (hoeffding.hoeffding_upper, hoeffding.hoeffding_lower),
    }
    names = [*plain, "clopper_pearson", "finite_population"]
    labels = {n: LEGEND.get(n, n.replace("_", " ")) for n in names}
    upper = {n: Cloud(f"concentration.{n}_upper", label, allowed=MISSES) for n, label in labels.items()}
    lower = {n: Cloud(f"concentration.{n}_lower", label, side="lower", allowed=MISSES) for n, label in labels.items()}
    band = Cloud("concentration.dkw_band", "largest deviation on the grid", allowed=MISSES)
    tails = Cloud("concentration.dkw_tail", "all of a grid at once", side="inside", allowed=MISSES)
    for _ in range(REPEATS):
        n, atoms = rng.choice((60, 150, 300)), image_law(rng)
        mean = sum(atoms, F(0)) / len(atoms)
        values = [float(rng.choice(atoms)) for _ in range(n)]
        for name, (high, low) in plain.items():
            upper[name].add(mean, high(values=values, confidence_level=LEVEL))
            lower[name].add(mean, low(values=values, confidence_level=LEVEL))
        population = [rng.choice(atoms) for _ in range(2 * n)]
        whole, seen = sum(population, F(0)) / len(population), [float(v) for v in rng.sample(population, n)]
        finite = {"values": seen, "population_size": 2 * n, "confidence_level": LEVEL}
        upper["finite_population"].add(whole, finite_population.finite_population_upper(**finite))
        lower["finite_population"].add(whole, finite_population.finite_population_lower(**finite))
        p = F(rng.choice((1, 2, 5, 20, 50)), 100)
        outcomes = [int(rng.random() < p) for _ in range(n)]
        upper["clopper_pearson"].add(p, clopper_pearson.clopper_pearson_upper(values=outcomes))
        lower["clopper_pearson"].add(p, clopper_pearson.clopper_pearson_lower(values=outcomes))
        cover_all_thresholds(rng, n, band, tails)
    axis = {"bound_label": "bound at 95 %"}
    return [
        Panel("upper bounds", "true mean", list(upper.values()), **axis),
        Panel("lower bounds", "true mean", list(lower.values()), **axis),
        Panel("median upper bound, P = 0.028", "images n", widths(), log=True, lines=True, reference=0.028, **axis),
        Panel("", "", [band, tails], drawn=False),
    ]


def cover_all_thresholds(rng: Random, n: int, band: Cloud, tails: Cloud) -> None:
    """Images of 10 tokens; the tokens of one image share a level, so they depend on each other strongly."""
    levels = [F(k, 10) for k in range(1, 10)]
    grid = [F(k, 10) for k in range(10)]
    tokens = []
    for _ in range(n):
        level = rng.choice(levels)
        tokens.append([F(rng.randint(0, int(10 * level)), 10) for _ in range(10)])
    certificate = clustered.dkw_band(n_images=n, confidence_level=LEVEL)
    worst, worst_bound = F(-1), None
    for t in grid:
        truth = sum((F(sum(F(v, 10) > t for v in range(int(10 * s) + 1)), int(10 * s) + 1) for s in levels), F(0)) / 9
        counts = [sum(v > t for v in image) for image in tokens]
        deviation = abs(F(sum(counts), 10 * n) - truth)
        bound = clustered.dkw_tail(band=certificate, values=counts, counts=[10] * n)
        if deviation > worst:
            worst, worst_bound = deviation, (truth, bound)
    band.add(worst, certificate)
    if worst_bound is not None:
        tails.add(*worst_bound)


def widths() -> Sequence[Cloud]:
    """Median upper bound on 0/1 outcomes of mean 0.028 against the number of images."""
    rng = Random(43)
    methods: dict[str, Method] = {
        "betting": betting.betting_upper,
        "sequence": betting.betting_sequence_upper,
        "Bernstein": empirical_bernstein.empirical_bernstein_upper,
        "Hoeffding": hoeffding.hoeffding_upper,
        "Clopper-Pearson": clopper_pearson.clopper_pearson_upper,
    }
    curves = [Cloud("concentration.betting_upper", name) for name in (*methods, "no method can beat")]
    for n in (50, 100, 200, 500, 1000, 2000):
        samples = [[float(rng.random() < 0.028) for _ in range(n)] for _ in range(25)]
        for curve, method in zip(curves, methods.values(), strict=False):
            curve.points.append((n, median(method(values=s).interval.upper for s in samples)))
        curves[-1].points.append((n, distribution_free_floor(n_images=n)))
    return curves


PAGES = {"implications": implications, "concentration": confidence}
