"""Profiles: one joint level over all pairs and groups, alike from three sources, storable, and hard to tamper with."""

from __future__ import annotations

import copy
import json
import math

import numpy as np
import pytest
from scipy.stats import binom

from redundancy.certificates.pair import LayerPairCertificate
from redundancy.certificates.profile import ProfileCertificate
from redundancy.distances import pairwise_cosine_distance
from redundancy.errors import InvalidInputError, SkipItError
from redundancy.files.digested import seal
from redundancy.sampling import DEFAULT_SALT, hash_order
from redundancy.statistics.from_states import statistics_from_states
from redundancy.statistics.harvest_statistics import HarvestStatistics
from support import harvests as FACTORY
from support import sampling_laws as LAWS

GROUPS, stream, harvest, flat = FACTORY.GROUPS, FACTORY.stream, FACTORY.harvest, FACTORY.flat


# ------------------------------------------------------------------ level and coverage


@pytest.mark.parametrize("level", [0.9, 0.95, 0.999])
@pytest.mark.parametrize("groups", [("vision",), ("vision", "text"), ("vision", "words", "sink", "special", "all")])
def test_all_statements_share_one_error(level, groups):
    profile = ProfileCertificate.from_statistics(harvest(), groups=groups, confidence_level=level)
    failures = {(p.group, p.layer, key): d for p in profile.pairs for s in p.statements for key, d in s.failures}
    assert len(failures) == profile.n_sampled == 4 * 3 * len(groups)
    assert math.fsum(failures.values()) <= 1.0 - level
    assert math.fsum(failures.values()) == pytest.approx(1.0 - level)
    assert [(p.group, p.layer) for p in profile.pairs] == [(g, k) for g in groups for k in (1, 2, 3)]
    assert f"confidence at least {level:g}" in profile.sentence()
    assert f"jointly over {12 * len(groups)} sampling statements" in profile.sentence()


def test_a_wider_declaration_never_tightens_a_bound():
    one = ProfileCertificate.from_statistics(harvest(), groups=("vision",))
    two = ProfileCertificate.from_statistics(harvest(), groups=("vision", "text"))
    for k in (1, 2, 3):
        assert two.find(k, "vision").distance_upper >= one.find(k, "vision").distance_upper


def test_profiles_hold_the_whole_truth_at_their_level():
    """Images come from a known population of twelve: joint failures are compatible with 1 - level."""
    population = stream(np.random.default_rng(9), 12)
    whole = harvest(12, states=population)
    truth = {}
    for group in ("vision", "text"):
        counts = whole.pair_counts(group)
        truth[group, "mean_distance"] = (whole.distance_sums(group) / counts).mean(axis=0)
        truth[group, "tail_prob"] = (whole.tail_counts(group) / counts).mean(axis=0)
        truth[group, "tail_prob_closed"] = (whole.tail_counts(group, strict=False) / counts).mean(axis=0)
    rng, level, repeats, failures, useful = np.random.default_rng(11), 0.7, 60, 0, 0
    for _ in range(repeats):
        picks = rng.integers(0, 12, 50)
        profile = ProfileCertificate.from_statistics(
            harvest(50, states=[population[i] for i in picks]), confidence_level=level
        )
        failures += any(
            not s.interval.lower <= truth[p.group, s.quantity][p.layer - 1] <= s.interval.upper
            for p in profile.pairs
            for s in p.statements
            if (p.group, s.quantity) in truth
        )
        useful += profile.find(1, "vision").distance_upper < 0.3
    assert binom.sf(failures - 1, repeats, 1 - level) > 1e-3, failures
    assert useful == repeats


def test_holm_refutes_what_bonferroni_does_and_more():
    n = 300
    profile = ProfileCertificate.from_statistics(harvest(n, seed=2))
    threshold = 0.06
    verdicts = {(row["group"], row["layer"]): row for row in profile.below(threshold)}
    simple = {(p.group, p.layer) for p in profile.pairs if p.distance_upper < threshold}
    refuted = {place for place, row in verdicts.items() if row["below"]}
    assert simple <= refuted
    assert refuted == {("vision", 1), ("text", 1)}
    assert all(row["adjusted_p"] <= 0.05 for place, row in verdicts.items() if place in refuted)
    harvested = harvest(n, seed=2).image_mean_distance("vision")
    assert harvested[0] < threshold < harvested[1]


def test_holm_p_values_are_those_of_the_textbook_bet():
    """Bets and capital one at a time, by the formula; Holm's steps by hand for three hypotheses."""
    statistics = harvest(30, seed=4)
    profile = ProfileCertificate.from_statistics(statistics, groups=("vision",))
    delta = 0.05 / 12  # tunes the bets
    for threshold in (0.1, 0.4):
        p_values = []
        order = hash_order(statistics.sample_ids, DEFAULT_SALT)
        for column in (statistics.distance_sums("vision") / statistics.pair_counts("vision"))[order].T / 2.0:
            capital = 1.0
            bets = LAWS.textbook_bets(column, np.ones(30), delta, "fixed")
            path = [capital := capital * (1.0 - bet * (x - threshold / 2)) for bet, x in zip(bets, column, strict=True)]
            p_values.append(min(1.0, 1.0 / max(path)))
        first, second, third = sorted(range(3), key=p_values.__getitem__)
        adjusted = dict.fromkeys(range(3), 0.0)
        adjusted[first] = min(1.0, 3 * p_values[first])
        adjusted[second] = max(adjusted[first], min(1.0, 2 * p_values[second]))
        adjusted[third] = max(adjusted[second], p_values[third])
        for row in profile.below(threshold):
            assert row["adjusted_p"] == pytest.approx(adjusted[row["layer"] - 1], rel=1e-6)


def test_holm_has_more_power_than_bonferroni():
    """Somewhere between the two tests' limits Holm decides and the simultaneous bound does not."""
    profile = ProfileCertificate.from_statistics(harvest(300, seed=2), groups=("vision",))
    grid = np.linspace(0.01, 0.9, 200)
    holm = [sum(row["below"] for row in profile.below(t)) for t in grid]
    bonferroni_ = [sum(p.distance_upper < t for p in profile.pairs) for t in grid]
    assert all(a >= b for a, b in zip(holm, bonferroni_, strict=True))
    assert sum(holm) > sum(bonferroni_)


@pytest.mark.parametrize("threshold", [-0.1, 2.1, math.nan])
def test_holm_needs_a_threshold_in_range(threshold):
    with pytest.raises(InvalidInputError, match="threshold"):
        ProfileCertificate.from_statistics(harvest()).below(threshold)


# ------------------------------------------------------------------ sources


@pytest.mark.parametrize("estimand", ["image_average", "token_pooled"])
def test_arrays_and_statistics_give_one_profile(estimand):
    states = stream(np.random.default_rng(0), 40)
    rows, ids, names = flat(states)
    declared = {"estimand": estimand, "count_max": 6 if estimand == "token_pooled" else None}
    stored = ProfileCertificate.from_statistics(harvest(states=states), groups=("vision", "text"), **declared)
    given = ProfileCertificate.from_arrays(rows, ids, token_groups=names, groups=("vision", "text"), **declared)
    assert len(stored.pairs) == len(given.pairs) == 6
    for one, other in zip(stored.pairs, given.pairs, strict=True):
        for name in ("layer", "group", "n_images", "n_tokens"):
            assert getattr(one, name) == getattr(other, name)
        for s, t in zip(one.statements, other.statements, strict=True):
            assert (s.theorem, s.quantity, s.label) == (t.theorem, t.quantity, t.label)
            assert s.interval.lower == pytest.approx(t.interval.lower, abs=1e-9)
            assert s.interval.upper == pytest.approx(t.interval.upper, abs=1e-9)
    assert given.recheck().ok
    assert given.sentence() == stored.sentence()


def test_shards_merged_in_any_order_give_the_same_statements():
    states = stream(np.random.default_rng(0), 40)
    names = [f"image {i:03d}" for i in range(40)]
    shards = [
        statistics_from_states(states[part], [GROUPS] * len(states[part]), sample_ids=names[part], units=names[part])
        for part in (slice(0, 7), slice(7, 30), slice(30, 40))
    ]
    whole = ProfileCertificate.from_statistics(harvest(states=states))
    for order in ((0, 1, 2), (2, 0, 1), (1, 2, 0)):
        merged = ProfileCertificate.from_statistics(HarvestStatistics.merge_all([shards[k] for k in order]))
        assert merged.pairs == whole.pairs


def test_a_profile_of_one_pair_is_the_pair():
    statistics = harvest()
    rows, ids, _ = flat(stream(np.random.default_rng(0), 40))
    profile = ProfileCertificate.from_arrays(rows[:2], ids)
    assert [(p.layer, p.group) for p in profile.pairs] == [(1, "all")]
    pair = LayerPairCertificate.from_statistics(statistics, layer=1, group="all")
    assert profile.pairs[0].distance_upper == pytest.approx(pair.distance_upper, abs=1e-9)


def test_profiles_of_laws_are_exact():
    points = np.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]])
    rho = pairwise_cosine_distance(points)
    stay, mix = np.eye(3) / 3, np.array([[0.2, 0.1, 0.0], [0.1, 0.2, 0.1], [0.0, 0.1, 0.2]])
    profile = ProfileCertificate.from_laws({"vision": [stay, mix], "text": [mix, stay]}, distances=rho, t=0.1)
    assert profile.confidence_level is None
    assert profile.n_sampled == 0
    for layer, group, joint in ((1, "vision", stay), (2, "vision", mix), (1, "text", mix), (2, "text", stay)):
        statement = profile.find(layer, group).find("laws.law_distance")
        assert statement.label in ("P", "V")
        assert statement.interval.lower <= (joint * rho).sum() <= statement.interval.upper
    assert "For the 4 given laws all bounds labelled P hold" in profile.sentence()
    assert profile.recheck().ok
    assert ProfileCertificate.from_json(profile.to_json()) == profile
    with pytest.raises(InvalidInputError, match="need a sampled profile"):
        profile.below(0.1)


def test_odd_vectors_are_on_record():
    states = stream(np.random.default_rng(0), 40)
    states[3][1, 2] = 0.0  # a zero vector at depth 1: layers 1 and 2
    states[5][3, 1] = np.nan  # layer 3
    profile = ProfileCertificate.from_statistics(harvest(states=states))
    assert profile.find(1, "vision").notes == (
        "1 tokens with a zero vector count as distance 0 (0, both zero) or 1 (1, one zero)",
    )
    assert "left out" in profile.find(3, "vision").notes[0]
    assert profile.find(1, "text").notes == ()
    assert "layer 3 vision: 1 tokens with NaN or infinite states are left out" in profile.sentence()
    assert profile.find(3, "vision").n_tokens == 119
    with pytest.raises(InvalidInputError, match="need non-zero rows in x_next, got zero vectors in row 20"):
        ProfileCertificate.from_arrays(flat(states)[0], flat(states)[1])


# ------------------------------------------------------------------ words


def test_the_summary_names_what_is_vacuous_and_promises_nothing():
    profile = ProfileCertificate.from_statistics(harvest(300, seed=2))
    text = profile.summary()
    assert "vision: mean distance certified below 0.1 at layers 1." in text
    for group in profile.groups:
        own = [s for p in profile.pairs if p.group == group for s in p.statements]
        assert f"{group}: {sum(s.is_vacuous for s in own)} of {len(own)} statements are vacuous." in text
    assert "a small distance is none that skipping is safe" in text
    assert "Says nothing about: raw-state entropy, other populations, or the network with a layer removed" in text
    assert not any(word in text.lower() for word in ("can be skipped", "skippable", "safely"))
    assert all(s.label != "P" for p in profile.pairs for s in p.statements)


def test_records_and_html():
    profile = ProfileCertificate.from_statistics(harvest(), population="<b>captions</b>")
    records = profile.to_records()
    assert len(records) == sum(len(p.statements) for p in profile.pairs)
    assert {"layer", "group", "theorem", "quantity", "lower", "upper", "evidence", "vacuous"} <= set(records[0])
    html = profile._repr_html_()
    assert "&lt;b&gt;captions" in html
    assert "<b>captions" not in html
    assert html.count("<tr>") == 7


# ------------------------------------------------------------------ stored, re-checked, tampered with


def test_json_is_exact_and_recheck_equal():
    statistics = harvest()
    profile = ProfileCertificate.from_statistics(statistics)
    again = ProfileCertificate.from_json(profile.to_json())
    assert again == profile
    assert again.to_json() == profile.to_json()
    assert again.recheck().ok
    assert again.recheck(statistics).ok
    assert not again.recheck(harvest(seed=1)).ok


def drop_pair(body):
    body["pairs"].pop()


def swap_layers(body):
    pairs = body["pairs"]
    pairs[0]["layer"], pairs[1]["layer"] = pairs[1]["layer"], pairs[0]["layer"]


def raise_level(body):
    body["confidence_level"] = 0.99
    body["sentence"] = body["sentence"].replace("at least 0.95", "at least 0.99")


def drop_statement(body):
    body["pairs"][2]["statements"].pop(0)


def fewer_tokens(body):
    body["pairs"][0]["n_tokens"] -= 1


def other_population(body):
    body["pairs"][4]["population"] = "all images"


def other_estimand(body):
    body["estimand"] = "token_pooled"
    body["sentence"] = body["sentence"].replace(
        "means are over images of the mean over an image's tokens",
        "means are over tokens: expected sum over expected count",
    )


def better_bound(body):
    body["pairs"][1]["statements"][0]["interval"][1] *= 0.9


def other_images(body):
    body["n_images"] += 1
    body["sentence"] = body["sentence"].replace("of 40 i.i.d.", "of 41 i.i.d.")


@pytest.mark.parametrize(
    "change",
    [
        drop_pair,
        swap_layers,
        raise_level,
        drop_statement,
        fewer_tokens,
        other_population,
        other_estimand,
        better_bound,
        other_images,
    ],
)
def test_a_forged_whole_is_found_even_under_a_fresh_digest(change):
    body = json.loads(ProfileCertificate.from_statistics(harvest()).to_json())
    del body["digest"]
    forged = copy.deepcopy(body)
    change(forged)
    assert forged != body
    assert ProfileCertificate.from_json(seal(body)).recheck().ok
    try:
        report = ProfileCertificate.from_json(seal(forged)).recheck()
    except SkipItError:
        return
    assert not report.ok


def test_every_edit_of_the_file_is_found():
    text = ProfileCertificate.from_statistics(harvest(5)).to_json()
    rng = np.random.default_rng(0)
    digits = [i for i, c in enumerate(text) if c.isdigit()]
    for place in rng.choice(digits, 150, replace=False):
        forged = text[:place] + str((int(text[place]) + 1) % 10) + text[place + 1 :]
        try:
            same = json.loads(forged) == json.loads(text)  # the last digits of a float may be beyond its precision
        except ValueError:
            same = False
        if same:
            continue
        with pytest.raises(SkipItError):
            ProfileCertificate.from_json(forged)


@pytest.mark.parametrize("array", ["tail_strict", "tail_weak", "distance_sums"])
def test_certificates_of_other_data_are_found_with_the_statistics(array):
    """Consistent bounds for invented sums: only the harvest can tell, and it looks at every input."""
    statistics = harvest()
    arrays = statistics.arrays()
    arrays[array] = arrays[array] * 0
    forged = ProfileCertificate.from_statistics(
        HarvestStatistics(statistics.spec, sample_ids=statistics.sample_ids, arrays=arrays)
    )
    object.__setattr__(forged, "statistics_digest", statistics.digest())
    assert forged.recheck().ok
    report = forged.recheck(statistics)
    assert any("inputs" in problem for problem in report.problems)


# ------------------------------------------------------------------ bad input

ROWS, IDS, NAMES = flat(stream(np.random.default_rng(0), 4))
BAD_ARRAYS = {
    "one depth": ((ROWS[:1], IDS), {}, "need states of at least two depths"),
    "one image": ((ROWS, ["a"] * 24), {}, "need at least 2 images"),
    "short ids": ((ROWS, IDS[:5]), {}, "need ids, one per row"),
    "groups short": ((ROWS, IDS), {"token_groups": NAMES[:3]}, "need token_groups, one per row"),
    "no such group": ((ROWS, IDS), {"token_groups": NAMES, "groups": ["audio"]}, r"got \['audio'\]"),
    "twice": ((ROWS, IDS), {"token_groups": NAMES, "groups": ["text", "text"]}, "need distinct groups"),
    "shapes": (([ROWS[0], ROWS[1][:, :2]], IDS), {}, "need x_prev and x_next of one shape"),
    "empty image": (
        (ROWS, IDS),
        {"token_groups": np.where(np.arange(24) < 6, "text", NAMES), "groups": ["vision"]},
        "need tokens of group 'vision' in every image, 'image 000' has none",
    ),
}


@pytest.mark.parametrize("name", BAD_ARRAYS)
def test_bad_arrays_get_one_sentence(name):
    arguments, options, message = BAD_ARRAYS[name]
    with pytest.raises(InvalidInputError, match=message):
        ProfileCertificate.from_arrays(*arguments, **options)


def test_bad_statistics_get_one_sentence():
    with pytest.raises(InvalidInputError, match="need at least 2 images"):
        ProfileCertificate.from_statistics(harvest(1))
    with pytest.raises(InvalidInputError, match="need a group out of"):
        ProfileCertificate.from_statistics(harvest(), groups=("audio",))
    with pytest.raises(InvalidInputError, match=r"need a threshold that was harvested, one of \(0.05,\), got 0.1"):
        ProfileCertificate.from_statistics(harvest(), t=0.1)
    empty = HarvestStatistics(harvest().spec, sample_ids=["a", "b"])
    with pytest.raises(InvalidInputError, match="need tokens of group 'vision' in every image, 'a' has none"):
        ProfileCertificate.from_statistics(empty)
    with pytest.raises(InvalidInputError, match="need at least one joint law"):
        ProfileCertificate.from_laws([])


@pytest.mark.parametrize("sums", [-0.5, 2.5, np.nan])
def test_distance_sums_outside_their_range_are_not_clipped(sums):
    statistics = harvest()
    arrays = statistics.arrays()
    arrays["distance_sums"][2] = sums * arrays["pair_counts"][2]
    broken = HarvestStatistics(statistics.spec, sample_ids=statistics.sample_ids, arrays=arrays)
    with pytest.raises(InvalidInputError, match=r"^need "):
        ProfileCertificate.from_statistics(broken)
