"""One certificate or more of every registered theorem, small enough to check again in a blink."""

import math

import numpy as np

from redundancy.certificates.certificate import registered
from redundancy.interval import Interval

__all__ = ["CASES", "make"]

_RHO = [[0.0, 0.25, 1.5], [0.25, 0.0, 1.0], [1.5, 1.0, 0.0]]
_PAIR = [[0.25, 0.0625, 0.03125], [0.125, 0.25, 0.0], [0.0, 0.03125, 0.25]]
_TRIPLE = np.array([[[0.125, 0.125], [0.0, 0.125]], [[0.0625, 0.0625], [0.25, 0.25]]])
_CHAIN = np.einsum("yx,xz->xyz", [[0.25, 0.25], [0.125, 0.375]], [[0.75, 0.25], [0.5, 0.5]])
_VALUES = np.random.default_rng(7).beta(0.4, 6.0, 32)
_COUNTS = np.random.default_rng(8).integers(5, 12, 32)
_SUMS = np.round(_VALUES * _COUNTS, 6)
_PLANE = [[0.0, 0.0], [0.75, 0.5], [0.75, -0.5], [1.0, 0.0]]
_O, _N = "prev-next-task", "next-prev-task"

CASES = [
    ("lemma1", {"first": 1.5, "second": 0.25}),
    ("lemma1.minkowski", {"first": 1.5, "second": Interval(0.1, 0.25)}),
    ("lemma2", {"mean_distance": Interval(0.1, 0.3)}),
    (
        "lemma2.norms",
        {"mean_distance": Interval(0.1, 0.3), "norm_gap_squared": 0.7, "norm_lower": 0.5, "norm_upper": 2.0},
    ),
    ("lemma3", {"first": 1.0, "second": 0.3, "third": 0.7}),
    ("lemma3.minkowski", {"first": 1.0, "second": 0.3, "third": 0.7}),
    ("lemma4", {"joint": _CHAIN}),
    ("lemma5", {"joint": _PAIR, "base": math.e}),
    ("def2.strict", {"tail_prob_closed": 0.3}),
    ("def2.closed", {"tail_prob": 0.3}),
    ("prop1.printed", {"tail_prob": 0.03, "t": 0.05}),
    ("prop1.sandwich_upper", {"tail_prob": 0.03, "t": 0.05}),
    ("prop1.sandwich_lower", {"tail_prob_closed": 0.3, "t": 0.05}),
    (
        "prop1.sandwich_grid",
        {"thresholds": [0.1, 0.5, 1.0], "tail_upper": [0.5, 0.6, 0.1], "tail_closed_lower": [0.4, 0.1, 0.05]},
    ),
    ("prop1.tail_upper", {"mean_distance": 0.03, "t": 0.05}),
    ("prop1.tail_lower", {"mean_distance": 0.4, "t": 0.05}),
    ("thm1.printed", {"mean_distance": 0.02, "alpha": 1.0, "beta": 0.5}),
    ("thm1.printed", {"mean_distance": 0.2, "alpha": 1.0, "beta": 0.5, "task_cap": 0.7}),
    ("thm1.minkowski", {"squared_distance": 0.02, "alpha": 1.0, "beta": 0.5}),
    ("thm1.unit_norm", {"mean_distance": 0.02, "alpha": 1.0, "beta": 0.5}),
    ("thm1.residual", {"residual_next": 0.02, "residual_prev": 0.05, "alpha": 1.0, "beta": 0.5}),
    ("thm1.chain", {"chain": _N, "residual": 0.02, "lipschitz": 0.5}),
    ("thm1.truncated", {"truncated_next": 0.02, "truncated_prev": 0.01, "diameter": 1.5}),
    ("thm1.proximal", {"tail_prob": 0.03, "t": 0.05, "alpha": 1.0, "beta": 0.5, "diameter": 1.4}),
    ("cap.variance", {"task_variance": 0.3, "radius": 0.5}),
    ("cap.variance", {"task_variance": 0.3}),
    ("cap.probe_errors", {"error_next": 0.03, "error_prev": 0.04, "task_cap": 1.0}),
    ("thm2.printed", {"error_next": 0.03, "error_prev": 0.04, "mean_distance": 0.02, "alpha": 1.0, "beta": 0.5}),
    ("thm2.minkowski", {"functional_gap": 0.5, "error_next": 0.03, "error_prev": 0.04}),
    ("thm2.inverse", {"probe_gap": Interval(0.4, 0.5), "error_next": 0.03, "error_prev": 0.04, "task_cap": 2.0}),
    ("thm2.function", {"functional_gap": 0.5, "error_next": 0.03, "error_prev": 0.04}),
    ("thm2.probe_lipschitz", {"squared_distance": 0.03, "lipschitz": 1.5}),
    ("thm3.printed", {"tail_prob": Interval(0.01, 0.05), "support_size": 64, "ball_min": 1, "ball_max": 2}),
    ("thm3.list", {"miss_prob": 0.05, "list_size": 2, "support_size": 64}),
    ("thm3.sized_lists", {"sizes": [1, 2], "hit_probs": [0.5, 0.25], "miss_probs": [0.125, 0.125], "support_size": 9}),
    ("thm3.ball", {"joint": _PAIR, "distances": _RHO, "t": 0.25}),
    ("thm3.best_radius", {"joint": _PAIR, "distances": _RHO}),
    ("thm3.shells", {"joint": _PAIR, "distances": _RHO, "edges": [0.1, 1.0]}),
    ("thm3.best_shells", {"joint": _PAIR, "distances": _RHO, "base": math.e}),
    ("thm3.predictor", {"log_loss": 0.7, "support_size": 4}),
    (
        "thm4.printed",
        {"tail_prob": Interval(0.01, 0.05), "ball_prob_min": 0.1, "ball_prob_max": 0.2, "support_size": 64},
    ),
    ("thm4.binary", {"tail_prob": 0.05, "ball_prob": 0.2}),
    ("thm4.law", {"joint_law": [0.5, 0.25, 0.25], "product_law": [0.25, 0.25, 0.5]}),
    ("thm4.variational", {"mean_score": 0.9, "mean_exp_score": 1.5}),
    ("thm4.best_radius", {"joint": _PAIR, "distances": _RHO}),
    ("thm5.printed", {"conditional_entropy": 0.2, "norm_bound": 1.5}),
    ("thm5.information", {"chain": _O, "information": 0.2, "diameter": 1.4}),
    ("thm5.entropy", {"chain": _N, "entropy": 0.2, "radius": 0.7}),
    ("thm5.guessing", {"chain": _O, "joint": _PAIR, "radius": 0.7}),
    ("thm5.coupling", {"chain": _O, "miss_prob": 0.1, "diameter": 1.4}),
    ("thm5.mismatch", {"mismatch_prob": 0.1, "task_values": _PLANE}),
    ("thm5.mismatch_diameter", {"mismatch_prob": 0.1, "diameter": 1.4, "kind": "vector"}),
    ("thm5.free_information", {"information_next": 0.02, "information_prev": 0.1, "diameter": 1.4}),
    ("thm5.free_entropy", {"forward_entropy": 0.02, "backward_entropy": 0.1, "radius": 0.7, "diameter": 1.4}),
    ("thm5.performance_gap", {"unique_information": 0.2, "diameter": 1.4}),
    ("law.mean_distance", {"joint": _PAIR, "distances": _RHO}),
    ("law.tail_prob", {"joint": _PAIR, "distances": _RHO, "t": 0.25}),
    ("law.tail_prob_closed", {"joint": _PAIR, "distances": _RHO, "t": 0.25}),
    ("law.mismatch_prob", {"joint": _PAIR}),
    ("law.conditional_entropy", {"joint": _PAIR}),
    ("law.backward_entropy", {"joint": _PAIR}),
    ("law.information_next", {"joint": _TRIPLE}),
    ("law.functional_gap", {"joint": _TRIPLE, "task_values": [0.5, -1.0]}),
    ("given", {"quantity": "mean_distance", "value": Interval(0.1, 0.3)}),
    ("mean.betting_upper", {"values": _VALUES, "quantity": "tail_prob"}),
    (
        "mean.betting_upper",
        {
            "values": _SUMS,
            "counts": _COUNTS,
            "estimand": "token_pooled",
            "count_max": 12,
            "order": "permutation of seed 7",
        },
    ),
    ("mean.betting_lower", {"values": _SUMS, "counts": _COUNTS, "scale": 2.0, "confidence_level": 0.99}),
    ("mean.betting_lower", {"values": _SUMS, "counts": _COUNTS, "estimand": "token_pooled", "count_max": 12}),
    ("mean.betting_sequence_upper", {"values": _VALUES, "scale": 2.0}),
    ("mean.betting_sequence_lower", {"values": _VALUES}),
    ("mean.finite_population_upper", {"values": _VALUES, "population_size": 100}),
    ("mean.finite_population_lower", {"values": _VALUES, "population_size": 100}),
    ("mean.hoeffding_upper", {"values": _SUMS, "counts": _COUNTS}),
    ("mean.hoeffding_lower", {"values": 0.5 + _VALUES / 2, "scale": 1.5}),
    ("mean.empirical_bernstein_upper", {"values": _VALUES}),
    ("mean.empirical_bernstein_lower", {"values": 0.5 + _VALUES / 2}),
    ("mean.clopper_pearson_upper", {"values": [0.0] * 30 + [1.0] * 4}),
    ("mean.clopper_pearson_lower", {"values": [0.0] * 30 + [1.0] * 4}),
    ("tail.dkw_band", {"n_images": 400}),
]


def make(theorem, inputs):
    """The certificate of a case."""
    return registered()[theorem](**inputs)


def trees():
    """Certificates that rest on others: (name, certificate)."""
    bounds = registered()
    sample = bounds["mean.betting_upper"](values=_VALUES, quantity="mean_distance", scale=2.0)
    band = bounds["tail.dkw_band"](n_images=32)
    tail = bounds["tail.dkw"](band=band, values=_COUNTS // 3, counts=_COUNTS)
    first = bounds["thm1.unit_norm"](mean_distance=sample, alpha=1.0, beta=1.0, task_cap=1.0)
    second = bounds["thm1.printed"](mean_distance=sample, alpha=1.0, beta=0.5, task_cap=1.0)
    entropy = bounds["law.conditional_entropy"](joint=_PAIR, base=2.0)
    return [
        ("intersection", bounds["logic.intersection"](statements=(first, second))),
        ("dkw", bounds["prop1.sandwich_upper"](tail_prob=tail, t=0.05)),
        ("base of a parent", bounds["thm5.entropy"](chain=_O, entropy=entropy, radius=0.7, base=10.0)),
    ]
