"""Records of plain logic, and of the sentences of the paper, or readings of it, that are false."""

from __future__ import annotations

from typing import Any

__all__ = ["RECORDS"]

RECORDS: tuple[dict[str, Any], ...] = (
    {
        "id": "given",
        "title": "A declared starting point",
        "status": "added",
        "statement": "The value that the caller declares holds the quantity.",
        "deviation": "Whatever follows from it carries the declaration as an assumption.",
        "page": "implications",
    },
    {
        "id": "logic.intersection",
        "title": "Several statements at once",
        "status": "added",
        "statement": "If all statements hold, so does their intersection; probabilities of failure add.",
        "deviation": "How a bound is optimised over t, radii or methods without paying too little.",
        "page": "implications",
    },
    {
        "id": "claim.proximal_informational",
        "title": "Figure 2: proximal implies informational",
        "status": "refuted",
        "printed": (
            '"proximal redundancy implies geometric and informational redundancy, each of which, in turn, '
            'implies functional redundancy"'
        ),
        "statement": "Only with a finite common alphabet, t below its separation, and a small Theorem 3 bound.",
        "deviation": "Points of one ball can be independent; the bound of Theorem 3 has the floor log N.",
        "counterexample": "X, Y independent uniform on 1024 points of one ball: P_t = 0, H(X|Y) = 6.93 nats.",
        "uses": ("thm3.printed",),
        "page": "implications",
    },
    {
        "id": "claim.information_redundancy",
        "title": "Section 3.3: large mutual information implies redundancy",
        "status": "refuted",
        "printed": (
            '"If this lower bound is sufficiently large, we can then show that there is a large amount of '
            'information shared between the two layers, thereby also implying a large amount of redundancy."'
        ),
        "statement": "Report I / H(X) on codes.",
        "deviation": "Large I says that much of the previous state survives, not that the next one adds little.",
        "counterexample": (
            "X = (A, C), Y = A, A and C independent: I = H(A), H(X|Y) = H(C), both as large as one likes."
        ),
        "uses": ("thm4.printed",),
        "page": "implications",
    },
    {
        "id": "claim.informational_generalises_functional",
        "title": "Section 3.4: informational redundancy generalises functional redundancy",
        "status": "refuted",
        "printed": (
            '"informational redundancy is a more fundamental type of redundancy as it generalizes functional '
            'redundancy"'
        ),
        "statement": (
            "Only under previous - next - task; for ground truth the backward entropy H(prev|next) is needed."
        ),
        "deviation": "Theorem 5 assumes a chain that ground truth lacks: information can be lost and none created.",
        "counterexample": "Y a fair sign, X constant, Z = Y: H(X|Y) = 0, F = 1.",
        "uses": ("thm5.entropy",),
        "page": "implications",
    },
    {
        "id": "claim.unique_information_gap",
        "title": "Unique information about the task bounds the functional gap",
        "status": "refuted",
        "statement": "Uni(Z : next \\ prev) bounds mmse_prev - mmse_next, not F.",
        "deviation": (
            "Appendix E proposes Uni(Z : X_next \\ X_prev) as a combined notion; Section 3.4 calls F a "
            "difference in performance. F is one only along a chain."
        ),
        "counterexample": "X, Y independent BSC(1/4) copies of a fair sign: Uni = 0, F = 3/8.",
        "uses": ("thm5.performance_gap",),
        "page": "performance-gap",
    },
    {
        "id": "claim.codes_bound_entropy",
        "title": "Quantised entropies stand for those of the states",
        "status": "refuted",
        "printed": (
            "Sections 3.3 and 4: Theorems 3 and 4, for a shared finite support, are read off cosine distances"
            " of hidden states."
        ),
        "statement": ("I(X;Y) >= I(codes) and H(code X|Y) <= H(code X|code Y) hold; H(X|Y) <= H(codes) does not."),
        "deviation": "Raw states have no such entropy; a code has, and data processing goes one way only.",
        "counterexample": "X a fair bit, Y and both codes constant: H(X|Y) = 0.693 > 0.",
        "page": "implications",
    },
    {
        "id": "claim.information_chain",
        "title": "Conditioning lowers the information about the task",
        "status": "refuted",
        "statement": "I(Z;X|Y) may exceed I(Z;X); they are ordered only along a chain.",
        "deviation": "A step that is easily taken in the proof of Theorem 5; the paper does not take it.",
        "counterexample": "Z = X xor Y: I(Z;X|Y) = 0.693 > I(Z;X) = 0.",
        "page": "implications",
    },
    {
        "id": "claim.token_intervals",
        "title": "Intervals over tokens",
        "status": "refuted",
        "statement": "Images are the independent units; no per-token interval is offered.",
        "deviation": (
            "Equations (1) and (2) average over all tokens and the paper gives no interval; the obvious one is wrong."
        ),
        "counterexample": (
            "Tail 0.028, ICC 0.3, 200 images of 576 tokens: a 95% token-level interval covers in 53% of runs."
        ),
        "evidence": "C",
        "page": "confidence",
    },
)
