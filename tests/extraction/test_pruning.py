"""Plans that certainly move tokens far are left out of a choice, with the reason, by other samples than the tests'."""

import numpy as np
import pytest
import torch

from extraction import harvest
from extraction.skip import fastv, late_entry, skip_layers, vision_exit
from extraction.skip.terms import LateEntry, VisionExit
from extraction.study.pruning import prune
from extraction.tiny import tiny_batch, tiny_llava
from redundancy.concentration import betting_lower, bonferroni
from redundancy.errors import InvalidInputError
from redundancy.interval import text_down
from redundancy.sampling import DEFAULT_SALT, hash_order
from redundancy.statistics.harvest_statistics import HarvestStatistics

N = 4
FAMILY = [*map(late_entry, range(1, N + 1)), *map(vision_exit, range(N)), fastv(1, 0.5), skip_layers(2)]


def statistics_of(matrix=True, n=24):
    torch.manual_seed(0)
    model = tiny_llava(n_layers=N)
    batches = ({**tiny_batch(model, 8, 4, seed=i), "sample_ids": [f"{i}-{j}" for j in range(8)]} for i in range(n // 8))
    return harvest(model, batches, attention=False, matrix=matrix, progress=False)


@pytest.fixture(scope="module")
def statistics():
    return statistics_of()


def lower(statistics, plan, level):
    """The certified distance, from the matrix of depths of each sample alone."""
    counts = statistics.token_counts("vision")
    if entry := plan.term(LateEntry):
        sums = statistics.entry_sums("vision")[:, entry.layer]
    else:
        sums = statistics.exit_sums("vision")[:, plan.term(VisionExit).layer]
    order = hash_order(statistics.units, DEFAULT_SALT)
    return betting_lower(
        values=(sums / counts)[order], scale=2.0, confidence_level=level, order="by hash"
    ).interval.lower


def test_plans_go_exactly_where_the_bound_is_above_the_limit(statistics):
    level = bonferroni(0.95, 2 * N)[0]
    bounds = {plan: lower(statistics, plan, level) for plan in FAMILY[: 2 * N]}
    limit = float(np.median(list(bounds.values())))
    kept, reasons = prune(FAMILY, statistics, farther=limit)
    assert set(reasons) == {plan for plan, bound in bounds.items() if bound > limit}
    assert 0 < len(reasons) < 2 * N
    assert kept == [plan for plan in FAMILY if plan not in reasons]
    for plan, reason in reasons.items():
        assert str(plan) in reason
        assert f"at least {text_down(bounds[plan], decimals=3)}" in reason
    assert set(kept) >= {fastv(1, 0.5), skip_layers(2)}  # of those nothing is known


def test_ten_questions_about_each_image_leave_nothing_out_that_one_would_not(statistics):
    """The same images under ten names each: as many draws as before, so no plan may go that stayed."""
    copies = [
        HarvestStatistics(
            statistics.spec,
            sample_ids=[f"{copy}/{name}" for name in statistics.sample_ids],
            arrays=statistics.arrays(),
            units=statistics.units,
        )
        for copy in range(10)
    ]
    level = bonferroni(0.95, 2 * N)[0]
    limit = float(np.median([lower(statistics, plan, level) for plan in FAMILY[: 2 * N]]))
    kept, _ = prune(FAMILY, statistics, farther=limit)
    kept_of_copies, reasons = prune(FAMILY, HarvestStatistics.merge_all(copies), farther=limit)
    assert kept_of_copies == kept
    assert all("24 i.i.d. images (240 questions)" in reason for reason in reasons.values())


def test_limits_at_the_ends(statistics):
    assert prune(FAMILY, statistics, farther=2.0) == (FAMILY, {})
    kept, _ = prune(FAMILY, statistics, farther=0.0)
    assert kept[-2:] == FAMILY[2 * N :]
    assert not set(kept) & set(FAMILY[:N])  # random layers move every token from the start
    assert prune([], statistics) == ([], {})


def test_samples_of_the_tests_are_refused(statistics):
    with pytest.raises(InvalidInputError, match="1 are in both, as '1-3'"):
        prune(FAMILY, statistics, tested_on=["new", "1-3"])


def test_statistics_without_depths_are_refused():
    with pytest.raises(InvalidInputError, match="distances between depths"):
        prune(FAMILY, statistics_of(matrix=False, n=8))
