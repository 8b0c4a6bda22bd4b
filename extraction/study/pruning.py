"""Leave plans out of a choice because certificates say that what they skip moves tokens far: saves runs and error.

A plan that is left out is never certified, so leaving it out can only cost power, never the guarantee, as long as the
samples that decide it are not those that the plans are tested on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from extraction.skip.plan import Plan
from extraction.skip.terms import LateEntry, VisionExit
from redundancy.certificates.parts import drawn
from redundancy.checks import check_real
from redundancy.concentration import betting_lower, bonferroni
from redundancy.errors import InvalidInputError
from redundancy.interval import text_down, text_level
from redundancy.sampling import DEFAULT_SALT, order_text, unit_sums
from redundancy.statistics.harvest_statistics import HarvestStatistics

__all__ = ["prune"]


def prune(
    plans: Sequence[Plan],
    statistics: HarvestStatistics,
    *,
    tested_on: Iterable[str] = (),
    farther: float = 0.2,
    confidence_level: float = 0.95,
) -> tuple[list[Plan], dict[Plan, str]]:
    """Plans worth testing, and why each of the others is not.

    Late entry at l leaves vision tokens at h_0 where the model has h_l, vision exit at e at h_e where it has h_L. If
    the mean cosine distance of the two is certainly above `farther`, the plan is left out. Other plans stay. Nothing
    is concluded from small distances: a plan that stays must still be tested.

    Parameters
    ----------
    plans : sequence of Plan
        The family.
    statistics : HarvestStatistics
        With distances between depths (harvested with ``matrix=True``).
    tested_on : iterable of str
        Samples that the plans will be tested on.
    farther : float, default=0.2
        Cosine distance in [0, 2].
    confidence_level : float, default=0.95
        Joint, of all reasons.

    Returns
    -------
    (list of Plan, dict of Plan to str)
        The plans that stay, in their order, and a sentence for each that does not.

    Raises
    ------
    InvalidInputError
        If the samples overlap, or the statistics lack vision tokens or distances between depths.

    References
    ----------
    .. [1] Waudby-Smith and Ramdas (2024), Estimating means of bounded random variables by betting, JRSS-B 86(1).
    """
    check_real(farther, "farther", lower=0.0, upper=2.0)
    shared = set(statistics.sample_ids) & set(tested_on)
    if shared:
        raise InvalidInputError(
            f"need statistics of other samples than those the plans are tested on, {len(shared)} are in both, as "
            f"{min(shared)!r}: a family that depends on the tests' own data loses the guarantee"
        )
    if not statistics.spec.has_matrix:
        raise InvalidInputError("need distances between depths to prune by, these statistics have none; harvest them")
    n_layers, counts = statistics.spec.n_layers, statistics.token_counts("vision")
    if not counts.all():
        raise InvalidInputError(
            f"need vision tokens in every sample to prune by, {statistics.sample_ids[int((counts == 0).argmax())]!r} "
            "has none"
        )
    judged = [(plan, depths) for plan in plans if (depths := _depths(plan, n_layers)) is not None]
    kept, reasons = list(plans), {}
    for (plan, (low, high)), level in zip(judged, bonferroni(confidence_level, max(1, len(judged))), strict=False):
        sums = statistics.entry_sums("vision")[:, high] if low == 0 else statistics.exit_sums("vision")[:, low]
        # Questions about one image are one draw, and names that betray distances may not order the bets.
        values, tokens, _ = unit_sums(sums, counts, statistics.units, salt=DEFAULT_SALT, pooled=False)
        bound = betting_lower(
            values=values,
            counts=tokens,
            scale=2.0,
            confidence_level=level,
            quantity="mean distance",
            order=order_text(DEFAULT_SALT),
        )
        if bound.interval.lower > farther:
            kept.remove(plan)
            images = drawn(statistics.n_units, statistics.n_samples, assumed=statistics.units_assumed)
            reasons[plan] = (
                f"{plan} is left out: it keeps vision tokens at depth {low} where the model has depth {high}, at a "
                f"mean cosine distance of at least {text_down(bound.interval.lower, decimals=3)}, above "
                f"{text_down(farther)} (confidence {text_level(confidence_level)}, {images})"
            )
    return kept, reasons


def _depths(plan: Plan, n_layers: int) -> tuple[int, int] | None:
    """Where the plan leaves vision tokens, and where the model has them; None for plans of another kind."""
    match plan.terms:
        case (LateEntry(layer),):
            return 0, layer
        case (VisionExit(layer),) if layer < n_layers:
            return layer, n_layers
    return None
