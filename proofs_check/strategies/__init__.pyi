from .geometry import clustered_samples, codebooks, symmetric_distances, unit_vectors
from .tables import channels, couplings, joint_pmfs, markov_chains

__all__ = [
    "channels",
    "clustered_samples",
    "codebooks",
    "couplings",
    "joint_pmfs",
    "markov_chains",
    "symmetric_distances",
    "unit_vectors",
]
