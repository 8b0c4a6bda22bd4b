"""Ids that theorems had in release 0.1.0, so that stored files and old notes can still be read."""

from __future__ import annotations

import re

__all__ = ["FORMER_IDS", "current_id", "current_text", "sealed_id"]

FORMER_IDS = {
    "cap.probe_errors": "lipschitz.probe_errors_cap",
    "cap.variance": "lipschitz.variance_cap",
    "def2.closed": "tail.closed_tail_lower",
    "def2.strict": "tail.strict_tail_upper",
    "given": "implications.given",
    "law.backward_entropy": "laws.backward_entropy_of_law",
    "law.conditional_entropy": "laws.forward_entropy_of_law",
    "law.functional_gap": "laws.gap_of_law",
    "law.information_next": "laws.information_of_law",
    "law.mean_distance": "laws.law_distance",
    "law.mismatch_prob": "laws.law_mismatch",
    "law.tail_prob": "laws.law_tail",
    "law.tail_prob_closed": "laws.law_tail_closed",
    "lemma1": "lemmas.squared_triangle_upper",
    "lemma1.minkowski": "lemmas.squared_triangle_minkowski",
    "lemma2": "lemmas.squared_distance_of_cosine",
    "lemma2.norms": "lemmas.squared_distance_of_norms",
    "lemma3": "lemmas.squared_sum_upper",
    "lemma3.minkowski": "lemmas.sum_minkowski",
    "lemma4": "lemmas.divergence_information",
    "lemma5": "lemmas.self_unique_information",
    "logic.intersection": "implications.intersection",
    "mean.betting_lower": "concentration.betting_lower",
    "mean.betting_sequence_lower": "concentration.betting_sequence_lower",
    "mean.betting_sequence_upper": "concentration.betting_sequence_upper",
    "mean.betting_upper": "concentration.betting_upper",
    "mean.clopper_pearson_lower": "concentration.clopper_pearson_lower",
    "mean.clopper_pearson_upper": "concentration.clopper_pearson_upper",
    "mean.empirical_bernstein_lower": "concentration.empirical_bernstein_lower",
    "mean.empirical_bernstein_upper": "concentration.empirical_bernstein_upper",
    "mean.finite_population_lower": "concentration.finite_population_lower",
    "mean.finite_population_upper": "concentration.finite_population_upper",
    "mean.hoeffding_lower": "concentration.hoeffding_lower",
    "mean.hoeffding_upper": "concentration.hoeffding_upper",
    "prop1.printed": "tail.printed_upper",
    "prop1.sandwich_grid": "tail.sandwich_grid",
    "prop1.sandwich_lower": "tail.sandwich_lower",
    "prop1.sandwich_upper": "tail.sandwich_upper",
    "prop1.tail_lower": "tail.tail_lower",
    "prop1.tail_upper": "tail.tail_closed_upper",
    "tail.dkw": "concentration.dkw_tail",
    "tail.dkw_band": "concentration.dkw_band",
    "thm1.chain": "lipschitz.chain_upper",
    "thm1.minkowski": "lipschitz.minkowski_upper",
    "thm1.printed": "lipschitz.printed_upper",
    "thm1.proximal": "lipschitz.proximal_upper",
    "thm1.residual": "lipschitz.residual_upper",
    "thm1.truncated": "lipschitz.truncated_upper",
    "thm1.unit_norm": "lipschitz.unit_norm_upper",
    "thm2.function": "plug_in.function_upper",
    "thm2.inverse": "plug_in.inverse_bounds",
    "thm2.minkowski": "plug_in.minkowski_bounds",
    "thm2.printed": "plug_in.printed_upper",
    "thm2.probe_lipschitz": "plug_in.probe_lipschitz_upper",
    "thm3.ball": "fano.ball_upper",
    "thm3.best_radius": "fano.best_radius_upper",
    "thm3.best_shells": "fano.best_shells_upper",
    "thm3.list": "fano.list_upper",
    "thm3.predictor": "fano.predictor_upper",
    "thm3.printed": "fano.printed_upper",
    "thm3.shells": "fano.shells_upper",
    "thm3.sized_lists": "fano.sized_lists_upper",
    "thm4.best_radius": "braun_pokutta.best_radius_lower",
    "thm4.binary": "braun_pokutta.binary_lower",
    "thm4.law": "braun_pokutta.law_lower",
    "thm4.printed": "braun_pokutta.printed_lower",
    "thm4.variational": "braun_pokutta.variational_lower",
    "thm5.coupling": "mismatch.coupling_upper",
    "thm5.entropy": "pinsker.chain_entropy_upper",
    "thm5.free_entropy": "pinsker.free_entropy_upper",
    "thm5.free_information": "pinsker.free_information_upper",
    "thm5.guessing": "pinsker.guessing_upper",
    "thm5.information": "pinsker.chain_information_upper",
    "thm5.mismatch": "mismatch.mismatch_upper",
    "thm5.mismatch_diameter": "mismatch.mismatch_upper_of_diameter",
    "thm5.performance_gap": "performance_gap.performance_gap_upper",
    "thm5.printed": "pinsker.printed_upper",
}
_SEALED = {new: old for old, new in FORMER_IDS.items()}


def current_id(theorem: str) -> str:
    """Today's id of a theorem, by today's id or by the one it had."""
    return FORMER_IDS.get(theorem, theorem)


def sealed_id(theorem: str) -> str:
    """The id that enters digests: the first that the theorem had, so that a digest outlives a change of name."""
    return _SEALED.get(theorem, theorem)


def current_text(text: str) -> str:
    """A stored sentence with the ids that theorems have today."""
    return _NAMED.sub(lambda match: FORMER_IDS[match[0]], text)


# "given" is a word, too, and no sentence names it as an id.
_NAMED = re.compile(
    r"(?<![\w.])(?:" + "|".join(re.escape(old) for old in FORMER_IDS if old != "given") + r")(?!\w|\.\w)"
)
