"""Points of the pages on the definitions, Lemmas 1 to 5 and Proposition 1."""

from __future__ import annotations

from fractions import Fraction
from random import Random

import numpy as np
from theorem_clouds import Cloud, Panel, down, up
from theorem_laws import (
    CIRCLE,
    Law,
    close_law,
    cosine,
    pair_table,
    random_chain,
    random_distances,
    random_law,
    random_pair,
    random_values,
    table,
)
from theorem_truth import (
    conditional_entropy,
    divergence,
    functional_gap,
    information_given,
    marginal,
    mean_distance,
    minus,
    root_up,
    square,
    tail,
)

from redundancy.bounds import laws, lemmas
from redundancy.bounds import tail as tails
from redundancy.interval import Interval
from redundancy.notions import plug_in_conditional_entropy
from redundancy.pid import broja

F = Fraction
LAWS = 120


def definitions() -> list[Panel]:
    """Both tails of one distance, exact values of a known law, and what a plug-in estimate makes of Definition 4."""
    rng = Random(1)
    strict = Cloud("tail.strict_tail_upper", "random laws, t on an atom", side="upper")
    closed = Cloud("tail.closed_tail_lower", "random laws, t on an atom", side="lower")
    known = {
        name: Cloud(f"laws.{function}", "random laws", side="inside")
        for name, function in (
            ("mean_distance", "law_distance"),
            ("tail_prob", "law_tail"),
            ("tail_prob_closed", "law_tail_closed"),
            ("mismatch_prob", "law_mismatch"),
            ("conditional_entropy", "forward_entropy_of_law"),
            ("backward_entropy", "backward_entropy_of_law"),
            ("information_next", "information_of_law"),
            ("functional_gap", "gap_of_law"),
        )
    }  # fmt: skip
    for _ in range(LAWS):
        size = rng.randint(2, 4)
        law, rho, t = close_law(rng, size, 3), random_distances(rng, size), F(rng.randint(0, 8), 4)
        above, at_least = tail(law, rho, t), tail(law, rho, t, strict=False)
        strict.add(above, tails.strict_tail_upper(tail_prob_closed=up(at_least)))
        closed.add(at_least, tails.closed_tail_lower(tail_prob=down(above)))
        pair, full = pair_table(law, size), table(law, shape=(size, size, 3))
        distances = np.array(rho, dtype=float)
        values = random_values(rng, 3, "vector")
        plain = np.array(values, dtype=float)
        e = np.e
        known["mean_distance"].add(mean_distance(law, rho), laws.law_distance(joint=pair, distances=distances))
        known["tail_prob"].add(above, laws.law_tail(joint=pair, distances=distances, t=float(t)))
        known["tail_prob_closed"].add(at_least, laws.law_tail_closed(joint=pair, distances=distances, t=float(t)))
        mismatch = sum((m for p, m in law.items() if p[0] != p[1]), F(0))
        known["mismatch_prob"].add(mismatch, laws.law_mismatch(joint=pair))
        known["conditional_entropy"].add(
            conditional_entropy(law, 0, 1), laws.forward_entropy_of_law(joint=pair, base=e)
        )
        known["backward_entropy"].add(conditional_entropy(law, 1, 0), laws.backward_entropy_of_law(joint=pair, base=e))
        known["information_next"].add(information_given(law, 2, 0, 1), laws.information_of_law(joint=full, base=e))
        known["functional_gap"].add(functional_gap(law, values), laws.gap_of_law(joint=full, task_values=plain))
    # The name of a refuted cloud is a claim, not a bound: plug-in entropy of independent uniform codes.
    plug_in = Cloud("def4", "plug-in entropy, 64 independent codes: no bound", refuted=True)
    curve = Cloud("def4", "plug-in estimate")
    truth = divergence({0: F(1)}, {0: F(1, 64)})  # ln 64
    for n in (100, 200, 500, 1000, 3000, 10_000, 30_000, 100_000):
        draws = [rng.randrange(64) for _ in range(2 * n)]
        estimate = plug_in_conditional_entropy(draws[:n], draws[n:], n_codes=64, base=np.e)
        plug_in.add(truth, estimate)
        curve.points.append((n, estimate))
    return [
        Panel("P(rho > t) ≤ P(rho ≥ t)", "P(rho > t)", [strict], bound_label="P(rho ≥ t)"),
        Panel("P(rho ≥ t) ≥ P(rho > t)", "P(rho ≥ t)", [closed], bound_label="P(rho > t)"),
        Panel(
            "64 independent codes",
            "samples",
            [curve],
            log=True,
            lines=True,
            reference=float(truth),
            bound_label="H(X | Y), nats",
        ),
        Panel("exact values", "value", [plug_in, *known.values()], drawn=False),
    ]


def lemmas_page() -> list[Panel]:
    """Lemmas 1 to 5 on points and laws."""
    rng = Random(2)
    one = [Cloud("lemmas.squared_triangle_upper", "printed"), Cloud("lemmas.squared_triangle_minkowski", "sharp")]
    three = [Cloud("lemmas.squared_sum_upper", "printed"), Cloud("lemmas.sum_minkowski", "sharp")]
    equal = Cloud("lemmas.squared_sum_upper", "a = b = c", extremal=True)
    line = Cloud("lemmas.squared_triangle_upper", "0, k, 2k on the line", extremal=True)
    for _ in range(LAWS):
        x, y, z = ((F(rng.randint(-9, 9)), F(rng.randint(-9, 9) * rng.randint(0, 1))) for _ in range(3))
        first, second = root_up(square(minus(x, z))), root_up(square(minus(z, y)))
        one[0].add(square(minus(x, y)), lemmas.squared_triangle_upper(first=first, second=second))
        one[1].add(square(minus(x, y)), lemmas.squared_triangle_minkowski(first=first, second=second))
        total = tuple(a + b + c for a, b, c in zip(x, y, z, strict=True))
        squares = dict(zip(("first", "second", "third"), (float(square(v)) for v in (x, y, z)), strict=True))
        three[0].add(square(total), lemmas.squared_sum_upper(**squares))
        three[1].add(square(total), lemmas.sum_minkowski(**squares))
    for k in range(1, 10):
        line.add(F(4 * k * k), lemmas.squared_triangle_upper(first=float(k), second=float(k)))
        equal.add(F(9 * k * k), lemmas.squared_sum_upper(first=float(k**2), second=float(k**2), third=float(k**2)))
    unit, plain = (
        Cloud("lemmas.squared_distance_of_cosine", "unit vectors", side="inside"),
        Cloud("lemmas.squared_distance_of_norms", "norms in [1, 2]"),
    )
    dropped = Cloud("lemmas.squared_distance_of_cosine", "norms 1 and 3: false", refuted=True, extremal=True)
    for _ in range(LAWS):
        size = rng.randint(2, 4)
        law, points = random_pair(rng, size), rng.sample(CIRCLE, size)
        rho = [[cosine(u, v) for v in points] for u in points]
        e = mean_distance(law, rho)
        unit.add(2 * e, lemmas.squared_distance_of_cosine(mean_distance=Interval(down(e), up(e))))
        scales = [[F(rng.randint(4, 8), 4) for _ in range(size)] for _ in range(2)]
        xs, ys = ([tuple(c * s for c in v) for v, s in zip(points, scale, strict=True)] for scale in scales)
        gap = sum((m * (scales[0][x] - scales[1][y]) ** 2 for (x, y, _), m in law.items()), F(0))
        truth = sum((m * square(minus(xs[x], ys[y])) for (x, y, _), m in law.items()), F(0))
        plain.add(
            truth,
            lemmas.squared_distance_of_norms(
                mean_distance=up(e), norm_gap_squared=up(gap), norm_lower=1.0, norm_upper=2.0
            ),
        )
    for k in range(1, 10):
        # e1 and 3 e1 with probability k/10, else equal: all cosine distances are 0.
        dropped.add(F(4 * k, 10), lemmas.squared_distance_of_cosine(mean_distance=0.0))
    four, five = (
        Cloud("lemmas.divergence_information", "chains", side="inside"),
        Cloud("lemmas.self_unique_information", "random laws", side="inside"),
    )
    unchained = Cloud("lemmas.divergence_information", "no chain: false", refuted=True, extremal=True)
    for _ in range(LAWS // 2):
        size = rng.randint(2, 3)
        law = random_chain(rng, "prev-next-task", size, 3)
        four.add(
            information_given(law, 2, 0, 1),
            lemmas.divergence_information(joint=table(law, shape=(size, size, 3)), base=np.e),
        )
        pair = random_pair(rng, size)
        h = conditional_entropy(pair, 0, 1)
        five.add(h, lemmas.self_unique_information(joint=pair_table(pair, size), base=np.e))
        loose = random_law(rng, size, size, 2)
        value = mean_divergence(loose)
        if value is not None:
            unchained.add(information_given(loose, 2, 0, 1), float(value))
    self_unique = Cloud("lemmas.self_unique_information", "BROJA of (X, X, Y)", extremal=True)
    for _ in range(12):
        pair = random_pair(rng, 3)
        cube = np.zeros((3, 3, 3))
        for (x, y, _), m in pair.items():
            cube[x, x, y] += float(m)
        result = broja(cube, base=np.e)
        self_unique.add(conditional_entropy(pair, 0, 1), result.unique_x.upper)
        if Fraction(result.unique_x.lower) > Fraction(conditional_entropy(pair, 0, 1)):
            self_unique.broken += 1
    return [
        Panel("Lemma 1", "d(x, y)²", [*one, line]),
        Panel("Lemma 2", "E|X - Y|²", [unit, plain, dropped], bound_label="value or upper bound"),
        Panel("Lemma 3", "|a + b + c|²", [*three, equal]),
        Panel("Lemma 4", "I(Z; X | Y), nats", [four, unchained], bound_label="E D(P(Z|X) || P(Z|Y)), nats"),
        Panel("Lemma 5", "H(X | Y), nats", [five, self_unique], bound_label="Uni(X : X \\ Y), nats"),
    ]


def mean_divergence(law: Law) -> Fraction | None:
    """E D(P(Z|X) || P(Z|Y)); None if it is infinite."""
    by_x, by_y = (kernel(law, axis) for axis in (0, 1))
    total = F(0)
    for (x, y), m in marginal(law, lambda p: p[:2]).items():
        if any(k not in by_y[y] for k in by_x[x]):
            return None
        total += m * F(divergence(by_x[x], by_y[y]))
    return total


def kernel(law: Law, axis: int) -> dict[int, dict[int, Fraction]]:
    """P(z | state) for each state of one axis."""
    joint, single = marginal(law, lambda p: (p[axis], p[2])), marginal(law, lambda p: p[axis])
    rows: dict[int, dict[int, Fraction]] = {s: {} for s in single}
    for (s, z), m in joint.items():
        rows[s][z] = m / single[s]
    return rows


def proposition_1() -> list[Panel]:
    """Mean distance against what its tails say."""
    rng = Random(3)
    upper, lower = Cloud("tail.sandwich_upper", "one t"), Cloud("tail.sandwich_lower", "one t", side="lower")
    grid_up, grid_low = (
        Cloud("tail.sandwich_grid", "grid of 5"),
        Cloud("tail.sandwich_grid", "grid of 5", side="lower"),
    )
    printed = Cloud("tail.printed_upper", "distances in [0, 1]")
    cosine_range = Cloud("tail.printed_upper", "printed range, cosine distance: false", refuted=True)
    markov, converse = (
        Cloud("tail.tail_closed_upper", "P(rho ≥ t)"),
        Cloud("tail.tail_lower", "P(rho > t)", side="lower"),
    )
    grid = [F(k, 2) for k in range(5)]
    for _ in range(LAWS):
        size = rng.randint(2, 4)
        law, rho, t = random_pair(rng, size), random_distances(rng, size), F(rng.randint(1, 7), 4)
        e, above, closed = mean_distance(law, rho), tail(law, rho, t), tail(law, rho, t, strict=False)
        upper.add(e, tails.sandwich_upper(tail_prob=up(above), t=float(t)))
        lower.add(e, tails.sandwich_lower(tail_prob_closed=down(closed), t=float(t)))
        whole = tails.sandwich_grid(
            thresholds=[float(s) for s in grid],
            tail_upper=[up(tail(law, rho, s)) for s in grid],
            tail_closed_lower=[down(tail(law, rho, s, strict=False)) for s in grid],
        )
        grid_up.add(e, whole)
        grid_low.add(e, whole)
        half = [[d / 2 for d in row] for row in rho]
        printed.add(e / 2, tails.printed_upper(tail_prob=up(tail(law, half, t / 2)), t=float(t / 2)))
        if t < 1:
            cosine_range.add(e, tails.printed_upper(tail_prob=up(above), t=float(t)))
        markov.add(closed, tails.tail_closed_upper(mean_distance=up(e), t=float(t)))
        converse.add(above, tails.tail_lower(mean_distance=down(e), t=float(t)))
    top, bottom = (
        Cloud("tail.sandwich_upper", "mass on {t, 2}", extremal=True),
        Cloud("tail.sandwich_lower", "mass on {0, t}", side="lower", extremal=True),
    )
    example = Cloud("tail.printed_upper", "theory's example", refuted=True, extremal=True)
    for k in range(1, 10):
        p, t = F(k, 10), F(k, 8)
        top.add(t * (1 - p) + 2 * p, tails.sandwich_upper(tail_prob=up(p), t=float(t)))
        bottom.add(t * p, tails.sandwich_lower(tail_prob_closed=down(p), t=float(t)))
    t = p = F(1, 20)
    example.add(t * (1 - p) + 2 * p, tails.printed_upper(tail_prob=up(p), t=up(t)))
    e_label = "E rho"
    return [
        Panel("from one tail", e_label, [upper, top, lower, bottom]),
        Panel("from the tail on a grid", e_label, [grid_up, grid_low]),
        Panel("as printed", e_label, [printed, cosine_range, example]),
        Panel("from the mean to the tail", "tail probability", [markov, converse]),
    ]


PAGES = {"laws": definitions, "lemmas": lemmas_page, "tail": proposition_1}
