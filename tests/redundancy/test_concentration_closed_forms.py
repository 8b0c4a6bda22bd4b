"""Clopper-Pearson, Hoeffding, Maurer-Pontil and the floor: exact coverage, 50 digits, and what breaks them."""

import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from proofs_check.strategies import clustered_samples
from redundancy.concentration import (
    betting_sequence_upper,
    betting_upper,
    clopper_pearson_lower,
    clopper_pearson_upper,
    distribution_free_floor,
    dkw_band,
    dkw_tail,
    empirical_bernstein_lower,
    empirical_bernstein_upper,
    hoeffding_lower,
    hoeffding_upper,
    minimum_n,
)
from redundancy.errors import InvalidInputError
from redundancy.interval import Interval
from support import sampling_laws as S

mpmath.mp.dps = 50

ROUNDING = 1e-12  # of a sum of a few hundred probabilities
OUTWARD = 1.6e-8  # relative: how far outward Clopper-Pearson is moved for the error of the special functions
LEVELS = (0.5, 0.9, 0.95, 0.999)
MEANS = {
    "clopper_pearson": (clopper_pearson_upper, clopper_pearson_lower),
    "hoeffding": (hoeffding_upper, hoeffding_lower),
    "empirical_bernstein": (empirical_bernstein_upper, empirical_bernstein_lower),
}


def zeros_and_ones(k, n):
    return [1.0] * k + [0.0] * (n - k)


def exact_tail(n, k, p):
    """P(Binomial(n, p) <= k) in 50 digits, for p the float given."""
    p = mpmath.mpf(p)
    return mpmath.fsum(mpmath.binomial(n, i) * p**i * (1 - p) ** (n - i) for i in range(k + 1))


# ------------------------------------------------------------------- holds


@pytest.mark.parametrize("method", MEANS)
@pytest.mark.parametrize("n", [2, 5, 12, 25])
def test_coverage_for_every_number_of_successes(method, n):
    upper, lower = MEANS[method]
    for level in LEVELS:
        ends = [
            (
                upper(values=x, confidence_level=level).interval.upper,
                lower(values=x, confidence_level=level).interval.lower,
            )
            for x in (zeros_and_ones(k, n) for k in range(n + 1))
        ]
        above, below = np.array(ends).T
        for p in np.linspace(0.005, 0.995, 67):
            masses = S.binomial_masses(n, p)
            assert masses[above < p].sum() <= 1 - level + ROUNDING
            assert masses[below > p].sum() <= 1 - level + ROUNDING


@pytest.mark.parametrize("method", ["hoeffding", "empirical_bernstein"])
@pytest.mark.parametrize("level", [0.5, 0.9])
def test_coverage_of_a_skewed_law_over_every_sample(method, level):
    values, law = [0.0, 0.05, 1.0], [0.55, 0.4, 0.05]
    samples, masses = S.iid_samples(values, law, 7)
    truth = float(np.dot(values, law))
    upper, lower = MEANS[method]
    keys, where = np.unique(np.sort(samples, axis=1), axis=0, return_inverse=True)
    above = np.array([upper(values=x, confidence_level=level).interval.upper for x in keys])[where.ravel()]
    below = np.array([lower(values=x, confidence_level=level).interval.lower for x in keys])[where.ravel()]
    assert masses[above < truth].sum() <= 1 - level
    assert masses[below > truth].sum() <= 1 - level


# ---------------------------------------------------------------- attained


@pytest.mark.parametrize("n", [1, 2, 7, 30, 59, 400])
@pytest.mark.parametrize("level", LEVELS)
def test_clopper_pearson_is_the_exact_root(n, level):
    """In 50 digits: error at most delta at the bound, more than delta a hair inside it."""
    delta = 1 - mpmath.mpf(level)
    for k in sorted({0, 1, n // 3, n - 1, n}):
        upper = clopper_pearson_upper(values=zeros_and_ones(k, n), confidence_level=level).interval.upper
        lower = clopper_pearson_lower(values=zeros_and_ones(k, n), confidence_level=level).interval.lower
        if k == n:
            assert upper == 1.0
        else:
            assert exact_tail(n, k, upper) <= delta
            assert exact_tail(n, k, upper * (1 - OUTWARD)) > delta
        if k == 0:
            assert lower == 0.0
        else:
            assert 1 - exact_tail(n, k - 1, lower) <= delta
            assert 1 - exact_tail(n, k - 1, lower * (1 + OUTWARD)) > delta


def test_clopper_pearson_against_scipy_and_published_values():
    for n, k in [(10, 3), (100, 10), (420, 12), (5000, 1)]:
        x = zeros_and_ones(k, n)
        upper = scipy.stats.binomtest(k, n, alternative="less").proportion_ci(0.95, method="exact").high
        lower = scipy.stats.binomtest(k, n, alternative="greater").proportion_ci(0.95, method="exact").low
        assert upper <= clopper_pearson_upper(values=x).interval.upper <= upper * (1 + OUTWARD)
        assert lower * (1 - OUTWARD) <= clopper_pearson_lower(values=x).interval.lower <= lower
    # Two-sided 95 per cent limits as tabulated: 10 of 100 and 0 of 30.
    assert clopper_pearson_lower(
        values=zeros_and_ones(10, 100), confidence_level=0.975
    ).interval.lower == pytest.approx(0.04900, abs=5e-6)
    assert clopper_pearson_upper(
        values=zeros_and_ones(10, 100), confidence_level=0.975
    ).interval.upper == pytest.approx(0.17622, abs=5e-6)
    assert clopper_pearson_upper(values=[0] * 30, confidence_level=0.975).interval.upper == pytest.approx(
        0.1157, abs=5e-5
    )


@S.QUICK
@given(n=st.integers(1, 300), k=st.integers(1, 40))
def test_clopper_pearson_reaches_the_floor(n, k):
    """No success among n: the floor that no distribution-free method can beat, and it is met."""
    level = 1 - k / 50
    if not 0 < level < 1:
        return
    floor = distribution_free_floor(n_images=n, confidence_level=level)
    upper = clopper_pearson_upper(values=[0] * n, confidence_level=level).interval.upper
    assert floor <= upper <= floor * (1 + OUTWARD)


@S.QUICK
@given(
    x=st.lists(st.floats(0, 1), min_size=2, max_size=40),
    level=st.sampled_from([0.5, 0.95, 1 - 0.05 / 320]),
    scale=st.sampled_from([1.0, 2.0, 0.3]),
)
def test_hoeffding_and_maurer_pontil_in_fifty_digits(x, level, scale):
    """Never inside the exact value of the formula, and within 1e-9 of it."""
    values = [v * scale for v in x]
    exact = [mpmath.mpf(v) / mpmath.mpf(scale) for v in values]
    n, delta = len(x), 1 - mpmath.mpf(level)
    mean = mpmath.fsum(exact) / n
    variance = mpmath.fsum((v - mean) ** 2 for v in exact) / (n - 1)
    widths = {
        "hoeffding": mpmath.sqrt(mpmath.log(1 / delta) / (2 * n)),
        "empirical_bernstein": mpmath.sqrt(2 * variance * mpmath.log(2 / delta) / n)
        + 7 * mpmath.log(2 / delta) / (3 * (n - 1)),
    }
    for method, width in widths.items():
        upper, lower = MEANS[method]
        above = upper(values=values, scale=scale, confidence_level=level).interval.upper
        below = lower(values=values, scale=scale, confidence_level=level).interval.lower
        assert min(1, mean + width) * scale - scale * mpmath.mpf(10) ** -15 <= above
        assert above <= min(1, mean + width) * scale * (1 + 1e-9)
        assert above == scale or mpmath.mpf(above) >= (mean + width) * scale
        assert below <= max(0, mean - width) * scale
        assert below >= (mean - width) * scale - 1e-9


def test_published_floor_and_minimum_n():
    """theory.md section 3: rho (range 2), delta = 0.05 and 0.05/32."""
    for n, level, value in [
        (100, 0.95, 0.059),
        (500, 0.95, 0.012),
        (100, 1 - 0.05 / 32, 0.125),
        (500, 1 - 0.05 / 32, 0.026),
    ]:
        assert distribution_free_floor(n_images=n, confidence_level=level, scale=2.0) == pytest.approx(value, abs=5e-4)


@S.QUICK
@given(target=st.integers(1, 999), level=st.sampled_from(LEVELS), scale=st.sampled_from([1.0, 2.0]))
def test_minimum_n_is_the_least(target, level, scale):
    target = target / 1000 * scale
    n = minimum_n(target=target, confidence_level=level, scale=scale)
    assert distribution_free_floor(n_images=n, confidence_level=level, scale=scale) < target
    # One image fewer, in rational arithmetic: an unseen share of target/scale is still likely enough.
    assert n == 1 or (1 - Fraction(target / scale)) ** (n - 1) >= (1 - Fraction(level)) * Fraction(10**9 - 1, 10**9)


@pytest.mark.parametrize("n", [1, 10, 200])
@pytest.mark.parametrize("level", LEVELS)
def test_no_bound_of_the_package_is_below_the_floor(n, level):
    floor = distribution_free_floor(n_images=n, confidence_level=level, scale=2.0)
    zeros = {"values": [0.0] * n, "confidence_level": level, "scale": 2.0}
    for function in (betting_upper, betting_sequence_upper, hoeffding_upper, empirical_bernstein_upper):
        if n > 1 or function is not empirical_bernstein_upper:
            assert function(**zeros).interval.upper >= floor


# --------------------------------------------------------------- necessary


def test_below_the_floor_coverage_is_lost():
    n, level = 50, 0.95
    claim = 0.98 * distribution_free_floor(n_images=n, confidence_level=level)
    p = 0.5 * (claim + distribution_free_floor(n_images=n, confidence_level=level))
    assert (1 - p) ** n > 1 - level  # zeros only, and the claim "mean <= claim" is false


@pytest.mark.parametrize("method", MEANS)
def test_tokens_are_not_images(method):
    """ICC 1, 50 tokens: the interval that counts tokens misses at every n, and is not offered (M31)."""
    p, level, tokens = 0.1, 0.95, 50
    upper = MEANS[method][0]
    for n in (30, 60):
        found = np.array(
            [
                upper(values=zeros_and_ones(k * tokens, n * tokens), confidence_level=level).interval.upper
                for k in range(n + 1)
            ]
        )
        assert S.binomial_masses(n, p)[found >= p].sum() < 0.85
    with pytest.raises(InvalidInputError, match="one value per image"):
        upper(values=np.zeros((30, tokens)))


def test_clopper_pearson_takes_no_shares():
    """On shares of tokens it would still cover, but is not a binomial quantile any more: refused, not rounded."""
    with pytest.raises(InvalidInputError, match=r"got 0.5 at image 1 .* need the betting bound"):
        clopper_pearson_upper(values=[0.0, 0.5, 1.0])
    with pytest.raises(InvalidInputError, match="need the betting bound"):
        clopper_pearson_lower(values=[0.0, 1.0, 1e-12])


# ---------------------------------------------------------------- coherent


@S.QUICK
@given(sample=clustered_samples(n_images=(2, 12)), order=st.randoms(use_true_random=False))
def test_order_reflection_and_level(sample, order):
    x = [float(v.mean()) for v in sample]
    other = list(x)
    order.shuffle(other)
    for upper, lower in (MEANS["hoeffding"], MEANS["empirical_bernstein"]):
        above, below = upper(values=x).interval.upper, lower(values=x).interval.lower
        assert below <= np.mean(x) <= above
        assert upper(values=other).interval.upper == pytest.approx(above, abs=1e-14)
        assert lower(values=[1 - v for v in x]).interval.lower == pytest.approx(1 - above, abs=1e-13)
        levels = [upper(values=x, confidence_level=level).interval.upper for level in LEVELS]
        assert levels == sorted(levels)
        counted = upper(values=[v.sum() for v in sample], counts=[len(v) for v in sample]).interval.upper
        assert counted == pytest.approx(above, abs=1e-14)


@S.QUICK
@given(n=st.integers(2, 60), data=st.data())
def test_clopper_pearson_is_monotone(n, data):
    k = data.draw(st.integers(0, n - 1))

    def ends(k, n, level=0.9):
        x = zeros_and_ones(k, n)
        return np.array([f(values=x, confidence_level=level).interval for f in MEANS["clopper_pearson"]], dtype=object)

    here, more = ends(k, n), ends(k + 1, n)
    assert here[0].upper <= more[0].upper
    assert here[1].lower <= more[1].lower
    assert ends(k, n + 1)[0].upper <= here[0].upper
    assert ends(k, n, 0.95)[0].upper >= here[0].upper
    mirrored = ends(n - k, n)
    assert mirrored[1].lower == pytest.approx(1 - here[0].upper, abs=1e-8)


def test_more_images_never_hurt():
    for n in (5, 50, 500):
        assert dkw_band(n_images=n + 1).interval.upper <= dkw_band(n_images=n).interval.upper
        assert distribution_free_floor(n_images=n + 1) < distribution_free_floor(n_images=n)
    uppers = [hoeffding_upper(values=[0.25] * n).interval.upper for n in (5, 50, 500)]
    assert uppers == sorted(uppers, reverse=True)
    uppers = [empirical_bernstein_upper(values=[0.2, 0.3] * n).interval.upper for n in (5, 50, 500)]
    assert uppers == sorted(uppers, reverse=True)


def test_certificates_recheck_and_name_their_assumptions():
    x = zeros_and_ones(3, 40)
    for upper, lower in MEANS.values():
        for certificate in (upper(values=x, confidence_level=0.9), lower(values=x, confidence_level=0.9)):
            assert certificate.recheck().ok
            assert {"iid_images", "order_fixed"} <= {a.name for a in certificate.assumptions}
            assert certificate.confidence_level == pytest.approx(0.9)


# ------------------------------------------------------------------ errors


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: empirical_bernstein_upper(values=[0.1]), "need at least 2 images for a sample variance, got 1"),
        (lambda: dkw_band(n_images=0), "need n_images"),
        (lambda: dkw_band(n_images=2.0), "need an integer for n_images"),
        (lambda: dkw_band(n_images=2, confidence_level=1.0), "need confidence_level inside"),
        (lambda: dkw_tail(band=0.1, values=[3], counts=[2]), "need values in"),
        (lambda: dkw_tail(band=Interval(0.0, 2.0), values=[1], counts=[2]), "need band inside"),
        (lambda: distribution_free_floor(n_images=0), "need n_images"),
        (lambda: minimum_n(target=0.0), r"need target inside \(0, scale=1\), got 0"),
        (lambda: minimum_n(target=1.0), r"need target inside \(0, scale=1\), got 1"),
        (lambda: minimum_n(target=0.1, confidence_level=0.0), "need confidence_level inside"),
        (lambda: hoeffding_upper(values=[0.5], confidence_level=math.nan), "need a finite number for confidence_level"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(InvalidInputError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
