"""Records of the definitions and of the exact values of a known law."""

from __future__ import annotations

from typing import Any

__all__ = ["RECORDS"]

RECORDS: tuple[dict[str, Any], ...] = (
    {
        "id": "def1",
        "title": "Definition 1, geometric redundancy",
        "status": "true",
        "printed": "E rho(X_prev, X_next) < eps, rho symmetric and >= 0.",
        "statement": "E rho < eps for a symmetric, measurable rho in [0, r]; r = 2 for cosine distance.",
        "deviation": "Definition 1 allows any range, Proposition 1 only [0, 1]; the range is an argument here.",
        "other_functions": (
            "redundancy.notions.geometric.mean_distance_of_law",
            "redundancy.notions.geometric.geometric_verdict",
        ),
        "page": "definitions",
    },
    {
        "id": "def2",
        "title": "Definition 2, proximal redundancy",
        "status": "true",
        "printed": "P[rho(X_next, X_prev) < t] > 1 - eps",
        "statement": "P[rho >= t] < eps; the strict tail P[rho > t] is stored beside it.",
        "deviation": "The theorems use the other tail, P_t = P[rho > t]: see def2.strict and def2.closed.",
        "other_functions": (
            "redundancy.notions.proximal.tail_prob_closed_of_law",
            "redundancy.notions.proximal.proximal_verdict",
        ),
        "page": "definitions",
    },
    {
        "id": "def2.strict",
        "title": "Definition 2, strict tail from closed tail",
        "status": "repaired",
        "printed": "Definition 2 counts rho < t; Proposition 1 and Theorems 3 and 4 count rho > t.",
        "statement": "P[rho > t] <= P[rho >= t]",
        "deviation": (
            "Definition 2 implies P[rho > t] < eps, which is all the paper needs; the converse fails with an atom at t."
        ),
        "counterexample": "rho = t surely: P[rho > t] = 0, yet P[rho < t] = 0.",
        "page": "definitions",
    },
    {
        "id": "def2.closed",
        "title": "Definition 2, closed tail from strict tail",
        "status": "repaired",
        "statement": "P[rho >= t] >= P[rho > t]",
        "deviation": "Only this side; both tails are stored and never derived as each other's complement.",
        "counterexample": "rho = t surely.",
        "page": "definitions",
    },
    {
        "id": "def3",
        "title": "Definition 3, functional redundancy",
        "status": "repaired",
        "printed": "E|E[Z|X_next] - E[Z|X_prev]|^2 < eps",
        "statement": (
            "F = E|E[Z|X_next] - E[Z|X_prev]|^2 < eps for square-integrable Z and partial states "
            "(token, pooled, quantised)."
        ),
        "deviation": (
            "It compares ideal predictors: on full states of an injective deterministic layer the gap is 0 "
            "whatever the layer does, and it says nothing of the unchanged network run on the earlier state."
        ),
        "counterexample": "next = -prev, Z any function of prev: distance 2, gap 0.",
        "other_functions": (
            "redundancy.notions.functional.functional_gap_of_law",
            "redundancy.notions.functional.functional_verdict",
            "redundancy.notions.functional.probe_gap",
        ),
        "page": "definitions",
    },
    {
        "id": "def4",
        "title": "Definition 4, informational redundancy",
        "status": "repaired",
        "printed": "H(X_next|X_prev) < eps",
        "statement": "H(code of X_next | code of X_prev) < eps, the finite code being part of the statement.",
        "deviation": (
            "On raw states it is 0 for every deterministic layer, infinite with any independent continuous "
            "noise, and its plug-in estimate is 0 whenever all sampled vectors differ."
        ),
        "counterexample": "1000 distinct samples: the plug-in information is ln 1000 = 6.908 whatever the truth.",
        "other_functions": (
            "redundancy.notions.informational.conditional_entropy_of_law",
            "redundancy.notions.informational.informational_verdict",
            "redundancy.notions.informational.plug_in_conditional_entropy",
        ),
        "page": "definitions",
    },
    {
        "id": "def5",
        "title": "Definition 5, partial information decomposition",
        "status": "true",
        "printed": (
            "I(X;Y,Z) = Uni(X:Y\\Z) + Uni(X:Z\\Y) + Red + Syn, I(X;Y) = Uni(X:Y\\Z) + Red, I(X;Z) = Uni(X:Z\\Y) + Red."
        ),
        "statement": "As printed, with all four parts non-negative.",
        "deviation": "Three equations for four parts: one more rule is needed, and Definition 6 is one.",
        "other_functions": ("redundancy.pid.solve.broja",),
        "page": "performance-gap",
    },
    {
        "id": "def6",
        "title": "Definition 6, BROJA unique information",
        "status": "true",
        "printed": "Uni(X:Y\\Z) = min of I_Q(X:Y|Z) over Q with the pair marginals (X,Y) and (X,Z) of P.",
        "statement": "Uni = min I_Q(X;Y|Z); any feasible Q gives an upper bound, any multipliers a lower one.",
        "deviation": "The printed colon in I_Q(X:Y|Z) is a mutual information.",
        "other_functions": ("redundancy.pid.solve.broja", "redundancy.pid.layers.next_layer_unique_information"),
        "page": "performance-gap",
    },
    {
        "id": "law.mean_distance",
        "title": "E rho of a known law",
        "status": "added",
        "statement": "E rho = sum P(x,y) rho(x,y)",
        "deviation": "The exact value, rounded outward, of a joint law that is declared known.",
        "page": "definitions",
    },
    {
        "id": "law.tail_prob",
        "title": "P[rho > t] of a known law",
        "status": "added",
        "statement": "P_t = sum of P(x,y) over rho(x,y) > t",
        "deviation": "The exact value, rounded outward, of a joint law that is declared known.",
        "page": "definitions",
    },
    {
        "id": "law.tail_prob_closed",
        "title": "P[rho >= t] of a known law",
        "status": "added",
        "statement": "sum of P(x,y) over rho(x,y) >= t",
        "deviation": "The exact value, rounded outward, of a joint law that is declared known.",
        "page": "definitions",
    },
    {
        "id": "law.mismatch_prob",
        "title": "P[X != Y] of a known law",
        "status": "added",
        "statement": "sum of P(x,y) over x != y, one alphabet",
        "deviation": "The exact value, rounded outward, of a joint law that is declared known.",
        "page": "definitions",
    },
    {
        "id": "law.conditional_entropy",
        "title": "H(next|prev) of a known law",
        "status": "added",
        "statement": "H(X,Y) - H(Y)",
        "deviation": "The exact value, rounded outward, of a joint law that is declared known.",
        "page": "definitions",
    },
    {
        "id": "law.backward_entropy",
        "title": "H(prev|next) of a known law",
        "status": "added",
        "statement": "H(X,Y) - H(X), the information lost",
        "deviation": "The exact value, rounded outward, of a joint law that is declared known.",
        "page": "definitions",
    },
    {
        "id": "law.information_next",
        "title": "I(Z;next|prev) of a known law",
        "status": "added",
        "statement": "I(Z;X|Y) = H(Z,Y) + H(X,Y) - H(X,Y,Z) - H(Y)",
        "deviation": "The exact value, rounded outward, of a joint law that is declared known.",
        "page": "definitions",
    },
    {
        "id": "law.functional_gap",
        "title": "F of a known law",
        "status": "added",
        "statement": "F = sum P(x,y) |E[Z|x] - E[Z|y]|^2",
        "deviation": "The exact value, rounded outward, of a joint law that is declared known.",
        "page": "definitions",
    },
)
