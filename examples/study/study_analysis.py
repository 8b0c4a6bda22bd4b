"""How well a statistic ranks measured losses: Spearman, AUC, false "safe", bootstrap over models, power of an order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import binom, rankdata

__all__ = [
    "KINDS",
    "SAFE",
    "auc",
    "bootstrap",
    "fixed_sequence",
    "from_hex",
    "order_power",
    "rule_counts",
    "scores",
    "spearman",
    "to_hex",
    "within",
]

Floats = npt.NDArray[np.float64]
Cell = Mapping[str, Any]
SAFE = 0.02  # a plan is called harmless if it loses at most two points
KINDS = ("late entry", "vision exit")


def to_hex(bits: npt.ArrayLike) -> str:
    """0/1 values as hexadecimal text, padded with zeros at the end."""
    return np.packbits(np.asarray(bits, dtype=bool)).tobytes().hex()


def from_hex(text: str, n: int) -> npt.NDArray[np.bool_]:
    """Inverse of `to_hex` for `n` values."""
    return np.unpackbits(np.frombuffer(bytes.fromhex(text), dtype=np.uint8), count=n).astype(bool)


def spearman(x: npt.ArrayLike, y: npt.ArrayLike) -> float:
    """Spearman's rank correlation, ties at their mean rank; NaN if one side is constant or below three values."""
    a, b = rankdata(x), rankdata(y)
    if len(a) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])


def auc(harm: npt.ArrayLike, is_harmful: npt.ArrayLike) -> float:
    """Probability that a harmful plan is rated worse than a harmless one, ties count half; NaN with one class."""
    bad = np.asarray(is_harmful, dtype=bool)
    n_bad, n_good = int(bad.sum()), int((~bad).sum())
    if not n_bad or not n_good:
        return float("nan")
    rank_sum = rankdata(harm)[bad].sum()
    return float((rank_sum - n_bad * (n_bad + 1) / 2) / (n_bad * n_good))


def within(cells: Sequence[Cell], score: Callable[[Floats, Floats], float], name: str) -> float:
    """Mean of a score over groups of one model and kind; groups where it is undefined are left out."""
    groups: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        groups.setdefault((cell["copy"] if "copy" in cell else cell["model"], cell["kind"]), []).append(cell)
    values = np.array([score(*columns(group, name)) for group in groups.values()])
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")


def columns(cells: Sequence[Cell], name: str) -> tuple[Floats, Floats]:
    """Predicted harm and measured loss of cells; "predicted cost" stands for the predicted speed-up."""
    harm = [c["flop_speedup"] if name == "predicted cost" else c["predictors"][name] for c in cells]
    return np.array(harm, dtype=np.float64), np.array([c["loss"] for c in cells], dtype=np.float64)


def _auc_of(harm: Floats, loss: Floats) -> float:
    return auc(harm, loss > SAFE)


def statistics_of(cells: Sequence[Cell], name: str) -> dict[str, float]:
    """The scores of one predictor on cells: within models, pooled, and for each kind apart."""
    result = {
        "spearman_within": within(cells, spearman, name),
        "spearman_pooled": spearman(*columns(cells, name)),
        "auc_pooled": _auc_of(*columns(cells, name)),
    }
    for kind in KINDS:
        part = [c for c in cells if c["kind"] == kind]
        if part:
            result[f"spearman {kind}"] = spearman(*columns(part, name))
            result[f"auc {kind}"] = _auc_of(*columns(part, name))
    return result


def bootstrap(
    cells: Sequence[Cell], statistic: Callable[[list[Cell]], Mapping[str, float]], *, n: int = 100, seed: int = 0
) -> dict[str, list[float]]:
    """Percentile intervals (95 %) of several numbers, whole models drawn with replacement; undefined draws left out."""
    rng = np.random.default_rng(seed)
    by_model: dict[str, list[Cell]] = {}
    for cell in cells:
        by_model.setdefault(cell["model"], []).append(cell)
    names = sorted(by_model)
    draws: dict[str, list[float]] = {}
    for _ in range(n):
        chosen = rng.integers(len(names), size=len(names))
        sample = [{**cell, "copy": f"{i}"} for i, k in enumerate(chosen) for cell in by_model[names[k]]]
        for key, value in statistic(sample).items():
            draws.setdefault(key, []).append(value)
    intervals = {}
    for key, values in draws.items():
        finite = np.array(values)[np.isfinite(values)]
        ends = np.quantile(finite, [0.025, 0.975]) if len(finite) else (np.nan, np.nan)
        intervals[key] = [float(end) for end in ends]
    return intervals


def scores(cells: Sequence[Cell], names: Sequence[str], *, n_bootstrap: int = 100) -> list[dict[str, Any]]:
    """Scores of every predictor with intervals, best pooled AUC first."""
    rows = []
    for name in names:
        intervals = bootstrap(cells, lambda sample, name=name: statistics_of(sample, name), n=n_bootstrap)  # type: ignore[misc]
        rows.append({"predictor": name, **statistics_of(cells, name), "intervals": intervals})
    return sorted(rows, key=lambda row: (-row["auc_pooled"], row["predictor"]))


def rule_counts(cells: Sequence[Cell], says_safe: Callable[[Cell], bool]) -> dict[str, Any]:
    """How often a rule calls a plan safe, and how often wrongly: it loses more than two points.

    ``false_safe`` of ``called_safe`` calls are wrong; ``missed`` harmless plans are not called safe.
    """
    called = [c for c in cells if says_safe(c)]
    wrong = [c for c in called if c["loss"] > SAFE]
    harmless = sum(c["loss"] <= SAFE for c in cells)
    return {
        "cells": len(cells),
        "harmless": harmless,
        "called_safe": len(called),
        "false_safe": len(wrong),
        "false_safe_rate": len(wrong) / len(called) if called else None,
        "missed": harmless - (len(called) - len(wrong)),
        "worst_loss": max((c["loss"] for c in called), default=None),
    }


def fixed_sequence(p_values: npt.NDArray[np.float64], order: npt.ArrayLike, level: float) -> npt.NDArray[np.bool_]:
    """Plans certified by testing in `order` until the first p-value above `level`, shape of `p_values` (..., plans)."""
    positions = np.asarray(order)
    passed = np.logical_and.accumulate(p_values[..., positions] <= level, axis=-1)
    certified = np.zeros(p_values.shape, dtype=bool)
    certified[..., positions] = passed
    return certified


def order_power(
    losses: npt.NDArray[np.bool_],
    speedups: Floats,
    chains: Sequence[str],
    harm: Floats | None,
    *,
    one_chain: bool,
    risk: float,
    confidence_level: float = 0.95,
    n_draw: int = 400,
    repeats: int = 300,
    seed: int = 0,
) -> dict[str, float]:
    """Choose a plan again and again from samples drawn with replacement, and look what it costs and risks.

    The rows of `losses` (plans, samples) are the population: their means are the true risks. `harm` orders the
    tests, None is the present order: predicted cost. One chain gets all of the error, two share it.
    """
    n = losses.shape[1]
    times_drawn = np.random.default_rng(seed).multinomial(n_draw, np.full(n, 1.0 / n), size=repeats)
    counts = times_drawn @ losses.T.astype(np.int64)
    p_values = binom.cdf(counts, n_draw, risk)
    keys = speedups if harm is None else harm
    names = np.array(["all"] * len(chains) if one_chain else list(chains))
    certified = np.zeros(p_values.shape, dtype=bool)
    level = (1.0 - confidence_level) / len(set(names))
    for chain in sorted(set(names)):
        members = np.flatnonzero(names == chain)
        order = members[np.argsort(keys[members], kind="stable")]
        certified |= fixed_sequence(np.where(names == chain, p_values, 1.0), order, level)
    reached = np.where(certified, speedups, 1.0)
    best = reached.argmax(axis=1)
    is_any = certified.any(axis=1)
    true_risk = losses.mean(axis=1)
    return {
        "relative_cost": float((1.0 / reached.max(axis=1)).mean()),
        "violations": float((is_any[:, None] & certified & (true_risk > risk)).any(axis=1).mean()),
        "chosen_risk": float(np.where(is_any, true_risk[best], 0.0).mean()),
        "kept_plain": float((~is_any).mean()),
    }
