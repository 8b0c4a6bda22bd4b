from .divergence import kl_divergence, total_variation
from .entropy import binary_entropy, conditional_entropy, conditional_mutual_information, entropy, mutual_information
from .joint import conditional_law, conditional_means, joint_from_codes, marginal
from .markov import is_markov, markov_defect

__all__ = [
    "binary_entropy",
    "conditional_entropy",
    "conditional_law",
    "conditional_means",
    "conditional_mutual_information",
    "entropy",
    "is_markov",
    "joint_from_codes",
    "kl_divergence",
    "marginal",
    "markov_defect",
    "mutual_information",
    "total_variation",
]
