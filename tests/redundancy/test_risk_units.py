"""What a unit is, in which order it is bet on, groups, empty guarantees, joint bounds, and files of release 0.1.0."""

import contextlib
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, binomtest

from redundancy.concentration import betting_lower, betting_sequence_lower
from redundancy.errors import InvalidInputError, StoreError
from redundancy.files.digested import seal
from redundancy.risk import (
    SALT,
    AnytimeControl,
    RiskControl,
    control_risk,
    fewest_units,
    mean_interval,
    mean_upper,
    p_value,
    sample_size,
    sample_size_of_pilot,
)
from redundancy.risk.choices import ChoiceRecord
from redundancy.sampling import hash_order, unit_means

STORED = Path(__file__).parents[1] / "stored" / "0.1.0"


@given(names=st.lists(st.text(max_size=3), min_size=1, max_size=20), salt=st.text(max_size=3))
def test_the_order_is_a_permutation_that_keeps_units_together(names, salt):
    order = hash_order(names, salt)
    assert sorted(order) == list(range(len(names)))
    sorted_names = [names[k] for k in order]
    assert len({k for k in range(len(names)) if k == 0 or sorted_names[k] != sorted_names[k - 1]}) == len(set(names))
    for name in set(names):
        own = [k for k in order if names[k] == name]
        assert own == sorted(own)


def test_names_that_carry_the_category_are_mixed():
    names = [f"chart_{k:03d}" for k in range(100)] + [f"photo_{k:03d}" for k in range(100)]
    charts = np.array([names[k].startswith("chart") for k in hash_order(names, SALT)])
    assert 30 <= charts[:100].sum() <= 70
    assert (hash_order(names, "one") != hash_order(names, "another")).any()


@given(data=st.data())
def test_unit_means_are_means(data):
    units = data.draw(st.lists(st.sampled_from("abcd"), min_size=1, max_size=12))
    rows = data.draw(st.lists(st.lists(st.floats(0, 1), min_size=len(units), max_size=len(units)), min_size=1))
    means, names = unit_means(np.array(rows).T, units)
    assert names == tuple(dict.fromkeys(units))
    for row, found in zip(rows, means.T, strict=True):
        for name, mean in zip(names, found, strict=True):
            assert mean == pytest.approx(np.mean([v for v, u in zip(row, units, strict=True) if u == name]))
    with pytest.raises(InvalidInputError, match="one unit for each row"):
        unit_means([1.0], ["a", "b"])


# ---------------------------------------------------------------- units


def test_copies_of_a_sample_are_no_evidence():
    """Twenty images with twenty copies each certify what twenty images certify, at most."""
    losses = np.zeros((1, 400), dtype=int)
    images = [f"image {k // 20}" for k in range(400)]
    options = {"names": ["a"], "costs": [1.0], "risk": 0.05, "nouns": ("images", "questions")}
    assert control_risk(losses, **options).chosen == "a"
    clustered = control_risk(losses, units=images, **options)
    assert clustered.chosen is None
    assert clustered.kind == "betting"
    assert (clustered.n_units, clustered.n_samples) == (20, 400)
    assert clustered.tests[0].p_value >= 0.95**20
    assert "from 20 i.i.d. images (400 questions)" in clustered.guarantee
    assert "no plan can be certified with fewer than" in clustered.guarantee
    assert clustered.recheck().ok
    assert RiskControl.from_json(clustered.to_json()) == clustered
    with pytest.raises(InvalidInputError, match="one loss per unit"):
        control_risk(losses, units=images, kind="binomial", **options)
    single = control_risk(losses, units=[str(k) for k in range(400)], **options)
    assert single.kind == "binomial"


def test_the_risk_is_a_mean_over_units():
    """One image with many wrong questions counts once."""
    losses = np.array([[1] * 90 + [0] * 30], dtype=int)
    control = control_risk(losses, units=["x"] * 90 + [str(k) for k in range(30)], names=["a"], costs=[1.0], risk=0.5)
    assert control.tests[0].mean_loss == pytest.approx(1 / 31)


@pytest.mark.parametrize(("images", "per_image"), [(20, 20), (5, 60), (100, 5), (1, 200)])
def test_clustered_losses_keep_the_promise(images, per_image):
    """A plan that loses all questions of an image or none is certified wrongly in at most delta of draws."""
    rng = np.random.default_rng(images)
    units = [str(k) for k in range(images) for _ in range(per_image)]
    failures = 0
    for _ in range(200):
        losses = (rng.random(images) < 0.0501).repeat(per_image).astype(int)
        control = control_risk([losses], units=units, names=["a"], costs=[1.0], risk=0.05, confidence_level=0.9)
        failures += control.chosen is not None
    assert binomtest(failures, 200, 0.1, alternative="greater").pvalue > 0.01


# ---------------------------------------------------------------- order


def test_a_sorted_file_is_not_certified_below_its_own_mean():
    losses = np.r_[np.zeros(300), np.full(100, 0.4)]
    options = {"names": ["a"], "costs": [1.0], "risk": 0.05}
    control = control_risk([losses], **options)
    assert control.chosen is None
    for kind in ("betting", "betting_sequence"):
        assert p_value(losses, 0.05, kind=kind) == 1.0
    watch = AnytimeControl(**options)
    watch.update(losses[:300, None])
    assert watch.certified == ("a",)
    watch.update(losses[300:, None])
    assert watch.certified == (), "withdrawn where the stream contradicts it"


def test_sorted_files_keep_the_promise():
    """I.i.d. samples that are listed by category: at the edge of the hypothesis, few are certified."""
    rng = np.random.default_rng(0)
    failures = 0
    for _ in range(200):
        hard = np.sort(rng.random(200) < 0.25)
        losses = np.where(hard, rng.choice([0.0, 0.4], 200), 0.0)  # mean 0.05
        failures += control_risk([losses], names=["a"], costs=[1.0], risk=0.05, confidence_level=0.9).chosen is not None
    assert binomtest(failures, 200, 0.1, alternative="greater").pvalue > 0.01


# ---------------------------------------------------------------- groups


def test_every_group_must_pass():
    losses = np.array([[0] * 390 + [1] * 10, [0] * 400])
    groups = ["photo"] * 300 + ["chart"] * 100
    options = {"names": ["a", "b"], "costs": [2.0, 1.0], "risk": 0.05, "procedure": "bonferroni"}
    assert control_risk(losses, **options).certified == ("a", "b")
    control = control_risk(losses, groups=groups, **options)
    assert control.certified == ("b",)
    assert "in each of 2 groups (chart, photo)" in control.guarantee
    assert control.group_p_values("a")["photo"] < 0.025 < control.group_p_values("a")["chart"]
    assert control.tests[0].p_value == max(control.group_p_values("a").values())
    assert control.recheck().ok
    assert RiskControl.from_json(control.to_json()) == control


def test_the_worst_group_keeps_the_promise():
    rng = np.random.default_rng(2)
    failures = 0
    for _ in range(300):
        groups = rng.choice(["a", "b", "c"], 400)
        losses = (rng.random(400) < np.where(groups == "b", 0.0501, 0.0)).astype(int)
        control = control_risk([losses], groups=groups, names=["p"], costs=[1.0], risk=0.05, confidence_level=0.9)
        failures += control.chosen is not None
    assert binomtest(failures, 300, 0.1, alternative="greater").pvalue > 0.01


# ---------------------------------------------------------------- guarantees that cannot fail


def test_a_guarantee_that_cannot_fail_says_so():
    losses = np.zeros((1, 200), dtype=int)
    scores = np.array([1.0] + [0.0] * 199)
    options = {"names": ["blind"], "costs": [1.0], "risk": 0.05}
    control = control_risk(losses, ceiling=scores, **options)
    assert control.certified == ("blind",)
    assert control.is_vacuous
    assert control.chosen is None
    assert control.guarantee.startswith("Vacuous (V)")
    assert RiskControl.from_json(control.to_json()) == control
    good = control_risk(losses, ceiling=np.ones(200), **options)
    assert not good.is_vacuous
    assert good.chosen == "blind"
    with pytest.raises(InvalidInputError, match="no loss passes"):
        control_risk(1 - losses, ceiling=scores, **options)


@pytest.mark.parametrize(("height", "is_vacuous"), [(0.01, True), (0.5, False)])
def test_the_ceiling_of_binary_losses_may_be_a_fraction(height, is_vacuous):
    losses = np.zeros((1, 200), dtype=int)
    control = control_risk(losses, ceiling=np.full(200, height), names=["mild"], costs=[1.0], risk=0.05)
    assert control.ceiling_upper >= height
    assert control.is_vacuous is is_vacuous
    assert control.guarantee.startswith("Vacuous (V)" if is_vacuous else "With confidence")
    assert RiskControl.from_json(control.to_json()) == control


# ---------------------------------------------------------------- bounds and sizes


def test_risks_chosen_after_looking_are_covered():
    """Some plan's bound is below its risk in at most delta of draws: any risk may be read off the bounds."""
    rng = np.random.default_rng(3)
    risks = np.array([0.01, 0.03, 0.06, 0.1])
    failures = 0
    for _ in range(300):
        losses = (rng.random((4, 150)) < risks[:, None]).astype(int)
        control = control_risk(losses, names=list("abcd"), costs=[4, 3, 2, 1], risk=0.05, confidence_level=0.9)
        uppers = control.risk_uppers()
        failures += any(uppers[name] < risk for name, risk in zip("abcd", risks, strict=True))
    assert binomtest(failures, 300, 0.1, alternative="greater").pvalue > 0.01


@pytest.mark.parametrize("kind", ["binomial", "betting", "betting_sequence"])
def test_tests_and_bounds_agree(kind):
    values = np.array([1] * 3 + [0] * 197)[np.random.default_rng(4).permutation(200)]
    upper = mean_upper(values, 0.95, kind=kind)
    assert p_value(values, upper * 1.001, kind=kind) <= 0.05 < p_value(values, upper * 0.999, kind=kind)
    low, high = mean_interval(values, 0.95, kind=kind)
    assert low <= 0.015 <= upper <= high
    low, high = mean_interval(2.0 * values - 1.0, 0.95, loss_range=(-1.0, 1.0), kind="betting")
    assert -1.0 <= low <= -0.97 <= high <= 1.0


def test_both_ends_of_the_interval_of_a_stream_hold_at_every_look():
    """The lower end once was that of a single look at the end, which is higher than whoever may stop can claim."""
    values = (np.random.default_rng(5).random(150) < 0.3).astype(float)
    low, high = mean_interval(values, 0.9, kind="betting_sequence")
    any_time = betting_sequence_lower(values=values, confidence_level=0.95).interval.lower
    assert low == pytest.approx(any_time, abs=1e-12)
    assert low < betting_lower(values=values, confidence_level=0.95, order="as given").interval.lower
    assert high == mean_upper(values, 0.95, kind="betting_sequence")


@pytest.mark.parametrize("kind", ["binomial", "betting", "betting_sequence"])
def test_fewest_units_is_where_certification_begins(kind):
    n = fewest_units(0.04, 0.02, kind=kind)
    zeros = [np.zeros(k, dtype=int if kind == "binomial" else float) for k in (n, n - 1)]
    assert p_value(zeros[0], 0.04, kind=kind) <= 0.02 < p_value(zeros[1], 0.04, kind=kind)


# ---------------------------------------------------------------- streams of units


def test_a_stream_takes_whole_units_only():
    watch = AnytimeControl(names=["a"], costs=[1.0], risk=0.1, nouns=("images", "questions"))
    watch.update(np.zeros((4, 1)), units=["x", "x", "y", "y"])
    assert watch.result().n_units == 2
    with pytest.raises(InvalidInputError, match="comes again"):
        watch.update(np.zeros((1, 1)), units=["x"])
    with pytest.raises(InvalidInputError, match="for every sample or for none"):
        watch.update(np.zeros((1, 1)))
    watch.update(np.zeros((1, 1)), units=[7])
    with pytest.raises(InvalidInputError, match="'7' comes again"):
        watch.update(np.zeros((1, 1)), units=["7"])  # else the bet on 7 would be settled twice
    for k in range(60):
        watch.update(np.zeros((2, 1)), units=[f"z{k}"] * 2)
    assert watch.certified == ("a",)
    assert "63 i.i.d. images (125 questions)" in watch.result().guarantee
    assert RiskControl.from_json(watch.result().to_json()).recheck().ok


# ---------------------------------------------------------------- files of release 0.1.0


@pytest.mark.parametrize("name", ["choice.json", "choice_none.json"])
def test_stored_choices_are_read_and_checked_again(name):
    text = (STORED / name).read_text()
    tree = json.loads(text)
    record = ChoiceRecord.from_json(text)
    assert record.recheck().ok
    assert record.guarantee == tree["guarantee"]
    again = ChoiceRecord.from_json(record.to_json()) if record.stated is None else record
    assert again == record
    names = [test.name for test in record.control.tests]
    if name == "choice.json":
        assert names == [
            "late_entry(1)",
            "vision_exit(3)",
            "skip_layers(3, 7-8) + fastv(2, 0.5)",
            "random_keep(0.25, seed=3)",
        ]
        assert record.chosen == "vision_exit(3)"
    del tree["digest"]
    for alter in (
        lambda t: t["tests"][0].update(p_value=0.5),
        lambda t: t["tests"][-1].update(losses="0" * 150),
        lambda t: t.update(risk=0.5),
        lambda t: t.update(guarantee="Nothing is ever lost."),
        lambda t: t["chosen"].update(vision_exit=7),
    ):
        altered = json.loads(json.dumps(tree))
        alter(altered)
        with contextlib.suppress(StoreError):  # refused when it is read, or found when it is checked
            assert not ChoiceRecord.from_json(seal(altered)).recheck()


def test_a_stored_control_is_checked_in_the_order_it_was_made_in():
    control = RiskControl.from_json((STORED / "risk_control.json").read_text())
    assert control.recheck().ok
    shuffled = dataclasses.replace(control, table=dataclasses.replace(control.table, salt="x"))
    assert not shuffled.recheck()


# ---------------------------------------------------------------- how many units


@pytest.mark.parametrize(
    ("risk", "expected", "shares"), [(0.05, 0.0, 1), (0.02, 0.005, 2), (0.1, 0.04, 1), (0.3, 0.2, 5)]
)
def test_sample_sizes_are_enough_and_hardly_more(risk, expected, shares):
    found = sample_size(risk, expected, n_shares=shares)
    level = 0.05 / shares

    def power(n):
        allowed = np.flatnonzero(binom.cdf(np.arange(n), n, risk) <= level)
        return binom.cdf(allowed[-1], n, expected) if allowed.size else 0.0

    assert power(found.n_units) == pytest.approx(found.power)
    assert found.power >= 0.8
    assert all(power(n) < 0.8 for n in range(max(1, int(0.5 * found.n_units)), int(0.97 * found.n_units)))
    assert f"{found.n_units:,} independent units" in found.sentence


@pytest.mark.parametrize("risk", [1e-13, 1e-300, 5e-324])
def test_risks_below_what_floats_can_count_are_refused(risk):
    with pytest.raises(InvalidInputError, match="need a risk of at least 1e-12"):
        sample_size(risk, 0.0)


def test_a_pilot_of_clustered_losses_asks_for_more_than_single_ones():
    pilot = np.r_[np.zeros(90), np.full(10, 0.1)]
    found = sample_size_of_pilot(pilot, 0.05, n_draws=50)
    rng = np.random.default_rng(5)
    hits = [p_value(rng.choice(pilot, found.n_units), 0.05, kind="betting") <= 0.05 for _ in range(100)]
    assert np.mean(hits) > 0.6
    with pytest.raises(InvalidInputError, match="mean loss below"):
        sample_size_of_pilot(pilot, 0.005)
    with pytest.raises(InvalidInputError, match="not to be certified"):
        sample_size(0.05, 0.05)


def test_the_command_takes_a_guess_or_a_pilot(skip_it):
    done = skip_it("plan-size", "--risk", 0.02, "--expect", 0.005, "--shares", 1, "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["n_units"] == sample_size(0.02, 0.005).n_units
    done = skip_it("plan-size", "--pilot", STORED / "choice.json", "--plan", "vision_exit(3)", "--risk", 0.1)
    assert done.code == 0, done.err
    assert "independent units certify" in done.out
    for wrong, words in (
        ([], "need --expect or --pilot"),
        (["--expect", 0.5], "not to be certified"),
        (["--pilot", "nowhere.json"], "cannot be read"),
        (["--pilot", STORED / "choice.json", "--plan", "x"], "a plan of the pilot"),
    ):
        done = skip_it("plan-size", *wrong)
        assert done.code == 2
        assert words in done.err
