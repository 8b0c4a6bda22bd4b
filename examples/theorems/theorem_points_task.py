"""Points of the pages on Theorem 5, code mismatch and the performance gap: laws with a task."""

from __future__ import annotations

import math
from fractions import Fraction
from random import Random

from theorem_clouds import Cloud, Panel, down, up
from theorem_laws import (
    Law,
    close_law,
    lost_sign,
    made_sign,
    nearly_fair,
    noisy_copies,
    pair_table,
    random_chain,
    random_law,
    random_values,
    table,
)
from theorem_truth import (
    Vector,
    conditional_entropy,
    diameter_squared,
    functional_gap,
    information_given,
    marginal,
    mmse,
    root_up,
    square,
)

from redundancy.bounds import mismatch, pinsker
from redundancy.bounds.performance_gap import performance_gap_upper
from redundancy.bounds.task_range import task_range
from redundancy.certificates.certificate import BoundCertificate
from redundancy.pid import layer_pair_pid

F = Fraction
E = math.e
LAWS = 120
CHAINS = ("prev-next-task", "next-prev-task")


def floats(values: list[Vector]) -> list[list[float]]:
    """Integers, so exact."""
    return [[float(c) for c in v] for v in values]


def swapped(law: Law) -> Law:
    """The two layers exchanged."""
    return {(y, x, z): m for (x, y, z), m in law.items()}


def chain_forms(law: Law, values: list[Vector], chain: str) -> list[BoundCertificate]:
    """Theorem 5 under a chain: from information, entropy and the best guess."""
    ahead = law if chain == CHAINS[0] else swapped(law)
    ends = task_range(floats(values))
    size = 1 + max(max(p[:2]) for p in law)
    return [
        pinsker.chain_information_upper(
            chain=chain, information=up(information_given(ahead, 2, 0, 1)) + 1e-30, diameter=ends.diameter, base=E
        ),
        pinsker.chain_entropy_upper(
            chain=chain, entropy=max(0.0, up(conditional_entropy(ahead, 0, 1))), radius=ends.radius, base=E
        ),
        pinsker.guessing_upper(chain=chain, joint=pair_table(law, size), radius=ends.radius),
    ]


def theorem_5() -> list[Panel]:
    """Chains and no chain, printed and sharpened."""
    rng = Random(31)
    names = ("pinsker.chain_information_upper", "pinsker.chain_entropy_upper", "pinsker.guessing_upper")
    either = {n: Cloud(n, "either chain") for n in names}
    printed = Cloud("pinsker.printed_upper", "previous - next - task")
    free = [Cloud("pinsker.free_information_upper", "no chain"), Cloud("pinsker.free_entropy_upper", "no chain")]
    wrong = Cloud("pinsker.printed_upper", "next - previous - task: false", refuted=True, extremal=True)
    for k in range(LAWS):
        size, n_z = rng.randint(2, 4), rng.randint(2, 3)
        values = random_values(rng, n_z, rng.choice(("scalar", "vector", "one_hot")))
        chain = CHAINS[k % 2]
        law = random_chain(rng, chain, size, n_z)
        gap = functional_gap(law, values)
        for certificate in chain_forms(law, values, chain):
            either[certificate.theorem].add(gap, certificate)
        norm = root_up(max(square(v) for v in values))
        as_printed = pinsker.printed_upper(
            conditional_entropy=max(0.0, up(conditional_entropy(law, 0, 1))), norm_bound=norm, base=E
        )
        if chain == CHAINS[0]:
            printed.add(gap, as_printed)
        elif F(as_printed.interval.upper) < gap:
            wrong.add(gap, as_printed)
        law = close_law(rng, size, n_z) if k % 3 else random_law(rng, size, size, n_z)
        gap, ends = functional_gap(law, values), task_range(floats(values))
        free[0].add(
            gap,
            pinsker.free_information_upper(
                information_next=up(information_given(law, 2, 0, 1)) + 1e-30,
                information_prev=up(information_given(law, 2, 1, 0)) + 1e-30,
                diameter=ends.diameter,
                base=E,
            ),
        )
        free[1].add(
            gap,
            pinsker.free_entropy_upper(
                forward_entropy=max(0.0, up(conditional_entropy(law, 0, 1))),
                backward_entropy=max(0.0, up(conditional_entropy(law, 1, 0))),
                radius=ends.radius,
                diameter=ends.diameter,
                base=E,
            ),
        )
    for q in (F(0), F(1, 1000), F(1, 100), F(1, 20), F(1, 10)):
        law, values = lost_sign(q)
        entropy = max(0.0, up(conditional_entropy(law, 0, 1)))
        wrong.add(
            functional_gap(law, values), pinsker.printed_upper(conditional_entropy=entropy, norm_bound=1.0, base=E)
        )
    attained = (("information", "nearly fair coin"), ("entropy", "sign made anew"), ("guessing", "sign made anew"))
    coin = {n: Cloud(id_of, family, extremal=True) for (n, family), id_of in zip(attained, names, strict=True)}
    constants = [
        Cloud("pinsker.printed_upper", "1.44 B² for 2 B²: false", refuted=True, extremal=True),
        Cloud("pinsker.chain_information_upper", "Delta²/4 for Delta²/2: false", refuted=True, extremal=True),
    ]
    for delta in (F(1, 100), F(1, 10), F(1, 4), F(2, 5)):
        law, values = nearly_fair(delta)
        gap = functional_gap(law, values)
        coin["information"].add(gap, chain_forms(law, values, CHAINS[0])[0])
        constants[1].add(gap, down(F(information_given(law, 2, 0, 1)) / 4))
    for q in (F(1, 2), F(2, 5), F(1, 4), F(1, 10), F(1, 100)):
        law, values = made_sign(q)
        gap = functional_gap(law, values)
        _, entropy, guessing = chain_forms(law, values, CHAINS[0])
        coin["entropy"].add(gap, entropy)
        coin["guessing"].add(gap, guessing)
    law, values = made_sign()
    constants[0].add(functional_gap(law, values), 1.44 * math.log(2.0))
    chained = [either[names[0]], either[names[1]], coin["information"], coin["entropy"]]
    guessed = [either[names[2]], coin["guessing"], *free]
    return [
        Panel("as printed", "F", [printed, wrong], log=True, floor=1e-4),
        Panel("either chain", "F", chained, log=True, floor=1e-4),
        Panel("the best guess; no chain", "F", guessed, log=True, floor=1e-4),
        Panel("", "F", constants, drawn=False),
    ]


def code_mismatch() -> list[Panel]:
    """The functional gap against how often codes differ."""
    rng = Random(32)
    exact = {
        k: Cloud("mismatch.mismatch_upper", f"kappa, {k.replace('_', '-')}") for k in ("scalar", "one_hot", "vector")
    }
    diameter = {k: Cloud("mismatch.mismatch_upper_of_diameter", f"diameter, {k.replace('_', '-')}") for k in exact}
    coupled = [
        Cloud("mismatch.coupling_upper", "previous - next - task"),
        Cloud("mismatch.coupling_upper", "next - previous - task"),
    ]
    for k in range(LAWS):
        kind = ("scalar", "one_hot", "vector")[k % 3]
        size, n_z = rng.randint(2, 3), rng.randint(2, 4)
        law, values = close_law(rng, size, n_z), random_values(rng, n_z, kind)
        gap = functional_gap(law, values)
        miss = up(sum((m for p, m in law.items() if p[0] != p[1]), F(0)))
        exact[kind].add(gap, mismatch.mismatch_upper(mismatch_prob=miss, task_values=floats(values)))
        diameter[kind].add(
            gap,
            mismatch.mismatch_upper_of_diameter(
                mismatch_prob=miss, diameter=root_up(diameter_squared(values)), kind=kind
            ),
        )
        chain = CHAINS[k % 2]
        law = random_chain(rng, chain, size, n_z)
        ahead = law if k % 2 == 0 else swapped(law)
        best: dict[int, Fraction] = {}
        for (_, y), m in marginal(ahead, lambda p: p[:2]).items():
            best[y] = max(best.get(y, F(0)), m)
        coupled[k % 2].add(
            functional_gap(law, values),
            mismatch.coupling_upper(
                chain=chain, miss_prob=up(1 - sum(best.values())), diameter=root_up(diameter_squared(values))
            ),
        )
    copies = Cloud("mismatch.mismatch_upper", "rare sign", extremal=True)
    for q in (F(1, 2), F(1, 4), F(1, 10), F(1, 100), F(1, 1000)):
        law, values = made_sign(q)
        copies.add(
            functional_gap(law, values), mismatch.mismatch_upper(mismatch_prob=up(q), task_values=floats(values))
        )
    plane = Cloud(
        "mismatch.mismatch_upper", "Delta² for kappa, four values in the plane: false", refuted=True, extremal=True
    )
    law, points = plane_example()
    miss = sum((m for p, m in law.items() if p[0] != p[1]), F(0))
    plane.add(functional_gap(law, points), down(diameter_squared(points) * miss))
    return [
        Panel("kappa from the task values", "F", [*exact.values(), copies], log=True, floor=1e-4),
        Panel("the diameter alone", "F", list(diameter.values()), log=True, floor=1e-4),
        Panel("a predictor, one chain", "F", coupled, log=True, floor=1e-4),
        Panel("", "F", [plane], drawn=False),
    ]


def plane_example() -> tuple[Law, list[Vector]]:
    """Two rare disagreements and a third rare cell that pulls both predictors outward; diameter 1."""
    rare = F(1, 10**5)
    law = {(1, 1, 0): 1 - 3 * rare, (0, 1, 1): rare, (1, 0, 2): rare, (0, 0, 3): rare}
    values = [(F(0), F(0)), (F(12, 13), F(5, 13)), (F(12, 13), F(-5, 13)), (F(1), F(0))]
    return law, values


def performance_gap() -> list[Panel]:
    """What ideal readers lose by reading the previous layer, against unique information."""
    rng = Random(33)
    uni = Cloud("performance_gap.performance_gap_upper", "BROJA, random")
    informed = Cloud("performance_gap.performance_gap_upper", "I(Z; X | Y) in its place")
    chained = Cloud("performance_gap.performance_gap_upper", "chain previous - next - task", extremal=True)
    on_gap = Cloud("performance_gap.performance_gap_upper", "the same bound on F: false", refuted=True, extremal=True)
    two_sided = Cloud(
        "performance_gap.performance_gap_upper", "on the absolute difference: false", refuted=True, extremal=True
    )
    for k in range(LAWS // 2):
        size, n_z = rng.randint(2, 3), rng.randint(2, 3)
        values = random_values(rng, n_z, "one_hot")
        law = random_chain(rng, CHAINS[0], size, n_z) if k % 4 == 0 else random_law(rng, size, size, n_z)
        loss, ends = mmse(law, values, 1) - mmse(law, values, 0), task_range(floats(values))
        result = layer_pair_pid(table(law, shape=(size, size, n_z)), base=E)
        limits = {"diameter": ends.diameter, "base": E}
        certificate = performance_gap_upper(unique_information=result.unique_x, **limits)
        (chained if k % 4 == 0 else uni).add(loss, certificate)
        information = up(information_given(law, 2, 0, 1)) + 1e-30
        informed.add(loss, performance_gap_upper(unique_information=information, **limits))
    coin = Cloud("performance_gap.performance_gap_upper", "nearly fair coin", extremal=True)
    for delta in (F(1, 100), F(1, 10), F(1, 4), F(2, 5)):
        law, values = nearly_fair(delta)
        result = layer_pair_pid(table(law), base=E)
        certificate = performance_gap_upper(unique_information=result.unique_x, diameter=1.0, base=E)
        coin.add(mmse(law, values, 1) - mmse(law, values, 0), certificate)
    for error in (F(1, 10), F(1, 4), F(2, 5)):
        law, values = noisy_copies(error)
        result = layer_pair_pid(table(law), base=E)
        certificate = performance_gap_upper(unique_information=result.unique_x, diameter=2.0, base=E)
        on_gap.add(functional_gap(law, values), certificate)
    law, values = lost_sign()
    loss = mmse(law, values, 1) - mmse(law, values, 0)
    two_sided.add(abs(loss), performance_gap_upper(unique_information=0.0, diameter=2.0, base=E))
    positive = "mmse(prev) - mmse(next)"
    return [
        Panel("by unique information", positive, [uni, chained, coin]),
        Panel("by I(Z; X | Y)", positive, [informed]),
        Panel("what it does not bound", "F, |mmse difference|", [on_gap, two_sided]),
    ]


PAGES = {"pinsker": theorem_5, "mismatch": code_mismatch, "performance_gap": performance_gap}
