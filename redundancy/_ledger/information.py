"""Records of Theorems 3 and 4."""

from __future__ import annotations

from typing import Any

__all__ = ["RECORDS"]

RECORDS: tuple[dict[str, Any], ...] = (
    {
        "id": "thm3.printed",
        "title": "Theorem 3 as printed",
        "status": "repaired",
        "printed": "H(X|Y) <= H2(P_t) + P_t log((|X| - N_min)/N_max) + log N_max",
        "statement": (
            "H(X|Y) <= min(log K, H2(P_t) + P_t log((K - N_min)/N_max) + log N_max); "
            "closed balls, strict tail, N_max >= 1."
        ),
        "deviation": "It exceeds log K for many laws; |X| = N_min forces P_t = 0.",
        "counterexample": "Open balls: two points at distance t, independent: 0 against ln 2.",
        "uses": ("thm3.predictor",),
        "page": "theorem-3",
    },
    {
        "id": "thm3.predictor",
        "title": "Theorem 3, predictor form",
        "status": "sharpened",
        "statement": "H(X|Y) <= E[-log q(X|Y)] for every conditional law q.",
        "deviation": "Gibbs; all forms of Fano's inequality are choices of q.",
        "page": "theorem-3",
    },
    {
        "id": "thm3.list",
        "title": "Theorem 3, one list size",
        "status": "sharpened",
        "statement": "H <= H2(P) + (1-P) log k + P log(K-k)",
        "deviation": ("Any predictor that names k symbols in place of a ball; k = 1 is the classical inequality."),
        "uses": ("thm3.predictor",),
        "page": "theorem-3",
    },
    {
        "id": "thm3.sized_lists",
        "title": "Theorem 3, lists of several sizes",
        "status": "sharpened",
        "statement": "H <= E h2(miss|size) + E[hit log|L|] + E[miss log(K-|L|)]",
        "deviation": "Never above the printed form.",
        "uses": ("thm3.predictor",),
        "page": "theorem-3",
    },
    {
        "id": "thm3.ball",
        "title": "Theorem 3, a ball for each point",
        "status": "sharpened",
        "statement": "The list form with the closed t-ball of y as list.",
        "deviation": "Each point its own ball size instead of N_min and N_max.",
        "uses": ("thm3.sized_lists",),
        "page": "theorem-3",
    },
    {
        "id": "thm3.best_radius",
        "title": "Theorem 3, best radius",
        "status": "sharpened",
        "statement": "The minimum of the ball form over t, for a known law.",
        "deviation": "On a sample the choice of t has to be paid for.",
        "uses": ("thm3.ball",),
        "page": "theorem-3",
    },
    {
        "id": "thm3.shells",
        "title": "Theorem 3, shells",
        "status": "sharpened",
        "statement": "H <= H(S) + E log #{x : S(x,Y) = S}, S a shell of the distance.",
        "deviation": "Uses how far, not only whether far.",
        "uses": ("thm3.predictor",),
        "page": "theorem-3",
    },
    {
        "id": "thm3.best_shells",
        "title": "Theorem 3, best shells",
        "status": "sharpened",
        "statement": "The minimum of the shell form over all partitions, for a known law.",
        "deviation": "The finest partition is not always best.",
        "uses": ("thm3.shells",),
        "page": "theorem-3",
    },
    {
        "id": "thm4.printed",
        "title": "Theorem 4 as printed",
        "status": "repaired",
        "printed": "p_min + p_max < 1: I >= (1-P_t) log(1/p_max) - P_t log(1-p_min) - H2(P_t)",
        "statement": (
            "I >= max(0, (1-P_t) log(1/p_max) - P_t log(1-p_min) - H2(P_t)); "
            "p are probabilities of closed balls under x_prev."
        ),
        "deviation": (
            "p_min + p_max < 1 serves only to invert the bound and excludes useful cases; the printed event "
            "(X_prev, x) in B(t, x) has to read X_prev in B(t, x)."
        ),
        "counterexample": "Ball counts for probabilities: constant layer on 3 symbols, ln 3 > I = 0.",
        "uses": ("thm4.binary",),
        "page": "theorem-4",
    },
    {
        "id": "thm4.binary",
        "title": "Theorem 4, binary divergence",
        "status": "sharpened",
        "statement": "I >= d(1-P_t || q_t), q_t = P[rho(X',Y') <= t] of independent copies; any states.",
        "deviation": "Data processing; never below the printed form.",
        "uses": ("thm4.law",),
        "page": "theorem-4",
    },
    {
        "id": "thm4.law",
        "title": "Theorem 4, law of the distance",
        "status": "sharpened",
        "statement": "I >= KL(law of rho, joint || law of rho, product)",
        "deviation": "Keeps the whole law of the distance instead of one threshold.",
        "page": "theorem-4",
    },
    {
        "id": "thm4.variational",
        "title": "Theorem 4, variational",
        "status": "sharpened",
        "statement": "I >= E phi(rho) - ln E' exp phi(rho) for every fixed phi.",
        "deviation": "Donsker and Varadhan; phi fixed on other data makes it certifiable.",
        "uses": ("thm4.law",),
        "page": "theorem-4",
    },
    {
        "id": "thm4.best_radius",
        "title": "Theorem 4, best radius",
        "status": "sharpened",
        "statement": "The maximum of the binary form over t, for a known law.",
        "deviation": "On a sample the choice of t has to be paid for.",
        "uses": ("thm4.binary",),
        "page": "theorem-4",
    },
)
