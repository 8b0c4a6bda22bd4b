from .functional import (
    functional_gap_of_law,
    functional_verdict,
    minimum_errors_of_law,
    probe_gap,
    task_variance_of_law,
)
from .geometric import geometric_verdict, mean_distance, mean_distance_of_law, mean_distance_of_sums
from .informational import (
    conditional_entropy_of_law,
    informational_verdict,
    plug_in_conditional_entropy,
    redundant_fraction_of_law,
)
from .proximal import (
    proximal_verdict,
    tail_prob,
    tail_prob_closed,
    tail_prob_closed_of_law,
    tail_prob_of_counts,
    tail_prob_of_law,
)
from .verdict import RedundancyVerdict

__all__ = [
    "RedundancyVerdict",
    "conditional_entropy_of_law",
    "functional_gap_of_law",
    "functional_verdict",
    "geometric_verdict",
    "informational_verdict",
    "mean_distance",
    "mean_distance_of_law",
    "mean_distance_of_sums",
    "minimum_errors_of_law",
    "plug_in_conditional_entropy",
    "probe_gap",
    "proximal_verdict",
    "redundant_fraction_of_law",
    "tail_prob",
    "tail_prob_closed",
    "tail_prob_closed_of_law",
    "tail_prob_of_counts",
    "tail_prob_of_law",
    "task_variance_of_law",
]
