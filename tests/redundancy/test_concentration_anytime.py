"""Means on a stream: one pass equals many batches, coverage over all looks at once, state that travels."""

import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from redundancy.concentration import AnytimeMeans, betting_sequence_lower, betting_sequence_upper, clopper_pearson_upper
from redundancy.concentration.capital import Problem, solve, solved_together
from redundancy.errors import AssumptionError, InvalidInputError, StoreError
from support import sampling_laws as S

CUTS = st.lists(st.integers(0, 5), min_size=1, max_size=8)


def fed(x, cuts, *, counts=None, **options):
    """A watch that saw x in batches of these sizes, cyclically."""
    watch, start = AnytimeMeans(**options), 0
    while start < len(x):
        for size in (*cuts, 1):
            stop = min(len(x), start + size)
            watch.update(x[start:stop], counts=None if counts is None else counts[start:stop])
            start = stop
    return watch


# ------------------------------------------------------------------- holds


@pytest.mark.parametrize("side", ["upper", "lower"])
@pytest.mark.parametrize("p", [0.1, 0.5])
def test_it_ever_errs_with_at_most_delta_over_every_stream(side, p):
    """A look after each of 12 images, on every stream of zeros and ones: the worst of all looks counts."""
    samples, masses = S.iid_samples([0.0, 1.0], [1 - p, p], 12)
    for level in (0.5, 0.8):
        ever = np.zeros(len(samples), dtype=bool)
        for n in range(1, 13):
            starts, where = np.unique(samples[:, :n], axis=0, return_inverse=True)
            problems = [Problem(x, None, 1 - level, side, "sequence") for x in starts]
            with solved_together(problems):
                found = np.array([solve(problem) for problem in problems])[where.ravel()]
            ever |= found < p if side == "upper" else found > p
        assert masses[ever].sum() <= 1 - level
        assert masses[ever].sum() > 0.0 or p == 0.1  # zeros alone cannot refute 0.1 in 12 images


def test_several_means_and_both_sides_share_the_error():
    watch = AnytimeMeans(["a", "b", "c"], confidence_level=0.9)
    watch.update([[0.1, 0.2, 0.3]] * 20)
    certificates = watch.certificates()
    assert len(certificates) == 6
    assert {c.quantity for c in certificates} == {"a", "b", "c"}
    assert sum(1 - c.confidence_level for c in certificates) <= 0.1 + 1e-15
    assert all(c.recheck().ok for c in certificates)


# ---------------------------------------------------------------- attained


@S.QUICK
@given(x=st.lists(st.integers(0, 10).map(lambda k: k / 10), min_size=1, max_size=30), cuts=CUTS)
def test_batches_equal_one_pass_to_the_last_bit(x, cuts):
    watch = fed(x, cuts, confidence_level=0.8)
    level = watch.level
    assert watch.n_images == len(x)
    assert watch.interval().upper == betting_sequence_upper(values=x, confidence_level=level).interval.upper
    assert watch.interval().lower == betting_sequence_lower(values=x, confidence_level=level).interval.lower
    assert watch.to_json() == fed(x, [len(x)], confidence_level=0.8).to_json()


@S.QUICK
@given(images=st.lists(st.tuples(st.integers(0, 6), st.integers(1, 6)).map(sorted), min_size=1, max_size=20), cuts=CUTS)
def test_batches_of_sums_and_counts_too(images, cuts):
    images = [(s, max(k, 1)) for s, k in images]
    sums, counts = [2.0 * s for s, _ in images], [k for _, k in images]
    for options in ({}, {"estimand": "token_pooled", "count_max": 6}):
        watch = fed(sums, cuts, counts=counts, scale=2.0, sides="upper", **options)
        whole = betting_sequence_upper(values=sums, counts=counts, scale=2.0, confidence_level=watch.level, **options)
        assert watch.interval().upper == whole.interval.upper
        assert watch.interval().lower == 0.0


def test_it_decides_soon_after_a_fixed_sample_could():
    """theory.md: e < 0.1 when e = 0.025, at 0.05/32, stops at a median of 185 images."""
    stops = []
    for seed in range(9):
        rng = np.random.default_rng(seed)
        watch = AnytimeMeans(confidence_level=1 - 0.05 / 32, scale=2.0, sides="upper")
        while watch.decide(0.1)["mean"] == "open" and watch.n_images < 1000:
            watch.update(np.where(rng.random(5) < 0.01, 0.5, 0.02 * rng.random(5) + 0.01))
        stops.append(watch.n_images)
    assert 100 < np.median(stops) < 300


# --------------------------------------------------------------- necessary


def test_a_bound_for_one_sample_size_may_not_be_looked_at_again_and_again():
    """Clopper-Pearson is exact at each n, and ever wrong in far more runs when looked at after each image."""
    p, level, n_looks = 0.5, 0.9, 60
    walk, ever = np.array([1.0]), 0.0  # probability of k successes so far and no error yet
    for n in range(1, n_looks + 1):
        walk = np.concatenate([walk * (1 - p), [0.0]]) + np.concatenate([[0.0], walk * p])
        for k in range(n + 1):
            bound = clopper_pearson_upper(values=[1] * k + [0] * (n - k), confidence_level=level).interval.upper
            if bound >= p:
                break
            ever, walk[k] = ever + walk[k], 0.0
    assert ever > 2 * (1 - level)
    rng, wrong = np.random.default_rng(4), 0
    for _ in range(400):
        x = (rng.random(n_looks) < p).astype(float)
        wrong += betting_sequence_upper(values=x, confidence_level=level).interval.upper < p  # the least of all looks
    assert wrong / 400 < 1 - level


def test_a_stream_that_drifts_is_told():
    watch = AnytimeMeans(confidence_level=0.8)
    watch.update(np.zeros(300))
    watch.update(np.ones(3000))
    with pytest.raises(AssumptionError, match=r"need images in random order .* after 3300 images; shuffle"):
        watch.interval()
    with pytest.raises(AssumptionError, match="shuffle"):
        watch.decide(0.5)


# ---------------------------------------------------------------- coherent


@S.QUICK
@given(x=st.lists(st.sampled_from([0.0, 0.0, 0.0, 0.1, 0.9]), min_size=2, max_size=20), t=st.integers(1, 9))
def test_bounds_tighten_and_verdicts_stay(x, t):
    watch, intervals, verdicts = AnytimeMeans(confidence_level=0.5), [], []
    for value in x:
        watch.update([value])
        try:
            intervals.append(watch.interval())
            verdicts.append(watch.decide(t / 10)["mean"])
        except AssumptionError:
            break
    assert all(a.includes(b) for a, b in pairwise(intervals))
    decided = [v for v in verdicts if v != "open"]
    assert len(set(decided)) <= 1
    assert verdicts == ["open"] * (len(verdicts) - len(decided)) + decided


def test_verdicts_by_name():
    watch = AnytimeMeans(["low", "high", "between"], confidence_level=0.9)
    assert watch.intervals()["low"].upper == 1.0
    assert watch.decide(0.5) == {"low": "open", "high": "open", "between": "open"}
    rng = np.random.default_rng(1)
    watch.update(rng.beta([1, 9, 5], [9, 1, 5], size=(200, 3)))
    assert watch.decide(0.5) == {"low": "below", "high": "above", "between": "open"}
    assert watch.decide({"low": 0.01, "high": 0.99, "between": 0.9}) == {
        "low": "above",
        "high": "below",
        "between": "below",
    }
    assert watch.interval("low").upper < watch.interval("high").lower


def test_one_sided_is_narrower_and_silent_on_the_other_side():
    x = np.random.default_rng(2).beta(1, 9, size=200)
    both, upper, lower = (fed(x, [50], sides=sides) for sides in ("both", "upper", "lower"))
    assert upper.interval().upper < both.interval().upper
    assert lower.interval().lower > both.interval().lower
    assert (upper.interval().lower, lower.interval().upper) == (0.0, 1.0)


@S.QUICK
@given(x=st.lists(st.floats(0, 1), min_size=0, max_size=12), more=st.lists(st.floats(0, 1), max_size=5))
def test_the_state_travels_exactly(x, more):
    """Through JSON and on: equal to the last bit to a watch that never left."""
    here = AnytimeMeans(confidence_level=0.7)
    here.update(x)
    there = AnytimeMeans.from_json(here.to_json())
    assert there.to_json() == here.to_json()
    for watch in (here, there):
        watch.update(more)
    assert there.to_json() == here.to_json()
    assert there.n_images == len(x) + len(more)
    if there.n_images:
        assert [c.interval for c in there.certificates()] == [c.interval for c in here.certificates()]


def test_the_state_of_pooled_columns_travels():
    watch = AnytimeMeans(["a", "b"], scale=2.0, estimand="token_pooled", count_max=9, sides="lower")
    empty = AnytimeMeans.from_json(watch.to_json())
    for w in (watch, empty):
        w.update([[1.0, 2.0], [0.0, 3.0]], counts=[4, 9])
        w.update([[1.0, 2.0]], counts=[[4, 0 + 2]])
    assert AnytimeMeans.from_json(watch.to_json()).intervals() == empty.intervals()


# ------------------------------------------------------------------ errors


def test_an_altered_state_is_refused():
    watch = AnytimeMeans()
    watch.update([0.25, 0.5])
    text = watch.to_json()
    with pytest.raises(StoreError, match="altered"):
        AnytimeMeans.from_json(text.replace("0.25", "0.2"))
    with pytest.raises(StoreError, match="need JSON of schema"):
        AnytimeMeans.from_json(text.replace("anytime-means/1", "anytime-means/2"))
    with pytest.raises(StoreError, match="does not parse"):
        AnytimeMeans.from_json(text[:-9])
    body = json.loads(text)
    del body["options"], body["digest"]
    from redundancy.files.digested import seal

    with pytest.raises(StoreError, match="lacks or breaks 'options'"):
        AnytimeMeans.from_json(seal(body))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"names": []}, "need one or more distinct names"),
        ({"names": ["a", "a"]}, "need one or more distinct names"),
        ({"sides": "left"}, "need sides among"),
        ({"scale": -1.0}, "need scale inside"),
        ({"confidence_level": 1.0}, "need confidence_level inside"),
        ({"estimand": "median"}, "need an estimand among"),
        ({"estimand": "token_pooled"}, "need count_max"),
    ],
)
def test_options_fail_before_the_first_image(options, message):
    with pytest.raises(InvalidInputError, match=message):
        AnytimeMeans(**options)


def test_a_bad_batch_leaves_no_trace():
    watch = AnytimeMeans(["a", "b"])
    watch.update([[0.1, 0.2]])
    before = watch.to_json()
    for values, counts, message in [
        ([0.1, 0.2], None, r"need values of shape \(n_new, 2\)"),
        ([[0.1, 1.2]], None, "at image 0"),
        ([[0.1, np.nan]], None, "NaN or infinity"),
        ([[0.1, 0.2]], [1], "need counts in every batch or in none, got a batch with them after 1 images without"),
        ([[0.1, 0.2]], [1, 2], "need counts for each of the 1 new images, got 2"),
    ]:
        with pytest.raises(InvalidInputError, match=message):
            watch.update(values, counts=counts)
    assert watch.to_json() == before
    with pytest.raises(InvalidInputError, match="need a name among"):
        watch.interval()
    with pytest.raises(InvalidInputError, match="need a threshold for each of"):
        watch.decide({"a": 0.1})
    with pytest.raises(InvalidInputError, match="got NaN"):
        watch.decide(np.nan)
    with pytest.raises(InvalidInputError, match="need at least one image before a certificate"):
        AnytimeMeans().certificates()
    with pytest.raises(InvalidInputError, match="need counts for the estimand"):
        AnytimeMeans(estimand="token_pooled", count_max=3).update([0.5])
