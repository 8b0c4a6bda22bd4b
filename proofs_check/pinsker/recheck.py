"""Theorem 5, recomputed from a stored record, without the code that wrote it."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from proofs_check.exact.enclosure import Real, enclose, least, log, sqrt
from proofs_check.lemmas.recheck import marginal
from proofs_check.lipschitz.recheck import CHAINS, gap
from proofs_check.recheck.record import Claim, Inputs

__all__ = ["RULES", "ceiling", "range_text"]


_DISCRETE = ("discrete_states", "both layers are discrete (finite codes)", "declared")


_HALF = Fraction(1, 2)


def range_text(diameter: Fraction | None = None, radius: Fraction | None = None) -> tuple[str, str, str]:
    """What is declared of the range of the task."""
    parts = [] if diameter is None else [f"no two task values are further apart than {float(diameter):g}"]
    parts += [] if radius is None else [f"all task values lie in one ball of radius {float(radius):g}"]
    return ("task_range", " and ".join(parts), "declared")


def ceiling(diameter: Fraction | None, radius: Fraction | None) -> Real:
    """R^2, or Delta^2/2 which is no less (Jung)."""
    squares = [] if radius is None else [radius**2]
    return min([*squares, *([] if diameter is None else [diameter**2 / 2])])


def _printed(given: Inputs) -> Claim:
    norm = given.number("norm_bound", 0)
    upper = 2 * norm**2 * enclose(given.nats("conditional_entropy")[1])
    text = ("task_norm", f"the task has norm at most {float(norm):g}", "declared")
    return gap(None, upper, CHAINS["prev-next-task"], text, _DISCRETE, cap=norm**2)


def _information(given: Inputs) -> Claim:
    chain, diameter = given.choice("chain", list(CHAINS)), given.number("diameter", 0)
    upper = _HALF * diameter**2 * enclose(given.nats("information")[1])
    return gap(given, upper, CHAINS[chain], range_text(diameter), cap=ceiling(diameter, None))


def _entropy(given: Inputs) -> Claim:
    chain, radius = given.choice("chain", list(CHAINS)), given.number("radius", 0)
    bits = enclose(given.nats("entropy")[1]) / log(Fraction(2))
    return gap(given, radius**2 * bits, CHAINS[chain], range_text(None, radius), _DISCRETE, cap=radius**2)


def _guessing(given: Inputs) -> Claim:
    chain, radius = given.choice("chain", list(CHAINS)), given.number("radius", 0)
    _, masses = given.law("joint", 2)
    guessed = 0 if chain == "prev-next-task" else 1
    seen = marginal(masses, (1 - guessed,))
    best: dict[int, Fraction] = {}
    for index, p in masses.items():
        best[index[1 - guessed]] = max(best.get(index[1 - guessed], Fraction(0)), p)
    spread = Fraction(0)
    for (k,), mass in seen.items():
        p = best[k] / mass
        spread += mass * (4 * p * (1 - p) if p >= _HALF else 1)
    slack = radius**2 * Fraction(len(masses) + 4, 10**13)
    return gap(
        None, radius**2 * spread, CHAINS[chain], range_text(None, radius), _DISCRETE, cap=radius**2, slack=slack
    )  # fmt: skip


def _roots(given: Inputs, first: str, second: str) -> Real:
    return (enclose(sqrt(given.nats(first)[1])) + sqrt(given.nats(second)[1])) ** 2


def _free_information(given: Inputs) -> Claim:
    diameter = given.number("diameter", 0)
    upper = _HALF * diameter**2 * _roots(given, "information_next", "information_prev")
    return gap(given, upper, range_text(diameter), evidence="P", cap=ceiling(diameter, None))


def _free_entropy(given: Inputs) -> Claim:
    radius = given.number("radius", 0)
    diameter = None if given.absent("diameter") else given.number("diameter", 0)
    constant: Real = enclose(radius**2) / log(Fraction(2))
    if diameter is not None:
        constant = least(constant, diameter**2 / 2)
    upper = constant * _roots(given, "forward_entropy", "backward_entropy")
    return gap(given, upper, range_text(diameter, radius), _DISCRETE, evidence="P", cap=ceiling(diameter, radius))


RULES: dict[str, Callable[[Inputs], Claim]] = {
    "pinsker.printed_upper": _printed,
    "pinsker.chain_information_upper": _information,
    "pinsker.chain_entropy_upper": _entropy,
    "pinsker.guessing_upper": _guessing,
    "pinsker.free_information_upper": _free_information,
    "pinsker.free_entropy_upper": _free_entropy,
}
