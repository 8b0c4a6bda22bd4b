"""The choice of a plan: exact tests, fixed sequences, and a guarantee that holds in simulation."""

import dataclasses
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from extraction.skip import Plan, late_entry, vision_exit
from extraction.study import PlanChoice, choose_plan, select_plan
from extraction.study.evaluation import PlanEvaluation
from redundancy.certificates.inputs import ArrayInput
from redundancy.errors import InvalidInputError, StoreError
from redundancy.files.digested import seal
from redundancy.risk import fewest_units

FAMILY = [late_entry(d) for d in range(1, 6)]
COSTS = [0.9, 0.8, 0.7, 0.6, 0.5]


def ids(n):
    return [str(i) for i in range(n)]


def with_losses(*counts, n=300):
    return [[1] * k + [0] * (n - k) for k in counts]


def test_p_values_and_bounds_are_the_exact_binomial_ones():
    choice = choose_plan(FAMILY, with_losses(0, 1, 2, 3, 300), costs=COSTS, sample_ids=ids(300), risk=0.03)
    for test, k in zip(choice.tests, (0, 1, 2, 3, 300), strict=True):
        assert test.n_losses == k
        assert test.p_value == pytest.approx(binomtest(k, 300, 0.03, alternative="less").pvalue, rel=1e-9)
        two_sided_at_90 = binomtest(k, 300).proportion_ci(0.90, method="exact").high  # its upper end: one-sided 95 %
        assert test.is_certified == (test.is_tested and two_sided_at_90 <= 0.03)
        two_sided_at_98 = binomtest(k, 300).proportion_ci(0.98, method="exact").high  # 1 % for each of five plans
        assert choice.control.risk_uppers()[str(test.plan)] == pytest.approx(two_sided_at_98, rel=1e-8)


def test_the_sequence_stops_at_the_first_failure():
    choice = choose_plan(FAMILY, with_losses(0, 1, 30, 0, 0), costs=COSTS, sample_ids=ids(300))
    assert [t.is_tested for t in choice.tests] == [True, True, True, False, False]
    assert choice.chosen == late_entry(2)
    assert [t.is_certified for t in choice.tests] == [True, True, False, False, False]


def test_mildest_first_whatever_the_given_order():
    order = [3, 0, 4, 2, 1]
    losses = with_losses(0, 0, 0, 50, 50)
    shuffled = choose_plan(
        [FAMILY[i] for i in order], [losses[i] for i in order], costs=[COSTS[i] for i in order], sample_ids=ids(300)
    )
    assert shuffled == choose_plan(FAMILY, losses, costs=COSTS, sample_ids=ids(300))
    assert shuffled.chosen == late_entry(3)
    assert [t.plan for t in shuffled.tests] == FAMILY


def test_chains_share_the_error_and_do_not_stop_each_other():
    plans = [late_entry(1), late_entry(2), vision_exit(4), vision_exit(3)]
    losses = with_losses(100, 0, 0, 0)
    arguments = {"costs": [0.9, 0.8, 0.85, 0.75], "sample_ids": ids(300)}
    assert choose_plan(plans, losses, **arguments).chosen == Plan()  # one chain: late_entry(1) stops all
    choice = choose_plan(plans, losses, **arguments, chains=["late", "late", "exit", "exit"])
    assert choice.chosen == vision_exit(3)
    assert [t.level for t in choice.tests] == pytest.approx([0.025, 0.025, 0.0, 0.025])
    assert [str(t.plan) for t in choice.tests if t.is_tested] == ["late_entry(1)", "vision_exit(4)", "vision_exit(3)"]


def test_bonferroni_passes_over_a_failure():
    losses = with_losses(0, 100, 0, 0, 100)
    choice = choose_plan(FAMILY, losses, costs=COSTS, sample_ids=ids(300), method="bonferroni")
    assert choice.chosen == late_entry(4)
    assert all(t.is_tested and t.level == pytest.approx(0.01) for t in choice.tests)


def test_holm_and_graphs_hand_the_error_on():
    losses = with_losses(1, 100, 0, 0, 2)
    bonferroni, holm = (
        choose_plan(FAMILY, losses, costs=COSTS, sample_ids=ids(300), risk=0.0255, method=method)
        for method in ("bonferroni", "holm")
    )
    assert [t.is_certified for t in bonferroni.tests] == [True, False, True, True, False]
    assert [t.is_certified for t in holm.tests] == [True, False, True, True, True]
    assert holm.chosen == late_entry(5)
    assert holm.recheck().ok
    # 3 losses of 300 at 2.6 %: p = 0.046, between half of the error and all of it.
    arguments = {"costs": COSTS, "sample_ids": ids(300), "risk": 0.026, "chains": ["late", "late", *["exit"] * 3]}
    apart, joined = (
        choose_plan(FAMILY, with_losses(0, 0, 0, 3, 0), **arguments, method=method)
        for method in ("fixed_sequence", "graph")
    )
    assert [t.is_certified for t in apart.tests] == [True, True, True, False, False]
    assert all(t.is_certified for t in joined.tests)
    assert joined.recheck().ok


def test_sentences():
    choice = choose_plan(FAMILY[:1], with_losses(0), costs=[0.9], sample_ids=ids(300))
    assert choice.guarantee == (
        "With confidence at least 0.95 over the draw of 300 i.i.d. samples, the plan late_entry(1) loses a right "
        "answer of the unmodified model on at most 0.02 of inputs from the same distribution (exact binomial tests, "
        "fixed sequence, 1 of 1 plan tested)."
    )
    assert choice.loss_upper == 0.02
    few = choose_plan(FAMILY, with_losses(0, 0, 0, 0, 0, n=100), costs=COSTS, sample_ids=ids(100), loss="answer")
    assert few.chosen == Plan()
    assert few.loss_upper == 0.0
    assert "no plan can be certified with fewer than 149 samples" in few.guarantee


@given(risk=st.integers(1, 50).map(lambda k: k / 100), delta=st.sampled_from([0.1, 0.05, 0.01]))
def testfewest_units_is_where_certification_begins(risk, delta):
    fewest = fewest_units(risk, delta)
    for n, certified in ((fewest, True), (fewest - 1, False)):
        if n:
            choice = choose_plan(
                FAMILY[:1], [[0] * n], costs=[1.0], sample_ids=ids(n), risk=risk, confidence_level=1 - delta
            )
            boundary = math.isclose((1 - risk) ** n, delta, rel_tol=1e-9)
            assert boundary or choice.tests[0].is_certified == certified


def test_round_trip_and_recheck_of_stored_losses():
    choice = choose_plan(FAMILY, with_losses(0, 0, 5, 0, 0), costs=COSTS, sample_ids=ids(300))
    back = PlanChoice.from_json(choice.to_json())
    assert back == choice
    assert back.recheck().ok


def altered(record, **changes):
    return dataclasses.replace(record, control=dataclasses.replace(record.control, **changes))


@pytest.mark.parametrize(
    "alter",
    [
        lambda r: altered(r, risk=0.011),
        lambda r: altered(r, confidence_level=0.99),
        lambda r: dataclasses.replace(r, sample_ids=r.sample_ids[:-1]),
        lambda r: dataclasses.replace(r, method="holm"),
        lambda r: altered(r, tests=(dataclasses.replace(r.control.tests[0], p_value=0.001), *r.control.tests[1:])),
        lambda r: altered(r, table=dataclasses.replace(r.control.table, values=ArrayInput(np.ones((5, 300))))),
        lambda r: altered(r, tests=r.control.tests[::-1]),
    ],
)
def test_recheck_sees_an_altered_number(alter):
    choice = choose_plan(FAMILY, with_losses(0, 0, 5, 0, 0), costs=COSTS, sample_ids=ids(300))
    report = PlanChoice(alter(choice.record)).recheck()
    assert not report
    assert report.problems


def test_altered_or_foreign_json_is_refused():
    choice = choose_plan(FAMILY, with_losses(0, 0, 5, 0, 0), costs=COSTS, sample_ids=ids(300))
    tree = json.loads(choice.to_json())
    tree["control"]["risk"] = 0.01
    with pytest.raises(StoreError, match="altered"):
        PlanChoice.from_json(json.dumps(tree))
    with pytest.raises(StoreError, match="schema"):
        PlanChoice.from_json('{"schema": "other"}')


def test_a_sentence_that_does_not_follow_is_refused_even_under_a_fresh_digest():
    choice = choose_plan(FAMILY, with_losses(0, 0, 5, 0, 0), costs=COSTS, sample_ids=ids(300))
    tree = json.loads(choice.to_json())
    del tree["digest"]
    tree["guarantee"] = tree["guarantee"].replace("0.95", "0.999")
    with pytest.raises(StoreError, match="need the sentence that follows from the stored tests"):
        PlanChoice.from_json(seal(tree))


def test_select_plan_reads_losses_from_evaluations():
    n = 300

    def evaluation(plan, changed, lost):
        tokens = [2] * lost + [3] * (changed - lost) + [1] * (n - changed)
        answers = [1] * lost + [3] * (changed - lost) + [1] * (n - changed)
        return PlanEvaluation(
            plan=plan,
            sample_ids=tuple(ids(n)),
            plain_tokens=(1,) * n,
            plan_tokens=tuple(tokens),
            kl=(0.0,) * n,
            answers=tuple(answers),
        )

    family = [evaluation(late_entry(1), 0, 0), evaluation(late_entry(2), 40, 0), evaluation(late_entry(3), 40, 40)]
    assert select_plan(family, costs=COSTS[:3]).chosen == late_entry(2)
    assert select_plan(family, costs=COSTS[:3], loss="answer").chosen == late_entry(1)
    other = dataclasses.replace(family[1], sample_ids=tuple(f"x{i}" for i in range(n)))
    with pytest.raises(InvalidInputError, match="same samples"):
        select_plan([family[0], other], costs=COSTS[:2])
    with pytest.raises(InvalidInputError, match="at least one evaluated plan"):
        select_plan([], costs=[])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"method": "hope"}, "'hope'"),
        ({"loss": "regret"}, "'regret'"),
        ({"risk": 0.0}, "risk"),
        ({"confidence_level": 1.0}, "confidence_level"),
        ({"costs": [1.0]}, "cost for each of 5"),
        ({"costs": [float("nan")] * 5}, "finite number for each cost"),
        ({"plans": FAMILY[:1] * 5}, "each plan once"),
        ({"plans": [], "losses": [], "costs": []}, "at least one plan"),
        ({"losses": with_losses(0, 0)}, "losses for each of 5"),
        ({"losses": with_losses(0, 0, 0, 0, 0, n=299)}, "300 losses of 0 or 1"),
        ({"losses": [[0.5] * 300] * 5}, "300 losses of 0 or 1"),
        ({"sample_ids": ["a"] * 300}, "unique sample ids"),
        ({"sample_ids": []}, "at least one sample"),
        ({"chains": ["a"]}, "chain for each"),
    ],
)
def test_bad_arguments_are_refused(change, words):
    arguments = {"plans": FAMILY, "losses": with_losses(0, 0, 0, 0, 0), "costs": COSTS, "sample_ids": ids(300)}
    with pytest.raises(InvalidInputError, match=words):
        choose_plan(**{**arguments, **change})


def failure_rate(repeats, *, method, chains, risks, n=200, risk=0.05, level=0.9, seed=0):
    """How often some certified plan has a true risk above the tolerated one; losses are dependent across plans."""
    rng = np.random.default_rng(seed)
    plans, costs = FAMILY[: len(risks)], COSTS[: len(risks)]
    failures = 0
    for _ in range(repeats):
        hardness = rng.random(n)  # one draw per sample: what a mild plan loses, a harsher plan loses too
        choice = choose_plan(
            plans,
            [hardness < r for r in risks],
            costs=costs,
            sample_ids=ids(n),
            risk=risk,
            confidence_level=level,
            method=method,
            chains=chains,
        )
        true_risk = dict(zip(plans, risks, strict=True))
        failures += any(true_risk[t.plan] > risk for t in choice.tests if t.is_certified)
    return failures


JUST_BAD = 0.0501
WORST_CASES = [
    ("fixed_sequence", None, (0.01, 0.02, JUST_BAD, 0.06, 0.2)),
    ("fixed_sequence", None, (JUST_BAD,) * 5),
    ("fixed_sequence", ["a", "b", "a", "b", "a"], (JUST_BAD, 0.01, 0.02, JUST_BAD, JUST_BAD)),
    ("bonferroni", None, (JUST_BAD,) * 5),
]


@pytest.mark.parametrize(("method", "chains", "risks"), WORST_CASES)
def test_the_guarantee_holds(method, chains, risks):
    """Failures among 300 seeded runs are compatible with the promised 10 %."""
    failures = failure_rate(300, method=method, chains=chains, risks=risks)
    assert binomtest(failures, 300, 0.1, alternative="greater").pvalue > 0.01


def test_the_simulation_can_fail():
    """Plans tested at the full level each, without a sequence or a correction, break the promise."""
    rng = np.random.default_rng(1)
    failures = 0
    for _ in range(300):
        losses = rng.random((5, 200)) < JUST_BAD
        singles = (
            choose_plan([p], [row], costs=[1.0], sample_ids=ids(200), risk=0.05, confidence_level=0.9)
            for p, row in zip(FAMILY, losses, strict=True)
        )
        failures += any(choice.chosen != Plan() for choice in singles)
    assert binomtest(failures, 300, 0.1, alternative="greater").pvalue < 1e-6


@pytest.mark.slow
@pytest.mark.parametrize(("method", "chains", "risks"), WORST_CASES)
def test_the_guarantee_holds_over_many_draws(method, chains, risks):
    """And is not idle: at the edge of the null, failures come close to what the discrete test allows."""
    repeats = 4000
    failures = failure_rate(repeats, method=method, chains=chains, risks=risks, seed=7)
    assert binomtest(failures, repeats, 0.1, alternative="greater").pvalue > 1e-3
    if method == "fixed_sequence" and chains is None:
        assert failures > 0.03 * repeats
