"""Betting bounds: coverage by listing every sample, the capital in rational arithmetic, and what breaks them."""

import json
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proofs_check.strategies import clustered_samples
from redundancy.certificates.certificate import BoundCertificate
from redundancy.concentration import (
    betting_lower,
    betting_sequence_lower,
    betting_sequence_upper,
    betting_upper,
    distribution_free_floor,
    finite_population_lower,
    finite_population_upper,
)
from redundancy.concentration.betting import betting_upper_columns, problem_of, together
from redundancy.concentration.capital import Problem, bets, capitals, solve, solved_together
from redundancy.errors import InvalidInputError
from redundancy.sampling import hash_order, hashed_rows
from support import sampling_laws as S

ROUNDING = 1e-12  # of a sum of a few thousand probabilities
GRID = 2.0**-40  # bounds are multiples of it, times the scale
SIDES = {
    ("upper", "fixed"): (betting_upper, "concentration.betting_upper"),
    ("lower", "fixed"): (betting_lower, "concentration.betting_lower"),
    ("upper", "sequence"): (betting_sequence_upper, "concentration.betting_sequence_upper"),
    ("lower", "sequence"): (betting_sequence_lower, "concentration.betting_sequence_lower"),
}
BOTH_SIDES = pytest.mark.parametrize("side", ["upper", "lower"])
BOTH_MODES = pytest.mark.parametrize("mode", ["fixed", "sequence"])


def bounds(samples, side, mode, *, level, counts=None, **options):
    """Bounds of many samples at once; that the certificates say the same is tested below."""
    counts = [None] * len(samples) if counts is None else counts
    inputs = [{"values": v, "counts": c, "confidence_level": level} for v, c in zip(samples, counts, strict=True)]
    return solved([problem_of(SIDES[side, mode][1], {**i, **options}) for i in inputs])


def solved(problems):
    with solved_together(problems):
        return np.array([solve(problem) for problem in problems])


def error(found, truth, masses, side):
    """Exact probability that the bound is on the wrong side of the truth."""
    wrong = found < truth if side == "upper" else found > truth
    return float(masses[wrong].sum())


# ------------------------------------------------------------------- holds


@BOTH_MODES
@BOTH_SIDES
@pytest.mark.parametrize("p", [0.02, 0.1, 0.3, 0.5, 0.8])
@pytest.mark.parametrize("level", [0.6, 0.8, 0.95])
def test_bernoulli_coverage_over_every_sample(side, mode, p, level):
    samples, masses = S.iid_samples([0.0, 1.0], [1 - p, p], 10)
    assert error(bounds(samples, side, mode, level=level), p, masses, side) <= 1 - level + ROUNDING


@BOTH_MODES
@BOTH_SIDES
def test_coverage_of_a_skewed_law_over_every_sample(side, mode):
    """Mostly small values and a rare bad image, where normal intervals fail."""
    values, law = [0.0, 0.05, 1.0], [0.55, 0.4, 0.05]
    samples, masses = S.iid_samples(values, law, 7)
    truth = float(np.dot(values, law))
    for level in (0.5, 0.7, 0.9):
        assert error(bounds(samples, side, mode, level=level), truth, masses, side) <= 1 - level + ROUNDING


@BOTH_MODES
@BOTH_SIDES
def test_token_pooled_coverage_over_every_sample(side, mode):
    """Images of 1, 2 and 4 tokens whose errors go with their size: the two estimands differ."""
    images, law = np.array([[0, 1], [1, 2], [4, 4]]), np.array([0.5, 0.3, 0.2])
    pooled, average = law @ images[:, 0] / (law @ images[:, 1]), law @ (images[:, 0] / images[:, 1])
    assert pooled > average + 0.1
    samples, masses = S.iid_samples(images, law, 7)
    masses = masses[:, 0] if masses.ndim == 2 else masses
    options = {"counts": samples[..., 1], "count_max": 4}
    for level in (0.5, 0.8):
        found = bounds(samples[..., 0], side, mode, level=level, estimand="token_pooled", **options)
        assert error(found, pooled, masses, side) <= 1 - level + ROUNDING
        found = bounds(samples[..., 0], side, mode, level=level, counts=samples[..., 1])
        assert error(found, average, masses, side) <= 1 - level + ROUNDING


@BOTH_SIDES
@pytest.mark.parametrize("n", [1, 3, 6, 8])
def test_coverage_without_replacement_over_every_draw(side, n):
    function = {"upper": finite_population_upper, "lower": finite_population_lower}[side]
    for population in ([0, 0, 0, 0, 0, 0, 0, 1], [0, 1, 1, 0, 1, 0, 1, 1], [0.0, 0.25, 0.25, 0.5, 0.5, 0.5, 1.0, 1.0]):
        samples, masses = S.draws_without_replacement(population, n)
        for level in (0.5, 0.8, 0.95):
            found = solved([Problem(s, None, 1 - level, side, "fixed", 8) for s in samples])
            certificate = function(values=samples[-1], population_size=8, confidence_level=level, order="as drawn")
            own = {"upper": max, "lower": min}[side](
                found[-1], np.mean(samples[-1])
            )  # never past the sample's own mean
            assert getattr(certificate.interval, side) == pytest.approx(own, abs=16 * 2.0**-52)
            assert error(found, np.mean(population), masses, side) <= 1 - level + ROUNDING


@BOTH_MODES
@BOTH_SIDES
def test_the_capital_at_the_true_mean_is_a_fair_game(side, mode):
    """Mean exactly 1 after every image: a bet that peeked at its own value, or at m, would not pass."""
    values, law = np.array([0.0, 0.2, 1.0]), np.array([0.5, 0.3, 0.2])
    samples, masses = S.iid_samples(values, law, 7)
    truth = float(values @ law)
    paths = np.array([capitals(Problem(s, None, 0.1, side, mode), truth) for s in samples])
    np.testing.assert_allclose(masses @ paths, 1.0, rtol=1e-11)
    assert masses @ (paths.max(axis=1) >= 10.0) <= 0.1  # Ville


@BOTH_SIDES
def test_the_weighted_capital_is_fair_at_the_pooled_mean(side):
    images, law = np.array([[0, 1], [1, 2], [4, 4]]) / 4, np.array([0.5, 0.3, 0.2])
    samples, masses = S.iid_samples(images, law, 6)
    masses = masses[:, 0] if masses.ndim == 2 else masses
    truth = float(law @ images[:, 0] / (law @ images[:, 1]))
    paths = np.array([capitals(Problem(s[:, 0], s[:, 1], 0.1, side), truth) for s in samples])
    np.testing.assert_allclose(masses @ paths, 1.0, rtol=1e-11)


@BOTH_SIDES
def test_the_capital_without_replacement_is_a_fair_game(side):
    population = [0.0, 0.0, 0.1, 0.1, 0.5, 1.0, 1.0]
    samples, masses = S.draws_without_replacement(population, 7)
    truth = float(np.mean(population))
    paths = np.array([capitals(Problem(s, None, 0.2, side, "fixed", 7), truth) for s in samples])
    np.testing.assert_allclose(masses @ paths, 1.0, rtol=1e-9)


# ---------------------------------------------------------------- attained


@S.QUICK
@given(
    x=st.lists(st.integers(0, 8).map(lambda k: k / 8), min_size=1, max_size=12),
    side=st.sampled_from(["upper", "lower"]),
    mode=st.sampled_from(["fixed", "sequence"]),
    level=st.sampled_from([0.5, 0.9, 0.95, 0.999]),
)
def test_the_bound_is_the_first_refuted_grid_point_in_rational_arithmetic(x, side, mode, level):
    """Refuted exactly, and the next grid point inward is not: sharp from both sides, by the textbook's bets."""
    delta = 1 - level
    stakes = S.textbook_bets(x, [1.0] * len(x), delta, mode, cap=None)
    certificate = SIDES[side, mode][0](values=x, confidence_level=level, order="as given")
    bound, step = getattr(certificate.interval, side), GRID if side == "upper" else -GRID
    if mode == "fixed" and abs(bound - np.mean(x)) < 1e-12:
        bound = solve(problem_of(certificate.theorem, certificate.inputs))  # what the bet alone refutes lies beyond
        assert bound <= np.mean(x) + 1e-12 if side == "upper" else bound >= np.mean(x) - 1e-12
    if bound not in (0.0, 1.0):
        assert S.exact_capital(x, [1.0] * len(x), stakes, bound, side=side) >= 1 / Fraction(delta)
    inward = S.exact_capital(x, [1.0] * len(x), stakes, Fraction(bound - 3 * step), side=side)
    assert inward < (1 + Fraction(1, 10**7)) / Fraction(delta)


@S.QUICK
@given(
    images=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)).map(sorted), min_size=1, max_size=10).filter(
        lambda pairs: any(k for _, k in pairs)
    ),
    side=st.sampled_from(["upper", "lower"]),
)
def test_pooled_bounds_in_rational_arithmetic(images, side):
    sums, counts = [s for s, _ in images], [k for _, k in images]
    x, w = [s / 4 for s in sums], [k / 4 for k in counts]
    stakes = S.textbook_bets(x, w, 0.3, "fixed", cap=None)
    certificate = SIDES[side, "fixed"][0](
        values=sums, counts=counts, estimand="token_pooled", count_max=4, confidence_level=0.7, order="as given"
    )
    bound, step = getattr(certificate.interval, side), GRID if side == "upper" else -GRID
    if abs(bound - sum(sums) / sum(counts)) < 1e-12:
        bound = solve(problem_of(certificate.theorem, certificate.inputs))
    if bound not in (0.0, 1.0):
        assert S.exact_capital(x, w, stakes, bound, side=side) >= 1 / Fraction(0.3)
    inward = S.exact_capital(x, w, stakes, Fraction(bound - 3 * step), side=side)
    assert inward < (1 + Fraction(1, 10**7)) / Fraction(0.3)


@BOTH_MODES
@pytest.mark.parametrize("n", [60, 200, 1000])
@pytest.mark.parametrize("level", [0.95, 1 - 0.05 / 32])
def test_zeros_are_within_a_quarter_of_what_any_method_can_do(n, level, mode):
    floor = distribution_free_floor(n_images=n, confidence_level=level)
    upper = SIDES["upper", mode][0](values=np.zeros(n), confidence_level=level).interval.upper
    assert floor <= upper <= 1.25 * floor


def test_the_whole_benchmark_gives_its_mean():
    values = [0.0, 0.25, 1.0, 0.5, 0.125]
    upper = finite_population_upper(values=values, population_size=5).interval.upper
    lower = finite_population_lower(values=values, population_size=5).interval.lower
    assert lower <= 0.375 <= upper
    assert upper - lower < 1e-8


def test_no_error_without_replacement_leaves_what_could_be_hidden():
    """Of N images K are bad and none of n was seen: no valid bound is below the largest K that explains that."""
    n, size = 40, 100
    hidden = max(k for k in range(size) if math.comb(size - k, n) / math.comb(size, n) > 0.05)
    upper = finite_population_upper(values=[0.0] * n, population_size=size).interval.upper
    assert hidden / size <= upper < betting_upper(values=[0.0] * n).interval.upper


@pytest.mark.slow
def test_the_hardest_case_is_nearly_exact():
    """One indicator per image with mean 0.028: theory.md found an error of 0.0425 (n = 1500, 40,000 runs)."""
    rng, wrong, runs = np.random.default_rng(20), 0, 8000
    for _ in range(runs // 500):
        found = betting_upper_columns((rng.random((1500, 500)) < 0.028).astype(float), confidence_level=0.95)
        wrong += int((found < 0.028).sum())
    assert 0.036 < wrong / runs < 0.05


# --------------------------------------------------------------- necessary


def test_order_must_not_depend_on_the_values():
    """Zeros first: the capital reaches 1/delta before the ones come, whatever the mean is."""
    samples, masses = S.iid_samples([0.0, 1.0], [0.5, 0.5], 12)
    honest = error(bounds(samples, "upper", "fixed", level=0.8), 0.5, masses, "upper")
    peeked = error(bounds(np.sort(samples, axis=1), "upper", "fixed", level=0.8), 0.5, masses, "upper")
    assert honest <= 0.2 < peeked


def test_tokens_are_not_images():
    """All 12 tokens of an image alike (ICC 1): fed as if they were images, the level is lost (M31)."""
    p, n_tokens, level = 0.3, 12, 0.9
    samples, masses = S.iid_samples([0.0, 1.0], [1 - p, p], 5)
    images = bounds(samples, "upper", "fixed", level=level)
    tokens = bounds(np.repeat(samples, n_tokens, axis=1), "upper", "fixed", level=level)
    assert error(images, p, masses, "upper") <= 0.1
    assert error(tokens, p, masses, "upper") > 0.3


def test_a_stake_on_all_of_the_capital_would_lose_it_all():
    """Stakes stop at 0.95, so that no single image ends the game: the capital stays positive."""
    x = np.ones(50)
    assert capitals(Problem(x, None, 1e-6), 0.0).min() > 0.0
    assert capitals(Problem(1.0 - x, None, 1e-6, "lower"), 1.0).min() > 0.0


def test_the_average_of_images_is_not_the_pooled_mean():
    """Images that err more are larger: a certificate for one estimand is wrong about the other."""
    images, law = np.array([[0, 1], [10, 10]]), np.array([0.9, 0.1])
    rng = np.random.default_rng(2)
    picks = rng.choice(2, size=2000, p=law)
    sums, counts = images[picks].T
    average = betting_upper(values=sums, counts=counts).interval
    pooled = betting_lower(values=sums, counts=counts, estimand="token_pooled", count_max=10).interval
    assert average.upper < 1 / 1.9 - 0.3
    assert pooled.lower > average.upper


# ---------------------------------------------------------------- coherent


@S.QUICK
@given(sample=clustered_samples(n_images=(1, 12)), mode=st.sampled_from(["fixed", "sequence"]))
def test_more_confidence_is_never_narrower(sample, mode):
    x = [v.mean() for v in sample]
    levels = (0.5, 0.8, 0.95, 0.99, 0.999)
    uppers = [SIDES["upper", mode][0](values=x, confidence_level=level).interval.upper for level in levels]
    lowers = [SIDES["lower", mode][0](values=x, confidence_level=level).interval.lower for level in levels]
    assert uppers == sorted(uppers)
    assert lowers == sorted(lowers, reverse=True)


@S.QUICK
@given(x=st.lists(st.integers(0, 10).map(lambda k: k / 10), min_size=2, max_size=30))
def test_the_sequence_is_nested_in_time(x):
    uppers = [betting_sequence_upper(values=x[:n], confidence_level=0.7).interval.upper for n in range(1, len(x) + 1)]
    lowers = [betting_sequence_lower(values=x[:n], confidence_level=0.7).interval.lower for n in range(1, len(x) + 1)]
    assert uppers == sorted(uppers, reverse=True)
    assert lowers == sorted(lowers)


def test_anytime_costs_a_few_per_cent():
    x = np.random.default_rng(3).beta(0.3, 8.0, size=1000)
    fixed, sequence = betting_upper(values=x).interval.upper, betting_sequence_upper(values=x).interval.upper
    assert x.mean() < fixed <= sequence * 1.02
    assert sequence < 1.15 * fixed


@S.QUICK
@given(x=st.lists(st.integers(0, 10).map(lambda k: k / 10), min_size=1, max_size=12), m=st.integers(1, 9))
def test_capital_is_monotone_in_the_mean_it_bets_against(x, m):
    u = np.array(x)
    for mode in ("fixed", "sequence"):
        for size in (None, 15):
            up = [capitals(Problem(u, None, 0.1, "upper", mode, size), k / 20) for k in (m, 2 * m)]
            down = [capitals(Problem(u, None, 0.1, "lower", mode, size), k / 20) for k in (m, 2 * m)]
            assert (up[0] <= up[1] * (1 + ROUNDING)).all()
            assert (down[0] >= down[1] * (1 - ROUNDING)).all()


@S.QUICK
@given(
    x=st.lists(st.integers(0, 8).map(lambda k: k / 8), min_size=1, max_size=20),
    side=st.sampled_from(["upper", "lower"]),
)
def test_scale_and_equal_counts_change_nothing(x, side):
    plain = getattr(SIDES[side, "fixed"][0](values=x).interval, side)
    doubled = getattr(SIDES[side, "fixed"][0](values=[2 * v for v in x], scale=2.0).interval, side)
    options = {"values": [8 * v for v in x], "counts": [8] * len(x)}
    averaged = getattr(SIDES[side, "fixed"][0](**options).interval, side)
    pooled = SIDES[side, "fixed"][0](**options, estimand="token_pooled", count_max=8).interval
    assert doubled == pytest.approx(2 * plain, abs=1e-14)
    assert averaged == plain
    assert getattr(pooled, side) == plain


def test_a_smaller_population_is_never_harder():
    x = [0.0, 0.0, 0.25, 0.0, 0.5, 0.0] * 5
    uppers = [finite_population_upper(values=x, population_size=size).interval.upper for size in (30, 40, 80, 10**9)]
    assert uppers == sorted(uppers)
    assert uppers[-1] == pytest.approx(betting_upper(values=x).interval.upper, abs=1e-6)


def test_together_is_alone_and_rechecks():
    rng = np.random.default_rng(5)
    calls = [
        (*SIDES[side, mode], {"values": rng.random(40) ** 4, "confidence_level": 0.9})
        for side, mode in SIDES
        for _ in range(5)
    ]
    for certificate, (function, _, inputs) in zip(together(calls), calls, strict=True):
        assert certificate == function(**inputs)
        assert certificate.recheck().ok
        assert BoundCertificate.from_json(certificate.to_json()) == certificate


def test_many_images_leave_the_range_of_floats_but_not_the_bound():
    """100,000 factors: the capital passes 1e308 in one bet and 1e-308 in the other."""
    x = np.zeros(100_000)
    upper = betting_upper(values=x).interval.upper
    assert distribution_free_floor(n_images=100_000) <= upper < 1.1 * distribution_free_floor(n_images=100_000)
    assert betting_lower(values=x).interval.lower == 0.0
    assert betting_lower(values=x + 0.3).interval.lower == pytest.approx(0.3, abs=0.01)
    path = capitals(Problem(x, None, 0.05), 0.9)
    assert np.isfinite(path).all()
    assert path[-1] == path.max()
    assert capitals(Problem(x + 1.0, None, 0.05), 0.1)[-1] == 0.0


def test_a_known_problem_is_looked_up_not_solved_again():
    problem = Problem(np.full(9, 0.25), None, 0.1)
    alone = solve(problem)
    with solved_together([problem]):
        assert solve(Problem(np.full(9, 0.25), None, 0.1)) == alone
        assert solve(Problem(np.full(9, 0.5), None, 0.1)) > alone


# ------------------------------------------------------------------ errors


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"values": []}, r"shape \(n >= 1,\)"),
        ({"values": [[0.1, 0.2]]}, r"one value per image, got shape \(1, 2\)"),
        ({"values": [0.1, math.nan]}, "NaN or infinity in 1 images, the first is 1"),
        ({"values": [0.1, 1.1]}, "at image 1 .* got 1.1; check scale"),
        ({"values": [-0.1]}, "at image 0"),
        ({"values": [0.1], "scale": 0.0}, "need scale inside"),
        ({"values": [0.1], "confidence_level": 1.0}, "need confidence_level inside"),
        ({"values": [0.1], "confidence_level": 1e-18}, "differs from 0"),
        ({"values": [0.1], "estimand": "median"}, "need an estimand among"),
        ({"values": [0.1], "estimand": "token_pooled"}, "need counts for the estimand"),
        ({"values": [0.1], "counts": [1, 2]}, "of one length, got 1 and 2"),
        ({"values": [0.1], "counts": [1.5]}, "need whole numbers"),
        ({"values": [0.0, 0.0], "counts": [3, 0]}, "image 1 .* has none; leave it out"),
        ({"values": [3.0], "counts": [2]}, "at image 0"),
        ({"values": [1.0], "counts": [2], "estimand": "token_pooled"}, "need count_max"),
        ({"values": [1.0], "counts": [5], "estimand": "token_pooled", "count_max": 4}, "at most count_max=4, got 5"),
    ],
)
@pytest.mark.parametrize("function", [betting_upper, betting_sequence_lower])
def test_bad_samples_are_refused_in_one_sentence(function, inputs, message):
    with pytest.raises(InvalidInputError, match=message) as caught:
        function(**inputs)
    assert "\n" not in str(caught.value)


def test_other_refusals():
    with pytest.raises(InvalidInputError, match="need population_size >= the 3 images sampled, got 2"):
        finite_population_upper(values=[0, 0, 0], population_size=2)
    with pytest.raises(InvalidInputError, match="need a mode among"):
        bets(np.zeros(3), None, 0.1, "sometimes")


# ------------------------------------------------------------------- order


@BOTH_SIDES
def test_a_file_that_is_sorted_gives_the_bound_of_a_shuffled_one(side):
    """Sorted values refuted means below the sample's own; the hashed order does not know the values."""
    function = SIDES[side, "fixed"][0]
    low_first = np.r_[np.zeros(95), np.ones(5)]
    for values in (low_first, low_first[::-1], np.sort(np.random.default_rng(0).beta(0.3, 3, 200))):
        end = getattr(function(values=values).interval, side)
        assert end >= values.mean() if side == "upper" else end <= values.mean()
        shuffled = [
            getattr(function(values=np.random.default_rng(seed).permutation(values)).interval, side)
            for seed in range(9)
        ]
        assert min(shuffled) - 0.02 <= end <= max(shuffled) + 0.02


def test_an_order_that_knows_the_values_cannot_put_a_bound_past_the_sample_mean():
    values = np.r_[np.zeros(95), np.ones(5)]
    problem = problem_of("concentration.betting_upper", {"values": values, "order": "as given"})
    assert solve(problem) < values.mean()  # what the bet says, were it believed
    assert betting_upper(values=values, order="as given").interval.upper >= values.mean()
    assert betting_lower(values=1 - values, order="as given").interval.lower <= (1 - values).mean()
    assert finite_population_upper(values=values, population_size=400, order="as given").interval.upper >= 0.05


def test_the_salt_stands_in_the_certificate_and_decides_the_order():
    values = np.random.default_rng(3).beta(0.3, 3, 80)
    ends = set()
    for salt in ("2025", "2026", 'a "quoted" one'):
        certificate = betting_upper(values=values, order=hashed_rows(salt))
        rows = hash_order(range(80), salt)
        assert certificate.interval == betting_upper(values=values[rows], order="as given").interval
        assert certificate.inputs["values"].values.tolist() == values.tolist()
        assert json.dumps(salt) in certificate.sentence()
        assert BoundCertificate.from_json(certificate.to_json()).recheck().ok
        ends.add(certificate.interval.upper)
    assert len(ends) > 1
