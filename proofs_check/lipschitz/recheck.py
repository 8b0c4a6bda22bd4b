"""Theorem 1 and the trivial caps, recomputed from a stored record, without the code that wrote it."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

from proofs_check.exact.enclosure import Enclosure, Real, enclose, exceeds, least, sqrt
from proofs_check.lemmas.recheck import UNIT_NORM
from proofs_check.recheck.record import Claim, Inputs, Refused

__all__ = ["CHAINS", "RULES", "gap"]


CHAINS = {
    "prev-next-task": (
        "chain_prev_next_task",
        "previous - next - task is a Markov chain (the task reads the next layer only)",
        "declared",
    ),
    "next-prev-task": (
        "chain_next_prev_task",
        "next - previous - task is a Markov chain (the next layer is computed from the previous)",
        "declared",
    ),
}


_SQUARE_INTEGRABLE = ("square_integrable", "the task variable has a finite second moment", "declared")


def gap(
    given: Inputs | None,
    upper: Real,
    *assumptions: tuple[str, str, str],
    evidence: str = "A",
    quantity: str = "functional_gap",
    lower: Real = Fraction(0),
    cap: Real = math.inf,
    slack: Real = Fraction(0),
) -> Claim:
    """An upper bound on a squared gap, at most `cap`, and at most `task_cap` if the record has one."""
    if given is not None and not given.absent("task_cap"):
        cap = least(enclose(cap), given.upper("task_cap"))
    top = least(enclose(upper), cap)
    if exceeds(lower, top):
        raise Refused("inputs", "the lower bound exceeds the upper one")
    return Claim(
        quantity=quantity,
        lower=lower,
        upper=top,
        trivial=(Fraction(0), cap),
        assumptions=assumptions,
        evidence=evidence,
        slack=slack,
    )


def _constants(given: Inputs) -> tuple[Enclosure, Enclosure]:
    return enclose(given.upper("alpha")), enclose(given.upper("beta"))


def _lipschitz(alpha: Enclosure | None, beta: Enclosure | None) -> list[tuple[str, str, str]]:
    found = []
    for name, layer, value in (("alpha", "next", alpha), ("beta", "previous", beta)):
        text = f"E[Z | both layers] is Lipschitz in the {layer} state"
        text += "" if value is None else f" with constant {float(value.upper):g}"
        found.append((f"lipschitz_{layer}", f"{text} ({name})", "declared"))
    return found


def _diameter(value: Fraction) -> tuple[str, str, str]:
    return ("task_diameter", f"no two task values are further apart than {float(value):g}", "declared")


def _printed(given: Inputs) -> Claim:
    a, b = _constants(given)
    e = given.evidence("mean_distance", 0, 2)[1]
    return gap(given, 4 * (a**2 * e + b**2 * e), *_lipschitz(a, b), UNIT_NORM)


def _minkowski(given: Inputs) -> Claim:
    a, b = _constants(given)
    return gap(given, (a + b) ** 2 * given.upper("squared_distance"), *_lipschitz(a, b))


def _unit_norm(given: Inputs) -> Claim:
    a, b = _constants(given)
    e = min(given.evidence("mean_distance", 0, 2)[1], Fraction(1))
    return gap(given, (a + b) ** 2 * (1 - (1 - e) ** 2), *_lipschitz(a, b), UNIT_NORM)


def _residual(given: Inputs) -> Claim:
    a, b = _constants(given)
    root = a * enclose(sqrt(given.upper("residual_next"))) + b * enclose(sqrt(given.upper("residual_prev")))
    return gap(given, root**2, *_lipschitz(a, b))


def _chain(given: Inputs) -> Claim:
    chain, constant = given.choice("chain", list(CHAINS)), enclose(given.upper("lipschitz"))
    zero = enclose(0)
    pair = (constant, zero) if chain == "prev-next-task" else (zero, constant)
    return gap(given, constant**2 * given.upper("residual"), CHAINS[chain], *_lipschitz(*pair))


def _truncated(given: Inputs) -> Claim:
    most = given.number("diameter", 0)
    roots = [sqrt(least(given.upper(name), most**2)) for name in ("truncated_next", "truncated_prev")]
    return gap(given, enclose(roots[0] + enclose(roots[1])) ** 2, *_lipschitz(None, None), _diameter(most))


def _proximal(given: Inputs) -> Claim:
    t, most = given.number("t", 0, 2), given.number("diameter", 0)
    p = given.probability("tail_prob")[1]
    a, b = _constants(given)
    root = enclose(0)
    for c in (a, b):
        near, far = least(2 * c**2 * t, enclose(most**2)), least(4 * c**2, enclose(most**2))
        root = root + enclose(sqrt(near * (1 - p) + far * p))
    return gap(given, root**2, *_lipschitz(a, b), _diameter(most), UNIT_NORM)


def _variance_cap(given: Inputs) -> Claim:
    upper: Real = math.inf if given.absent("task_variance") else given.upper("task_variance")
    if given.absent("radius"):
        if given.absent("task_variance"):
            raise Refused("inputs.radius", "need a variance or a radius")
        return gap(None, upper, _SQUARE_INTEGRABLE, evidence="P")
    radius = given.number("radius", 0)
    ball = ("enclosing_ball", f"all task values lie in one ball of radius {float(radius):g}", "declared")
    return gap(None, least(enclose(upper), radius**2), ball, evidence="P")


def _probe_cap(given: Inputs) -> Claim:
    root = enclose(sqrt(given.upper("error_next"))) + sqrt(given.upper("error_prev"))
    return gap(given, root**2, _SQUARE_INTEGRABLE, evidence="P")


RULES: dict[str, Callable[[Inputs], Claim]] = {
    "lipschitz.printed_upper": _printed,
    "lipschitz.minkowski_upper": _minkowski,
    "lipschitz.unit_norm_upper": _unit_norm,
    "lipschitz.residual_upper": _residual,
    "lipschitz.chain_upper": _chain,
    "lipschitz.truncated_upper": _truncated,
    "lipschitz.proximal_upper": _proximal,
    "lipschitz.variance_cap": _variance_cap,
    "lipschitz.probe_errors_cap": _probe_cap,
}
