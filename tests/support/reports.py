"""A realistic report.json for tests: the curves of a trained model, and ways to make it awkward."""

from __future__ import annotations

import math
from typing import Any

HOSTILE = (
    "</script ><!--<script ></script><script>alert('x')</script> \"quoted\" & 'single' <img src=x onerror=alert(1)> "
    + "long" * 40
)

# layer: D vision, P vision, D text, VAR, late entry at l, vision exit after l (a trained model's curves)
CURVES = [
    (1, 0.005, 1.00, 0.944, 0.12, 0.787, 0.465),
    (2, 0.020, 0.93, 0.193, 0.70, 0.660, 0.768),
    (3, 0.004, 1.00, 0.047, 0.65, 0.532, 0.881),
    (4, 0.004, 1.00, 0.026, 0.66, 0.438, 0.908),
    (5, 0.005, 1.00, 0.022, 0.76, 0.383, 0.914),
    (6, 0.001, 1.00, 0.020, 0.71, 0.348, 0.949),
    (7, 0.001, 1.00, 0.012, 0.65, 0.329, 0.954),
    (8, 0.001, 1.00, 0.009, 0.65, 0.302, 0.959),
    (9, 0.001, 1.00, 0.011, 0.59, 0.287, 0.965),
    (10, 0.006, 1.00, 0.150, 0.58, 0.281, 0.965),
]
BASELINE = 0.965
N = 630
FAMILIES = {"color": 1.0, "shape": 0.99, "digit": 0.97, "exist": 1.0, "count": 0.93, "relation": 0.78, "mcq": 1.0}


def make_report() -> dict[str, Any]:
    """A complete report that follows skip-it/report/1."""
    n_layers = len(CURVES)
    late = [plan_row("late_entry", 0, BASELINE)]
    late += [plan_row("late_entry", row[0], row[5]) for row in CURVES]
    leave = [plan_row("vision_exit", row[0], row[6]) for row in CURVES]
    chosen = next(row for row in leave if row["layer"] == 6)
    return {
        "schema": "skip-it/report/1",
        "created": "2026-11-21T07:00:00+00:00",
        "version": "0.1.0",
        "command": "skip-it demo --out report",
        "seconds": 141.2,
        "model": {
            "name": "skip-it default model",
            "model_type": "llava",
            "n_layers": n_layers,
            "n_parameters": 2_870_000,
            "dtype": "float32",
            "n_vision_tokens": 144,
            "sha256": "9f2c" * 16,
        },
        "data": {"name": "held-out questions", "n_questions": N, "families": dict.fromkeys(FAMILIES, 90)},
        "n_samples": N,
        "baseline_accuracy": BASELINE,
        "baseline_interval": interval(BASELINE),
        "baseline_family_accuracy": dict(FAMILIES),
        "baselines": {"image_shuffled": 0.281, "image_removed": 0.284, "majority": 0.29},
        "confidence_level": 0.95,
        "profile": [row for curve in CURVES for row in profile_pair(curve)],
        "distance_matrix": {"vision": matrix([c[1] for c in CURVES], 1.0), "text": matrix([c[3] for c in CURVES], 0.6)},
        "late_entry": late,
        "vision_exit": leave,
        "other_plans": [
            {**plan_row("late 1 + exit 6", 3, 0.771), "plan": "late entry 1 + vision exit 6", "layer": None},
            {**plan_row("random drop", 5, 0.702), "plan": "random drop of half the vision tokens", "layer": None},
        ],
        "chosen_plan": {
            "plan": "vision_exit(6)",
            "text": "Vision tokens leave after layer 6 of 10.",
            "late_entry": 0,
            "vision_exit": 6,
            "risk": 0.05,
            "confidence_level": 0.95,
            "accuracy": chosen["accuracy"],
            "accuracy_change": chosen["accuracy_change"],
            "accuracy_change_interval": chosen["accuracy_change_interval"],
            "loss_upper": 0.041,
            "prefill_speedup": chosen["prefill_speedup"],
            "guarantee": "With confidence at least 0.95 over the draw of 315 calibration questions, the skipped model "
            "loses at most 5 % of the answers that the unmodified model gets right.",
            "n_calibration": 315,
            "n_tested_plans": 4,
        },
        "certificates": [certificate(curve, group) for curve in CURVES for group in ("vision", "text")],
        "certificate_file": "certificates.json",
        "not_claimed": [
            "No layer is called safe because its distances are small.",
            "Nothing is said about questions drawn from another population than the calibration set.",
            "The bounds on task-relevant information hold for the quantised states, not for the raw ones.",
        ],
        "environment": {"python": "3.12.3", "torch": "2.13.0", "transformers": "5.23.0", "threads": 1},
    }


def make_bare_report() -> dict[str, Any]:
    """The least a valid report holds: what a profile without validation writes."""
    full = make_report()
    keys = ("layer", "group", "mean_distance", "fraction_below_0.05", "var")
    return {
        "schema": full["schema"],
        "model": {"name": "bare", "n_layers": 10},
        "n_samples": 3,
        "baseline_accuracy": None,
        "profile": [{k: row[k] for k in keys} for row in full["profile"]],
        "distance_matrix": {},
        "late_entry": [],
        "vision_exit": [],
        "chosen_plan": None,
        "certificates": [],
    }


def make_hostile_report() -> dict[str, Any]:
    """Every string that can be hostile is, and VAR is undefined at one layer."""
    report = make_report()
    report["model"]["name"] = HOSTILE
    report["command"] = HOSTILE
    report["data"]["name"] = HOSTILE
    report["data"]["families"][HOSTILE] = 3
    report["chosen_plan"].update(plan=HOSTILE, text=HOSTILE, guarantee=HOSTILE)
    report["other_plans"][0]["plan"] = HOSTILE
    report["not_claimed"].append(HOSTILE)
    report["certificate_file"] = HOSTILE
    report["environment"][HOSTILE] = HOSTILE
    report["late_entry"][1]["family_accuracy"][HOSTILE] = 0.5
    statement = report["certificates"][0]["statements"][0]
    statement.update(theorem=HOSTILE, quantity=HOSTILE, assumptions=[HOSTILE, {"text": HOSTILE, "status": HOSTILE}])
    report["certificates"][0]["group"] = HOSTILE
    for row in report["profile"]:
        if row["layer"] == 3:
            row.update(var=None, var_mean=None, var_text_mean=None, var_text_max=None)
    return report


def interval(p: float, n: int = N) -> list[float]:
    """A Wilson interval at 95 %."""
    z = 1.96
    centre, half = (p + z * z / (2 * n)), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return [(centre - half) / (1 + z * z / n), (centre + half) / (1 + z * z / n)]


def plan_row(section: str, layer: int, accuracy: float) -> dict[str, Any]:
    """One measured plan; speed follows the share of vision work that is left."""
    n_layers = len(CURVES)
    present = (n_layers - layer if section == "late_entry" else layer) / n_layers
    flops = 1.0 / (0.22 + 0.78 * present)
    change, half = accuracy - BASELINE, 0.004 + 0.45 * math.sqrt(max(BASELINE - accuracy, 0.0) / N + 1e-6)
    agreement = min(1.0, max(0.0, 1.0 - 1.05 * abs(change)))
    return {
        "layer": layer,
        "plan": f"{section}({layer})",
        "accuracy": accuracy,
        "accuracy_interval": interval(accuracy),
        "accuracy_change": change,
        "accuracy_change_interval": [change - half, change + half],
        "agreement": agreement,
        "agreement_interval": interval(agreement),
        "prefill_speedup": 1.0 + 0.86 * (flops - 1.0),
        "prefill_ms": 31.0 / (1.0 + 0.86 * (flops - 1.0)),
        "flop_speedup": flops,
        "kv_share": (144 * present + 20) / 164,
        "loss_share": max(0.0, -change),
        "loss_upper": min(1.0, max(0.0, -change) + 0.03),
        "p_value": 1e-4 if change > -0.03 else 0.8,
        "is_tested": change > -0.05,
        "is_certified": change > -0.03,
        "family_accuracy": {
            k: max(0.1, v + change * (1.6 if k in ("mcq", "count") else 0.6)) for k, v in FAMILIES.items()
        },
    }


def profile_pair(curve: tuple[Any, ...]) -> list[dict[str, Any]]:
    """The vision and the text row of one layer."""
    layer, vision, near, text, var, _, _ = curve
    attention = {
        "var": 4 * var,
        "var_mean": var,
        "var_text_mean": min(1.0, 0.12 + 0.55 * var),
        "var_text_max": 0.86 if layer == 1 else min(1.0, var + 0.2),
    }

    def row(group: str, mean: float, share: float, norm: float) -> dict[str, Any]:
        return {
            "layer": layer,
            "group": group,
            "mean_distance": mean,
            "image_mean_distance": mean * 1.002,
            "fraction_below_0.05": share,
            "centred_distance": min(1.9, mean * 21 if group == "vision" else mean * 1.15),
            "max_distance": min(1.95, mean * 6),
            "q99_distance": min(1.9, mean * 4),
            "mean_norm": norm,
            **attention,
            "distance_upper": min(2.0, mean * 1.18 + 0.004),
            "tail_upper": min(1.0, (1 - share) * 1.15 + 0.013),
        }

    text_share = max(0.0, min(1.0, 1.0 - text * 9))
    return [row("vision", vision, near, 283.0 + layer), row("text", text, text_share, 1.3 + 3.2 * layer)]


def matrix(steps: list[float], growth: float) -> list[list[float]]:
    """Distances between depths: steps add up sub-linearly."""
    depth = [0.0]
    for step in steps:
        depth.append(depth[-1] + step)
    return [[min(1.4, abs(a - b) ** (0.9 * growth + 0.1 * (growth < 1))) for b in depth] for a in depth]


def certificate(curve: tuple[Any, ...], group: str) -> dict[str, Any]:
    """Statements of one layer pair: certified, conditional and vacuous ones."""
    mean = curve[1] if group == "vision" else curve[3]
    upper, tail = min(2.0, mean * 1.18 + 0.004), min(1.0, mean * 3 + 0.013)
    sample = ["images are drawn independently from one population"]
    lipschitz = [*sample, {"name": "lipschitz", "text": "E[Z | X, Y] is Lipschitz in X and Y", "status": "declared"}]

    def statement(
        theorem: str, quantity: str, end: float, cap: float, evidence: str, assume: list[Any]
    ) -> dict[str, Any]:
        vacuous = end >= cap
        return {
            "theorem": theorem,
            "quantity": quantity,
            "lower": 0.0,
            "upper": min(end, cap),
            "base": 2.0 if quantity == "conditional_entropy" else None,
            "evidence": "V" if vacuous else evidence,
            "confidence_level": 0.99875,
            "assumptions": assume,
            "vacuous": vacuous,
        }

    return {
        "layer": curve[0],
        "group": group,
        "statements": [
            statement("concentration.betting_upper", "mean_distance", upper, 2.0, "C(0.00125)", sample),
            statement("concentration.betting_upper", "tail_prob", tail, 1.0, "C(0.00125)", sample),
            statement("tail.sandwich_upper", "mean_distance", 0.05 + 1.95 * tail, 2.0, "C(0.00125)", sample),
            statement("lipschitz.printed_upper", "functional_redundancy", 8 * upper, 1.0, "A", lipschitz),
            statement("lipschitz.minkowski_upper", "functional_redundancy", 2 * upper, 1.0, "A", lipschitz),
            statement("fano.predictor_upper", "conditional_entropy", 10 * tail + 0.08, 6.0, "C(0.00125)", sample),
            statement("pinsker.printed_upper", "functional_redundancy", 20 * tail, 1.0, "A", lipschitz),
        ],
    }
