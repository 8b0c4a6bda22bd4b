"""What no function computes: the definitions of the paper, and sentences of it, or readings of it, that are false."""

from __future__ import annotations

from redundancy.certificates.registry import TheoremRecord

__all__ = ["CLAIMS", "DEFINITIONS"]

DEFINITIONS: tuple[TheoremRecord, ...] = (
    TheoremRecord(
        id="def1",
        title="Definition 1, geometric redundancy",
        status="true",
        printed="E rho(X_prev, X_next) < eps, rho symmetric and >= 0.",
        statement="E rho < eps for a symmetric, measurable rho in [0, r]; r = 2 for cosine distance.",
        deviation="Definition 1 allows any range, Proposition 1 only [0, 1]; the range is an argument here.",
        other_functions=(
            "redundancy.notions.geometric.mean_distance_of_law",
            "redundancy.notions.geometric.geometric_verdict",
        ),
        page="laws",
    ),
    TheoremRecord(
        id="def2",
        title="Definition 2, proximal redundancy",
        status="true",
        printed="P[rho(X_next, X_prev) < t] > 1 - eps",
        statement="P[rho >= t] < eps; the strict tail P[rho > t] is stored beside it.",
        deviation="The theorems use the other tail, P_t = P[rho > t]: see def2.strict and def2.closed.",
        other_functions=(
            "redundancy.notions.proximal.tail_prob_closed_of_law",
            "redundancy.notions.proximal.proximal_verdict",
        ),
        page="laws",
    ),
    TheoremRecord(
        id="def3",
        title="Definition 3, functional redundancy",
        status="repaired",
        printed="E|E[Z|X_next] - E[Z|X_prev]|^2 < eps",
        statement="F = E|E[Z|X_next] - E[Z|X_prev]|^2 < eps for square-integrable Z and partial states "
        "(token, pooled, quantised).",
        deviation="It compares ideal predictors: on full states of an injective deterministic layer the gap is 0 "
        "whatever the layer does, and it says nothing of the unchanged network run on the earlier state.",
        counterexample="next = -prev, Z any function of prev: distance 2, gap 0.",
        other_functions=(
            "redundancy.notions.functional.functional_gap_of_law",
            "redundancy.notions.functional.functional_verdict",
            "redundancy.notions.functional.probe_gap",
        ),
        page="laws",
    ),
    TheoremRecord(
        id="def4",
        title="Definition 4, informational redundancy",
        status="repaired",
        printed="H(X_next|X_prev) < eps",
        statement="H(code of X_next | code of X_prev) < eps, the finite code being part of the statement.",
        deviation="On raw states it is 0 for every deterministic layer, infinite with any independent continuous "
        "noise, and its plug-in estimate is 0 whenever all sampled vectors differ.",
        counterexample="1000 distinct samples: the plug-in information is ln 1000 = 6.908 whatever the truth.",
        other_functions=(
            "redundancy.notions.informational.conditional_entropy_of_law",
            "redundancy.notions.informational.informational_verdict",
            "redundancy.notions.informational.plug_in_conditional_entropy",
        ),
        page="laws",
    ),
    TheoremRecord(
        id="def5",
        title="Definition 5, partial information decomposition",
        status="true",
        printed="I(X;Y,Z) = Uni(X:Y\\Z) + Uni(X:Z\\Y) + Red + Syn, I(X;Y) = Uni(X:Y\\Z) + Red, "
        "I(X;Z) = Uni(X:Z\\Y) + Red.",
        statement="As printed, with all four parts non-negative.",
        deviation="Three equations for four parts: one more rule is needed, and Definition 6 is one.",
        other_functions=("redundancy.pid.solve.broja",),
        page="performance_gap",
    ),
    TheoremRecord(
        id="def6",
        title="Definition 6, BROJA unique information",
        status="true",
        printed="Uni(X:Y\\Z) = min of I_Q(X:Y|Z) over Q with the pair marginals (X,Y) and (X,Z) of P.",
        statement="Uni = min I_Q(X;Y|Z); any feasible Q gives an upper bound, any multipliers a lower one.",
        deviation="The printed colon in I_Q(X:Y|Z) is a mutual information.",
        other_functions=("redundancy.pid.solve.broja", "redundancy.pid.layers.next_layer_unique_information"),
        page="performance_gap",
    ),
)

CLAIMS: tuple[TheoremRecord, ...] = (
    TheoremRecord(
        id="claim.proximal_informational",
        title="Figure 2: proximal implies informational",
        status="refuted",
        printed='"proximal redundancy implies geometric and informational redundancy, each of which, in turn, '
        'implies functional redundancy"',
        statement="Only with a finite common alphabet, t below its separation, and a small Theorem 3 bound.",
        deviation="Points of one ball can be independent; the bound of Theorem 3 has the floor log N.",
        counterexample="X, Y independent uniform on 1024 points of one ball: P_t = 0, H(X|Y) = 6.93 nats.",
        uses=("fano.printed_upper",),
        page="implications",
    ),
    TheoremRecord(
        id="claim.information_redundancy",
        title="Section 3.3: large mutual information implies redundancy",
        status="refuted",
        printed='"If this lower bound is sufficiently large, we can then show that there is a large amount of '
        'information shared between the two layers, thereby also implying a large amount of redundancy."',
        statement="Report I / H(X) on codes.",
        deviation="Large I says that much of the previous state survives, not that the next one adds little.",
        counterexample="X = (A, C), Y = A, A and C independent: I = H(A), H(X|Y) = H(C), both as large as one likes.",
        uses=("braun_pokutta.printed_lower",),
        page="implications",
    ),
    TheoremRecord(
        id="claim.informational_generalises_functional",
        title="Section 3.4: informational redundancy generalises functional redundancy",
        status="refuted",
        printed='"informational redundancy is a more fundamental type of redundancy as it generalizes functional '
        'redundancy"',
        statement="Only under previous - next - task; for ground truth the backward entropy H(prev|next) is needed.",
        deviation="Theorem 5 assumes a chain that ground truth lacks: information can be lost and none created.",
        counterexample="Y a fair sign, X constant, Z = Y: H(X|Y) = 0, F = 1.",
        uses=("pinsker.chain_entropy_upper",),
        page="implications",
    ),
    TheoremRecord(
        id="claim.unique_information_gap",
        title="Unique information about the task bounds the functional gap",
        status="refuted",
        statement="Uni(Z : next \\ prev) bounds mmse_prev - mmse_next, not F.",
        deviation="Appendix E proposes Uni(Z : X_next \\ X_prev) as a combined notion; Section 3.4 calls F a "
        "difference in performance. F is one only along a chain.",
        counterexample="X, Y independent BSC(1/4) copies of a fair sign: Uni = 0, F = 3/8.",
        uses=("performance_gap.performance_gap_upper",),
        page="performance_gap",
    ),
    TheoremRecord(
        id="claim.codes_bound_entropy",
        title="Quantised entropies stand for those of the states",
        status="refuted",
        printed="Sections 3.3 and 4: Theorems 3 and 4, for a shared finite support, are read off cosine distances"
        " of hidden states.",
        statement="I(X;Y) >= I(codes) and H(code X|Y) <= H(code X|code Y) hold; H(X|Y) <= H(codes) does not.",
        deviation="Raw states have no such entropy; a code has, and data processing goes one way only.",
        counterexample="X a fair bit, Y and both codes constant: H(X|Y) = 0.693 > 0.",
        page="implications",
    ),
    TheoremRecord(
        id="claim.information_chain",
        title="Conditioning lowers the information about the task",
        status="refuted",
        statement="I(Z;X|Y) may exceed I(Z;X); they are ordered only along a chain.",
        deviation="A step that is easily taken in the proof of Theorem 5; the paper does not take it.",
        counterexample="Z = X xor Y: I(Z;X|Y) = 0.693 > I(Z;X) = 0.",
        page="implications",
    ),
    TheoremRecord(
        id="claim.token_intervals",
        title="Intervals over tokens",
        status="refuted",
        statement="Images are the independent units; no per-token interval is offered.",
        deviation="Equations (1) and (2) average over all tokens and the paper gives no interval; "
        "the obvious one is wrong.",
        counterexample="Tail 0.028, ICC 0.3, 200 images of 576 tokens: a 95% token-level interval "
        "covers in 53% of runs.",
        evidence="C",
        page="concentration",
    ),
)
