"""Points of the pages on Theorems 1 and 2: the functional gap of laws on rational states."""

from __future__ import annotations

from fractions import Fraction
from random import Random

from theorem_clouds import Cloud, Panel, down, up
from theorem_laws import CIRCLE, Law, close_law, flipped_sign, random_chain, random_values
from theorem_truth import (
    Vector,
    diameter_squared,
    dot,
    functional_gap,
    lipschitz_squares,
    minus,
    mmse,
    predictor,
    residual,
    root_up,
    square,
    squared_distance,
    variance,
)

from redundancy.bounds import lipschitz, plug_in
from redundancy.bounds.task_range import task_range
from redundancy.certificates.certificate import BoundCertificate
from redundancy.interval import Interval

F = Fraction
LAWS = 120
FLIPS = [F(1, 10**k) for k in (1, 2, 3, 4)] + [F(1, 4), F(1, 3), F(1, 2)]
THRESHOLDS = [F(0), F(1, 50), F(1, 10), F(1, 2), F(1), F(2)]


def range_of(values: list[Vector]) -> float:
    """The diameter, as a float that is at least it."""
    return root_up(diameter_squared(values))


def truncated(law: Law, points: list[Vector], constant: Fraction, cap: Fraction) -> Fraction:
    """E min(constant |X - Y|^2, cap)."""
    return sum((m * min(constant * square(minus(points[p[0]], points[p[1]])), cap) for p, m in law.items()), F(0))


def far_mass(law: Law, points: list[Vector], t: Fraction) -> Fraction:
    """P(rho > t) for unit vectors, where |X - Y|^2 = 2 rho."""
    return sum((m for p, m in law.items() if square(minus(points[p[0]], points[p[1]])) > 2 * t), F(0))


def proximal(law: Law, points: list[Vector], a: float, b: float, values: list[Vector]) -> BoundCertificate:
    """The best threshold of a few."""
    found = [
        lipschitz.proximal_upper(
            tail_prob=up(far_mass(law, points, t)), t=min(2.0, up(t)), alpha=a, beta=b, diameter=range_of(values)
        )
        for t in THRESHOLDS
    ]
    return min(found, key=lambda c: c.interval.upper)


def forms(law: Law, values: list[Vector], points: list[Vector], a2: Fraction, b2: Fraction) -> list[BoundCertificate]:
    """All forms of Theorem 1 on unit states."""
    a, b, cap = root_up(a2), root_up(b2), diameter_squared(values)
    d = squared_distance(law, points, points)
    v_next, v_prev = residual(law, points, 0), residual(law, points, 1)
    parts = {
        "truncated_next": up(truncated(law, points, a2, cap)),
        "truncated_prev": up(truncated(law, points, b2, cap)),
    }
    return [
        lipschitz.printed_upper(mean_distance=up(d / 2), alpha=a, beta=b),
        lipschitz.minkowski_upper(squared_distance=up(d), alpha=a, beta=b),
        lipschitz.unit_norm_upper(mean_distance=up(d / 2), alpha=a, beta=b),
        lipschitz.residual_upper(residual_next=up(v_next), residual_prev=up(v_prev), alpha=a, beta=b),
        lipschitz.truncated_upper(**parts, diameter=range_of(values)),
        proximal(law, points, a, b, values),
    ]


def draw(rng: Random) -> tuple[Law, list[Vector], list[Vector], Fraction, Fraction, Fraction]:
    """A law on unit states whose h is Lipschitz and whose gap is positive."""
    while True:
        size = rng.randint(2, 4)
        start = rng.randint(0, 4)
        points = rng.sample(CIRCLE if rng.random() < 0.5 else CIRCLE[start : start + size], size)
        n_z = rng.randint(2, 3)
        law, values = close_law(rng, size, n_z), random_values(rng, n_z, rng.choice(("scalar", "vector", "one_hot")))
        constants, gap = lipschitz_squares(law, values, points, points), functional_gap(law, values)
        if constants is not None and gap > 0:
            return law, values, points, *constants, gap


def theorem_1() -> list[Panel]:
    """Every form of Theorem 1 and the caps, on random unit states and on a flipped sign."""
    rng = Random(11)
    names = [f"lipschitz.{n}_upper" for n in ("printed", "minkowski", "unit_norm", "residual", "truncated", "proximal")]
    random = {n: Cloud(n, "random") for n in names}
    flipped = {n: Cloud(n, "flipped sign", extremal=True) for n in names}
    caps = [
        Cloud("lipschitz.variance_cap", "Var Z"),
        Cloud("lipschitz.variance_cap", "R²"),
        Cloud("lipschitz.probe_errors_cap", "probes"),
    ]
    for _ in range(LAWS):
        law, values, points, a2, b2, gap = draw(rng)
        for certificate in forms(law, values, points, a2, b2):
            random[certificate.theorem].add(gap, certificate)
        floats = [[float(c) for c in v] for v in values]
        caps[0].add(gap, lipschitz.variance_cap(task_variance=up(variance(law, values))))
        caps[1].add(gap, lipschitz.variance_cap(radius=task_range(floats).radius))
        errors = {"error_next": up(mmse(law, values, 0)), "error_prev": up(mmse(law, values, 1))}
        caps[2].add(gap, lipschitz.probe_errors_cap(**errors))
    for q in FLIPS:
        law, values, points = flipped_sign(q, lambda x, y: x + y)
        for certificate in forms(law, values, points, F(1), F(1)):
            flipped[certificate.theorem].add(functional_gap(law, values), certificate)
    chains = [
        Cloud("lipschitz.chain_upper", "previous - next - task"),
        Cloud("lipschitz.chain_upper", "next - previous - task"),
    ]
    while len(chains[1].points) < LAWS // 2:
        for axis, cloud in enumerate(chains):
            size = rng.randint(2, 3)
            points = rng.sample(CIRCLE, size)
            law = random_chain(rng, ("prev-next-task", "next-prev-task")[axis], size, 2)
            values = random_values(rng, 2, "scalar")
            constants = lipschitz_squares(law, values, points, points)
            if constants is None:
                continue
            cloud.add(
                functional_gap(law, values),
                lipschitz.chain_upper(
                    chain=("prev-next-task", "next-prev-task")[axis],
                    residual=up(residual(law, points, axis)),
                    lipschitz=root_up(constants[axis]),
                ),
            )
    swapped = Cloud("lipschitz.residual_upper", "residuals swapped: false", refuted=True, extremal=True)
    half = Cloud("lipschitz.minkowski_upper", "alpha² + beta² for (alpha + beta)²: false", refuted=True, extremal=True)
    law, values = {(0, 0, 0): F(1, 2), (0, 1, 1): F(1, 2)}, [(F(-1),), (F(1),)]
    swapped.add(functional_gap(law, values), 0.0)
    for q in FLIPS[:4]:
        law, values, points = flipped_sign(q, lambda x, y: x + y)
        half.add(functional_gap(law, values), up(2 * squared_distance(law, points, points)))
    rest = [
        flipped["lipschitz.printed_upper"],
        flipped["lipschitz.unit_norm_upper"],
        flipped["lipschitz.proximal_upper"],
        swapped,
        half,
    ]
    return [
        Panel(
            "printed, Minkowski",
            "F",
            [
                random["lipschitz.printed_upper"],
                random["lipschitz.minkowski_upper"],
                flipped["lipschitz.minkowski_upper"],
            ],
            log=True,
        ),
        Panel(
            "unit norm, residuals",
            "F",
            [
                random["lipschitz.unit_norm_upper"],
                random["lipschitz.residual_upper"],
                flipped["lipschitz.residual_upper"],
            ],
            log=True,
        ),
        Panel(
            "truncated, proximal",
            "F",
            [
                random["lipschitz.truncated_upper"],
                random["lipschitz.proximal_upper"],
                flipped["lipschitz.truncated_upper"],
            ],
            log=True,
        ),
        Panel("caps and single chains", "F", [*caps, *chains], log=True),
        Panel("", "F", rest, drawn=False),
    ]


def probes(rng: Random, ideal: dict[int, Vector]) -> dict[int, Vector]:
    """The ideal predictor with small errors."""
    scale = rng.choice((1, 10, 100))
    return {k: tuple(c + F(rng.randint(-2, 2), scale) for c in v) for k, v in ideal.items()}


def theorem_2() -> list[Panel]:
    """G and F of perturbed predictors, both directions."""
    rng = Random(12)
    names = {"printed": "printed_upper", "minkowski": "minkowski_bounds", "function": "function_upper"}
    random = {n: Cloud(f"plug_in.{name}", "random") for n, name in names.items()}
    lower = Cloud("plug_in.minkowski_bounds", "random, lower end", side="lower")
    inverse = [Cloud("plug_in.inverse_bounds", "upper end"), Cloud("plug_in.inverse_bounds", "lower end", side="lower")]
    linear = Cloud("plug_in.probe_lipschitz_upper", "linear probes")
    for _ in range(LAWS):
        law, values, points, a2, b2, gap = draw(rng)
        if rng.random() < 0.3:  # the next state a function of the previous one
            target = [rng.randrange(len(points)) for _ in points]
            moved: Law = {}
            for (_, y, z), m in law.items():
                moved[target[y], y, z] = moved.get((target[y], y, z), F(0)) + m
            law, gap = moved, functional_gap(moved, values)
            constants = lipschitz_squares(law, values, points, points)
            if constants is None:
                continue
            a2, b2 = constants
            deterministic = True
        else:
            deterministic = False
        ideal = [predictor(law, values, lambda p, a=axis: p[a]) for axis in (0, 1)]
        fitted = [probes(rng, f) for f in ideal]
        eta = [sum((m * square(minus(fitted[a][p[a]], ideal[a][p[a]])) for p, m in law.items()), F(0)) for a in (0, 1)]
        g = sum((m * square(minus(fitted[0][p[0]], fitted[1][p[1]])) for p, m in law.items()), F(0))
        errors = {"error_next": up(eta[0]), "error_prev": up(eta[1])}
        e = up(squared_distance(law, points, points) / 2)
        a, b = root_up(a2), root_up(b2)
        random["printed"].add(g, plug_in.printed_upper(**errors, mean_distance=e, alpha=a, beta=b))
        certificate = plug_in.minkowski_bounds(functional_gap=Interval(down(gap), up(gap)), **errors)
        random["minkowski"].add(g, certificate)
        lower.add(g, certificate)
        back = plug_in.inverse_bounds(probe_gap=Interval(down(g), up(g)), **errors)
        inverse[0].add(gap, back)
        inverse[1].add(gap, back)
        if deterministic:
            random["function"].add(g, plug_in.function_upper(functional_gap=up(gap), **errors))
        weights = tuple(F(rng.randint(-3, 3)) for _ in range(2))
        shift = sum((m * dot(weights, minus(points[p[0]], points[p[1]])) ** 2 for p, m in law.items()), F(0))
        linear.add(
            shift,
            plug_in.probe_lipschitz_upper(
                squared_distance=up(squared_distance(law, points, points)), lipschitz=root_up(square(weights))
            ),
        )
    family = Cloud("plug_in.printed_upper", "flipped sign, probes off by sqrt(q)/5", extremal=True)
    sharp = Cloud("plug_in.minkowski_bounds", "flipped sign, probes off by sqrt(q)/5", extremal=True)
    smaller = Cloud("plug_in.printed_upper", "constant 2.9 for 3: false", refuted=True, extremal=True)
    for root in (F(1, 10), F(1, 20), F(1, 40)):
        eta, gap, g = family_of_theory(root)
        errors = {"error_next": up(eta), "error_prev": up(eta)}
        family.add(g, up(3 * (2 * eta + gap)))
        sharp.add(g, plug_in.minkowski_bounds(functional_gap=Interval(down(gap), up(gap)), **errors))
        smaller.add(g, down(F(29, 10) * (2 * eta + gap)))
    return [
        Panel("G from F", "G", [random["printed"], random["minkowski"], sharp, lower], log=True),
        Panel("F from G", "F", inverse, log=True),
        Panel("deterministic layer, one probe", "G or probe shift", [random["function"], linear], log=True),
        Panel("", "G", [family, smaller], drawn=False),
    ]


def family_of_theory(root: Fraction) -> tuple[Fraction, Fraction, Fraction]:
    """Sign flipped with q = root^2, h = 1 at (0, 1), -1 at (1, 0): eta, F and G of probes off by root/5."""
    q = root**2
    law = {(0, 0, 1): (1 - q) / 2, (1, 1, 1): (1 - q) / 2, (0, 1, 2): q / 2, (1, 0, 0): q / 2}
    values = [(F(-1),), (F(0),), (F(1),)]
    f = [predictor(law, values, lambda p, a=axis: p[a]) for axis in (0, 1)]
    off = root / 5
    fitted = [{k: (v[0] + (off if (k == 0) == (axis == 0) else -off),) for k, v in f[axis].items()} for axis in (0, 1)]
    g = sum((m * square(minus(fitted[0][p[0]], fitted[1][p[1]])) for p, m in law.items()), F(0))
    return off**2, functional_gap(law, values), g


PAGES = {"lipschitz": theorem_1, "plug_in": theorem_2}
