"""Records of Theorem 5, the code-mismatch bound and the performance gap."""

from __future__ import annotations

from typing import Any

__all__ = ["RECORDS"]

RECORDS: tuple[dict[str, Any], ...] = (
    {
        "id": "thm5.printed",
        "title": "Theorem 5 as printed",
        "status": "repaired",
        "printed": "|Z| <= B, X_prev - X_next - Z Markov: F <= 2 B^2 H(X_next | X_prev)",
        "statement": "previous - next - task: F <= min(B^2, 2 B^2 H(next|prev)), H in nats.",
        "deviation": "The chain is the wrong one for ground truth, where next - previous - task holds.",
        "counterexample": (
            "Under next - previous - task: Y a fair sign, X constant, Z = Y: 1 > 0. In bans: 1 > 0.602."
        ),
        "evidence": "A",
        "uses": ("lemma4", "thm5.information"),
        "page": "theorem-5",
    },
    {
        "id": "thm5.information",
        "title": "Theorem 5 from information, either chain",
        "status": "sharpened",
        "statement": ("previous - next - task: F <= (Delta^2/2) I(Z;next|prev); the other chain: I(Z;prev|next)."),
        "deviation": "Pinsker by oscillation: Delta <= 2B. Constant best.",
        "counterexample": "Delta^2/4: P(Z = X) = 0.51: 4e-4 > 2e-4.",
        "evidence": "A",
        "uses": ("lemma4",),
        "page": "theorem-5",
    },
    {
        "id": "thm5.entropy",
        "title": "Theorem 5 from entropy, either chain",
        "status": "sharpened",
        "statement": (
            "F <= R^2 H in bits: H(next|prev) under previous - next - task, H(prev|next) under the other chain."
        ),
        "deviation": ("1/ln 2 = 1.4427 instead of 2, best possible; the natural chain needs the backward entropy."),
        "counterexample": "1.44 B^2 in nats: X a fair sign, Y constant, Z = X: 1 > 0.998.",
        "evidence": "A",
        "uses": ("thm5.guessing",),
        "page": "theorem-5",
    },
    {
        "id": "thm5.guessing",
        "title": "Theorem 5 from the best guess",
        "status": "sharpened",
        "statement": "F <= R^2 E g(p1), g(p) = 4p(1-p) from p = 1/2 on, else 1.",
        "deviation": "Sharper than the entropy form, from the probabilities of the best guess alone.",
        "evidence": "A",
        "page": "theorem-5",
    },
    {
        "id": "thm5.coupling",
        "title": "Theorem 5 from a predictor of the code",
        "status": "sharpened",
        "statement": "previous - next - task: F <= Delta^2 P[X != g(Y)]; the other chain with Y and g(X).",
        "deviation": "No entropy at all.",
        "evidence": "A",
        "page": "mismatch",
    },
    {
        "id": "thm5.mismatch",
        "title": "Code mismatch",
        "status": "sharpened",
        "statement": "Common alphabet, no chain: F <= kappa P[X != Y].",
        "deviation": "kappa is enumerated from the task values.",
        "counterexample": "kappa = Delta^2 for vectors: four values in the plane reach 1.058 (1.035 in rationals).",
        "page": "mismatch",
    },
    {
        "id": "thm5.mismatch_diameter",
        "title": "Code mismatch by the diameter",
        "status": "sharpened",
        "statement": "F <= Delta^2 P[X != Y] for scalar and one-hot tasks, (7/4) Delta^2 P for any.",
        "deviation": "Needs only the diameter; the factor 7/4 covers every task.",
        "uses": ("thm5.mismatch",),
        "page": "mismatch",
    },
    {
        "id": "thm5.free_information",
        "title": "Theorem 5 without a chain, from information",
        "status": "sharpened",
        "statement": "F <= (Delta^2/2)(sqrt I(Z;next|prev) + sqrt I(Z;prev|next))^2",
        "deviation": "Both directions pay, so no chain is needed.",
        "page": "theorem-5",
    },
    {
        "id": "thm5.free_entropy",
        "title": "Theorem 5 without a chain, from entropies",
        "status": "sharpened",
        "statement": "F <= min(R^2/ln 2, Delta^2/2)(sqrt H(next|prev) + sqrt H(prev|next))^2",
        "deviation": "Both directions pay, so no chain is needed.",
        "page": "theorem-5",
    },
    {
        "id": "thm5.performance_gap",
        "title": "Performance gap of ideal readers",
        "status": "repaired",
        "printed": (
            "Section 3.4: under certain conditions, the average difference in performance between optimal MSE"
            ' estimators is bounded by "unique information about X that only X has".'
        ),
        "statement": "mmse_prev - mmse_next <= (Delta^2/2) Uni(Z : next \\ prev), one-sided, no chain.",
        "deviation": (
            "As printed the bound is Theorem 5 with Lemma 5, 2 B^2 Uni(X:X\\Y), and needs its chain. Unique "
            "information *about the task* bounds the one-sided gap with no chain; the gain by skipping is not"
            " bounded."
        ),
        "counterexample": "Absolute difference: X constant, Z = Y: 1 > 0.",
        "page": "performance-gap",
    },
)
