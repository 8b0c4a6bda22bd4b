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
    ("lemmas.squared_triangle_upper", {"first": 1.5, "second": 0.25}),
    ("lemmas.squared_triangle_minkowski", {"first": 1.5, "second": Interval(0.1, 0.25)}),
    ("lemmas.squared_distance_of_cosine", {"mean_distance": Interval(0.1, 0.3)}),
    (
        "lemmas.squared_distance_of_norms",
        {"mean_distance": Interval(0.1, 0.3), "norm_gap_squared": 0.7, "norm_lower": 0.5, "norm_upper": 2.0},
    ),
    ("lemmas.squared_sum_upper", {"first": 1.0, "second": 0.3, "third": 0.7}),
    ("lemmas.sum_minkowski", {"first": 1.0, "second": 0.3, "third": 0.7}),
    ("lemmas.divergence_information", {"joint": _CHAIN}),
    ("lemmas.self_unique_information", {"joint": _PAIR, "base": math.e}),
    ("tail.strict_tail_upper", {"tail_prob_closed": 0.3}),
    ("tail.closed_tail_lower", {"tail_prob": 0.3}),
    ("tail.printed_upper", {"tail_prob": 0.03, "t": 0.05}),
    ("tail.sandwich_upper", {"tail_prob": 0.03, "t": 0.05}),
    ("tail.sandwich_lower", {"tail_prob_closed": 0.3, "t": 0.05}),
    (
        "tail.sandwich_grid",
        {"thresholds": [0.1, 0.5, 1.0], "tail_upper": [0.5, 0.6, 0.1], "tail_closed_lower": [0.4, 0.1, 0.05]},
    ),
    ("tail.tail_closed_upper", {"mean_distance": 0.03, "t": 0.05}),
    ("tail.tail_lower", {"mean_distance": 0.4, "t": 0.05}),
    ("lipschitz.printed_upper", {"mean_distance": 0.02, "alpha": 1.0, "beta": 0.5}),
    ("lipschitz.printed_upper", {"mean_distance": 0.2, "alpha": 1.0, "beta": 0.5, "task_cap": 0.7}),
    ("lipschitz.minkowski_upper", {"squared_distance": 0.02, "alpha": 1.0, "beta": 0.5}),
    ("lipschitz.unit_norm_upper", {"mean_distance": 0.02, "alpha": 1.0, "beta": 0.5}),
    ("lipschitz.residual_upper", {"residual_next": 0.02, "residual_prev": 0.05, "alpha": 1.0, "beta": 0.5}),
    ("lipschitz.chain_upper", {"chain": _N, "residual": 0.02, "lipschitz": 0.5}),
    ("lipschitz.truncated_upper", {"truncated_next": 0.02, "truncated_prev": 0.01, "diameter": 1.5}),
    ("lipschitz.proximal_upper", {"tail_prob": 0.03, "t": 0.05, "alpha": 1.0, "beta": 0.5, "diameter": 1.4}),
    ("lipschitz.variance_cap", {"task_variance": 0.3, "radius": 0.5}),
    ("lipschitz.variance_cap", {"task_variance": 0.3}),
    ("lipschitz.probe_errors_cap", {"error_next": 0.03, "error_prev": 0.04, "task_cap": 1.0}),
    (
        "plug_in.printed_upper",
        {"error_next": 0.03, "error_prev": 0.04, "mean_distance": 0.02, "alpha": 1.0, "beta": 0.5},
    ),
    ("plug_in.minkowski_bounds", {"functional_gap": 0.5, "error_next": 0.03, "error_prev": 0.04}),
    (
        "plug_in.inverse_bounds",
        {"probe_gap": Interval(0.4, 0.5), "error_next": 0.03, "error_prev": 0.04, "task_cap": 2.0},
    ),
    ("plug_in.function_upper", {"functional_gap": 0.5, "error_next": 0.03, "error_prev": 0.04}),
    ("plug_in.probe_lipschitz_upper", {"squared_distance": 0.03, "lipschitz": 1.5}),
    ("fano.printed_upper", {"tail_prob": Interval(0.01, 0.05), "support_size": 64, "ball_min": 1, "ball_max": 2}),
    ("fano.list_upper", {"miss_prob": 0.05, "list_size": 2, "support_size": 64}),
    (
        "fano.sized_lists_upper",
        {"sizes": [1, 2], "hit_probs": [0.5, 0.25], "miss_probs": [0.125, 0.125], "support_size": 9},
    ),
    ("fano.ball_upper", {"joint": _PAIR, "distances": _RHO, "t": 0.25}),
    ("fano.best_radius_upper", {"joint": _PAIR, "distances": _RHO}),
    ("fano.shells_upper", {"joint": _PAIR, "distances": _RHO, "edges": [0.1, 1.0]}),
    ("fano.best_shells_upper", {"joint": _PAIR, "distances": _RHO, "base": math.e}),
    ("fano.predictor_upper", {"log_loss": 0.7, "support_size": 4}),
    (
        "braun_pokutta.printed_lower",
        {"tail_prob": Interval(0.01, 0.05), "ball_prob_min": 0.1, "ball_prob_max": 0.2, "support_size": 64},
    ),
    ("braun_pokutta.binary_lower", {"tail_prob": 0.05, "ball_prob": 0.2}),
    ("braun_pokutta.law_lower", {"joint_law": [0.5, 0.25, 0.25], "product_law": [0.25, 0.25, 0.5]}),
    ("braun_pokutta.variational_lower", {"mean_score": 0.9, "mean_exp_score": 1.5}),
    ("braun_pokutta.best_radius_lower", {"joint": _PAIR, "distances": _RHO}),
    ("pinsker.printed_upper", {"conditional_entropy": 0.2, "norm_bound": 1.5}),
    ("pinsker.chain_information_upper", {"chain": _O, "information": 0.2, "diameter": 1.4}),
    ("pinsker.chain_entropy_upper", {"chain": _N, "entropy": 0.2, "radius": 0.7}),
    ("pinsker.guessing_upper", {"chain": _O, "joint": _PAIR, "radius": 0.7}),
    ("margin.pointwise_upper", {"total_variation": 0.1, "margin": 0.3}),
    ("margin.change_upper", {"reach_prob": 0.2}),
    ("margin.telescoped_upper", {"costs": [0.1, 0.05]}),
    ("mismatch.coupling_upper", {"chain": _O, "miss_prob": 0.1, "diameter": 1.4}),
    ("mismatch.mismatch_upper", {"mismatch_prob": 0.1, "task_values": _PLANE}),
    ("mismatch.mismatch_upper_of_diameter", {"mismatch_prob": 0.1, "diameter": 1.4, "kind": "vector"}),
    ("pinsker.free_information_upper", {"information_next": 0.02, "information_prev": 0.1, "diameter": 1.4}),
    ("pinsker.free_entropy_upper", {"forward_entropy": 0.02, "backward_entropy": 0.1, "radius": 0.7, "diameter": 1.4}),
    ("performance_gap.performance_gap_upper", {"unique_information": 0.2, "diameter": 1.4}),
    ("laws.law_distance", {"joint": _PAIR, "distances": _RHO}),
    ("laws.law_tail", {"joint": _PAIR, "distances": _RHO, "t": 0.25}),
    ("laws.law_tail_closed", {"joint": _PAIR, "distances": _RHO, "t": 0.25}),
    ("laws.law_mismatch", {"joint": _PAIR}),
    ("laws.forward_entropy_of_law", {"joint": _PAIR}),
    ("laws.backward_entropy_of_law", {"joint": _PAIR}),
    ("laws.information_of_law", {"joint": _TRIPLE}),
    ("laws.gap_of_law", {"joint": _TRIPLE, "task_values": [0.5, -1.0]}),
    ("implications.given", {"quantity": "mean_distance", "value": Interval(0.1, 0.3)}),
    ("concentration.betting_upper", {"values": _VALUES, "quantity": "tail_prob"}),
    (
        "concentration.betting_upper",
        {
            "values": _SUMS,
            "counts": _COUNTS,
            "estimand": "token_pooled",
            "count_max": 12,
            "order": "permutation of seed 7",
        },
    ),
    ("concentration.betting_lower", {"values": _SUMS, "counts": _COUNTS, "scale": 2.0, "confidence_level": 0.99}),
    ("concentration.betting_lower", {"values": _SUMS, "counts": _COUNTS, "estimand": "token_pooled", "count_max": 12}),
    ("concentration.betting_sequence_upper", {"values": _VALUES, "scale": 2.0}),
    ("concentration.betting_sequence_lower", {"values": _VALUES}),
    ("concentration.finite_population_upper", {"values": _VALUES, "population_size": 100}),
    ("concentration.finite_population_lower", {"values": _VALUES, "population_size": 100}),
    ("concentration.hoeffding_upper", {"values": _SUMS, "counts": _COUNTS}),
    ("concentration.hoeffding_lower", {"values": 0.5 + _VALUES / 2, "scale": 1.5}),
    ("concentration.empirical_bernstein_upper", {"values": _VALUES}),
    ("concentration.empirical_bernstein_lower", {"values": 0.5 + _VALUES / 2}),
    ("concentration.clopper_pearson_upper", {"values": [0.0] * 30 + [1.0] * 4}),
    ("concentration.clopper_pearson_lower", {"values": [0.0] * 30 + [1.0] * 4}),
    ("concentration.dkw_band", {"n_images": 400}),
    ("margin.pointwise_upper", {"total_variation": 0.1, "margin": 0.3}),
    ("margin.pointwise_upper", {"total_variation": 0.2, "margin": 0.3}),
    ("margin.change_upper", {"reach_prob": 0.2}),
    ("margin.telescoped_upper", {"costs": (0.1, 0.25)}),
]


def make(theorem, inputs):
    """The certificate of a case."""
    return registered()[theorem](**inputs)


def trees():
    """Certificates that rest on others: (name, certificate)."""
    bounds = registered()
    sample = bounds["concentration.betting_upper"](values=_VALUES, quantity="mean_distance", scale=2.0)
    band = bounds["concentration.dkw_band"](n_images=32)
    tail = bounds["concentration.dkw_tail"](band=band, values=_COUNTS // 3, counts=_COUNTS)
    first = bounds["lipschitz.unit_norm_upper"](mean_distance=sample, alpha=1.0, beta=1.0, task_cap=1.0)
    second = bounds["lipschitz.printed_upper"](mean_distance=sample, alpha=1.0, beta=0.5, task_cap=1.0)
    entropy = bounds["laws.forward_entropy_of_law"](joint=_PAIR, base=2.0)
    return [
        ("intersection", bounds["implications.intersection"](statements=(first, second))),
        ("dkw", bounds["tail.sandwich_upper"](tail_prob=tail, t=0.05)),
        ("base of a parent", bounds["pinsker.chain_entropy_upper"](chain=_O, entropy=entropy, radius=0.7, base=10.0)),
    ]
