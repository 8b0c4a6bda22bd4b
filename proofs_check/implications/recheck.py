"""Declared values and intersections, recomputed from a stored record, without the code that wrote it."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

from proofs_check.recheck.record import Claim, Inputs, Refused, exact

__all__ = ["RULES"]


_UNIT = (Fraction(0), Fraction(1))


_HALF_LINE = (Fraction(0), math.inf)


_RANGES = {
    "mean_distance": (Fraction(0), Fraction(2)),
    "tail_prob": _UNIT,
    "tail_prob_closed": _UNIT,
    "mismatch_prob": _UNIT,
    "ball_prob": _UNIT,
    "mmse_increase": (-math.inf, math.inf),
} | dict.fromkeys(
    [
        "mean_squared_distance", "log_loss", "conditional_entropy", "backward_entropy", "mutual_information",
        "information_next", "information_prev", "unique_information", "functional_gap", "task_variance", "probe_gap",
        "error_next", "error_prev",
    ],
    _HALF_LINE,
)  # fmt: skip


def _given(given: Inputs) -> Claim:
    quantity = given.choice("quantity", list(_RANGES))
    trivial = _RANGES[quantity]
    lower, upper = given.evidence("value", *trivial)
    status, evidence = ("estimated", "E") if given.flag("estimated") else ("declared", "P")
    text = f"{quantity} lies in [{float(lower):.6g}, {float(upper):.6g}], as given"
    return Claim(
        quantity=quantity,
        lower=lower,
        upper=upper,
        trivial=trivial,
        base=None if given.absent("base") else given.base(),
        assumptions=((f"given_{quantity}", text, status),),
        evidence=evidence,
    )


def _intersection(given: Inputs) -> Claim:
    match given.raw("statements"):
        case {"tuple": [{"certificate": _}, *_] as items}:
            trees = [item["certificate"] for item in items]
        case other:
            raise Refused("inputs.statements", f"need certificates, got {other!r}")
    if len({(tree["quantity"], tree["base"]) for tree in trees}) != 1:
        raise Refused("inputs.statements", "need statements about one quantity in one base")
    ends = {
        name: (
            max(exact(tree[name][0], name) for tree in trees),
            min(exact(tree[name][1], name) for tree in trees),
        )
        for name in ("interval", "trivial")
    }
    if ends["interval"][0] > ends["interval"][1]:
        raise Refused("inputs.statements", "the statements contradict each other")
    return Claim(
        quantity=trees[0]["quantity"],
        lower=ends["interval"][0],
        upper=ends["interval"][1],
        trivial=ends["trivial"],
        base=trees[0]["base"],
    )


RULES: dict[str, Callable[[Inputs], Claim]] = {
    "implications.given": _given,
    "implications.intersection": _intersection,
}
