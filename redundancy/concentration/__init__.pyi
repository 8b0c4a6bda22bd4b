from .anytime import AnytimeMeans
from .betting import betting_lower, betting_sequence_lower, betting_sequence_upper, betting_upper
from .clopper_pearson import clopper_pearson_lower, clopper_pearson_upper
from .clustered import dkw_band, dkw_tail
from .empirical_bernstein import empirical_bernstein_lower, empirical_bernstein_upper
from .finite_population import finite_population_lower, finite_population_upper
from .floor import distribution_free_floor, minimum_n
from .hoeffding import hoeffding_lower, hoeffding_upper
from .multiplicity import HolmVerdict, bonferroni, holm, mean_capital, mean_p_value

__all__ = [
    "AnytimeMeans",
    "HolmVerdict",
    "betting_lower",
    "betting_sequence_lower",
    "betting_sequence_upper",
    "betting_upper",
    "bonferroni",
    "clopper_pearson_lower",
    "clopper_pearson_upper",
    "distribution_free_floor",
    "dkw_band",
    "dkw_tail",
    "empirical_bernstein_lower",
    "empirical_bernstein_upper",
    "finite_population_lower",
    "finite_population_upper",
    "hoeffding_lower",
    "hoeffding_upper",
    "holm",
    "mean_capital",
    "mean_p_value",
    "minimum_n",
]
