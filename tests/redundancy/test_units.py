"""Units and order in certificates: images count, not samples; the order of the file and of the names does not."""

from __future__ import annotations

import numpy as np
import pytest

from redundancy.certificates.certifying import check_consistent
from redundancy.certificates.pair import LayerPairCertificate
from redundancy.certificates.profile import ProfileCertificate
from redundancy.concentration import betting_lower, betting_upper
from redundancy.concentration.exchangeability import ALARM, alarm, alarming, exchangeability_e_value, order_warning
from redundancy.errors import InvalidInputError, InvariantError
from redundancy.sampling import hash_order, order_text
from redundancy.statistics.from_states import statistics_from_states
from redundancy.statistics.harvest_statistics import HarvestStatistics
from support.harvests import GROUPS, stream


def questions(n_images, per_image, seed=0, units=True):
    """A harvest of several questions about each image; all see the same vision tokens."""
    states = [s for s in stream(np.random.default_rng(seed), n_images) for _ in range(per_image)]
    names = [f"{i:04d}" for i in np.random.default_rng(seed).permutation(len(states))]
    of_image = [f"picture {i // per_image}" for i in range(len(states))] if units else None
    return statistics_from_states(states, [GROUPS] * len(states), sample_ids=names, units=of_image)


def uppers(profile):
    return [pair.distance_upper for pair in profile.pairs]


def test_forty_questions_about_an_image_are_one_unit():
    several = ProfileCertificate.from_statistics(questions(20, 40), groups=("vision",))
    one = ProfileCertificate.from_statistics(questions(20, 1), groups=("vision",))
    assert uppers(several) == pytest.approx(uppers(one), abs=1e-9)
    assert (several.n_images, several.n_samples) == (20, 800)
    text = several.sentence()
    assert "over the draw of 20 i.i.d. images (800 questions) from" in text
    assert "an image with several questions counts once, with the mean over them" in text
    assert "questions" not in one.sentence()
    assert ProfileCertificate.from_json(several.to_json()) == several
    assert several.recheck(questions(20, 40)).ok
    assert not several.recheck(questions(20, 40, seed=1)).ok


def test_copies_under_other_names_certify_no_more():
    """Ten copies of twenty samples, each harvest with the digests of its pictures, merged."""
    states, groups = stream(np.random.default_rng(3), 20), [GROUPS] * 20
    digests = [f"sha {i}" for i in range(20)]
    copies = [
        statistics_from_states(states, groups, sample_ids=[f"copy {k} of {i}" for i in range(20)], units=digests)
        for k in range(10)
    ]
    merged = HarvestStatistics.merge_all(copies)
    assert (merged.n_samples, merged.n_units) == (200, 20)
    for group in ("vision", "text"):
        alone, together = (ProfileCertificate.from_statistics(s, groups=(group,)) for s in (copies[0], merged))
        assert uppers(together) == pytest.approx(uppers(alone), abs=1e-9)


def test_one_image_is_refused_however_many_questions_it_has():
    with pytest.raises(InvalidInputError, match=r"need at least 2 images, .* got 1 of 60 samples"):
        ProfileCertificate.from_statistics(questions(1, 60))


def test_a_mean_over_the_questions_of_an_image_counts_each_alike():
    """Text tokens differ in number between questions: their means are averaged, not their tokens."""
    rng = np.random.default_rng(5)
    states = [rng.normal(size=(2, n, 4)).cumsum(axis=0) for n in (2, 9, 3, 5)]
    statistics = statistics_from_states(states, [["words"] * s.shape[1] for s in states], units=["a", "a", "b", "b"])
    means = statistics.sample_distances("words")[:, 0]
    pair = LayerPairCertificate.from_statistics(statistics, layer=1, group="words")
    bound = pair.find("concentration.betting_upper", "mean_distance")
    found = bound.inputs["values"].values / bound.inputs["counts"].values
    expected = np.array([means[:2].mean(), means[2:].mean()])[hash_order(["a", "b"], "skip-it")]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    pooled = LayerPairCertificate.from_statistics(
        statistics, layer=1, group="words", estimand="token_pooled", count_max=20
    ).find("concentration.betting_upper", "mean_distance")
    sums = statistics.distance_sums("words")[:, 0]
    expected = np.array([sums[:2].sum() / 11, sums[2:].sum() / 8])[hash_order(["a", "b"], "skip-it")]
    np.testing.assert_allclose(pooled.inputs["values"].values / pooled.inputs["counts"].values, expected, rtol=1e-12)


def test_units_that_nobody_named_are_labelled(tmp_path):
    assumed = questions(10, 1, units=False)
    named = questions(10, 1)
    assert assumed.units == assumed.sample_ids
    assert (assumed.units_assumed, named.units_assumed) == (True, False)
    text = ProfileCertificate.from_statistics(assumed).sentence()
    assert "10 i.i.d. images (assumed: a sample that names no image shows one of its own)" in text
    assert "assumed: a sample" not in ProfileCertificate.from_statistics(named).sentence()
    for statistics in (assumed, named, HarvestStatistics.merge_all([named, renamed(assumed)])):
        statistics.save(tmp_path / "s.safetensors")
        again = HarvestStatistics.load(tmp_path / "s.safetensors")
        assert (again.units, again.units_assumed) == (statistics.units, statistics.units_assumed)
        assert again.digest() == statistics.digest()
    assert again.units_assumed  # of the merged ones
    assert again.n_units == 20
    assert assumed.digest() != named.digest()


def renamed(statistics):
    names = [f"other {name}" for name in statistics.sample_ids]
    return HarvestStatistics(statistics.spec, sample_ids=names, arrays=statistics.arrays())


def test_one_unit_for_every_sample():
    with pytest.raises(InvalidInputError, match="need one unit per sample, got 2 for 1 samples"):
        HarvestStatistics(questions(2, 1).spec, sample_ids=["a"], units=["a", "b"])


# ------------------------------------------------------------------- order


def categories(rng, n):
    """i.i.d. images whose names tell what they show, listed by name: charts do not move, photos move by 1."""
    photo = rng.random(n) < 0.5
    names = np.array([("photo" if p else "chart") + f"_{i:04d}" for i, p in enumerate(photo)])
    order = np.argsort(names)
    x = np.tile([1.0, 0.0], (n, 1))
    y = np.where(photo[order, None], [[0.0, 1.0]], [[1.0, 0.0]])
    return x, y, names[order]


def test_names_that_carry_the_category_do_not_break_the_guarantee():
    rng = np.random.default_rng(0)
    bounds = [LayerPairCertificate.from_arrays(*categories(rng, 100)).distance_upper for _ in range(200)]
    assert np.mean(np.array(bounds) < 0.5) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 200)
    assert np.median(bounds) < 1.0


def test_the_order_of_the_file_does_not_change_a_statement():
    x, y, names = categories(np.random.default_rng(1), 60)
    target = (y[:, 0] > 0.5).astype(int)
    shuffle = np.random.default_rng(2).permutation(60)
    first = LayerPairCertificate.from_arrays(x, y, names, target=target)
    second = LayerPairCertificate.from_arrays(x[shuffle], y[shuffle], names[shuffle], target=target[shuffle])
    for one, other in zip(first.statements, second.statements, strict=True):
        assert one.interval.upper == pytest.approx(other.interval.upper, abs=1e-9)
        assert one.interval.lower == pytest.approx(other.interval.lower, abs=1e-9)
    assert "is sorted or drifts" in first.sentence()
    assert "is sorted or drifts" not in second.sentence()
    assert "sorted or drifts" in LayerPairCertificate.from_json(first.to_json()).sentence()


def test_the_salt_is_declared_and_stored():
    x, y, names = categories(np.random.default_rng(1), 60)
    certificate = LayerPairCertificate.from_arrays(x, y, names, salt="2026-11")
    bound = certificate.find("concentration.betting_upper", "mean_distance")
    assert bound.inputs["order"] == order_text("2026-11")
    assert order_text("2026-11") in certificate.sentence()
    rows = hash_order(names, "2026-11")
    assert bound.inputs["values"].values.tolist() == (y[rows, 1] == 1.0).astype(float).tolist()
    assert certificate.recheck().ok


def test_bounds_that_contradict_each_other_are_a_fault_of_the_library():
    upper = betting_upper(values=[0.0] * 100, quantity="q")
    lower = betting_lower(values=[1.0] * 100, quantity="q")
    check_consistent([upper, betting_lower(values=[0.0] * 100, quantity="q")])
    with pytest.raises(InvariantError, match=r"q is at least 0\.9.* and at most 0\.03.*fault of this library"):
        check_consistent([upper, lower])


# ------------------------------------------------------------------- does the file look shuffled


def test_a_sorted_or_drifting_file_is_found():
    rng = np.random.default_rng(0)
    assert exchangeability_e_value(np.sort(rng.random(60))) > 1e6
    assert exchangeability_e_value(np.sort(rng.random(60))[::-1]) > 1e6
    assert exchangeability_e_value(np.linspace(0, 1, 400) + 0.5 * rng.normal(size=400)) > ALARM
    assert alarm(np.repeat([0.0, 0.4], [300, 100])) > 1e6


def test_shuffled_files_raise_the_alarm_at_most_once_in_twenty():
    """Also with ties, and the mean of the e-values is at most 1."""
    rng = np.random.default_rng(1)
    for draw in (lambda: rng.random(80), lambda: (rng.random(80) < 0.1).astype(float), lambda: rng.integers(0, 4, 80)):
        found = np.array([exchangeability_e_value(draw()) for _ in range(200)])
        assert np.mean(found > ALARM) <= 0.05
        assert found.mean() <= 1.0 + 3 * found.std() / np.sqrt(200)


def lopsided(rng, together, is_sorted=False):
    """Twenty images with twelve rows each and far states, forty with one row and near ones, in a shuffled file."""
    sizes = np.where(np.arange(60) < 20, 12, 1)
    ids = np.repeat(np.arange(60), sizes)
    if together:
        ids = np.concatenate([np.full(sizes[unit], unit) for unit in rng.permutation(60)])
    elif not is_sorted:
        ids = rng.permutation(ids)
    angle = np.where(ids < 20, 1.2, 0.1) + 0.05 * rng.random(len(ids))
    return ids, np.tile([1.0, 0.0], (len(ids), 1)), np.column_stack([np.cos(angle), np.sin(angle)])


@pytest.mark.parametrize("together", [True, False])
def test_images_of_many_rows_do_not_make_a_shuffled_file_look_sorted(together):
    """Their first row comes early in every shuffled file, and says nothing about its order."""
    rng = np.random.default_rng(11)
    alarms = 0
    for _ in range(60):
        ids, x_prev, x_next = lopsided(rng, together)
        alarms += LayerPairCertificate.from_arrays(x_prev, x_next, ids).order_e_value is not None
    assert alarms <= 6  # at most one of twenty is promised
    ids, x_prev, x_next = lopsided(rng, False, is_sorted=True)
    assert LayerPairCertificate.from_arrays(x_prev, x_next, ids).order_e_value > 1e3


def test_nor_do_images_with_many_questions_in_a_harvest():
    rng = np.random.default_rng(12)
    alarms = 0
    for _ in range(20):
        ids, x_prev, x_next = lopsided(rng, False)
        states = [np.stack([a, b])[:, None] for a, b in zip(x_prev, x_next, strict=True)]
        found = statistics_from_states(states, [["vision"]] * len(ids), units=[f"picture {i}" for i in ids])
        pair = LayerPairCertificate.from_statistics(found, layer=1, group="vision")
        assert (pair.n_images, pair.n_samples) == (60, 280)
        alarms += pair.order_e_value is not None
    assert alarms <= 4


def test_an_e_value_is_the_average_over_all_orders_of_a_small_file():
    """Over every order of distinct values the mean is 1 but for the coins, which only ties and ranks see."""
    from itertools import permutations

    values = [exchangeability_e_value(order) for order in permutations([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])]
    assert np.mean(values) == pytest.approx(1.0, abs=0.2)


def test_printed_e_values_are_rounded_down():
    assert alarming(12399.0) == 12300.0
    assert alarming(20.0) is None
    assert order_warning(None) == ""
    assert "e-value 1.23e+04" in order_warning(12300.0)
    with pytest.raises(InvalidInputError, match="need finite values"):
        exchangeability_e_value([0.0, np.nan])
