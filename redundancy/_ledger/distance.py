"""Records of Proposition 1 and the sandwich that replaces it."""

from __future__ import annotations

from typing import Any

__all__ = ["RECORDS"]

RECORDS: tuple[dict[str, Any], ...] = (
    {
        "id": "prop1.printed",
        "title": "Proposition 1 as printed",
        "status": "refuted",
        "printed": "0 <= rho <= 1: P[rho > t] < (eps - t)/(1 - t) implies E rho < eps.",
        "statement": ("E rho <= t + (rho_max - t) P[rho > t] with rho_max = 1 unless declared otherwise, t < rho_max."),
        "deviation": (
            "True for distances in [0, 1] and t < 1; the paper applies it to cosine distance, which reaches 2."
        ),
        "counterexample": "rho = 2 w.p. 1/20, else 1/20, t = 1/20, eps = 1/10: tail 1/20 < 1/19, mean 0.1475.",
        "evidence": "A",
        "page": "proposition-1",
    },
    {
        "id": "prop1.sandwich_upper",
        "title": "Sandwich, upper side",
        "status": "repaired",
        "statement": "0 <= rho <= r: E rho <= t + (r - t) P[rho > t]",
        "deviation": "Proposition 1 with the range as an argument; attained on {t, r}.",
        "page": "proposition-1",
    },
    {
        "id": "prop1.sandwich_lower",
        "title": "Sandwich, lower side",
        "status": "sharpened",
        "statement": "rho >= 0: E rho >= t P[rho >= t]",
        "deviation": "Not in the paper; attained on {0, t}. Uses the closed tail.",
        "page": "proposition-1",
    },
    {
        "id": "prop1.sandwich_grid",
        "title": "Sandwich on a grid",
        "status": "sharpened",
        "statement": "sum (t_i - t_(i-1)) P[rho >= t_i] <= E rho <= t_1 + sum (t_(i+1) - t_i) P[rho > t_i]",
        "deviation": "The whole tail: E rho is its integral.",
        "uses": ("prop1.sandwich_upper", "prop1.sandwich_lower"),
        "page": "proposition-1",
    },
    {
        "id": "prop1.tail_upper",
        "title": "Geometric to proximal (Markov)",
        "status": "added",
        "statement": "P[rho >= t] <= E rho / t",
        "deviation": "The converse arrow; attained on {0, t}.",
        "page": "proposition-1",
    },
    {
        "id": "prop1.tail_lower",
        "title": "Refuting proximal by the mean",
        "status": "added",
        "statement": "P[rho > t] >= (E rho - t)/(r - t)",
        "deviation": "The sandwich solved for the tail; attained on {t, r}.",
        "page": "proposition-1",
    },
)
